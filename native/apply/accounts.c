// SPDX-License-Identifier: Apache-2.0
/*
 * Who an image means by a user's name, before there is any mount to look into. Links are not followed: an image whose /etc is a link, or
 * whose passwd is one, has no names for us, and numbers work all the same.
 */
#include "accounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "meta.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

enum { MAX_BYTES = 1 << 20 };

/* The highest layer that has the name decides; a whiteout or anything that is no regular file says that there is none. */
static int open_file(const int *folders, unsigned int count, const char *name)
{
	for (unsigned int i = count; i > 0; i--) {
		struct stat status;
		int r;

		if (folders[i - 1] < 0)
			continue;
		CLEANUP_FD int fd = sys_openat2(folders[i - 1], name, O_PATH | O_NOFOLLOW, 0, TREE_BENEATH);
		if (fd == -ENOENT)
			continue;
		if (fd < 0)
			return fd;
		if (fstat(fd, &status) < 0)
			return -errno;
		if (!S_ISREG(status.st_mode) || status.st_size > MAX_BYTES)
			return -ENOENT;
		r = sys_openat2(folders[i - 1], name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, TREE_BENEATH);
		return r;
	}
	return -ENOENT;
}

static int write_length(uint64_t bytes)
{
	char line[24];
	struct text text = text_in(line, sizeof(line));

	text_add_u64(&text, bytes);
	text_add(&text, "\n");
	return write_all(1, line, strlen(line));
}

static int write_file(int fd)
{
	char buffer[16384];
	struct stat status;
	uint64_t left;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	left = (uint64_t)status.st_size;
	r = write_length(left);
	while (r == 0 && left > 0) {
		size_t n = left < sizeof(buffer) ? (size_t)left : sizeof(buffer);

		r = read_all(fd, buffer, n);
		if (r == 0)
			r = write_all(1, buffer, n);
		left -= n;
	}
	return r;
}

/* The layers' /etc that count; -1 for the others. Those opened are closed with the process. */
static void open_folders(const int *layers, unsigned int count, int *folders)
{
	bool hidden = false;

	for (unsigned int i = count; i > 0; i--) {
		struct stat status;
		int fd = hidden ? -1 : sys_openat2(layers[i - 1], "etc", O_PATH | O_NOFOLLOW, 0, TREE_BENEATH);

		folders[i - 1] = -1;
		if (fd < 0)
			continue;
		if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
			folders[i - 1] = fd;
			hidden = meta_is_opaque(fd) != 0;
		} else {
			hidden = true;
			(void)close(fd);
		}
	}
}

int accounts_write(const int *layers, unsigned int count)
{
	static const char *const names[] = { "passwd", "group" };
	int folders[ACCOUNTS_MAX_LAYERS];
	int r = 0;

	open_folders(layers, count, folders);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		CLEANUP_FD int fd = open_file(folders, count, names[i]);

		r = fd == -ENOENT ? write_all(1, "-\n", 2) : fd < 0 ? fd : write_file(fd);
	}
	return r;
}
