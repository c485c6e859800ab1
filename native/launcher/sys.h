/* SPDX-License-Identifier: Apache-2.0
 *
 * Raw system calls and kernel structures in one place. Wrappers return a negative errno, never -1, so that an error
 * can be passed on without a global. Nothing here allocates; all of it may be called after a fork.
 */
#ifndef BELLJAR_SYS_H
#define BELLJAR_SYS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers are the same on every architecture since 5.1. */
#ifndef SYS_open_tree
#define SYS_open_tree  428
#define SYS_move_mount 429
#define SYS_fsopen     430
#define SYS_fsconfig   431
#define SYS_fsmount    432
#define SYS_fspick     433
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_send_signal 424
#define SYS_pidfd_open	      434
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE	  1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x04
#define MOVE_MOUNT_T_EMPTY_PATH 0x40
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x01
#define MOUNT_ATTR_NOSUID 0x02
#define MOUNT_ATTR_NODEV  0x04
#define MOUNT_ATTR_NOEXEC 0x08
#endif
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP UINT64_C(0x200000000)
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef FSOPEN_CLOEXEC
#define FSOPEN_CLOEXEC	1u
#define FSMOUNT_CLOEXEC 1u
#endif
#ifndef FSPICK_CLOEXEC
#define FSPICK_CLOEXEC 1u
#endif
#ifndef FSPICK_EMPTY_PATH
#define FSPICK_EMPTY_PATH 8u
#endif

enum sys_fsconfig {
	SYS_FSCONFIG_FLAG = 0,
	SYS_FSCONFIG_STRING = 1,
	SYS_FSCONFIG_CREATE = 6,
	SYS_FSCONFIG_RECONFIGURE = 7,
};

struct sys_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
		cgroup;
};

struct sys_mount_attr {
	uint64_t attr_set, attr_clr, propagation, userns_fd;
};

static inline int sys_result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static inline int sys_clone3(struct sys_clone_args *args)
{
	return sys_result(syscall(SYS_clone3, args, sizeof(*args)));
}

/* fork by clone3, so that no pthread_atfork machinery of the C library runs. */
static inline int sys_fork(int *pidfd)
{
	struct sys_clone_args args = { .exit_signal = SIGCHLD };

	if (pidfd) {
		args.flags = CLONE_PIDFD;
		args.pidfd = (uintptr_t)pidfd;
	}
	return sys_clone3(&args);
}

static inline int sys_open_tree(int dir, const char *path, unsigned int flags)
{
	return sys_result(syscall(SYS_open_tree, dir, path, flags));
}

static inline int sys_move_mount(int from, int to)
{
	return sys_result(syscall(SYS_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

/* To the name in a directory; a link of that name is not followed. */
static inline int sys_move_mount_to(int from, int dir, const char *name)
{
	return sys_result(syscall(SYS_move_mount, from, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH));
}

static inline int sys_fsopen(const char *type)
{
	return sys_result(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
}

static inline int sys_fsconfig(int fs, unsigned int command, const char *key, const char *value)
{
	return sys_result(syscall(SYS_fsconfig, fs, command, key, value, 0));
}

static inline int sys_fsmount(int fs, unsigned int attributes)
{
	return sys_result(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes));
}

static inline int sys_fspick(int dir)
{
	return sys_result(syscall(SYS_fspick, dir, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
}

static inline int sys_mount_setattr(int dir, unsigned int flags, const struct sys_mount_attr *attr)
{
	return sys_result(syscall(SYS_mount_setattr, dir, "", flags | AT_EMPTY_PATH, attr, sizeof(*attr)));
}

static inline int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };

	return sys_result(syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

static inline int sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	return sys_result(syscall(SYS_close_range, first, last, flags));
}

/* Of those above stderr; `other` may be negative for none. */
static inline int sys_close_all_but(int one, int other)
{
	unsigned int low = (unsigned int)(other < 0 || one < other ? one : other);
	unsigned int high = (unsigned int)(one > other ? one : other);
	int r = low > 3 ? sys_close_range(3, low - 1, 0) : 0;

	if (r == 0 && high > low + 1)
		r = sys_close_range(low + 1, high - 1, 0);
	return r < 0 ? r : sys_close_range(high + 1, ~0u, 0);
}

/* struct statx (linux/stat.h), whose newer fields not every C library has, and musl's headers not at all. */
struct sys_statx {
	uint32_t mask;
	uint8_t before_ino[0x20 - 0x04];
	uint64_t ino, size, blocks;
	uint8_t before_device[0x88 - 0x38];
	uint32_t dev_major, dev_minor;
	uint64_t mount_id;
	uint8_t after[0x100 - 0x98];
};
_Static_assert(sizeof(struct sys_statx) == 0x100 && offsetof(struct sys_statx, ino) == 0x20 &&
		       offsetof(struct sys_statx, dev_major) == 0x88 && offsetof(struct sys_statx, mount_id) == 0x90,
	       "as the kernel lays it out");

enum { SYS_STATX_INO = 0x100, SYS_STATX_BLOCKS = 0x400, SYS_STATX_MOUNT_ID = 0x1000, SYS_STATX_DONT_SYNC = 0x4000 };

static inline int sys_statx(int dir, const char *name, int flags, unsigned int mask, struct sys_statx *ret_status)
{
	return sys_result(syscall(SYS_statx, dir, name, flags, mask, ret_status));
}

/* Number of the mount that an open file lies on; 0 where the kernel does not tell (it does since 5.8). */
static inline uint64_t sys_mount_id(int fd)
{
	struct sys_statx status;

	if (sys_statx(fd, "", AT_EMPTY_PATH, SYS_STATX_MOUNT_ID, &status) < 0 || !(status.mask & SYS_STATX_MOUNT_ID))
		return 0;
	return status.mount_id;
}

static inline int sys_pidfd_open(pid_t pid)
{
	return sys_result(syscall(SYS_pidfd_open, pid, 0)); /* close-on-exec */
}

static inline int sys_pidfd_send_signal(int pidfd, int signal)
{
	return sys_result(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0));
}

static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
	return sys_result(syscall(SYS_pivot_root, new_root, put_old));
}

static inline int sys_seccomp_install(const void *filter, uint32_t bytes)
{
	struct sock_fprog program = {
		.len = (unsigned short)(bytes / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)filter,
	};

	return sys_result(syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &program));
}

/* Numbers of newer flags (linux/seccomp.h). */
enum { SYS_SECCOMP_NEW_LISTENER = 8, SYS_SECCOMP_WAIT_KILLABLE = 32 };
#define SYS_NOTIF_SET_FLAGS _IOW('!', 4, uint64_t)
enum { SYS_NOTIF_SYNC_WAKE_UP = 1 };

/* Installs a filter and gives back the descriptor, close-on-exec, that hears of what it notifies. */
static inline int sys_seccomp_listen(const void *filter, uint32_t bytes, unsigned int flags)
{
	struct sock_fprog program = {
		.len = (unsigned short)(bytes / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)(uintptr_t)filter,
	};

	return sys_result(
		syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, SYS_SECCOMP_NEW_LISTENER | flags, &program));
}

/* The one resolver for paths that somebody hostile may have shaped: the kernel keeps the walk inside the root. */
static inline int sys_open_in_root(int root, const char *path, uint64_t flags)
{
	return sys_openat2(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* Calls `each` for the names in a directory until it says stop. getdents64, because readdir would allocate. */
static inline void sys_each_name(int dir, bool (*each)(const char *name, void *data), void *data)
{
	char entries[4096] __attribute__((aligned(8)));
	struct entry {
		uint64_t inode;
		int64_t offset;
		unsigned short length;
		unsigned char type;
		char name[];
	};

	for (long n; dir >= 0 && (n = syscall(SYS_getdents64, dir, entries, sizeof(entries))) > 0;) {
		for (long at = 0; at < n;) {
			const struct entry *entry = (const void *)(entries + at);

			if (each(entry->name, data))
				return;
			at += entry->length;
		}
	}
}

#endif
