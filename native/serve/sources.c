// SPDX-License-Identifier: Apache-2.0
/*
 * Whether the host's files and folders that a sandbox is made from are still those that their paths lead to. A mount holds on to what it was made of, so a
 * sandbox that waits would show a folder that was replaced since, where one that is made now shows the new one.
 *
 * What a sandbox holds is not freed, so nothing else gets its number while the sandbox waits. What is mounted later beneath a source is not noticed.
 */
#include "serve.h"
#include "sys.h"

/* FNV-1a, by words. */
#define HASH_START UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

static uint64_t mixed(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * HASH_PRIME;
	return hash ^ hash >> 32;
}

/* As the kernel has it in memory: no file server is asked, for whoever looks here must not wait. */
static uint64_t with_source(uint64_t hash, const char *path)
{
	struct sys_statx status;
	int r = sys_statx(AT_FDCWD, path, SYS_STATX_DONT_SYNC, SYS_STATX_INO, &status);

	if (r < 0)
		return mixed(hash, (uint64_t)-r);
	hash = mixed(hash, (uint64_t)status.dev_major << 32 | status.dev_minor);
	return mixed(hash, status.ino);
}

uint64_t sources_now(const struct plan *plan)
{
	const struct wire_sandbox_plan *sandbox = plan->sandbox;
	const struct part *part = &plan->sandbox_part;
	uint64_t hash = HASH_START;

	for (uint32_t i = 0; i < sandbox->root_layers.count; i++)
		hash = with_source(hash, plan_text(part, plan_item(part, sandbox->root_layers, wire_text, i)->text));
	for (uint32_t i = 0; i < sandbox->filesystem.count; i++) {
		const struct wire_fs_entry *entry = plan_item(part, sandbox->filesystem, wire_fs_entry, i);

		/* Devices are what they are. */
		if (entry->kind == FS_KIND_BIND && !(entry->flags & FS_FLAG_DEVICE_NODES))
			hash = with_source(hash, plan_text(part, entry->source));
	}
	return hash;
}
