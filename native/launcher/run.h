/* SPDX-License-Identifier: Apache-2.0
 *
 * One run, as the supervisor sees it. All state is in struct run, which the caller owns, and every function here is
 * non-blocking unless it says otherwise: the launcher hosts one, a server may host many.
 */
#ifndef BELLJAR_RUN_H
#define BELLJAR_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <termios.h>

#include "frames.h"
#include "gen/verdicts.gen.h"
#include "gen/wire.gen.h"
#include "plan.h"
#include "proto.h"

enum { PUMP_BUFFER = 65536, MAX_DENIALS = 1024, MAX_SAMPLES = 1024 };

/* What the event loop watches; the value in epoll's data. */
enum watch_id {
	WATCH_CONTROL,
	WATCH_SIGNALS,
	WATCH_TIMER,
	WATCH_CHANNEL,
	WATCH_GATE,
	WATCH_INIT,
	WATCH_LISTENER,
	WATCH_STDIN_FROM,
	WATCH_STDIN_TO,
	WATCH_STDOUT_FROM,
	WATCH_STDOUT_TO,
	WATCH_STDERR_FROM,
	WATCH_STDERR_TO,
	WATCH_COMPANION,
	WATCH_COUNT = WATCH_COMPANION + 2 * PLAN_MAX_COMPANIONS
};

enum run_state {
	RUN_SETTING_UP, /* init builds the sandbox */
	RUN_STARTING,	/* the program task prepares itself */
	RUN_RUNNING,	/* execve has worked, or is about to */
	RUN_ENDING,	/* everything was told to die; waiting for init's exit */
	RUN_DRAINING,	/* the tree is dead; what it wrote is still on its way */
	RUN_DONE,
};

/* Bits of run.cancelled_by. */
enum cancel_source { CANCEL_AT_ONCE = 0, CANCEL_SIGNAL = 1, CANCEL_WORD = 2 };

struct watch {
	int fd;
	uint32_t events;   /* what epoll knows; 0 = not registered */
	bool always_ready; /* a regular file: epoll refuses it, read and write never wait */
	bool shared;	   /* the caller's own, blocking description: poll before every use */
	bool has_peer;	   /* the caller's, a pipe or socket: somebody at its other end waits for its end */
};

/* One direction of one stream. Bounded memory: what is in `buffer` plus what the kernel's pipes hold. */
struct pump {
	struct watch from, to;
	bool from_open, to_open;
	bool to_is_caller; /* stdout, stderr: count and limit */
	bool splice_works, splicing, blocked_on_target;
	bool send;		/* `to` is a socket: MSG_DONTWAIT instead of a non-blocking description */
	bool end_of_input_char; /* terminal: end of the caller's input becomes ^D */
	bool framed; /* `to` is the control socket, which others use as well: what is in `buffer` is a frame */
	uint64_t count, limit, delivered;
	uint64_t ended_ns; /* framed: when the client may hear of its end */
	bool truncated;
	uint32_t start, end; /* pending bytes in buffer */
	uint8_t buffer[FRAME_HEADER_BYTES + PUMP_BUFFER];
};

/* Of a run of a server's: streams are frames on the control socket, which is a link to the server until a client has come. */
struct client {
	bool served, connected;
	bool readable, half_closed; /* there may be something to read; nothing is read any more */
	uint32_t events;	    /* what epoll knows of the control socket */
	struct frames frames;
	uint64_t received, told;	  /* bytes of input; those that the client knows were passed on */
	uint64_t next_ns;		  /* when it is told that a stream has ended, 0 = not */
	uint8_t word[FRAME_LONGEST_WORD]; /* on its way out */
	uint32_t word_start, word_end;
};

struct cgroup {
	int parent, run, init, exec; /* directories; v1: only parent and run, exec == run */
	bool made_run, made_init, made_exec;
};

/* The set-up may take so long, besides what companions take. */
#define SETUP_NS  (60 * NS_PER_S)
#define CLIENT_NS (10 * NS_PER_S) /* of that, for a client of a server's to say what is to run */

struct companion_task {
	pid_t pid;
	int pidfd, ready;
	uint64_t deadline_ns; /* to be ready by */
	bool is_ready, dead;
};

/* What a scratch folder on disk holds. */
struct usage {
	uint64_t bytes, inodes;
	bool known, asked;
	bool based;	   /* run.base_bytes and base_inodes are what was there before the program */
	uint64_t final_ns; /* the end waits for a last count, but no longer than this; 0 = it does not */
};

/* Denied calls (or noted ones) that are one line of the report. */
struct denial {
	uint32_t syscall, slot;
	bool arguments_kept;
	uint64_t count, arguments[6];
	enum caller caller; /* who called first */
	char caller_name[16];
};

struct run {
	struct plan plan;
	enum run_state state;
	int control, epoll, timer, signals;
	int channel, gate, init_pidfd;
	pid_t init_pid, program_pid;	 /* as our own pid namespace names them */
	int root, work, scratch, userns; /* of the sandbox, from init */
	int segments;			 /* its /proc/sysvipc/shm, where memory is sampled, or -1 */
	int clock;			 /* perf task clock, or -1 */
	int program_ends[4];		 /* gate and stdio of the program, until they are sent */
	bool guarded, waiting, attached, parked, gate_open, exec_sent, reaped;
	struct client client;
	struct pump pumps[3]; /* stdin, stdout, stderr */
	struct denial denials[MAX_DENIALS];
	struct wire_sample_record samples[MAX_SAMPLES]; /* see series.c */
	struct cgroup cgroups[PLAN_MAX_HIERARCHIES];
	struct companion_task companions[PLAN_MAX_COMPANIONS];
	uint32_t companions_ready;
	struct usage usage;
	int files_in[PLAN_MAX_FILES], out_folders[PLAN_MAX_FILES];
	pid_t own_pid;
	uint64_t open_files, open_files_max; /* the limit that we were given */
	uint32_t evidence, start_failure;
	struct failure failure;
	struct gate_message task; /* what the program task said at the gate */
	int program_pidfd;	  /* where the plan asks to stop it before killing it, else -1 */
	uint64_t stop_deadline_ns;
	int cancel_signal;
	unsigned int cancelled_by;
	bool caller_gone;
	int status; /* wait status of the program */
	bool has_status;
	uint64_t started_ns, setup_ended_ns, gate_ns, ended_ns;
	uint64_t ending_ns; /* see ending.c; 0 = the end was known before it could be seen */
	uint64_t setup_deadline_ns, drain_deadline_ns, armed_ns;
	uint64_t next_sample_ns, next_cpu_ns;
	uint64_t base_bytes, base_inodes, init_cpu_ns;
	uint64_t tree_user_ns, tree_system_ns; /* rusage of init and all it reaped */
	uint64_t sampled_memory_peak, sampled_processes_peak;
	uint64_t sampled_cpu_ns, lost_cpu_ns, missing_cpu_ns; /* see note_cpu */
	uint64_t walked_cpu_ns, walked_ns, walked_bytes;      /* of the last walk: clock, time, memory */
	unsigned int low_totals, off_clock;		      /* samples */
	uint64_t tree_max_rss;
	bool has_samples;
	uint32_t sample_count;
	uint64_t series_step_ns, next_series_ns; /* 0 = no figures over time were asked for */
	uint64_t oom_kills;
	uint64_t next_held_ns, held_bytes;
	uint64_t next_certain_ns; /* not before, because the last exact walk took its time */
	struct watch listener;	  /* of denied calls, or -1 */
	uint32_t denial_count;
	uint64_t denials_lost;
	uint32_t killed_for;	   /* syscall for which we killed the program's main process, or UINT32_MAX */
	int64_t notify_credit_ns;  /* CPU time that answering may still take */
	uint64_t notify_credit_at; /* when that was so */
	uint64_t next_notify_ns;   /* answers wait until then, 0 = they do not */
	bool terminal_saved;
	struct termios saved_termios;
	int online_cpus;
};

/* Notes our own failure (the first one wins) and ends the run as sandbox-error. Returns the negative errno. */
int run_fail(struct run *run, uint32_t stage, uint32_t step, uint32_t index, int error, const char *text);
/* Ends the run: evidence says why. Safe at any moment, more than once. */
void run_end(struct run *run, uint32_t evidence);
/* The same after an OOM kill: whose memory it was decides. */
void run_out_of_memory(struct run *run);
bool watch_set(struct run *run, struct watch *watch, enum watch_id id, uint32_t events);

/* start.c */
/*
 * In a mapping of its own, which nobody gives back: on the stack, where each page is touched for safety's sake when its frame is made, all of the
 * buffers would be memory that is in use, and take longer to have than most of the set-up. NULL where there is no memory.
 */
struct run *run_make(int control);
/* What it waits with: signals, epoll, a timer. */
int run_events(struct run *run);

/* launch.c: everything until the program runs. */
int launch_start(struct run *run);
/* One message each; true when there may be another. */
bool launch_channel(struct run *run);
bool launch_gate(struct run *run);
/* All that has been said there; behind it, run.gate is -1 once execve has worked, or the task is dead. */
void launch_hear_gate(struct run *run);
/* Lets the program go once everything that has to be true before is. */
void launch_open_gate(struct run *run);
void launch_close_program_ends(struct run *run);
int launch_send_exec(struct run *run);
void launch_companions_ready(struct run *run);

/* park.c: a program task that waits for what it is to run. */
void park(struct run *run);
/* The exec part is there to be read; ends the run where it is not fit, or where the caller is gone. */
void unpark(struct run *run);

/* supervise.c */
void supervise(struct run *run);
/* The program has ended and nothing of its tree is left but init, which may live on for a while. */
void run_ended_alone(struct run *run);

/* cancel.c: who asks a second time wants the end now. */
void run_cancel(struct run *run, enum cancel_source source, int signal);
void run_signal_event(struct run *run);
void run_control_event(struct run *run);
void run_caller_gone(struct run *run);

/* client.c: the other end of a server's run. */
void client_event(struct run *run, uint32_t events);
/* Takes what the client has sent; true when there may be more. */
bool client_step(struct run *run);
void client_watch(struct run *run);
/* Whether another frame than that of `pump` (NULL: of no pump) has been begun and is not out. */
bool client_is_busy(const struct run *run, const struct pump *pump);
/* The rest of a frame that has been begun. Blocking, for a while. */
int client_finish(struct run *run);
/* The client may send until it has read the record: see that nothing of its breaks. Waits until it closes, true, or for so long. */
bool client_linger(struct run *run, uint64_t ns);

/* The program runs. What it has used and holds is nothing yet, and is looked at when it can be more. */
void run_start_clocks(struct run *run);
#define CLOCK_SLACK_NS (20 * NS_PER_MS) /* other figures come in ticks, and hold a little of what was before exec */
/* CPU time of the program's tree so far by cgroup or perf clock; NOT_MEASURED where there is none, or it was tampered with. */
uint64_t run_cpu_ns(const struct run *run);

/* pump.c */
int pumps_open(struct run *run);
/* The limit of the exec part. */
void pumps_limit(struct run *run);
void pumps_watch(struct run *run);
/* Moves what can be moved without waiting; true when a regular file has more to give or take. */
bool pumps_step(struct run *run);
void pumps_stop_input(struct run *run);
/* The reader takes no more: what is left is lost, and the record says so. */
void pumps_give_up(struct run *run);
bool pumps_drained(const struct run *run);
/* Writes what the buffer holds. True when it is empty. */
bool pump_flush(struct run *run, struct pump *pump);
/* Whoever read what goes to `to` is gone, or failed. */
void pump_reader_gone(struct run *run, struct pump *pump, int error);
void pumps_attach_terminal(struct run *run, int master);
void pump_close_from(struct run *run, struct pump *pump);
void pump_close_to(struct run *run, struct pump *pump);

/* ending.c: to be called before the end of a stream of the program's is passed on. */
void run_stream_ended(struct run *run);

/* terminal.c */
int terminal_raw(struct run *run);
void terminal_restore(struct run *run);
void terminal_watch_resize(struct run *run);
void terminal_resize(const struct run *run);

/* cgroup.c */
int cgroups_make(struct run *run);
/* Writes the limits of the exec part, but for those that stand there from that of `before` (NULL: none); cgroups_make does it, too. */
int cgroups_limit(struct run *run, const struct plan *before);
int cgroups_attach(struct run *run, pid_t pid);
/* Fails the run when its cgroups are not what they were. */
int cgroups_check(struct run *run);
int cgroups_init_fd(const struct run *run);
/* The kind of cgroup that counts the run's CPU time, limited or not; MECHANISM_NONE where there is none. */
enum mechanism cgroups_cpu_by(const struct run *run);
/* Each NOT_MEASURED where no cgroup of the run counts it. */
uint64_t cgroups_cpu_ns(const struct run *run);
uint64_t cgroups_memory_bytes(const struct run *run);
uint64_t cgroups_processes(const struct run *run);
uint64_t cgroups_oom_kills(const struct run *run);
bool cgroups_memory_ran_out_above(const struct run *run);
void cgroups_read(const struct run *run, struct wire_run_record *record);
void cgroups_kill(const struct run *run);
/* Blocking, at most about a second. Returns how many directories could not be removed. */
uint32_t cgroups_remove(struct run *run);

/* sample.c: the tree below init, seen through the host's /proc. */
struct sample {
	uint64_t memory_bytes, processes, tasks, cpu_ns; /* tasks: threads of processes */
	bool certain;					 /* nothing in memory_bytes is counted twice */
	bool off_clock; /* a process was seen that the perf clock does not count any more */
};
/*
 * One walk. The memory figure is cheap and may count shared pages more than once; when it is above `doubt` the walk is
 * repeated with proportional shares, which cost more and are right.
 */
int sample_tree(struct run *run, uint64_t doubt, struct sample *ret_sample);
/* Adds a sample to what is known of the run: peaks, and CPU time. */
void sample_note(struct run *run, const struct sample *sample);

/* series.c: figures over time, for whoever asked for them. */
void series_start(struct run *run);
void series_take(struct run *run);
void series_send(const struct run *run);

/* files.c */
int files_open_in(struct run *run);
/* -ECANCELED when somebody wants the run to end: the event loop will hear it. */
int files_copy_in(struct run *run);
void files_copy_out(struct run *run);

/* companions.c */
int companions_start(struct run *run, const int namespaces[3], int fuse);
void companions_event(struct run *run, unsigned int index, bool died);
void companions_kill(struct run *run);

/* usage.c */
void usage_event(struct run *run, struct companion_task *task);
bool usage_settled(struct run *run);
bool usage_over_limit(const struct run *run);
void usage_finish(struct run *run);

/* idmap.c: blocking; runs newuidmap and newgidmap. */
int idmap_run(struct run *run);

/* diagnose.c: why execve failed, in the words of enum start_failure. */
uint32_t diagnose_exec(const struct run *run, struct failure *failure);

/* notify.c: denied calls that are answered and counted here. */
void notify_start(struct run *run, int listener);
void notify_event(struct run *run);
/* After a pause that the budget asked for. */
void notify_resume(struct run *run, uint64_t now);

/* open_files.c: ours is raised for the time of the run; the waiting task gets what its plan says, else what we were given. */
void open_files_raise(struct run *run);
int open_files_limit(struct run *run);

/* record.c */
void record_send(struct run *run);
int control_send(const struct run *run, uint32_t kind, const void *payload, uint32_t length);

#endif
