// One epoll loop over non-blocking sockets, and the bounded buffers of their bytes. No timers, no threads.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  BUFFER_BYTES = 16 << 10,
  // Who comes while so many connections are open is turned away. A proxy has two descriptors for each.
  CLIENT_LIMIT = 8000,
  BACKEND_LIMIT = 16,
};

// What has been read and not yet used, or is still to be written: bytes[from] up to bytes[to].
struct buffer {
  size_t from, to;
  char bytes[BUFFER_BYTES];
};

static inline size_t buffer_count(const struct buffer *buffer) { return buffer->to - buffer->from; }
static inline char *buffer_start(struct buffer *buffer) { return buffer->bytes + buffer->from; }
void buffer_consume(struct buffer *buffer, size_t count);
// Bytes that can be added; moves what is there to the front if that makes more room than `wanted` needs.
size_t buffer_room(struct buffer *buffer, size_t wanted);
// False, and nothing added, when there is no room for all.
bool buffer_append(struct buffer *buffer, const char *bytes, size_t count);
// As many as there is room for.
size_t buffer_move(struct buffer *to, struct buffer *from, size_t limit);

// One socket. Whoever makes one puts it first into a structure of its own, from malloc.
struct endpoint {
  int fd;             // -1: closed; it is freed when this turn of the loop is over
  uint32_t interest;  // what epoll was told
  bool is_paused;     // its input is not wanted now
  bool is_connecting;
  bool has_ended;     // the other side sends no more
  void (*handle)(struct endpoint *, uint32_t events);
  struct endpoint *next_closed;
  struct buffer in, out;
};

extern size_t client_count;

// Ends the program: nothing that it could do about it.
_Noreturn void fail(const char *what);

void loop_listen(int port, void (*accepted)(int fd));
_Noreturn void loop_run(void);

// A structure of `size` bytes that begins with an endpoint; null when there is no memory, and `fd` is closed.
void *endpoint_new(int fd, size_t size, void (*handle)(struct endpoint *, uint32_t events));
// A connection to 127.0.0.1, perhaps still being made; null when it cannot be.
void *endpoint_connect(int port, size_t size, void (*handle)(struct endpoint *, uint32_t events));
// False: the connection could not be made. Call it with the events of every turn.
bool endpoint_is_connected(struct endpoint *endpoint, uint32_t events);
void endpoint_close(struct endpoint *endpoint);
// Reads once into the buffer. False: the connection is broken. Sets has_ended at its end.
bool endpoint_read(struct endpoint *endpoint, struct buffer *into);
// Writes what it can of `out`. False: the connection is broken.
bool endpoint_flush(struct endpoint *endpoint);
// Tells epoll what is wanted now, if that is something new. Call it when a round of work on the endpoint is over.
void endpoint_settle(struct endpoint *endpoint);
