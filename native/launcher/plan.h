/* SPDX-License-Identifier: Apache-2.0 -- the two checked parts of a plan, in one mapping. */
#ifndef BELLJAR_PLAN_H
#define BELLJAR_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gen/wire.gen.h"

struct wire_header {
	uint64_t magic;
	uint32_t kind, version, total_size, root_offset;
	uint64_t reserved;
};
_Static_assert(sizeof(struct wire_header) == 32, "header layout");

/* Bounds of what a plan may ask for, beyond those of the table. A century of milliseconds fits nanoseconds in 64 bits. */
enum {
	PLAN_MAX_HIERARCHIES = 8,
	PLAN_MAX_COMPANIONS = 8,
	PLAN_MAX_FILES = 256,
	PLAN_MAX_GROUPS = 32,
	PLAN_MAX_MAPS = 64,
	PLAN_MAX_SLOTS = 65536 /* what fits the data of a filter's answer */
};
#define PLAN_MAX_MS UINT64_C(3155760000000)

/* Room for one part, and for the pointers to its texts. */
#define PLAN_PART_CAPACITY   ((size_t)WIRE_MAX_PLAN_BYTES)
#define PLAN_TABLES_CAPACITY (2 * (WIRE_MAX_LIST_ITEMS + 1) * sizeof(char *))

/* A part that plan_check accepted: every offset below is in bounds, every string ends with NUL. */
struct part {
	const uint8_t *base;
	uint32_t size;
};

struct plan {
	struct part sandbox_part, exec_part;
	const struct wire_sandbox_plan *sandbox;
	const struct wire_exec_plan *exec;
	/* NULL-terminated pointer tables for execve, in memory of the same mapping. */
	char **argv, **envp;
	void *mapping;
	size_t mapping_size;
	/* Where a parked task finds its argv and envp in the end: shared with it, written by the launcher and never read back. */
	struct handover *handover;
};

struct handover {
	char **argv, **envp;
};

/*
 * Checks one part: the header, then the one canonical layout (every offset must be where the encoder's walk puts it),
 * ranges, flags, text rules. 0, or -EBADMSG; where it failed is not worth telling an attacker's file.
 */
int plan_check(const void *bytes, size_t length, uint32_t kind);

/* The layout of a record of the table. */
const struct wire_record *plan_record(uint16_t id);

/* Reads both parts from a stream, checks them, fills ret_plan. 0, -EBADMSG, -EPIPE or another negative errno. */
int plan_read(int fd, struct plan *ret_plan);

/* Reads the exec part that a parked plan waits for, in place of the template. The same errors; -EBADMSG also where it asks for another task. */
int plan_read_second(int fd, uint64_t deadline_ns, struct plan *plan);

/* handover.c */
/* The memory between the launcher and a task that is still to be forked. */
int plan_make_handover(struct plan *plan);
/* Copies argv and envp to it. */
void plan_hand_over(const struct plan *plan);
/* In tasks that do not need it. */
void plan_drop_handover(struct plan *plan);

static inline const char *plan_text(const struct part *part, struct wire_str text)
{
	return text.len ? (const char *)part->base + text.off : "";
}

static inline const void *plan_bytes(const struct part *part, struct wire_bytes bytes)
{
	return part->base + bytes.off;
}

/* Element i of a list of records of type TYPE. */
#define plan_item(part, list, TYPE, i) ((const struct TYPE *)(const void *)((part)->base + (list).off) + (i))

#endif
