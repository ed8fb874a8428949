// The head of an HTTP/1 message (RFC 9112): first line and fields up to the empty line, read in place.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  HEAD_LIMIT_BYTES = 8 << 10,
  // Fields that are about one connection and not forwarded (RFC 9110 section 7.6.1).
  HOP_FIELD_LIMIT = 8,
};

struct text {
  const char *bytes;
  size_t count;
};

struct head {
  size_t byte_count;  // with the empty line
  size_t first_line_byte_count;
  struct text method, target;  // of a request
  int status;                  // of a response
  bool is_kept;                // the connection is to stay open
  bool is_old;                 // HTTP/1.0
  bool is_chunked;             // has a Transfer-Encoding
  bool has_host;
  bool has_length;
  uint64_t content_byte_count;
  struct text hop_fields[HOP_FIELD_LIMIT];  // whole lines, in order
  size_t hop_field_count;
};

bool text_equals(struct text text, const char *other);
bool text_is(struct text text, const char *other);  // whatever the case of letters

enum {
  HEAD_INCOMPLETE = 0,
  HEAD_COMPLETE = 1,
};

// HEAD_INCOMPLETE, HEAD_COMPLETE, or the status to refuse it with: 400, 431, 505. The texts lie in `bytes`.
int head_read_request(const char *bytes, size_t count, struct head *head);
int head_read_response(const char *bytes, size_t count, struct head *head);
