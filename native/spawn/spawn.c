/*
 * Starts the launcher for the command, which lives only as long as one run: an addon for Node (Node-API).
 *
 * What Node has for this costs a short run more than the sandbox: its modules for processes, sockets and streams are a
 * tenth of Node's own start, and it forks a copy of all its page tables where posix_spawn shares them. Nothing here
 * decides anything; cli/run/launcher-direct.ts uses it, and does without where it is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL_FD 3
/* Above all numbers that the child gets: a move to one of those never hits a source of the next. */
#define LOWEST_COPY 16

static napi_value fail(napi_env env, const char *what, int error)
{
	(void)napi_throw_error(env, what, strerror(error));
	return NULL;
}

static napi_value from_int(napi_env env, int value)
{
	napi_value result = NULL;

	(void)napi_create_int32(env, value, &result);
	return result;
}

/* The first `count` arguments as numbers; false with an exception pending where they are none. */
static bool int_arguments(napi_env env, napi_callback_info info, size_t count, int *ret_values)
{
	napi_value arguments[4];
	size_t given = count;

	if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) != napi_ok)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (napi_get_value_int32(env, arguments[i], &ret_values[i]) != napi_ok) {
			(void)napi_throw_type_error(env, NULL, "must be a number");
			return false;
		}
	}
	return true;
}

/* As Node does for its children: an earlier program may have left what the child shares with others non-blocking. */
static void make_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_NONBLOCK) != 0)
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Every descriptor of Node's is closed by exec; the child keeps 0 to 2 and its end of the control socket. */
static int plan_descriptors(posix_spawn_file_actions_t *actions, const int copies[4])
{
	int error = posix_spawn_file_actions_addchdir_np(actions, "/");

	for (int i = 0; i < 4 && error == 0; i++)
		error = posix_spawn_file_actions_adddup2(actions, copies[i], i);
	return error;
}

/* No signal of Node's is ignored or blocked in the child. */
static int plan_signals(posix_spawnattr_t *attributes)
{
	sigset_t all;
	sigset_t none;
	int error;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	error = posix_spawnattr_setsigdefault(attributes, &all);
	if (error == 0)
		error = posix_spawnattr_setsigmask(attributes, &none);
	return error != 0 ? error
			  : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

static int spawn_with(char *path, const int copies[4], pid_t *ret_pid)
{
	char run[] = "run";
	char *argv[] = { path, run, NULL };
	char *empty[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error = posix_spawn_file_actions_init(&actions);

	if (error != 0)
		return error;
	error = posix_spawnattr_init(&attributes);
	if (error == 0) {
		error = plan_descriptors(&actions, copies);
		if (error == 0)
			error = plan_signals(&attributes);
		if (error == 0)
			error = posix_spawn(ret_pid, path, &actions, &attributes, argv, empty);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* start(path, stdin, stdout, stderr) -> [pid, control]; throws an Error with strerror's words. */
static napi_value start(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	napi_value pair = NULL;
	size_t given = 4;
	size_t length = 0;
	char path[4096];
	int sockets[2] = { -1, -1 };
	int copies[4] = { -1, -1, -1, -1 };
	int error = 0;
	pid_t pid = -1;

	if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) != napi_ok || given != 4)
		return fail(env, "EINVAL", EINVAL);
	/* A longer one is cut, which the length then shows. */
	if (napi_get_value_string_utf8(env, arguments[0], path, sizeof(path), &length) != napi_ok ||
	    length >= sizeof(path) - 1)
		return fail(env, "ENAMETOOLONG", ENAMETOOLONG);
	if (strlen(path) != length)
		return fail(env, "EINVAL", EINVAL);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
		return fail(env, "socketpair", errno);
	for (int i = 0; i < 4 && error == 0; i++) {
		int source = sockets[1];

		if (i < CONTROL_FD && napi_get_value_int32(env, arguments[i + 1], &source) != napi_ok) {
			error = EINVAL;
			break;
		}
		copies[i] = fcntl(source, F_DUPFD_CLOEXEC, LOWEST_COPY);
		if (copies[i] < 0)
			error = errno;
		else if (i < CONTROL_FD)
			make_blocking(source);
	}
	if (error == 0)
		error = spawn_with(path, copies, &pid);
	for (int i = 0; i < 4; i++) {
		if (copies[i] >= 0)
			(void)close(copies[i]);
	}
	(void)close(sockets[1]);
	if (error != 0 || napi_create_array_with_length(env, 2, &pair) != napi_ok) {
		/* The lifeline: should there be a child after all, it ends. */
		(void)close(sockets[0]);
		return fail(env, "spawn", error);
	}
	(void)napi_set_element(env, pair, 0, from_int(env, pid));
	(void)napi_set_element(env, pair, 1, from_int(env, sockets[0]));
	return pair;
}

struct wait_work {
	napi_async_work work;
	napi_deferred deferred;
	pid_t pid;
	int status;
};

static void wait_for_child(napi_env env, void *data)
{
	struct wait_work *work = data;
	pid_t got;

	(void)env;
	do
		got = waitpid(work->pid, &work->status, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		work->status = -1;
}

static void tell_status(napi_env env, napi_status status, void *data)
{
	struct wait_work *work = data;

	(void)status;
	(void)napi_resolve_deferred(env, work->deferred, from_int(env, work->status));
	(void)napi_delete_async_work(env, work->work);
	free(work);
}

/* ended(pid) -> a promise of the status of wait(2), -1 where the child was not ours to wait for. */
static napi_value ended(napi_env env, napi_callback_info info)
{
	struct wait_work *work;
	napi_value promise = NULL;
	napi_value name = NULL;
	int pid;

	if (!int_arguments(env, info, 1, &pid))
		return NULL;
	work = calloc(1, sizeof(*work));
	if (work == NULL)
		return fail(env, "ENOMEM", ENOMEM);
	work->pid = pid;
	if (napi_create_promise(env, &work->deferred, &promise) != napi_ok ||
	    napi_create_string_utf8(env, "belljar-wait", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_async_work(env, NULL, name, wait_for_child, tell_status, work, &work->work) != napi_ok ||
	    napi_queue_async_work(env, work->work) != napi_ok) {
		free(work);
		return fail(env, "ENOMEM", ENOMEM);
	}
	return promise;
}

/* hangUp(control): who reads there, here or in the child, comes to the end, which closing alone would not bring about here. */
static napi_value hang_up(napi_env env, napi_callback_info info)
{
	int fd;

	if (int_arguments(env, info, 1, &fd))
		(void)shutdown(fd, SHUT_RDWR);
	return NULL;
}

/* connect(path) -> a descriptor, connected to whoever listens there; throws where nobody does, or has room. */
static napi_value connect_to(napi_env env, napi_callback_info info)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	napi_value argument;
	size_t given = 1;
	size_t length = 0;
	int flags;

	if (napi_get_cb_info(env, info, &given, &argument, NULL, NULL) != napi_ok || given != 1)
		return fail(env, "EINVAL", EINVAL);
	if (napi_get_value_string_utf8(env, argument, address.sun_path, sizeof(address.sun_path), &length) != napi_ok ||
	    length >= sizeof(address.sun_path) - 1)
		return fail(env, "ENAMETOOLONG", ENAMETOOLONG);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(env, "socket", errno);
	/* A full queue is no reason to wait here; once connected, threads do. */
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || (flags = fcntl(fd, F_GETFL)) < 0 ||
	    fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
		int error = errno;

		(void)close(fd);
		return fail(env, "connect", error);
	}
	return from_int(env, fd);
}

static napi_value is_terminal(napi_env env, napi_callback_info info)
{
	napi_value result = NULL;
	int fd;

	if (!int_arguments(env, info, 1, &fd))
		return NULL;
	(void)napi_get_boolean(env, isatty(fd) == 1, &result);
	return result;
}

/* exit(status): at once. Node would first wait for its threads and take its heap apart, which the kernel does anyway. */
static napi_value exit_now(napi_env env, napi_callback_info info)
{
	int status;

	if (int_arguments(env, info, 1, &status))
		_exit(status);
	return NULL;
}

/* The header defines this function without declaring it. */
NAPI_MODULE_EXPORT int32_t NODE_API_MODULE_GET_API_VERSION(void);

NAPI_MODULE_INIT()
{
	static const napi_property_descriptor properties[] = {
		{ "start", NULL, start, NULL, NULL, NULL, napi_enumerable, NULL },
		{ "connect", NULL, connect_to, NULL, NULL, NULL, napi_enumerable, NULL },
		{ "ended", NULL, ended, NULL, NULL, NULL, napi_enumerable, NULL },
		{ "hangUp", NULL, hang_up, NULL, NULL, NULL, napi_enumerable, NULL },
		{ "isTerminal", NULL, is_terminal, NULL, NULL, NULL, napi_enumerable, NULL },
		{ "exit", NULL, exit_now, NULL, NULL, NULL, napi_enumerable, NULL },
	};

	if (napi_define_properties(env, exports, sizeof(properties) / sizeof(properties[0]), properties) != napi_ok)
		return NULL;
	return exports;
}
