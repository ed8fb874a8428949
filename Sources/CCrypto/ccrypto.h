// OpenSSL's libcrypto: digests, message authentication, password hashes, base64. `MD5` is named deprecated because
// nobody should sign with it; where a protocol prescribes it for spreading keys, as ketama does, there is no other.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
