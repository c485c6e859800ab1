// SPDX-License-Identifier: Apache-2.0
/* The stream: frames in, one layer made, reports out. */
#include "apply.h"

#include <sys/xattr.h>

#include "meta.h"
#include "sys.h"
#include "util.h"

void apply_warn(struct apply *apply, enum apply_stage stage, int error, const char *what)
{
	struct wire_frame frame = { .kind = REPORT_KIND_WARNING };
	struct wire_report report = { apply->entry.head.index, stage, (uint32_t)-error, 0 };
	size_t path = strlen(apply->path) + 1, more = strlen(what) + 1;

	if (apply->report < 0 || apply->reports++ >= ENTRIES_MAX_REPORTS)
		return;
	report.text_bytes = (uint32_t)(path + more);
	frame.length = (uint32_t)sizeof(report) + report.text_bytes;
	/* Nobody there to hear it: the next read will say so. */
	if (write_all(apply->report, &frame, sizeof(frame)) == 0 &&
	    write_all(apply->report, &report, sizeof(report)) == 0 && write_all(apply->report, apply->path, path) == 0)
		(void)write_all(apply->report, what, more);
}

static int set_xattrs(struct apply *apply, int fd)
{
	struct xattr xattr;
	uint32_t at = 0;

	while (xattr_next(&apply->entry, &at, &xattr)) {
		int error = EPERM; /* links and fifos keep no attributes of a user's */

		if (!meta_is_reserved(xattr.name)) {
			if (fd >= 0 && fsetxattr(fd, xattr.name, xattr.value, xattr.value_length, 0) == 0)
				continue;
			error = fd >= 0 ? errno : EPERM;
		}
		if (!meta_is_refusal(error))
			return view_fail(&apply->view, APPLY_STAGE_XATTR, -error);
		apply->done.refused_xattrs++;
		apply_warn(apply, APPLY_STAGE_XATTR, -error, xattr.name);
	}
	return 0;
}

/* A file system may keep another time than it was given; only dates that some cannot keep are worth a look. */
static void check_time(struct apply *apply, int fd, int parent, const char *name)
{
	const int64_t wanted = apply->entry.head.mtime_s;
	struct stat status;

	if (wanted >= 0 && wanted <= INT32_MAX)
		return;
	if ((fd >= 0 ? fstat(fd, &status) : fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW)) == 0 &&
	    status.st_mtim.tv_sec != wanted) {
		apply->done.clamped_times++;
		apply_warn(apply, APPLY_STAGE_TIMES, -ERANGE, "");
	}
}

/* The order matters: a change of owner clears the set-id bits and file capabilities. */
int apply_meta(struct apply *apply, int fd, int parent, const char *name)
{
	const struct wire_entry *head = &apply->entry.head;
	const struct timespec time = { .tv_sec = head->mtime_s, .tv_nsec = head->mtime_ns };
	const struct timespec times[2] = { time, time };
	struct view *view = &apply->view;
	int r;

	if (view->chown && (fd >= 0 ? fchown(fd, head->uid, head->gid)
				    : fchownat(parent, name, head->uid, head->gid, AT_SYMLINK_NOFOLLOW)) < 0)
		return view_fail(view, APPLY_STAGE_OWNER, -errno);
	r = set_xattrs(apply, fd);
	if (r < 0)
		return r;
	/* A link has no mode; fchmodat would follow it. */
	if (head->type != ENTRY_TYPE_SYMLINK &&
	    (fd >= 0 ? fchmod(fd, head->mode) : fchmodat(parent, name, head->mode, 0)) < 0)
		return view_fail(view, APPLY_STAGE_MODE, -errno);
	if ((fd >= 0 ? futimens(fd, times) : utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW)) < 0)
		return view_fail(view, APPLY_STAGE_TIMES, -errno);
	check_time(apply, fd, parent, name);
	return 0;
}

/* The last entry's file is complete. */
static int finish_file(struct apply *apply)
{
	int r;

	if (apply->file < 0)
		return 0;
	/* The end may be a hole; and what was said to come must have come, or be one. */
	if (apply->written < apply->entry.head.file_bytes &&
	    ftruncate(apply->file, (off_t)apply->entry.head.file_bytes) < 0)
		r = view_fail(&apply->view, APPLY_STAGE_WRITE, -errno);
	else
		r = apply_meta(apply, apply->file, -1, "");
	close_fd(&apply->file);
	return r;
}

static int write_data(struct apply *apply, const struct frame *frame)
{
	const uint8_t *bytes = frame->payload;
	uint64_t at = frame->offset;
	int n = (int)frame->length;

	if (apply->file < 0 || at < apply->written)
		return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, -EBADMSG);
	while (n > 0) {
		if (at > apply->entry.head.file_bytes || (uint64_t)n > apply->entry.head.file_bytes - at)
			return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, -EBADMSG);
		while (n > 0) {
			ssize_t wrote = pwrite(apply->file, bytes, (size_t)n, (off_t)at);

			if (wrote < 0 && errno == EINTR)
				continue;
			if (wrote <= 0)
				return view_fail(&apply->view, APPLY_STAGE_WRITE, wrote < 0 ? -errno : -EIO);
			bytes += wrote;
			at += (uint64_t)wrote;
			n -= (int)wrote;
			apply->done.bytes += (uint64_t)wrote;
		}
		n = reader_more(&apply->reader, &bytes);
	}
	apply->written = at;
	return n < 0 ? view_fail(&apply->view, APPLY_STAGE_PROTOCOL, n) : 0;
}

static int add_lower(struct apply *apply, const struct frame *frame)
{
	struct view *view = &apply->view;
	int fd;

	copy_text(apply->path, sizeof(apply->path), (const char *)frame->payload);
	if (view->lower_count >= ENTRIES_MAX_LOWERS)
		return view_fail(view, APPLY_STAGE_LOWER, -E2BIG);
	fd = open(apply->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return view_fail(view, APPLY_STAGE_LOWER, -errno);
	view->lowers[view->lower_count++] = fd;
	return 0;
}

static int begin(struct apply *apply, const struct frame *frame)
{
	struct wire_begin begin;

	if (apply->begun || frame->length != sizeof(begin))
		return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, -EBADMSG);
	memcpy(&begin, frame->payload, sizeof(begin));
	if (begin.version != ENTRIES_VERSION || begin.flags & ~BEGIN_FLAG_CHOWN)
		return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, -EPROTONOSUPPORT);
	apply->begun = true;
	apply->view.chown = begin.flags & BEGIN_FLAG_CHOWN;
	return view_open(&apply->view, apply->root);
}

static int take_entry(struct apply *apply, const struct frame *frame)
{
	int r = entry_decode(frame->payload, frame->length, &apply->entry);

	if (r < 0)
		return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, r);
	memcpy(apply->path, apply->entry.path, apply->entry.head.path_bytes);
	if (apply->entry.head.xattr_bytes) {
		memcpy(apply->kept_xattrs, apply->entry.xattrs, apply->entry.head.xattr_bytes);
		apply->entry.xattrs = apply->kept_xattrs;
	}
	return apply_entry(apply);
}

static int end(struct apply *apply)
{
	int r = view_close(&apply->view);

	apply->done.directories += apply->view.directories;
	apply->done.whiteouts = apply->view.whiteouts;
	return r;
}

static void close_all(struct apply *apply)
{
	close_fd(&apply->file);
	for (uint32_t d = apply->view.depth; d > 0; d--)
		close_fd(&apply->view.levels[d].upper);
	for (uint32_t i = 0; i < apply->view.lower_count; i++)
		close_fd(&apply->view.lowers[i]);
}

static bool is_path(const struct frame *frame)
{
	return frame->length >= 2 && frame->length <= ENTRIES_MAX_PATH_BYTES &&
	       frame->payload[frame->length - 1] == '\0';
}

static int next(struct apply *apply, bool *ret_ended)
{
	struct frame frame;
	int r = reader_next(&apply->reader, &frame);

	if (r < 0)
		return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, r);
	if (frame.kind == FRAME_KIND_LOWER) {
		if (apply->begun || !is_path(&frame))
			return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, -EBADMSG);
		return add_lower(apply, &frame);
	}
	if (frame.kind == FRAME_KIND_BEGIN)
		return begin(apply, &frame);
	if (!apply->begun || frame.kind == FRAME_KIND_ROOT)
		return view_fail(&apply->view, APPLY_STAGE_PROTOCOL, -EBADMSG);
	if (frame.kind == FRAME_KIND_DATA)
		return write_data(apply, &frame);
	r = finish_file(apply);
	if (r < 0)
		return r;
	if (frame.kind == FRAME_KIND_ENTRY)
		return take_entry(apply, &frame);
	*ret_ended = true;
	return end(apply);
}

int apply_stream(struct apply *apply, uint8_t *buffer)
{
	bool ended = false;
	int r = 0;

	apply->reader.buffer = buffer;
	apply->file = -1;
	while (r == 0 && !ended)
		r = next(apply, &ended);
	close_all(apply);
	return r;
}

int apply_next(struct apply *apply)
{
	struct view *view = &apply->view;
	struct frame frame;
	int r;

	/* Nothing of the last layer but the stream: what the next one finds must not depend on what came before. */
	apply->done = (struct wire_done){ 0 };
	apply->reports = 0;
	apply->begun = false;
	apply->entry = (struct entry){ 0 };
	apply->path[0] = '\0';
	view->lower_count = 0;
	view->chown = false;
	view->stage = APPLY_STAGE_NONE;
	view->whiteouts = view->directories = 0;
	close_fd(&apply->root);
	if (reader_ended(&apply->reader))
		return 0;
	r = reader_next(&apply->reader, &frame);
	if (r < 0 || frame.kind != FRAME_KIND_ROOT || !is_path(&frame))
		return view_fail(view, APPLY_STAGE_PROTOCOL, r < 0 ? r : -EBADMSG);
	copy_text(apply->path, sizeof(apply->path), (const char *)frame.payload);
	apply->root = open(apply->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return apply->root < 0 ? view_fail(view, APPLY_STAGE_ROOT, -errno) : 1;
}
