// SPDX-License-Identifier: Apache-2.0
/*
 * How many bytes and inodes a folder holds, while a hostile program works in it: it makes and moves whatever it likes, under any modes.
 * As a companion in the sandbox's user namespace we may read all of it. Only descriptors lead downwards, never "..", a link or
 * another mount, so however the tree changes below us, nothing outside of it is counted.
 */
#include "usage.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "companion.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

enum { MAX_DEPTH = 65536, SPARE_DESCRIPTORS = 16, BLOCK = 512, TIMES_OF_WALK = 20 };
#define INTERVAL_NS (100 * NS_PER_MS)

struct walk {
	uint64_t bytes, inodes;
	uint32_t depth, max_depth;
	struct tree_names levels[MAX_DEPTH];
};

static void count(struct walk *walk, const struct stat *status)
{
	uint64_t bytes = (uint64_t)status->st_blocks * BLOCK;

	/* A file of several names is met once for each. */
	walk->bytes += S_ISDIR(status->st_mode) || status->st_nlink < 2 ? bytes : bytes / status->st_nlink;
	walk->inodes++;
}

/* 0, or -ELOOP where the tree is deeper than there are descriptors for. What vanishes meanwhile is not there. */
static int enter(struct walk *walk, const char *name)
{
	struct stat status;
	int above = walk->levels[walk->depth].fd;

	if (fstatat(above, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	count(walk, &status);
	if (!S_ISDIR(status.st_mode))
		return 0;
	if (walk->depth + 1 >= walk->max_depth)
		return -ELOOP;
	int fd = sys_openat2(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, TREE_BENEATH);
	if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
		return -ELOOP;
	if (fd >= 0)
		walk->levels[++walk->depth] = (struct tree_names){ .fd = fd };
	return 0;
}

static int walk_all(struct walk *walk, int top)
{
	int r = 0;

	walk->bytes = walk->inodes = 0;
	walk->depth = 0;
	walk->levels[0] = (struct tree_names){ .fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	if (walk->levels[0].fd < 0)
		return -errno;
	for (;;) {
		const char *name;

		if (r == 0 && tree_next(&walk->levels[walk->depth], &name) > 0) {
			r = enter(walk, name);
			continue;
		}
		(void)close(walk->levels[walk->depth].fd);
		if (walk->depth == 0)
			return r;
		walk->depth--;
	}
}

static uint32_t depth_allowed(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < 2 * SPARE_DESCRIPTORS)
		return SPARE_DESCRIPTORS;
	return files.rlim_cur - SPARE_DESCRIPTORS < MAX_DEPTH ? (uint32_t)files.rlim_cur - SPARE_DESCRIPTORS
							      : MAX_DEPTH;
}

int usage_watch(const char *path, int out)
{
	struct walk *walk =
		mmap(NULL, sizeof(*walk), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int top = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool asked = false;
	sigset_t set;

	if (walk == MAP_FAILED || top < 0)
		return -errno;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, USAGE_ASK);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	walk->max_depth = depth_allowed();
	for (;;) {
		uint64_t start = now_ns(), took;
		int r = walk_all(walk, top);
		struct usage_message message = { walk->bytes, walk->inodes, asked };

		if (r < 0 && r != -ELOOP)
			return r;
		if (r < 0)
			message.bytes = message.inodes = UINT64_MAX;
		r = write_all(out, &message, sizeof(message));
		if (r < 0)
			return r;
		/* A tree that takes long to count is counted less often. */
		took = TIMES_OF_WALK * (now_ns() - start);
		took = took > INTERVAL_NS ? took : INTERVAL_NS;
		const struct timespec wait = { .tv_sec = (time_t)(took / NS_PER_S),
					       .tv_nsec = (long)(took % NS_PER_S) };
		asked = sigtimedwait(&set, NULL, &wait) == USAGE_ASK;
	}
}
