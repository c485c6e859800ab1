// SPDX-License-Identifier: Apache-2.0
/* One file under two names: a run that would write over what it reads, or twice to one place, is refused before anything is opened. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "front.h"
#include "utf8.h"

enum { MAX_LINKS = 40, /* as the kernel: MAXSYMLINKS */ PATH_ROOM = 4096, MAX_PLACES = 2 * PLAN_MAX_FILES + 5 };

/* A file, or where one would be made: its folder, and the name in it. */
struct place {
	dev_t device;
	ino_t inode;
	char name[256];		/* "" = it is there */
	const char *use, *path; /* use: "" = the plan */
};

static const char *split(const char *path, char folder[PATH_ROOM])
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	memcpy(folder, slash ? path : ".", slash ? length : 1);
	folder[slash ? length : 1] = '\0';
	if (slash && length == 0)
		memcpy(folder, "/", 2);
	return slash ? slash + 1 : path;
}

/* What a link says is beneath the folder that the link is in. */
static bool follow(const char *path, const char *folder, char next[PATH_ROOM])
{
	char target[PATH_ROOM];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	struct text text = text_in(next, PATH_ROOM);

	if (length <= 0)
		return false;
	target[length] = '\0';
	if (target[0] != '/') {
		text_add(&text, folder);
		text_add(&text, "/");
	}
	text_add(&text, target);
	return !text.full;
}

/* False for what any number of streams may share, or what whoever opens it will refuse. */
static bool find_place(const char *path, struct place *ret)
{
	char at[PATH_ROOM], folder[PATH_ROOM], next[PATH_ROOM];
	const char *name = at;
	struct stat status;

	if (stat(path, &status) == 0) {
		ret->device = status.st_dev;
		ret->inode = status.st_ino;
		ret->name[0] = '\0';
		return !S_ISCHR(status.st_mode) && !S_ISDIR(status.st_mode);
	}
	if (strlen(path) >= sizeof(at))
		return false;
	memcpy(at, path, strlen(path) + 1);
	for (int i = 0; i < MAX_LINKS; i++) {
		name = split(at, folder);
		if (!follow(at, folder, next))
			break;
		memcpy(at, next, strlen(next) + 1);
	}
	if (strlen(name) >= sizeof(ret->name) || stat(folder, &status) < 0)
		return false;
	ret->device = status.st_dev;
	ret->inode = status.st_ino;
	memcpy(ret->name, name, strlen(name) + 1);
	return true;
}

struct places {
	struct place list[MAX_PLACES];
	uint32_t count, read; /* those that are read come first */
};

static int refuse(struct front *front, const struct place *output, const struct place *other, bool is_read)
{
	char doing[PATH_ROOM], reason[64];
	struct text to = text_in(doing, sizeof(doing)), why = text_in(reason, sizeof(reason));

	text_add(&to, "reading options: ");
	text_add(&to, output->use);
	text_add(&to, " '");
	utf8_add_printable(&to, output->path);
	text_add(&to, "'");
	text_add(&why, other->use[0] ? "is the file that " : "is the plan itself");
	text_add(&why, other->use);
	text_add(&why, !other->use[0] ? "" : is_read ? " reads" : " writes");
	return front_fail(front, "usage", doing, NULL, reason,
			  "name another file: one would be written over the other");
}

static void add_input(struct places *places, const char *use, const char *path)
{
	struct place *place = &places->list[places->count];

	*place = (struct place){ .use = use, .path = path };
	if (path && find_place(path, place))
		places->read = ++places->count;
}

static int add_output(struct front *front, struct places *places, const char *use, const char *path)
{
	struct place *place = &places->list[places->count];

	*place = (struct place){ .use = use, .path = path };
	if (!path || !find_place(path, place))
		return 0;
	for (uint32_t i = 0; i < places->count; i++) {
		const struct place *other = &places->list[i];
		/* Opened once, for both. */
		bool joined = strcmp(use, "'--stderr'") == 0 && strcmp(other->use, "'--stdout'") == 0;

		if (!joined && other->device == place->device && other->inode == place->inode &&
		    strcmp(other->name, place->name) == 0)
			return refuse(front, place, other, i < places->read);
	}
	places->count++;
	return 0;
}

int shared_files(struct front *front)
{
	const struct front_options *options = &front->options;
	const struct exec_changes *changes = &front->changes;
	struct places *places =
		mmap(NULL, sizeof(*places), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int r;

	if (places == MAP_FAILED)
		return front_fail(front, "internal", "reading options", NULL, "out of memory", NULL);
	add_input(places, "'--stdin'", options->stdin_path);
	for (uint32_t i = 0; i < changes->files_in_count; i++)
		add_input(places, "'--in'", front->files_in[i].source);
	add_input(places, "", options->file);
	r = add_output(front, places, "'--stdout'", options->stdout_path);
	if (r == 0)
		r = add_output(front, places, "'--stderr'", options->stderr_path);
	if (r == 0)
		r = add_output(front, places, "'--report'", options->report_path);
	for (uint32_t i = 0; i < changes->files_out_count && r == 0; i++)
		r = add_output(front, places, "'--out'", front->files_out[i].target);
	return r;
}
