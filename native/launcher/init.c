// SPDX-License-Identifier: Apache-2.0
/*
 * init: PID 1 of the sandbox. After clone3 it owns all new namespaces with every capability in them and nothing on the
 * host beyond the caller's own rights. It maps its ids, hides itself, builds the file system, forks the program task, and
 * then gives everything up: no capability, no descriptor but its channel and a signalfd, and a filter that permits
 * reaping and reporting. Everything here is async-signal-safe: the task is a fork of the launcher.
 *
 * Whoever dies first: when the launcher dies, init gets SIGKILL (parent-death signal) and sees end of file on the channel;
 * when init dies the kernel kills the whole pid namespace.
 */
#include "init.h"

#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>

#include "message.h"
#include "sys.h"
#include "util.h"

int init_fail(struct init *init, uint32_t step, uint32_t index, int error, const char *text)
{
	init->failure.stage = STAGE_INIT;
	init->failure.step = step;
	init->failure.index = index;
	init->failure.error = error < 0 ? -error : error;
	copy_text(init->failure.text, sizeof(init->failure.text), text);
	return error < 0 ? error : error > 0 ? -error : -EPROTO;
}

static int say(struct init *init, uint32_t kind, const int *fds, unsigned int count)
{
	struct init_message message = {
		.kind = kind,
		.has_segments = init->segments >= 0,
		.scratch_bytes = init->base_bytes,
		.scratch_inodes = init->base_inodes,
		.failure = init->failure,
	};

	return message_send(init->channel, &message, sizeof(message), fds, count);
}

/* Waits for the launcher; end of file means that it is gone, and then so are we. */
static void hear(struct init *init, uint32_t kind, int *fds, unsigned int count)
{
	struct exec_message message;
	unsigned int came = count;
	int r = message_receive(init->channel, &message, sizeof(message), fds, &came, NULL, 0);

	if (r == -EMFILE) {
		(void)init_fail(init, STEP_RECEIVE_EXEC, 0, r, "");
		(void)say(init, INIT_FAILED, NULL, 0);
	}
	if (r != 1 || message.kind != kind || came != count)
		_exit(1);
}

static int die_with_parent(struct init *init)
{
	struct pollfd lifeline = { .fd = init->channel, .events = POLLIN };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return init_fail(init, STEP_DIE_WITH_PARENT, 0, errno, "");
	/* A parent that died before the call above sends no signal, and getppid() is 0 either way in a new pid namespace. */
	if (poll(&lifeline, 1, 0) > 0 && (lifeline.revents & (POLLHUP | POLLERR)))
		_exit(1);
	return 0;
}

static int write_proc(struct init *init, const char *path, const char *value)
{
	CLEANUP_FD int fd = openat(init->host_proc, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

static int write_map(struct init *init, const char *path, struct wire_list list)
{
	const struct wire_id_map *map = plan_item(&init->plan->sandbox_part, list, wire_id_map, 0);
	char line[64];
	struct text text = text_in(line, sizeof(line));

	text_add_u64(&text, map->container_id);
	text_add(&text, " ");
	text_add_u64(&text, map->host_id);
	text_add(&text, " 1\n");
	return write_proc(init, path, line);
}

/*
 * Single id: a process may map its own id without help. Must come before the task is made non-dumpable, which gives
 * /proc/self/uid_map to root.
 */
static int map_self(struct init *init)
{
	const struct wire_sandbox_plan *plan = init->plan->sandbox;
	int r;

	if (plan->id_mode == ID_MODE_SUBORDINATE) {
		r = say(init, INIT_WANTS_IDS, NULL, 0);
		if (r < 0)
			return init_fail(init, STEP_MAP_SELF, 0, r, "channel");
		hear(init, EXEC_GO_ON, NULL, 0);
		/* Without this, where the caller's own id is outside the map, all our files would belong to nobody. */
		if (!plan->caller_mapped &&
		    (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0))
			return init_fail(init, STEP_MAP_SELF, 1, errno, "id 0");
		return die_with_parent(init); /* a credential change clears the parent-death signal */
	}
	if (plan->deny_setgroups) {
		r = write_proc(init, "self/setgroups", "deny");
		if (r < 0)
			return init_fail(init, STEP_MAP_SELF, 0, r, "/proc/self/setgroups");
	}
	r = write_map(init, "self/gid_map", plan->gid_maps);
	if (r < 0)
		return init_fail(init, STEP_MAP_SELF, 1, r, "/proc/self/gid_map");
	r = write_map(init, "self/uid_map", plan->uid_maps);
	return r < 0 ? init_fail(init, STEP_MAP_SELF, 2, r, "/proc/self/uid_map") : 0;
}

/* The sysctl is looked up in the user namespace of whoever opens it, through any procfs. */
static int forbid_user_namespaces(struct init *init)
{
	const char *path = "/proc/sys/user/max_user_namespaces";
	int r;

	/* inotify instances are the caller's on the whole host; a program that takes them all would starve everything of his. */
	(void)write_proc(init, "sys/user/max_inotify_instances", "64");
	(void)write_proc(init, "sys/user/max_inotify_watches", "16384");
	if (init->plan->sandbox->user_namespaces == USER_NAMESPACES_ALLOW)
		return 0;
	r = write_proc(init, "sys/user/max_user_namespaces", "0");
	if (r < 0)
		return init_fail(init, STEP_FORBID_USER_NAMESPACES, 0, r, path);
	if (unshare(CLONE_NEWUSER) == 0)
		return init_fail(init, STEP_FORBID_USER_NAMESPACES, 1, 0, path);
	return 0;
}

static int private_mounts(struct init *init)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return init_fail(init, STEP_PRIVATE_MOUNTS, 0, errno, "/");
	return 0;
}

/* Companions join by these descriptors; they are opened while we are still allowed to, see hide_init. */
struct namespaces {
	int fds[4];
	unsigned int count;
};

static int open_namespaces(struct init *init, struct namespaces *ret)
{
	static const char *const names[] = { "self/ns/user", "self/ns/mnt", "self/ns/net" };
	unsigned int wanted = init->plan->sandbox->companions.count		    ? 3
			      : init->plan->sandbox->id_mode == ID_MODE_SUBORDINATE ? 1
										    : 0;

	ret->count = 0;
	for (unsigned int i = 0; i < wanted; i++) {
		int fd = openat(init->host_proc, names[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			return init_fail(init, STEP_HIDE_INIT, i, errno, names[i]);
		ret->fds[ret->count++] = fd;
	}
	return 0;
}

static int hide_init(struct init *init)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return init_fail(init, STEP_HIDE_INIT, 9, errno, "");
	return 0;
}

static int start_companions(struct init *init, struct namespaces *namespaces)
{
	int r;

	if (init->plan->sandbox->companions.count == 0)
		return 0;
	if (init->fuse >= 0)
		namespaces->fds[namespaces->count++] = init->fuse;
	r = say(init, INIT_NAMESPACES, namespaces->fds, namespaces->count);
	if (r < 0)
		return init_fail(init, STEP_COMPANIONS, 0, r, "channel");
	hear(init, EXEC_GO_ON, NULL, 0);
	/* Only the companion holds the connection now: when it dies, the mount fails instead of hanging. */
	close_fd(&init->fuse);
	return 0;
}

static int pivot(struct init *init)
{
	/* The old root ends up stacked on the new one at "."; detaching it also drops the scratch tmpfs's own attachment. */
	if (fchdir(init->root) < 0)
		return init_fail(init, STEP_PIVOT, 0, errno, "");
	int r = sys_pivot_root(".", ".");
	if (r < 0)
		return init_fail(init, STEP_PIVOT, 1, r, "");
	if (umount2(".", MNT_DETACH) < 0)
		return init_fail(init, STEP_PIVOT, 2, errno, "");
	if (chdir("/") < 0)
		return init_fail(init, STEP_PIVOT, 3, errno, "");
	return 0;
}

static int set_hostname(struct init *init)
{
	const char *name = plan_text(&init->plan->sandbox_part, init->plan->sandbox->hostname);

	if (*name && sethostname(name, strlen(name)) < 0)
		return init_fail(init, STEP_HOSTNAME, 0, errno, name);
	return 0;
}

static int loopback(struct init *init)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (init->plan->sandbox->network != NETWORK_MODE_PRIVATE)
		return 0;
	CLEANUP_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return init_fail(init, STEP_LOOPBACK, 0, errno, "lo");
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? init_fail(init, STEP_LOOPBACK, 1, errno, "lo") : 0;
}

static int ready(struct init *init, const struct namespaces *namespaces)
{
	const char *work = plan_text(&init->plan->sandbox_part, init->plan->sandbox->work_path);
	int fds[MESSAGE_MAX_FDS] = { -1, -1, init->scratch, -1, -1 };
	unsigned int count = 3;
	int r;

	fds[0] = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fds[0] < 0)
		return init_fail(init, STEP_READY, 0, errno, "/");
	fds[1] = sys_open_in_root(fds[0], work, O_PATH | O_DIRECTORY);
	if (fds[1] < 0)
		return init_fail(init, STEP_READY, 1, fds[1], work);
	if (init->segments >= 0)
		fds[count++] = init->segments;
	if (init->plan->sandbox->id_mode == ID_MODE_SUBORDINATE)
		fds[count++] = namespaces->fds[0];
	r = say(init, INIT_READY, fds, count);
	return r < 0 ? init_fail(init, STEP_READY, 2, r, "channel") : 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return sys_result(syscall(SYS_capset, &header, none));
}

/* From here on a program that took over init's address space could do nothing that it cannot do by itself. */
static int guard_init(struct init *init, int *ret_signals)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	/* Channel to 0, signals to 1, everything else closed: no descriptor of the caller's is left in any task of ours. */
	if (dup2(init->channel, 0) < 0)
		return init_fail(init, STEP_GUARD_INIT, 0, errno, "channel");
	int signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || dup2(signals, 1) < 0)
		return init_fail(init, STEP_GUARD_INIT, 1, errno, "signalfd");
	init->channel = 0;
	*ret_signals = 1;
	r = sys_close_range(2, ~0u, 0);
	if (r == 0)
		r = drop_capabilities();
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0)
		r = guard_filter();
	return r < 0 ? init_fail(init, STEP_GUARD_INIT, 2, r, "") : 0;
}

static int build(struct init *init)
{
	struct namespaces namespaces = { .count = 0 };
	int r;

	/* Each step depends on those before it; the order is documented in docs/launch-steps.md. */
	if ((r = die_with_parent(init)) < 0 || (r = map_self(init)) < 0 || (r = forbid_user_namespaces(init)) < 0)
		return r;
	if ((r = open_namespaces(init, &namespaces)) < 0 || (r = hide_init(init)) < 0 || (r = private_mounts(init)) < 0)
		return r;
	if ((r = fs_make_scratch(init)) < 0 || (r = start_companions(init, &namespaces)) < 0 ||
	    (r = fs_build(init)) < 0)
		return r;
	if ((r = fs_seal(init)) < 0 || (r = pivot(init)) < 0 || (r = set_hostname(init)) < 0 ||
	    (r = loopback(init)) < 0)
		return r;
	return ready(init, &namespaces);
}

UNDER_GUARD void init_main(struct plan *plan, int channel)
{
	struct init init = { .plan = plan,
			     .channel = channel,
			     .host_proc = -1,
			     .cover = -1,
			     .scratch = -1,
			     .parts = -1,
			     .fuse = -1,
			     .root = -1,
			     .segments = -1,
			     .exec_fds = { -1, -1, -1, -1 } };
	unsigned int terminal = plan->exec->stdin == STDIO_KIND_TERMINAL;
	int signals = -1;
	pid_t program = -1;
	int r;

	/* All signals stay blocked in init: it reads SIGCHLD from a signalfd, and nothing else concerns it. */
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)umask(0);
	init.host_proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* It shows the IPC namespace of who opens it. A host that hides it leaves those segments unsampled. */
	if (init.host_proc >= 0 &&
	    (plan->exec->mechanisms[LIMIT_MEMORY] == MECHANISM_SUPERVISOR || plan->exec->sample_ms))
		init.segments = openat(init.host_proc, "sysvipc/shm", O_RDONLY | O_CLOEXEC);
	r = init.host_proc < 0 ? init_fail(&init, STEP_MAP_SELF, 8, errno, "/proc") : build(&init);
	if (r == 0) {
		hear(&init, EXEC_RUN, init.exec_fds, terminal ? 1 : 4);
		program = sys_fork(NULL);
		if (program == 0)
			task_main(&init);
		plan_drop_handover(plan);
		r = program < 0 ? init_fail(&init, STEP_SPAWN_TASK, 0, program, "") : guard_init(&init, &signals);
	}
	if (r < 0) {
		(void)say(&init, INIT_FAILED, NULL, 0);
		_exit(1);
	}
	(void)say(&init, INIT_GUARDED, NULL, 0);
	init_reap(&init, signals, program);
}
