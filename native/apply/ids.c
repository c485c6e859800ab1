// SPDX-License-Identifier: Apache-2.0
/*
 * In a user namespace of its own this program may change owners and modes of what belongs to mapped ids, and nothing else on the
 * host. What it needs for that stays, every other capability goes.
 */
#include "ids.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/wait.h>

#include "sys.h"
#include "util.h"

enum { MAX_MAPS = 32 };
_Static_assert(CAP_SETFCAP < 32, "one word of capabilities");

static int write_file(const char *path, const char *text)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_all(fd, text, strlen(text));
}

static int map_single(uid_t uid, gid_t gid)
{
	char line[32];
	struct text text = text_in(line, sizeof(line));
	int r;

	text_add(&text, "0 ");
	text_add_u64(&text, uid);
	text_add(&text, " 1");
	r = write_file("/proc/self/uid_map", line);
	if (r == 0)
		r = write_file("/proc/self/setgroups", "deny");
	text = text_in(line, sizeof(line));
	text_add(&text, "0 ");
	text_add_u64(&text, gid);
	text_add(&text, " 1");
	return r < 0 ? r : write_file("/proc/self/gid_map", line);
}

/* In the mapper, outside the namespace: becomes newuidmap or newgidmap. The map's separators become the ends of its numbers. */
static int exec_helper(const char *path, const char *pid, char *map)
{
	char *argv[2 + 3 * MAX_MAPS + 1] = { (char *)(uintptr_t)path, (char *)(uintptr_t)pid };
	char *const envp[] = { NULL };
	int argc = 2;

	while (argc < 2 + 3 * MAX_MAPS) {
		argv[argc++] = map;
		map += strcspn(map, ":,");
		if (!*map)
			break;
		*map++ = '\0';
	}
	(void)execve(path, argv, envp);
	return -errno;
}

static int run_helper(const char *path, const char *pid, char *map)
{
	int status, child = sys_fork(NULL);

	if (child < 0)
		return child;
	if (child == 0)
		_exit(exec_helper(path, pid, map) == -ENOENT ? 127 : 126);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 126)
		return -EACCES;
	return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) == 127 ? -ENOENT : -EPERM;
}

/* The helpers must run outside the new namespace, so their caller is forked before it is made, and told when it is. */
static int mapper(char *const *ids, int told, pid_t target)
{
	char pid[24], go;
	struct text text = text_in(pid, sizeof(pid));
	int r;

	text_add_u64(&text, (uint64_t)target);
	if (read_all(told, &go, 1) < 0)
		return -ECANCELED;
	r = run_helper(ids[1], pid, ids[3]);
	return r < 0 ? r : run_helper(ids[0], pid, ids[2]);
}

static int enter_subordinate(char *const *ids, enum apply_stage *ret_stage)
{
	pid_t own = getpid();
	int tell[2], status, child, r;

	if (pipe2(tell, O_CLOEXEC) < 0)
		return -errno;
	child = sys_fork(NULL);
	if (child < 0)
		return child;
	if (child == 0) {
		close_fd(&tell[1]);
		_exit(-mapper(ids, tell[0], own));
	}
	r = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : write_all(tell[1], "", 1);
	(void)close(tell[0]);
	(void)close(tell[1]);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (r < 0)
		return r;
	*ret_stage = APPLY_STAGE_MAP_IDS;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return WIFEXITED(status) ? -WEXITSTATUS(status) : -EACCES;
	return setresgid(0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresuid(0, 0, 0) < 0 ? -errno : 0;
}

static int drop_capabilities(void)
{
	/* SETFCAP for security.capability: the kernel binds such a file to the root of this namespace. */
	const uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
			      1u << CAP_FSETID | 1u << CAP_SETFCAP;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = { { .effective = keep, .permitted = keep } };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int ids_enter(char *const *ids, int count, enum apply_stage *ret_stage)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	int r;

	*ret_stage = APPLY_STAGE_NAMESPACE;
	if (count == 1 && strcmp(ids[0], "single") == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return -errno;
		*ret_stage = APPLY_STAGE_MAP_IDS;
		r = map_single(uid, gid);
	} else if (count == 5 && strcmp(ids[0], "subordinate") == 0)
		r = enter_subordinate(ids + 1, ret_stage);
	else
		return -EINVAL;
	return r < 0 ? r : drop_capabilities();
}
