// SPDX-License-Identifier: Apache-2.0
/* Refused calls in words: in the report, and for people with the line of a profile that would allow them (policy/verdict/denial*.ts). */
#include "report.h"

#define words_item(report, list, TYPE, i) plan_item(&(report)->words_part, (report)->words->list, TYPE, i)

enum { SHOWN = 3, NAMED_BELOW = 4096, RULE_CAPACITY = 2048 };

bool report_audited(const struct report *report)
{
	const struct wire_run_record *record = &report->record;

	return report->has_record && record->setup_ns != NOT_MEASURED &&
	       (record->audit == AUDIT_STATE_EXACT || record->audit == AUDIT_STATE_INEXACT);
}

static const struct wire_report_slot *slot_of(const struct report *report, const struct wire_denial_record *denial)
{
	if (denial->slot >= report->words->slots.count)
		return NULL;
	const struct wire_report_slot *slot = words_item(report, slots, wire_report_slot, denial->slot);

	return slot->is_denial ? slot : NULL;
}

static uint64_t value_of(const struct wire_denial_record *denial, uint32_t index)
{
	const uint64_t values[] = { denial->argument0, denial->argument1, denial->argument2,
				    denial->argument3, denial->argument4, denial->argument5 };

	return values[index];
}

static void add_number(struct text *to, uint64_t value)
{
	char digits[17];
	char *at = digits + sizeof(digits) - 1;

	if (value < NAMED_BELOW) {
		text_add_u64(to, value);
		return;
	}
	*at = '\0';
	for (; value; value >>= 4)
		*--at = "0123456789abcdef"[value & 15];
	text_add(to, "0x");
	text_add(to, at);
}

static void add_flags(struct text *to, const struct report *report, struct wire_list values, uint64_t value)
{
	const char *start = to->at;
	uint64_t rest = value;

	for (uint32_t i = 0; i < values.count; i++) {
		const struct wire_report_value *word = plan_item(&report->words_part, values, wire_report_value, i);

		if ((value & word->value) != word->value)
			continue;
		rest &= ~word->value;
		if (to->at > start)
			text_add(to, "|");
		text_add(to, report_word(report, word->name));
	}
	if (rest == 0 && to->at > start)
		return;
	if (to->at > start)
		text_add(to, "|");
	add_number(to, rest);
}

static void add_argument(struct text *to, const struct report *report, const struct wire_report_argument *argument,
			 uint64_t value)
{
	if (argument->kind == ARGUMENT_KIND_FLAGS) {
		add_flags(to, report, argument->values, value);
		return;
	}
	for (uint32_t i = 0; i < argument->values.count; i++) {
		const struct wire_report_value *word =
			plan_item(&report->words_part, argument->values, wire_report_value, i);

		if (word->value == value) {
			text_add(to, report_word(report, word->name));
			return;
		}
	}
	add_number(to, value);
}

/* The next argument at or after *at that tells one denial of this call from another, or NULL. */
static const struct wire_report_argument *next_argument(const struct report *report,
							const struct wire_denial_record *denial, uint32_t *at)
{
	while (denial->arguments_kept && *at < report->words->arguments.count) {
		const struct wire_report_argument *argument =
			words_item(report, arguments, wire_report_argument, (*at)++);

		if (argument->syscall == denial->syscall)
			return argument;
	}
	return NULL;
}

static bool is_exact(const struct report *report)
{
	return report->record.audit == AUDIT_STATE_EXACT && report->record.denials_lost == 0;
}

static void put_denial(struct json *json, const struct report *report, const struct wire_denial_record *denial,
		       const struct wire_report_slot *slot)
{
	char buffer[1024];
	struct text text = text_in(buffer, sizeof(buffer));
	const struct wire_report_argument *argument;
	uint32_t at = 0;

	report_add_call(&text, report, denial->syscall);
	json_open(json, '{');
	json_key(json, "syscall");
	json_text(json, buffer);
	json_key(json, "arguments");
	argument = next_argument(report, denial, &at);
	if (!argument) {
		json_null(json);
	} else {
		json_open(json, '{');
		for (; argument; argument = next_argument(report, denial, &at)) {
			text = text_in(buffer, sizeof(buffer));
			add_argument(&text, report, argument, value_of(denial, argument->index));
			json_key(json, report_word(report, argument->name));
			json_text(json, buffer);
		}
		json_close(json, '}');
	}
	json_key(json, "count");
	json_count(json, denial->count);
	json_key(json, "countExact");
	json_bool(json, is_exact(report));
	json_key(json, "action");
	json_text(json, report_word(report, slot->action));
	json_key(json, "rule");
	json_text(json, report_word(report, slot->rule));
	json_close(json, '}');
}

void report_denials_json(struct json *json, const struct report *report)
{
	json_key(json, "denials");
	if (!report_audited(report)) {
		json_null(json);
		return;
	}
	json_open(json, '[');
	for (uint32_t i = 0; i < report->denial_count; i++) {
		const struct wire_report_slot *slot = slot_of(report, &report->denials[i]);

		if (slot)
			put_denial(json, report, &report->denials[i], slot);
	}
	json_close(json, ']');
}

/* `ptrace(PTRACE_TRACEME) once by default#ptrace`. */
static void add_denial(struct text *to, const struct report *report, const struct wire_denial_record *denial,
		       const struct wire_report_slot *slot)
{
	const struct wire_report_argument *argument;
	uint32_t at = 0;
	bool any = false;

	report_add_call(to, report, denial->syscall);
	while ((argument = next_argument(report, denial, &at))) {
		text_add(to, any ? ", " : "(");
		add_argument(to, report, argument, value_of(denial, argument->index));
		any = true;
	}
	text_add(to, any ? ") " : " ");
	if (!is_exact(report))
		text_add(to, "about ");
	if (denial->count == 1) {
		text_add(to, "once");
	} else {
		text_add_u64(to, denial->count);
		text_add(to, " times");
	}
	text_add(to, " by ");
	text_add(to, report_word(report, slot->rule));
	if (slot->is_everywhere)
		text_add(to, " (of every sandbox)");
}

/* A rule for `seccomp.syscalls` of a profile that would allow just such a call. */
static void add_rule(struct text *to, const struct report *report, const struct wire_denial_record *denial)
{
	const struct wire_report_argument *argument;
	uint32_t at = 0;
	bool any = false;

	text_add(to, "{\"names\":[\"");
	report_add_call(to, report, denial->syscall);
	text_add(to, "\"],\"action\":\"allow\"");
	while ((argument = next_argument(report, denial, &at))) {
		uint64_t value = value_of(denial, argument->index);

		text_add(to, any ? ",{\"index\":" : ",\"args\":[{\"index\":");
		text_add_u64(to, argument->index);
		text_add(to, value < NAMED_BELOW ? ",\"op\":\"eq\",\"value\":" : ",\"op\":\"eq\",\"value\":\"");
		add_number(to, value);
		text_add(to, value < NAMED_BELOW ? "}" : "\"}");
		any = true;
	}
	text_add(to, any ? "],\"comment\":\"who needs it\"}" : ",\"comment\":\"who needs it\"}");
}

static void add_rules(struct text *to, const struct report *report)
{
	char rules[SHOWN][RULE_CAPACITY];
	uint32_t count = 0, seen = 0;

	for (uint32_t i = 0; i < report->denial_count && seen < SHOWN; i++) {
		const struct wire_report_slot *slot = slot_of(report, &report->denials[i]);
		struct text rule = text_in(rules[count], sizeof(rules[count]));
		bool known = false;

		if (!slot || slot->is_everywhere)
			continue;
		seen++;
		add_rule(&rule, report, &report->denials[i]);
		for (uint32_t k = 0; k < count; k++)
			known |= strcmp(rules[k], rules[count]) == 0;
		count += !known;
	}
	if (count)
		text_add(to, "in the profile, where it should: \"seccomp\": {\"syscalls\": [");
	for (uint32_t i = 0; i < count; i++) {
		text_add(to, i ? "," : "");
		text_add(to, rules[i]);
	}
	if (count)
		text_add(to, "]}");
}

uint32_t report_denials_text(const struct report *report, struct text *message, struct text *hint)
{
	uint32_t count = 0;

	if (!report_audited(report))
		return 0;
	text_add(message, "denied: ");
	for (uint32_t i = 0; i < report->denial_count; i++) {
		const struct wire_report_slot *slot = slot_of(report, &report->denials[i]);

		if (!slot)
			continue;
		if (count++ >= SHOWN)
			continue;
		text_add(message, count > 1 ? "; " : "");
		add_denial(message, report, &report->denials[i], slot);
	}
	if (count > SHOWN) {
		text_add(message, "; ");
		text_add_u64(message, count - SHOWN);
		text_add(message, " more in the report's denials");
	}
	add_rules(hint, report);
	return count;
}
