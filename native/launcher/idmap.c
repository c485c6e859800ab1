// SPDX-License-Identifier: Apache-2.0
/*
 * Subordinate ids: newuidmap and newgidmap write the maps of init, with the administrator's word for the ranges in
 * /etc/subuid. They are setuid (or carry file capabilities), so the process that executes them must not have
 * no_new_privs: that flag is set on the program task only.
 */
#include <sys/wait.h>

#include "run.h"
#include "sys.h"
#include "util.h"

enum { DIGITS = 12 };

static int run_helper(const char *path, pid_t target, const struct part *part, struct wire_list maps)
{
	char numbers[1 + 3 * PLAN_MAX_MAPS][DIGITS];
	char *argv[3 + 3 * PLAN_MAX_MAPS];
	char *const envp[] = { NULL };
	unsigned int argc = 0, used = 0;
	struct text text;
	int status;

	argv[argc++] = (char *)(uintptr_t)path;
	text = text_in(numbers[used], DIGITS);
	text_add_u64(&text, (uint64_t)target);
	argv[argc++] = numbers[used++];
	for (uint32_t i = 0; i < maps.count; i++) {
		const struct wire_id_map *map = plan_item(part, maps, wire_id_map, i);
		const uint32_t values[3] = { map->container_id, map->host_id, map->size };

		for (int k = 0; k < 3; k++) {
			text = text_in(numbers[used], DIGITS);
			text_add_u64(&text, values[k]);
			argv[argc++] = numbers[used++];
		}
	}
	argv[argc] = NULL;
	int pid = sys_fork(NULL);
	if (pid < 0)
		return pid;
	if (pid == 0) {
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)sys_close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
		(void)execve(path, argv, envp);
		_exit(errno == ENOENT ? 127 : 126);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 126)
		return -EACCES;
	return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) == 127 ? -ENOENT : -EPERM;
}

int idmap_run(struct run *run)
{
	const struct part *part = &run->plan.sandbox_part;
	const struct wire_sandbox_plan *sandbox = run->plan.sandbox;
	const char *newgidmap = plan_text(part, sandbox->newgidmap), *newuidmap = plan_text(part, sandbox->newuidmap);
	int r = run_helper(newgidmap, run->init_pid, part, sandbox->gid_maps);

	if (r < 0)
		return run_fail(run, STAGE_PARENT, STEP_MAP_IDS, 0, r, newgidmap);
	r = run_helper(newuidmap, run->init_pid, part, sandbox->uid_maps);
	return r < 0 ? run_fail(run, STAGE_PARENT, STEP_MAP_IDS, 1, r, newuidmap) : 0;
}
