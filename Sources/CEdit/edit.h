// libedit: line editing at the prompt.
//
// el_set, el_get and history are variadic, which Swift cannot call. Each use the lab
// makes of them has a wrapper with a fixed signature here; there is nothing to compile.
#ifndef SDLAB_EDIT_H
#define SDLAB_EDIT_H

#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

typedef int (*sdlab_getc_function)(EditLine *, wchar_t *);
typedef char *(*sdlab_prompt_function)(EditLine *);
typedef unsigned char (*sdlab_key_function)(EditLine *, int);

static inline EditLine *sdlab_edit_open(const char *program) {
  return el_init(program, stdin, stdout, stderr);
}
// Takes the terminal over now, or gives it back. libedit itself only does so when it reads the first key, after it
// has shown the prompt.
static inline int sdlab_edit_prepare(EditLine *e, int on) { return el_set(e, EL_PREP_TERM, on); }
static inline void sdlab_edit_flush(void) { fflush(stdout); }
static inline int sdlab_edit_getc(EditLine *e, sdlab_getc_function f) { return el_set(e, EL_GETCFN, f); }
static inline int sdlab_edit_prompt(EditLine *e, sdlab_prompt_function f, char escape) {
  return el_set(e, EL_PROMPT_ESC, f, escape);
}
static inline int sdlab_edit_editor(EditLine *e, const char *mode) { return el_set(e, EL_EDITOR, mode); }
static inline int sdlab_edit_signals(EditLine *e, int on) { return el_set(e, EL_SIGNAL, on); }
static inline int sdlab_edit_client_data(EditLine *e, void *p) { return el_set(e, EL_CLIENTDATA, p); }
static inline void *sdlab_edit_get_client_data(EditLine *e) {
  void *p = NULL;
  el_get(e, EL_CLIENTDATA, &p);
  return p;
}
static inline int sdlab_edit_history(EditLine *e, History *h) { return el_set(e, EL_HIST, history, h); }
static inline int sdlab_edit_function(EditLine *e, const char *name, const char *help, sdlab_key_function f) {
  return el_set(e, EL_ADDFN, name, help, f);
}
static inline int sdlab_edit_bind(EditLine *e, const char *key, const char *function) {
  return el_set(e, EL_BIND, key, function, NULL);
}
static inline int sdlab_edit_refresh(EditLine *e) { return el_set(e, EL_REFRESH); }
static inline int sdlab_edit_columns(EditLine *e) {
  int columns = 80;
  el_get(e, EL_GETTC, "co", &columns);
  return columns > 0 ? columns : 80;
}
static inline int sdlab_edit_rows(EditLine *e) {
  int rows = 24;
  el_get(e, EL_GETTC, "li", &rows);
  return rows > 0 ? rows : 24;
}
static inline int sdlab_history_size(History *h, int size) {
  HistEvent event;
  return history(h, &event, H_SETSIZE, size);
}
static inline int sdlab_history_unique(History *h, int on) {
  HistEvent event;
  return history(h, &event, H_SETUNIQUE, on);
}
static inline int sdlab_history_enter(History *h, const char *line) {
  HistEvent event;
  return history(h, &event, H_ENTER, line);
}
static inline int sdlab_wide_character_width(wchar_t c) { return wcwidth(c); }
// Only the character set: messages and numbers stay as they are. Where the environment names none, terminals speak
// UTF-8 nevertheless.
static inline void sdlab_use_locale(void) {
  if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
}

#endif
