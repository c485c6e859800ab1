// SPDX-License-Identifier: Apache-2.0
/*
 * `belljar-launch probe`: tries, each in a child of its own, what a run will need, and prints one JSON object
 * {"name":{"ok":bool,"errno":n,"value":n},...}. A feature counts when it worked, not when a version promises it.
 */
#include "probe.h"

#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "sys.h"
#include "util.h"

static int write_text(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* Maps id 0 to the caller's; needs the ids from before the new user namespace. */
static int map_ids(uid_t uid, gid_t gid)
{
	char line[64];
	int r = write_text("/proc/self/setgroups", "deny");

	if (r < 0)
		return r;
	(void)snprintf(line, sizeof(line), "0 %u 1\n", gid);
	r = write_text("/proc/self/gid_map", line);
	if (r < 0)
		return r;
	(void)snprintf(line, sizeof(line), "0 %u 1\n", uid);
	return write_text("/proc/self/uid_map", line);
}

static int enter(int more)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	int r = unshare(CLONE_NEWUSER) < 0 ? -errno : map_ids(uid, gid);

	return r < 0 ? r : more && unshare(more) < 0 ? -errno : 0;
}

static int try_userns(void)
{
	return enter(0);
}

static int try_mountns(void)
{
	int r = enter(CLONE_NEWNS);

	return r < 0 ? r : mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int try_netns(void)
{
	return enter(CLONE_NEWNET);
}

static int try_forbid(void)
{
	int r = enter(0);

	if (r == 0)
		r = write_text("/proc/sys/user/max_user_namespaces", "0");
	return r < 0 ? r : unshare(CLONE_NEWUSER) == 0 ? -EEXIST : 0;
}

static int new_proc(bool subset)
{
	int status, r = enter(CLONE_NEWNS | CLONE_NEWPID);

	if (r < 0)
		return r;
	int pid = sys_fork(NULL); /* a procfs shows the pid namespace of whoever mounts it */
	if (pid == 0) {
		CLEANUP_FD int fs = sys_fsopen("proc");

		r = fs;
		if (r >= 0 && subset)
			r = sys_fsconfig(fs, SYS_FSCONFIG_STRING, "subset", "pid");
		if (r >= 0)
			r = sys_fsconfig(fs, SYS_FSCONFIG_CREATE, NULL, NULL);
		if (r >= 0)
			r = sys_fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		_exit(r < 0 ? -r : 0);
	}
	if (pid < 0)
		return pid;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int try_proc(void)
{
	return new_proc(true);
}

static int try_proc_full(void)
{
	return new_proc(false);
}

/* In the working directory. */
static int mount_overlay_here(void)
{
	if (mkdir("lower", 0755) < 0 || mkdir("lower/d", 0755) < 0 || mkdir("upper", 0755) < 0 ||
	    mkdir("work", 0755) < 0 || mkdir("m", 0755) < 0)
		return -errno;
	return mount("overlay", "m", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr") < 0 ? -errno
													       : 0;
}

static int mount_overlay(void)
{
	int r = enter(CLONE_NEWNS);

	if (r < 0)
		return r;
	if (mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0 || chdir("/proc") < 0)
		return -errno;
	return mount_overlay_here();
}

/* A mount that succeeds proves nothing: without user xattrs on the upper, removing a lower directory fails with EIO. */
static int use_overlay(int mounted)
{
	if (mounted < 0)
		return mounted;
	if (setxattr("upper", "user.overlay.opaque", "n", 1, 0) < 0)
		return -errno;
	if (rmdir("m/d") < 0 || mkdir("m/d", 0755) < 0 || access("m/d", R_OK | W_OK) < 0)
		return -errno;
	return 0;
}

static int try_overlay(void)
{
	return use_overlay(mount_overlay());
}

int probe_overlay(const char *folder)
{
	/* The folder is the caller's: as the caller, then. */
	int r = chdir(folder) < 0 ? -errno : enter(CLONE_NEWNS);

	r = use_overlay(r < 0 ? r : mount_overlay_here());
	return r < 0 ? -r : 0;
}

static int try_landlock(void)
{
	return sys_result(syscall(SYS_landlock_create_ruleset, NULL, 0, 1));
}

static int try_seccomp(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return sys_result(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}

static int install(unsigned int flags)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { .len = 1, .filter = allow };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	int r = sys_result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
	return r < 0 ? r : 0;
}

static int try_notify(void)
{
	return install(SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

static int try_wait_killable(void)
{
	return install(SECCOMP_FILTER_FLAG_NEW_LISTENER | (1u << 5));
}

static int try_perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.disabled = 1,
					.inherit = 1,
					.exclude_kernel = 1,
					.exclude_hv = 1,
					.enable_on_exec = 1 };
	int r = sys_result(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 8));

	return r < 0 ? r : 0;
}

static int try_no_new_privs(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
}

static int try_children(void)
{
	return access("/proc/thread-self/children", R_OK) < 0 ? -errno : 0;
}

static int try_fuse(void)
{
	CLEANUP_FD int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

struct answer {
	int result;
};

/* Each in a child: namespaces and filters cannot be taken off again. */
static int in_child(int (*function)(void))
{
	struct answer answer = { -ECHILD };
	int ends[2], status;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	int pid = sys_fork(NULL);
	if (pid == 0) {
		answer.result = function();
		_exit(write_all(ends[1], &answer, sizeof(answer)) < 0);
	}
	(void)close(ends[1]);
	if (pid > 0 && read_all(ends[0], &answer, sizeof(answer)) < 0)
		answer.result = -ECHILD;
	(void)close(ends[0]);
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	return pid < 0 ? pid : answer.result;
}

int probe_main(void)
{
	static const struct {
		const char *name;
		int (*function)(void);
	} probes[] = {
		{ "userns", try_userns },
		{ "mountns", try_mountns },
		{ "netns", try_netns },
		{ "forbidUserNamespaces", try_forbid },
		{ "proc", try_proc },
		{ "procFull", try_proc_full },
		{ "overlayMount", mount_overlay },
		{ "overlay", try_overlay },
		{ "landlock", try_landlock },
		{ "seccomp", try_seccomp },
		{ "seccompNotify", try_notify },
		{ "seccompWaitKillable", try_wait_killable },
		{ "perfClock", try_perf },
		{ "noNewPrivs", try_no_new_privs },
		{ "procChildren", try_children },
		{ "fuse", try_fuse },
	};
	char line[2048];
	struct text text = text_in(line, sizeof(line));

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		int r = in_child(probes[i].function);

		text_add(&text, i ? ",\"" : "{\"");
		text_add(&text, probes[i].name);
		text_add(&text, r < 0 ? "\":{\"ok\":false,\"errno\":" : "\":{\"ok\":true,\"errno\":0,\"value\":");
		text_add_u64(&text, (uint64_t)(r < 0 ? -r : r));
		text_add(&text, "}");
	}
	text_add(&text, "}\n");
	return text.full || write_all(1, line, strlen(line)) < 0;
}
