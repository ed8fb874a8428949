// Instructions of the processor that Swift has no name for. Headers only; there is nothing here to compile.
#ifndef SDLAB_PROCESSOR_H
#define SDLAB_PROCESSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Carries the remainder of a CRC-32C over some bytes with the processor's own instruction. Returns 0 where the
// processor has none, and leaves the remainder alone.
#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static inline uint32_t sdlab_crc32c_bytes(
    uint32_t remainder, const uint8_t *bytes, size_t count) {
  uint64_t wide = remainder;
  for (; count >= 8; bytes += 8, count -= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  uint32_t narrow = (uint32_t)wide;
  for (; count > 0; bytes++, count--) narrow = __builtin_ia32_crc32qi(narrow, *bytes);
  return narrow;
}

static inline int sdlab_has_crc32c(void) { return __builtin_cpu_supports("sse4.2") != 0; }
#else
static inline uint32_t sdlab_crc32c_bytes(uint32_t remainder, const uint8_t *bytes, size_t count) { return remainder; }
static inline int sdlab_has_crc32c(void) { return 0; }
#endif

// Asks for the cache line at an address that will be needed soon.
static inline void sdlab_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
