// SPDX-License-Identifier: Apache-2.0
/*
 * The memory that a parked task learns from what to run: argv and envp, which the launcher writes once and never reads back. Pages that are not
 * filled are never touched.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "plan.h"

#define HANDOVER_CAPACITY (sizeof(struct handover) + PLAN_TABLES_CAPACITY + PLAN_PART_CAPACITY)

int plan_make_handover(struct plan *plan)
{
	void *at = mmap(NULL, HANDOVER_CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			0);

	if (at == MAP_FAILED)
		return -errno;
	plan->handover = at;
	return 0;
}

/* The texts of a list, after the table of their places. */
static char **copy_texts(char *const *texts, char **table, char **ret_end)
{
	char *at = *ret_end;
	uint32_t i = 0;

	for (; texts[i]; i++) {
		size_t size = strlen(texts[i]) + 1;

		memcpy(at, texts[i], size);
		table[i] = at;
		at += size;
	}
	table[i] = NULL;
	*ret_end = at;
	return table + i + 1;
}

void plan_hand_over(const struct plan *plan)
{
	struct handover *handover = plan->handover;
	char *end = (char *)(handover + 1) + PLAN_TABLES_CAPACITY;

	handover->argv = (char **)(void *)(handover + 1);
	handover->envp = copy_texts(plan->argv, handover->argv, &end);
	(void)copy_texts(plan->envp, handover->envp, &end);
}

void plan_drop_handover(struct plan *plan)
{
	if (plan->handover)
		(void)munmap(plan->handover, HANDOVER_CAPACITY);
	plan->handover = NULL;
}
