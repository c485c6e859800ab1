// SPDX-License-Identifier: Apache-2.0
/*
 * What overlayfs would show, made by copying: for hosts that let an ordinary user mount neither it nor FUSE. Layers come in overlay form
 * (docs/layers.md): a whiteout is a device 0:0, an opaque directory says so in an attribute. They are ours and nobody changes
 * them meanwhile, but names and links in them are a stranger's: nothing is followed, everything is reached by descriptor.
 */
#include "merge.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "meta.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

enum { MAX_DEPTH = ENTRIES_MAX_DEPTH, BUCKETS = 1 << 16 };
/* Address space, not memory: pages come with the first use. Names of files with several links, of one layer at a time. */
#define ARENA_BYTES (UINT64_C(1) << 30)

/* A file that has further names in its layer, and where its copy is. */
struct linked {
	uint64_t ino;
	uint32_t next; /* offset in the arena in units of 8 bytes; 0: the last */
	char path[];
};

struct merge {
	struct view view; /* its buffers, for attributes */
	int root;
	uint32_t depth;
	size_t used;
	uint8_t *arena;
	uint32_t heads[BUCKETS];
	struct {
		int from, to;
		size_t end; /* of the directory's path */
		struct tree_names names;
	} levels[MAX_DEPTH + 1];
	char path[PATH_MAX];
};

static const char *copy_of(const struct merge *merge, uint64_t ino)
{
	for (uint32_t at = merge->heads[ino % BUCKETS]; at;) {
		const struct linked *linked = (const void *)(merge->arena + 8 * (size_t)at);

		if (linked->ino == ino)
			return linked->path;
		at = linked->next;
	}
	return NULL;
}

static int note_copy(struct merge *merge, uint64_t ino)
{
	size_t length = strlen(merge->path) + 1, size = (sizeof(struct linked) + length + 7) / 8 * 8;
	struct linked *linked = (void *)(merge->arena + merge->used);

	if (merge->used + size > ARENA_BYTES)
		return -ENOMEM;
	linked->ino = ino;
	linked->next = merge->heads[ino % BUCKETS];
	memcpy(linked->path, merge->path, length);
	merge->heads[ino % BUCKETS] = (uint32_t)(merge->used / 8);
	merge->used += size;
	return 0;
}

static int copy_link(int from, int to, const char *name, const struct stat *status)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, status->st_mtim };
	char target[PATH_MAX];
	ssize_t length = readlinkat(from, name, target, sizeof(target) - 1);

	if (length < 0)
		return -errno;
	target[length] = '\0';
	if (symlinkat(target, to, name) < 0 ||
	    fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int copy_fifo(int to, const char *name, const struct stat *status)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, status->st_mtim };

	if (mknodat(to, name, status->st_mode & (S_IFMT | 07777), 0) < 0 ||
	    fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(to, name, status->st_mode & 07777, 0) < 0 || utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int copy_file(struct merge *merge, int from, int to, const char *name)
{
	CLEANUP_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_FD int out = in < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return in < 0 || out < 0 ? -errno : meta_copy_file(&merge->view, in, out);
}

/* Everything but a directory replaces whatever has the name. */
static int copy_other(struct merge *merge, const char *name, const struct stat *status)
{
	int from = merge->levels[merge->depth].from, to = merge->levels[merge->depth].to;
	bool several = status->st_nlink > 1;
	const char *copy = several ? copy_of(merge, status->st_ino) : NULL;
	int r = tree_remove(to, name);

	if (r < 0 && r != -ENOENT)
		return r;
	if (meta_is_whiteout(status))
		return 0;
	/* Its path leads through directories that this layer has, so no link can be on the way. */
	if (copy)
		return linkat(merge->root, copy, to, name, 0) < 0 ? -errno : 0;
	if (S_ISREG(status->st_mode))
		r = copy_file(merge, from, to, name);
	else if (S_ISLNK(status->st_mode))
		r = copy_link(from, to, name, status);
	else if (S_ISFIFO(status->st_mode))
		r = copy_fifo(to, name, status);
	else
		return 0; /* layers hold no other devices, and sockets mean nothing without their makers */
	return r == 0 && several ? note_copy(merge, status->st_ino) : r;
}

static int push(struct merge *merge, int from, int to)
{
	if (merge->depth == MAX_DEPTH) {
		(void)close(from);
		(void)close(to);
		return -ENAMETOOLONG;
	}
	merge->depth++;
	merge->levels[merge->depth].from = from;
	merge->levels[merge->depth].to = to;
	merge->levels[merge->depth].end = strlen(merge->path);
	merge->levels[merge->depth].names = (struct tree_names){ .fd = from };
	return 0;
}

/* Opens a directory of the layer and its counterpart, which is made, or made anew where the layer hides it. */
static int enter_directory(struct merge *merge, const char *name)
{
	int above = merge->levels[merge->depth].to;
	struct stat status;
	int r;

	int from = openat(merge->levels[merge->depth].from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return -errno;
	r = fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	bool there = r == 0 && S_ISDIR(status.st_mode);
	int opaque = there ? meta_is_opaque(from) : 0;
	if (r == 0 && (!there || opaque > 0))
		r = tree_remove(above, name);
	if ((r == 0 || r == -ENOENT) && (!there || opaque > 0))
		r = mkdirat(above, name, 0700) < 0 ? -errno : 0;
	if (opaque < 0)
		r = opaque;
	int to = r < 0 ? -1 : openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0) {
		r = r < 0 ? r : -errno;
		(void)close(from);
		return r;
	}
	return push(merge, from, to);
}

/* Its attributes after its entries: a mode that forbids writing, a time that writing changes. */
static int leave_directory(struct merge *merge)
{
	int from = merge->levels[merge->depth].from, to = merge->levels[merge->depth].to;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	int r = meta_copy(&merge->view, from, to, &times[1]);

	if (r == 0 && futimens(to, times) < 0)
		r = -errno;
	(void)close(from);
	(void)close(to);
	merge->depth--;
	return r;
}

static int merge_entry(struct merge *merge, const char *name)
{
	size_t end = merge->levels[merge->depth].end, length = strlen(name);
	struct stat status;

	if (end + length + 2 > sizeof(merge->path))
		return -ENAMETOOLONG;
	if (end)
		merge->path[end++] = '/';
	memcpy(merge->path + end, name, length + 1);
	if (fstatat(merge->levels[merge->depth].from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISDIR(status.st_mode) ? enter_directory(merge, name) : copy_other(merge, name, &status);
}

static int merge_layer(struct merge *merge, int from)
{
	int to = openat(merge->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (to < 0) {
		(void)close(from);
		return -errno;
	}
	/* Inodes mean nothing in the next layer. */
	memset(merge->heads, 0, sizeof(merge->heads));
	merge->used = 8;
	merge->path[0] = '\0';
	r = push(merge, from, to);
	while (r == 0 && merge->depth > 0) {
		const char *name;

		merge->path[merge->levels[merge->depth].end] = '\0';
		r = tree_next(&merge->levels[merge->depth].names, &name);
		r = r > 0 ? merge_entry(merge, name) : r == 0 ? leave_directory(merge) : r;
	}
	return r;
}

int merge_layers(const char *root, const char *layers, uint32_t count)
{
	struct merge *merge =
		mmap(NULL, sizeof(*merge), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *arena =
		mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CLEANUP_FD int folder = open(layers, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (merge == MAP_FAILED || arena == MAP_FAILED || folder < 0)
		return -errno;
	merge->arena = arena;
	merge->view.chown = true;
	merge->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (merge->root < 0)
		return -errno;
	for (uint32_t i = 0; r == 0 && i < count; i++) {
		char name[12];
		struct text text = text_in(name, sizeof(name));

		text_add_u64(&text, i);
		int from = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* by a link of ours */
		r = from < 0 ? -errno : merge_layer(merge, from);
	}
	return r;
}
