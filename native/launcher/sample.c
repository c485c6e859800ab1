// SPDX-License-Identifier: Apache-2.0
/*
 * Where no cgroup counts for us: a walk over the tree below init through the host's /proc. Anonymous memory of each
 * process plus what the scratch tmpfs holds; file pages that processes share are not counted twice because they are not
 * counted at all. It is a sample: short peaks can be missed, and the report says "supervisor".
 *
 * The walk is over children lists, so a process that dies in between only makes its children init's, which were listed
 * before or will be in the next sample.
 */
#include <fcntl.h>
#include <sys/statfs.h>

#include "run.h"
#include "sys.h"
#include "util.h"

enum { MAX_TREE = 4096 };

static int read_proc(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	struct text text = text_in(path, sizeof(path));
	ssize_t n;

	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, name);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buffer, size - 1);
	if (n < 0)
		return -errno;
	buffer[n] = '\0';
	return 0;
}

struct list {
	pid_t pids[MAX_TREE];
	unsigned int count;
};

static void add_children(struct list *list, pid_t pid, const char *thread)
{
	char buffer[16384], name[64];
	struct text text = text_in(name, sizeof(name));
	const char *at = buffer;
	uint64_t child;

	text_add(&text, "/task/");
	text_add(&text, thread);
	text_add(&text, "/children");
	if (read_proc(pid, name, buffer, sizeof(buffer)) < 0)
		return;
	while (list->count < MAX_TREE && parse_u64(at, &child) == 0) {
		list->pids[list->count++] = (pid_t)child;
		at += strspn(at, "0123456789");
		at += strspn(at, " ");
	}
}

/* Children belong to the thread that made them. Thread ids are read with getdents64: readdir would allocate. */
static void add_children_of_threads(struct list *list, pid_t pid)
{
	char path[64], entries[4096];
	struct text text = text_in(path, sizeof(path));
	struct entry {
		uint64_t inode;
		int64_t offset;
		unsigned short length;
		unsigned char type;
		char name[];
	};

	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/task");
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (long n; (n = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0;) {
		for (long at = 0; at < n;) {
			const struct entry *entry = (const void *)(entries + at);

			if (entry->name[0] != '.')
				add_children(list, pid, entry->name);
			at += entry->length;
		}
	}
}

/* Fields 14 and 15 of stat, utime and stime in ticks, and 16 and 17, those of reaped children. */
static uint64_t cpu_of(pid_t pid)
{
	char buffer[1024];
	uint64_t ticks = 0, value;
	const char *at;

	if (read_proc(pid, "/stat", buffer, sizeof(buffer)) < 0 || !(at = strrchr(buffer, ')')))
		return 0;
	for (int field = 2; field < 17 && *at; field++) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
		if (field + 1 >= 14 && parse_u64(at, &value) == 0)
			ticks += value;
	}
	return ticks * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t anonymous_of(pid_t pid, uint64_t page)
{
	uint64_t size, resident, shared;
	char buffer[128];
	const char *at = buffer;

	if (read_proc(pid, "/statm", buffer, sizeof(buffer)) < 0 || parse_u64(at, &size) < 0)
		return 0;
	at += strcspn(at, " ") + 1;
	if (parse_u64(at, &resident) < 0)
		return 0;
	at += strcspn(at, " ") + 1;
	if (parse_u64(at, &shared) < 0 || shared > resident)
		return 0;
	return (resident - shared) * page;
}

int sample_tree(const struct run *run, struct sample *ret_sample)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs scratch;
	struct list list;

	list.count = 0;
	*ret_sample = (struct sample){ 0 };
	{
		char thread[24];
		struct text text = text_in(thread, sizeof(thread));

		text_add_u64(&text, (uint64_t)run->init_pid);
		add_children(&list, run->init_pid, thread);
	}
	for (unsigned int i = 0; i < list.count; i++) {
		ret_sample->memory_bytes += anonymous_of(list.pids[i], page);
		ret_sample->cpu_ns += cpu_of(list.pids[i]);
		add_children_of_threads(&list, list.pids[i]);
	}
	ret_sample->processes = list.count;
	if (run->work >= 0 && fstatfs(run->work, &scratch) == 0) {
		uint64_t used = (scratch.f_blocks - scratch.f_bfree) * (uint64_t)scratch.f_bsize;

		ret_sample->memory_bytes += used > run->base_bytes ? used - run->base_bytes : 0;
	}
	return 0;
}
