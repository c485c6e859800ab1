#include "library.h"

#include <stdlib.h>

#include <seccomp.h>

#include "values.h"

napi_value library_version(napi_env env, napi_callback_info info)
{
	const struct scmp_version *version = seccomp_version();
	napi_value triple = NULL;

	(void)info;
	if (napi_create_array_with_length(env, 3, &triple) != napi_ok)
		return NULL;
	(void)napi_set_element(env, triple, 0, from_u32(env, version->major));
	(void)napi_set_element(env, triple, 1, from_u32(env, version->minor));
	(void)napi_set_element(env, triple, 2, from_u32(env, version->micro));
	return triple;
}

napi_value api_level(napi_env env, napi_callback_info info)
{
	(void)info;
	return from_u32(env, seccomp_api_get());
}

napi_value set_api_level(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL;
	uint32_t level = 0;

	if (!get_arguments(env, info, 1, &argument, NULL))
		return NULL;
	if (!to_u32(env, argument, &level))
		return throw_type_error(env, "the level must be an unsigned 32-bit integer");
	return from_int(env, seccomp_api_set(level));
}

napi_value reset_state(napi_env env, napi_callback_info info)
{
	(void)info;
	return from_int(env, seccomp_reset(NULL, SCMP_ACT_KILL));
}

napi_value native_arch(napi_env env, napi_callback_info info)
{
	(void)info;
	return from_u32(env, seccomp_arch_native());
}

napi_value arch_of(napi_env env, napi_callback_info info)
{
	napi_value argument = NULL;
	char name[NAME_SIZE];
	uint32_t token;

	if (!get_arguments(env, info, 1, &argument, NULL))
		return NULL;
	if (!to_name(env, argument, name))
		return throw_type_error(env, "the architecture's name must be a string");
	token = seccomp_arch_resolve_name(name);
	return token == 0 ? from_null(env) : from_u32(env, token);
}

static napi_value resolve(napi_env env, napi_callback_info info, int (*function)(uint32_t arch, const char *name))
{
	napi_value arguments[2] = { NULL };
	char name[NAME_SIZE];
	uint32_t arch = 0;
	int number;

	if (!get_arguments(env, info, 2, arguments, NULL))
		return NULL;
	if (!to_u32(env, arguments[0], &arch))
		return throw_type_error(env, "the architecture must be an unsigned 32-bit integer");
	if (!to_name(env, arguments[1], name))
		return throw_type_error(env, "the system call name must be a string");
	number = function(arch, name);
	return number == __NR_SCMP_ERROR ? from_null(env) : from_int(env, number);
}

napi_value syscall_number(napi_env env, napi_callback_info info)
{
	return resolve(env, info, seccomp_syscall_resolve_name_arch);
}

napi_value syscall_number_rewritten(napi_env env, napi_callback_info info)
{
	return resolve(env, info, seccomp_syscall_resolve_name_rewrite);
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
