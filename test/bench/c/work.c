// SPDX-License-Identifier: Apache-2.0
/* The same work every time, in registers and in a little memory. Usage: work ROUNDS [THREADS]; no ROUNDS (0): without end. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

static long rounds;
volatile uint64_t sink; /* what is worked out goes somewhere */

static void *work(void *unused)
{
	uint64_t block[4096] = { 0 }, state = 1;

	for (long i = 0; !rounds || i < rounds; i++)
		for (int at = 0; at < 4096; at++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			block[at] ^= state >> 11;
		}
	sink = block[state % 4096];
	return unused;
}

int main(int argc, char **argv)
{
	rounds = argc > 1 ? atol(argv[1]) : 0;
	for (long i = argc > 2 ? atol(argv[2]) : 1; i > 1; i--) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, NULL))
			return 1;
	}
	return work(NULL) != NULL;
}
