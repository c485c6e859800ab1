/* SPDX-License-Identifier: Apache-2.0 -- what happens inside the new namespaces, before the program exists. */
#ifndef BELLJAR_INIT_H
#define BELLJAR_INIT_H

#include <stdbool.h>

#include "plan.h"
#include "proto.h"

/* State of the init task: descriptors only. */
struct init {
	const struct plan *plan;
	int channel;
	int host_proc; /* the host's /proc */
	int cover;     /* the host directory that the scratch tmpfs covers while we build, and its path */
	const char *cover_path;
	int scratch;	  /* root of the scratch tmpfs */
	int parts;	  /* a bindable mount of scratch/parts: the writable places */
	int root;	  /* root of the new file system */
	int segments;	  /* /proc/sysvipc/shm of the sandbox, for a sampler of memory */
	int fuse;	  /* connection of a FUSE root, for its companion */
	uint64_t own[16]; /* mounts that are ours to make things on: the root and the parts of the scratch */
	unsigned int own_count;
	bool has_writable_bind;
	uint64_t base_bytes, base_inodes; /* in use on the scratch tmpfs before the program runs */
	int exec_fds[4];		  /* gate, stdin, stdout, stderr */
	struct failure failure;
};

/* Before a call that does not return, a build with the sanitizer makes system calls of its own, which init's filter kills. */
#define UNDER_GUARD __attribute__((no_sanitize("address")))

/* Runs as PID 1 of the sandbox after clone3; never returns. Async-signal-safe throughout. */
_Noreturn void init_main(struct plan *plan, int channel);

/* Notes where something failed; returns the negative errno for passing on. */
int init_fail(struct init *init, uint32_t step, uint32_t index, int error, const char *text);

int fs_make_scratch(struct init *init);
int fs_build(struct init *init);
int fs_seal(struct init *init);

/* Reaps until the launcher ends us; the end of `program` is told. */
_Noreturn void init_reap(struct init *init, int signals, pid_t program);

/* Installs init's own filter: reap, talk on the channel, exit. */
int guard_filter(void);

/* The program task: from fork to execve; never returns. */
_Noreturn void task_main(struct init *init);

/* Restricts the calling task by the plan's rules; *ret_abi = ABI in force or 0. */
int landlock_restrict(const struct plan *plan, uint32_t *ret_abi, uint32_t *ret_index);

/* The same for a companion, by rules of its own; where the kernel has no Landlock, nothing, unless the plan requires it. */
int landlock_companion(const struct plan *plan, struct wire_list rules);

#endif
