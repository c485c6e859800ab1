// SPDX-License-Identifier: Apache-2.0
/*
 * Where no cgroup counts for us: a walk over the tree below init through the host's /proc.
 *
 * Two figures. The cheap one adds up what each process has resident of anonymous and shared memory and of page tables: never
 * too low, but a page that two processes share counts twice. The right one takes proportional shares (smaps_rollup), and
 * processes that share one address space once; it costs a walk over page tables. The files of the sandbox's tmpfs are
 * memory too, and so is what is held without being mapped (held.c). Not seen: peaks between two samples.
 *
 * A process that dies in between only makes its children init's, which were listed before or will be in the next sample.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "held.h"
#include "run.h"
#include "sys.h"
#include "util.h"

enum { MAX_TREE = 16384, TEXT_SIZE = 4096 };

struct list {
	pid_t pids[MAX_TREE];
	uint16_t parents[MAX_TREE]; /* index into pids; its own for children of init */
	unsigned int count;
};
_Static_assert(MAX_TREE <= UINT16_MAX, "index type");

struct share {
	uint64_t anonymous, shared, tables;
};

/* "/proc/PID/task/TID" (TID 0: "/proc/PID") and a file name below it. */
static int open_proc(pid_t pid, pid_t thread, const char *name, int flags)
{
	char path[80];
	struct text text = text_in(path, sizeof(path));

	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	if (thread) {
		text_add(&text, "/task/");
		text_add_u64(&text, (uint64_t)thread);
	}
	text_add(&text, name);
	int fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int read_proc(pid_t pid, pid_t thread, const char *name, char *buffer)
{
	CLEANUP_FD int fd = open_proc(pid, thread, name, O_RDONLY);
	ssize_t n = fd < 0 ? fd : read(fd, buffer, TEXT_SIZE - 1);

	if (n < 0)
		return fd < 0 ? fd : -errno;
	buffer[n] = '\0';
	return 0;
}

/* The list may be longer than a page, which is what one read gives, and a read may end within a number. */
static void add_children(struct list *list, uint16_t parent, bool of_init, pid_t pid, pid_t thread)
{
	CLEANUP_FD int fd = open_proc(pid, thread, "/children", O_RDONLY);
	char buffer[TEXT_SIZE];
	pid_t child = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] >= '0' && buffer[i] <= '9') {
				child = child * 10 + (buffer[i] - '0');
				continue;
			}
			if (child && list->count < MAX_TREE) {
				list->parents[list->count] = of_init ? (uint16_t)list->count : parent;
				list->pids[list->count++] = child;
			}
			child = 0;
		}
}

struct thread_visit {
	pid_t pid;
	bool (*each)(pid_t pid, pid_t thread, void *data);
	void *data;
};

static bool visit_thread(const char *name, void *data)
{
	const struct thread_visit *visit = data;
	uint64_t thread;

	return parse_u64(name, &thread) == 0 && visit->each(visit->pid, (pid_t)thread, visit->data);
}

/* Calls `each` for the threads of a process until it says stop. */
static void for_threads(pid_t pid, bool (*each)(pid_t pid, pid_t thread, void *data), void *data)
{
	CLEANUP_FD int fd = open_proc(pid, 0, "/task", O_RDONLY | O_DIRECTORY);
	struct thread_visit visit = { pid, each, data };

	sys_each_name(fd, visit_thread, &visit);
}

struct expansion {
	struct list *list;
	struct held *held; /* NULL: descriptors are not looked at this time */
	uint16_t parent;
	uint64_t threads;
};

/* Children belong to the thread that made them. */
static bool expand_thread(pid_t pid, pid_t thread, void *data)
{
	struct expansion *expansion = data;

	expansion->threads++;
	add_children(expansion->list, expansion->parent, false, pid, thread);
	if (expansion->held)
		held_add_descriptors(expansion->held, pid, thread);
	return false;
}

/* "Name:   123 kB" in bytes; false where there is no such line. */
static bool kilobytes(const char *text, const char *name, uint64_t *ret_bytes)
{
	const char *at = strstr(text, name);
	uint64_t value;

	if (!at)
		return false;
	at += strlen(name);
	at += strspn(at, " \t");
	if (parse_u64(at, &value) < 0)
		return false;
	*ret_bytes = value * 1024;
	return true;
}

/* Fills from one thread's status; false for a dead one, whose address space is gone. */
static bool resident_of_thread(pid_t pid, pid_t thread, void *data)
{
	struct share *share = data;
	char buffer[TEXT_SIZE];

	if (read_proc(pid, thread, "/status", buffer) < 0 || !kilobytes(buffer, "\nRssAnon:", &share->anonymous))
		return false;
	(void)kilobytes(buffer, "\nRssShmem:", &share->shared);
	(void)kilobytes(buffer, "\nVmPTE:", &share->tables);
	return true;
}

/* The group's leader may have exited while other threads live on. */
static struct share resident(pid_t pid)
{
	struct share share = { 0 };

	if (!resident_of_thread(pid, 0, &share))
		for_threads(pid, resident_of_thread, &share);
	return share;
}

static bool proportional_of_thread(pid_t pid, pid_t thread, void *data)
{
	struct share *share = data;
	char buffer[TEXT_SIZE];

	if (read_proc(pid, thread, "/smaps_rollup", buffer) < 0)
		return false;
	return kilobytes(buffer, "\nPss_Anon:", &share->anonymous) && kilobytes(buffer, "\nPss_Shmem:", &share->shared);
}

static struct share proportional(pid_t pid)
{
	struct share share = resident(pid);

	if (!proportional_of_thread(pid, 0, &share))
		for_threads(pid, proportional_of_thread, &share);
	return share;
}

/* A vfork child, or any made with CLONE_VM, lives in its parent's memory. */
static bool shares_memory(pid_t pid, pid_t other)
{
	return pid != other && syscall(SYS_kcmp, pid, other, KCMP_VM, 0, 0) == 0;
}

enum { OWN_TIME = 14, TIME_OF_CHILDREN = 16, LAST_TIME = 17 }; /* fields of stat */

/* utime, stime and those of reaped children, in ticks, from a field on. */
static uint64_t cpu_of(pid_t pid, int first)
{
	char buffer[TEXT_SIZE];
	uint64_t ticks = 0, value;
	const char *at;

	if (read_proc(pid, 0, "/stat", buffer) < 0 || !(at = strrchr(buffer, ')')))
		return 0;
	for (int field = 2; field < LAST_TIME && *at; field++) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
		if (field + 1 >= first && parse_u64(at, &value) == 0)
			ticks += value;
	}
	return ticks * (NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
}

/*
 * Executing a file that it may not read takes the perf clock off a process, and gives what /proc shows of it to root. (To uid 0 of
 * the sandbox, where there is one; then this cannot be seen.) A process that has given up its memory is root's too, so the
 * memory is looked for afterwards.
 */
static bool off_the_clock(const struct run *run, pid_t pid)
{
	char buffer[TEXT_SIZE];
	struct stat status;

	/* Until it has become the program, the task is not to be looked into either: a fork of init. */
	if (run->clock < 0 || run->gate >= 0)
		return false;
	CLEANUP_FD int fd = open_proc(pid, 0, "/stat", O_PATH);
	return fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == 0 && read_proc(pid, 0, "/status", buffer) == 0 &&
	       strstr(buffer, "\nRssAnon:");
}

/*
 * A child whose parent does not want to know of its end takes its time along: the total falls, and stays low. One low total
 * proves nothing, because a walk misses what is being reaped just then; but three in a row do not miss the same.
 */
static void note_cpu(struct run *run, const struct sample *sample)
{
	uint64_t total = sample->cpu_ns + run->lost_cpu_ns, missing;

	/* For a moment, a program that is being executed looks like one that may not be read: so once is not enough. */
	run->off_clock += sample->off_clock;
	if (total >= run->sampled_cpu_ns) {
		run->sampled_cpu_ns = total;
		run->low_totals = 0;
		return;
	}
	missing = run->sampled_cpu_ns - total;
	if (run->low_totals == 0 || missing < run->missing_cpu_ns)
		run->missing_cpu_ns = missing;
	if (++run->low_totals < 3)
		return;
	run->lost_cpu_ns += run->missing_cpu_ns;
	run->low_totals = 0;
}

void sample_note(struct run *run, const struct sample *sample)
{
	if (sample->certain && sample->memory_bytes > run->sampled_memory_peak)
		run->sampled_memory_peak = sample->memory_bytes;
	if (sample->processes > run->sampled_processes_peak)
		run->sampled_processes_peak = sample->processes;
	note_cpu(run, sample);
}

static uint64_t files_of(int fd)
{
	struct statfs status;

	return fd >= 0 && fstatfs(fd, &status) == 0 ? (status.f_blocks - status.f_bfree) * (uint64_t)status.f_bsize : 0;
}

/* What lies on the scratch tmpfs beyond the skeleton, and on every tmpfs of the profile's. */
static uint64_t files_in_memory(const struct run *run)
{
	const struct part *part = &run->plan.sandbox_part;
	const struct wire_list list = run->plan.sandbox->filesystem;
	uint64_t scratch = files_of(run->scratch), sum = scratch > run->base_bytes ? scratch - run->base_bytes : 0;

	for (uint32_t i = 0; i < list.count; i++) {
		const struct wire_fs_entry *entry = plan_item(part, list, wire_fs_entry, i);

		if (entry->kind != FS_KIND_TMPFS)
			continue;
		CLEANUP_FD int fd = sys_open_in_root(run->root, plan_text(part, entry->target), O_PATH);
		sum += files_of(fd);
	}
	return sum;
}

/* The cheap figure of one process, and its children and descriptors. Returns how many threads it has. */
static uint64_t visit(struct list *list, unsigned int i, struct held *held, struct share *sum)
{
	struct expansion expansion = { list, held, (uint16_t)i, 0 };
	struct share share = resident(list->pids[i]);

	sum->anonymous += share.anonymous;
	sum->shared += share.shared;
	sum->tables += share.tables;
	for_threads(list->pids[i], expand_thread, &expansion);
	return expansion.threads;
}

static struct share proportional_sum(const struct list *list)
{
	struct share sum = { 0 };

	for (unsigned int i = 0; i < list->count; i++) {
		if (shares_memory(list->pids[i], list->pids[list->parents[i]]))
			continue;
		struct share share = proportional(list->pids[i]);

		sum.anonymous += share.anonymous;
		sum.shared += share.shared;
		sum.tables += share.tables;
	}
	return sum;
}

int sample_tree(struct run *run, uint64_t doubt, struct sample *ret_sample)
{
	struct list list __attribute__((uninitialized));
	struct held held __attribute__((uninitialized));
	struct share sum = { 0 };
	uint64_t start = now_ns(), files = files_in_memory(run) + held_segments(run->segments);
	bool look = start >= run->next_held_ns;

	list.count = 0;
	held_start(&held);
	/* Orphans that init has reaped. What is read before its children are can only be missed, never counted twice. */
	*ret_sample = (struct sample){ .cpu_ns = cpu_of(run->init_pid, TIME_OF_CHILDREN) };
	add_children(&list, 0, true, run->init_pid, run->init_pid);
	for (unsigned int i = 0; i < list.count; i++) {
		ret_sample->cpu_ns += cpu_of(list.pids[i], OWN_TIME);
		ret_sample->off_clock |= off_the_clock(run, list.pids[i]);
		ret_sample->tasks += visit(&list, i, look ? &held : NULL, &sum);
	}
	if (look) {
		run->held_bytes = held.bytes;
		/* A program with thousands of descriptors costs at most about a tenth of our time. */
		run->next_held_ns = start + 10 * (now_ns() - start);
	}
	files += run->held_bytes;
	ret_sample->processes = list.count;
	ret_sample->memory_bytes = sum.anonymous + sum.shared + sum.tables + files;
	ret_sample->certain = list.count <= 1 && files == 0;
	if (ret_sample->certain || ret_sample->memory_bytes <= doubt)
		return 0;
	sum = proportional_sum(&list);
	/* Mapped files of a tmpfs are in both figures; the larger one is surely in use. */
	ret_sample->memory_bytes = sum.anonymous + sum.tables + (sum.shared > files ? sum.shared : files);
	ret_sample->certain = true;
	return 0;
}
