// OpenSSL as Swift sees it, with functions for what it defines as macros.
#pragma once
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// MARK: BIO

static inline void penstock_BIO_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void penstock_BIO_clear_retry_flags(BIO *bio) { BIO_clear_retry_flags(bio); }

// MARK: contexts

static inline int penstock_SSL_CTX_set_min_proto_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline int penstock_SSL_CTX_set_max_proto_version(SSL_CTX *context, int version) {
    return (int)SSL_CTX_set_max_proto_version(context, version);
}
static inline void penstock_SSL_CTX_set_mode(SSL_CTX *context, long mode) { SSL_CTX_set_mode(context, mode); }
/// No compression (CRIME), no renegotiation, no 0-RTT by default; the server's order of ciphers counts, but a client
/// that puts ChaCha20 first, because it has no AES in hardware, gets it.
static inline void penstock_SSL_CTX_set_safe_options(SSL_CTX *context) {
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA);
}
static inline void penstock_SSL_CTX_set_session_cache_mode(SSL_CTX *context, long mode) {
    SSL_CTX_set_session_cache_mode(context, mode);
}
static inline int penstock_SSL_CTX_set1_groups_list(SSL_CTX *context, const char *groups) {
    return (int)SSL_CTX_set1_groups_list(context, groups);
}
static inline int penstock_SSL_CTX_set1_chain(SSL_CTX *context, STACK_OF(X509) *chain) {
    return (int)SSL_CTX_set1_chain(context, chain);
}
static inline void penstock_SSL_CTX_set_tlsext_servername_callback(SSL_CTX *context,
                                                                   int (*callback)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline void penstock_SSL_CTX_set_tlsext_servername_arg(SSL_CTX *context, void *argument) {
    SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline void penstock_SSL_CTX_set_app_data(SSL_CTX *context, void *owner) {
    SSL_CTX_set_app_data(context, owner);
}
static inline void *penstock_SSL_CTX_get_app_data(SSL_CTX *context) { return SSL_CTX_get_app_data(context); }

// MARK: connections

static inline void penstock_SSL_set_app_data(SSL *connection, void *owner) { SSL_set_app_data(connection, owner); }
static inline void *penstock_SSL_get_app_data(SSL *connection) { return SSL_get_app_data(connection); }
static inline int penstock_SSL_set_tlsext_host_name(SSL *connection, const char *name) {
    return (int)SSL_set_tlsext_host_name(connection, name);
}

// MARK: certificates

/// The owned chain of what follows the leaf; a stack, because its functions are macros.
static inline STACK_OF(X509) *penstock_chain_new(void) { return sk_X509_new_null(); }
static inline int penstock_chain_push(STACK_OF(X509) *chain, X509 *certificate) {
    return sk_X509_push(chain, certificate);
}
static inline int penstock_chain_count(const STACK_OF(X509) *chain) { return sk_X509_num(chain); }
static inline void penstock_chain_free(STACK_OF(X509) *chain) { sk_X509_pop_free(chain, X509_free); }

/// Calls `visit` with each DNS name among the subject alternative names; returns how many there were.
static inline int penstock_each_dns_name(const X509 *certificate, void *owner,
                                         void (*visit)(void *, const unsigned char *, int)) {
    int found = 0;
    GENERAL_NAMES *names = (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
        if (name->type != GEN_DNS) continue;
        visit(owner, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
        found++;
    }
    GENERAL_NAMES_free(names);
    return found;
}

/// Writes the subject in the form of RFC 2253.
static inline int penstock_print_subject(BIO *target, const X509 *certificate) {
    return X509_NAME_print_ex(target, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
}

/// A password callback that has none. Without one OpenSSL would ask at the terminal.
static inline int penstock_no_password(char *buffer, int size, int writing, void *argument) {
    (void)buffer;
    (void)size;
    (void)writing;
    (void)argument;
    return -1;
}

/// The first private key in the PEM text; never asks for a password.
static inline EVP_PKEY *penstock_read_private_key(BIO *source) {
    return PEM_read_bio_PrivateKey(source, NULL, penstock_no_password, NULL);
}
/// The next certificate in the PEM text.
static inline X509 *penstock_read_certificate(BIO *source) {
    return PEM_read_bio_X509_AUX(source, NULL, penstock_no_password, NULL);
}

// MARK: errors

static inline int penstock_ERR_GET_LIB(unsigned long code) { return ERR_GET_LIB(code); }
static inline int penstock_ERR_GET_REASON(unsigned long code) { return ERR_GET_REASON(code); }

// MARK: session tickets

/// Keys the MAC of a session ticket.
static inline int penstock_EVP_MAC_set_hmac_sha256(EVP_MAC_CTX *mac, const unsigned char *key, size_t length) {
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, length);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_MAC_CTX_set_params(mac, parameters);
}
