// SPDX-License-Identifier: Apache-2.0
/*
 * From a checked plan to a program at the gate: the parent's side of the steps in docs/launch-steps.md.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "init.h"
#include "message.h"
#include "run.h"
#include "sys.h"
#include "util.h"

static int socket_pair(int *ret_ours, int *ret_theirs)
{
	int pair[2], on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* Only the receiver needs it: the kernel then attaches the sender's ids, translated to our namespaces. */
	(void)setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

static int clone_init(struct run *run, int channel)
{
	struct sys_clone_args args = {
		.flags = run->plan.sandbox->namespaces | CLONE_PIDFD,
		.pidfd = (uintptr_t)&run->init_pidfd,
		.exit_signal = SIGCHLD,
	};
	int cgroup = cgroups_init_fd(run);

	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	int pid = sys_clone3(&args);
	if (pid == 0) {
		/* Our ends must not live on in init: it would keep the channel open when the launcher dies. */
		(void)close(run->channel);
		(void)close(run->gate);
		(void)close(run->control);
		init_main(&run->plan, channel);
	}
	if (pid < 0)
		return run_fail(run, STAGE_PARENT, STEP_CLONE, 0, pid, "");
	run->init_pid = pid;
	return 0;
}

int launch_start(struct run *run)
{
	int channel = -1;
	int r;

	run->started_ns = now_ns();
	run->setup_deadline_ns = run->started_ns + SETUP_NS;
	r = pumps_open(run);
	if (r < 0)
		return r;
	r = files_open_in(run);
	if (r < 0)
		return r;
	r = cgroups_make(run);
	if (r < 0)
		return r;
	if (run->plan.exec->parked) {
		r = plan_make_handover(&run->plan);
		if (r < 0)
			return run_fail(run, STAGE_PARENT, STEP_CLONE, 2, r, "handover");
	}
	r = socket_pair(&run->channel, &channel);
	if (r == 0)
		r = socket_pair(&run->gate, &run->program_ends[0]);
	if (r < 0)
		return run_fail(run, STAGE_PARENT, STEP_CLONE, 1, r, "socketpair");
	r = clone_init(run, channel);
	close_fd(&channel);
	if (r < 0)
		return r;
	/* Nothing has to happen between the sandbox and the exec part: say so now and save a round trip. */
	if (run->plan.exec->files_in.count == 0)
		return launch_send_exec(run);
	return 0;
}

void launch_close_program_ends(struct run *run)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(run->program_ends); i++)
		close_fd(&run->program_ends[i]);
}

int launch_send_exec(struct run *run)
{
	const struct exec_message message = { .kind = EXEC_RUN };
	unsigned int count = run->plan.exec->stdin == STDIO_KIND_TERMINAL ? 1 : 4;
	int r = 0;

	if (run->exec_sent)
		return 0;
	/* In subordinate mode, and with companions, init first waits for other words: packets keep their order. */
	if ((run->plan.sandbox->id_mode == ID_MODE_SUBORDINATE || run->plan.sandbox->companions.count) && run->root < 0)
		return 0;
	run->exec_sent = true;
	r = message_send(run->channel, &message, sizeof(message), run->program_ends, count);
	launch_close_program_ends(run);
	/* init may be gone already; its own message, or its exit, says why. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		return run_fail(run, STAGE_PARENT, STEP_RECEIVE_EXEC, 0, r, "");
	return 0;
}

static void go_on(struct run *run, uint32_t step)
{
	const struct exec_message message = { .kind = EXEC_GO_ON };
	int r = message_send(run->channel, &message, sizeof(message), NULL, 0);

	if (r < 0 && r != -EPIPE)
		(void)run_fail(run, STAGE_PARENT, step, 0, r, "channel");
}

void launch_open_gate(struct run *run)
{
	/* These must be true: init gave everything up, and the task has its filters on. */
	if (!run->guarded || !run->waiting || run->gate_open || run->state >= RUN_ENDING)
		return;
	if (!usage_settled(run))
		return;
	/* Nobody would answer its denied calls. */
	if ((run->task.audit == AUDIT_STATE_EXACT || run->task.audit == AUDIT_STATE_INEXACT) && run->listener.fd < 0)
		return;
	if (!run->attached && cgroups_attach(run, run->program_pid) < 0)
		return;
	run->attached = true;
	if (run->plan.exec->parked) {
		park(run);
		return;
	}
	if (open_files_limit(run) < 0)
		return;
	run->gate_open = true;
	run->setup_ended_ns = run->gate_ns = now_ns();
	run->state = RUN_RUNNING;
	run_start_clocks(run);
	series_start(run);
	/* Whoever wants to know whether execve has closed it asks (launch_hear_gate); to be told would only wake us. */
	(void)epoll_ctl(run->epoll, EPOLL_CTL_DEL, run->gate, NULL);
	if (write(run->gate, "", 1) != 1 && errno != EPIPE)
		(void)run_fail(run, STAGE_PARENT, STEP_GATE, 0, errno, "");
}

void launch_hear_gate(struct run *run)
{
	while (run->gate >= 0 && run->state < RUN_ENDING && launch_gate(run))
		;
}

static void sandbox_ready(struct run *run, const struct init_message *message, const int *fds, unsigned int count)
{
	run->root = fds[0];
	run->work = count > 1 ? fds[1] : -1;
	run->scratch = count > 2 ? fds[2] : -1;
	/* A folder on disk is no memory, and its file system's figures are not the program's. */
	if (*plan_text(&run->plan.sandbox_part, run->plan.sandbox->scratch_path))
		close_fd(&run->scratch);
	unsigned int at = 3;
	if (message->has_segments && at < count)
		run->segments = fds[at++];
	run->userns = at < count ? fds[at] : -1;
	run->base_bytes = message->scratch_bytes;
	run->base_inodes = message->scratch_inodes;
	run->state = RUN_STARTING;
	/* Failed, or not wanted any more: either way nothing is started. */
	if (run->plan.exec->files_in.count && files_copy_in(run) < 0)
		return;
	(void)launch_send_exec(run);
}

static void close_all(int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		close_fd(&fds[i]);
}

bool launch_channel(struct run *run)
{
	struct init_message message;
	int fds[MESSAGE_MAX_FDS];
	unsigned int count = ARRAY_SIZE(fds);
	int r = message_receive(run->channel, &message, sizeof(message), fds, &count, NULL, MSG_DONTWAIT);

	/* An init that ends with a message of ours unread resets the connection; the reset is told once, before its last words. */
	if (r == -EAGAIN || r == -ECONNRESET)
		return r != -EAGAIN;
	if (r == -EMFILE) { /* what it says is lost, and so would be why */
		close_all(fds, count);
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 1, r, "descriptors");
	}
	if (r != 1) { /* else init is gone; its exit is handled by its pidfd */
		close_fd(&run->channel);
		return false;
	}
	/* Sent before it was killed: what it asks for must not bring the run back, nor be a failure of ours. How the program ended is still true. */
	if (run->state >= RUN_ENDING && message.kind != INIT_EXITED) {
		close_all(fds, count);
		return true;
	}
	switch ((enum init_message_kind)message.kind) {
	case INIT_FAILED:
		(void)run_fail(run, STAGE_INIT, message.failure.step, message.failure.index, message.failure.error,
			       message.failure.text);
		break;
	case INIT_WANTS_IDS:
		if (idmap_run(run) == 0)
			go_on(run, STEP_MAP_IDS);
		break;
	case INIT_NAMESPACES:
		(void)companions_start(run, fds, count > 3 ? fds[3] : -1);
		break;
	case INIT_READY:
		sandbox_ready(run, &message, fds, count);
		return true; /* descriptors are kept */
	case INIT_GUARDED:
		run->guarded = true;
		launch_open_gate(run);
		break;
	case INIT_EXITED:
		/* A task that could not become the program says why; before the gate opens, no program has run. */
		launch_hear_gate(run);
		if (run->state >= RUN_ENDING)
			break; /* it has said why */
		if (!run->gate_open) {
			(void)run_fail(run, STAGE_CHILD, STEP_GATE,
				       WIFSIGNALED(message.status) ? (uint32_t)WTERMSIG(message.status) : 0, 0, "");
			break;
		}
		run->status = message.status;
		run->has_status = true;
		run->init_cpu_ns = message.init_cpu_ns;
		/* Nothing of the program's is left: who waits for the record need not wait for the end of the sandbox. */
		if (run->client.served && message.is_alone && !run->plan.sandbox->companions.count) {
			run->init_cpu_ns = 0; /* these are figures without it */
			run->tree_user_ns = message.user_ns;
			run->tree_system_ns = message.system_ns;
			run->tree_max_rss = message.max_rss;
			run_ended_alone(run);
			break;
		}
		run_end(run, 0);
		break;
	}
	close_all(fds, count);
	return true;
}

/* All companions are ready: init may go on. */
void launch_companions_ready(struct run *run)
{
	go_on(run, STEP_COMPANIONS);
}

static void task_failed(struct run *run, const struct failure *from)
{
	struct failure failure = *from;
	uint32_t start_failure = START_FAILURE_NONE;

	if (failure.step == STEP_WORKDIR)
		start_failure = START_FAILURE_WORKDIR_MISSING;
	if (failure.step == STEP_EXEC)
		start_failure = diagnose_exec(run, &failure);
	if (start_failure == START_FAILURE_NONE) {
		(void)run_fail(run, STAGE_CHILD, failure.step, failure.index, failure.error, failure.text);
		return;
	}
	run->failure = failure;
	run->start_failure = start_failure;
	run_end(run, EVIDENCE_START_FAILED);
}

bool launch_gate(struct run *run)
{
	struct gate_message message;
	int fds[2];
	unsigned int count = ARRAY_SIZE(fds);
	pid_t pid;
	int r = message_receive(run->gate, &message, sizeof(message), fds, &count, &pid, MSG_DONTWAIT);

	if (r == -EAGAIN || r == -ECONNRESET)
		return r != -EAGAIN;
	if (r != 1) { /* closed by execve, or by death */
		close_fd(&run->gate);
		return false;
	}
	if (run->state >= RUN_ENDING) { /* as above */
		close_all(fds, count);
		return true;
	}
	switch ((enum gate_message_kind)message.kind) {
	case GATE_DESCRIPTORS:
		if (message.has & GATE_HAS_TERMINAL)
			pumps_attach_terminal(run, fds[0]);
		if (message.has & GATE_HAS_CLOCK)
			run->clock = fds[message.has & GATE_HAS_TERMINAL ? 1 : 0];
		return true;
	case GATE_WAITING:
		run->task = message;
		run->program_pid = pid;
		/* Here it waits for us; later its number may be somebody else's. */
		if (run->plan.exec->stop_signal)
			run->program_pidfd = sys_pidfd_open(pid);
		run->waiting = true;
		launch_open_gate(run);
		break;
	case GATE_LISTENER:
		if (count != 1 || run->listener.fd >= 0)
			break;
		notify_start(run, fds[0]);
		launch_open_gate(run);
		return true;
	case GATE_FAILED:
		task_failed(run, &message.failure);
		break;
	}
	close_all(fds, count);
	return true;
}
