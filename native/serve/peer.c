// SPDX-License-Identifier: Apache-2.0
/*
 * Who may use a run server: this user. A program in a sandbox of his has the same user id where it counts, and could be given the folder with the
 * socket as a volume; so the user namespace has to be ours, too.
 */
#include <sys/ioctl.h>

#include "serve.h"
#include "sys.h"
#include "util.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#define PIDFD_GET_USER_NAMESPACE _IO(0xFF, 9) /* linux/pidfd.h, 6.11 */

static bool is_ours(const struct server *server, const struct stat *status)
{
	return status->st_dev == server->namespace_device && status->st_ino == server->namespace_inode;
}

int peer_open(struct server *server)
{
	struct stat status;

	if (stat("/proc/self/ns/user", &status) < 0)
		return -errno;
	server->namespace_device = status.st_dev;
	server->namespace_inode = status.st_ino;
	return 0;
}

static bool shares_namespace(const struct server *server, pid_t pid, int pidfd)
{
	char path[40];
	struct text text = text_in(path, sizeof(path));
	struct stat status;
	CLEANUP_FD int namespace = pidfd < 0 ? -1 : ioctl(pidfd, PIDFD_GET_USER_NAMESPACE, 0);

	if (namespace >= 0)
		return fstat(namespace, &status) == 0 && is_ours(server, &status);
	text_add(&text, "/proc/");
	text_add_u64(&text, (uint64_t)pid);
	text_add(&text, "/ns/user");
	if (stat(path, &status) < 0 || !is_ours(server, &status))
		return false;
	/* Still the one that connected, not another that has its number now. Before 6.5 there is no way to know. */
	return pidfd < 0 || sys_pidfd_send_signal(pidfd, 0) == 0;
}

bool peer_may(const struct server *server, int connection)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	int fd = -1;

	if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0 ||
	    credentials.uid != geteuid() || credentials.pid <= 0)
		return false;
	length = sizeof(fd);
	if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) < 0) {
		/* Gone, or no descriptor left to look with: its number may be anybody's. Only a kernel that knows no better is believed. */
		if (errno != ENOPROTOOPT)
			return false;
		fd = -1;
	}
	CLEANUP_FD int pidfd = fd;
	return shares_namespace(server, credentials.pid, pidfd);
}
