// A TCP relay: what one side sends is read into the other side's buffer and written from there. No splice: for small
// messages two calls of it cost more than a read and a write.
#define _GNU_SOURCE
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "floor.h"
#include "loop.h"

// One side of a pair; `in` stays empty, and `out` holds what the peer has sent.
struct side {
  struct endpoint endpoint;
  struct side *peer;
  bool is_shut;  // told that no more will come
};

static int ports[BACKEND_LIMIT];
static int port_count, next_port;

static void close_pair(struct side *side) {
  client_count--;
  endpoint_close(&side->peer->endpoint);
  endpoint_close(&side->endpoint);
}

// Passes on the end of `from` when all before it is written. False: broken.
static bool pass_end(struct side *from, struct side *to) {
  bool is_due = from->endpoint.has_ended && buffer_count(&to->endpoint.out) == 0 && !to->endpoint.is_connecting;
  if (!is_due || to->is_shut) return true;
  to->is_shut = true;
  return shutdown(to->endpoint.fd, SHUT_WR) == 0;
}

static bool work(struct side *side, uint32_t events) {
  struct endpoint *mine = &side->endpoint, *other = &side->peer->endpoint;
  if (events & EPOLLERR || !endpoint_is_connected(mine, events) || !endpoint_flush(mine)) return false;
  if (events & (EPOLLIN | EPOLLHUP) && !mine->has_ended) {
    if (!endpoint_read(mine, &other->out) || !endpoint_flush(other)) return false;
  }
  if (!pass_end(side, side->peer) || !pass_end(side->peer, side)) return false;
  return !(side->is_shut && side->peer->is_shut);
}

static void handle(struct endpoint *endpoint, uint32_t events) {
  struct side *side = (struct side *)endpoint, *peer = side->peer;
  if (!work(side, events)) return close_pair(side);
  // Whoever has bytes waiting for it makes the other side wait.
  endpoint->is_paused = buffer_count(&peer->endpoint.out) > 0;
  peer->endpoint.is_paused = buffer_count(&endpoint->out) > 0;
  endpoint_settle(endpoint);
  endpoint_settle(&peer->endpoint);
}

static void accepted(int fd) {
  struct side *client = endpoint_new(fd, sizeof *client, handle);
  if (client == NULL) return;
  int port = ports[next_port];
  next_port = (next_port + 1) % port_count;
  struct side *server = endpoint_connect(port, sizeof *server, handle);
  if (server == NULL) return endpoint_close(&client->endpoint);
  client->peer = server;
  server->peer = client;
  client_count++;
  endpoint_settle(&server->endpoint);
}

void serve_relay(int port, const int *backends, int backend_count) {
  memcpy(ports, backends, sizeof *backends * (size_t)backend_count);
  port_count = backend_count;
  loop_listen(port, accepted);
}
