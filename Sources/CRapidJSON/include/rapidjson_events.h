// RapidJSON's parser behind a plain C interface: bytes in, one call for each event out. Numbers come as they are
// written, so that no digit is lost on the way; text comes unescaped, as valid UTF-8 that may contain zeros.
#ifndef SDLAB_RAPIDJSON_EVENTS_H
#define SDLAB_RAPIDJSON_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// What the parser meets, in the document's order. Each returns whether to go on.
typedef struct {
  bool (*null)(void *context);
  bool (*boolean)(void *context, bool value);
  bool (*number)(void *context, const char *text, size_t length);
  bool (*string)(void *context, const char *text, size_t length);
  bool (*key)(void *context, const char *text, size_t length);
  bool (*start_object)(void *context);
  bool (*end_object)(void *context, size_t count);
  bool (*start_array)(void *context);
  bool (*end_array)(void *context, size_t count);
} sdlab_json_events;

typedef struct {
  // Null if the whole input is one document; empty if an event's receiver stopped the parser.
  const char *problem;
  // Where the parser stopped, in bytes.
  size_t offset;
} sdlab_json_result;

// Needs neither a zero at the end of `bytes` nor more than a constant depth of the C stack.
sdlab_json_result sdlab_json_parse(
    const char *bytes, size_t length, const sdlab_json_events *events, void *context);

#ifdef __cplusplus
}
#endif

#endif
