// SPDX-License-Identifier: Apache-2.0
#include "cgroup_file.h"

#include "sys.h"
#include "util.h"

int cgroup_read_file(int dir, const char *name, char *buffer, size_t size)
{
	CLEANUP_FD int fd = dir < 0 ? -EBADF : openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return dir < 0 ? -EBADF : -errno;
	n = read(fd, buffer, size - 1);
	if (n < 0)
		return -errno;
	buffer[n] = '\0';
	return 0;
}

int cgroup_write_file(int dir, const char *name, const char *value)
{
	CLEANUP_FD int fd = openat(dir, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return write(fd, value, strlen(value)) < 0 ? -errno : 0;
}

uint64_t cgroup_number(int dir, const char *name)
{
	uint64_t value = NOT_MEASURED;
	char buffer[64];

	if (cgroup_read_file(dir, name, buffer, sizeof(buffer)) == 0)
		(void)parse_u64(buffer, &value);
	return value;
}

uint64_t cgroup_keyed_number(int dir, const char *name, const char *key)
{
	uint64_t value = NOT_MEASURED;
	size_t length = strlen(key);
	char buffer[1024];

	if (cgroup_read_file(dir, name, buffer, sizeof(buffer)) < 0)
		return value;
	for (const char *line = buffer; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, length) == 0 && line[length] == ' ') {
			(void)parse_u64(line + length + 1, &value);
			break;
		}
	}
	return value;
}

bool cgroup_has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; *at; at += strcspn(at, " "), at += strspn(at, " "))
		if (strncmp(at, word, length) == 0 && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}
