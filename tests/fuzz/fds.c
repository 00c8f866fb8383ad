/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fds.c - file descriptors of every kind that a peer may pass.
 * Fuzzers only.
 */
#include "tests/fuzz/fds.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "vhost/base/util.h"

static int fds[FUZZ_FD_KINDS]; /* plus 1, so that 0 is none */
static int channel_end; /* likewise */

static void close_one(int *fd)
{
	if (*fd)
		close(*fd - 1);
	*fd = 0;
}

static int memory(uint64_t bytes, int seals)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc;

	assert(fd >= 0);
	rc = ftruncate(fd, (off_t)bytes);
	assert(rc == 0);
	if (seals)
		rc = fcntl(fd, F_ADD_SEALS, seals);
	assert(rc == 0);
	return fd;
}

static void make_pair(enum fuzz_fd_kind kind, int *other)
{
	int pair[2], rc;

	rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
	assert(rc == 0);
	fds[kind] = pair[0] + 1;
	close_one(other);
	*other = pair[1] + 1;
}

static void make_pipe(void)
{
	int ends[2], rc;

	rc = pipe2(ends, O_CLOEXEC | O_NONBLOCK);
	assert(rc == 0);
	/* One of the last pipe's may still be open. */
	close_one(&fds[FUZZ_FD_PIPE_READ]);
	close_one(&fds[FUZZ_FD_PIPE_WRITE]);
	fds[FUZZ_FD_PIPE_READ] = ends[0] + 1;
	fds[FUZZ_FD_PIPE_WRITE] = ends[1] + 1;
}

static int reopened(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void make(enum fuzz_fd_kind kind)
{
	int fd = -1, end = 0;

	switch (kind) {
	case FUZZ_FD_MEMORY:
	case FUZZ_FD_MEMORY_TOO:
	case FUZZ_FD_RECEIVED: /* none was: any will do */
		fd = memory(FUZZ_MEMORY_BYTES, 0);
		break;
	case FUZZ_FD_SHORT:
		fd = memory(4096 + 100, 0);
		break;
	case FUZZ_FD_SPARSE:
		fd = memory(1ull << 44, 0);
		break;
	case FUZZ_FD_SEALED:
		fd = memory(FUZZ_MEMORY_BYTES, F_SEAL_GROW | F_SEAL_SHRINK);
		break;
	case FUZZ_FD_KICK:
	case FUZZ_FD_CALL:
		fd = eventfd(0, EFD_CLOEXEC);
		break;
	case FUZZ_FD_PIPE_READ:
	case FUZZ_FD_PIPE_WRITE:
		make_pipe();
		return;
	case FUZZ_FD_CHANNEL:
		make_pair(kind, &channel_end);
		return;
	case FUZZ_FD_HUNG_UP:
		make_pair(kind, &end);
		close(end - 1);
		return;
	case FUZZ_FD_NULL:
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		break;
	case FUZZ_FD_DIRECTORY:
		fd = open("/", O_RDONLY | O_CLOEXEC);
		break;
	case FUZZ_FD_EPOLL:
		fd = epoll_create1(EPOLL_CLOEXEC);
		break;
	case FUZZ_FD_READ_ONLY:
		fd = reopened(fuzz_fd(FUZZ_FD_MEMORY));
		break;
	case FUZZ_FD_KINDS:
		break;
	}
	assert(fd >= 0);
	fds[kind] = fd + 1;
}

int fuzz_fd(unsigned kind)
{
	kind %= FUZZ_FD_KINDS;
	if (!fds[kind])
		make(kind);
	return fds[kind] - 1;
}

void fuzz_fds_received(struct vu_msg *msg)
{
	int fd;

	if (!msg->num_fds)
		return;
	fd = vu_msg_take_fd(msg, 0);
	close_one(&fds[FUZZ_FD_RECEIVED]);
	fds[FUZZ_FD_RECEIVED] = fd + 1;
}

void fuzz_fd_write(enum fuzz_fd_kind kind, const void *bytes, size_t len)
{
	ssize_t n = fds[kind] ? write(fds[kind] - 1, bytes, len) : 0;

	(void)n; /* full, or nobody reads: no matter */
}

void fuzz_fd_close(unsigned kind)
{
	close_one(&fds[kind % FUZZ_FD_KINDS]);
}

void fuzz_fds_drain(void)
{
	char bytes[4096];

	while (fds[FUZZ_FD_PIPE_READ] && read(fds[FUZZ_FD_PIPE_READ] - 1, bytes, sizeof(bytes)) > 0)
		;
	while (channel_end && read(channel_end - 1, bytes, sizeof(bytes)) > 0)
		;
}

void fuzz_fds_close(void)
{
	for (unsigned i = 0; i < FUZZ_FD_KINDS; i++)
		close_one(&fds[i]);
	close_one(&channel_end);
}

void fuzz_open_fds(struct fuzz_open_fds *open_fds)
{
	struct pollfd pfds[FUZZ_MAX_FDS];
	int rc;

	for (unsigned i = 0; i < FUZZ_MAX_FDS; i++)
		pfds[i] = (struct pollfd){.fd = (int)i};
	rc = poll(pfds, FUZZ_MAX_FDS, 0);
	assert(rc >= 0);
	for (unsigned i = 0; i < FUZZ_MAX_FDS; i++)
		open_fds->open[i] = !(pfds[i].revents & POLLNVAL);
}

int fuzz_lowest_free_fd(void)
{
	int fd = dup(STDIN_FILENO);

	assert(fd >= 0);
	close(fd);
	return fd;
}
