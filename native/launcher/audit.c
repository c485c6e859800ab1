// SPDX-License-Identifier: Apache-2.0
/*
 * How the listener gets from the task that installs the filter to the launcher. The task cannot send it: its filter is on,
 * and may forbid sendmsg. So a thread, made before, shares the descriptor table and has no filter; it waits for the number
 * on a pipe, sends the descriptor, and ends. execve ends every thread but its own, so that nothing of it can live on in the
 * program; the descriptor is close-on-exec.
 *
 * The thread shares the C library's per-thread data with the task, whose errno it may overwrite when it fails: the task
 * reads errno only of calls whose success it does not need by then.
 */
#include "audit.h"

#include <linux/seccomp.h>
#include <sys/wait.h>

#include "message.h"
#include "proto.h"
#include "sys.h"
#include "util.h"

enum { ABOVE = 16, LISTENER = 3 };

/*
 * There can be one listener on the way from a task up to the first, so under another tool's, or in a sandbox in a sandbox,
 * there is none to be had. No filter at all means no listener; else a process that ends at once tries.
 */
static bool listener_is_free(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	int status = 0;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0)
		return true;
	int pid = sys_fork(NULL);
	if (pid == 0)
		_exit(sys_seccomp_listen(&allow, sizeof(allow), 0) < 0 ? 1 : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return status == 0;
}

static bool sizes_fit(void)
{
	struct seccomp_notif_sizes sizes;

	return syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) == 0 &&
	       sizes.seccomp_notif <= NOTIFY_MAX_BYTES && sizes.seccomp_notif_resp <= NOTIFY_MAX_BYTES;
}

static int move_up(int *fd)
{
	int moved = fcntl(*fd, F_DUPFD_CLOEXEC, ABOVE);

	if (moved < 0)
		return -errno;
	(void)close(*fd);
	*fd = moved;
	return 0;
}

static int hand_over(void *data)
{
	const struct audit *audit = data;
	struct gate_message message = { .kind = GATE_LISTENER };
	int listener, r;

	if (read(audit->pipe[0], &listener, sizeof(listener)) != (ssize_t)sizeof(listener))
		return 0; /* the task is gone */
	r = message_send(audit->gate, &message, sizeof(message), &listener, 1);
	if (r < 0) { /* nobody would answer the task's calls: the launcher waits for one or the other */
		message.kind = GATE_FAILED;
		message.failure =
			(struct failure){ .stage = STAGE_CHILD, .step = STEP_AUDIT_THREAD, .index = 1, .error = -r };
		(void)message_send(audit->gate, &message, sizeof(message), NULL, 0);
	}
	return 0;
}

int audit_start(struct audit *audit, const struct plan *plan, int *gate)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	int r;

	audit->plan = plan;
	audit->state = AUDIT_STATE_OFF;
	if (plan->exec->audit_filter.len == 0)
		return 0;
	audit->state = AUDIT_STATE_UNSUPPORTED;
	if (!sizes_fit())
		return 0;
	audit->state = AUDIT_STATE_TAKEN;
	if (!listener_is_free())
		return 0;
	audit->state = AUDIT_STATE_EXACT;
	if (pipe2(audit->pipe, O_CLOEXEC) < 0)
		return -errno;
	if ((r = move_up(&audit->pipe[0])) < 0 || (r = move_up(&audit->pipe[1])) < 0 || (r = move_up(gate)) < 0)
		return r;
	audit->gate = *gate;
	/* With all signals blocked, as everything in init is: none is meant for it. */
	return clone(hand_over, audit->stack + sizeof(audit->stack), flags, audit) < 0 ? -errno : 0;
}

int audit_install(struct audit *audit)
{
	const struct wire_bytes base = audit->plan->sandbox->audit_base_filter,
				filter = audit->plan->exec->audit_filter;
	const void *bytes = plan_bytes(&audit->plan->exec_part, filter);
	int listener, r = 0;

	/* Nothing below ABOVE is needed any more; the lowest number is within every limit. */
	r = sys_close_range(LISTENER, ABOVE - 1, 0);
	if (r == 0 && base.len)
		r = sys_seccomp_install(plan_bytes(&audit->plan->sandbox_part, base), base.len);
	if (r < 0)
		return r;
	/* Linux 5.19: once the supervisor has a call in hand, signals wait until it has answered. */
	listener = sys_seccomp_listen(bytes, filter.len, SYS_SECCOMP_WAIT_KILLABLE);
	if (listener == -EINVAL) {
		audit->state = AUDIT_STATE_INEXACT;
		listener = sys_seccomp_listen(bytes, filter.len, 0);
	}
	if (listener < 0)
		return listener;
	return write_all(audit->pipe[1], &listener, sizeof(listener));
}
