// SPDX-License-Identifier: Apache-2.0
/*
 * belljar-apply: makes one layer of an image from a stream of entries, or removes a tree, as root of a user namespace.
 *
 *   belljar-apply apply ROOT IDS...    frames on stdin (cli/image/layer/entries.def.json), reports on stdout
 *   belljar-apply remove PATH IDS...   removes PATH and all below it; a report on stdout
 *   belljar-apply version
 *
 * IDS: single | subordinate NEWUIDMAP NEWGIDMAP UIDMAP GIDMAP. Exit status 0 when done, 1 when a report says why not.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "apply.h"
#include "ids.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

enum { EXIT_USAGE = 2 };

static int send_report(uint32_t kind, const void *payload, size_t length)
{
	const struct wire_frame frame = { .kind = kind, .length = (uint32_t)length };
	int r = write_all(1, &frame, sizeof(frame));

	return r < 0 ? r : write_all(1, payload, length);
}

static int send_failure(struct wire_report report, const char *text)
{
	uint8_t payload[sizeof(report) + ENTRIES_MAX_PATH_BYTES];
	size_t length = strnlen(text, ENTRIES_MAX_PATH_BYTES - 1) + 1;

	report.text_bytes = (uint32_t)length;
	memcpy(payload, &report, sizeof(report));
	memcpy(payload + sizeof(report), text, length - 1);
	payload[sizeof(report) + length - 1] = '\0';
	(void)send_report(REPORT_KIND_FAILED, payload, sizeof(report) + length);
	return 1;
}

/* Deep trees and high stacks of layers take a descriptor each; an over-large file must be an error, not a signal. */
static void prepare_process(void)
{
	struct rlimit files;

	(void)umask(0);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int apply_main(int root)
{
	/* One mapping holds everything whose size an archive decides. */
	size_t size = sizeof(struct apply) + READER_BUFFER_BYTES;
	struct apply *apply = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (apply == MAP_FAILED)
		return send_failure((struct wire_report){ 0, APPLY_STAGE_ROOT, (uint32_t)errno, 0 }, "");
	apply->report = 1;
	apply->root = root;
	r = apply_stream(apply, (uint8_t *)(apply + 1));
	if (r < 0) {
		const struct wire_report report = { apply->entry.head.index, apply->view.stage, (uint32_t)-r, 0 };

		return send_failure(report, apply->path);
	}
	return send_report(REPORT_KIND_DONE, &apply->done, sizeof(apply->done)) < 0;
}

static int remove_main(const char *path)
{
	const struct wire_done done = { 0 };
	int r = tree_remove(AT_FDCWD, path);

	if (r < 0 && r != -ENOENT)
		return send_failure((struct wire_report){ 0, APPLY_STAGE_REMOVE, (uint32_t)-r, 0 }, path);
	return send_report(REPORT_KIND_DONE, &done, sizeof(done)) < 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	enum apply_stage stage = APPLY_STAGE_NONE;
	bool apply = strcmp(mode, "apply") == 0;
	int root = -1, r;

	if (strcmp(mode, "version") == 0)
		return write_all(1, "belljar-apply entries 1\n", 24) < 0;
	if (argc < 4 || (!apply && strcmp(mode, "remove") != 0)) {
		(void)write_all(2, "belljar-apply: apply ROOT IDS...|remove PATH IDS...|version\n", 60);
		return EXIT_USAGE;
	}
	prepare_process();
	(void)sys_close_range(3, ~0u, 0);
	/* As the caller: the path is the caller's own. */
	if (apply && (root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return send_failure((struct wire_report){ 0, APPLY_STAGE_ROOT, (uint32_t)errno, 0 }, argv[2]);
	r = ids_enter(argv + 3, argc - 3, &stage);
	if (r < 0)
		return send_failure((struct wire_report){ 0, stage, (uint32_t)-r, 0 }, "");
	return apply ? apply_main(root) : remove_main(argv[2]);
}
