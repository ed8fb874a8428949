// The floor: a bare web server, HTTP proxy and TCP relay, for `scripts/bench http|lb|tcp`.
//
//     floor http PORT
//     floor lb|tcp PORT BACKEND_PORT…
//
// A server on the loopback interface pays mostly for the kernel: for a request one read, one write, and its part of an
// epoll_wait; for a forwarded one twice that. What these programs cost is therefore near the least that any server of
// this shape (one thread, one epoll loop, the copying socket calls) costs on the same machine. The lab is measured
// against them to see how much of its time is its own.
//
// They do what cannot be left out of a right answer: heads are read as RFC 9112 says, in pieces and several at a time;
// connections are kept, to the servers behind as well; whoever cannot write makes the other side wait; every buffer has
// a limit, and every call's failure ends one connection, or the program with a word about why.
//
// They leave out what a service needs and a floor does not: time limits (a silent client keeps its connection), health
// checks and retries on another server, bodies in chunks or of unknown length (501 and 502), Expect, trailers,
// upgrades, X-Forwarded-For, fields that Connection names, TLS, metrics, logs, reload, drain, and any address but
// 127.0.0.1.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"
#include "loop.h"

static int port_of(const char *text) {
  char *end;
  long number = strtol(text, &end, 10);
  if (*text == 0 || *end != 0 || number < 1 || number > 65535) {
    fprintf(stderr, "floor: \"%s\" is not a port: a number from 1 to 65535\n", text);
    exit(2);
  }
  return (int)number;
}

int main(int count, char **words) {
  int backends[BACKEND_LIMIT];
  int backend_count = count - 3;
  if (backend_count >= 0 && backend_count <= BACKEND_LIMIT) {
    int port = port_of(words[2]);
    for (int index = 0; index < backend_count; index++) backends[index] = port_of(words[3 + index]);
    if (strcmp(words[1], "http") == 0 && backend_count == 0) {
      serve_hello(port);
      loop_run();
    }
    if (strcmp(words[1], "lb") == 0 && backend_count > 0) {
      serve_proxy(port, backends, backend_count);
      loop_run();
    }
    if (strcmp(words[1], "tcp") == 0 && backend_count > 0) {
      serve_relay(port, backends, backend_count);
      loop_run();
    }
  }
  fprintf(stderr, "usage: floor http PORT\n       floor lb|tcp PORT BACKEND_PORT... (%d at most)\n", BACKEND_LIMIT);
  return 2;
}
