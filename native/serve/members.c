// SPDX-License-Identifier: Apache-2.0
/* Members of a run server: made, given a connection, buried. */
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "message.h"
#include "serve.h"
#include "sys.h"
#include "util.h"

#define FIRST_PAUSE_NS	 (100 * NS_PER_MS)
#define LONGEST_PAUSE_NS (10 * NS_PER_S)
#define REFILL_AFTER_NS	 (3 * NS_PER_MS)
#define REMAKE_AFTER_NS	 (20 * NS_PER_MS)
#define MANY_DEATHS	 3
#define TIDY_FOR_NS	 (10 * NS_PER_S)

static void enter(struct server *server, struct member *member, enum member_state state)
{
	server->count[member->state]--;
	member->state = state;
	server->count[state]++;
}

uint32_t members_living(const struct server *server)
{
	return server->max - server->count[MEMBER_NONE];
}

/* Whatever keeps one from being made keeps the next one, too, for a while. */
static void hold_back(struct server *server, uint64_t now)
{
	server->pause_ns = server->pause_ns == 0		 ? FIRST_PAUSE_NS
			   : server->pause_ns < LONGEST_PAUSE_NS ? server->pause_ns * 2
								 : LONGEST_PAUSE_NS;
	server->refill_ns = now + server->pause_ns;
}

/*
 * In the child. Signals that the server blocks stay blocked until there is a signalfd for them; the link is the one descriptor it keeps: a listening socket or
 * another's connection that stayed open here would outlive whoever closes it. In a session of its own, for the server's terminal has no say in a client's run.
 */
static _Noreturn void become_member(struct server *server, int link, uint64_t number)
{
	const struct rlimit files = { .rlim_cur = server->open_files, .rlim_max = server->open_files_max };
	struct plan *plan = &server->plan;
	char name[RUN_NAME_LENGTH + 1];
	enum { LINK = 3 };

	/* The server may have no room for one more descriptor: its own make place. */
	if ((link != LINK && dup3(link, LINK, O_CLOEXEC) < 0) || sys_close_range(LINK + 1, ~0u, 0) < 0)
		_exit(1);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd < LINK; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			_exit(1);
	(void)close(null);
	forget_words(server->options);
	(void)setsid();
	(void)setrlimit(RLIMIT_NOFILE, &files);
	run_name(getpid(), number, name);
	/* The plan's memory is private: this is our copy of it. */
	memcpy((char *)(uintptr_t)plan_text(&plan->sandbox_part, plan->sandbox->run_id), name, RUN_NAME_LENGTH);
	_exit(member_main(plan, LINK));
}

static struct member *free_member(struct server *server)
{
	for (uint32_t i = 0; i < server->max; i++)
		if (server->members[i].state == MEMBER_NONE)
			return &server->members[i];
	return NULL;
}

static int make(struct server *server)
{
	struct member *member = free_member(server);
	uint64_t number = server->next_number++;
	uint64_t sources =
		sources_now(&server->plan); /* before anything is mounted: what changes meanwhile is noticed */
	int pair[2];

	if (!member)
		return -EAGAIN;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = (uint32_t)(member - server->members) };
	int r = epoll_ctl(server->epoll, EPOLL_CTL_ADD, pair[0], &event) < 0 ? -errno : 0;
	pid_t pid = r < 0 ? r : sys_fork(NULL);
	if (pid == 0)
		become_member(server, pair[1], number);
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return pid;
	}
	member->pid = pid;
	member->link = pair[0];
	member->number = number;
	member->sources = sources;
	enter(server, member, MEMBER_MAKING);
	return 0;
}

/* Making one waits for the kernel most of the time; who waits for one is served sooner when more are on their way than there are CPUs. */
static uint32_t at_once(const struct server *server)
{
	return server->waiting_count ? 4 * server->at_once : server->at_once;
}

/* Made for a client that has gone meanwhile. */
static void drop_surplus(struct server *server)
{
	while (server->count[MEMBER_READY] > server->size + server->waiting_count) {
		struct member *member = &server->members[server->ready[server->count[MEMBER_READY] - 1]];

		enter(server, member, MEMBER_RUNNING);
		close_fd(&member->link); /* which ends it */
	}
}

void members_refill(struct server *server, uint64_t now)
{
	drop_surplus(server);
	while (!server->stopping && now >= server->refill_ns && server->count[MEMBER_NONE] > 0 &&
	       server->count[MEMBER_MAKING] < at_once(server) &&
	       server->count[MEMBER_MAKING] + server->count[MEMBER_READY] < server->size + server->waiting_count) {
		int r = make(server);

		if (r < 0) {
			serve_say("making a sandbox", "fork", r);
			hold_back(server, now);
		}
	}
}

bool members_hand_over(struct server *server, int connection, uint64_t now)
{
	uint64_t sources = server->count[MEMBER_READY] > 0 ? sources_now(&server->plan) : 0;

	while (server->count[MEMBER_READY] > 0) {
		/* The one that was ready last: more of it is still in the caches. */
		struct member *member = &server->members[server->ready[server->count[MEMBER_READY] - 1]];

		enter(server, member, MEMBER_RUNNING);
		if (member->sources != sources) {
			close_fd(&member->link); /* which ends it */
			continue;
		}
		int r = message_send(member->link, "", 1, &connection, 1);
		close_fd(&member->link);
		/* With enough left, the new one is made behind the run, not beside it. */
		if (server->count[MEMBER_READY] * 2 >= server->size && server->refill_ns < now + REFILL_AFTER_NS)
			server->refill_ns = now + REFILL_AFTER_NS;
		if (r == 0)
			return true; /* else it is dead, and reaped soon */
	}
	return false;
}

static void say_why(const struct wire_run_record *record)
{
	char about[300];

	(void)snprintf(about, sizeof(about), "stage %u, step %u, index %u, %.200s", record->error_stage,
		       record->error_step, record->error_index,
		       record->error_text[0] ? record->error_text : "no more is known");
	serve_say("making a sandbox", about, -(int)record->error_errno);
}

void members_heard(struct server *server, uint32_t index, uint64_t now)
{
	struct member *member = &server->members[index];
	struct {
		uint32_t kind, length;
		struct wire_run_record record;
	} message = { .kind = MESSAGE_KIND_NONE };
	ssize_t n;

	if (member->state != MEMBER_MAKING)
		return;
	n = recv(member->link, &message, sizeof(message), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	(void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, member->link, NULL);
	if (n > 0 && message.kind == MESSAGE_KIND_PARKED) {
		server->ready[server->count[MEMBER_READY]] = index;
		enter(server, member, MEMBER_READY);
		server->pause_ns = 0;
		server->deaths = 0;
		return;
	}
	bool has_said = n == (ssize_t)sizeof(message) && message.kind == MESSAGE_KIND_RECORD;
	if (has_said)
		say_why(&message.record);
	enter(server, member, MEMBER_RUNNING);
	close_fd(&member->link);
	/* Killed once or twice it proves nothing. */
	if (!has_said && ++server->deaths < MANY_DEATHS) {
		server->refill_ns = now + REMAKE_AFTER_NS;
		return;
	}
	if (!has_said)
		serve_say("making a sandbox", "its launcher ends each time without a word", 0);
	hold_back(server, now);
}

static void forget_ready(struct server *server, uint32_t index)
{
	uint32_t count = server->count[MEMBER_READY], at = 0;

	while (at < count && server->ready[at] != index)
		at++;
	for (; at + 1 < count; at++)
		server->ready[at] = server->ready[at + 1];
}

static void bury(struct server *server, uint32_t index, int status, uint64_t now)
{
	struct member *member = &server->members[index];

	/* What it said last may still be there. */
	if (member->state == MEMBER_MAKING)
		members_heard(server, index, now);
	if (member->state == MEMBER_READY) {
		forget_ready(server, index);
		/* Something kills them: no race with it. */
		if (server->refill_ns < now)
			server->refill_ns = now + REMAKE_AFTER_NS;
	}
	close_fd(&member->link);
	if (status == 0) {
		enter(server, member, MEMBER_NONE);
		return;
	}
	member->tidy_until_ns = now + TIDY_FOR_NS;
	enter(server, member, MEMBER_TIDYING);
	server->tidy_ns = now;
}

void members_reap(struct server *server, uint64_t now)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (uint32_t i = 0; i < server->max; i++)
			if (server->members[i].pid == pid && server->members[i].state != MEMBER_NONE &&
			    server->members[i].state != MEMBER_TIDYING) {
				bury(server, i, status, now);
				break;
			}
}

void members_tidy(struct server *server, uint64_t now)
{
	if (!server->tidy_ns || now < server->tidy_ns)
		return;
	server->tidy_ns = 0;
	for (uint32_t i = 0; i < server->max; i++) {
		struct member *member = &server->members[i];

		if (member->state != MEMBER_TIDYING)
			continue;
		bool is_clean = tidy_member(server, member);
		if (!is_clean && now < member->tidy_until_ns) {
			server->tidy_ns = now + 10 * NS_PER_MS; /* its processes are dying; there is no event for it */
			continue;
		}
		if (!is_clean)
			serve_say("removing the cgroup of a dead sandbox", "'belljar gc' removes what is left", -EBUSY);
		enter(server, member, MEMBER_NONE);
	}
}

void members_drop(struct server *server)
{
	for (uint32_t i = 0; i < server->max; i++)
		close_fd(&server->members[i].link);
	for (uint32_t i = 0; i < server->max; i++)
		if (server->members[i].state == MEMBER_MAKING || server->members[i].state == MEMBER_READY)
			enter(server, &server->members[i], MEMBER_RUNNING);
}

void members_signal(const struct server *server, int signal)
{
	for (uint32_t i = 0; i < server->max; i++)
		if (server->members[i].state == MEMBER_RUNNING)
			(void)kill(server->members[i].pid, signal);
}
