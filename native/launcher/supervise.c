// SPDX-License-Identifier: Apache-2.0
/*
 * The supervisor: a state machine over struct run, driven by epoll and one timerfd. It lives outside the sandbox, in no
 * namespace, process group or terminal of the program's, so nothing that the program does can stop its clocks.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "run.h"
#include "sys.h"
#include "util.h"

#define SAMPLE_NS	    (5 * NS_PER_MS)	/* memory without a cgroup */
#define COUNTER_NS	    (50 * NS_PER_MS)	/* a cgroup, and the OOM counter of v1; the tree beside a perf clock */
#define IDLE_NS		    (100 * NS_PER_MS)	/* beside a clock that stands still */
#define FILL_BYTES_PER_MS   (UINT64_C(8) << 20) /* of each processor: more than any fills */
#define DRAIN_AFTER_KILL_NS (5 * NS_PER_S)	/* without any progress */
#define EVIDENCE_KILLED \
	(EVIDENCE_OOM_KILL | EVIDENCE_CPU_KILL | EVIDENCE_WALL_KILL | EVIDENCE_OUTPUT_KILL | EVIDENCE_DISK_KILL)

int run_fail(struct run *run, uint32_t stage, uint32_t step, uint32_t index, int error, const char *text)
{
	if (!(run->evidence & EVIDENCE_SANDBOX_ERROR)) {
		run->failure.stage = stage;
		run->failure.step = step;
		run->failure.index = index;
		run->failure.error = error < 0 ? -error : error;
		copy_text(run->failure.text, sizeof(run->failure.text), text);
	}
	run_end(run, EVIDENCE_SANDBOX_ERROR);
	return error < 0 ? error : -EPROTO;
}

void run_end(struct run *run, uint32_t evidence)
{
	/* After the end was decided, later events (a clock that also ran out, a cancel while output drains) are no evidence. */
	if (run->state >= RUN_ENDING) {
		run->evidence |= evidence & EVIDENCE_SANDBOX_ERROR;
		return;
	}
	run->evidence |= evidence;
	run->ended_ns = now_ns();
	run->state = RUN_ENDING;
	/* Killing PID 1 kills all of the pid namespace; the kernel lets init's exit wait for the last of them. */
	if (run->init_pidfd >= 0)
		(void)sys_pidfd_send_signal(run->init_pidfd, SIGKILL);
	cgroups_kill(run);
}

bool watch_set(struct run *run, struct watch *watch, enum watch_id id, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = id };
	int operation = watch->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;

	if (watch->fd < 0 || watch->always_ready || watch->events == events)
		return true;
	if (epoll_ctl(run->epoll, operation, watch->fd, &event) < 0) {
		if (errno != EPERM)
			return false;
		watch->always_ready = true;
		return true;
	}
	watch->events = events;
	return true;
}

static int add(struct run *run, int fd, enum watch_id id)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = id };

	return fd < 0 || epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
	return b && (!a || b < a) ? b : a;
}

static bool asked(const struct run *run, enum limit limit, enum mechanism mechanism)
{
	return run->plan.exec->mechanisms[limit] == (uint32_t)mechanism;
}

/* An OOM kill under a limit of the program's that was never reached is the host's doing. */
void run_out_of_memory(struct run *run)
{
	bool limited = asked(run, LIMIT_MEMORY, MECHANISM_CGROUP2) || asked(run, LIMIT_MEMORY, MECHANISM_CGROUP1);

	if (limited && cgroups_memory_ran_out_above(run))
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 0, ENOMEM, "memory");
	else
		run_end(run, EVIDENCE_OOM_KILL);
}

/* The next moment at which something has to be looked at, 0 = none. */
static uint64_t next_deadline(const struct run *run)
{
	uint64_t next = 0;

	if (run->state <= RUN_STARTING && !run->parked)
		next = run->setup_deadline_ns;
	if (run->state == RUN_DRAINING)
		next = earliest(run->drain_deadline_ns, run->usage.final_ns);
	if (run->state != RUN_RUNNING)
		return next;
	if (run->plan.exec->wall_ms)
		next = run->gate_ns + run->plan.exec->wall_ms * NS_PER_MS;
	next = earliest(next, run->next_sample_ns);
	next = earliest(next, run->stop_deadline_ns);
	next = earliest(next, run->next_notify_ns);
	next = earliest(next, run->next_series_ns);
	next = earliest(next, run->client.next_ns);
	return earliest(next, run->next_cpu_ns);
}

static void arm_timer(struct run *run)
{
	uint64_t next = next_deadline(run);
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(next / NS_PER_S),
						 .tv_nsec = (long)(next % NS_PER_S) } };

	if (next == run->armed_ns)
		return;
	run->armed_ns = next;
	(void)timerfd_settime(run->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

uint64_t run_cpu_ns(const struct run *run)
{
	uint64_t value;

	if (cgroups_cpu_by(run) != MECHANISM_NONE)
		return cgroups_cpu_ns(run);
	/* A clock that shows less than what was seen has been taken off by some process. */
	if (run->clock >= 0 && read(run->clock, &value, sizeof(value)) == sizeof(value) &&
	    value + CLOCK_SLACK_NS >= run->sampled_cpu_ns)
		return value;
	return NOT_MEASURED;
}

/* CPU time cannot grow faster than the CPUs allow: look again when the limit can first be reached, then ever closer. */
static void check_cpu(struct run *run, uint64_t now)
{
	uint64_t limit = run->plan.exec->cpu_ms * NS_PER_MS, used = run_cpu_ns(run), wait;

	run->next_cpu_ns = 0;
	if (limit == 0)
		return;
	if (used == NOT_MEASURED)
		used = run->sampled_cpu_ns;
	if (used >= limit) {
		run_end(run, EVIDENCE_CPU_KILL);
		return;
	}
	wait = (limit - used) / (uint64_t)run->online_cpus;
	run->next_cpu_ns = now + (wait < NS_PER_MS ? NS_PER_MS : wait);
}

/*
 * How long a tree may be left alone that does not run: no longer than memory can be filled up to the limit from what it held, even by a process
 * that has taken itself off the clock.
 */
static uint64_t idle_wait(const struct run *run)
{
	uint64_t limit = run->plan.exec->memory_bytes, held = run->walked_bytes;
	uint64_t room = limit > held ? limit - held : 0;
	uint64_t wait = room / FILL_BYTES_PER_MS / (uint64_t)run->online_cpus * NS_PER_MS;

	if (limit == 0 || wait > IDLE_NS)
		return IDLE_NS;
	return wait < SAMPLE_NS ? SAMPLE_NS : wait;
}

/* A tree that has not run since the last walk holds no more than then. A program that waits would else cost a hundredth of a processor. */
static bool has_run(const struct run *run, uint64_t cpu_ns)
{
	return run->clock < 0 || run->off_clock || cpu_ns == NOT_MEASURED || cpu_ns != run->walked_cpu_ns;
}

void run_start_clocks(struct run *run)
{
	bool often = asked(run, LIMIT_MEMORY, MECHANISM_SUPERVISOR) ||
		     (run->plan.exec->cpu_ms && run->clock < 0 && cgroups_cpu_by(run) == MECHANISM_NONE);

	run->next_sample_ns = run->gate_ns + (often ? SAMPLE_NS : COUNTER_NS);
	run->next_cpu_ns = 0;
	if (run->plan.exec->cpu_ms)
		run->next_cpu_ns = run->gate_ns + run->plan.exec->cpu_ms * NS_PER_MS / (uint64_t)run->online_cpus;
}

static void check_sample(struct run *run, uint64_t now)
{
	const struct wire_exec_plan *exec = run->plan.exec;
	/* Once: reading the clock interrupts the program where it runs. Before the walk: what runs meanwhile is seen by the next. */
	uint64_t cpu_ns = run_cpu_ns(run);
	bool often, idle = !has_run(run, cpu_ns);
	struct sample sample;

	launch_hear_gate(run);
	run->next_sample_ns = 0;
	if (run->plan.sandbox->cgroups.count) {
		run->next_sample_ns = now + COUNTER_NS;
		if (cgroups_check(run) < 0)
			return;
	}
	if (asked(run, LIMIT_MEMORY, MECHANISM_CGROUP1)) {
		run->oom_kills = cgroups_oom_kills(run);
		if (run->oom_kills != NOT_MEASURED && run->oom_kills > 0)
			run_out_of_memory(run);
	}
	often = asked(run, LIMIT_MEMORY, MECHANISM_SUPERVISOR) || (exec->cpu_ms && cpu_ns == NOT_MEASURED);
	if (!often && run->clock < 0)
		return;
	run->next_sample_ns = now + (!often ? COUNTER_NS : idle ? idle_wait(run) : SAMPLE_NS);
	if (idle && now < run->walked_ns + idle_wait(run))
		return;
	run->walked_cpu_ns = cpu_ns;
	run->walked_ns = now;
	/* Exact walks take at most a tenth of the time. */
	if (sample_tree(run, now >= run->next_certain_ns ? run->sampled_memory_peak : UINT64_MAX, &sample) < 0)
		return;
	run->walked_bytes = sample.memory_bytes;
	if (sample.certain && sample.processes > 1)
		run->next_certain_ns = now + 10 * (now_ns() - now);
	sample_note(run, &sample);
	run->has_samples |= often;
	if (asked(run, LIMIT_MEMORY, MECHANISM_SUPERVISOR) && exec->memory_bytes &&
	    run->sampled_memory_peak > exec->memory_bytes)
		run_end(run, EVIDENCE_OOM_KILL);
	if (exec->cpu_ms && run->sampled_cpu_ns >= exec->cpu_ms * NS_PER_MS && run_cpu_ns(run) == NOT_MEASURED)
		run_end(run, EVIDENCE_CPU_KILL);
}

static void timer_event(struct run *run)
{
	uint64_t ticks, now = now_ns();

	ignore_result(read(run->timer, &ticks, sizeof(ticks)));
	run->armed_ns = 0;
	if (run->state <= RUN_STARTING && !run->parked && now >= run->setup_deadline_ns)
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 0, ETIMEDOUT, "set-up");
	if (run->state == RUN_DRAINING && run->drain_deadline_ns && now >= run->drain_deadline_ns) {
		pumps_give_up(run);
		run->state = RUN_DONE;
	}
	if (run->usage.final_ns && now >= run->usage.final_ns) {
		run->usage.final_ns = 0;
		run->usage.known = false;
	}
	if (run->state != RUN_RUNNING)
		return;
	if (run->plan.exec->wall_ms && now >= run->gate_ns + run->plan.exec->wall_ms * NS_PER_MS)
		run_end(run, EVIDENCE_WALL_KILL);
	if (run->stop_deadline_ns && now >= run->stop_deadline_ns)
		run_cancel(run, CANCEL_AT_ONCE, 0);
	if (run->next_notify_ns && now >= run->next_notify_ns)
		notify_resume(run, now);
	if (run->next_cpu_ns && now >= run->next_cpu_ns && run->state == RUN_RUNNING)
		check_cpu(run, now);
	if (run->next_sample_ns && now >= run->next_sample_ns && run->state == RUN_RUNNING)
		check_sample(run, now);
	if (run->next_series_ns && now >= run->next_series_ns && run->state == RUN_RUNNING)
		series_take(run);
}

static uint64_t timeval_ns(struct timeval value)
{
	return (uint64_t)value.tv_sec * NS_PER_S + (uint64_t)value.tv_usec * 1000;
}

void run_ended_alone(struct run *run)
{
	run->ended_ns = now_ns();
	pumps_stop_input(run);
	run->state = RUN_DRAINING;
}

static void init_event(struct run *run)
{
	struct rusage usage = { 0 };
	int status;

	if (wait4(run->init_pid, &status, WNOHANG | __WALL, &usage) != run->init_pid)
		return;
	run->reaped = true;
	close_fd(&run->init_pidfd);
	if (run->state >= RUN_DRAINING)
		return; /* the program's end was known before */
	run->tree_user_ns = timeval_ns(usage.ru_utime);
	run->tree_system_ns = timeval_ns(usage.ru_stime);
	run->tree_max_rss = (uint64_t)usage.ru_maxrss * 1024;
	/* Its last words may still wait in the channel. */
	/* With our copies of the program's ends gone, both sockets end for sure. */
	launch_close_program_ends(run);
	while (run->channel >= 0 && run->state < RUN_ENDING && launch_channel(run))
		;
	launch_hear_gate(run);
	if (run->state < RUN_ENDING)
		(void)run_fail(run, STAGE_INIT, STEP_INIT_DIED, WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0, 0,
			       "");
	usage_finish(run);
	if (!run->usage.final_ns)
		companions_kill(run);
	pumps_stop_input(run);
	/* A program that ended by itself has its output delivered however slowly it is read; a run that a limit ended must end. */
	if (!run->drain_deadline_ns && run->evidence & EVIDENCE_KILLED)
		run->drain_deadline_ns = now_ns() + DRAIN_AFTER_KILL_NS;
	run->state = run->caller_gone ? RUN_DONE : RUN_DRAINING;
}

static void dispatch(struct run *run, uint32_t id, uint32_t events)
{
	switch (id) {
	case WATCH_CONTROL:
		if (run->client.served)
			client_event(run, events);
		else
			run_control_event(run);
		break;
	case WATCH_SIGNALS:
		run_signal_event(run);
		break;
	case WATCH_TIMER:
		timer_event(run);
		break;
	case WATCH_CHANNEL:
		launch_channel(run);
		break;
	case WATCH_GATE:
		launch_gate(run);
		break;
	case WATCH_INIT:
		init_event(run);
		break;
	case WATCH_LISTENER:
		notify_event(run);
		break;
	default:
		if (id >= WATCH_COMPANION)
			companions_event(run, (id - WATCH_COMPANION) / 2, (id - WATCH_COMPANION) % 2);
		break; /* streams are stepped after every round of events */
	}
}

static int add_watches(struct run *run)
{
	int r = 0;

	if ((r = add(run, run->control, WATCH_CONTROL)) < 0 || (r = add(run, run->signals, WATCH_SIGNALS)) < 0 ||
	    (r = add(run, run->timer, WATCH_TIMER)) < 0 || (r = add(run, run->channel, WATCH_CHANNEL)) < 0 ||
	    (r = add(run, run->gate, WATCH_GATE)) < 0 || (r = add(run, run->init_pidfd, WATCH_INIT)) < 0)
		return r;
	return 0;
}

void supervise(struct run *run)
{
	struct epoll_event events[16];
	int r = add_watches(run);

	if (r < 0)
		(void)run_fail(run, STAGE_PARENT, STEP_SUPERVISE, 1, r, "epoll");
	while (run->state < RUN_DONE) {
		uint64_t before = run->pumps[1].delivered + run->pumps[2].delivered;
		bool more = pumps_step(run);

		if (run->state == RUN_DRAINING && run->drain_deadline_ns && run->evidence & EVIDENCE_KILLED &&
		    run->pumps[1].delivered + run->pumps[2].delivered != before)
			run->drain_deadline_ns = now_ns() + DRAIN_AFTER_KILL_NS;
		if (run->state == RUN_DRAINING && !run->usage.final_ns && pumps_drained(run)) {
			run->state = RUN_DONE;
			break;
		}
		pumps_watch(run);
		arm_timer(run);
		int count = epoll_wait(run->epoll, events, ARRAY_SIZE(events), more ? 0 : -1);
		for (int i = 0; i < count && run->state < RUN_DONE; i++)
			dispatch(run, events[i].data.u32, events[i].events);
	}
}
