// SQLite's library, with what Swift cannot say: a function of any number of arguments, and a structure of ours that
// begins with one of SQLite's.
#pragma once
#include <sqlite3.h>

/// An open file as SQLite sees it: `base` is SQLite's part, `object` a retained Swift object.
typedef struct csqlite_file {
  sqlite3_file base;
  void *object;
} csqlite_file;

/// For the whole process, before anything else: no statistics of memory, which would need a lock for each allocation.
static inline int csqlite_configure(void) { return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

/// Switches one of a connection's options (SQLITE_DBCONFIG_…) on or off.
static inline int csqlite_set_option(sqlite3 *connection, int option, int isOn) {
  return sqlite3_db_config(connection, option, isOn, (int *)0);
}
