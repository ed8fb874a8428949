// OpenSSL's libcrypto: message digests. `MD5` is named deprecated because nobody should sign with it; where a protocol
// prescribes it for spreading keys, as ketama does, there is no other.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>
