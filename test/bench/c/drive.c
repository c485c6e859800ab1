// SPDX-License-Identifier: Apache-2.0
/*
 * Times several ways to run something in turn, round after round, so that whatever the machine does meanwhile hits all of them alike.
 *
 *   drive ROUNDS WAY... ; each as in ways.h, separated by `--next`
 *
 * Every run must end well, or nothing is printed and drive exits 1. Prints one JSON array of nanoseconds for each way, a line each, null
 * where it did not take part; the first round warms up and is not counted.
 */
#include "ways.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_WAYS = 40, MAX_ROUNDS = 20000 };

static uint64_t times[MAX_WAYS][MAX_ROUNDS];

int main(int argc, char **argv)
{
	static struct way ways[MAX_WAYS];
	int count = 0, rounds = argc > 1 ? atoi(argv[1]) : 0;

	for (int at = 2; at < argc && count < MAX_WAYS; count++)
		at = way_parse(&ways[count], argc, argv, at);
	if (rounds < 1 || rounds >= MAX_ROUNDS || count == 0) {
		fprintf(stderr, "usage: drive ROUNDS WAY [--next WAY]...\n");
		return 2;
	}
	for (int round = 0; round <= rounds; round++)
		for (int i = 0; i < count; i++)
			if (round % ways[i].every == 0 || round == 1)
				times[i][round] = way_time(&ways[i]);
	for (int i = 0; i < count; i++)
		way_end(&ways[i]);
	for (int i = 0; i < count; i++) {
		for (int round = 1; round <= rounds; round++) {
			printf(round > 1 ? "," : "[");
			if (times[i][round])
				printf("%llu", (unsigned long long)times[i][round]);
			else
				printf("null");
		}
		printf("]\n");
	}
	return 0;
}
