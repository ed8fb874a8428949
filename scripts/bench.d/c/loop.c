#define _GNU_SOURCE
#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 256, BACKLOG = 4096 };

size_t client_count;
static int loop_fd = -1;
static int listening_fd = -1;
static void (*accepted_by)(int fd);
static struct endpoint *closed_this_turn;

void fail(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

void buffer_consume(struct buffer *buffer, size_t count) {
  buffer->from += count;
  if (buffer->from == buffer->to) buffer->from = buffer->to = 0;
}

size_t buffer_room(struct buffer *buffer, size_t wanted) {
  if (BUFFER_BYTES - buffer->to < wanted && buffer->from > 0) {
    memmove(buffer->bytes, buffer_start(buffer), buffer_count(buffer));
    buffer->to -= buffer->from;
    buffer->from = 0;
  }
  return BUFFER_BYTES - buffer->to;
}

bool buffer_append(struct buffer *buffer, const char *bytes, size_t count) {
  if (buffer_room(buffer, count) < count) return false;
  memcpy(buffer->bytes + buffer->to, bytes, count);
  buffer->to += count;
  return true;
}

size_t buffer_move(struct buffer *to, struct buffer *from, size_t limit) {
  size_t count = buffer_count(from) < limit ? buffer_count(from) : limit;
  size_t room = buffer_room(to, count);
  if (count > room) count = room;
  buffer_append(to, buffer_start(from), count);
  buffer_consume(from, count);
  return count;
}

static struct sockaddr_in loopback(int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void loop_listen(int port, void (*accepted)(int fd)) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
  signal(SIGPIPE, SIG_IGN);
  int on = 1;
  struct sockaddr_in address = loopback(port);
  accepted_by = accepted;
  loop_fd = epoll_create1(EPOLL_CLOEXEC);
  if (loop_fd < 0) fail("epoll_create1");
  listening_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listening_fd < 0) fail("socket");
  if (setsockopt(listening_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) fail("SO_REUSEADDR");
  if (bind(listening_fd, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  if (listen(listening_fd, BACKLOG) != 0) fail("listen");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(loop_fd, EPOLL_CTL_ADD, listening_fd, &event) != 0) fail("epoll_ctl");
}

static void accept_all(void) {
  for (;;) {
    int fd = accept4(listening_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      fail("accept4");
    }
    if (client_count >= CLIENT_LIMIT) {
      close(fd);
    } else {
      accepted_by(fd);
    }
  }
}

void loop_run(void) {
  struct epoll_event events[EVENTS_PER_TURN];
  for (;;) {
    int count = epoll_wait(loop_fd, events, EVENTS_PER_TURN, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int index = 0; index < count; index++) {
      struct endpoint *endpoint = events[index].data.ptr;
      if (endpoint == NULL) {
        accept_all();
      } else if (endpoint->fd >= 0) {
        endpoint->handle(endpoint, events[index].events);
      }
    }
    // Not before: a later event of the same turn may be about one of them.
    while (closed_this_turn != NULL) {
      struct endpoint *next = closed_this_turn->next_closed;
      free(closed_this_turn);
      closed_this_turn = next;
    }
  }
}

void *endpoint_new(int fd, size_t size, void (*handle)(struct endpoint *, uint32_t events)) {
  int on = 1;
  struct endpoint *endpoint = malloc(size);
  if (endpoint == NULL) {
    close(fd);
    return NULL;
  }
  // The buffers' bytes stay as they are: nobody reads what was not written.
  memset(endpoint, 0, offsetof(struct endpoint, in));
  memset((char *)endpoint + sizeof *endpoint, 0, size - sizeof *endpoint);
  endpoint->in.from = endpoint->in.to = endpoint->out.from = endpoint->out.to = 0;
  endpoint->fd = fd;
  endpoint->handle = handle;
  endpoint->interest = EPOLLIN;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = endpoint};
  if (epoll_ctl(loop_fd, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  return endpoint;
}

void *endpoint_connect(int port, size_t size, void (*handle)(struct endpoint *, uint32_t events)) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return NULL;
  struct sockaddr_in address = loopback(port);
  bool is_connecting = false;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    if (errno != EINPROGRESS) {
      close(fd);
      return NULL;
    }
    is_connecting = true;
  }
  struct endpoint *endpoint = endpoint_new(fd, size, handle);
  if (endpoint != NULL) endpoint->is_connecting = is_connecting;
  return endpoint;
}

bool endpoint_is_connected(struct endpoint *endpoint, uint32_t events) {
  if (!endpoint->is_connecting || (events & (EPOLLOUT | EPOLLHUP)) == 0) return true;
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(endpoint->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) return false;
  endpoint->is_connecting = false;
  return true;
}

void endpoint_close(struct endpoint *endpoint) {
  if (endpoint->fd < 0) return;
  close(endpoint->fd);
  endpoint->fd = -1;
  endpoint->next_closed = closed_this_turn;
  closed_this_turn = endpoint;
}

bool endpoint_read(struct endpoint *endpoint, struct buffer *into) {
  size_t room = buffer_room(into, BUFFER_BYTES / 2);
  if (room == 0) return true;
  ssize_t count = read(endpoint->fd, into->bytes + into->to, room);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) endpoint->has_ended = true;
  into->to += (size_t)count;
  return true;
}

bool endpoint_flush(struct endpoint *endpoint) {
  if (endpoint->is_connecting || buffer_count(&endpoint->out) == 0) return true;
  ssize_t count = write(endpoint->fd, buffer_start(&endpoint->out), buffer_count(&endpoint->out));
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  buffer_consume(&endpoint->out, (size_t)count);
  return true;
}

void endpoint_settle(struct endpoint *endpoint) {
  if (endpoint->fd < 0) return;
  uint32_t wanted = 0;
  if (!endpoint->is_paused && !endpoint->has_ended) wanted |= EPOLLIN;
  if (endpoint->is_connecting || buffer_count(&endpoint->out) > 0) wanted |= EPOLLOUT;
  if (wanted == endpoint->interest) return;
  // Taken out altogether when nothing is wanted: epoll reports a hang-up to whoever is in, again and again.
  int change = wanted == 0 ? EPOLL_CTL_DEL : endpoint->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  struct epoll_event event = {.events = wanted, .data.ptr = endpoint};
  if (epoll_ctl(loop_fd, change, endpoint->fd, &event) != 0) fail("epoll_ctl");
  endpoint->interest = wanted;
}
