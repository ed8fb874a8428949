// Instructions of the processor that Swift has no name for. Headers only; there is nothing here to compile.
#ifndef SDLAB_PROCESSOR_H
#define SDLAB_PROCESSOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Carries the remainder of a CRC-32C over some bytes with the processor's own instruction, which only a processor that
// has it (sdlab_has_crc32c) may be asked to do.
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

// The same over three pieces at once, which lie one behind the other: the instruction takes three cycles to finish and
// one to begin. The pieces' length is a multiple of eight.
__attribute__((target("sse4.2"))) static inline void sdlab_crc32c_three(
    uint32_t remainders[3], const uint8_t *bytes, size_t length) {
  uint64_t a = remainders[0], b = remainders[1], c = remainders[2];
  for (size_t i = 0; i < length; i += 8) {
    uint64_t x, y, z;
    memcpy(&x, bytes + i, 8);
    memcpy(&y, bytes + length + i, 8);
    memcpy(&z, bytes + 2 * length + i, 8);
    a = __builtin_ia32_crc32di(a, x);
    b = __builtin_ia32_crc32di(b, y);
    c = __builtin_ia32_crc32di(c, z);
  }
  remainders[0] = (uint32_t)a;
  remainders[1] = (uint32_t)b;
  remainders[2] = (uint32_t)c;
}

static inline int sdlab_has_crc32c(void) { return __builtin_cpu_supports("sse4.2") != 0; }
#else
static inline uint32_t sdlab_crc32c_bytes(uint32_t remainder, const uint8_t *bytes, size_t count) { return remainder; }
static inline void sdlab_crc32c_three(uint32_t remainders[3], const uint8_t *bytes, size_t length) {}
static inline int sdlab_has_crc32c(void) { return 0; }
#endif

// Asks for the cache line at an address that will be needed soon.
static inline void sdlab_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
