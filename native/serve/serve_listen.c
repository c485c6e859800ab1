// SPDX-License-Identifier: Apache-2.0
/*
 * The socket that a run server listens on. It has its name only once somebody listens: whoever finds it can connect. Its folder keeps others from
 * the name.
 */
#include <stdio.h>
#include <sys/un.h>

#include "serve.h"
#include "sys.h"
#include "util.h"

static int fail(const char *about, int error)
{
	serve_say("making the socket", about, error);
	return error < 0 ? error : -EINVAL;
}

static int check_folder(const char *path, const char *slash)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct stat status;

	copy_text(folder, (size_t)(slash - path) + 1, path);
	if (stat(*folder ? folder : "/", &status) < 0)
		return fail(path, -errno);
	if (status.st_uid != geteuid() || status.st_mode & 077)
		return fail("its folder must be this user's and closed to all others (mode 0700)", 0);
	return 0;
}

/* One that nobody listens on is what a server that was killed has left. */
static int check_place(int socket, const struct sockaddr_un *address)
{
	struct stat status;

	if (lstat(address->sun_path, &status) < 0)
		return errno == ENOENT ? 0 : fail(address->sun_path, -errno);
	if (!S_ISSOCK(status.st_mode))
		return fail(address->sun_path, -EEXIST);
	if (connect(socket, (const void *)address, sizeof(*address)) == 0 || errno != ECONNREFUSED)
		return fail(address->sun_path, -EADDRINUSE);
	return 0;
}

/* Made under the mode that it is to have. */
static int make(int socket, const struct sockaddr_un *as, const char *path)
{
	mode_t old = umask(0177);
	int r = bind(socket, (const void *)as, sizeof(*as)) < 0 ? -errno : 0;

	(void)umask(old);
	if (r == 0 && (listen(socket, SERVE_BACKLOG) < 0 || rename(as->sun_path, path) < 0)) {
		r = -errno;
		(void)unlink(as->sun_path);
	}
	return r;
}

int listen_open(struct server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX }, as = { .sun_family = AF_UNIX };
	struct text text = text_in(as.sun_path, sizeof(as.sun_path));
	const char *slash = strrchr(server->path, '/');
	struct stat status;

	text_add(&text, server->path);
	text_add(&text, ".");
	text_add_u64(&text, (uint64_t)getpid());
	if (!slash || text.full)
		return fail(server->path, slash ? -ENAMETOOLONG : -EINVAL);
	copy_text(address.sun_path, sizeof(address.sun_path), server->path);
	int r = check_folder(server->path, slash);
	if (r < 0)
		return r;
	CLEANUP_FD int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0 || server->listener < 0)
		return fail(server->path, -errno);
	r = check_place(probe, &address);
	if (r < 0)
		return r;
	(void)unlink(as.sun_path); /* an earlier process had our number */
	r = make(server->listener, &as, server->path);
	if (r == 0 && lstat(server->path, &status) < 0)
		r = -errno;
	if (r < 0)
		return fail(server->path, r);
	server->device = status.st_dev;
	server->inode = status.st_ino;
	return 0;
}

/* Somebody may have put a socket of his own in the place of ours. */
void listen_close(struct server *server)
{
	struct stat status;

	if (lstat(server->path, &status) == 0 && status.st_dev == server->device && status.st_ino == server->inode)
		(void)unlink(server->path);
	close_fd(&server->listener);
}
