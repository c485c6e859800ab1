/*
 * Node-API over libseccomp, as thin as it can be: every function takes checked plain values and returns what libseccomp
 * returned (0 or negative errno); lib/ turns that into typed results and errors.
 *
 * Nothing that JavaScript passes may crash the process: `this` is checked by type tag, numbers for range and integrality,
 * strings for length and embedded NUL, and libseccomp only ever sees a live filter context. No function calls back into
 * JavaScript: values are read as what they are, never converted, so nothing can change under a function while it runs.
 */
#include <stdbool.h>

#include <node_api.h>

#include "filter.h"
#include "library.h"
#include "notify.h"
#include "values.h"

/* The header defines this function without declaring it. */
NAPI_MODULE_EXPORT int32_t NODE_API_MODULE_GET_API_VERSION(void);

NAPI_MODULE_INIT()
{
	const napi_property_descriptor functions[] = {
		METHOD("version", library_version),	 METHOD("apiLevel", api_level),
		METHOD("setApiLevel", set_api_level),	 METHOD("resetState", reset_state),
		METHOD("nativeArch", native_arch),	 METHOD("archOf", arch_of),
		METHOD("syscallNumber", syscall_number), METHOD("syscallNumberRewritten", syscall_number_rewritten),
		METHOD("syscallName", syscall_name),	 METHOD("notifyReceive", notify_receive),
		METHOD("notifyRespond", notify_respond), METHOD("notifyIdValid", notify_id_valid),
	};

	if (!define_filter(env, exports) ||
	    napi_define_properties(env, exports, sizeof(functions) / sizeof(functions[0]), functions) != napi_ok)
		return NULL;
	return exports;
}
