// SPDX-License-Identifier: Apache-2.0
/*
 * Memory that a sandbox holds without having it mapped, for the sampler: files made by memfd_create, kept alive by descriptors, and
 * segments of System V shared memory, which need not even a process. A cgroup counts both; a walk over address spaces sees neither.
 * Still not seen: what is on its way through pipes and sockets, descriptors too, with no copy left behind, and shared pages of a mapping
 * that are in nobody's page table. Nothing that an ordinary user may read tells of them.
 */
#include <linux/kcmp.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "held.h"
#include "sys.h"
#include "util.h"

static const char memfd_prefix[] = "/memfd:";

void held_start(struct held *held)
{
	struct stat status;
	/* The file system of all such files is mounted nowhere: one of ours tells its number. */
	CLEANUP_FD int fd = memfd_create("device", MFD_CLOEXEC);

	held->count = 0;
	held->bytes = 0;
	held->device_known = fd >= 0 && fstat(fd, &status) == 0;
	held->device = held->device_known ? status.st_dev : 0;
}

/* Two descriptors, in whatever processes, may be of one file. */
static bool is_new(struct held *held, uint64_t inode)
{
	for (unsigned int i = 0; i < held->count; i++)
		if (held->inodes[i] == inode)
			return false;
	if (held->count < ARRAY_SIZE(held->inodes))
		held->inodes[held->count++] = inode;
	return true;
}

struct table {
	struct held *held;
	int dir; /* /proc/PID/task/TID/fd */
};

static bool add_file(const char *name, void *data)
{
	const struct table *table = data;
	struct held *held = table->held;
	char target[sizeof(memfd_prefix)];
	struct sys_statx status;
	ssize_t n = readlinkat(table->dir, name, target, sizeof(target));

	if (n < (ssize_t)sizeof(memfd_prefix) - 1 || memcmp(target, memfd_prefix, sizeof(memfd_prefix) - 1) != 0)
		return false;
	/* The name may be a lie, and its file on a file system whose server never answers: ask nobody. */
	if (sys_statx(table->dir, name, SYS_STATX_DONT_SYNC, SYS_STATX_BLOCKS | SYS_STATX_INO, &status) == 0 &&
	    makedev(status.dev_major, status.dev_minor) == held->device && is_new(held, status.ino))
		held->bytes += status.blocks * 512;
	return false;
}

void held_add_descriptors(struct held *held, pid_t pid, pid_t thread)
{
	char path[80];
	struct text text = text_in(path, sizeof(path));

	if (!held->device_known || (thread != pid && syscall(SYS_kcmp, pid, thread, KCMP_FILES, 0, 0) == 0))
		return;
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/task/");
	text_add_u64(&text, (uint64_t)thread);
	text_add(&text, "/fd");
	CLEANUP_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct table table = { held, dir };
	sys_each_name(dir, add_file, &table);
}

/* The 15th column of /proc/sysvipc/shm is what of a segment is in memory. The first line names the columns. */
enum { RESIDENT_COLUMN = 15 };

uint64_t held_segments(int fd)
{
	char buffer[4096];
	uint64_t sum = 0, number = 0;
	unsigned int line = 0, column = 0;
	bool within = false;
	ssize_t n;

	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return 0;
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			bool blank = buffer[i] == ' ' || buffer[i] == '\n';

			if (!blank) {
				number = within ? number * 10 : 0;
				number += (uint64_t)(buffer[i] - '0');
				column += within ? 0 : 1;
			} else if (within && line > 0 && column == RESIDENT_COLUMN) {
				sum += number;
			}
			within = !blank;
			if (buffer[i] == '\n') {
				line++;
				column = 0;
			}
		}
	return sum;
}
