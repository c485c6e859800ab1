// SPDX-License-Identifier: Apache-2.0
/*
 * Denied calls of an audited program come here: the kernel stops the caller, the supervisor gives it the errno that the
 * filter would have given, and counts.
 *
 * Nothing is ever decided by what a call's arguments point to, or allowed here: the answer follows from the registers that
 * the kernel copied, by the same filter, and is an errno or a kill. (The one answer that lets a call run is for calls that
 * the profile allows and that are only noted, see AUDIT_ACTION_PASS.) The listener stays open as long as a task has the
 * filter: without it the kernel would answer ENOSYS.
 *
 * A call that a signal interrupts is withdrawn and made again; it counts once, when its answer is taken.
 */
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "bpf.h"
#include "run.h"
#include "sys.h"
#include "util.h"

/* A flood of denied calls costs us time as well as the program: a tenth of one CPU, with some credit for the start. */
#define CREDIT_NS   (50 * (int64_t)NS_PER_MS)
#define PAUSE_NS    (10 * NS_PER_MS)
#define BUDGET_PART 10

enum {
	AT_ONCE = 64,	     /* answers before other events have their turn */
	DENIED_VARIANTS = 8, /* different arguments of one call and rule; the rest is counted together */
	PASSED_VARIANTS = 128,
};

union notification {
	struct seccomp_notif it;
	char room[NOTIFY_MAX_BYTES];
};

union response {
	struct seccomp_notif_resp it;
	char room[NOTIFY_MAX_BYTES];
};

static bool is_valid(int fd, uint64_t id)
{
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

static void kept_arguments(const struct plan *plan, const struct seccomp_data *data, uint64_t kept[6])
{
	const struct wire_list list = plan->exec->audit_arguments;

	memset(kept, 0, 6 * sizeof(*kept));
	for (uint32_t i = 0; i < list.count; i++) {
		const struct wire_audit_argument *one = plan_item(&plan->exec_part, list, wire_audit_argument, i);

		if (one->syscall == (uint32_t)data->nr)
			kept[one->index] = data->args[one->index] & one->mask;
	}
}

/* The process of a thread and the thread's name, by the host's /proc; the thread alone where that tells nothing. */
static pid_t process_of(pid_t thread, char name[16])
{
	char path[40], buffer[1024];
	struct text text = text_in(path, sizeof(path));
	const char *at;
	uint64_t pid;

	name[0] = '\0';
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)thread);
	text_add(&text, "/status");
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, sizeof(buffer) - 1);
	if (n <= 0)
		return thread;
	buffer[n] = '\0';
	if (strncmp(buffer, "Name:\t", 6) == 0) {
		size_t length = strcspn(buffer + 6, "\n");

		length = length < 15 ? length : 15;
		memcpy(name, buffer + 6, length);
		name[length] = '\0';
	}
	at = strstr(buffer, "\nTgid:\t");
	return at && parse_u64(at + 7, &pid) == 0 ? (pid_t)pid : thread;
}

static void note_caller(const struct run *run, const struct seccomp_notif *notification, struct denial *entry)
{
	const pid_t thread = (pid_t)notification->pid, process = process_of(thread, entry->caller_name);

	if (process != run->program_pid)
		entry->caller = CALLER_CHILD;
	else
		entry->caller = thread == process ? CALLER_PROGRAM : CALLER_THREAD;
}

/* The entry for this call, a new one if need be; NULL when the table is full. */
static struct denial *entry_for(struct run *run, const struct seccomp_notif *notification, uint32_t slot, bool pass)
{
	const struct seccomp_data *data = &notification->data;
	uint32_t variants = 0, most = pass ? PASSED_VARIANTS : DENIED_VARIANTS;
	struct denial *other = NULL, *entry;
	uint64_t kept[6];

	kept_arguments(&run->plan, data, kept);
	for (uint32_t i = 0; i < run->denial_count; i++) {
		entry = &run->denials[i];
		if (entry->syscall != (uint32_t)data->nr || entry->slot != slot)
			continue;
		if (!entry->arguments_kept)
			other = entry;
		else if (memcmp(entry->arguments, kept, sizeof(kept)) == 0)
			return entry;
		else
			variants++;
	}
	if (other)
		return other;
	if (run->denial_count == MAX_DENIALS)
		return NULL;
	entry = &run->denials[run->denial_count++];
	*entry = (struct denial){ .syscall = (uint32_t)data->nr, .slot = slot, .arguments_kept = variants < most };
	if (entry->arguments_kept)
		memcpy(entry->arguments, kept, sizeof(kept));
	note_caller(run, notification, entry);
	return entry;
}

static void count(struct run *run, struct denial *entry)
{
	if (entry)
		entry->count++;
	else
		run->denials_lost++;
}

/*
 * What a rule that kills asks for. The caller is known by a number that could belong to somebody else by now: the descriptor
 * is opened first, and the notification being valid after that proves that it is the caller's.
 */
static bool kill_caller(struct run *run, const struct seccomp_notif *notification)
{
	char name[16];
	pid_t process = process_of((pid_t)notification->pid, name);
	CLEANUP_FD int pidfd = sys_pidfd_open(process);

	if (!is_valid(run->listener.fd, notification->id))
		return true; /* it died by itself: there is nothing to answer, or to count */
	if (pidfd < 0 || sys_pidfd_send_signal(pidfd, SIGKILL) < 0)
		return false;
	if (process == run->program_pid && run->killed_for == UINT32_MAX)
		run->killed_for = (uint32_t)notification->data.nr;
	return true;
}

/* The slot that the filter names for a call, or NULL. */
static const struct wire_audit_slot *slot_for(const struct plan *plan, const struct seccomp_data *data,
					      uint32_t *ret_index)
{
	const struct wire_bytes filter = plan->exec->audit_filter;
	uint32_t answer =
		bpf_answer(plan_bytes(&plan->exec_part, filter), filter.len / sizeof(struct sock_filter), data);
	uint32_t index = answer & SECCOMP_RET_DATA;

	if ((answer & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_USER_NOTIF || index >= plan->exec->audit_slots.count)
		return NULL;
	*ret_index = index;
	return plan_item(&plan->exec_part, plan->exec->audit_slots, wire_audit_slot, index);
}

/* Answers; true when the call was one that costs the budget. */
static bool answer(struct run *run, const struct seccomp_notif *notification)
{
	uint32_t index = 0;
	const struct wire_audit_slot *slot = slot_for(&run->plan, &notification->data, &index);
	uint32_t action = slot ? slot->action : AUDIT_ACTION_ERRNO;
	union response response = { .it = { .id = notification->id, .error = -EPERM } };
	/* Before the answer, after which the caller may be gone. */
	struct denial *entry = entry_for(run, notification, index, action == AUDIT_ACTION_PASS);

	if (action == AUDIT_ACTION_KILL && kill_caller(run, notification)) {
		count(run, entry);
		return true;
	}
	if (action == AUDIT_ACTION_PASS) {
		response.it.error = 0;
		response.it.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	} else if (slot && action == AUDIT_ACTION_ERRNO) {
		response.it.error = -(int32_t)slot->error;
	}
	/* Refused where the caller died or was interrupted: then it was not answered, and does not count. */
	if (ioctl(run->listener.fd, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0)
		count(run, entry);
	return action != AUDIT_ACTION_PASS;
}

/* One notification, if there is one. RECV would wait: only this thread takes them, so what poll shows is there. */
static bool take_one(struct run *run, bool *ret_costs)
{
	struct pollfd poller = { .fd = run->listener.fd, .events = POLLIN };
	union notification notification;

	*ret_costs = false;
	if (poll(&poller, 1, 0) <= 0)
		return false;
	if (!(poller.revents & POLLIN)) { /* POLLHUP: no task has the filter any more */
		(void)watch_set(run, &run->listener, WATCH_LISTENER, 0);
		close_fd(&run->listener.fd);
		return false;
	}
	memset(&notification, 0, sizeof(notification));
	if (ioctl(run->listener.fd, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0)
		*ret_costs = answer(run, &notification.it);
	return true;
}

/* Whether calls that are allowed come here, too. */
static bool hears_all(const struct plan *plan)
{
	const struct wire_list slots = plan->exec->audit_slots;

	for (uint32_t i = 0; i < slots.count; i++)
		if (plan_item(&plan->exec_part, slots, wire_audit_slot, i)->action == AUDIT_ACTION_PASS)
			return true;
	return false;
}

void notify_start(struct run *run, int listener)
{
	/* Linux 6.6: caller and supervisor take turns on one CPU, which is several times as fast where every call waits. */
	if (hears_all(&run->plan))
		(void)ioctl(listener, SYS_NOTIF_SET_FLAGS, SYS_NOTIF_SYNC_WAKE_UP);
	run->listener = (struct watch){ .fd = listener };
	run->notify_credit_ns = CREDIT_NS;
	run->notify_credit_at = now_ns();
	if (!watch_set(run, &run->listener, WATCH_LISTENER, EPOLLIN))
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 4, errno, "listener");
}

void notify_resume(struct run *run, uint64_t now)
{
	uint64_t earned = (now - run->notify_credit_at) / BUDGET_PART;

	run->notify_credit_at = now;
	run->notify_credit_ns += (int64_t)earned;
	if (run->notify_credit_ns > CREDIT_NS)
		run->notify_credit_ns = CREDIT_NS;
	/* Where it is used up the callers wait: none is forgotten, and their own clocks go on. */
	run->next_notify_ns = run->notify_credit_ns > 0 ? 0 : now + PAUSE_NS;
	if (!watch_set(run, &run->listener, WATCH_LISTENER, run->next_notify_ns ? 0 : EPOLLIN))
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 4, errno, "listener");
}

void notify_event(struct run *run)
{
	uint64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID), spent;
	unsigned int taken = 0, costly = 0;
	bool costs;

	while (taken < AT_ONCE && run->listener.fd >= 0 && take_one(run, &costs)) {
		taken++;
		costly += costs;
	}
	if (costly == 0)
		return;
	spent = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
	run->notify_credit_ns -= (int64_t)(spent * costly / taken);
	notify_resume(run, now_ns());
}
