// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a stream of entries: the decoder must survive them, and what it accepts must stay inside the root. Each input is
 * applied to a fresh directory over a fixed lower layer; beside them lies a canary that must be as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#include "apply.h"
#include "ids.h"
#include "sys.h"
#include "tree.h"
#include "util.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char base[] = "/tmp/belljar-apply-fuzz-XXXXXX";
static int base_fd = -1;
static struct apply *apply;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "apply_fuzz: %s: %s\n", what, strerror(errno));
	abort();
}

static void leave(void)
{
	(void)tree_remove(AT_FDCWD, base);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char name[] = "single", *const single[] = { name };
	enum apply_stage stage;

	(void)argc;
	(void)argv;
	/* As the program does it, so that modes hinder nothing. */
	must(ids_enter(single, 1, &stage) == 0, "user namespace");
	(void)umask(0);
	(void)signal(SIGXFSZ, SIG_IGN);
	must(mkdtemp(base) != NULL, "mkdtemp");
	(void)atexit(leave);
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(base_fd >= 0, "open");
	must(mkdirat(base_fd, "canary", 0700) == 0 && mkdirat(base_fd, "canary/dir", 0700) == 0 &&
		     mknodat(base_fd, "canary/file", S_IFREG | 0600, 0) == 0,
	     "canary");
	must(mkdirat(base_fd, "lower", 0755) == 0 && mkdirat(base_fd, "lower/a", 0700) == 0 &&
		     mkdirat(base_fd, "lower/a/b", 0755) == 0 && mknodat(base_fd, "lower/f", S_IFREG | 0644, 0) == 0 &&
		     mknodat(base_fd, "lower/a/f", S_IFREG | 0644, 0) == 0 &&
		     symlinkat("../canary", base_fd, "lower/up") == 0 && symlinkat("a/b", base_fd, "lower/l") == 0,
	     "lower");
	apply = mmap(NULL, sizeof(*apply) + READER_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	must(apply != MAP_FAILED, "mmap");
	return 0;
}

static void check_canary(void)
{
	struct stat status;

	must(fstatat(base_fd, "canary", &status, 0) == 0 && (status.st_mode & 07777) == 0700 && status.st_nlink == 3,
	     "the canary's directory");
	must(fstatat(base_fd, "canary/file", &status, 0) == 0 && status.st_size == 0 &&
		     (status.st_mode & 07777) == 0600 && status.st_nlink == 1,
	     "the canary");
	must(fstatat(base_fd, "lower/f", &status, 0) == 0 && status.st_size == 0 && status.st_nlink == 1,
	     "the lower layer");
	must(fstatat(base_fd, "lower", &status, 0) == 0 && status.st_nlink == 3, "the lower layer's root");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct entry entry;
	int input = memfd_create("input", MFD_CLOEXEC);

	(void)entry_decode(data, size > UINT32_MAX ? 0 : (uint32_t)size, &entry);
	must(input >= 0 && write_all(input, data, size) == 0 && lseek(input, 0, SEEK_SET) == 0, "input");
	must(mkdirat(base_fd, "root", 0700) == 0, "root");
	memset(apply, 0, offsetof(struct apply, path));
	apply->report = -1;
	apply->reader.fd = input;
	apply->root = openat(base_fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A lower layer that the input need not guess the name of; those that it names itself are refused as already begun or not there. */
	apply->view.lowers[apply->view.lower_count++] = openat(base_fd, "lower", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)apply_stream(apply, (uint8_t *)(apply + 1));
	(void)close(apply->root);
	(void)close(input);
	must(tree_remove(base_fd, "root") == 0, "removing");
	check_canary();
	return 0;
}
