// SPDX-License-Identifier: Apache-2.0
/*
 * The plan checker. It replays the encoder's walk with a cursor and accepts only bytes that the encoder would have
 * written: no overlap, no gap, no second encoding of the same plan. One generic walk over the generated field tables
 * checks every record; recursion depth is bounded by the table, which has no cycle.
 */
#include "plan.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "gen/tables.gen.h"
#include "util.h"

struct walk {
	const uint8_t *base;
	uint32_t size, cursor;
};

static bool align_cursor(struct walk *walk, uint32_t alignment)
{
	while (walk->cursor % alignment) {
		if (walk->cursor >= walk->size || walk->base[walk->cursor] != 0)
			return false;
		walk->cursor++;
	}
	return true;
}

/* Takes `length` bytes at the cursor, which must be where `offset` says. */
static bool take(struct walk *walk, uint32_t offset, uint64_t length)
{
	if (offset != walk->cursor || length > walk->size - walk->cursor)
		return false;
	walk->cursor += (uint32_t)length;
	return true;
}

/* No empty, "." or ".." component, no doubled or trailing slash. */
static bool components_ok(const char *path)
{
	while (true) {
		size_t length = strcspn(path, "/");

		if (length == 0 || (length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

static bool text_ok(const char *text, uint32_t length, uint8_t check)
{
	switch (check) {
	case WIRE_ABS:
		return text[0] == '/' && (text[1] == '\0' || components_ok(text + 1));
	case WIRE_RELATIVE:
		return components_ok(text);
	case WIRE_NAME:
		return length >= 1 && length <= 64 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
	case WIRE_FILE:
		return length >= 1 && length <= 64 && text[0] != '.' &&
		       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._") == length;
	default:
		return true;
	}
}

static bool check_str(struct walk *walk, const uint8_t *field, uint8_t check)
{
	struct wire_str text;

	memcpy(&text, field, sizeof(text));
	if (text.len == 0)
		return text.off == 0 && check == WIRE_ANY;
	if (text.len == UINT32_MAX || !take(walk, text.off, (uint64_t)text.len + 1))
		return false;
	const char *at = (const char *)walk->base + text.off;
	return memchr(at, '\0', (size_t)text.len + 1) == at + text.len && text_ok(at, text.len, check);
}

static bool check_bytes(struct walk *walk, const uint8_t *field)
{
	struct wire_bytes bytes;

	memcpy(&bytes, field, sizeof(bytes));
	if (bytes.len == 0)
		return bytes.off == 0;
	return align_cursor(walk, 8) && take(walk, bytes.off, bytes.len);
}

static bool check_record(struct walk *walk, const uint8_t *at, uint16_t id);

static bool check_list(struct walk *walk, const uint8_t *field, uint16_t element)
{
	struct wire_list list;
	uint64_t size = wire_records[element].size;

	memcpy(&list, field, sizeof(list));
	if (list.count == 0)
		return list.off == 0;
	if (list.count > WIRE_MAX_LIST_ITEMS || !align_cursor(walk, 8) || !take(walk, list.off, list.count * size))
		return false;
	for (uint32_t i = 0; i < list.count; i++)
		if (!check_record(walk, walk->base + list.off + i * size, element))
			return false;
	return true;
}

static bool check_u32(const uint8_t *at, const struct wire_field *field)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value >= field->min && value <= field->max && (field->mask == 0 || (value & ~field->mask) == 0);
}

static uint32_t field_size(const struct wire_field *field)
{
	switch (field->type) {
	case WIRE_U32:
	case WIRE_I32:
		return 4;
	case WIRE_ARRAY_U32:
		return 4u * field->count;
	default:
		return 8;
	}
}

static bool check_field(struct walk *walk, const uint8_t *at, const struct wire_field *field)
{
	uint64_t wide;

	switch (field->type) {
	case WIRE_U32:
		return check_u32(at, field);
	case WIRE_U64:
		memcpy(&wide, at, sizeof(wide));
		return wide >= field->min && wide <= field->max;
	case WIRE_STR:
		return check_str(walk, at, field->check);
	case WIRE_BYTES:
		return check_bytes(walk, at);
	case WIRE_LIST:
		return check_list(walk, at, field->element);
	case WIRE_ARRAY_U32:
		for (uint16_t i = 0; i < field->count; i++)
			if (!check_u32(at + 4u * i, field))
				return false;
		return true;
	default:
		return false;
	}
}

static bool check_record(struct walk *walk, const uint8_t *at, uint16_t id)
{
	const struct wire_record *record = &wire_records[id];
	uint32_t end = 0;

	for (uint16_t i = 0; i < record->count; i++) {
		const struct wire_field *field = &record->fields[i];

		for (; end < field->offset; end++) /* padding */
			if (at[end] != 0)
				return false;
		if (!check_field(walk, at + field->offset, field))
			return false;
		end = field->offset + field_size(field);
	}
	for (; end < record->size; end++)
		if (at[end] != 0)
			return false;
	return true;
}

const struct wire_record *plan_record(uint16_t id)
{
	return &wire_records[id];
}

static uint16_t root_of(uint32_t kind)
{
	return kind == PLAN_KIND_SANDBOX ? WIRE_RECORD_SANDBOX_PLAN
	       : kind == PLAN_KIND_EXEC	 ? WIRE_RECORD_EXEC_PLAN
					 : WIRE_RECORD_REPORT_PLAN;
}

int plan_check(const void *bytes, size_t length, uint32_t kind)
{
	uint16_t id = root_of(kind);
	const struct wire_header *header = bytes;
	struct walk walk = { .base = bytes, .size = (uint32_t)length };

	if (length < sizeof(*header) || length > WIRE_MAX_PLAN_BYTES || length % 8)
		return -EBADMSG;
	if (header->magic != WIRE_MAGIC || header->kind != kind || header->version != WIRE_VERSION ||
	    header->total_size != length || header->root_offset != sizeof(*header) || header->reserved != 0)
		return -EBADMSG;
	if (length < sizeof(*header) + wire_records[id].size)
		return -EBADMSG;
	walk.cursor = (uint32_t)sizeof(*header) + wire_records[id].size;
	if (!check_record(&walk, walk.base + sizeof(*header), id) || !align_cursor(&walk, 8) ||
	    walk.cursor != walk.size)
		return -EBADMSG;
	return 0;
}

/* Where a plan comes from, and by when all of it must have come; 0 = whenever it does. */
struct source {
	int fd;
	uint64_t deadline_ns;
};

/* A socket's own timeout would begin anew with each byte. */
static int read_from(const struct source *source, void *data, size_t length)
{
	struct pollfd poll_fd = { .fd = source->fd, .events = POLLIN };
	char *at = data;

	if (!source->deadline_ns)
		return read_all(source->fd, data, length);
	while (length > 0) {
		uint64_t now = now_ns();
		int ready = now < source->deadline_ns
				    ? poll(&poll_fd, 1, (int)((source->deadline_ns - now) / NS_PER_MS) + 1)
				    : 0;

		if (ready == 0)
			return -ETIMEDOUT;
		ssize_t n = ready < 0 ? -1 : read(source->fd, at, length);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

/* Reads the part that starts with `header` (already read) to `at`, and checks it. */
static int read_part(const struct source *source, uint8_t *at, const struct wire_header *header, uint32_t kind)
{
	int r;

	memcpy(at, header, sizeof(*header));
	r = read_from(source, at + sizeof(*header), header->total_size - sizeof(*header));
	return r < 0 ? r : plan_check(at, header->total_size, kind);
}

static int read_header(const struct source *source, struct wire_header *ret_header)
{
	int r = read_from(source, ret_header, sizeof(*ret_header));

	if (r < 0)
		return r;
	if (ret_header->magic != WIRE_MAGIC || ret_header->total_size < sizeof(*ret_header) ||
	    ret_header->total_size > WIRE_MAX_PLAN_BYTES || ret_header->total_size % 8)
		return -EBADMSG;
	return 0;
}

static void point_at_texts(const struct part *part, struct wire_list list, char **table)
{
	for (uint32_t i = 0; i < list.count; i++)
		table[i] = (char *)(uintptr_t)plan_text(part, plan_item(part, list, wire_text, i)->text);
	table[list.count] = NULL;
}

static bool filter_ok(struct wire_bytes filter)
{
	return filter.len % 8 == 0 && filter.len / 8 <= 4096; /* BPF_MAXINSNS */
}

static bool maps_ok(const struct wire_sandbox_plan *sandbox, struct wire_list maps, const struct part *part)
{
	if (maps.count == 0 || maps.count > PLAN_MAX_MAPS)
		return false;
	return sandbox->id_mode == ID_MODE_SUBORDINATE ||
	       (maps.count == 1 && plan_item(part, maps, wire_id_map, 0)->size == 1);
}

/* What the field tables cannot say: counts that fixed arrays hold, references between the parts. */
static bool meaning_ok(const struct plan *plan)
{
	const struct wire_sandbox_plan *sandbox = plan->sandbox;
	const struct wire_exec_plan *exec = plan->exec;
	bool terminal = exec->stdin == STDIO_KIND_TERMINAL;

	if (exec->argv.count == 0 || sandbox->cgroups.count > PLAN_MAX_HIERARCHIES ||
	    sandbox->companions.count > PLAN_MAX_COMPANIONS || exec->files_in.count > PLAN_MAX_FILES ||
	    exec->files_out.count > PLAN_MAX_FILES || exec->groups.count > PLAN_MAX_GROUPS)
		return false;
	/* Without all of these there is no sandbox; only the network may be the host's. */
	if ((sandbox->namespaces | NAMESPACE_NETWORK) != NAMESPACE_MASK ||
	    (sandbox->network == NETWORK_MODE_PRIVATE) != !!(sandbox->namespaces & NAMESPACE_NETWORK))
		return false;
	if (!maps_ok(sandbox, sandbox->uid_maps, &plan->sandbox_part) ||
	    !maps_ok(sandbox, sandbox->gid_maps, &plan->sandbox_part))
		return false;
	if ((sandbox->root_kind == ROOT_KIND_SKELETON) != (sandbox->root_layers.count == 0))
		return false;
	if (!filter_ok(sandbox->base_filter) || !filter_ok(exec->filter) || !filter_ok(sandbox->audit_base_filter) ||
	    !filter_ok(exec->audit_filter) || exec->audit_slots.count > PLAN_MAX_SLOTS)
		return false;
	/* Nothing of a template is used up before it is known what is to run. */
	if (exec->parked && (terminal || exec->files_in.count || exec->files_out.count))
		return false;
	/* A terminal is all three streams or none. */
	if (terminal != (exec->stdout == STDIO_KIND_TERMINAL) || terminal != (exec->stderr == STDIO_KIND_TERMINAL))
		return false;
	for (uint32_t i = 0; i < exec->cgroup_writes.count; i++)
		if (plan_item(&plan->exec_part, exec->cgroup_writes, wire_cgroup_write, i)->hierarchy >=
		    sandbox->cgroups.count)
			return false;
	return exec->wall_ms <= PLAN_MAX_MS && exec->cpu_ms <= PLAN_MAX_MS && exec->stop_ms <= PLAN_MAX_MS &&
	       exec->sample_ms <= PLAN_MAX_MS;
}

/* Reserved once at its cap; pages that are not filled are never touched. */
static void *reserve(size_t capacity)
{
	void *at = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int read_exec_part(const struct source *source, uint8_t *at, struct plan *plan)
{
	struct wire_header header;
	int r = read_header(source, &header);

	if (r == 0)
		r = read_part(source, at, &header, PLAN_KIND_EXEC);
	if (r < 0)
		return r;
	plan->exec_part = (struct part){ at, header.total_size };
	plan->exec = (const void *)(at + sizeof(header));
	at += header.total_size;
	if (!meaning_ok(plan))
		return -EBADMSG;
	plan->argv = (char **)(void *)at;
	point_at_texts(&plan->exec_part, plan->exec->argv, plan->argv);
	plan->envp = plan->argv + plan->exec->argv.count + 1;
	point_at_texts(&plan->exec_part, plan->exec->env, plan->envp);
	return 0;
}

int plan_read(int fd, struct plan *ret_plan)
{
	const struct source source = { fd, 0 };
	struct wire_header header;
	uint8_t *at = reserve(2 * PLAN_PART_CAPACITY + PLAN_TABLES_CAPACITY);
	int r;

	if (!at)
		return -errno;
	ret_plan->mapping = at;
	ret_plan->mapping_size = 2 * PLAN_PART_CAPACITY + PLAN_TABLES_CAPACITY;
	r = read_header(&source, &header);
	if (r == 0)
		r = read_part(&source, at, &header, PLAN_KIND_SANDBOX);
	if (r < 0)
		return r;
	ret_plan->sandbox_part = (struct part){ at, header.total_size };
	ret_plan->sandbox = (const void *)(at + sizeof(header));
	return read_exec_part(&source, at + header.total_size, ret_plan);
}

/* One field of both; lists of the table's task fields hold records that point nowhere. */
static bool same_field(const struct plan *a, const struct plan *b, const struct wire_field *field)
{
	const uint8_t *left = (const uint8_t *)a->exec + field->offset,
		      *right = (const uint8_t *)b->exec + field->offset;
	struct wire_bytes x, y;
	size_t size = 1;

	if (field->type != WIRE_STR && field->type != WIRE_BYTES && field->type != WIRE_LIST)
		return memcmp(left, right, field_size(field)) == 0;
	memcpy(&x, left, sizeof(x));
	memcpy(&y, right, sizeof(y));
	if (field->type == WIRE_LIST)
		size = wire_records[field->element].size;
	return x.len == y.len && memcmp(a->exec_part.base + x.off, b->exec_part.base + y.off, x.len * size) == 0;
}

/* What the waiting task has put on already, and what was chosen with it; all else of an exec part may differ. */
static bool same_task(const struct plan *a, const struct plan *b)
{
	const struct wire_field *fields = wire_records[WIRE_RECORD_EXEC_PLAN].fields;

	for (size_t i = 0; i < ARRAY_SIZE(wire_task_fields); i++)
		if (!same_field(a, b, &fields[wire_task_fields[i]]))
			return false;
	return true;
}

int plan_read_second(int fd, uint64_t deadline_ns, struct plan *plan)
{
	const struct source source = { fd, deadline_ns };
	uint8_t *at = reserve(PLAN_PART_CAPACITY + PLAN_TABLES_CAPACITY);
	struct plan second = *plan;
	int r;

	if (!at)
		return -errno;
	r = read_exec_part(&source, at, &second);
	if (r == 0 && (second.exec->parked || !same_task(plan, &second)))
		r = -EBADMSG;
	if (r == 0)
		*plan = second;
	else
		(void)munmap(at, PLAN_PART_CAPACITY + PLAN_TABLES_CAPACITY);
	return r;
}
