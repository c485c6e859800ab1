// SPDX-License-Identifier: Apache-2.0
/*
 * belljar-apply: makes one layer of an image from a stream of entries, or removes a tree, as root of a user namespace.
 *
 *   belljar-apply apply ROOT IDS...    frames on stdin (cli/image/layer/entries.def.json), reports on stdout; more layers may follow
 *   belljar-apply remove PATH IDS...   removes PATH and all below it; a report on stdout
 *   belljar-apply accounts N LAYER... IDS...  the merged layers' /etc/passwd and /etc/group on stdout (accounts.h)
 *   belljar-apply merge ROOT LAYERS N  copies the layers LAYERS/0 to LAYERS/N-1 over each other into ROOT; as a companion of a
 *                                      sandbox, already in its namespaces: a byte on descriptor 3 when done, then waits for its end
 *   belljar-apply usage FOLDER         how much the folder holds, again and again, on descriptor 3 (usage.h); a companion too
 *   belljar-apply version
 *
 * IDS: single | subordinate NEWUIDMAP NEWGIDMAP UIDMAP GIDMAP. Exit status 0 when done, 1 when a report says why not.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "accounts.h"
#include "apply.h"
#include "companion.h"
#include "ids.h"
#include "merge.h"
#include "sys.h"
#include "tree.h"
#include "usage.h"
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
	do {
		r = apply_stream(apply, (uint8_t *)(apply + 1));
		if (r == 0 && send_report(REPORT_KIND_DONE, &apply->done, sizeof(apply->done)) < 0)
			return 1;
		if (r == 0)
			r = apply_next(apply);
	} while (r > 0);
	if (r < 0) {
		const struct wire_report report = { apply->entry.head.index, apply->view.stage, (uint32_t)-r, 0 };

		return send_failure(report, apply->path);
	}
	return 0;
}

static int remove_main(const char *path)
{
	const struct wire_done done = { 0 };
	int r = tree_remove(AT_FDCWD, path);

	if (r < 0 && r != -ENOENT)
		return send_failure((struct wire_report){ 0, APPLY_STAGE_REMOVE, (uint32_t)-r, 0 }, path);
	return send_report(REPORT_KIND_DONE, &done, sizeof(done)) < 0;
}

/* layers: as many paths as count says, then the ids. */
static int accounts_main(char **argv, int argc)
{
	int layers[ACCOUNTS_MAX_LAYERS], count = 0;
	enum apply_stage stage = APPLY_STAGE_NONE;
	int r;

	for (const char *c = argv[0]; *c >= '0' && *c <= '9' && count <= ACCOUNTS_MAX_LAYERS; c++)
		count = 10 * count + (*c - '0');
	if (count > ACCOUNTS_MAX_LAYERS || argc < count + 2)
		return EXIT_USAGE;
	for (int i = 0; i < count; i++) {
		layers[i] = open(argv[i + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (layers[i] < 0)
			return EXIT_USAGE;
	}
	r = ids_enter(argv + 1 + count, argc - 1 - count, &stage);
	return r < 0 || accounts_write(layers, (unsigned int)count) < 0;
}

static int merge_main(const char *root, const char *layers, const char *count)
{
	uint64_t number = 0;

	for (const char *c = count; *c >= '0' && *c <= '9' && number < UINT32_MAX; c++)
		number = 10 * number + (uint64_t)(*c - '0');
	int r = merge_layers(root, layers, (uint32_t)number);

	if (r < 0)
		return -r;
	if (write_all(READY_FD, "", 1) < 0)
		return EPIPE;
	while (true) /* the sandbox takes the end of a companion for a failure */
		(void)pause();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	enum apply_stage stage = APPLY_STAGE_NONE;
	bool apply = strcmp(mode, "apply") == 0, merge = strcmp(mode, "merge") == 0 && argc == 5;
	int root = -1, r;

	if (strcmp(mode, "version") == 0)
		return write_all(1, "belljar-apply entries 2\n", 24) < 0;
	if (strcmp(mode, "usage") == 0 && argc == 3) {
		prepare_process();
		return -usage_watch(argv[2], READY_FD);
	}
	if (argc < 4 || (!apply && !merge && strcmp(mode, "remove") != 0 && strcmp(mode, "accounts") != 0)) {
		static const char usage[] = "belljar-apply: apply ROOT IDS...|remove PATH IDS...|accounts N LAYER... "
					    "IDS...|merge ROOT LAYERS N|usage FOLDER|version\n";

		(void)write_all(2, usage, sizeof(usage) - 1);
		return EXIT_USAGE;
	}
	prepare_process();
	if (strcmp(mode, "accounts") == 0)
		return accounts_main(argv + 2, argc - 2);
	if (merge)
		return merge_main(argv[2], argv[3], argv[4]);
	(void)sys_close_range(3, ~0u, 0);
	/* As the caller: the path is the caller's own. */
	if (apply && (root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return send_failure((struct wire_report){ 0, APPLY_STAGE_ROOT, (uint32_t)errno, 0 }, argv[2]);
	r = ids_enter(argv + 3, argc - 3, &stage);
	if (r < 0)
		return send_failure((struct wire_report){ 0, stage, (uint32_t)-r, 0 }, "");
	return apply ? apply_main(root) : remove_main(argv[2]);
}
