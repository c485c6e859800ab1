/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tasks of one run say to each other.
 *
 *   launcher <-- channel (SOCK_SEQPACKET) --> init         struct init_message up, struct exec_message down
 *   launcher <-- gate    (SOCK_SEQPACKET) --> program task  struct gate_message up, one byte down
 *
 * The program task's end of the gate is close-on-exec: end of file without a failure is the proof that execve worked.
 * Process ids come from SCM_CREDENTIALS, which the kernel translates and nobody can forge.
 */
#ifndef BELLJAR_PROTO_H
#define BELLJAR_PROTO_H

#include <stdint.h>
#include <sys/types.h>

#include "gen/wire.gen.h"

/* Where something failed, kept apart from any words about it. */
struct failure {
	uint32_t stage, step, index;
	int32_t error; /* positive errno, 0 = no errno explains it */
	char text[256];
};

enum init_message_kind {
	INIT_FAILED = 1, /* failure */
	INIT_WANTS_IDS,	 /* subordinate mode: map me */
	INIT_NAMESPACES, /* companions may start; descriptors: user, mount, network namespace [, FUSE] */
	INIT_READY,	 /* descriptors: root, work folder, scratch [, segments] [, user namespace] */
	INIT_GUARDED,	 /* nothing of init can be used any more */
	INIT_EXITED,	 /* the program's main process ended */
};

struct init_message {
	uint32_t kind;
	uint32_t has_segments;	/* INIT_READY: /proc/sysvipc/shm is among the descriptors */
	int32_t status;		/* wait status of the program */
	uint64_t scratch_bytes; /* in use before the program ran */
	uint64_t scratch_inodes;
	uint64_t init_cpu_ns;		      /* CPU time of init itself, not to be charged to the program */
	uint64_t user_ns, system_ns, max_rss; /* INIT_EXITED: of all that was reaped */
	uint32_t is_alone;		      /* INIT_EXITED: init is the only process that is left */
	struct failure failure;
};

enum exec_message_kind { EXEC_GO_ON = 1, EXEC_RUN };

/* Descriptors with EXEC_RUN: gate, stdin, stdout, stderr (without those that are a terminal's). */
struct exec_message {
	uint32_t kind;
};

/* GATE_LISTENER comes from a thread of the task, in no fixed order with GATE_WAITING. */
enum gate_message_kind { GATE_DESCRIPTORS = 1, GATE_WAITING, GATE_FAILED, GATE_LISTENER };

/* Room for the kernel's structures of a notification, which may grow. */
enum { NOTIFY_MAX_BYTES = 512 };

enum gate_descriptor { GATE_HAS_TERMINAL = 1, GATE_HAS_CLOCK = 2 };

struct gate_message {
	uint32_t kind;
	uint32_t has;	       /* GATE_DESCRIPTORS: bits of gate_descriptor */
	uint32_t landlock_abi; /* 0 = not restricted */
	uint32_t seccomp;
	uint32_t audit; /* enum audit_state */
	uint32_t reserved;
	uint64_t cpu_ns; /* CPU time of the task before exec, not to be charged to the program */
	struct failure failure;
};

#endif
