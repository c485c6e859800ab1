// SPDX-License-Identifier: Apache-2.0
/*
 * The plan checker against every golden plan: the plan is accepted; every truncation is refused; every single-byte change
 * is refused, or yields a plan that is well-formed in itself (another number in range, another letter in a string). What
 * is accepted is walked completely, so that ASan sees any offset that leads outside.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encode.h"

static int failures;

static void expect(int condition, const char *what, const char *file)
{
	if (condition)
		return;
	printf("not ok: %s: %s\n", file, what);
	failures++;
}

static size_t walk(const struct part *part, uint32_t kind)
{
	const uint8_t *root = part->base + sizeof(struct wire_header);
	size_t sum = 0;

	if (kind == PLAN_KIND_SANDBOX) {
		const struct wire_sandbox_plan *plan = (const void *)root;

		for (uint32_t i = 0; i < plan->filesystem.count; i++) {
			const struct wire_fs_entry *entry = plan_item(part, plan->filesystem, wire_fs_entry, i);
			sum += strlen(plan_text(part, entry->target)) + strlen(plan_text(part, entry->source)) +
			       entry->content.len;
		}
		return sum + strlen(plan_text(part, plan->run_id)) + strlen(plan_text(part, plan->hostname));
	}
	if (kind == PLAN_KIND_REPORT) {
		const struct wire_report_plan *plan = (const void *)root;

		for (uint32_t i = 0; i < plan->sentences.count; i++)
			sum += strlen(plan_text(part, plan_item(part, plan->sentences, wire_text, i)->text));
		for (uint32_t i = 0; i < plan->arguments.count; i++)
			sum += plan_item(part, plan->arguments, wire_report_argument, i)->values.count;
		return sum;
	}
	const struct wire_exec_plan *plan = (const void *)root;
	for (uint32_t i = 0; i < plan->argv.count; i++)
		sum += strlen(plan_text(part, plan_item(part, plan->argv, wire_text, i)->text));
	for (uint32_t i = 0; i < plan->env.count; i++)
		sum += strlen(plan_text(part, plan_item(part, plan->env, wire_text, i)->text));
	return sum + plan->filter.len;
}

/* In an allocation of exactly its size, so that one byte too far is seen. */
static int check_copy(const uint8_t *bytes, size_t length, uint32_t kind)
{
	uint8_t *copy = malloc(length ? length : 1);
	int r;

	memcpy(copy, bytes, length);
	r = plan_check(copy, length, kind);
	if (r == 0)
		(void)walk(&(struct part){ copy, (uint32_t)length }, kind);
	free(copy);
	return r;
}

static void check_part(const char *file, const uint8_t *bytes, size_t length, uint32_t kind)
{
	uint32_t other = kind == PLAN_KIND_SANDBOX ? PLAN_KIND_EXEC : PLAN_KIND_SANDBOX;
	uint8_t *copy = malloc(length + 8);
	size_t refused = 0;

	expect(check_copy(bytes, length, kind) == 0, "golden plan refused", file);
	expect(check_copy(bytes, length, other) != 0, "accepted as the other kind", file);
	for (size_t n = 0; n < length; n++)
		expect(check_copy(bytes, n, kind) != 0, "truncation accepted", file);
	memcpy(copy, bytes, length);
	memset(copy + length, 0, 8);
	expect(check_copy(copy, length + 8, kind) != 0, "trailing bytes accepted", file);
	for (size_t i = 0; i < length; i++)
		for (int bit = 0; bit < 8; bit++) {
			copy[i] = bytes[i] ^ (uint8_t)(1 << bit);
			refused += check_copy(copy, length, kind) != 0;
			if (i < 32)
				expect(check_copy(copy, length, kind) != 0, "changed header accepted", file);
			copy[i] = bytes[i];
		}
	expect(refused > length, "hardly any change was refused", file);
	free(copy);
}

/* The encoder of the launcher: without changes it writes the template's own bytes. */
static void check_encoder(const char *file, const uint8_t *bytes, size_t length)
{
	static uint8_t template[1 << 20] __attribute__((aligned(8))), made[1 << 20] __attribute__((aligned(8)));
	static struct encode_file in[PLAN_MAX_FILES], out[PLAN_MAX_FILES];
	struct exec_changes changes = { .files_in = in, .files_out = out };
	struct part part = { template, (uint32_t)length };

	memcpy(template, bytes, length);
	struct wire_exec_plan *exec = (void *)(template + sizeof(struct wire_header));
	exec->parked = 0;
	changes.files_in_count = exec->files_in.count;
	for (uint32_t i = 0; i < exec->files_in.count; i++) {
		const struct wire_file_in *from = plan_item(&part, exec->files_in, wire_file_in, i);

		in[i] = (struct encode_file){ plan_text(&part, from->host_path), plan_text(&part, from->target),
					      from->mode, 0 };
	}
	changes.files_out_count = exec->files_out.count;
	for (uint32_t i = 0; i < exec->files_out.count; i++) {
		const struct wire_file_out *from = plan_item(&part, exec->files_out, wire_file_out, i);

		out[i] = (struct encode_file){ plan_text(&part, from->source), plan_text(&part, from->host_path), 0,
					       from->max_bytes };
	}
	expect(exec_encode(&part, &changes, made, sizeof(made)) == (int)length && memcmp(made, template, length) == 0,
	       "the encoder wrote other bytes", file);
	for (size_t room = 0; room < length; room += 7)
		expect(exec_encode(&part, &changes, made, room) == -E2BIG, "more was written than there is room for",
		       file);
	static const char *const words[] = { "one", "", "three" };
	changes.argv = changes.env = (struct encode_texts){ words, 3 };
	changes.cwd = "/elsewhere";
	int size = exec_encode(&part, &changes, made, sizeof(made));
	expect(size > 0 && plan_check(made, (size_t)size, PLAN_KIND_EXEC) == 0, "the encoder wrote what is no plan",
	       file);
}

static void check_file(const char *file)
{
	static uint8_t bytes[1 << 20];
	struct wire_header header;
	FILE *stream = fopen(file, "rb");
	size_t length = stream ? fread(bytes, 1, sizeof(bytes), stream) : 0;

	expect(stream && length > 64, "cannot be read", file);
	if (!stream || length <= 64)
		return;
	(void)fclose(stream);
	for (size_t at = 0; at + sizeof(header) <= length; at += header.total_size) {
		memcpy(&header, bytes + at, sizeof(header));
		if (header.total_size < sizeof(header) || header.total_size > length - at) {
			expect(0, "bad size in golden plan", file);
			return;
		}
		check_part(file, bytes + at, header.total_size, header.kind);
		if (header.kind == PLAN_KIND_EXEC)
			check_encoder(file, bytes + at, header.total_size);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		check_file(argv[i]);
	if (argc < 2)
		expect(0, "usage: plan_test PLAN...", "");
	printf("%d plans, %d failures\n", argc - 1, failures);
	return failures != 0;
}
