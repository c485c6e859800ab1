// SPDX-License-Identifier: Apache-2.0
/* What a launcher and a run server are told, and tell. */
#include "ways.h"

#include "wire.gen.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void check_record(const struct wire_run_record *record)
{
	if (record->exit_code == 0 && record->error_step == STEP_NONE)
		return;
	die_saying("verdict %u, exit code %d, step %u, errno %d: %.256s", record->verdict, record->exit_code,
		   record->error_step, record->error_errno, record->error_text);
}

void frame_send(int fd, uint32_t kind, const void *payload, uint32_t length)
{
	const uint32_t header[2] = { kind, length };

	write_exactly(fd, header, sizeof(header));
	if (length)
		write_exactly(fd, payload, length);
}

void frame_next(int fd, uint32_t *ret_kind, uint32_t *ret_length)
{
	uint32_t header[2];

	read_exactly(fd, header, sizeof(header));
	*ret_kind = header[0];
	*ret_length = header[1];
}

void frame_skip(int fd, uint32_t length)
{
	char skipped[4096];

	for (uint32_t part; length > 0; length -= part) {
		part = length < sizeof(skipped) ? length : (uint32_t)sizeof(skipped);
		read_exactly(fd, skipped, part);
	}
}

void launcher_await(int control, uint32_t wanted)
{
	struct wire_run_record record;
	uint32_t kind, length;

	do {
		frame_next(control, &kind, &length);
		if (kind == MESSAGE_KIND_REFUSED)
			die_saying("the server refused a run");
		if (kind != MESSAGE_KIND_RECORD) {
			frame_skip(control, length);
			continue;
		}
		if (length != sizeof(record))
			die_saying("a record of %u bytes", length);
		read_exactly(control, &record, sizeof(record));
		check_record(&record);
		if (wanted != MESSAGE_KIND_RECORD)
			die_saying("a run that ended before its time");
	} while (kind != wanted);
}

void server_connect(struct way *way)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(way->place) >= sizeof(address.sun_path))
		die_saying("the path of the socket is too long");
	strcpy(address.sun_path, way->place);
	way->control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (way->control < 0 || connect(way->control, (struct sockaddr *)&address, sizeof(address)) != 0)
		die(way->place);
	write_exactly(way->control, way->exec.at, way->exec.length);
}
