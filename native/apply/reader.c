// SPDX-License-Identifier: Apache-2.0
#include "reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Makes `count` bytes contiguous at `start`. */
static int need(struct reader *reader, uint32_t count)
{
	if (reader->end - reader->start >= count)
		return 0;
	if (READER_BUFFER_BYTES - reader->start < count) {
		memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
		reader->end -= reader->start;
		reader->start = 0;
	}
	while (reader->end - reader->start < count) {
		ssize_t n = read(reader->fd, reader->buffer + reader->end, READER_BUFFER_BYTES - reader->end);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		reader->end += (uint32_t)n;
	}
	return 0;
}

bool reader_ended(struct reader *reader)
{
	return reader->start == reader->end && need(reader, 1) == -EPIPE;
}

int reader_more(struct reader *reader, const uint8_t **ret_bytes)
{
	uint32_t have;
	int r;

	if (reader->left == 0)
		return 0;
	if (reader->start == reader->end)
		reader->start = reader->end = 0;
	r = need(reader, 1);
	if (r < 0)
		return r;
	have = reader->end - reader->start;
	if (have > reader->left)
		have = reader->left;
	*ret_bytes = reader->buffer + reader->start;
	reader->start += have;
	reader->left -= have;
	return (int)have;
}

int reader_next(struct reader *reader, struct frame *ret_frame)
{
	struct wire_frame head;
	struct frame frame = { 0 };
	struct wire_data data;
	int r = need(reader, sizeof(head));

	if (r < 0)
		return r;
	memcpy(&head, reader->buffer + reader->start, sizeof(head));
	if (head.kind == FRAME_KIND_NONE || head.kind >= FRAME_KIND_COUNT || head.length > ENTRIES_MAX_FRAME_BYTES)
		return -EBADMSG;
	reader->start += sizeof(head);
	frame.kind = head.kind;
	frame.length = head.length;
	if (head.kind != FRAME_KIND_DATA) {
		r = need(reader, head.length);
		if (r < 0)
			return r;
		frame.payload = reader->buffer + reader->start;
		reader->start += head.length;
		*ret_frame = frame;
		return 0;
	}
	/* Data is taken as it comes, without waiting for the whole frame. */
	if (head.length < sizeof(data))
		return -EBADMSG;
	r = need(reader, sizeof(data));
	if (r < 0)
		return r;
	memcpy(&data, reader->buffer + reader->start, sizeof(data));
	reader->start += sizeof(data);
	reader->left = head.length - (uint32_t)sizeof(data);
	frame.offset = data.offset;
	r = reader_more(reader, &frame.payload);
	if (r < 0)
		return r;
	frame.length = (uint32_t)r;
	*ret_frame = frame;
	return 0;
}

static bool is_text(const uint8_t *bytes, uint32_t length, uint32_t most)
{
	return length >= 1 && length <= most && bytes[length - 1] == '\0' && strlen((const char *)bytes) == length - 1;
}

/* Sizes of one record of the attributes; 0 when it does not fit. */
static uint32_t xattr_size(const uint8_t *bytes, uint32_t left, uint32_t *ret_name, uint32_t *ret_value)
{
	uint32_t sizes[2];

	if (left < sizeof(sizes))
		return 0;
	memcpy(sizes, bytes, sizeof(sizes));
	left -= (uint32_t)sizeof(sizes);
	if (sizes[0] > left || sizes[1] > left - sizes[0])
		return 0;
	*ret_name = sizes[0];
	*ret_value = sizes[1];
	return (uint32_t)sizeof(sizes) + sizes[0] + sizes[1];
}

static bool xattrs_are_sound(const uint8_t *bytes, uint32_t length)
{
	while (length > 0) {
		uint32_t name = 0, value = 0, size = xattr_size(bytes, length, &name, &value);

		if (size == 0 || !is_text(bytes + 8, name, 256))
			return false;
		bytes += size;
		length -= size;
	}
	return true;
}

bool xattr_next(const struct entry *entry, uint32_t *at, struct xattr *ret_xattr)
{
	uint32_t name = 0, value = 0;
	const uint8_t *bytes = entry->xattrs + *at;
	uint32_t size;

	if (*at >= entry->head.xattr_bytes)
		return false;
	size = xattr_size(bytes, entry->head.xattr_bytes - *at, &name, &value);
	if (size == 0)
		return false;
	*ret_xattr = (struct xattr){ (const char *)bytes + 8, bytes + 8 + name, value };
	*at += size;
	return true;
}

/* The path was cleaned before it came here: no empty, "." or ".." component. Anything else is a fault of the sender. */
static bool is_clean(const char *path)
{
	for (;;) {
		const char *slash = strchr(path, '/');
		size_t length = slash ? (size_t)(slash - path) : strlen(path);

		if (length == 0 || length > 255 || (length == 1 && path[0] == '.') ||
		    (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (!slash)
			return true;
		path = slash + 1;
	}
}

int entry_decode(const uint8_t *payload, uint32_t length, struct entry *ret_entry)
{
	struct entry entry = { 0 };
	const struct wire_entry *head = &entry.head;
	uint32_t left = length;

	if (left < sizeof(*head))
		return -EBADMSG;
	memcpy(&entry.head, payload, sizeof(*head));
	left -= (uint32_t)sizeof(*head);
	if (head->path_bytes > left || head->link_bytes > left - head->path_bytes ||
	    head->xattr_bytes != left - head->path_bytes - head->link_bytes)
		return -EBADMSG;
	payload += sizeof(*head);
	entry.path = (const char *)payload;
	entry.link = entry.path + head->path_bytes;
	entry.xattrs = payload + head->path_bytes + head->link_bytes;
	if (!is_text(payload, head->path_bytes, ENTRIES_MAX_PATH_BYTES) ||
	    !is_text(payload + head->path_bytes, head->link_bytes, ENTRIES_MAX_PATH_BYTES) ||
	    !xattrs_are_sound(entry.xattrs, head->xattr_bytes))
		return -EBADMSG;
	if (head->type == ENTRY_TYPE_NONE || head->type >= ENTRY_TYPE_COUNT || head->mode > 07777 || head->reserved ||
	    head->mtime_ns >= 1000000000u || head->file_bytes > INT64_MAX ||
	    (head->file_bytes && head->type != ENTRY_TYPE_FILE))
		return -EBADMSG;
	/* Only a directory or an opaque mark may be the root itself. */
	if (head->path_bytes == 1 ? head->type != ENTRY_TYPE_DIRECTORY && head->type != ENTRY_TYPE_OPAQUE
				  : !is_clean(entry.path))
		return -EBADMSG;
	if (head->type == ENTRY_TYPE_HARDLINK  ? !is_clean(entry.link)
	    : head->type == ENTRY_TYPE_SYMLINK ? head->link_bytes < 2
					       : head->link_bytes != 1)
		return -EBADMSG;
	*ret_entry = entry;
	return 0;
}
