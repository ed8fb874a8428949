// Counts what a thread asks malloc and its relatives for. A program that links this has glibc's allocator with a counter
// in front of it; only the benchmarks do.
#ifndef SDLAB_ALLOCATION_COUNT_H
#define SDLAB_ALLOCATION_COUNT_H

#include <stdint.h>

// Allocations by the calling thread since it started; a realloc counts as one.
uint64_t sdlab_allocation_count(void);

#endif
