// SPDX-License-Identifier: Apache-2.0
/* The options of one run, under the names that `belljar run` has for them. */
#include <stdlib.h>

#include "front.h"
#include "names.h"
#include "utf8.h"

static const char reading[] = "reading options";

struct option {
	const char *name;
	char letter;
	bool has_value, is_limit;
	uint32_t limit;
};

static const struct option known[] = {
	{ .name = "env", .letter = 'e', .has_value = true },
	{ .name = "workdir", .letter = 'w', .has_value = true },
	{ .name = "in", .has_value = true },
	{ .name = "out", .has_value = true },
	{ .name = "out-max", .has_value = true },
	{ .name = "stdin", .has_value = true },
	{ .name = "stdout", .has_value = true },
	{ .name = "stderr", .has_value = true },
	{ .name = "report", .has_value = true },
	{ .name = "sample", .has_value = true },
	{ .name = "json" },
	{ .name = "quiet", .letter = 'q' },
	{ .name = "verbose" },
	{ .name = "help", .letter = 'h' },
};

/* `cpuTime` is --cpu-time. */
static bool is_limit_option(const char *option, const char *limit)
{
	for (; *limit; limit++, option++) {
		bool upper = *limit >= 'A' && *limit <= 'Z';

		if (upper && *option++ != '-')
			return false;
		if (*option != (upper ? (char)(*limit + ('a' - 'A')) : *limit))
			return false;
	}
	return *option == '\0';
}

static bool find(const char *name, struct option *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i].name) == 0 || (known[i].letter && name[0] == known[i].letter && !name[1])) {
			*ret = known[i];
			return true;
		}
	for (uint32_t i = 0; i < LIMIT_COUNT; i++)
		if (is_limit_option(name, limit_name(i))) {
			*ret = (struct option){
				.name = limit_name(i), .has_value = true, .is_limit = true, .limit = i
			};
			return true;
		}
	return false;
}

static int too_many(struct front *front, const char *option)
{
	return front_fail(front, "usage", reading, option, "is given too often", NULL);
}

static int take(struct front *front, const struct option *option, const char *value)
{
	struct front_options *options = &front->options;
	const char *name = option->name;

	if (option->is_limit) {
		options->limits[option->limit] = value;
	} else if (strcmp(name, "env") == 0) {
		if (options->env_count == ARRAY_SIZE(options->env))
			return too_many(front, "--env");
		options->env[options->env_count++] = value;
	} else if (strcmp(name, "in") == 0) {
		if (options->in_count == ARRAY_SIZE(options->in))
			return too_many(front, "--in");
		options->in[options->in_count++] = value;
	} else if (strcmp(name, "out") == 0) {
		if (options->out_count == ARRAY_SIZE(options->out))
			return too_many(front, "--out");
		options->out[options->out_count++] = value;
	} else if (strcmp(name, "workdir") == 0) {
		options->workdir = value;
	} else if (strcmp(name, "out-max") == 0) {
		options->out_max = value;
	} else if (strcmp(name, "stdin") == 0) {
		options->stdin_path = value;
	} else if (strcmp(name, "stdout") == 0) {
		options->stdout_path = value;
	} else if (strcmp(name, "stderr") == 0) {
		options->stderr_path = value;
	} else if (strcmp(name, "report") == 0) {
		options->report_path = value;
	} else if (strcmp(name, "sample") == 0) {
		options->sample = value;
	} else if (strcmp(name, "json") == 0) {
		options->json = true;
	} else if (strcmp(name, "quiet") == 0) {
		options->quiet = true;
	} else if (strcmp(name, "verbose") == 0) {
		options->verbose = true;
	} else {
		options->help = true;
	}
	return 0;
}

/* Options of `belljar run` that belong to the plan. */
static bool is_compiled_in(const char *name)
{
	static const char *const compiled[] = {
		"profile", "p", "set",	"image", "i",	   "pull",	 "rootfs",	"overlay-driver", "network",
		"volume",  "v", "user", "u",	 "run-as", "entrypoint", "stop-signal", "stop-timeout"
	};

	for (size_t i = 0; i < ARRAY_SIZE(compiled); i++)
		if (strcmp(name, compiled[i]) == 0)
			return true;
	return false;
}

static int unknown(struct front *front, const char *word)
{
	char name[32];
	size_t dashes = word[1] == '-' ? 2 : 1, length = strcspn(word + dashes, "=");
	bool compiled = false;

	if (length < sizeof(name)) {
		memcpy(name, word + dashes, length);
		name[length] = '\0';
		compiled = is_compiled_in(name);
	}
	return front_fail(
		front, "usage", reading, word, compiled ? "belongs to the plan" : "unknown option",
		compiled ? "give it when the plan is compiled: belljar profile compile PROFILE -o FILE"
			 : "`belljar-launch --help` lists the options; the program's own options follow behind `--`");
}

static int take_with_value(struct front *front, const struct option *option, const char *written, const char *attached,
			   char **next, bool *ret_used_next)
{
	const char *value = attached ? attached : *next;

	if (!value || (!attached && value[0] == '-' && value[1]))
		return front_fail(front, "usage", reading, written, "needs a value",
				  "a value that begins with '-' is written --OPTION=VALUE");
	if (!*value && !option->is_limit)
		return front_fail(front, "usage", reading, written, "needs a value",
				  "it is empty: was a variable of your shell not set?");
	*ret_used_next = !attached;
	return take(front, option, value);
}

/* `--name`, `--name=value`, `--name value`. */
static int read_long(struct front *front, char **at, bool *ret_used_next)
{
	const char *word = *at, *equals = strchr(word, '=');
	char name[32];
	struct option option;
	size_t length = equals ? (size_t)(equals - word) : strlen(word);

	if (length - 2 >= sizeof(name))
		return unknown(front, word);
	memcpy(name, word + 2, length - 2);
	name[length - 2] = '\0';
	if (length == 3 || !find(name, &option))
		return unknown(front, word);
	if (option.has_value)
		return take_with_value(front, &option, word, equals ? equals + 1 : NULL, at + 1, ret_used_next);
	if (equals)
		return front_fail(front, "usage", reading, word, "takes no value", NULL);
	return take(front, &option, NULL);
}

/* `-e value`, `-evalue`, `-q`, `-qe value`. */
static int read_short(struct front *front, char **at, bool *ret_used_next)
{
	int r = 0;

	for (const char *letter = *at + 1; *letter && r == 0; letter++) {
		const char name[] = { *letter, '\0' }, written[] = { '-', *letter, '\0' };
		struct option option;

		if (!find(name, &option))
			return unknown(front, (uint8_t)*letter < 0x80 ? written : *at);
		if (option.has_value)
			return take_with_value(front, &option, written, letter[1] ? letter + 1 : NULL, at + 1,
					       ret_used_next);
		r = take(front, &option, NULL);
	}
	return r;
}

/* Whether the value of an option is the word behind it; what the option is, where it is one. */
static bool wants_next(const char *word, struct option *ret)
{
	char name[32];
	size_t length = strcspn(word + 2, "=");

	*ret = (struct option){ .name = "" };
	if (word[1] == '-') {
		if (length >= sizeof(name))
			return false;
		memcpy(name, word + 2, length);
		name[length] = '\0';
		return length > 1 && find(name, ret) && ret->has_value && !word[2 + length];
	}
	for (const char *letter = word + 1; *letter; letter++) {
		const char one[] = { *letter, '\0' };

		if (find(one, ret) && ret->has_value)
			return !letter[1];
	}
	return false;
}

/* Asked before anything is judged, so that what is wrong before it is told in its form, too; a word of the program's asks for nothing. */
static bool asks_for_json(int argc, char **argv)
{
	struct option option;

	for (int i = argv[1][0] == '-' ? 1 : 2; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--") == 0)
			return false;
		i += wants_next(argv[i], &option);
		if (strcmp(option.name, "json") == 0)
			return true;
	}
	return false;
}

/* Only text in UTF-8 can be passed on, as the command has it: another is refused, not changed. */
static int check_text(struct front *front, const char *text)
{
	char spelled[512];
	struct text to = text_in(spelled, sizeof(spelled));

	if (utf8_valid(text, strlen(text)))
		return 0;
	for (; *text; text++) {
		const char one[] = { *text, '\0' };
		const char hex[] = { '\\', 'x', "0123456789abcdef"[(uint8_t)*text >> 4], "0123456789abcdef"[*text & 15],
				     '\0' };

		text_add(&to, (uint8_t)*text >= 0x80 ? hex : one);
	}
	return front_fail(front, "usage", reading, spelled, "is not valid UTF-8",
			  "only text in UTF-8 can be passed on; rename a file that has such a name");
}

int options_read(struct front *front, int argc, char **argv)
{
	int i = 2, r = 0;

	front->options.json = asks_for_json(argc, argv);
	front->options.file = argv[1];
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		front->options.help = true;
	else if (argv[1][0] == '-')
		return front_fail(front, "usage", reading, argv[1], "a compiled plan comes first",
				  "belljar-launch FILE [OPTIONS] -- COMMAND [ARG...]");
	for (int k = 1; k < argc && r == 0; k++)
		r = check_text(front, argv[k]);
	for (; i < argc && r == 0 && argv[i][0] == '-' && argv[i][1]; i++) {
		bool used_next = false;

		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		r = argv[i][1] == '-' ? read_long(front, argv + i, &used_next)
				      : read_short(front, argv + i, &used_next);
		i += used_next;
	}
	if (r == 0 && i < argc) {
		front->options.command = (const char *const *)(argv + i);
		front->options.command_count = (uint32_t)(argc - i);
	}
	if (r == 0 && front->options.json && (front->options.stdout_path || front->options.stderr_path))
		return front_fail(front, "usage", reading, "--json",
				  "puts stdout and stderr into its document: leave out --stdout and --stderr", NULL);
	return r;
}

/* Later wins, in the place of the first. */
static void set_variable(struct front *front, const char *variable, size_t name_length)
{
	for (uint32_t i = 0; i < front->env_count; i++)
		if (strncmp(front->env[i], variable, name_length) == 0 && front->env[i][name_length] == '=') {
			front->env[i] = variable;
			return;
		}
	front->env[front->env_count++] = variable;
}

/* The caller's own, where there is one. */
static int inherit(struct front *front, const char *name)
{
	extern char **environ;
	size_t length = strlen(name);

	for (char **at = environ; at && *at; at++) {
		if (strncmp(*at, name, length) != 0 || (*at)[length] != '=')
			continue;
		if (!utf8_valid(*at, strlen(*at)))
			return front_fail(front, "usage", "reading the environment", name,
					  "its value is not valid UTF-8", "only text in UTF-8 can be passed on");
		set_variable(front, *at, length);
		return 0;
	}
	return 0;
}

static int apply_env(struct front *front)
{
	const struct report *report = &front->report;
	const struct wire_list names = report->words->inherit_env, env = report->exec->env;
	int r = 0;

	if (env.count + names.count + front->options.env_count > WIRE_MAX_LIST_ITEMS)
		return front_fail(front, "usage", reading, NULL, "too many variables", NULL);
	for (uint32_t i = 0; i < env.count; i++)
		front->env[front->env_count++] =
			plan_text(&report->exec_part, plan_item(&report->exec_part, env, wire_text, i)->text);
	for (uint32_t i = 0; i < names.count && r == 0; i++)
		r = inherit(front, report_word(report, plan_item(&report->words_part, names, wire_text, i)->text));
	for (uint32_t i = 0; i < front->options.env_count && r == 0; i++) {
		const char *variable = front->options.env[i], *equals = strchr(variable, '=');

		if (equals == variable)
			r = front_fail(front, "usage", reading, variable, "has no name before '='", NULL);
		else if (equals)
			set_variable(front, variable, (size_t)(equals - variable));
		else
			r = inherit(front, variable);
	}
	front->changes.env = (struct encode_texts){ front->env, front->env_count };
	return r;
}

static int apply_command(struct front *front)
{
	const struct report *report = &front->report;
	const struct wire_list entrypoint = report->words->entrypoint;
	uint32_t count = 0;

	if (!front->options.command) {
		if (report->words->has_command)
			return 0;
		return front_fail(front, "usage", reading, NULL, "no command to run",
				  "belljar-launch FILE [OPTIONS] -- COMMAND [ARG...]");
	}
	if (entrypoint.count + front->options.command_count > WIRE_MAX_LIST_ITEMS)
		return front_fail(front, "usage", reading, NULL, "too many arguments", NULL);
	for (uint32_t i = 0; i < entrypoint.count; i++)
		front->words[count++] =
			report_word(report, plan_item(&report->words_part, entrypoint, wire_text, i)->text);
	for (uint32_t i = 0; i < front->options.command_count; i++)
		front->words[count++] = front->options.command[i];
	if (!*front->words[0])
		return front_fail(front, "usage", reading, NULL, "no command to run", NULL);
	front->changes.argv = (struct encode_texts){ front->words, count };
	return 0;
}

int options_apply(struct front *front)
{
	int r = apply_command(front);

	if (r == 0)
		r = apply_env(front);
	if (r == 0 && front->options.workdir) {
		front->changes.cwd =
			path_resolve(front, plan_text(&front->report.sandbox_part, front->report.sandbox->work_path),
				     front->options.workdir);
		if (!front->changes.cwd)
			return front_fail(front, "usage", reading, front->options.workdir, "is too long", NULL);
	}
	if (r == 0 && !front->changes.cwd && front->options.in_count)
		front->changes.cwd = report_word(&front->report, front->report.words->files_cwd);
	return r ? r : limits_apply(front);
}
