/* SPDX-License-Identifier: Apache-2.0
 *
 * The program task's side of the audit: from the plan's audit filters to a listener in the launcher's hands.
 */
#ifndef BELLJAR_AUDIT_H
#define BELLJAR_AUDIT_H

#include "plan.h"

struct audit {
	const struct plan *plan;
	uint32_t state; /* enum audit_state: what this task can have */
	int gate;	/* moved out of the way of the listener's number */
	int pipe[2];
	_Alignas(16) char stack[16384];
};

/*
 * Finds out whether this task can have a listener and starts the thread that will hand it over. `gate` is replaced.
 * 0 or negative errno; where there can be no listener, 0 and a state that says so.
 */
int audit_start(struct audit *audit, const struct plan *plan, int *gate);

/* Installs the audit filters in place of the plain ones; the listener goes to the launcher. */
int audit_install(struct audit *audit);

static inline bool audit_works(const struct audit *audit)
{
	return audit->state == AUDIT_STATE_EXACT || audit->state == AUDIT_STATE_INEXACT;
}

#endif
