// SPDX-License-Identifier: Apache-2.0
/*
 * What a client sends to a sandbox that waits: any bytes behind a plan. Whatever is accepted must leave what the task wears as it is, and the
 * task must find the argv and envp of the second part, each text ending within the memory that is handed over.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "plan.h"
#include "sys.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static size_t same_texts(char *const *left, char *const *right)
{
	size_t i = 0;

	for (; left[i]; i++)
		must(right[i] && left[i] != right[i] && strcmp(left[i], right[i]) == 0);
	must(!right[i]);
	return i;
}

/* A pipe has a reader that meets the end; so does a file, and it holds any size. */
static int stream_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("input", MFD_CLOEXEC);

	must(fd >= 0 && write_all(fd, data, size) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FD int fd = stream_of(data, size);
	struct plan plan = { 0 };
	const struct wire_exec_plan *template;

	if (plan_read(fd, &plan) == 0) {
		template = plan.exec;
		if (plan_read_second(fd, 0, &plan) == 0) {
			must(plan.exec != template && !plan.exec->parked && plan.exec->uid == template->uid &&
			     plan.exec->capabilities == template->capabilities && plan.exec->umask == template->umask);
			must(plan_make_handover(&plan) == 0);
			plan_hand_over(&plan);
			must(same_texts(plan.argv, plan.handover->argv) == plan.exec->argv.count);
			must(same_texts(plan.envp, plan.handover->envp) == plan.exec->env.count);
			plan_drop_handover(&plan);
			(void)munmap((void *)(uintptr_t)plan.exec_part.base, PLAN_PART_CAPACITY + PLAN_TABLES_CAPACITY);
		} else {
			must(plan.exec == template); /* nothing half taken over */
		}
	}
	if (plan.mapping)
		(void)munmap(plan.mapping, plan.mapping_size);
	return 0;
}
