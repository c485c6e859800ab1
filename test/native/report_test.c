// SPDX-License-Identifier: Apache-2.0
/*
 * Without arguments: numbers and text of strangers, as the command writes them. `render FILE`: for each run whose messages come on stdin, what
 * belljar-launch would print, which test/native/report.test.ts compares with what the command would. A byte 0x1e ends each.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "front.h"
#include "units.h"
#include "utf8.h"

static int failures;

static void expect(const char *what, const char *is, const char *wanted)
{
	if (strcmp(is, wanted) == 0)
		return;
	printf("not ok: %s: '%s', not '%s'\n", what, is, wanted);
	failures++;
}

static void expect_words(uint32_t unit, uint64_t value, const char *wanted)
{
	char buffer[64];
	struct text text = text_in(buffer, sizeof(buffer));

	units_add(&text, unit, value);
	expect("words", buffer, wanted);
}

static void expect_value(uint32_t unit, const char *text, int64_t wanted)
{
	uint64_t value = 0;
	int r = units_parse(unit, text, &value);

	if (wanted < 0 ? r == (int)wanted : r == 0 && value == (uint64_t)wanted)
		return;
	printf("not ok: '%s' is %llu (%d)\n", text, (unsigned long long)value, r);
	failures++;
}

static void expect_printable(const char *text, const char *wanted)
{
	char buffer[256];
	struct text to = text_in(buffer, sizeof(buffer));

	utf8_add_printable(&to, text);
	expect("printable", buffer, wanted);
}

static int self_test(void)
{
	expect_words(LIMIT_UNIT_SIZE, 1, "1 byte");
	expect_words(LIMIT_UNIT_SIZE, 1023, "1023 bytes");
	expect_words(LIMIT_UNIT_SIZE, 67108864, "64 MiB");
	expect_words(LIMIT_UNIT_SIZE, 1610612736, "1.5 GiB");
	expect_words(LIMIT_UNIT_SIZE, 1048575, "1 MiB");
	expect_words(LIMIT_UNIT_SIZE, 1029, "1 KiB");
	expect_words(LIMIT_UNIT_SIZE, 1034, "1.01 KiB");
	expect_words(LIMIT_UNIT_DURATION, 999, "999 ms");
	expect_words(LIMIT_UNIT_DURATION, 1500, "1.5 s");
	expect_words(LIMIT_UNIT_DURATION, 1005, "1.005 s");
	expect_words(LIMIT_UNIT_DURATION, 120300, "2 min"); /* 2.005 is a little less as a double */
	expect_words(LIMIT_UNIT_DURATION, 127500, "2.13 min");
	expect_words(LIMIT_UNIT_DURATION, 7200000, "2 h");
	expect_words(LIMIT_UNIT_WHOLE, 32, "32");
	expect_value(LIMIT_UNIT_SIZE, "64M", 67108864);
	expect_value(LIMIT_UNIT_SIZE, "1.5 GiB", 1610612736);
	expect_value(LIMIT_UNIT_SIZE, "64MB", -EINVAL);
	expect_value(LIMIT_UNIT_SIZE, "0.3", -ERANGE);
	expect_value(LIMIT_UNIT_SIZE, "99999999999999999999", -EINVAL);
	expect_value(LIMIT_UNIT_SIZE, "0.00000000000000000000000001", -EINVAL);
	expect_value(LIMIT_UNIT_DURATION, "1.5s", 1500);
	expect_value(LIMIT_UNIT_DURATION, "2", -EINVAL);
	expect_value(LIMIT_UNIT_DURATION, "64M", -EINVAL);
	expect_value(LIMIT_UNIT_WHOLE, "-1", -EINVAL);
	expect_value(LIMIT_UNIT_WHOLE, "1.0", -EINVAL);
	expect_printable("a\033[31m\n\xe2\x80\xae\xff\xc3\xa9\xf3\xa0\x81\x81",
			 "a\\x1b[31m\\n\\u{202e}\xef\xbf\xbd\xc3\xa9\\u{e0041}");
	return failures != 0;
}

static bool read_parts(struct report *report, const char *file)
{
	static uint8_t bytes[3 * 1024 * 1024] __attribute__((aligned(8)));
	int fd = open(file, O_RDONLY);
	ssize_t size = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	struct part parts[3];
	size_t at = 0;

	for (uint32_t i = 0; i < 3 && size > 0; i++) {
		parts[i] = (struct part){ bytes + at, ((const struct wire_header *)(void *)(bytes + at))->total_size };
		if (plan_check(parts[i].base, parts[i].size, PLAN_KIND_SANDBOX + i) < 0)
			return false;
		at += parts[i].size;
	}
	if (size < 0 || at != (size_t)size)
		return false;
	report->sandbox_part = parts[0];
	report->exec_part = parts[1];
	report->words_part = parts[2];
	report->sandbox = (const void *)(parts[0].base + sizeof(struct wire_header));
	report->exec = (const void *)(parts[1].base + sizeof(struct wire_header));
	report->words = (const void *)(parts[2].base + sizeof(struct wire_header));
	return report_fits(report);
}

static int render(const char *file)
{
	static struct front front;
	uint32_t header[2];
	uint8_t payload[4096];

	front.options.json = front.options.verbose = true;
	front.place.fd = front.place.folder = front.signals = -1;
	front.captured[0] = memfd_create("out", MFD_CLOEXEC);
	front.captured[1] = memfd_create("err", MFD_CLOEXEC);
	if (write(front.captured[0], "h\303\251\n\001\342\200\250\360\237\230\200", 12) != 12 ||
	    write(front.captured[1], "\377\376a", 3) != 3 || !read_parts(&front.report, file))
		return 2;
	report_take_limits(&front.report);
	while (read_all(0, header, sizeof(header)) == 0) {
		if (header[1] > sizeof(payload) || read_all(0, payload, header[1]) < 0 ||
		    report_take(&front.report, header[0], payload, header[1]) < 0)
			return 3;
		if (header[0] != MESSAGE_KIND_RECORD)
			continue;
		printf("%d\n", front_tell(&front));
		fflush(stdout);
		if (write(1, "\x1e", 1) != 1 || write(2, "\x1e", 1) != 1)
			return 4;
		front.report.output_count = front.report.denial_count = front.report.sample_count = 0;
		front.report.has_record = false;
	}
	return 0;
}

int main(int argc, char **argv)
{
	return argc == 3 && strcmp(argv[1], "render") == 0 ? render(argv[2]) : self_test();
}
