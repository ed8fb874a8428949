// An HTTP proxy that takes its servers in turn and keeps its connections to them.
//
// An exchange joins a client and a server connection from the request's head to the answer's last byte; then the server
// connection lies idle on its server's stack until somebody needs it, and the client's next request is looked at. A
// client has one exchange at a time: further requests wait in its buffer, and when that is full, in the kernel's.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "floor.h"
#include "head.h"
#include "loop.h"

// Idle connections that are kept to one server.
enum { IDLE_LIMIT = CLIENT_LIMIT };

struct server {
  struct endpoint endpoint;  // in: the answer; out: the request
  struct client *client;     // null: idle
  struct server *newer, *older;  // on the stack of idle ones
  int backend;
  bool is_reused;
  bool has_answered;     // some of the answer has come
  bool has_head;         // the answer's head has been forwarded
  bool is_kept;          // may be used again
  uint64_t answer_left;  // of its body
};

struct client {
  struct endpoint endpoint;  // in: requests; out: answers
  struct server *server;     // null: no exchange
  uint64_t request_left;     // of the body
  size_t request_head_byte_count;  // as it was forwarded
  bool has_body;
  bool is_head;     // the method: no body comes
  bool is_safe;     // the method: GET or HEAD
  bool is_old;      // HTTP/1.0
  bool is_closing;  // after this exchange
};

struct backend {
  int port;
  struct server *newest;
  size_t idle_count;
};

static struct backend backends[BACKEND_LIMIT];
static int backend_count, next_backend;

static void handle_server(struct endpoint *endpoint, uint32_t events);

// Idle connections

static void push_idle(struct server *server) {
  struct backend *backend = &backends[server->backend];
  if (backend->idle_count >= IDLE_LIMIT) return endpoint_close(&server->endpoint);
  server->client = NULL;
  server->newer = NULL;
  server->older = backend->newest;
  if (server->older != NULL) server->older->newer = server;
  backend->newest = server;
  backend->idle_count++;
}

static void remove_idle(struct server *server) {
  struct backend *backend = &backends[server->backend];
  if (server->older != NULL) server->older->newer = server->newer;
  if (server->newer != NULL) server->newer->older = server->older;
  if (backend->newest == server) backend->newest = server->older;
  server->newer = server->older = NULL;
  backend->idle_count--;
}

// The one used last, or a new one; null when the server refuses.
static struct server *take_server(int number, bool is_new) {
  struct server *server = backends[number].newest;
  if (server != NULL && !is_new) {
    remove_idle(server);
    server->is_reused = true;
    server->has_answered = server->has_head = server->is_kept = false;
    server->answer_left = 0;
    return server;
  }
  server = endpoint_connect(backends[number].port, sizeof *server, handle_server);
  if (server != NULL) server->backend = number;
  return server;
}

// Exchanges

static void leave(struct client *client) {
  if (client->server != NULL) endpoint_close(&client->server->endpoint);
  client_count--;
  endpoint_close(&client->endpoint);
}

// An answer of the proxy's own, the last one on its connection. What has been forwarded already ends where it is.
static void refuse(struct client *client, int status) {
  struct endpoint *endpoint = &client->endpoint;
  bool has_begun = client->server != NULL && client->server->has_head;
  if (client->server != NULL) endpoint_close(&client->server->endpoint);
  client->server = NULL;
  client->is_closing = true;
  endpoint->in.from = endpoint->in.to = 0;
  if (has_begun) return;
  const char *format = "HTTP/1.1 %d Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  char text[96];
  int count = snprintf(text, sizeof text, format, status);
  buffer_append(&endpoint->out, text, (size_t)count);
}

// The head without what concerns one connection only, and with one more field at its end.
static bool append_head(struct buffer *out, const char *bytes, const struct head *head, const char *field) {
  const char *from = bytes, *end = bytes + head->byte_count - 2;
  for (size_t index = 0; index < head->hop_field_count; index++) {
    struct text hop = head->hop_fields[index];
    if (!buffer_append(out, from, (size_t)(hop.bytes - from))) return false;
    from = hop.bytes + hop.count;
  }
  return buffer_append(out, from, (size_t)(end - from)) && buffer_append(out, field, strlen(field)) &&
         buffer_append(out, "\r\n", 2);
}

// The request line says HTTP/1.1 whatever the client speaks: it is this proxy's message (RFC 9110 section 2.5).
static bool append_request(struct buffer *out, char *bytes, const struct head *head) {
  bytes[head->first_line_byte_count - 3] = '1';
  return append_head(out, bytes, head, head->has_host ? "" : "Host: 127.0.0.1\r\n");
}

// Begins an exchange if a whole head is there. The first write is left to the caller.
static void begin(struct client *client) {
  struct buffer *in = &client->endpoint.in;
  while (buffer_count(in) >= 2 && memcmp(buffer_start(in), "\r\n", 2) == 0) buffer_consume(in, 2);
  struct head head;
  int status = head_read_request(buffer_start(in), buffer_count(in), &head);
  if (status == HEAD_INCOMPLETE) return;
  if (status != HEAD_COMPLETE) return refuse(client, status);
  if (head.is_chunked || text_equals(head.method, "CONNECT")) return refuse(client, 501);
  client->server = take_server(next_backend, false);
  next_backend = (next_backend + 1) % backend_count;
  if (client->server == NULL) return refuse(client, 502);
  client->server->client = client;
  client->is_closing = !head.is_kept;
  client->is_old = head.is_old;
  client->is_head = text_equals(head.method, "HEAD");
  client->is_safe = client->is_head || text_equals(head.method, "GET");
  client->request_left = head.content_byte_count;
  client->has_body = head.content_byte_count > 0;
  struct buffer *out = &client->server->endpoint.out;
  out->from = out->to = 0;
  if (!append_request(out, buffer_start(in), &head)) return refuse(client, 431);
  client->request_head_byte_count = buffer_count(out);
  buffer_consume(in, head.byte_count);
}

// A kept connection may have been closed as the request was on its way. It goes out once more, on a new one, if it has
// no body, nothing of an answer has come, and asking twice changes nothing (RFC 9110 section 9.2.2).
static bool retry(struct client *client) {
  struct server *old = client->server;
  if (!old->is_reused || old->has_answered || !client->is_safe || client->has_body) return false;
  struct server *new = take_server(old->backend, true);
  if (new == NULL) return false;
  // What has been written still lies where it was: nothing was added since.
  buffer_append(&new->endpoint.out, old->endpoint.out.bytes, client->request_head_byte_count);
  new->client = client;
  client->server = new;
  endpoint_close(&old->endpoint);
  return true;
}

static void lose_server(struct client *client) {
  if (!retry(client) || !endpoint_flush(&client->server->endpoint)) refuse(client, 502);
}

static void forward_request(struct client *client) {
  struct endpoint *server = &client->server->endpoint;
  size_t before;
  do {
    client->request_left -= buffer_move(&server->out, &client->endpoint.in, client->request_left);
    before = buffer_count(&server->out);
    if (!endpoint_flush(server)) return lose_server(client);
  } while (client->request_left > 0 && buffer_count(&server->out) < before);
}

static void finish(struct client *client) {
  struct server *server = client->server;
  struct endpoint *endpoint = &server->endpoint;
  client->server = NULL;
  if (!server->is_kept || endpoint->has_ended || buffer_count(&endpoint->in) > 0) return endpoint_close(endpoint);
  endpoint->is_paused = false;
  endpoint_settle(endpoint);
  push_idle(server);
}

// False: not all of the answer's head is there, or there is no room for it yet, or the exchange is over.
static bool forward_answer_head(struct client *client) {
  struct server *server = client->server;
  struct buffer *in = &server->endpoint.in, *out = &client->endpoint.out;
  struct head head;
  int status = head_read_response(buffer_start(in), buffer_count(in), &head);
  if (status == HEAD_INCOMPLETE) return false;
  bool has_no_body = client->is_head || head.status == 204 || head.status == 304 || head.status < 200;
  bool is_known = has_no_body || (head.has_length && !head.is_chunked);
  if (status != HEAD_COMPLETE || head.status == 101 || !is_known) {
    refuse(client, 502);
    return false;
  }
  // Interim answers are passed over.
  if (head.status >= 200) {
    const char *connection = client->is_closing ? "Connection: close\r\n"
                             : client->is_old   ? "Connection: keep-alive\r\n"
                                                : "";
    size_t needed = head.byte_count + strlen(connection);
    if (buffer_room(out, needed) < needed) return false;
    memcpy(buffer_start(in), "HTTP/1.1", 8);
    append_head(out, buffer_start(in), &head, connection);
    server->has_head = true;
    server->is_kept = head.is_kept;
    server->answer_left = has_no_body ? 0 : head.content_byte_count;
  }
  buffer_consume(in, head.byte_count);
  return true;
}

// Moves what has come of the answer to the client, and ends the exchange after its last byte; or after the request's,
// if the answer did not wait for that: what is left of a request could not be told from the next one.
static void forward_answer(struct client *client) {
  struct server *server = client->server;
  while (!server->has_head) {
    if (!forward_answer_head(client)) return;
  }
  server->answer_left -= buffer_move(&client->endpoint.out, &server->endpoint.in, server->answer_left);
  bool is_asked = client->request_left == 0 && buffer_count(&server->endpoint.out) == 0;
  if (server->answer_left == 0 && is_asked) finish(client);
}

// Forwards and writes until nothing moves. False: the client's connection is broken.
static bool pass_answer(struct client *client) {
  struct buffer *out = &client->endpoint.out;
  bool moves = true;
  while (moves) {
    struct server *server = client->server;
    size_t waiting = server == NULL ? 0 : buffer_count(&server->endpoint.in), unwritten = buffer_count(out);
    if (server != NULL) forward_answer(client);
    if (!endpoint_flush(&client->endpoint)) return false;
    // There is room, and more that may need it.
    moves = client->server != NULL && buffer_count(out) == 0 && buffer_count(&server->endpoint.in) > 0 &&
            (unwritten > 0 || buffer_count(&server->endpoint.in) < waiting);
  }
  return true;
}

// Events

// Does for a client what can be done now.
static void drive(struct client *client) {
  struct endpoint *endpoint = &client->endpoint;
  if (client->server != NULL && client->request_left > 0) forward_request(client);
  if (!pass_answer(client)) return leave(client);
  bool is_free = buffer_count(&endpoint->out) == 0;
  // All that came has been forwarded, and more will not come.
  if (client->server != NULL && client->server->endpoint.has_ended && is_free) lose_server(client);
  if (client->server == NULL && !client->is_closing && is_free && buffer_count(&endpoint->in) > 0) {
    begin(client);
    if (client->server != NULL) forward_request(client);
  }
  if (client->server == NULL && (client->is_closing || endpoint->has_ended)) {
    if (!endpoint_flush(endpoint) || buffer_count(&endpoint->out) == 0) return leave(client);
  }
  // Level-triggered: what is not wanted yet must not wake the loop.
  bool is_last = client->server == NULL && client->is_closing;
  endpoint->is_paused = is_last || buffer_room(&endpoint->in, 1) == 0;
  endpoint_settle(endpoint);
  if (client->server == NULL) return;
  client->server->endpoint.is_paused = buffer_count(&endpoint->out) > 0;
  endpoint_settle(&client->server->endpoint);
}

static void handle_client(struct endpoint *endpoint, uint32_t events) {
  struct client *client = (struct client *)endpoint;
  if (events & EPOLLERR) return leave(client);
  if (events & (EPOLLIN | EPOLLHUP) && !endpoint->has_ended && !endpoint_read(endpoint, &endpoint->in)) {
    return leave(client);
  }
  drive(client);
}

static void handle_server(struct endpoint *endpoint, uint32_t events) {
  struct server *server = (struct server *)endpoint;
  struct client *client = server->client;
  if (client == NULL) {
    // An idle one has nothing to say but that it ends.
    remove_idle(server);
    return endpoint_close(endpoint);
  }
  bool is_well = (events & EPOLLERR) == 0 && endpoint_is_connected(endpoint, events) && endpoint_flush(endpoint);
  if (is_well && events & (EPOLLIN | EPOLLHUP) && !endpoint->has_ended) {
    is_well = endpoint_read(endpoint, &endpoint->in);
    if (buffer_count(&endpoint->in) > 0) server->has_answered = true;
  }
  if (!is_well) lose_server(client);
  drive(client);
}

static void accepted(int fd) {
  if (endpoint_new(fd, sizeof(struct client), handle_client) != NULL) client_count++;
}

void serve_proxy(int port, const int *ports, int count) {
  for (int index = 0; index < count; index++) backends[index].port = ports[index];
  backend_count = count;
  loop_listen(port, accepted);
}
