// SPDX-License-Identifier: Apache-2.0
/*
 * The encoder's walk (docs/plan-format.md) over a template that was checked: each record is copied, and what it has out of line goes to the cursor.
 * Texts and lists that a run changes come from its changes instead.
 */
#include "encode.h"

#include <errno.h>
#include <string.h>

#include "util.h"

struct writer {
	uint8_t *base;
	uint32_t cursor, capacity;
	bool full;
	const struct part *from;
	const struct exec_changes *changes;
};

/* Room at the cursor, which moves on: its offset; 0 where there is none. */
static uint32_t take(struct writer *writer, uint64_t size, uint32_t alignment)
{
	uint32_t at = (writer->cursor + alignment - 1) / alignment * alignment;

	if (writer->full || at > writer->capacity || size > writer->capacity - at) {
		writer->full = true;
		return 0;
	}
	memset(writer->base + writer->cursor, 0, at - writer->cursor);
	memset(writer->base + at, 0, size);
	writer->cursor = at + (uint32_t)size;
	return at;
}

static void put_text(struct writer *writer, uint32_t field, const char *text, uint32_t length)
{
	struct wire_str place = { 0, length };

	if (length) {
		place.off = take(writer, (uint64_t)length + 1, 1);
		if (writer->full)
			return;
		memcpy(writer->base + place.off, text, length);
	}
	memcpy(writer->base + field, &place, sizeof(place));
}

/* A list's array of records; its offset, for their fields. */
static uint32_t put_list(struct writer *writer, uint32_t field, uint32_t count, uint32_t size)
{
	struct wire_list place = { 0, count };

	if (count)
		place.off = take(writer, (uint64_t)count * size, 8);
	if (!writer->full)
		memcpy(writer->base + field, &place, sizeof(place));
	return place.off;
}

static void copy_record(struct writer *writer, uint32_t to, const uint8_t *from, uint16_t id);

static void copy_field(struct writer *writer, uint32_t to, const uint8_t *from, const struct wire_field *field)
{
	const uint8_t *base = writer->from->base;
	struct wire_bytes place;
	uint32_t at;

	if (field->type != WIRE_STR && field->type != WIRE_BYTES && field->type != WIRE_LIST)
		return; /* in the record */
	memcpy(&place, from, sizeof(place));
	if (field->type == WIRE_STR) {
		put_text(writer, to, (const char *)base + place.off, place.len);
	} else if (field->type == WIRE_BYTES) {
		at = put_list(writer, to, place.len, 1);
		if (!writer->full && place.len)
			memcpy(writer->base + at, base + place.off, place.len);
	} else {
		uint32_t size = plan_record(field->element)->size;

		at = put_list(writer, to, place.len, size);
		for (uint32_t i = 0; i < place.len && !writer->full; i++)
			copy_record(writer, at + i * size, base + place.off + (size_t)i * size, field->element);
	}
}

static void copy_record(struct writer *writer, uint32_t to, const uint8_t *from, uint16_t id)
{
	const struct wire_record *record = plan_record(id);

	memcpy(writer->base + to, from, record->size);
	for (uint16_t i = 0; i < record->count; i++)
		copy_field(writer, to + record->fields[i].offset, from + record->fields[i].offset, &record->fields[i]);
}

static void put_texts(struct writer *writer, uint32_t field, const struct encode_texts *texts)
{
	uint32_t at = put_list(writer, field, texts->count, sizeof(struct wire_text));

	for (uint32_t i = 0; i < texts->count && !writer->full; i++)
		put_text(writer, at + i * (uint32_t)sizeof(struct wire_text), texts->texts[i],
			 (uint32_t)strlen(texts->texts[i]));
}

static void put_files_in(struct writer *writer, uint32_t field)
{
	const struct exec_changes *changes = writer->changes;
	uint32_t at = put_list(writer, field, changes->files_in_count, sizeof(struct wire_file_in));

	for (uint32_t i = 0; i < changes->files_in_count && !writer->full; i++, at += sizeof(struct wire_file_in)) {
		const struct encode_file *file = &changes->files_in[i];
		const struct wire_file_in record = { .mode = file->mode };

		memcpy(writer->base + at, &record, sizeof(record));
		put_text(writer, at + offsetof(struct wire_file_in, host_path), file->source,
			 (uint32_t)strlen(file->source));
		put_text(writer, at + offsetof(struct wire_file_in, target), file->target,
			 (uint32_t)strlen(file->target));
	}
}

static void put_files_out(struct writer *writer, uint32_t field)
{
	const struct exec_changes *changes = writer->changes;
	uint32_t at = put_list(writer, field, changes->files_out_count, sizeof(struct wire_file_out));

	for (uint32_t i = 0; i < changes->files_out_count && !writer->full; i++, at += sizeof(struct wire_file_out)) {
		const struct encode_file *file = &changes->files_out[i];
		const struct wire_file_out record = { .max_bytes = file->max_bytes };

		memcpy(writer->base + at, &record, sizeof(record));
		put_text(writer, at + offsetof(struct wire_file_out, source), file->source,
			 (uint32_t)strlen(file->source));
		put_text(writer, at + offsetof(struct wire_file_out, host_path), file->target,
			 (uint32_t)strlen(file->target));
	}
}

static void put_writes(struct writer *writer, uint32_t field, struct wire_list writes)
{
	uint32_t at = put_list(writer, field, writes.count, sizeof(struct wire_cgroup_write));

	for (uint32_t i = 0; i < writes.count && !writer->full; i++, at += sizeof(struct wire_cgroup_write)) {
		const struct wire_cgroup_write *from = plan_item(writer->from, writes, wire_cgroup_write, i);
		const char *file = plan_text(writer->from, from->file), *value = plan_text(writer->from, from->value);

		if (i < ENCODE_MAX_WRITES && writer->changes->write_values[i])
			value = writer->changes->write_values[i];
		memcpy(writer->base + at, from, sizeof(*from));
		put_text(writer, at + offsetof(struct wire_cgroup_write, file), file, (uint32_t)strlen(file));
		put_text(writer, at + offsetof(struct wire_cgroup_write, value), value, (uint32_t)strlen(value));
	}
}

/* True where the changes say what the field is. */
static bool put_changed(struct writer *writer, uint32_t root, const struct wire_field *field,
			const struct wire_exec_plan *from)
{
	const struct exec_changes *changes = writer->changes;
	uint32_t at = root + field->offset;

	switch (field->offset) {
	case offsetof(struct wire_exec_plan, argv):
		if (changes->argv.texts)
			put_texts(writer, at, &changes->argv);
		return changes->argv.texts;
	case offsetof(struct wire_exec_plan, env):
		if (changes->env.texts)
			put_texts(writer, at, &changes->env);
		return changes->env.texts;
	case offsetof(struct wire_exec_plan, cwd):
		if (changes->cwd)
			put_text(writer, at, changes->cwd, (uint32_t)strlen(changes->cwd));
		return changes->cwd;
	case offsetof(struct wire_exec_plan, files_in):
		put_files_in(writer, at);
		return true;
	case offsetof(struct wire_exec_plan, files_out):
		put_files_out(writer, at);
		return true;
	case offsetof(struct wire_exec_plan, cgroup_writes):
		put_writes(writer, at, from->cgroup_writes);
		return true;
	default:
		return false;
	}
}

static void change_rlimits(struct writer *writer, const struct wire_exec_plan *exec)
{
	for (uint32_t i = 0; i < exec->rlimits.count && i < ENCODE_MAX_RLIMITS; i++) {
		struct wire_rlimit *limit = (struct wire_rlimit *)(void *)(writer->base + exec->rlimits.off) + i;

		if (!writer->changes->rlimits[i].changed)
			continue;
		limit->soft = writer->changes->rlimits[i].soft;
		limit->hard = writer->changes->rlimits[i].hard;
	}
}

int exec_encode(const struct part *template, const struct exec_changes *changes, uint8_t *ret, size_t capacity)
{
	const struct wire_record *record = plan_record(WIRE_RECORD_EXEC_PLAN);
	const uint8_t *from = template->base + sizeof(struct wire_header);
	struct writer writer = {
		.base = ret,
		.capacity = capacity < WIRE_MAX_PLAN_BYTES ? (uint32_t)capacity : WIRE_MAX_PLAN_BYTES,
		.from = template,
		.changes = changes,
	};
	struct wire_header *header = (void *)ret;
	uint32_t root;

	(void)take(&writer, sizeof(*header), 8);
	root = take(&writer, record->size, 8);
	if (writer.full)
		return -E2BIG;
	memcpy(ret + root, from, record->size);
	for (uint16_t i = 0; i < record->count && !writer.full; i++)
		if (!put_changed(&writer, root, &record->fields[i], (const void *)from))
			copy_field(&writer, root + record->fields[i].offset, from + record->fields[i].offset,
				   &record->fields[i]);
	(void)take(&writer, 0, 8);
	if (writer.full)
		return -E2BIG;
	struct wire_exec_plan *exec = (void *)(ret + root);
	exec->parked = 0;
	change_rlimits(&writer, exec);
	memcpy(header, template->base, sizeof(*header));
	header->total_size = writer.cursor;
	return (int)writer.cursor;
}
