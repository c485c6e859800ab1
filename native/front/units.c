// SPDX-License-Identifier: Apache-2.0
#include "units.h"

#include "gen/wire.gen.h"

static void add_decimal(struct text *to, uint64_t value, uint64_t scale)
{
	uint64_t rest = value % scale;

	text_add_u64(to, value / scale);
	if (!rest)
		return;
	text_add(to, ".");
	while (rest) {
		scale /= 10;
		text_add_u64(to, rest / scale);
		rest %= scale;
	}
}

static void add_size(struct text *to, uint64_t bytes)
{
	static const char *const names[] = { " KiB", " MiB", " GiB", " TiB", " PiB" };
	unsigned int shift = 10, i = 0;

	if (bytes < 1024) {
		text_add_u64(to, bytes);
		text_add(to, bytes == 1 ? " byte" : " bytes");
		return;
	}
	/* In hundredths, half up. Values end at 2^53. */
	while (((bytes * 200 + (UINT64_C(1) << shift)) >> (shift + 1)) >= 102400 && i + 1 < ARRAY_SIZE(names)) {
		shift += 10;
		i++;
	}
	add_decimal(to, (bytes * 200 + (UINT64_C(1) << shift)) >> (shift + 1), 100);
	text_add(to, names[i]);
}

/* A double as the command's language writes it with so many decimals: to the nearest, of its exact value, half up; then without zeros at the end. */
static void add_fixed(struct text *to, double value, uint64_t scale)
{
	const unsigned int bits = 60; /* more than what a double of these sizes has behind the point */
	unsigned __int128 exact = (unsigned __int128)(value * (double)(UINT64_C(1) << bits));

	add_decimal(to, (uint64_t)((exact * scale + (UINT64_C(1) << (bits - 1))) >> bits), scale);
}

static void add_duration(struct text *to, double ms)
{
	if (ms < 1000) {
		add_fixed(to, ms, 10);
		text_add(to, " ms");
	} else if (ms < 120000) {
		add_fixed(to, ms / 1000, 1000);
		text_add(to, " s");
	} else if (ms < 7200000) {
		add_fixed(to, ms / 60000, 100);
		text_add(to, " min");
	} else {
		add_fixed(to, ms / 3600000, 100);
		text_add(to, " h");
	}
}

void units_add_time(struct text *to, uint64_t ns)
{
	uint64_t us = ns / 1000 + (ns % 1000 >= 500);

	add_duration(to, (double)us / 1000);
}

void units_add(struct text *to, uint32_t unit, uint64_t value)
{
	if (unit == LIMIT_UNIT_SIZE)
		add_size(to, value);
	else if (unit == LIMIT_UNIT_DURATION)
		add_duration(to, (double)value);
	else
		text_add_u64(to, value);
}

struct suffix {
	const char *text;
	uint64_t factor;
};

static const struct suffix durations[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "min", 60000 }, { "h", 3600000 }
};
static const struct suffix sizes[] = {
	{ "", 1 },	     { "b", 1 },
	{ "k", 1ull << 10 }, { "kib", 1ull << 10 },
	{ "m", 1ull << 20 }, { "mib", 1ull << 20 },
	{ "g", 1ull << 30 }, { "gib", 1ull << 30 },
	{ "t", 1ull << 40 }, { "tib", 1ull << 40 },
};
static const struct suffix none[] = { { "", 1 } };

static const struct suffix *find(const struct suffix *table, size_t count, const char *text, bool any_case)
{
	char lower[8];
	size_t length = strlen(text);

	if (length >= sizeof(lower))
		return NULL;
	for (size_t i = 0; i <= length; i++)
		lower[i] = any_case && text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + ('a' - 'A')) : text[i];
	for (size_t i = 0; i < count; i++)
		if (strcmp(lower, table[i].text) == 0)
			return &table[i];
	return NULL;
}

static bool take_digits(const char **at, uint64_t *number, uint64_t *divisor)
{
	const char *start = *at;

	for (; **at >= '0' && **at <= '9'; (*at)++) {
		if (*number > UINT64_C(99999999999999999) || (divisor && *divisor > UINT64_C(99999999999999999)))
			return false;
		*number = *number * 10 + (uint64_t)(**at - '0');
		if (divisor)
			*divisor *= 10;
	}
	return *at > start;
}

int units_parse(uint32_t unit, const char *text, uint64_t *ret_value)
{
	const struct suffix *suffix;
	uint64_t number = 0, divisor = 1;

	if (!take_digits(&text, &number, NULL))
		return -EINVAL;
	if (*text == '.' && unit != LIMIT_UNIT_WHOLE) {
		text++;
		if (!take_digits(&text, &number, &divisor))
			return -EINVAL;
	}
	while (*text == ' ')
		text++;
	if (unit == LIMIT_UNIT_DURATION)
		suffix = find(durations, ARRAY_SIZE(durations), text, false);
	else if (unit == LIMIT_UNIT_SIZE)
		suffix = find(sizes, ARRAY_SIZE(sizes), text, true);
	else
		suffix = find(none, ARRAY_SIZE(none), text, false);
	if (!suffix)
		return -EINVAL;
	unsigned __int128 scaled = (unsigned __int128)number * suffix->factor;
	if (scaled % divisor || scaled / divisor > (UINT64_C(1) << 53))
		return -ERANGE;
	*ret_value = (uint64_t)(scaled / divisor);
	return 0;
}
