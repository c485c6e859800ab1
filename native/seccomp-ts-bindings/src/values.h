/* JavaScript values to checked C values and back. */
#ifndef SECCOMP_TS_BINDINGS_VALUES_H
#define SECCOMP_TS_BINDINGS_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <node_api.h>

/* Returns NULL, so that a method can return what it throws. */
napi_value throw_type_error(napi_env env, const char *message);
napi_value from_int(napi_env env, int value);
napi_value from_null(napi_env env);
/* Reads an integer in [min, max]; napi_get_value_int32 would wrap and truncate in silence. */
bool to_integer(napi_env env, napi_value value, double min, double max, int64_t *ret_integer);
bool to_u32(napi_env env, napi_value value, uint32_t *ret_number);
bool to_i32(napi_env env, napi_value value, int *ret_number);
/* Missing arguments arrive as undefined, which no reader above accepts. */
bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *ret_arguments,
		   napi_value *ret_this);

#endif
