/* What libseccomp says of itself and of system calls, as functions of the module. */
#ifndef SECCOMP_TS_BINDINGS_LIBRARY_H
#define SECCOMP_TS_BINDINGS_LIBRARY_H

#include <node_api.h>

napi_value library_version(napi_env env, napi_callback_info info);
napi_value api_level(napi_env env, napi_callback_info info);
napi_value set_api_level(napi_env env, napi_callback_info info);
/* Forgets what the library knows of the kernel, and closes the notification descriptor that it keeps. */
napi_value reset_state(napi_env env, napi_callback_info info);
napi_value native_arch(napi_env env, napi_callback_info info);
/* archOf(name): the token, or null. */
napi_value arch_of(napi_env env, napi_callback_info info);
/* syscallNumber(arch, name): the number, a negative pseudo number where this architecture lacks the call, or null. */
napi_value syscall_number(napi_env env, napi_callback_info info);
/* The same, but multiplexed calls give the number of their multiplexer. */
napi_value syscall_number_rewritten(napi_env env, napi_callback_info info);
napi_value syscall_name(napi_env env, napi_callback_info info);

#endif
