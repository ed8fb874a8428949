#include "unicode_names.h"

#include <unicode/uidna.h>

int sdlab_domain_to_ascii(const char *name, int length, char *ascii, int capacity) {
  UErrorCode code = U_ZERO_ERROR;
  UIDNA *idna = uidna_openUTS46(
      UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE,
      &code);
  if (U_FAILURE(code)) return -1;
  UIDNAInfo info = UIDNA_INFO_INITIALIZER;
  int count = uidna_nameToASCII_UTF8(idna, name, length, ascii, capacity, &info, &code);
  uidna_close(idna);
  if (code == U_BUFFER_OVERFLOW_ERROR) return -2;
  if (U_FAILURE(code)) return -1;
  unsigned allowed = UIDNA_ERROR_EMPTY_LABEL | UIDNA_ERROR_LABEL_TOO_LONG | UIDNA_ERROR_DOMAIN_NAME_TOO_LONG |
                     UIDNA_ERROR_LEADING_HYPHEN | UIDNA_ERROR_TRAILING_HYPHEN | UIDNA_ERROR_HYPHEN_3_4;
  return (info.errors & ~allowed) != 0 ? -1 : count;
}
