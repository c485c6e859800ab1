// SPDX-License-Identifier: Apache-2.0
/*
 * belljar-launch: applies a plan and tells what happened. No policy, no heap, no globals.
 *
 *   belljar-launch FILE [OPTIONS] -- COMMAND...
 *                                    one run of a compiled plan (docs/plan-file.md)
 *   belljar-launch run               plan and record over descriptor 3 (a Unix stream socket); stdio is the caller's
 *   belljar-launch check             reads both parts of a plan from stdin, checks them, does nothing else
 *   belljar-launch probe             one JSON object: what this host permits
 *   belljar-launch serve FILE --socket PATH [--size N] [--max M]
 *                                    keeps sandboxes of a plan ready and runs programs in them (docs/protocol.md)
 *   belljar-launch restore-terminal  sets the terminal on stdin to the settings read from descriptor 3
 *   belljar-launch [try-]lock-shared, [try-]lock-exclusive, sync
 *                                    flock(2) and syncfs(2) on descriptor 3, for the image store
 *   belljar-launch version
 */
#include <stdio.h>
#include <termios.h>

#include "front.h"
#include "lock.h"
#include "probe.h"
#include "serve.h"
#include "sys.h"
#include "util.h"

enum { CONTROL_FD = 3, EXIT_USAGE = 2 };

static void say(const char *text)
{
	(void)write_all(2, text, strlen(text));
}

/* A caller may have closed its streams; their numbers must not go to descriptors of ours. */
static int own_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			return -EBADF;
	return 0;
}

static int own_descriptors(unsigned int first)
{
	int r = own_streams();

	/* Whatever else the caller leaked to us must not reach the sandbox. */
	return r < 0 ? r : sys_close_range(first, ~0u, 0);
}

static int check(void)
{
	struct plan plan;
	int r = plan_read(0, &plan);

	say(r == 0 ? "ok\n" : r == -EBADMSG ? "refused\n" : "unreadable\n");
	return r == 0 ? 0 : 1;
}

static int restore_terminal(void)
{
	struct termios saved;

	(void)signal(SIGTTOU, SIG_IGN);
	if (read_all(CONTROL_FD, &saved, sizeof(saved)) < 0 || tcsetattr(0, TCSADRAIN, &saved) < 0)
		return 1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc == 2 ? argv[1] : "";
	struct stat status;

	if (strcmp(mode, "check") == 0)
		return check();
	if (strcmp(mode, "restore-terminal") == 0)
		return restore_terminal();
	if (strcmp(mode, "probe") == 0)
		return probe_main();
	if (argc == 3 && strcmp(argv[1], "probe-overlay") == 0)
		return probe_overlay(argv[2]);
	if (argc >= 2 && strcmp(argv[1], "serve") == 0)
		return own_descriptors(CONTROL_FD) < 0 ? EXIT_USAGE : serve_main(argc, argv);
	if (lock_knows(mode))
		return lock_main(mode);
	if (strcmp(mode, "version") == 0) {
		static const char line[] = "belljar-launch wire " WIRE_TABLE "\n";
		(void)write_all(1, line, sizeof(line) - 1);
		return 0;
	}
	if (argc >= 2 && strcmp(mode, "run") != 0)
		return own_streams() < 0 ? FRONT_FAILURE : front_main(argc, argv);
	if (argc < 2 || fstat(CONTROL_FD, &status) < 0 || !S_ISSOCK(status.st_mode)) {
		say("belljar-launch: FILE|run|serve|check|probe|probe-overlay FOLDER|restore-terminal|version; run "
		    "wants a socket as descriptor 3\n");
		return EXIT_USAGE;
	}
	if (own_descriptors(CONTROL_FD + 1) < 0) {
		say("belljar-launch: cannot set up descriptors\n");
		return EXIT_USAGE;
	}
	return run_whole(CONTROL_FD);
}
