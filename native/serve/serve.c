// SPDX-License-Identifier: Apache-2.0
/*
 * The run server's own loop: connections in, members out. It says nothing to a client but `refused`, and reads nothing at all, so that nothing of a client's
 * is ever in memory that a later sandbox is forked from.
 *
 * SIGCHLD and the signals that stop it come through a signalfd and are blocked all the time; members set up their own. A member is known by its process id, which
 * cannot be another's before we have reaped it.
 */
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "run.h"
#include "serve.h"
#include "sys.h"
#include "util.h"

enum { EXIT_USAGE = 2, DEFAULT_SIZE = 4, DEFAULT_SPARE = 64, ACCEPTS_A_TURN = 64 };
/* In epoll's data, above all indices of members. */
enum { AT_LISTENER = SERVE_MAX_MEMBERS, AT_SIGNALS };
#define ACCEPT_AGAIN_NS (50 * NS_PER_MS)
#define LET_GO_NS	(NS_PER_S / 5)
#define WAIT_NS		(30 * NS_PER_S)
#define CANCEL_NS	(5 * NS_PER_S)

void serve_say(const char *what, const char *about, int error)
{
	if (error < 0)
		ignore_result(dprintf(2, "belljar-launch: %s: %s: %s\n", what, about, strerror(-error)));
	else
		ignore_result(dprintf(2, "belljar-launch: %s: %s\n", what, about));
}

/* One whose client is gone needs no sandbox; one that goes a moment later costs one. */
static bool is_gone(int connection)
{
	struct pollfd poll_fd = { .fd = connection };

	return poll(&poll_fd, 1, 0) > 0;
}

/* Those that are closed at the other end, and all once they had time for it. */
static void let_go(struct server *server, uint64_t now)
{
	bool is_time = server->let_go_ns && now >= server->let_go_ns;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < server->refused_count; i++) {
		if (is_time || is_gone(server->refused[i]))
			(void)close(server->refused[i]);
		else
			server->refused[kept++] = server->refused[i];
	}
	server->refused_count = kept;
	if (kept == 0)
		server->let_go_ns = 0;
}

/*
 * Nothing has run and nothing will. The buffer of a fresh connection has room for it. Closed at once, with what the client has sent unread, it would break
 * under a client that still writes, who might then never read the word.
 */
static void refuse(struct server *server, int connection)
{
	uint8_t frame[FRAME_HEADER_BYTES];

	frame_header(frame, MESSAGE_KIND_REFUSED, 0);
	(void)send(connection, frame, sizeof(frame), MSG_DONTWAIT | MSG_NOSIGNAL);
	(void)shutdown(connection, SHUT_WR);
	if (server->refused_count == SERVE_MAX_REFUSED)
		let_go(server, server->let_go_ns);
	server->refused[server->refused_count++] = connection;
	server->let_go_ns = now_ns() + LET_GO_NS;
}

static int first_waiting(const struct server *server)
{
	return server->waiting[server->first_waiting];
}

static void drop_first(struct server *server)
{
	server->first_waiting = (server->first_waiting + 1) % SERVE_MAX_WAITING;
	server->waiting_count--;
}

static void serve_waiting(struct server *server, uint64_t now)
{
	while (server->waiting_count && server->count[MEMBER_READY]) {
		int connection = first_waiting(server);

		/* Where all that were ready are dead or out of date, it waits for another. */
		if (!is_gone(connection) && !members_hand_over(server, connection, now))
			break;
		(void)close(connection);
		drop_first(server);
	}
	/* When the last try has failed and nothing is on its way, a client had better be told. */
	while (server->waiting_count && (server->stopping || (server->pause_ns && !server->count[MEMBER_MAKING]))) {
		refuse(server, first_waiting(server));
		drop_first(server);
	}
}

static void take(struct server *server, int connection, uint64_t now)
{
	if (!peer_may(server, connection) ||
	    (server->waiting_count == 0 && members_hand_over(server, connection, now))) {
		(void)close(connection);
		return;
	}
	server->waiting[(server->first_waiting + server->waiting_count) % SERVE_MAX_WAITING] = connection;
	server->waiting_count++;
}

static void accept_some(struct server *server, uint64_t now)
{
	for (int i = 0; i < ACCEPTS_A_TURN && server->waiting_count < SERVE_MAX_WAITING; i++) {
		int connection = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);

		if (connection >= 0) {
			take(server, connection, now);
			continue;
		}
		/* Out of descriptors or memory: the connection stays where it is, and so would the event. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			server->accept_ns = now + ACCEPT_AGAIN_NS;
		return;
	}
}

static void watch_listener(struct server *server, uint64_t now)
{
	struct epoll_event event = { .data.u32 = AT_LISTENER };

	if (server->accept_ns && now >= server->accept_ns)
		server->accept_ns = 0;
	bool wanted = !server->accept_ns && server->waiting_count < SERVE_MAX_WAITING;
	if (server->listener < 0 || wanted == server->listens)
		return;
	event.events = wanted ? EPOLLIN : 0;
	if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->listener, &event) == 0)
		server->listens = wanted;
}

static void stop(struct server *server, uint64_t now)
{
	if (server->stopping) {
		server->deadline_ns = now; /* a second time: now */
		return;
	}
	server->stopping = STOP_WAITS;
	server->deadline_ns = now + WAIT_NS;
	listen_close(server);
	members_drop(server);
}

static void stop_harder(struct server *server, uint64_t now)
{
	if (!server->stopping || now < server->deadline_ns)
		return;
	if (server->stopping < STOP_KILLS)
		server->stopping++;
	members_signal(server, server->stopping == STOP_CANCELS ? SIGTERM : SIGKILL);
	server->deadline_ns = now + CANCEL_NS;
}

static void hear_signals(struct server *server, uint64_t now)
{
	struct signalfd_siginfo info;

	while (read(server->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			stop(server, now);
	members_reap(server, now);
}

static int timeout_ms(const struct server *server, uint64_t now)
{
	const uint64_t deadlines[] = { server->stopping ? server->deadline_ns : server->refill_ns, server->tidy_ns,
				       server->accept_ns, server->let_go_ns };
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(deadlines); i++)
		if (deadlines[i] > now && deadlines[i] < next)
			next = deadlines[i];
	return next == UINT64_MAX ? -1 : (int)((next - now) / NS_PER_MS) + 1;
}

static void loop(struct server *server)
{
	struct epoll_event events[32];

	while (true) {
		uint64_t now = now_ns();

		stop_harder(server, now);
		serve_waiting(server, now);
		members_refill(server, now);
		members_tidy(server, now);
		watch_listener(server, now);
		let_go(server, now);
		if (server->stopping && members_living(server) == 0 && server->refused_count == 0)
			return;
		int count = epoll_wait(server->epoll, events, ARRAY_SIZE(events), timeout_ms(server, now));
		now = now_ns();
		for (int i = 0; i < count; i++) {
			uint32_t at = events[i].data.u32;

			if (at == AT_LISTENER && server->listener >= 0)
				accept_some(server, now);
			else if (at == AT_SIGNALS)
				hear_signals(server, now);
			else if (at < server->max)
				members_heard(server, at, now);
		}
	}
}

static int fail(const char *what, const char *about, int error)
{
	serve_say(what, about, error);
	return error < 0 ? error : -EINVAL;
}

/* What one plan for many runs cannot hold. */
static const char *unfit(const struct plan *plan)
{
	if (!plan->exec->parked)
		return "its exec part is no template (parked)";
	if (!run_name_fits(plan))
		return "its name is not belljar-run-, ten digits, -, sixteen digits";
	if (*plan_text(&plan->sandbox_part, plan->sandbox->scratch_path))
		return "its scratch space is a folder on disk, which runs would share";
	return NULL;
}

static int open_plan(struct server *server, const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : plan_read(fd, &server->plan);

	if (r < 0)
		return fail("reading the plan", path, r);
	const char *reason = unfit(&server->plan);
	return reason ? fail("reading the plan", reason, 0) : tidy_open(server);
}

static int open_loop(struct server *server)
{
	static const int ours[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = AT_SIGNALS };
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		(void)sigaddset(&set, ours[i]);
	/* What a member that was killed leaves dies at once and is ours to reap; not everybody's process 1 does it. */
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server->signals < 0 || server->epoll < 0 ||
	    epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->signals, &event) < 0)
		return fail("starting", "epoll", -errno);
	return 0;
}

/* Behind all else: whoever sees the socket may connect, and may tell us to stop. */
static int open_listener(struct server *server)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = AT_LISTENER };
	int r = listen_open(server);

	if (r == 0 && epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event) < 0)
		r = fail("starting", "epoll", -errno);
	server->listens = true;
	return r;
}

/* Two descriptors for each that is ready, one for each that waits. Members get back what we were given. */
static void raise_open_files(struct server *server)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	server->open_files = files.rlim_cur;
	server->open_files_max = files.rlim_max;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

static void initialise(struct server *server)
{
	struct timespec now = { 0 };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	memset(server, 0, offsetof(struct server, ready));
	/* No number of an earlier server's, whose sandboxes may have left something: microseconds go faster than members are made. */
	(void)clock_gettime(CLOCK_REALTIME, &now);
	server->next_number = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	server->at_once = cpus > 1 ? (uint32_t)cpus : 1;
	server->size = DEFAULT_SIZE;
	server->listener = server->epoll = server->signals = -1;
}

static int read_number(const char *text, uint32_t *ret_number)
{
	uint64_t value;

	if (!text || parse_u64(text, &value) < 0 || text[strspn(text, "0123456789")] || value < 1 ||
	    value > SERVE_MAX_MEMBERS)
		return -EINVAL;
	*ret_number = (uint32_t)value;
	return 0;
}

static int read_pid(const char *text, pid_t *ret_pid)
{
	uint64_t value;

	if (!text || parse_u64(text, &value) < 0 || value < 1 || value > INT32_MAX)
		return -EINVAL;
	*ret_pid = (pid_t)value;
	return 0;
}

/* The kernel tells of the end of our parent from now on; it may have come already. */
static int follow_parent(const struct server *server)
{
	if (!server->parent)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
		return fail("starting", "PR_SET_PDEATHSIG", -errno);
	return getppid() == server->parent ? 0 : fail("starting", "the process that is to end it is gone", 0);
}

static int read_options(struct server *server, char **argv)
{
	for (; *argv; argv += 2) {
		int r = strcmp(*argv, "--size") == 0  ? read_number(argv[1], &server->size)
			: strcmp(*argv, "--max") == 0 ? read_number(argv[1], &server->max)
						      : -EINVAL;

		if (strcmp(*argv, "--socket") == 0 && argv[1]) {
			server->path = argv[1];
			r = 0;
		}
		if (strcmp(*argv, "--parent") == 0)
			r = read_pid(argv[1], &server->parent);
		if (r < 0)
			return r;
	}
	if (!server->max)
		server->max = server->size + DEFAULT_SPARE < SERVE_MAX_MEMBERS ? server->size + DEFAULT_SPARE
									       : SERVE_MAX_MEMBERS;
	return server->path && server->size <= server->max ? 0 : -EINVAL;
}

int serve_main(int argc, char **argv)
{
	struct server server __attribute__((uninitialized));

	initialise(&server);
	if (argc < 3 || read_options(&server, argv + 3) < 0) {
		serve_say("serve", "FILE --socket PATH [--size N] [--max M] [--parent PID], 1 <= N <= M <= 4096", 0);
		return EXIT_USAGE;
	}
	server.options = argv + 2;
	raise_open_files(&server);
	server.count[MEMBER_NONE] = server.max;
	for (uint32_t i = 0; i < server.max; i++)
		server.members[i] = (struct member){ .link = -1 };
	int r = peer_open(&server);
	if (r < 0)
		return serve_say("starting", "/proc/self/ns/user", r), 1;
	if (open_plan(&server, argv[2]) < 0 || open_loop(&server) < 0 || follow_parent(&server) < 0 ||
	    open_listener(&server) < 0)
		return 1;
	loop(&server);
	return 0;
}
