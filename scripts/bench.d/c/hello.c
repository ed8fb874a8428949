// A web server with one answer. Everything that HTTP/1.1 asks of a reader of requests is here but for bodies in chunks:
// heads in pieces, several requests in one read, HTTP/1.0, HEAD, bodies with a length (which are passed over).
#define _GNU_SOURCE
#include "floor.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "head.h"
#include "loop.h"

enum { ANSWER_LIMIT_BYTES = 512 };

struct visitor {
  struct endpoint endpoint;
  uint64_t body_left;  // of the request that was answered last
  bool is_closing;     // when all is written
};

static const char body[] = "Response from A\n";

// The Date field, made anew once a second.
static const char *date(void) {
  static char text[64];
  static time_t made;
  time_t now = time(NULL);
  if (now != made) {
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    made = now;
  }
  return text;
}

static const char *reason(int status) {
  switch (status) {
  case 200: return "200 OK";
  case 404: return "404 Not Found";
  case 405: return "405 Method Not Allowed\r\nAllow: GET, HEAD";
  case 431: return "431 Request Header Fields Too Large";
  case 501: return "501 Not Implemented";
  case 505: return "505 HTTP Version Not Supported";
  default: return "400 Bad Request";
  }
}

static void append(struct buffer *out, const char *text) { buffer_append(out, text, strlen(text)); }

// Needs room for ANSWER_LIMIT_BYTES. Strings put together: a format costs more than the rest of the program.
static void answer(struct visitor *visitor, int status, const struct head *head) {
  struct buffer *out = &visitor->endpoint.out;
  append(out, "HTTP/1.1 ");
  append(out, reason(status));
  append(out, "\r\nServer: floor\r\nDate: ");
  append(out, date());
  append(out, status == 200 ? "\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n" : "\r\nContent-Length: 0\r\n");
  if (visitor->is_closing) {
    append(out, "Connection: close\r\n");
  } else if (head->is_old) {
    append(out, "Connection: keep-alive\r\n");
  }
  append(out, "\r\n");
  if (status == 200 && !text_equals(head->method, "HEAD")) append(out, body);
}

static int status_of(const struct head *head) {
  if (head->is_chunked) return 501;
  if (!text_equals(head->method, "GET") && !text_equals(head->method, "HEAD")) return 405;
  return text_equals(head->target, "/") ? 200 : 404;
}

// Answers what has been read. False: there is no room for another answer before something is written.
static bool answer_all(struct visitor *visitor) {
  struct buffer *in = &visitor->endpoint.in;
  while (!visitor->is_closing && buffer_count(in) > 0) {
    if (visitor->body_left > 0) {
      size_t passed = buffer_count(in) < visitor->body_left ? buffer_count(in) : (size_t)visitor->body_left;
      visitor->body_left -= passed;
      buffer_consume(in, passed);
      continue;
    }
    // Empty lines before a request are passed over (RFC 9112 section 2.2).
    if (buffer_count(in) >= 2 && memcmp(buffer_start(in), "\r\n", 2) == 0) {
      buffer_consume(in, 2);
      continue;
    }
    if (buffer_room(&visitor->endpoint.out, ANSWER_LIMIT_BYTES) < ANSWER_LIMIT_BYTES) return false;
    struct head head;
    int status = head_read_request(buffer_start(in), buffer_count(in), &head);
    if (status == HEAD_INCOMPLETE) return true;
    bool is_read = status == HEAD_COMPLETE;
    if (is_read) status = status_of(&head);
    visitor->is_closing = !is_read || status == 501 || !head.is_kept;
    visitor->body_left = is_read ? head.content_byte_count : 0;
    answer(visitor, status, &head);
    buffer_consume(in, is_read ? head.byte_count : buffer_count(in));
  }
  return true;
}

static void leave(struct visitor *visitor) {
  client_count--;
  endpoint_close(&visitor->endpoint);
}

static void handle(struct endpoint *endpoint, uint32_t events) {
  struct visitor *visitor = (struct visitor *)endpoint;
  if (events & EPOLLERR) return leave(visitor);
  if (events & (EPOLLIN | EPOLLHUP) && !endpoint->has_ended && !endpoint_read(endpoint, &endpoint->in)) {
    return leave(visitor);
  }
  bool is_done = false;
  // As long as writing makes room for more answers.
  while (!is_done) {
    is_done = answer_all(visitor);
    size_t before = buffer_count(&endpoint->out);
    if (!endpoint_flush(endpoint)) return leave(visitor);
    if (before > 0 && buffer_count(&endpoint->out) == before) break;
  }
  bool is_last = is_done && (visitor->is_closing || endpoint->has_ended);
  if (is_last && buffer_count(&endpoint->out) == 0) return leave(visitor);
  // Level-triggered: what is not wanted yet must not wake the loop.
  endpoint->is_paused = visitor->is_closing || !is_done;
  endpoint_settle(endpoint);
}

static void accepted(int fd) {
  if (endpoint_new(fd, sizeof(struct visitor), handle) != NULL) client_count++;
}

void serve_hello(int port) { loop_listen(port, accepted); }
