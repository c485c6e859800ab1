/* SPDX-License-Identifier: Apache-2.0
 *
 * From what a launcher sent to the report, in the words of a compiled plan (docs/plan-file.md). Nothing here decides: the sentences, and what goes
 * into them, are the report part's, which the same functions made that word the command's own report.
 */
#ifndef BELLJAR_REPORT_H
#define BELLJAR_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "gen/verdicts.gen.h"
#include "gen/wire.gen.h"
#include "plan.h"
#include "sink.h"
#include "util.h"

enum { REPORT_MAX_DENIALS = 1024, REPORT_MAX_SAMPLES = 1024 };

/* A limit of this run, as applied. */
struct report_limit {
	bool is_set;
	uint64_t value;
};

struct report {
	struct part sandbox_part, exec_part, words_part;
	const struct wire_sandbox_plan *sandbox;
	const struct wire_exec_plan *exec;
	const struct wire_report_plan *words;
	struct report_limit limits[LIMIT_COUNT];
	bool has_record;
	struct wire_run_record record;
	int cancel_signal; /* of a run that left no record because somebody wished for its end; 0 = the caller */
	const char *failure, *hint; /* of one that left none and should have; else NULL */
	uint32_t output_count, denial_count, sample_count;
	struct wire_output_record outputs[PLAN_MAX_FILES];
	struct wire_denial_record denials[REPORT_MAX_DENIALS];
	struct wire_sample_record samples[REPORT_MAX_SAMPLES];
};

/* What a file to copy out, or a mount, brings into a sentence. Any of them may be NULL. */
struct report_subject {
	const char *path, *source, *target;
	uint64_t size;
	int error;
};

/* Room for any sentence: two quoted words of the longest argument, each line feed escaped. */
enum { REPORT_SENTENCE = 600 * 1024 };

/* Whether the words of a checked report part are all there, and point where something is. */
bool report_fits(const struct report *report);
/* Takes the limits of the plan for those of the run. */
void report_take_limits(struct report *report);
/* Takes one message of the launcher. -EBADMSG for what no launcher of this build sends. */
int report_take(struct report *report, uint32_t kind, const void *payload, uint32_t length);

/* What of the record may be told. */
void report_record(struct wire_run_record *ret_record, const struct report *report);

/* report_words.c */
const char *report_word(const struct report *report, struct wire_str text);
/* The sentence with everything in braces filled in. */
void report_fill(struct text *to, const struct report *report, const char *sentence,
		 const struct report_subject *subject);
const char *report_sentence(const struct report *report, enum sentence sentence);
void report_add_limit(struct text *to, const struct report *report, uint32_t limit);
void report_add_call(struct text *to, const struct report *report, uint32_t syscall);
void report_add_signal(struct text *to, const struct report *report, int signal, bool with_meaning);
/* The one sentence about the run, without what was left behind. */
void report_message(struct text *to, const struct report *report);
/* Says what was left behind, where something was. */
void report_add_leftovers(struct text *to, const struct report *report);
/* The hint of a failure, or "". */
const char *report_hint(const struct report *report);
/* Why a file was not copied out; false where it was. */
bool report_output_error(struct text *to, const struct report *report, uint32_t index);

/* report_json.c */
uint64_t report_output_bytes(const struct report *report, uint32_t index);
void report_json(struct json *json, const struct report *report, struct text *scratch);
uint32_t report_verdict(const struct report *report);
/* As of `belljar run`. */
int report_status(const struct report *report);

/* report_usage.c: what --verbose adds, usage, and which mechanism held each limit. */
void report_usage(struct sink *sink, const struct report *report, struct text *scratch);

/* denied.c */
/* Whether denials are told of at all. */
bool report_audited(const struct report *report);
void report_denials_json(struct json *json, const struct report *report);
/* What people are told: how many there are, and where there are any, which, and the line of a profile that would allow them ("" = none would). */
uint32_t report_denials_text(const struct report *report, struct text *message, struct text *hint);

#endif
