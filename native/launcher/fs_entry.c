// SPDX-License-Identifier: Apache-2.0
/* One function for each kind of entry in the plan's list of the file system. */
#include "fs.h"

#include "sys.h"
#include "util.h"

#define PRIVATE_ATTR                      \
	{                                 \
		.propagation = MS_PRIVATE \
	}

static unsigned int attributes_of(const struct wire_fs_entry *entry)
{
	unsigned int attributes = MOUNT_ATTR_NOSUID;

	if (!(entry->flags & FS_FLAG_DEVICE_NODES))
		attributes |= MOUNT_ATTR_NODEV;
	if (entry->flags & FS_FLAG_READ_ONLY)
		attributes |= MOUNT_ATTR_RDONLY;
	if (entry->flags & FS_FLAG_NO_EXEC)
		attributes |= MOUNT_ATTR_NOEXEC;
	return attributes;
}

/*
 * Restricts a detached copy before anybody can reach it. Adding flags keeps those that are locked, and AT_RECURSIVE
 * reaches every submount: a read-only bind has no writable hole.
 */
static int restrict_tree(int tree, const struct wire_fs_entry *entry)
{
	struct sys_mount_attr attr = PRIVATE_ATTR;

	attr.attr_set = attributes_of(entry);
	return sys_mount_setattr(tree, entry->flags & FS_FLAG_RECURSIVE ? AT_RECURSIVE : 0, &attr);
}

static int open_source(struct init *init, const char *source, unsigned int flags)
{
	size_t length = strlen(init->cover_path);

	if (strncmp(source, init->cover_path, length) != 0 || (source[length] != '\0' && source[length] != '/'))
		return sys_open_tree(AT_FDCWD, source, flags);
	/* Covered by the scratch tmpfs; the descriptor still shows the host's directory. */
	return source[length] == '\0' || source[length + 1] == '\0'
		       ? sys_open_tree(init->cover, "", flags | AT_EMPTY_PATH)
		       : sys_open_tree(init->cover, source + length + 1, flags);
}

static int add_bind(struct init *init, const struct wire_fs_entry *entry, const char *source, const char *target)
{
	unsigned int flags =
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (entry->flags & FS_FLAG_RECURSIVE ? AT_RECURSIVE : 0);
	CLEANUP_FD int tree = open_source(init, source, flags);
	int r;

	if (tree == -ENOENT && (entry->flags & FS_FLAG_OPTIONAL))
		return 0;
	if (tree < 0)
		return tree;
	r = restrict_tree(tree, entry);
	if (r == 0)
		r = fs_attach(init, tree, target);
	init->has_writable_bind |= !(entry->flags & (FS_FLAG_READ_ONLY | FS_FLAG_DEVICE_NODES));
	return r;
}

/*
 * An image may have a link or a file where one of our own mounts goes. It gives way: a link would lead the mount to another place of the
 * image, and what the program was promised would not be there.
 */
static int attach_own(struct init *init, int tree, const char *target)
{
	const char *name;
	struct stat status;

	if (init->plan->sandbox->root_kind != ROOT_KIND_SKELETON) {
		CLEANUP_FD int parent = fs_open_parent(init, target, &name);
		if (parent < 0)
			return parent;
		if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode) &&
		    fs_on_scratch(init, parent) && unlinkat(parent, name, 0) < 0)
			return -errno;
	}
	return fs_attach(init, tree, target);
}

static int add_scratch(struct init *init, const struct wire_fs_entry *entry, const char *source, const char *target)
{
	const struct wire_sandbox_plan *plan = init->plan->sandbox;
	int r;

	if (mkdirat(init->parts, source, 0700) < 0 && errno != EEXIST)
		return -errno;
	if ((entry->flags & FS_FLAG_OWNED_BY_PROGRAM) &&
	    fchownat(init->parts, source, plan->program_uid, plan->program_gid, 0) < 0)
		return -errno;
	if (fchmodat(init->parts, source, entry->mode, 0) < 0) /* after chown, which clears bits */
		return -errno;
	CLEANUP_FD int tree = sys_open_tree(init->parts, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return tree;
	r = restrict_tree(tree, entry);
	if (r == 0)
		r = fs_note_own(init, tree);
	return r < 0 ? r : attach_own(init, tree, target);
}

static int add_tmpfs(struct init *init, const struct wire_fs_entry *entry, const char *target)
{
	char size[24], inodes[24], mode[8], uid[12], gid[12];
	struct text text = text_in(size, sizeof(size));
	const char *options[] = { "size", size, "nr_inodes", inodes, "mode", mode, "uid", uid, "gid", gid, NULL };

	text_add_u64(&text, entry->size_bytes);
	text = text_in(inodes, sizeof(inodes));
	text_add_u64(&text, entry->inodes);
	for (int i = 0; i < 4; i++)
		mode[i] = (char)('0' + ((entry->mode >> (9 - 3 * i)) & 7));
	mode[4] = '\0';
	text = text_in(uid, sizeof(uid));
	text_add_u64(&text, init->plan->sandbox->program_uid);
	text = text_in(gid, sizeof(gid));
	text_add_u64(&text, init->plan->sandbox->program_gid);
	CLEANUP_FD int mount = fs_new_mount("tmpfs", options, attributes_of(entry));
	return mount < 0 ? mount : fs_attach(init, mount, target);
}

static int add_kernel_fs(struct init *init, const struct wire_fs_entry *entry, const char *target)
{
	static const char *const subset[] = { "subset", "pid", NULL };
	static const char *const pts[] = { "newinstance", NULL, "ptmxmode", "0666", "mode", "0620", NULL };
	const char *type = entry->kind == FS_KIND_PROC ? "proc" : entry->kind == FS_KIND_DEVPTS ? "devpts" : "sysfs";
	const char *const *options = NULL;
	unsigned int attributes = attributes_of(entry) | MOUNT_ATTR_NODEV;

	if (entry->kind == FS_KIND_DEVPTS) {
		options = pts;
		attributes &= ~(unsigned int)MOUNT_ATTR_NODEV;
	} else if (entry->flags & FS_FLAG_SUBSET_PID) {
		options = subset;
	}
	CLEANUP_FD int mount = fs_new_mount(type, options, attributes);
	return mount < 0 ? mount : attach_own(init, mount, target);
}

static int add_directory(struct init *init, const struct wire_fs_entry *entry, const char *target)
{
	CLEANUP_FD int fd = fs_open_directory(init, target);

	/* What is there stays as it is; what cannot be made, whoever wants to go there will find missing. */
	if (entry->flags & FS_FLAG_OPTIONAL)
		return 0;
	if (fd < 0)
		return fd;
	if (!fs_on_scratch(init, fd))
		return -EROFS;
	const char *name;
	CLEANUP_FD int parent = fs_open_parent(init, target, &name);
	return parent < 0 ? parent : fchmodat(parent, name, entry->mode, 0) < 0 ? -errno : 0;
}

static int add_link(struct init *init, const char *value, const char *target)
{
	const char *name;
	CLEANUP_FD int parent = fs_open_parent(init, target, &name);

	if (parent < 0)
		return parent;
	if (!fs_on_scratch(init, parent))
		return -EROFS;
	return symlinkat(value, parent, name) < 0 ? -errno : 0;
}

static int add_file(struct init *init, const struct wire_fs_entry *entry, const char *target)
{
	const char *name;
	CLEANUP_FD int parent = fs_open_parent(init, target, &name);

	if (parent < 0)
		return parent;
	if (!fs_on_scratch(init, parent))
		return -EROFS;
	/* What an image has under the name gives way, a link included; on the skeleton there is nothing. */
	if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
		return -errno;
	CLEANUP_FD int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry->mode);
	if (fd < 0)
		return -errno;
	return write_all(fd, plan_bytes(&init->plan->sandbox_part, entry->content), entry->content.len);
}

/* Hides what is there behind something empty and read-only; what is not there needs no hiding. */
static int add_mask(struct init *init, const char *target)
{
	struct sys_mount_attr attr = PRIVATE_ATTR;
	CLEANUP_FD int point = sys_open_in_root(init->root, target, O_PATH);
	int r;

	if (point < 0)
		return point == -ENOENT ? 0 : point;
	int directory = fs_is_directory(point);
	const char *cover = directory ? "empty" : "nothing";
	if ((directory ? mkdirat(init->parts, cover, 0555) : mknodat(init->parts, cover, S_IFREG | 0444, 0)) < 0 &&
	    errno != EEXIST)
		return -errno;
	CLEANUP_FD int tree = sys_open_tree(init->parts, cover, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return tree;
	attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	r = sys_mount_setattr(tree, 0, &attr);
	return r < 0 ? r : sys_move_mount(tree, point);
}

static int add_read_only(struct init *init, const char *target)
{
	struct sys_mount_attr attr = PRIVATE_ATTR;
	CLEANUP_FD int point = sys_open_in_root(init->root, target, O_PATH);
	int r;

	if (point < 0)
		return point == -ENOENT ? 0 : point;
	CLEANUP_FD int tree =
		sys_open_tree(point, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (tree < 0)
		return tree;
	attr.attr_set = MOUNT_ATTR_RDONLY;
	r = sys_mount_setattr(tree, AT_RECURSIVE, &attr);
	return r < 0 ? r : sys_move_mount(tree, point);
}

static int add_entry(struct init *init, const struct wire_fs_entry *entry, const char *source, const char *target)
{
	switch ((enum fs_kind)entry->kind) {
	case FS_KIND_DIRECTORY:
		return add_directory(init, entry, target);
	case FS_KIND_SYMLINK:
		return add_link(init, source, target);
	case FS_KIND_FILE:
		return add_file(init, entry, target);
	case FS_KIND_BIND:
		return add_bind(init, entry, source, target);
	case FS_KIND_SCRATCH:
		return add_scratch(init, entry, source, target);
	case FS_KIND_TMPFS:
		return add_tmpfs(init, entry, target);
	case FS_KIND_PROC:
	case FS_KIND_DEVPTS:
	case FS_KIND_SYSFS:
		return add_kernel_fs(init, entry, target);
	case FS_KIND_MASK:
		return add_mask(init, target);
	case FS_KIND_READ_ONLY:
		return add_read_only(init, target);
	case FS_KIND_COUNT:
		break;
	}
	return -EBADMSG;
}

int fs_build(struct init *init)
{
	const struct part *part = &init->plan->sandbox_part;
	const struct wire_sandbox_plan *plan = init->plan->sandbox;
	/* Only now: a FUSE root answers when its companion runs. */
	int noted = fs_note_own(init, init->root);

	if (noted < 0)
		return init_fail(init, STEP_FILESYSTEM, 0, noted, "/");

	for (uint32_t i = 0; i < plan->filesystem.count; i++) {
		const struct wire_fs_entry *entry = plan_item(part, plan->filesystem, wire_fs_entry, i);
		const char *source = plan_text(part, entry->source), *target = plan_text(part, entry->target);
		int r = target[1] == '\0' ? -EBADMSG : add_entry(init, entry, source, target);

		if (r < 0)
			return init_fail(init, STEP_FILESYSTEM, i, r,
					 entry->kind == FS_KIND_BIND && r == -ENOENT ? source : target);
	}
	return 0;
}
