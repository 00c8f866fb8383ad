/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unix.c - connect to a unix socket, and publish a listening one under a path.
 * Layer L1. Control thread (connecting: any thread).
 */
#include "vhost/wire/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "vhost/base/util.h"

#define BACKLOG       16
#define PUBLISH_TRIES 8
#define PATH_BYTES    sizeof(((struct sockaddr_un *)0)->sun_path)

/* unix_address - Return: 0, -EINVAL (empty), or -ENAMETOOLONG. */
static int unix_address(struct sockaddr_un *addr, const char *path)
{
	size_t len = strlen(path);

	if (len == 0)
		return -EINVAL;
	if (len >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, len);
	return 0;
}

/* connect_to - a connected socket of @flags (SOCK_NONBLOCK or 0). Return: the fd or -errno. */
static int connect_to(const char *path, int flags)
{
	auto_close int sock = -1;
	struct sockaddr_un addr;
	int fd, ret;

	ret = unix_address(&addr, path);
	if (ret < 0)
		return ret;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (sock < 0)
		return -errno;
	do
		ret = connect(sock, (struct sockaddr *)&addr, sizeof(addr));
	while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	fd = sock;
	sock = -1;
	return fd;
}

int unix_connect(const char *path)
{
	return connect_to(path, 0);
}

int unix_connect_nonblock(const char *path)
{
	return connect_to(path, SOCK_NONBLOCK);
}

/* Syscalls: getsockopt */
int unix_check_stream(int fd)
{
	int domain, type;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	return domain == AF_UNIX && type == SOCK_STREAM ? 0 : -ENOTSOCK;
}

/*
 * Publishing a listening socket, in an order that leaves no moment at which PATH is a socket
 * nobody listens on, since that is what tells another daemon that it may take PATH over:
 *
 *   bind a name of our own in the same directory, listen, then
 *   - where PATH does not exist: link(2) it, which fails if somebody else was faster;
 *   - where a dead socket is there: exchange the two names, and look whether what came out is
 *     the one found dead; if not, somebody else was faster: exchange back.
 */
struct publication {
	int dir_fd;
	const char *base; /* last component of the path */
	char temp[NAME_MAX + 1]; /* our own name, in the same directory */
	struct stat ours;
};

/* split_path - open the directory of @path. Return: 0, -EINVAL (no last component), -errno. */
static int split_path(struct publication *pub, const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_BYTES] = ".";

	pub->base = slash ? slash + 1 : path;
	if (pub->base[0] == '\0')
		return -EINVAL;
	if (slash)
		snprintf(dir, sizeof(dir), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	pub->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return pub->dir_fd < 0 ? -errno : 0;
}

/* bind_temp - bind @sock to a fresh name beside the path, with permissions @mode. */
static int bind_temp(struct publication *pub, int sock, const char *path, mode_t mode)
{
	int dir_len = (int)(pub->base - path);
	struct sockaddr_un addr;
	uint32_t random = 0;
	int n;

	if (getrandom(&random, sizeof(random), 0) < 0)
		return -errno;
	snprintf(pub->temp, sizeof(pub->temp), ".%s.%08x", pub->base, random);
	memset(&addr, 0, sizeof(addr));
	addr.sun_family = AF_UNIX;
	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%.*s%s", dir_len, path, pub->temp);
	/* PATH fits an address, but this one may not: then name the directory by its fd. */
	if (n >= (int)sizeof(addr.sun_path)) {
		snprintf(pub->temp, sizeof(pub->temp), ".%08x", random);
		snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/.%08x",
			 pub->dir_fd, random);
	}
	/* The mode of the socket, less umask, becomes that of the file, so at no moment is more
	 * allowed than @mode; the second call adds what umask took away. */
	if (fchmod(sock, mode) < 0 || bind(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if (fchmodat(pub->dir_fd, pub->temp, mode, 0) < 0 ||
	    fstatat(pub->dir_fd, pub->temp, &pub->ours, AT_SYMLINK_NOFOLLOW) < 0) {
		int ret = -errno;

		unlinkat(pub->dir_fd, pub->temp, 0);
		return ret;
	}
	return 0;
}

/* probe - does anybody listen on @path? Return: 0 no, -EADDRINUSE yes, -errno cannot be told. */
static int probe(const char *path)
{
	int sock = connect_to(path, SOCK_NONBLOCK);

	switch (sock) {
	case -ECONNREFUSED:
	case -ENOENT:
		return 0;
	case -EAGAIN: /* a full backlog is a live one */
	case -EPROTOTYPE: /* a datagram socket */
		return -EADDRINUSE;
	default:
		if (sock < 0)
			return sock;
		close_fd(&sock);
		return -EADDRINUSE;
	}
}

/* replace_dead - put our name in the place of the socket file @dead.
 * Return: 0, -EAGAIN (it is not there any more: look again), -errno. */
static int replace_dead(struct publication *pub, const struct stat *dead)
{
	struct stat out;

	if (renameat2(pub->dir_fd, pub->temp, pub->dir_fd, pub->base, RENAME_EXCHANGE) < 0) {
		if (errno == ENOENT)
			return -EAGAIN;
		if (errno != EINVAL)
			return -errno;
		/* A file system without exchange: a moment of risk, but no other way. */
		return renameat(pub->dir_fd, pub->temp, pub->dir_fd, pub->base) < 0 ? -errno : 0;
	}
	if (fstatat(pub->dir_fd, pub->temp, &out, AT_SYMLINK_NOFOLLOW) == 0 &&
	    out.st_dev == dead->st_dev && out.st_ino == dead->st_ino) {
		unlinkat(pub->dir_fd, pub->temp, 0);
		return 0;
	}
	if (renameat2(pub->dir_fd, pub->temp, pub->dir_fd, pub->base, RENAME_EXCHANGE) < 0)
		return -errno;
	return -EAGAIN;
}

/* publish_once - Return: 0, -EAGAIN (the file changed meanwhile: look again), -errno. */
static int publish_once(struct publication *pub, const char *path)
{
	struct stat found;
	int ret;

	if (fstatat(pub->dir_fd, pub->base, &found, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return -errno;
		if (linkat(pub->dir_fd, pub->temp, pub->dir_fd, pub->base, 0) < 0)
			return errno == EEXIST ? -EAGAIN : -errno;
		unlinkat(pub->dir_fd, pub->temp, 0);
		return 0;
	}
	if (!S_ISSOCK(found.st_mode))
		return -ENOTSOCK;
	ret = probe(path);
	if (ret < 0)
		return ret;
	return replace_dead(pub, &found);
}

static int publish(struct publication *pub, const char *path)
{
	int ret = -EAGAIN;

	for (unsigned i = 0; i < PUBLISH_TRIES && ret == -EAGAIN; i++)
		ret = publish_once(pub, path);
	if (ret < 0)
		unlinkat(pub->dir_fd, pub->temp, 0);
	return ret == -EAGAIN ? -EADDRINUSE : ret;
}

int unix_listen(int sock, const char *path, mode_t mode, struct stat *file)
{
	struct publication pub = {.dir_fd = -1};
	struct sockaddr_un addr;
	int ret;

	ret = unix_address(&addr, path); /* peers must be able to name it */
	if (ret == 0)
		ret = split_path(&pub, path);
	if (ret < 0)
		return ret;
	ret = bind_temp(&pub, sock, path, mode);
	if (ret < 0)
		goto out;
	if (listen(sock, BACKLOG) < 0) {
		ret = -errno;
		unlinkat(pub.dir_fd, pub.temp, 0);
		goto out;
	}
	ret = publish(&pub, path);
	if (ret == 0)
		*file = pub.ours;
out:
	close_fd(&pub.dir_fd);
	return ret;
}

static bool is_file(const char *path, const struct stat *file)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_dev == file->st_dev && now.st_ino == file->st_ino;
}

const char *unix_listen_advice(int err)
{
	switch (err) {
	case ENAMETOOLONG:
		return "the path is longer than the 107 bytes a unix socket may have";
	case EADDRINUSE:
		return "another process listens there; stop it or choose another path";
	case ENOTSOCK:
		return "exists and is not a socket; remove it or choose another path";
	case ENOENT:
		return "its directory does not exist; create it or choose another path";
	default:
		return strerror(err);
	}
}

/*
 * unix_remove - another daemon may take the path over between a look and unlink(2) when nobody
 * listens there any more. So the file is moved aside first, and put back if it was not ours.
 * Syscalls (broker): newfstatat, lstat: whose file it is; getrandom, renameat2, unlink
 */
void unix_remove(const char *path, const struct stat *file)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char aside[2 * NAME_MAX];
	uint32_t random = 0;

	if (!is_file(path, file) || getrandom(&random, sizeof(random), 0) < 0)
		return;
	snprintf(aside, sizeof(aside), "%.*s.%s.%08x", (int)(base - path), path, base, random);
	if (renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE) < 0) {
		if (errno == EINVAL)
			unlink(path); /* a file system that cannot: a moment of risk */
		return;
	}
	if (is_file(aside, file))
		unlink(aside);
	else
		renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE);
}
