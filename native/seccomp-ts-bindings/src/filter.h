/* One filter under construction, as an object of JavaScript. */
#ifndef SECCOMP_TS_BINDINGS_FILTER_H
#define SECCOMP_TS_BINDINGS_FILTER_H

#include <stdint.h>

#include <node_api.h>
#include <seccomp.h>

struct filter {
	scmp_filter_ctx ctx; /* NULL once released or merged into another */
	int64_t accounted;   /* bytes that V8 was told of */
	int transactions;    /* open ones */
};

/* The live filter behind `this`, or NULL with an exception pending. */
struct filter *this_filter(napi_env env, napi_value self);
/* The same for a method that takes `count` arguments, which are filled in. */
struct filter *filter_of_call(napi_env env, napi_callback_info info, size_t count, napi_value *arguments);
/* Tells V8 what libseccomp took for a rule, so that a filter nobody holds is collected before memory runs short. */
void account_rule(napi_env env, struct filter *filter, unsigned int comparators);
/* Adds the class NativeFilter to the module. */
bool define_filter(napi_env env, napi_value exports);

/* Its methods that have files of their own. */
napi_value filter_add_rule(napi_env env, napi_callback_info info);
napi_value filter_export_bpf(napi_env env, napi_callback_info info);
napi_value filter_export_pfc(napi_env env, napi_callback_info info);
napi_value filter_load(napi_env env, napi_callback_info info);
napi_value filter_notify_fd(napi_env env, napi_callback_info info);

#endif
