// PostgreSQL's own parser, cut out of its server (libpg_query). It goes into the program, as the Swift libraries do.
#ifndef SDLAB_CPGQUERY_H
#define SDLAB_CPGQUERY_H

#include <pg_query.h>

#endif
