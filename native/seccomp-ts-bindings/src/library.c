#include "library.h"

#include <stdlib.h>
#include <string.h>

#include <seccomp.h>

#include "values.h"

#define NAME_SIZE 128

napi_value library_version(napi_env env, napi_callback_info info)
{
	const struct scmp_version *version = seccomp_version();
	napi_value triple = NULL;

	(void)info;
	if (napi_create_array_with_length(env, 3, &triple) != napi_ok)
		return NULL;
	(void)napi_set_element(env, triple, 0, from_int(env, (int)version->major));
	(void)napi_set_element(env, triple, 1, from_int(env, (int)version->minor));
	(void)napi_set_element(env, triple, 2, from_int(env, (int)version->micro));
	return triple;
}

napi_value api_level(napi_env env, napi_callback_info info)
{
	(void)info;
	return from_int(env, (int)seccomp_api_get());
}

napi_value native_arch(napi_env env, napi_callback_info info)
{
	napi_value result = NULL;

	(void)info;
	(void)napi_create_uint32(env, seccomp_arch_native(), &result);
	return result;
}

napi_value syscall_number(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL };
	char name[NAME_SIZE] = { 0 };
	size_t length = 0;
	uint32_t arch = 0;
	int number;

	if (!get_arguments(env, info, 2, arguments, NULL))
		return NULL;
	if (!to_u32(env, arguments[0], &arch))
		return throw_type_error(env, "the architecture must be an unsigned 32-bit integer");
	if (napi_get_value_string_utf8(env, arguments[1], name, sizeof(name), &length) != napi_ok)
		return throw_type_error(env, "the system call name must be a string");
	/* Too long was cut at the end of the buffer; an embedded NUL would resolve only what stands before it. */
	if (length >= sizeof(name) - 1 || strlen(name) != length)
		return from_null(env);
	number = seccomp_syscall_resolve_name_arch(arch, name);
	return number == __NR_SCMP_ERROR ? from_null(env) : from_int(env, number);
}

napi_value syscall_name(napi_env env, napi_callback_info info)
{
	napi_value arguments[2] = { NULL }, result = NULL;
	uint32_t arch = 0;
	int number = 0;
	char *name;

	if (!get_arguments(env, info, 2, arguments, NULL))
		return NULL;
	if (!to_u32(env, arguments[0], &arch))
		return throw_type_error(env, "the architecture must be an unsigned 32-bit integer");
	if (!to_i32(env, arguments[1], &number))
		return throw_type_error(env, "the system call number must be a 32-bit integer");
	name = seccomp_syscall_resolve_num_arch(arch, number);
	if (name == NULL)
		return from_null(env);
	(void)napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &result);
	free(name);
	return result;
}
