// SPDX-License-Identifier: Apache-2.0
#include "meta.h"

#include <sys/sendfile.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "sys.h"
#include "util.h"

bool meta_is_whiteout(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0);
}

int meta_is_opaque(int fd)
{
	char value[2];
	CLEANUP_FD int directory = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n = directory < 0 ? -1 : fgetxattr(directory, META_OPAQUE, value, sizeof(value));

	if (n < 0)
		return directory < 0 || (errno != ENODATA && errno != EOPNOTSUPP && errno != ERANGE) ? -errno : 0;
	return n == 1 && value[0] == 'y';
}

bool meta_is_reserved(const char *name)
{
	static const char *const prefixes[] = { "user.overlay.", "trusted.overlay.", "user.fuseoverlayfs.",
						"user.containers." };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

bool meta_is_refusal(int error)
{
	/* ENOSPC and E2BIG: ext4 keeps one block of attributes per file. A full disk shows at the next write anyway. */
	return error == EOPNOTSUPP || error == EPERM || error == EACCES || error == EINVAL || error == E2BIG ||
	       error == ERANGE || error == ENOSPC;
}

static int copy_xattrs(struct view *view, int from, int to)
{
	ssize_t length = flistxattr(from, view->xattr_names, sizeof(view->xattr_names));

	if (length < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *name = view->xattr_names; name < view->xattr_names + length; name += strlen(name) + 1) {
		ssize_t n;

		if (meta_is_reserved(name))
			continue;
		n = fgetxattr(from, name, view->xattr_value, sizeof(view->xattr_value));
		if (n < 0 || fsetxattr(to, name, view->xattr_value, (size_t)n, 0) < 0)
			if (!meta_is_refusal(errno))
				return -errno;
	}
	return 0;
}

int meta_copy(struct view *view, int from, int to, struct timespec *ret_mtime)
{
	struct stat status;
	int r;

	if (fstat(from, &status) < 0)
		return -errno;
	if (view->chown && fchown(to, status.st_uid, status.st_gid) < 0)
		return -errno;
	r = copy_xattrs(view, from, to);
	if (r < 0)
		return r;
	if (fchmod(to, status.st_mode & 07777) < 0)
		return -errno;
	*ret_mtime = status.st_mtim;
	return 0;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
	off_t in = at, out = at;

	while (in < end) {
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - in), 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* Not from one kind of file system to another (Linux 5.19). */
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP) &&
		    lseek(to, out, SEEK_SET) >= 0) {
			n = sendfile(to, from, &in, (size_t)(end - in));
			out = in;
		}
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
	}
	return 0;
}

int meta_copy_file(struct view *view, int from, int to)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } };
	struct stat status;
	off_t at = 0;
	int r;

	if (fstat(from, &status) < 0 || ftruncate(to, status.st_size) < 0)
		return -errno;
	while (at < status.st_size) {
		off_t data = lseek(from, at, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(from, data, SEEK_HOLE);

		if (data < 0 && errno == ENXIO)
			break; /* nothing but a hole up to the end */
		if (hole < 0)
			return -errno;
		r = copy_range(from, to, data, hole);
		if (r < 0)
			return r;
		at = hole;
	}
	r = meta_copy(view, from, to, &times[1]);
	return r < 0 ? r : futimens(to, times) < 0 ? -errno : 0;
}
