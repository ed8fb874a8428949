// RE2 behind a plain C interface: one handle for a compiled expression, which any number of threads may use at a time.
#ifndef SDLAB_RE2_EXPRESSION_H
#define SDLAB_RE2_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sdlab_re2 sdlab_re2;

typedef struct {
  // For the compiled program and its caches.
  int64_t memory_limit_bytes;
  bool ignores_case;
  bool is_literal;
  // The leftmost longest match instead of the one a backtracking engine would find first.
  bool matches_longest;
  bool dot_matches_newline;
  // The syntax of egrep with \d \w \s \b, instead of Perl's.
  bool is_posix;
  // Lets ^ and $ match at lines; in Perl's syntax the pattern says (?m).
  bool matches_lines;
  // Text and pattern are bytes (ISO 8859-1) instead of UTF-8.
  bool is_bytes;
} sdlab_re2_options;

// Never null. An expression that is not valid has an error and matches nothing.
sdlab_re2 *sdlab_re2_compile(const char *pattern, size_t length, const sdlab_re2_options *options);
void sdlab_re2_free(sdlab_re2 *expression);

// Null if it is valid. What it says about which part of the pattern stands in `argument`.
const char *sdlab_re2_error(const sdlab_re2 *expression, const char **argument);
// For what of the pattern the error gives no part.
typedef enum {
  SDLAB_RE2_UNCLOSED_PARENTHESIS,
  SDLAB_RE2_UNEXPECTED_PARENTHESIS,
  SDLAB_RE2_TRAILING_BACKSLASH,
  SDLAB_RE2_OTHER_ERROR
} sdlab_re2_error_kind;
sdlab_re2_error_kind sdlab_re2_kind_of_error(const sdlab_re2 *expression);

// How many groups capture.
int sdlab_re2_group_count(const sdlab_re2 *expression);
// The number of the group of that name; -1 if there is none.
int sdlab_re2_group_number(const sdlab_re2 *expression, const char *name);

typedef enum { SDLAB_RE2_ANYWHERE, SDLAB_RE2_AT_START, SDLAB_RE2_WHOLE } sdlab_re2_anchor;

// Looks for a match that begins at `start` or later. `bounds` gets the first and the last offset of the match and of
// each group up to `count` in all, -1 for a group that took no part.
bool sdlab_re2_match(
    const sdlab_re2 *expression, const char *text, size_t length, size_t start, sdlab_re2_anchor anchor,
    ptrdiff_t *bounds, int count);

#ifdef __cplusplus
}
#endif

#endif
