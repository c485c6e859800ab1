// SPDX-License-Identifier: Apache-2.0
/*
 * The file system of the sandbox, built by descriptor.
 *
 * One tmpfs (scratch) holds everything that is ours: the skeleton of the root (scratch/root) and the writable places
 * (scratch/parts/work, scratch/parts/tmp, ...). It is attached over the host's /sys in our private mount namespace, because that
 * directory is nearly everywhere and neither we nor a companion need it by name (else over /proc); pivoting away detaches
 * it, while the bind mounts of its parts live on. Host paths are opened as the caller, targets only below the new root with RESOLVE_IN_ROOT.
 *
 * Mount points are made only on mounts of the scratch, never in a host directory: that is checked before each mkdir, so a writable
 * volume is not littered. A host folder of our caller's may take the place of the tmpfs; then nothing but its companion counts
 * what is in it.
 */
#include "fs.h"

#include <linux/magic.h>
#include <limits.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "sys.h"
#include "util.h"

#define PRIVATE_ATTR                      \
	{                                 \
		.propagation = MS_PRIVATE \
	}

struct use {
	uint64_t bytes, inodes;
};

static int scratch_use(int fd, struct use *ret)
{
	struct statfs status;

	if (fstatfs(fd, &status) < 0)
		return -errno;
	ret->bytes = (status.f_blocks - status.f_bfree) * (uint64_t)status.f_bsize;
	ret->inodes = status.f_files - status.f_ffree;
	return 0;
}

/* A new, detached mount of a file system type; options are key, value pairs (value NULL: a flag) ended by NULL. */
int fs_new_mount(const char *type, const char *const *options, unsigned int attributes)
{
	CLEANUP_FD int fs = sys_fsopen(type);
	int r = fs;

	for (; r >= 0 && options && *options; options += 2)
		r = sys_fsconfig(fs, options[1] ? SYS_FSCONFIG_STRING : SYS_FSCONFIG_FLAG, options[0], options[1]);
	if (r >= 0)
		r = sys_fsconfig(fs, SYS_FSCONFIG_CREATE, NULL, NULL);
	return r < 0 ? r : sys_fsmount(fs, attributes);
}

int fs_bind_in_place(int scratch, const char *name, int *ret_mount)
{
	if (mkdirat(scratch, name, 0755) < 0)
		return -errno;
	CLEANUP_FD int point = openat(scratch, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int mount = sys_open_tree(scratch, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (point < 0 || mount < 0)
		return point < 0 ? -errno : mount;
	*ret_mount = mount;
	return sys_move_mount(mount, point);
}

/* A host folder in the place of the tmpfs: a mount of its own, whose flags are ours. */
static int folder_mount(const char *path)
{
	struct sys_mount_attr attr = PRIVATE_ATTR;
	int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int r;

	if (tree < 0)
		return tree;
	attr.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	r = sys_mount_setattr(tree, 0, &attr);
	if (r == 0)
		return tree;
	(void)close(tree);
	return r;
}

int fs_make_scratch(struct init *init)
{
	const struct sys_mount_attr unbindable = { .propagation = MS_UNBINDABLE };
	static const char *const options[] = { "source", "belljar", "mode", "0755", NULL };
	const char *path = plan_text(&init->plan->sandbox_part, init->plan->sandbox->scratch_path);
	int r;

	init->cover_path = "/sys";
	init->cover = open(init->cover_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (init->cover < 0) {
		init->cover_path = "/proc";
		init->cover = init->host_proc;
	}

	init->scratch =
		*path ? folder_mount(path) : fs_new_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (init->scratch < 0)
		return init_fail(init, STEP_SCRATCH, 0, init->scratch, *path ? path : "tmpfs");
	/* Parts of a detached mount cannot be bound before kernel 6.15, so it is attached for the time being. */
	r = sys_move_mount(init->scratch, init->cover);
	if (r < 0)
		return init_fail(init, STEP_SCRATCH, 1, r, init->cover_path);
	r = fs_bind_in_place(init->scratch, "parts", &init->parts);
	if (r < 0)
		return init_fail(init, STEP_SCRATCH, 3, r, "");
	if (init->plan->sandbox->root_kind == ROOT_KIND_SKELETON)
		r = fs_bind_in_place(init->scratch, "root", &init->root);
	else
		r = overlay_mount(init);
	if (r < 0)
		return init_fail(init, STEP_SCRATCH, 5, r, "root");
	/* A recursive bind of "/" or of the covered directory must not take our tmpfs with it: such copies skip it now. */
	r = sys_mount_setattr(init->scratch, 0, &unbindable);
	return r < 0 ? init_fail(init, STEP_SCRATCH, 4, r, "") : 0;
}

/* By mount, not by device: a scratch folder on disk shares its device with volumes. */
bool fs_on_scratch(const struct init *init, int fd)
{
	uint64_t mount = sys_mount_id(fd);

	for (unsigned int i = 0; mount && i < init->own_count; i++)
		if (init->own[i] == mount)
			return true;
	return false;
}

int fs_note_own(struct init *init, int fd)
{
	uint64_t mount = sys_mount_id(fd);

	if (mount == 0)
		return -ENOTSUP;
	if (init->own_count == ARRAY_SIZE(init->own))
		return -E2BIG;
	init->own[init->own_count++] = mount;
	return 0;
}

/*
 * Opens the directory that holds the last component of `target`, making missing ones on the scratch tmpfs.
 * *ret_name points into target. Directories found on the way may be links inside the root: RESOLVE_IN_ROOT follows them.
 */
int fs_open_parent(struct init *init, const char *target, const char **ret_name)
{
	const char *last = strrchr(target, '/');
	char path[PATH_MAX];
	size_t length = (size_t)(last - target);
	int fd;

	if (length >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, target, length);
	path[length] = '\0';
	*ret_name = last + 1;
	fd = sys_open_in_root(init->root, length ? path : "/", O_PATH | O_DIRECTORY);
	if (fd != -ENOENT)
		return fd;
	for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		fd = sys_open_in_root(init->root, path, O_PATH | O_DIRECTORY);
		if (fd == -ENOENT) {
			char *name = strrchr(path, '/');

			*name = '\0';
			CLEANUP_FD int above = sys_open_in_root(init->root, *path ? path : "/", O_PATH | O_DIRECTORY);
			*name = '/';
			if (above < 0)
				return above;
			if (!fs_on_scratch(init, above))
				return -EROFS;
			if (mkdirat(above, name + 1, 0755) < 0)
				return -errno;
			fd = sys_open_in_root(init->root, path, O_PATH | O_DIRECTORY);
		}
		if (!slash || fd < 0)
			return fd;
		(void)close(fd);
		*slash = '/';
	}
}

/*
 * A program may have left links in a writable volume in an earlier run; a mount point below must not follow them elsewhere.
 * Everything else that the walk can meet is read-only here, or ours.
 */
static int refuse_planted_links(struct init *init, const char *target)
{
	char path[PATH_MAX];
	struct statvfs volume;
	struct stat status;

	if (!init->has_writable_bind)
		return 0;
	copy_text(path, sizeof(path), target);
	for (char *slash = path; slash; slash = strchr(slash + 1, '/')) {
		char *end = strchr(slash + 1, '/');

		*slash = '\0';
		CLEANUP_FD int above = sys_open_in_root(init->root, *path ? path : "/", O_PATH | O_DIRECTORY);
		*slash = '/';
		if (above < 0)
			return 0; /* not there: nothing to follow */
		if (end)
			*end = '\0';
		bool is_link = fstatat(above, slash + 1, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
		if (end)
			*end = '/';
		if (is_link && !fs_on_scratch(init, above) && fstatvfs(above, &volume) == 0 &&
		    !(volume.f_flag & ST_RDONLY))
			return -ELOOP;
	}
	return 0;
}

static int open_existing(struct init *init, const char *target)
{
	int r = refuse_planted_links(init, target);

	return r < 0 ? r : sys_open_in_root(init->root, target, O_PATH);
}

/* Makes an empty directory or file of the wanted kind where there is nothing; gives back the directory that it is in. */
static int make_target(struct init *init, const char *target, bool directory, const char **ret_name)
{
	int parent = fs_open_parent(init, target, ret_name);
	int r = parent < 0 ? parent : fs_on_scratch(init, parent) ? 0 : -EROFS;

	/* EEXIST: a dangling link is in the way */
	if (r == 0 &&
	    (directory ? mkdirat(parent, *ret_name, 0755) < 0 : mknodat(parent, *ret_name, S_IFREG | 0644, 0) < 0))
		r = -errno;
	if (r == 0)
		return parent;
	close_fd(&parent);
	return r;
}

/* Opens the directory `target`, making an empty one where there is none. */
int fs_open_directory(struct init *init, const char *target)
{
	const char *name;
	int fd = open_existing(init, target);

	if (fd != -ENOENT)
		return fd;
	CLEANUP_FD int parent = make_target(init, target, true, &name);
	return parent < 0 ? parent : sys_open_in_root(init->root, target, O_PATH);
}

int fs_is_directory(int fd)
{
	struct stat status;

	return fstat(fd, &status) < 0 ? -errno : S_ISDIR(status.st_mode);
}

int fs_attach(struct init *init, int tree, const char *target)
{
	const char *name;
	int directory = fs_is_directory(tree);

	if (directory < 0)
		return directory;
	CLEANUP_FD int point = open_existing(init, target);
	if (point == -ENOENT) {
		/* What we have just made needs no second look, and its name no walk. */
		CLEANUP_FD int parent = make_target(init, target, directory, &name);
		return parent < 0 ? parent : sys_move_mount_to(tree, parent, name);
	}
	if (point < 0)
		return point;
	if (fs_is_directory(point) != directory)
		return directory ? -ENOTDIR : -EISDIR;
	return sys_move_mount(tree, point);
}

static int seal_root(struct init *init)
{
	const struct sys_mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	int r = init->plan->sandbox->root_read_only ? sys_mount_setattr(init->root, 0, &read_only) : 0;

	return r < 0 ? init_fail(init, STEP_SEAL_SCRATCH, 2, r, "/") : 0;
}

/* The profile's limits count from here: what the skeleton uses is not the program's. */
int fs_seal(struct init *init)
{
	const struct wire_sandbox_plan *plan = init->plan->sandbox;
	char value[24];
	struct text text;
	struct use use = { 0 };
	int r = scratch_use(init->scratch, &use);

	if (*plan_text(&init->plan->sandbox_part, plan->scratch_path))
		return seal_root(init);
	if (r < 0)
		return init_fail(init, STEP_SEAL_SCRATCH, 0, r, "");
	init->base_bytes = use.bytes;
	init->base_inodes = use.inodes;
	CLEANUP_FD int fs = sys_fspick(init->scratch);
	r = fs;
	if (r >= 0 && plan->scratch_bytes) {
		text = text_in(value, sizeof(value));
		text_add_u64(&text, use.bytes + plan->scratch_bytes);
		r = sys_fsconfig(fs, SYS_FSCONFIG_STRING, "size", value);
	}
	if (r >= 0 && plan->scratch_inodes) {
		text = text_in(value, sizeof(value));
		text_add_u64(&text, use.inodes + plan->scratch_inodes);
		r = sys_fsconfig(fs, SYS_FSCONFIG_STRING, "nr_inodes", value);
	}
	if (r >= 0 && (plan->scratch_bytes || plan->scratch_inodes))
		r = sys_fsconfig(fs, SYS_FSCONFIG_RECONFIGURE, NULL, NULL);
	if (r < 0)
		return init_fail(init, STEP_SEAL_SCRATCH, 1, r, "tmpfs");
	return seal_root(init);
}
