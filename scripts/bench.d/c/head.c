#define _GNU_SOURCE
#include "head.h"

#include <string.h>
#include <strings.h>

bool text_equals(struct text text, const char *other) {
  return strlen(other) == text.count && memcmp(text.bytes, other, text.count) == 0;
}

bool text_is(struct text text, const char *other) {
  return strlen(other) == text.count && strncasecmp(text.bytes, other, text.count) == 0;
}

// RFC 9110 section 5.6.2.
static bool is_token_character(unsigned char c) {
  if ((c | 32) >= 'a' && (c | 32) <= 'z') return true;
  return (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct text text) {
  for (size_t index = 0; index < text.count; index++) {
    if (!is_token_character((unsigned char)text.bytes[index])) return false;
  }
  return text.count > 0;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct text trimmed(const char *start, const char *end) {
  while (start < end && is_blank(*start)) start++;
  while (end > start && is_blank(end[-1])) end--;
  return (struct text){start, (size_t)(end - start)};
}

// "HTTP/1.0" or "HTTP/1.1": 1. Another version: 505. Nothing of the kind: 400.
static int read_version(const char *bytes, struct head *head) {
  if (memcmp(bytes, "HTTP/", 5) != 0 || bytes[6] != '.') return 400;
  if (bytes[5] != '1' || bytes[7] < '0' || bytes[7] > '9') return 505;
  head->is_old = bytes[7] == '0';
  head->is_kept = !head->is_old;
  return HEAD_COMPLETE;
}

static int read_request_line(const char *line, const char *end, struct head *head) {
  const char *blank = memchr(line, ' ', (size_t)(end - line));
  if (blank == NULL || end - blank < 11 || end[-9] != ' ') return 400;
  head->method = (struct text){line, (size_t)(blank - line)};
  head->target = (struct text){blank + 1, (size_t)(end - 9 - (blank + 1))};
  if (!is_token(head->method)) return 400;
  for (size_t index = 0; index < head->target.count; index++) {
    unsigned char c = (unsigned char)head->target.bytes[index];
    if (c <= ' ' || c == 127) return 400;
  }
  return read_version(end - 8, head);
}

static int read_status_line(const char *line, const char *end, struct head *head) {
  if (end - line < 12 || line[8] != ' ' || memchr(line, '\n', (size_t)(end - line)) != NULL) return 400;
  for (int index = 9; index < 12; index++) {
    if (line[index] < '0' || line[index] > '9') return 400;
    head->status = head->status * 10 + (line[index] - '0');
  }
  if (head->status < 100 || (end - line > 12 && line[12] != ' ')) return 400;
  return read_version(line, head);
}

static bool read_length(struct text value, struct head *head) {
  uint64_t number = 0;
  if (value.count == 0 || value.count > 18) return false;
  for (size_t index = 0; index < value.count; index++) {
    if (value.bytes[index] < '0' || value.bytes[index] > '9') return false;
    number = number * 10 + (uint64_t)(value.bytes[index] - '0');
  }
  // Two that differ are how requests are smuggled (RFC 9112 section 6.3).
  if (head->has_length && head->content_byte_count != number) return false;
  head->has_length = true;
  head->content_byte_count = number;
  return true;
}

static void read_connection(struct text value, struct head *head) {
  const char *end = value.bytes + value.count;
  for (const char *start = value.bytes; start <= end;) {
    const char *comma = memchr(start, ',', (size_t)(end - start));
    if (comma == NULL) comma = end;
    struct text option = trimmed(start, comma);
    if (text_is(option, "close")) head->is_kept = false;
    if (text_is(option, "keep-alive") && head->is_old) head->is_kept = true;
    start = comma + 1;
  }
}

// One field, of which `next` is the line's end with its CRLF.
static bool read_field(const char *line, const char *end, const char *next, struct head *head) {
  const char *colon = memchr(line, ':', (size_t)(end - line));
  if (colon == NULL) return false;
  struct text name = {line, (size_t)(colon - line)}, value = trimmed(colon + 1, end);
  if (!is_token(name)) return false;
  for (size_t index = 0; index < value.count; index++) {
    unsigned char c = (unsigned char)value.bytes[index];
    if ((c < ' ' && c != '\t') || c == 127) return false;
  }
  bool is_hop = false;
  // Most fields are none of these, and their first letter says so.
  switch (line[0] | 32) {
  case 'c':
    if (text_is(name, "content-length")) return read_length(value, head);
    if (text_is(name, "connection")) {
      is_hop = true;
      read_connection(value, head);
    }
    break;
  case 'h':
    if (text_is(name, "host")) {
      if (head->has_host) return false;
      head->has_host = true;
    }
    break;
  case 't':
    if (text_is(name, "transfer-encoding")) head->is_chunked = true;
    is_hop = text_is(name, "te") || text_is(name, "trailer");
    break;
  case 'k': is_hop = text_is(name, "keep-alive"); break;
  case 'p': is_hop = text_is(name, "proxy-connection"); break;
  case 'u': is_hop = text_is(name, "upgrade"); break;
  }
  if (!is_hop) return true;
  if (head->hop_field_count == HOP_FIELD_LIMIT) return false;
  head->hop_fields[head->hop_field_count++] = (struct text){line, (size_t)(next - line)};
  return true;
}

static int read_head(const char *bytes, size_t count, struct head *head, bool is_request) {
  memset(head, 0, sizeof *head);
  size_t limit = count < HEAD_LIMIT_BYTES ? count : HEAD_LIMIT_BYTES;
  const char *empty_line = limit == 0 ? NULL : memmem(bytes, limit, "\r\n\r\n", 4);
  if (empty_line == NULL) return count < HEAD_LIMIT_BYTES ? HEAD_INCOMPLETE : 431;
  const char *end = empty_line + 4;
  head->byte_count = (size_t)(end - bytes);
  for (const char *line = bytes, *next; line < end - 2; line = next) {
    const char *line_end = memchr(line, '\r', (size_t)(end - line));
    if (line_end[1] != '\n') return 400;
    next = line_end + 2;
    if (line == bytes) {
      head->first_line_byte_count = (size_t)(next - line);
      int status = is_request ? read_request_line(line, line_end, head) : read_status_line(line, line_end, head);
      if (status != HEAD_COMPLETE) return status;
    } else if (!read_field(line, line_end, next, head)) {
      return 400;
    }
  }
  if (is_request && !head->is_old && !head->has_host) return 400;
  if (head->has_length && head->is_chunked) return 400;
  return HEAD_COMPLETE;
}

int head_read_request(const char *bytes, size_t count, struct head *head) {
  return read_head(bytes, count, head, true);
}

int head_read_response(const char *bytes, size_t count, struct head *head) {
  return read_head(bytes, count, head, false);
}
