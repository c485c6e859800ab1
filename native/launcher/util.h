/* SPDX-License-Identifier: Apache-2.0 -- small helpers; all async-signal-safe. */
#ifndef BELLJAR_UTIL_H
#define BELLJAR_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS	  UINT64_C(1000000)
#define NS_PER_S	  UINT64_C(1000000000)
#define NOT_MEASURED	  UINT64_MAX
#define LEFTOVERS_UNKNOWN UINT32_MAX /* of a record that is sent before its sandbox is removed */
#define ARRAY_SIZE(a)	  (sizeof(a) / sizeof((a)[0]))

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static inline void cleanup_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
#define CLEANUP_FD __attribute__((cleanup(cleanup_fd)))

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* For results that change nothing: hardened headers warn about a plain cast to void. */
static inline void ignore_result(ssize_t result)
{
	(void)result;
}

static inline int write_all(int fd, const void *data, size_t length)
{
	const char *at = data;

	while (length > 0) {
		ssize_t n = write(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

static inline int read_all(int fd, void *data, size_t length)
{
	char *at = data;

	while (length > 0) {
		ssize_t n = read(fd, at, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

/* A string under construction in a buffer of the caller's; an overflow sets `full` and the text stays terminated. */
struct text {
	char *at, *end;
	bool full;
};

static inline struct text text_in(char *buffer, size_t size)
{
	buffer[0] = '\0';
	return (struct text){ .at = buffer, .end = buffer + size - 1, .full = false };
}

static inline void text_add(struct text *text, const char *more)
{
	while (*more && text->at < text->end)
		*text->at++ = *more++;
	text->full |= *more != '\0';
	*text->at = '\0';
}

static inline void text_add_u64(struct text *text, uint64_t value)
{
	char digits[21];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text_add(text, at);
}

/* Parses leading decimal digits; ret_value untouched when there are none. */
static inline int parse_u64(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (value > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		value = value * 10 + (uint64_t)(*text - '0');
	}
	*ret_value = value;
	return 0;
}

/*
 * For a process that goes on as another: what its words said is not for what it starts. Its memory of them is what /proc/PID/cmdline and
 * environ show, the former to everybody in its process namespace.
 */
static inline void forget_words(char **words)
{
	for (; words && *words; words++)
		memset(*words, 0, strlen(*words));
}

static inline void copy_text(char *to, size_t size, const char *from)
{
	struct text text = text_in(to, size);

	text_add(&text, from);
}

#endif
