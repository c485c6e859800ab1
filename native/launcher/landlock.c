// SPDX-License-Identifier: Apache-2.0
/*
 * Landlock as a second wall behind the mount table: even a mistake in mount flags does not make a read-only place
 * writable, no mount can be changed, and (ABI 6) no signal or abstract socket reaches out of the domain.
 */
#include "init.h"
#include "sys.h"
#include "util.h"

struct ruleset_attr {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

struct path_beneath {
	uint64_t allowed_access;
	int32_t parent_fd;
} __attribute__((packed));

struct target {
	int ruleset;
	uint64_t known;
	uint32_t *ret_index;
};

#define ACCESS_FILE (UINT64_C(1) << 0 | UINT64_C(1) << 1 | UINT64_C(1) << 2 | UINT64_C(1) << 14 | UINT64_C(1) << 15)

/* Rights that the kernel knows at each ABI: 13 at 1, REFER at 2, TRUNCATE at 3, IOCTL_DEV at 5. */
static uint64_t known_access(int abi)
{
	return (UINT64_C(1) << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13)) - 1;
}

static int add_rules(const struct part *part, struct wire_list rules, struct target target)
{
	for (uint32_t i = 0; i < rules.count; i++) {
		const struct wire_landlock_rule *rule = plan_item(part, rules, wire_landlock_rule, i);
		CLEANUP_FD int fd = open(plan_text(part, rule->path), O_PATH | O_CLOEXEC);
		struct path_beneath beneath = { .allowed_access = rule->access & target.known, .parent_fd = fd };
		struct stat status;

		*target.ret_index = i;
		if (fd < 0 && rule->optional)
			continue;
		if (fd < 0 || fstat(fd, &status) < 0)
			return -errno;
		if (!S_ISDIR(status.st_mode))
			beneath.allowed_access &= ACCESS_FILE;
		if (beneath.allowed_access == 0)
			continue;
		if (syscall(SYS_landlock_add_rule, target.ruleset, 1 /* LANDLOCK_RULE_PATH_BENEATH */, &beneath, 0) < 0)
			return -errno;
	}
	return 0;
}

/* ABI 1 refuses every rename between directories, which breaks ordinary programs: negative, or 2 and more. */
static int usable_abi(void)
{
	int abi = sys_result(syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */));

	return abi == 1 ? -EOPNOTSUPP : abi;
}

static int restrict_by(const struct part *part, struct wire_list rules, int abi, uint32_t *ret_index)
{
	struct ruleset_attr attr = { .handled_access_fs = known_access(abi) };
	size_t size = sizeof(attr.handled_access_fs);
	int r;

	if (abi >= 6) {
		attr.scoped = 3; /* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL */
		size = sizeof(attr);
	}
	CLEANUP_FD int ruleset = sys_result(syscall(SYS_landlock_create_ruleset, &attr, size, 0));
	if (ruleset < 0)
		return ruleset;
	r = add_rules(part, rules, (struct target){ ruleset, attr.handled_access_fs, ret_index });
	return r < 0 ? r : sys_result(syscall(SYS_landlock_restrict_self, ruleset, 0));
}

int landlock_restrict(const struct plan *plan, uint32_t *ret_abi, uint32_t *ret_index)
{
	int abi, r;

	*ret_abi = 0;
	*ret_index = 0;
	if (!plan->sandbox->landlock_wanted)
		return 0;
	abi = usable_abi();
	if (abi < 0)
		return plan->sandbox->landlock_required ? abi : 0;
	r = restrict_by(&plan->sandbox_part, plan->sandbox->landlock, abi, ret_index);
	if (r == 0)
		*ret_abi = (uint32_t)abi;
	return r;
}

int landlock_companion(const struct plan *plan, struct wire_list rules)
{
	uint32_t index;
	int abi = rules.count ? usable_abi() : -EOPNOTSUPP;

	if (abi < 0)
		return plan->sandbox->landlock_required && rules.count ? abi : 0;
	return restrict_by(&plan->sandbox_part, rules, abi, &index);
}
