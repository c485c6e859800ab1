// SPDX-License-Identifier: Apache-2.0
/*
 * Names of runs that are made from one plan. They are of one length, so that a name takes the place of another in a plan that was checked, and
 * nothing else of it moves. `belljar gc` reads the process id.
 */
#include <string.h>

#include "serve.h"

static const char prefix[] = "belljar-run-";
enum { PREFIX_LENGTH = sizeof(prefix) - 1, PID_DIGITS = 10, NUMBER_DIGITS = 16 };
_Static_assert(PREFIX_LENGTH + PID_DIGITS + 1 + NUMBER_DIGITS == RUN_NAME_LENGTH, "the length of a name");

bool run_name_fits(const struct plan *plan)
{
	const char *name = plan_text(&plan->sandbox_part, plan->sandbox->run_id);

	return strlen(name) == RUN_NAME_LENGTH && strncmp(name, prefix, PREFIX_LENGTH) == 0;
}

static void put(char *to, unsigned int digits, uint64_t value)
{
	for (unsigned int i = digits; i-- > 0; value /= 10)
		to[i] = (char)('0' + value % 10);
}

void run_name(pid_t pid, uint64_t number, char ret_name[RUN_NAME_LENGTH + 1])
{
	memcpy(ret_name, prefix, PREFIX_LENGTH);
	put(ret_name + PREFIX_LENGTH, PID_DIGITS, (uint64_t)pid);
	ret_name[PREFIX_LENGTH + PID_DIGITS] = '-';
	put(ret_name + PREFIX_LENGTH + PID_DIGITS + 1, NUMBER_DIGITS, number);
	ret_name[RUN_NAME_LENGTH] = '\0';
}
