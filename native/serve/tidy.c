// SPDX-License-Identifier: Apache-2.0
/* What a member that was killed leaves behind: its cgroups. All else of a sandbox goes with its processes, and those go with the member. */
#include "cgroup_file.h"
#include "serve.h"
#include "sys.h"
#include "util.h"

static const struct wire_cgroup_hierarchy *hierarchy(const struct server *server, uint32_t i)
{
	return plan_item(&server->plan.sandbox_part, server->plan.sandbox->cgroups, wire_cgroup_hierarchy, i);
}

int tidy_open(struct server *server)
{
	for (uint32_t i = 0; i < server->plan.sandbox->cgroups.count; i++) {
		const char *parent = plan_text(&server->plan.sandbox_part, hierarchy(server, i)->parent);

		server->cgroups[i] = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (server->cgroups[i] < 0) {
			serve_say("opening a cgroup", parent, -errno);
			return -errno;
		}
	}
	return 0;
}

static bool removed(int parent, const char *name)
{
	return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

static bool removed_v2(int parent, const char *name)
{
	CLEANUP_FD int run = openat(parent, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (run < 0)
		return errno == ENOENT;
	/* PID 1 of the sandbox dies with the member; this is for what is in the cgroup and not in the sandbox. */
	(void)cgroup_write_file(run, "cgroup.kill", "1");
	return removed(run, "exec-1") && removed(run, "init") && removed(parent, name);
}

bool tidy_cgroup(int parent, const char *name, uint32_t version)
{
	return version == 2 ? removed_v2(parent, name) : removed(parent, name);
}

bool tidy_member(const struct server *server, const struct member *member)
{
	char name[RUN_NAME_LENGTH + 1];
	bool is_clean = true;

	run_name(member->pid, member->number, name);
	for (uint32_t i = 0; i < server->plan.sandbox->cgroups.count; i++)
		is_clean &= tidy_cgroup(server->cgroups[i], name, hierarchy(server, i)->version);
	return is_clean;
}
