#include "CTours.h"

#include <stddef.h>

// Of C23, which Clang has in every version of C.
#pragma clang diagnostic ignored "-Wc23-extensions"

// The order in which tours are listed; a test holds that none is missing.

static const unsigned char load_balancer[] = {
#embed "../../scripts/tours/load-balancer.sdl" suffix(, )
    0};

static const unsigned char rate_limiter[] = {
#embed "../../scripts/tours/rate-limiter.sdl" suffix(, )
    0};

static const unsigned char cache[] = {
#embed "../../scripts/tours/cache.sdl" suffix(, )
    0};

static const unsigned char message_queue[] = {
#embed "../../scripts/tours/message-queue.sdl" suffix(, )
    0};

static const unsigned char url_shortener[] = {
#embed "../../scripts/tours/url-shortener.sdl" suffix(, )
    0};

static const unsigned char lsm_kv[] = {
#embed "../../scripts/tours/lsm-kv.sdl" suffix(, )
    0};

static const unsigned char circuit_breaker[] = {
#embed "../../scripts/tours/circuit-breaker.sdl" suffix(, )
    0};

static const unsigned char registry[] = {
#embed "../../scripts/tours/registry.sdl" suffix(, )
    0};

static const unsigned char metrics[] = {
#embed "../../scripts/tours/metrics.sdl" suffix(, )
    0};

static const unsigned char api_gateway[] = {
#embed "../../scripts/tours/api-gateway.sdl" suffix(, )
    0};

static const unsigned char lock[] = {
#embed "../../scripts/tours/lock.sdl" suffix(, )
    0};

static const unsigned char log_aggregation[] = {
#embed "../../scripts/tours/log-aggregation.sdl" suffix(, )
    0};

static const unsigned char hash_ring[] = {
#embed "../../scripts/tours/hash-ring.sdl" suffix(, )
    0};

static const unsigned char connection_pool[] = {
#embed "../../scripts/tours/connection-pool.sdl" suffix(, )
    0};

static const unsigned char chaos[] = {
#embed "../../scripts/tours/chaos.sdl" suffix(, )
    0};

static const unsigned char feature_flags[] = {
#embed "../../scripts/tours/feature-flags.sdl" suffix(, )
    0};

static const unsigned char cache_layer[] = {
#embed "../../scripts/tours/cache-layer.sdl" suffix(, )
    0};

static const unsigned char shop[] = {
#embed "../../scripts/tours/shop.sdl" suffix(, )
    0};

static const struct {
  const char *name;
  const unsigned char *text;
} tours[] = {
    {"load-balancer", load_balancer},
    {"rate-limiter", rate_limiter},
    {"cache", cache},
    {"message-queue", message_queue},
    {"url-shortener", url_shortener},
    {"lsm-kv", lsm_kv},
    {"circuit-breaker", circuit_breaker},
    {"registry", registry},
    {"metrics", metrics},
    {"api-gateway", api_gateway},
    {"lock", lock},
    {"log-aggregation", log_aggregation},
    {"hash-ring", hash_ring},
    {"connection-pool", connection_pool},
    {"chaos", chaos},
    {"feature-flags", feature_flags},
    {"cache-layer", cache_layer},
    {"shop", shop},
};

int sdlab_tour_count(void) { return (int)(sizeof tours / sizeof tours[0]); }

static int is_known(int index) { return index >= 0 && index < sdlab_tour_count(); }

const char *sdlab_tour_name(int index) { return is_known(index) ? tours[index].name : NULL; }

const char *sdlab_tour_text(int index) { return is_known(index) ? (const char *)tours[index].text : NULL; }
