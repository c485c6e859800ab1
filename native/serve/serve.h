/* SPDX-License-Identifier: Apache-2.0
 *
 * A run server: one process that keeps launchers with parked sandboxes ready and passes connections on to them. It has no policy, reads nothing
 * that a client sends, and holds all it knows in one struct of fixed size.
 */
#ifndef BELLJAR_SERVE_H
#define BELLJAR_SERVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "plan.h"

enum { SERVE_MAX_MEMBERS = 4096, SERVE_MAX_WAITING = 256, SERVE_MAX_REFUSED = 64, SERVE_BACKLOG = 4096 };

enum member_state {
	MEMBER_NONE,
	MEMBER_MAKING,
	MEMBER_READY,
	MEMBER_RUNNING, /* it has a client, or is ending */
	MEMBER_TIDYING, /* it is dead and has left something */
};

/* One sandbox, and the launcher that made it, which is our child. */
struct member {
	enum member_state state;
	pid_t pid;	  /* ours until we reap it, so it is nobody else's */
	int link;	  /* SOCK_SEQPACKET; until it has a client, else -1 */
	uint64_t number;  /* of its run's name */
	uint64_t sources; /* what it is made from */
	uint64_t tidy_until_ns;
};

enum stop { STOP_WAITS = 1, STOP_CANCELS, STOP_KILLS };

struct server {
	struct plan plan;
	char **options;				    /* as given, of which members know nothing */
	const char *path;			    /* of the socket */
	uint64_t device, inode;			    /* of what we made there */
	uint64_t namespace_device, namespace_inode; /* our user namespace */
	int listener, epoll, signals;
	uint64_t open_files, open_files_max; /* RLIMIT_NOFILE as it was given to us */
	uint32_t size, max;
	pid_t parent;			    /* whose end is ours; 0 = nobody's */
	uint32_t count[MEMBER_TIDYING + 1]; /* of members, by state */
	uint64_t next_number;
	uint32_t at_once;		   /* so many are made at the same time */
	uint64_t refill_ns;		   /* no earlier */
	uint64_t pause_ns;		   /* how long to wait after the next failure; 0 = the last one succeeded */
	unsigned int deaths;		   /* of members that were being made, without one that was */
	uint64_t tidy_ns, accept_ns;	   /* when to try again; 0 = nothing to try */
	uint64_t deadline_ns;		   /* while stopping: what still runs is asked to end, then killed */
	unsigned int stopping;		   /* how far: 0 = not, then enum stop */
	bool listens;			   /* epoll tells us of connections */
	int cgroups[PLAN_MAX_HIERARCHIES]; /* in which the cgroups of runs are made */
	int waiting[SERVE_MAX_WAITING];	   /* connections, a ring */
	uint32_t first_waiting, waiting_count;
	int refused[SERVE_MAX_REFUSED]; /* connections that were told so, and may still be written to */
	uint32_t refused_count;
	uint64_t let_go_ns;		   /* when those are closed; 0 = there is none */
	uint32_t ready[SERVE_MAX_MEMBERS]; /* members, the one that was ready last at the end */
	struct member members[SERVE_MAX_MEMBERS];
};

/* serve.c */
int serve_main(int argc, char **argv);
void serve_say(const char *what, const char *about, int error);

/* serve_listen.c */
int listen_open(struct server *server);
void listen_close(struct server *server);

/* members.c: none of these waits. */
void members_refill(struct server *server, uint64_t now);
/* Gives a connection to a member; false where none is ready. */
bool members_hand_over(struct server *server, int connection, uint64_t now);
/* A member that is being made has said something, or is gone. */
void members_heard(struct server *server, uint32_t index, uint64_t now);
void members_reap(struct server *server, uint64_t now);
/* Removes what dead ones left, as far as it can be removed now. */
void members_tidy(struct server *server, uint64_t now);
uint32_t members_living(const struct server *server);
/* Ends those without a client. */
void members_drop(struct server *server);
void members_signal(const struct server *server, int signal);

/* tidy.c: cgroups of members that were killed. */
int tidy_open(struct server *server);
/* True when nothing is left. */
/* One cgroup of a run; true when it is gone. */
bool tidy_cgroup(int parent, const char *name, uint32_t version);
bool tidy_member(const struct server *server, const struct member *member);

/* member.c: the life of one, in a process of its own. Returns its exit status: 0 when it has left nothing. */
int member_main(const struct plan *plan, int link);

/* run_name.c */
enum { RUN_NAME_LENGTH = 39 };
/* Whether the plan's name is one that run_name can take the place of. */
bool run_name_fits(const struct plan *plan);
/* Of a run, by the process that makes its sandbox, and a number. */
void run_name(pid_t pid, uint64_t number, char ret_name[RUN_NAME_LENGTH + 1]);

/* sources.c: what a sandbox would be made from now, to compare. */
uint64_t sources_now(const struct plan *plan);

/* peer.c: whether the process at the other end may use the server. */
int peer_open(struct server *server);
bool peer_may(const struct server *server, int connection);

#endif
