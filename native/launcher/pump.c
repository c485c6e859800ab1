// SPDX-License-Identifier: Apache-2.0
/*
 * The program's stdio. The program never holds a descriptor of the caller's: through /proc/self/fd it could reopen it with
 * the rights of the user behind it. So each stream is a pipe of ours (or a pty), and this file moves the bytes: with
 * splice where output allows it, else through a fixed buffer. Output is counted and cut here, to the byte.
 *
 * Nothing here may wait. The ends are opened in streams.c.
 */
#include <linux/limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "run.h"
#include "sys.h"
#include "util.h"

void pumps_limit(struct run *run)
{
	run->pumps[1].limit = run->pumps[2].limit = run->plan.exec->output_bytes;
}

static enum watch_id from_id(const struct run *run, const struct pump *pump)
{
	return (enum watch_id)(WATCH_STDIN_FROM + 2 * (pump - run->pumps));
}

/*
 * Whoever is at the other end of the caller's pipe or socket learns that nothing more is written or read here when it happens,
 * not when this process ends: two programs whose supervisors share their streams would each wait for the other. The number
 * itself stays taken. A terminal is restored by its number, and a file has nobody who waits.
 */
static void let_go(const struct watch *watch, int stream)
{
	if (!watch->has_peer)
		return;
	CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0)
		(void)dup3(null, stream, O_CLOEXEC);
}

static void drop(struct run *run, struct watch *watch, enum watch_id id, bool *open)
{
	(void)watch_set(run, watch, id, 0);
	if (watch->has_peer)
		run_stream_ended(run);
	if (watch->fd > 2 && watch->fd != run->control)
		(void)close(watch->fd);
	let_go(watch, (int)(id - WATCH_STDIN_FROM) / 2);
	watch->fd = -1;
	*open = false;
}

void pump_close_from(struct run *run, struct pump *pump)
{
	drop(run, &pump->from, from_id(run, pump), &pump->from_open);
}

void pump_close_to(struct run *run, struct pump *pump)
{
	drop(run, &pump->to, (enum watch_id)(from_id(run, pump) + 1), &pump->to_open);
}

void pumps_attach_terminal(struct run *run, int master)
{
	int second = fcntl(master, F_DUPFD_CLOEXEC, 3);

	(void)fcntl(master, F_SETFL, O_NONBLOCK | O_RDWR);
	run->pumps[0].to.fd = second;
	run->pumps[0].to_open = second >= 0;
	run->pumps[0].end_of_input_char = true;
	run->pumps[1].from.fd = master;
	run->pumps[1].from_open = true;
	terminal_watch_resize(run);
}

/* What a limit cut off is not in it. */
static void frame_up(const struct run *run, struct pump *pump)
{
	if (pump->end == 0)
		return;
	frame_header(pump->buffer, pump == &run->pumps[1] ? MESSAGE_KIND_STDOUT : MESSAGE_KIND_STDERR, pump->end);
	pump->end += FRAME_HEADER_BYTES;
}

static bool would_block(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool is_ready(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, 0) > 0;
}

static ssize_t write_to(const struct pump *pump, const void *data, size_t length)
{
	if (pump->send)
		return send(pump->to.fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (pump->to.shared) { /* a small write to a pipe or terminal that polls writable does not wait */
		if (!is_ready(pump->to.fd, POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		if (length > PIPE_BUF)
			length = PIPE_BUF;
	}
	return write(pump->to.fd, data, length);
}

/*
 * The reader is gone. For stdout and stderr the program must see that as it would without us, by SIGPIPE or EPIPE; input
 * that nobody wants is nobody's error.
 */
void pump_reader_gone(struct run *run, struct pump *pump, int error)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };
	ptrdiff_t stream = pump - run->pumps;
	int left = 0;

	/* What the program has written counts, though nobody will read it. */
	if (pump->to_is_caller && pump->from_open && ioctl(pump->from.fd, FIONREAD, &left) == 0) {
		uint64_t room = pump->limit - pump->count;

		pump->count += (uint64_t)left < room ? (uint64_t)left : room;
	}
	pump->truncated |= pump->to_is_caller && (left > 0 || pump->start < pump->end);
	/* A frame that has been begun must become whole, as long as there is a client at all. */
	if (!pump->framed || pump->start == 0 || pump->to.fd < 0) {
		pump->start = pump->end = 0;
		pump_close_to(run, pump);
	}
	pump_close_from(run, pump);
	/* A reader that went away is the caller's choice. Output that could not be written (a full disk, say) is our failure. */
	if (pump->to_is_caller && error != EPIPE && error != EIO && error != ECONNRESET)
		(void)run_fail(run, STAGE_PARENT, STEP_DELIVER, (uint32_t)stream, error, names[stream]);
}

bool pump_flush(struct run *run, struct pump *pump)
{
	if (pump->framed && pump->start < pump->end && client_is_busy(run, pump)) {
		pump->blocked_on_target = true;
		return false;
	}
	while (pump->start < pump->end && pump->to_open) {
		ssize_t n = write_to(pump, pump->buffer + pump->start, pump->end - pump->start);

		if (would_block(n)) {
			pump->blocked_on_target = true;
			return false;
		}
		if (n <= 0) {
			if (pump->framed)
				pump->to.fd = -1; /* all of the client is gone */
			pump_reader_gone(run, pump, n < 0 ? errno : EIO);
			return true;
		}
		pump->start += (uint32_t)n;
		pump->delivered += (uint64_t)n;
	}
	pump->start = pump->end = 0;
	return true;
}

static void end_of_input(struct run *run, struct pump *pump)
{
	static const char end_of_transmission = 4;

	pump_close_from(run, pump);
	if (pump->end_of_input_char && pump->to_open)
		ignore_result(write(pump->to.fd, &end_of_transmission, 1));
	if (pump->to_is_caller ? pump->to.has_peer : !pump->end_of_input_char)
		pump_close_to(run, pump);
}

/* The source has nothing now. Once the tree is dead there is nobody left to write, whoever still holds the pipe. */
static void source_empty(struct run *run, struct pump *pump)
{
	if (run->state == RUN_DRAINING && pump->to_is_caller)
		end_of_input(run, pump);
}

/* More than the limit was written, even when the program has ended meanwhile. */
static void over_limit(struct run *run, struct pump *pump)
{
	pump->truncated = true;
	pump_close_from(run, pump);
	run_end(run, EVIDENCE_OUTPUT_KILL);
	run->evidence |= EVIDENCE_OUTPUT_KILL;
}

/*
 * One read or splice; the count, 0 for the end, -1 for "not now" or an error. Near the limit it is always a read of a whole
 * buffer, cut afterwards: whether there is one byte more must be seen, and a pipe in packet mode throws the rest of a short
 * read away.
 */
static ssize_t transfer(struct run *run, struct pump *pump, uint64_t room)
{
	ssize_t n;

	pump->splicing = pump->splice_works && pump->to_open && room > PUMP_BUFFER;
	if (pump->from.shared && !is_ready(pump->from.fd, POLLIN)) {
		errno = EAGAIN;
		return -1;
	}
	if (!pump->splicing) {
		n = read(pump->from.fd, pump->buffer + (pump->framed ? FRAME_HEADER_BYTES : 0), PUMP_BUFFER);
		pump->start = 0;
		pump->end = n > 0 ? (uint32_t)n : 0;
		return n;
	}
	n = splice(pump->from.fd, NULL, pump->to.fd, NULL, PUMP_BUFFER, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n < 0 && (errno == EINVAL || errno == EBADF || errno == ENOSYS)) {
		pump->splice_works = false;
		return transfer(run, pump, room);
	}
	if (n > 0)
		pump->delivered += (uint64_t)n;
	/* EAGAIN of a splice may be either end's. */
	if (would_block(n))
		pump->blocked_on_target = is_ready(pump->from.fd, POLLIN);
	return n;
}

/* One move. True when something was moved. */
static bool move(struct run *run, struct pump *pump)
{
	uint64_t room = pump->limit - pump->count;

	pump->blocked_on_target = false;
	if (!pump_flush(run, pump) || !pump->from_open)
		return false;
	if (!pump->to_is_caller && !pump->to_open)
		return false; /* the terminal is not there yet */
	ssize_t n = transfer(run, pump, room);
	if (would_block(n)) {
		if (!pump->blocked_on_target)
			source_empty(run, pump);
		return false;
	}
	if (n < 0 && pump->splicing) {
		pump_reader_gone(run, pump, errno);
		return false;
	}
	if (n <= 0) { /* end of file; EIO: the last of a pty's other side was closed */
		end_of_input(run, pump);
		return false;
	}
	if ((uint64_t)n > room) {
		pump->end = (uint32_t)room;
		n = (ssize_t)room;
		over_limit(run, pump);
	}
	pump->count += (uint64_t)n;
	if (pump->framed)
		frame_up(run, pump);
	return pump_flush(run, pump) && pump->from_open;
}

static bool step(struct run *run, int stream)
{
	return stream == 0 && run->client.served ? client_step(run) : move(run, &run->pumps[stream]);
}

bool pumps_step(struct run *run)
{
	bool more = false;

	if (run->client.served && !run->client.connected)
		return false;
	for (int i = 0; i < 3; i++) {
		int turn = 0;

		/* A bound on each turn, so that a flood on one stream cannot keep the clocks from being read. */
		while (turn < 16 && step(run, i))
			turn++;
		more |= turn == 16;
	}
	return more;
}

void pumps_watch(struct run *run)
{
	if (run->client.served && !run->client.connected)
		return;
	for (int i = 0; i < 3; i++) {
		struct pump *pump = &run->pumps[i];
		enum watch_id id = from_id(run, pump);
		bool listens = !pump->blocked_on_target && (pump->to_is_caller || pump->to_open);

		/* Listen to the end that holds things up, and to nothing else: a ready end that we cannot use would spin. */
		if (pump->from_open)
			(void)watch_set(run, &pump->from, id, listens ? EPOLLIN : 0);
		if (pump->to_open)
			(void)watch_set(run, &pump->to, (enum watch_id)(id + 1),
					pump->blocked_on_target ? EPOLLOUT : 0);
	}
	if (run->client.served)
		client_watch(run);
}

void pumps_stop_input(struct run *run)
{
	if (run->pumps[0].from_open)
		pump_close_from(run, &run->pumps[0]);
	if (run->pumps[0].to_open)
		pump_close_to(run, &run->pumps[0]);
}

void pumps_give_up(struct run *run)
{
	for (int i = 1; i < 3; i++)
		run->pumps[i].truncated |= run->pumps[i].to_open && run->pumps[i].blocked_on_target;
}

bool pumps_drained(const struct run *run)
{
	/* Without a client nothing has run: there is nothing to read, and nobody to read it. */
	if (run->client.served && !run->client.connected)
		return true;
	for (int i = 1; i < 3; i++) {
		const struct pump *pump = &run->pumps[i];

		if (pump->from_open || (pump->to_open && pump->start < pump->end))
			return false;
	}
	return true;
}
