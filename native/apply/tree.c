// SPDX-License-Identifier: Apache-2.0
#include "tree.h"

#include <dirent.h>

#include "sys.h"
#include "util.h"

struct kernel_dirent {
	uint64_t ino;
	int64_t offset;
	unsigned short length;
	unsigned char type;
	char name[];
};

int tree_next(struct tree_names *names, const char **ret_name)
{
	for (;;) {
		if (names->at >= names->have) {
			names->have = syscall(SYS_getdents64, names->fd, names->buffer, sizeof(names->buffer));
			names->at = 0;
			if (names->have <= 0)
				return names->have < 0 ? -errno : 0;
		}
		const struct kernel_dirent *entry = (const void *)(names->buffer + names->at);
		names->at += entry->length;
		if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
			continue;
		names->type = entry->type;
		*ret_name = entry->name;
		return 1;
	}
}

/* Unlinks all that can be unlinked. 1: the subdirectory copied into ret_name is not empty. 0: nothing is left. */
static int empty(int fd, char *ret_name, size_t size)
{
	for (;;) {
		struct tree_names names = { .fd = fd };
		bool saw = false;
		const char *name = "";
		int r;

		/* Removing while reading may skip names: again from the start until none is seen. */
		if (lseek(fd, 0, SEEK_SET) < 0)
			return -errno;
		while ((r = tree_next(&names, &name)) > 0) {
			bool directory = names.type == DT_DIR;

			saw = true;
			if (unlinkat(fd, name, directory ? AT_REMOVEDIR : 0) == 0)
				continue;
			if (!directory && errno == EISDIR) { /* a file system that tells no types */
				directory = true;
				if (unlinkat(fd, name, AT_REMOVEDIR) == 0)
					continue;
			}
			if (!directory || (errno != ENOTEMPTY && errno != EEXIST))
				return -errno;
			copy_text(ret_name, size, name);
			return 1;
		}
		if (r < 0 || !saw)
			return r;
	}
}

int tree_remove(int parent, const char *name)
{
	char child[256];
	uint64_t depth = 1;
	CLEANUP_FD int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		if (errno != ENOTDIR && errno != ELOOP)
			return -errno;
		return unlinkat(parent, name, 0) < 0 ? -errno : 0;
	}
	while (depth > 0) {
		int r = empty(fd, child, sizeof(child));

		if (r < 0)
			return r;
		if (r == 0 && --depth == 0)
			break;
		int next = openat(fd, r > 0 ? child : "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		depth += r > 0;
		(void)close(fd);
		fd = next;
	}
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
