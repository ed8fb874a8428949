// What main.c chooses from. Each begins to listen and returns; the loop does the rest.
#pragma once

void serve_hello(int port);
void serve_proxy(int port, const int *backends, int backend_count);
void serve_relay(int port, const int *backends, int backend_count);
