// Whole numbers of any length (GMP). Its functions are macros for names with a prefix, which Swift does not see.
#ifndef SDLAB_CBIGNUMBER_H
#define SDLAB_CBIGNUMBER_H

#include <gmp.h>

typedef __mpz_struct sdlab_mpz;

static inline void sdlab_mpz_init(sdlab_mpz *n) { mpz_init(n); }
static inline void sdlab_mpz_clear(sdlab_mpz *n) { mpz_clear(n); }
static inline void sdlab_mpz_set(sdlab_mpz *n, const sdlab_mpz *a) { mpz_set(n, a); }
static inline void sdlab_mpz_set_si(sdlab_mpz *n, long a) { mpz_set_si(n, a); }
// Decimal digits with an optional minus, and a zero behind; -1 if they are none.
static inline int sdlab_mpz_set_text(sdlab_mpz *n, const char *text) { return mpz_set_str(n, text, 10); }
// A buffer of `sdlab_mpz_digits() + 2` bytes holds the text.
static inline size_t sdlab_mpz_digits(const sdlab_mpz *a) { return mpz_sizeinbase(a, 10); }
static inline void sdlab_mpz_text(const sdlab_mpz *a, char *text) { mpz_get_str(text, 10, a); }
static inline int sdlab_mpz_sign(const sdlab_mpz *a) { return mpz_sgn(a); }
static inline int sdlab_mpz_compare(const sdlab_mpz *a, const sdlab_mpz *b) { return mpz_cmp(a, b); }
static inline void sdlab_mpz_add(sdlab_mpz *n, const sdlab_mpz *a, const sdlab_mpz *b) { mpz_add(n, a, b); }
static inline void sdlab_mpz_subtract(sdlab_mpz *n, const sdlab_mpz *a, const sdlab_mpz *b) { mpz_sub(n, a, b); }
static inline void sdlab_mpz_multiply(sdlab_mpz *n, const sdlab_mpz *a, const sdlab_mpz *b) { mpz_mul(n, a, b); }
static inline void sdlab_mpz_negate(sdlab_mpz *n, const sdlab_mpz *a) { mpz_neg(n, a); }
// Quotient towards zero, and the remainder with the dividend's sign; `b` is not zero.
static inline void sdlab_mpz_divide(
    sdlab_mpz *quotient, sdlab_mpz *remainder, const sdlab_mpz *a, const sdlab_mpz *b) {
  mpz_tdiv_qr(quotient, remainder, a, b);
}
static inline void sdlab_mpz_power_of_ten(sdlab_mpz *n, unsigned long exponent) { mpz_ui_pow_ui(n, 10, exponent); }
static inline void sdlab_mpz_power(sdlab_mpz *n, const sdlab_mpz *a, unsigned long exponent) {
  mpz_pow_ui(n, a, exponent);
}
// The whole part of the square root of what is not negative.
static inline void sdlab_mpz_root(sdlab_mpz *n, const sdlab_mpz *a) { mpz_sqrt(n, a); }
// `a` and 1 if it fits a long.
static inline int sdlab_mpz_long(const sdlab_mpz *a, long *value) {
  if (!mpz_fits_slong_p(a)) return 0;
  *value = mpz_get_si(a);
  return 1;
}

#endif
