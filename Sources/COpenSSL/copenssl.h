// OpenSSL 3: TLS and X.509. Much of its interface are macros that Swift does not import; they stand here as functions of
// the same meaning. Headers only; there is nothing here to compile.
#ifndef SDLAB_OPENSSL_H
#define SDLAB_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static inline int sdlab_ssl_limit_versions(SSL_CTX *context, int lowest, int highest) {
  return SSL_CTX_set_min_proto_version(context, lowest) == 1 && SSL_CTX_set_max_proto_version(context, highest) == 1;
}

// No renegotiation (a client could ask for one handshake after another), no compression (CRIME), sessions kept on this
// side instead of tickets (their lengths do not vary), idle connections without buffers.
static inline void sdlab_ssl_harden(SSL_CTX *context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
}

static inline void sdlab_ssl_session_cache(SSL_CTX *context, long mode, long size) {
  SSL_CTX_set_session_cache_mode(context, mode);
  SSL_CTX_sess_set_cache_size(context, size);
}

static inline int sdlab_ssl_set_server_name(SSL *ssl, const char *name) {
  return (int)SSL_set_tlsext_host_name(ssl, name);
}

static inline void sdlab_ssl_on_server_name(SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
  SSL_CTX_set_tlsext_servername_arg(context, argument);
}

static inline int sdlab_ssl_add_chain(SSL_CTX *context, X509 *certificate) {
  return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

static inline void sdlab_ssl_set_owner(SSL *ssl, void *owner) { SSL_set_ex_data(ssl, 0, owner); }
static inline void *sdlab_ssl_owner(const SSL *ssl) { return SSL_get_ex_data(ssl, 0); }

static inline long sdlab_bio_contents(BIO *bio, char **start) { return BIO_get_mem_data(bio, start); }
static inline void sdlab_bio_empty(BIO *bio) { (void)BIO_reset(bio); }
// An empty buffer means "not yet" and not "the end".
static inline void sdlab_bio_wait_when_empty(BIO *bio) { BIO_set_mem_eof_return(bio, -1); }

static inline int sdlab_san_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
static inline const GENERAL_NAME *sdlab_san(const GENERAL_NAMES *names, int index) {
  return sk_GENERAL_NAME_value(names, index);
}
static inline const unsigned char *sdlab_general_name_bytes(const GENERAL_NAME *name, int *type, int *length) {
  int kind = 0;
  const void *value = GENERAL_NAME_get0_value(name, &kind);
  *type = kind;
  if (kind != GEN_DNS && kind != GEN_IPADD && kind != GEN_URI && kind != GEN_EMAIL) {
    *length = 0;
    return NULL;
  }
  *length = ASN1_STRING_length((const ASN1_STRING *)value);
  return ASN1_STRING_get0_data((const ASN1_STRING *)value);
}

static inline EVP_PKEY *sdlab_make_rsa_key(unsigned int bits) { return EVP_RSA_gen(bits); }

static inline int sdlab_print_name(BIO *output, const X509_NAME *name) {
  return X509_NAME_print_ex(output, name, 0, XN_FLAG_ONELINE);
}

// Nobody is asked for a passphrase: the terminal is not OpenSSL's.
static inline int sdlab_no_passphrase(char *buffer, int size, int is_writing, void *owner) {
  (void)buffer, (void)size, (void)is_writing, (void)owner;
  return 0;
}
static inline X509 *sdlab_pem_certificate(BIO *input) {
  return PEM_read_bio_X509(input, NULL, sdlab_no_passphrase, NULL);
}
static inline EVP_PKEY *sdlab_pem_private_key(BIO *input) {
  return PEM_read_bio_PrivateKey(input, NULL, sdlab_no_passphrase, NULL);
}

#endif
