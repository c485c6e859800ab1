// SPDX-License-Identifier: Apache-2.0
/*
 * Programs to be measured inside and outside, all in one:
 *
 *   toil cpu N | calls N | files N FOLDER     does it N times and prints the nanoseconds it took
 *   toil wait                  writes a byte and waits for ever
 *   toil pulse BUSY EVERY      writes a byte, then is busy for so many microseconds out of each so many, for ever
 *   toil source BYTES          writes so many bytes
 *   toil sink                  reads to the end, and prints the nanoseconds from the first byte to it
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 16 };

static uint64_t block[4096];
static char bytes[BLOCK];
volatile uint64_t result; /* what is worked out goes somewhere */

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void work(void)
{
	uint64_t state = 1;

	for (int at = 0; at < 4096; at++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		block[at] ^= state >> 11;
	}
	result = block[state % 4096];
}

static void call(void)
{
	(void)syscall(SYS_getppid);
}

/* One file: made, written, looked at, read, removed. */
static void use_file(void)
{
	char read_back[4096];
	int fd = open("toil", O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || write(fd, bytes, sizeof(read_back)) != sizeof(read_back) || access("toil", R_OK) != 0 ||
	    pread(fd, read_back, sizeof(read_back), 0) != sizeof(read_back) || close(fd) != 0 || unlink("toil") != 0) {
		perror("toil");
		exit(1);
	}
}

static int measure(long times, void (*what)(void))
{
	uint64_t from = now_ns();

	for (long i = 0; i < times; i++)
		what();
	printf("%llu\n", (unsigned long long)(now_ns() - from));
	return 0;
}

static int source(long left)
{
	for (ssize_t n; left > 0; left -= n) {
		n = write(1, bytes, left < BLOCK ? (size_t)left : BLOCK);
		if (n <= 0)
			return 1;
	}
	return 0;
}

static int sink(void)
{
	uint64_t from;
	ssize_t n = read(0, bytes, BLOCK);

	for (from = now_ns(); n > 0;)
		n = read(0, bytes, BLOCK);
	printf("%llu\n", (unsigned long long)(now_ns() - from));
	return n < 0;
}

static _Noreturn void pulse(long busy_us, long every_us)
{
	if (write(1, ".", 1) != 1)
		_exit(1);
	for (;;) {
		uint64_t from = now_ns();

		while (busy_us && now_ns() - from < (uint64_t)busy_us * 1000)
			work();
		if (every_us)
			usleep((useconds_t)(every_us - busy_us));
		else
			pause();
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long first = argc > 2 ? atol(argv[2]) : 0, second = argc > 3 ? atol(argv[3]) : 0;

	if (!strcmp(what, "cpu"))
		return measure(first, work);
	if (!strcmp(what, "calls"))
		return measure(first, call);
	if (!strcmp(what, "files") && argc == 4 && chdir(argv[3]) == 0)
		return measure(first, use_file);
	if (!strcmp(what, "source"))
		return source(first);
	if (!strcmp(what, "sink"))
		return sink();
	if (!strcmp(what, "wait"))
		pulse(0, 0);
	if (!strcmp(what, "pulse") && first > 0 && second > first)
		pulse(first, second);
	fprintf(stderr, "usage: toil cpu|calls|files|wait|pulse|source|sink\n");
	return 2;
}
