// SPDX-License-Identifier: Apache-2.0
/*
 * The run itself, seen by its caller. The child is the launcher as ever; the socket between the two is its control and its lifeline: whatever ends this
 * process ends the run. A first signal asks for the end, so that the record still comes; the next, or impatience, ends everything at once.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "front.h"
#include "serve.h"
#include "sys.h"

enum { CONTROL_FD = 3, PATIENCE_MS = 5000, TIDY_TRIES = 200 };

struct conversation {
	int control, pidfd;
	pid_t child;
	bool dropped;
	uint64_t patience_ns; /* until when; 0 = nobody waits */
	uint32_t used;
	uint8_t buffer[4096];
	const char *problem;
};

static __attribute__((noreturn)) void be_launcher(const struct front *front, int control)
{
	for (int i = 0; i < 3; i++)
		if (front->streams[i] != i && dup2(front->streams[i], i) < 0)
			_exit(FRONT_FAILURE);
	if (control != CONTROL_FD && dup2(control, CONTROL_FD) < 0)
		_exit(FRONT_FAILURE);
	/* As from the command: no other descriptor, nothing of the caller's environment for helpers, and no folder is kept busy. */
	(void)sys_close_range(CONTROL_FD + 1, ~0u, 0);
	forget_words(front->words_given + 1);
	forget_words(environ);
	(void)clearenv();
	ignore_result(chdir("/"));
	_exit(run_whole(CONTROL_FD));
}

static int start(struct front *front, struct conversation *with)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	with->child = fork();
	if (with->child == 0) {
		(void)close(pair[0]);
		be_launcher(front, pair[1]);
	}
	(void)close(pair[1]);
	with->control = pair[0];
	return with->child < 0 ? -errno : 0;
}

/* A launcher that is gone breaks the socket; its exit says all there is to say. */
static void send_part(const struct conversation *with, const uint8_t *part, size_t size)
{
	while (size) {
		ssize_t n = send(with->control, part, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		part += n;
		size -= (size_t)n;
	}
}

static void drop(struct conversation *with)
{
	with->dropped = true;
	with->patience_ns = now_ns() + PATIENCE_MS * NS_PER_MS;
	(void)shutdown(with->control, SHUT_WR);
}

static void ask(struct front *front, struct conversation *with)
{
	if (front->asked) {
		drop(with);
		return;
	}
	front->asked = true;
	ignore_result(send(with->control, "C", 1, MSG_NOSIGNAL | MSG_DONTWAIT));
	with->patience_ns = now_ns() + (front->report.exec->stop_ms + PATIENCE_MS) * NS_PER_MS;
}

int front_ended_by_signal(struct front *front)
{
	struct signalfd_siginfo info = { .ssi_signo = SIGTERM };

	ignore_result(read(front->signals, &info, sizeof(info)));
	return 128 + (int)info.ssi_signo;
}

static void take_signals(struct front *front, struct conversation *with)
{
	struct signalfd_siginfo info;

	while (read(front->signals, &info, sizeof(info)) == sizeof(info)) {
		if (!front->first_signal)
			front->first_signal = (int)info.ssi_signo;
		ask(front, with);
	}
}

/* u32 kind, u32 length, payload. False when nothing more comes. */
static bool take_messages(struct front *front, struct conversation *with)
{
	ssize_t n = recv(with->control, with->buffer + with->used, sizeof(with->buffer) - with->used, MSG_DONTWAIT);
	uint32_t header[2], at = 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	with->used += (uint32_t)n;
	while (with->used - at >= sizeof(header)) {
		memcpy(header, with->buffer + at, sizeof(header));
		if (header[1] > sizeof(with->buffer) - sizeof(header)) {
			with->problem = "the launcher sent a message of unknown form";
			return false;
		}
		if (with->used - at < sizeof(header) + header[1])
			break;
		if (report_take(&front->report, header[0], with->buffer + at + sizeof(header), header[1]) < 0) {
			with->problem = "the launcher sent a message of unknown form";
			return false;
		}
		at += (uint32_t)sizeof(header) + header[1];
	}
	memmove(with->buffer, with->buffer + at, with->used - at);
	with->used -= at;
	return true;
}

static int patience(const struct conversation *with)
{
	uint64_t now = now_ns();

	if (!with->patience_ns)
		return -1;
	return now >= with->patience_ns ? 0 : (int)((with->patience_ns - now) / NS_PER_MS) + 1;
}

static void converse(struct front *front, struct conversation *with)
{
	bool open = true;

	while (open) {
		struct pollfd waits[] = { { .fd = with->control, .events = POLLIN },
					  { .fd = front->signals, .events = POLLIN } };
		int n = poll(waits, ARRAY_SIZE(waits), patience(with));

		/* One that somebody has stopped ends by nothing else; the kernel ends its sandbox with it. */
		if (n == 0 && with->dropped)
			(void)kill(with->child, SIGKILL);
		if (n == 0)
			drop(with);
		if (waits[1].revents)
			take_signals(front, with);
		if (waits[0].revents)
			open = take_messages(front, with);
	}
	(void)close(with->control);
}

/* How a launcher ended that left no record. */
static void explain(struct front *front, const struct conversation *with, int status)
{
	struct text text = text_in(front->hint_buffer, sizeof(front->hint_buffer));

	front->report.cancel_signal = front->first_signal;
	if (front->asked)
		return;
	text_add(&text, "running the launcher: ");
	if (with->problem) {
		text_add(&text, with->problem);
	} else if (WIFSIGNALED(status)) {
		text_add(&text, "it was killed by ");
		report_add_signal(&text, &front->report, WTERMSIG(status), false);
	} else {
		text_add(&text, "it exited with status ");
		text_add_u64(&text, (uint64_t)WEXITSTATUS(status));
		text_add(&text, " and no record");
	}
	front->report.failure = arena_copy(front, front->hint_buffer, strlen(front->hint_buffer));
}

/* What a launcher that was killed could not do itself. Its sandbox's processes are dying: for a moment, their cgroups cannot be removed. */
static void tidy(const struct front *front)
{
	const struct report *report = &front->report;
	const struct part *part = &report->sandbox_part;
	const char *name = plan_text(part, report->sandbox->run_id);
	const struct timespec pause = { .tv_nsec = 10 * (long)NS_PER_MS };

	for (uint32_t i = 0; i < report->sandbox->cgroups.count; i++) {
		const struct wire_cgroup_hierarchy *hierarchy =
			plan_item(part, report->sandbox->cgroups, wire_cgroup_hierarchy, i);
		CLEANUP_FD int parent = open(plan_text(part, hierarchy->parent), O_PATH | O_DIRECTORY | O_CLOEXEC);

		for (int try = 0; parent >= 0 && try < TIDY_TRIES && !tidy_cgroup(parent, name, hierarchy->version);
		     try++)
			(void)nanosleep(&pause, NULL);
	}
}

/* Who waits at the other end of them waits for the launcher alone. The caller's own outputs are wanted once more. */
static void close_streams(struct front *front)
{
	(void)close(0);
	for (int i = 0; i < 3; i++)
		if (front->streams[i] > 2 && (i == 0 || front->streams[i] != front->captured[i - 1]))
			(void)close(front->streams[i]);
}

int front_run(struct front *front)
{
	struct conversation with = { .control = -1 };
	int status = 0, r = start(front, &with);

	if (r < 0)
		return front_fail(front, "launcher-failed", "starting the launcher", NULL, front_reason(-r), NULL);
	close_streams(front);
	send_part(&with, front->report.sandbox_part.base, front->report.sandbox_part.size);
	send_part(&with, front->report.exec_part.base, front->report.exec_part.size);
	converse(front, &with);
	while (waitpid(with.child, &status, 0) < 0 && errno == EINTR)
		;
	if (with.problem)
		front->report.has_record = false;
	if (!front->report.has_record) {
		explain(front, &with, status);
		tidy(front);
	} else if (front->first_signal && !front->report.record.cancel_signal) {
		/* A signal that reached us and not the launcher is still what cancelled the run. */
		front->report.record.cancel_signal = front->first_signal;
	}
	return 0;
}
