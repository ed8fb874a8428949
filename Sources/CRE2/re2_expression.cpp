#include "re2_expression.h"

#include <re2/re2.h>

#include <vector>

struct sdlab_re2 {
  RE2 expression;
};

sdlab_re2 *sdlab_re2_compile(const char *pattern, size_t length, const sdlab_re2_options *wanted) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(wanted->memory_limit_bytes);
  options.set_case_sensitive(!wanted->ignores_case);
  options.set_literal(wanted->is_literal);
  options.set_longest_match(wanted->matches_longest);
  options.set_dot_nl(wanted->dot_matches_newline);
  options.set_posix_syntax(wanted->is_posix);
  options.set_perl_classes(true);
  options.set_word_boundary(true);
  options.set_one_line(!wanted->matches_lines);
  if (wanted->is_bytes) options.set_encoding(RE2::Options::EncodingLatin1);
  return new sdlab_re2{RE2(re2::StringPiece(pattern, length), options)};
}

void sdlab_re2_free(sdlab_re2 *expression) { delete expression; }

const char *sdlab_re2_error(const sdlab_re2 *expression, const char **argument) {
  if (expression->expression.ok()) return nullptr;
  *argument = expression->expression.error_arg().c_str();
  return expression->expression.error().c_str();
}

sdlab_re2_error_kind sdlab_re2_kind_of_error(const sdlab_re2 *expression) {
  switch (expression->expression.error_code()) {
    case RE2::ErrorMissingParen: return SDLAB_RE2_UNCLOSED_PARENTHESIS;
    case RE2::ErrorUnexpectedParen: return SDLAB_RE2_UNEXPECTED_PARENTHESIS;
    case RE2::ErrorTrailingBackslash: return SDLAB_RE2_TRAILING_BACKSLASH;
    default: return SDLAB_RE2_OTHER_ERROR;
  }
}

int sdlab_re2_group_count(const sdlab_re2 *expression) {
  return expression->expression.ok() ? expression->expression.NumberOfCapturingGroups() : 0;
}

int sdlab_re2_group_number(const sdlab_re2 *expression, const char *name) {
  if (!expression->expression.ok()) return -1;
  const auto &groups = expression->expression.NamedCapturingGroups();
  const auto found = groups.find(name);
  return found == groups.end() ? -1 : found->second;
}

bool sdlab_re2_match(
    const sdlab_re2 *expression, const char *text, size_t length, size_t start, sdlab_re2_anchor anchor,
    ptrdiff_t *bounds, int count) {
  if (!expression->expression.ok() || start > length) return false;
  // The usual number of groups needs no memory from the heap.
  re2::StringPiece few[8];
  std::vector<re2::StringPiece> many(count > 8 ? count : 0);
  re2::StringPiece *groups = count > 8 ? many.data() : few;
  const RE2::Anchor anchors[] = {RE2::UNANCHORED, RE2::ANCHOR_START, RE2::ANCHOR_BOTH};
  if (!expression->expression.Match(re2::StringPiece(text, length), start, length, anchors[anchor], groups, count)) {
    return false;
  }
  for (int index = 0; index < count; index++) {
    const char *begin = groups[index].data();
    bounds[2 * index] = begin ? begin - text : -1;
    bounds[2 * index + 1] = begin ? begin - text + static_cast<ptrdiff_t>(groups[index].size()) : -1;
  }
  return true;
}
