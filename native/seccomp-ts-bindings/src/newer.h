/*
 * Functions that libseccomp has had only since 2.6. Weak, so that the addon builds and loads where they are missing: then
 * their address is NULL. What counts is the library that is found at run time, whatever the addon was built against.
 */
#ifndef SECCOMP_TS_BINDINGS_NEWER_H
#define SECCOMP_TS_BINDINGS_NEWER_H

#include <seccomp.h>

extern __attribute__((weak)) int seccomp_precompute(const scmp_filter_ctx ctx);
extern __attribute__((weak)) int seccomp_transaction_start(const scmp_filter_ctx ctx);
extern __attribute__((weak)) int seccomp_transaction_commit(const scmp_filter_ctx ctx);
extern __attribute__((weak)) void seccomp_transaction_reject(const scmp_filter_ctx ctx);

#endif
