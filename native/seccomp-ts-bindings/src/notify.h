/* A filter in force: loading it, and answering for the calls that it leaves to a supervisor. */
#ifndef SECCOMP_TS_BINDINGS_NOTIFY_H
#define SECCOMP_TS_BINDINGS_NOTIFY_H

#include <node_api.h>

/* notifyReceive(fd, timeoutMs): [[status, errno], notification]; the notification is null when none came in time. */
napi_value notify_receive(napi_env env, napi_callback_info info);
/* notifyRespond(fd, id, value, error, flags): [status, errno]. */
napi_value notify_respond(napi_env env, napi_callback_info info);
/* notifyIdValid(fd, id): status. */
napi_value notify_id_valid(napi_env env, napi_callback_info info);

#endif
