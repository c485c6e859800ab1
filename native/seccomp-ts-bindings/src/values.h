/* JavaScript values to checked C values and back. */
#ifndef SECCOMP_TS_BINDINGS_VALUES_H
#define SECCOMP_TS_BINDINGS_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <node_api.h>

#define NAME_SIZE 128

#define METHOD(js_name, function)                                                    \
	{                                                                            \
		js_name, NULL, function, NULL, NULL, NULL, napi_default_method, NULL \
	}

/* Returns NULL, so that a method can return what it throws. */
napi_value throw_type_error(napi_env env, const char *message);
napi_value from_int(napi_env env, int value);
napi_value from_u32(napi_env env, uint32_t value);
napi_value from_u64(napi_env env, uint64_t value);
napi_value from_null(napi_env env);
napi_value from_pair(napi_env env, napi_value first, napi_value second);
/* Reads an integer in [min, max]; napi_get_value_int32 would wrap and truncate in silence. */
bool to_integer(napi_env env, napi_value value, double min, double max, int64_t *ret_integer);
bool to_u32(napi_env env, napi_value value, uint32_t *ret_number);
bool to_i32(napi_env env, napi_value value, int *ret_number);
/* A BigInt that fits, bit for bit. */
bool to_u64(napi_env env, napi_value value, uint64_t *ret_number);
bool to_i64(napi_env env, napi_value value, int64_t *ret_number);
/* False for what is no string. One that no name can be (too long, or with a NUL within) comes out empty, which nothing is called. */
bool to_name(napi_env env, napi_value value, char ret_name[static NAME_SIZE]);
/* Missing arguments arrive as undefined, which no reader above accepts. */
bool get_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *ret_arguments,
		   napi_value *ret_this);

#endif
