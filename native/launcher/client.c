// SPDX-License-Identifier: Apache-2.0
/*
 * The client of a server's run, at the other end of one socket: its input, its words and the program's output are frames (docs/protocol.md). Whoever
 * has begun a frame owns the socket until it is out. Nothing here waits for the client while the program may be alive.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/time.h>

#include "message.h"
#include "run.h"
#include "sys.h"
#include "util.h"

#define STREAM_END_AFTER_NS (1 * NS_PER_MS)
/* The client has twice as much on its way, so both sides go on while the word does. */
enum { TELL_AFTER_BYTES = PUMP_BUFFER / 2, PATIENCE_S = 10 };

static bool is_begun(const struct pump *pump)
{
	return pump->framed && pump->start > 0 && pump->start < pump->end;
}

bool client_is_busy(const struct run *run, const struct pump *pump)
{
	for (int i = 1; i < 3; i++)
		if (&run->pumps[i] != pump && is_begun(&run->pumps[i]))
			return true;
	return pump && run->client.word_start > 0;
}

static void send_word(struct run *run)
{
	struct client *client = &run->client;

	if (client->word_end == 0 || client_is_busy(run, NULL))
		return;
	ssize_t n = send(run->control, client->word + client->word_start, client->word_end - client->word_start,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		client->word_start += (uint32_t)n;
	/* A client that is gone is heard of by epoll. */
	if (client->word_start == client->word_end)
		client->word_start = client->word_end = 0;
}

static void say(struct run *run, uint32_t kind, const uint32_t *value)
{
	struct client *client = &run->client;

	frame_header(client->word, kind, value ? sizeof(*value) : 0);
	if (value)
		memcpy(client->word + FRAME_HEADER_BYTES, value, sizeof(*value));
	client->word_end = FRAME_HEADER_BYTES + (value ? sizeof(*value) : 0);
	send_word(run);
}

/*
 * A stream whose end the program has brought about while it goes on. Most streams end because the program does, and of that the record tells: so the
 * word is kept back for a moment.
 */
static void tell_ends(struct run *run)
{
	static const uint32_t kinds[3] = { 0, MESSAGE_KIND_STDOUT, MESSAGE_KIND_STDERR };
	struct client *client = &run->client;
	uint64_t due = 0;

	for (int i = 1; i < 3; i++) {
		struct pump *pump = &run->pumps[i];

		if (!pump->framed || !pump->to_open || pump->from_open || pump->start < pump->end ||
		    run->state != RUN_RUNNING)
			continue;
		if (!pump->ended_ns)
			pump->ended_ns = now_ns() + STREAM_END_AFTER_NS;
		if (now_ns() < pump->ended_ns) {
			due = pump->ended_ns;
		} else if (client->word_end == 0) {
			run_stream_ended(run);
			pump_close_to(run, pump);
			say(run, kinds[i], NULL);
		}
	}
	client->next_ns = due;
}

static void tell_taken(struct run *run)
{
	struct client *client = &run->client;
	const struct pump *pump = &run->pumps[0];
	uint64_t taken = client->received - (pump->end - pump->start);

	if (client->word_end || taken - client->told < TELL_AFTER_BYTES)
		return;
	uint32_t more = (uint32_t)(taken - client->told);
	client->told = taken;
	say(run, MESSAGE_KIND_STDIN, &more);
}

/* To the program, as far as it takes it. */
static void pass_input(struct run *run)
{
	struct pump *pump = &run->pumps[0];

	pump->blocked_on_target = false;
	if (pump_flush(run, pump) && run->client.frames.input_ended)
		pumps_stop_input(run);
	tell_taken(run);
}

/* There is room: no more is read than that. */
static void take_input(struct run *run, const uint8_t *bytes, uint32_t length)
{
	struct pump *pump = &run->pumps[0];

	run->client.received += length;
	if (!pump->to_open)
		return;
	if (pump->end + length > sizeof(pump->buffer)) {
		memmove(pump->buffer, pump->buffer + pump->start, pump->end - pump->start);
		pump->end -= pump->start;
		pump->start = 0;
	}
	memcpy(pump->buffer + pump->end, bytes, length);
	pump->end += length;
}

static void take_unread(struct run *run, struct pump *pump, uint32_t error)
{
	if (pump->framed && pump->from_open)
		pump_reader_gone(run, pump, (int)error);
}

static void take(struct run *run, const uint8_t *bytes, uint32_t end)
{
	struct client *client = &run->client;
	uint32_t at = 0, value = 0;

	while (!client->half_closed) {
		switch (frames_next(&client->frames, bytes, end, &at, &value)) {
		case FRAME_NONE:
			return;
		case FRAME_INPUT:
			take_input(run, bytes + at - value, value);
			break;
		case FRAME_END_OF_INPUT:
			break; /* once the rest has been passed on */
		case FRAME_CANCEL:
			run_cancel(run, CANCEL_WORD, 0);
			break;
		case FRAME_STDOUT_UNREAD:
			take_unread(run, &run->pumps[1], value);
			break;
		case FRAME_STDERR_UNREAD:
			take_unread(run, &run->pumps[2], value);
			break;
		case FRAME_BROKEN:
			client->half_closed = true;
			(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 4, EPROTO, "frame");
			break;
		}
	}
}

/* As much as fits behind what the program has not taken; where that is nothing, still a word that is no input, so that it is heard. */
static uint32_t wanted(const struct run *run)
{
	const struct pump *pump = &run->pumps[0];
	uint32_t room = PUMP_BUFFER - (pump->end - pump->start), word = frames_word_left(&run->client.frames);

	return run->client.half_closed ? 0 : room > word ? room : word;
}

bool client_step(struct run *run)
{
	struct client *client = &run->client;
	uint8_t bytes[16384] __attribute__((uninitialized));

	pass_input(run);
	tell_ends(run);
	send_word(run);
	size_t length = client->readable ? wanted(run) : 0;
	if (length > sizeof(bytes))
		length = sizeof(bytes);
	if (length == 0)
		return false;
	ssize_t n = recv(run->control, bytes, length, MSG_DONTWAIT);
	/* Its end is told by epoll. */
	client->readable = n == (ssize_t)length;
	if (n <= 0)
		return false;
	take(run, bytes, (uint32_t)n);
	pass_input(run);
	return client->readable;
}

void client_watch(struct run *run)
{
	struct client *client = &run->client;
	uint32_t events = client->half_closed ? 0 : EPOLLRDHUP;

	if (!client->connected || run->caller_gone)
		return;
	if (wanted(run))
		events |= EPOLLIN;
	if (client->word_end || run->pumps[1].blocked_on_target || run->pumps[2].blocked_on_target)
		events |= EPOLLOUT;
	if (events == client->events)
		return;
	struct epoll_event event = { .events = events, .data.u32 = WATCH_CONTROL };
	if (epoll_ctl(run->epoll, EPOLL_CTL_MOD, run->control, &event) == 0)
		client->events = events;
}

/*
 * The server passes on a connection that it has not read a byte of. From here on this process has no part in the server's life: its link is
 * closed, and the client is the caller.
 */
static void meet(struct run *run)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct client *client = &run->client;
	unsigned int count = 1;
	int fd = -1;
	char word;
	int r = message_receive(run->control, &word, sizeof(word), &fd, &count, NULL, MSG_DONTWAIT);

	if (r == -EAGAIN)
		return;
	if (r != 1 || count != 1 || !run->parked) {
		close_fd(&fd);
		run_caller_gone(run);
		return;
	}
	int link = run->control;
	run->control = fd;
	client->connected = client->readable = true;
	for (int i = 1; i < 3; i++)
		if (run->pumps[i].framed)
			run->pumps[i].to.fd = fd;
	/* For what is written whole: the records. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	/* A client that waits for this word knows that nothing has run if it does not come. */
	if (recv(fd, &word, sizeof(word), MSG_PEEK | MSG_DONTWAIT) < 0)
		(void)control_send(run, MESSAGE_KIND_PARKED, NULL, 0);
	unpark(run);
	/* Closing takes it out of epoll: no other process has this end. */
	(void)close(link);
	client->events = EPOLLIN | EPOLLRDHUP;
	struct epoll_event event = { .events = client->events, .data.u32 = WATCH_CONTROL };
	if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 1, errno, "epoll");
}

void client_event(struct run *run, uint32_t events)
{
	struct client *client = &run->client;

	if (!client->connected) {
		meet(run);
	} else if (events & (EPOLLHUP | EPOLLERR)) {
		run_caller_gone(run);
	} else if (events & EPOLLRDHUP && !client->half_closed) {
		client->half_closed = true;
		run_cancel(run, CANCEL_WORD, 0);
	} else if (events & EPOLLIN) {
		client->readable = true;
	}
}

static int send_rest(const struct run *run, const uint8_t *at, uint32_t length)
{
	return length == 0 || send(run->control, at, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -EPIPE;
}

int client_finish(struct run *run)
{
	struct client *client = &run->client;
	int r = client->word_start
			? send_rest(run, client->word + client->word_start, client->word_end - client->word_start)
			: 0;

	client->word_start = client->word_end = 0;
	for (int i = 1; i < 3 && r == 0; i++) {
		struct pump *pump = &run->pumps[i];

		if (is_begun(pump))
			r = send_rest(run, pump->buffer + pump->start, pump->end - pump->start);
	}
	return r;
}

bool client_linger(struct run *run, uint64_t ns)
{
	struct pollfd connection = { .fd = run->control, .events = POLLIN };
	uint64_t end = now_ns() + ns, now;
	char bytes[4096] __attribute__((uninitialized));

	if (!run->client.connected || run->caller_gone)
		return true;
	while (recv(run->control, bytes, sizeof(bytes), MSG_DONTWAIT) != 0) {
		now = now_ns();
		if (now >= end)
			return false;
		if (poll(&connection, 1, (int)((end - now) / NS_PER_MS) + 1) > 0 && !(connection.revents & POLLIN))
			break;
	}
	return true;
}
