// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel takes for a sandbox and nothing more: the namespaces that the launcher makes, the mounts that its plan has for a root file
 * system of a few directories, pivot_root and exec. No filter, no Landlock, no limit, no pipe, no init: nothing that anybody should run a stranger's
 * program in. It is the floor that the launcher and the run server are compared with.
 */
#include "ways.h"

#include "sys.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>

/* A result of sys.h, or 0 and -1 with errno; gives a descriptor back. */
static int must(int result, const char *what)
{
	if (result >= 0)
		return result;
	dprintf(2, "bench: bare: %s: %s\n", what, strerror(result == -1 && errno ? errno : -result));
	_exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CLOEXEC), path);

	must((int)write(fd, text, strlen(text)), path);
	close(fd);
}

static int clone_tree(int at, const char *path, unsigned int flags, uint64_t attributes)
{
	const struct sys_mount_attr attr = { .attr_set = attributes, .propagation = MS_PRIVATE };
	int tree = must(sys_open_tree(at, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags), path);

	must(sys_mount_setattr(tree, flags, &attr), path);
	return tree;
}

static int new_mount(const char *type, const char *key, const char *value, unsigned int attributes)
{
	int mount, fs = must(sys_fsopen(type), type);

	must(sys_fsconfig(fs, value ? SYS_FSCONFIG_STRING : SYS_FSCONFIG_FLAG, key, value), key);
	must(sys_fsconfig(fs, SYS_FSCONFIG_CREATE, NULL, NULL), type);
	mount = must(sys_fsmount(fs, attributes), type);
	close(fs);
	return mount;
}

static void attach(int mount, int root, const char *target)
{
	must((int)syscall(SYS_move_mount, mount, "", root, target, MOVE_MOUNT_F_EMPTY_PATH), target);
	close(mount);
}

static void add_folder(int root, const char *target, int parts, const char *name)
{
	must(mkdirat(parts, name, 0777), name);
	must(mkdirat(root, target, 0755), target);
	attach(clone_tree(parts, name, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), root, target);
}

static void add_devices(int root)
{
	static const char *const nodes[] = {
		"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty"
	};
	char path[32];

	must(mkdirat(root, "dev", 0755), "dev");
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		snprintf(path, sizeof(path), "/%s", nodes[i]);
		must(mknodat(root, nodes[i], S_IFREG | 0644, 0), nodes[i]);
		attach(clone_tree(AT_FDCWD, path, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC), root, nodes[i]);
	}
	must(mkdirat(root, "dev/pts", 0755), "dev/pts");
	attach(new_mount("devpts", "newinstance", NULL, MOUNT_ATTR_NOSUID), root, "dev/pts");
}

/* Every directory of the root file system but those that are the sandbox's own. */
static void add_rootfs(int root, const char *rootfs)
{
	static const uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY;
	DIR *dir = opendir(rootfs);
	char path[4096];

	must(dir ? 0 : -1, rootfs);
	for (struct dirent *entry; (entry = readdir(dir));) {
		const char *name = entry->d_name;

		if (name[0] == '.' || entry->d_type != DT_DIR || strstr("dev proc tmp work", name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", rootfs, name);
		must(mkdirat(root, name, 0755), name);
		attach(clone_tree(AT_FDCWD, path, AT_RECURSIVE, attributes), root, name);
	}
	closedir(dir);
}

static void build(const char *rootfs)
{
	int scratch = new_mount("tmpfs", "mode", "0755", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	int parts, root;

	/* Over a directory that is everywhere: parts of a mount that is attached nowhere can be bound only since Linux 6.15. */
	attach(dup(scratch), AT_FDCWD, "/sys");
	must(mkdirat(scratch, "parts", 0755), "parts");
	must(mkdirat(scratch, "root", 0755), "root");
	parts = must(openat(scratch, "parts", O_PATH | O_CLOEXEC), "parts");
	root = clone_tree(scratch, "root", 0, 0);
	attach(dup(root), scratch, "root");
	add_rootfs(root, rootfs);
	must(mkdirat(root, "proc", 0755), "proc");
	attach(new_mount("proc", "subset", "pid", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC), root,
	       "proc");
	add_devices(root);
	add_folder(root, "dev/shm", parts, "shm");
	add_folder(root, "tmp", parts, "tmp");
	add_folder(root, "work", parts, "work");
	must(fchdir(root), "root");
	must(sys_pivot_root(".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/work"), "/work");
}

static void map_ids(uid_t uid, gid_t gid)
{
	char line[64];

	put("/proc/self/setgroups", "deny");
	snprintf(line, sizeof(line), "1000 %u 1\n", gid);
	put("/proc/self/gid_map", line);
	snprintf(line, sizeof(line), "1000 %u 1\n", uid);
	put("/proc/self/uid_map", line);
}

pid_t bare_start(const char *rootfs, char **argv)
{
	struct sys_clone_args args = {
		.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
			 CLONE_NEWNET,
		.exit_signal = SIGCHLD,
	};
	uid_t uid = getuid();
	gid_t gid = getgid();
	pid_t pid = sys_clone3(&args);
	int null;

	if (pid < 0) {
		errno = -pid;
		die("clone3");
	}
	if (pid > 0)
		return pid;
	null = must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	must(dup2(null, 0), "stdin");
	must(dup2(null, 1), "stdout");
	map_ids(uid, gid);
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "/");
	build(rootfs);
	must(sethostname("belljar", 7), "hostname");
	execve(argv[0], argv, environ);
	must(-errno, argv[0]);
	_exit(1);
}
