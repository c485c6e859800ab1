// SPDX-License-Identifier: Apache-2.0
/*
 * Why execve failed. The kernel says ENOENT for a missing program, a missing script interpreter and a missing ELF loader
 * alike; people deserve to know which. The program never ran, so the tree holds only what the image or host gave it; still
 * every byte of the file is treated as hostile: bounded reads, no loops over its numbers.
 */
#include <elf.h>
#include <limits.h>

#include "run.h"
#include "sys.h"
#include "util.h"

#if defined(__x86_64__)
#define NATIVE_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define NATIVE_MACHINE EM_AARCH64
#endif

enum { MAX_INTERPRETERS = 4 }; /* as many as the kernel follows */

static bool exists(const struct run *run, const char *path)
{
	CLEANUP_FD int fd = sys_open_in_root(run->root, path, O_PATH);

	return fd >= 0;
}

/* The first candidate of a PATH search that is a file; false when there is none. */
static bool find_in_path(const struct run *run, const char *name, char *ret_path, size_t size)
{
	const char *path = "/usr/local/bin:/usr/bin:/bin";

	for (char **at = run->plan.envp; *at; at++)
		if (strncmp(*at, "PATH=", 5) == 0)
			path = *at + 5;
	while (true) {
		size_t length = strcspn(path, ":");
		struct text text = text_in(ret_path, size);

		if (length < size - 1) {
			memcpy(ret_path, path, length);
			text.at = ret_path + length;
			text_add(&text, "/");
			text_add(&text, name);
			if (!text.full && exists(run, ret_path))
				return true;
		}
		if (path[length] == '\0')
			return false;
		path += length + 1;
	}
}

static uint32_t diagnose_contents(const struct run *run, int fd, unsigned int depth, struct failure *failure);

/* "#!" line: a missing interpreter, one that a carriage return is glued to, or one that cannot start itself. */
static uint32_t diagnose_script(const struct run *run, char *line, unsigned int depth, struct failure *failure)
{
	char *name = line + 2 + strspn(line + 2, " \t");
	size_t length = strcspn(name, " \t\n");

	name[length] = '\0';
	copy_text(failure->text, sizeof(failure->text), name);
	if (length && name[length - 1] == '\r')
		return START_FAILURE_CRLF_SHEBANG;
	CLEANUP_FD int fd = sys_open_in_root(run->root, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return START_FAILURE_INTERPRETER_MISSING;
	return fd < 0 || depth == 0 ? START_FAILURE_OTHER : diagnose_contents(run, fd, depth - 1, failure);
}

static uint32_t diagnose_elf(const struct run *run, int fd, const uint8_t *head, struct failure *failure)
{
	Elf64_Ehdr elf;
	char loader[sizeof(failure->text)];

	memcpy(&elf, head, sizeof(elf));
	if (elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_ident[EI_DATA] != ELFDATA2LSB ||
	    elf.e_machine != NATIVE_MACHINE)
		return START_FAILURE_WRONG_ARCHITECTURE;
	for (unsigned int i = 0; i < elf.e_phnum && i < 64; i++) {
		Elf64_Phdr program;

		if (pread(fd, &program, sizeof(program), (off_t)(elf.e_phoff + i * sizeof(program))) !=
		    (ssize_t)sizeof(program))
			return START_FAILURE_WRONG_FORMAT;
		if (program.p_type != PT_INTERP)
			continue;
		ssize_t n = pread(fd, loader, sizeof(loader) - 1, (off_t)program.p_offset);
		if (n <= 0)
			return START_FAILURE_WRONG_FORMAT;
		loader[n] = '\0';
		if (exists(run, loader))
			break;
		copy_text(failure->text, sizeof(failure->text), loader);
		return START_FAILURE_LOADER_MISSING;
	}
	return START_FAILURE_NONE;
}

static uint32_t diagnose_contents(const struct run *run, int fd, unsigned int depth, struct failure *failure)
{
	union {
		uint8_t bytes[257];
		char text[257];
	} head = { 0 };
	ssize_t n = pread(fd, head.bytes, 256, 0);

	if (n >= 2 && head.text[0] == '#' && head.text[1] == '!')
		return diagnose_script(run, head.text, depth, failure);
	if (n >= (ssize_t)sizeof(Elf64_Ehdr) && memcmp(head.bytes, ELFMAG, SELFMAG) == 0) {
		uint32_t why = diagnose_elf(run, fd, head.bytes, failure);

		if (why != START_FAILURE_NONE)
			return why;
	}
	return failure->error == ENOEXEC ? START_FAILURE_WRONG_FORMAT : START_FAILURE_OTHER;
}

uint32_t diagnose_exec(const struct run *run, struct failure *failure)
{
	const char *cwd = plan_text(&run->plan.exec_part, run->plan.exec->cwd);
	char path[PATH_MAX];
	struct text text = text_in(path, sizeof(path));
	struct stat status;

	if (failure->error == E2BIG)
		return START_FAILURE_ARGUMENTS_TOO_LONG;
	if (failure->error == EPERM || failure->error == ENOMEM || failure->error == EAGAIN || failure->error == ENOSYS)
		return START_FAILURE_NONE; /* a filter, or the host: not the program's fault */
	if (!strchr(failure->text, '/')) {
		if (failure->text[0] == '\0' || !find_in_path(run, failure->text, path, sizeof(path)))
			return START_FAILURE_NOT_FOUND;
	} else {
		if (failure->text[0] != '/') {
			text_add(&text, cwd);
			text_add(&text, "/");
		}
		text_add(&text, failure->text);
	}
	CLEANUP_FD int any = sys_open_in_root(run->root, path, O_PATH);
	if (any < 0 || fstat(any, &status) < 0)
		return START_FAILURE_NOT_FOUND;
	copy_text(failure->text, sizeof(failure->text), path);
	if (S_ISDIR(status.st_mode))
		return START_FAILURE_IS_DIRECTORY;
	/* Of 0111 the launcher cannot tell which bit would have counted; the kernel's EACCES is the evidence. */
	if (failure->error == EACCES && (!S_ISREG(status.st_mode) || !(status.st_mode & 0111)))
		return START_FAILURE_NOT_EXECUTABLE;
	CLEANUP_FD int fd = sys_open_in_root(run->root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return failure->error == EACCES ? START_FAILURE_DENIED : START_FAILURE_OTHER;
	if (failure->error == EACCES) {
		/* Executable itself: then its interpreter is what may not be executed, or the mount is noexec. */
		return START_FAILURE_DENIED;
	}
	return diagnose_contents(run, fd, MAX_INTERPRETERS, failure);
}
