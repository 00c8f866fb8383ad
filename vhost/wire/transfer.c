/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer.c - see transfer.h. Layer L1; the thread that owns the transfer.
 */
#include "vhost/wire/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "vhost/base/util.h"
#include "vhost/wire/unix.h"

void transfer_init(struct transfer *t)
{
	*t = (struct transfer){.fd = -1};
}

/*
 * check_file - can it be used without waiting? vmsplice(2) goes by the access mode of a pipe's
 * end, so that must be the one for this direction.
 * Syscalls: fcntl(cmd=F_GETFL): what the peer gave us
 */
static int check_file(int fd, bool writing, bool *is_socket)
{
	struct stat st;
	int flags;

	if (stat_fd(fd, &st) < 0)
		return -errno;
	*is_socket = S_ISSOCK(st.st_mode);
	if (*is_socket)
		return unix_check_stream(fd) ? -EINVAL : 0;
	if (!S_ISFIFO(st.st_mode))
		return -EINVAL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	return ((flags & O_ACCMODE) == O_RDONLY) == writing ? -EINVAL : 0;
}

/* Syscalls: mmap(prot!PROT_EXEC) */
int transfer_begin(struct transfer *t, int *fd, bool writing, size_t room)
{
	bool is_socket;
	void *buf;
	int rc;

	rc = check_file(*fd, writing, &is_socket);
	if (rc)
		return rc;
	/* Pages of its own: those written to a pipe stay in it, and must not change there. */
	buf = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf == MAP_FAILED)
		return -errno;
	*t = (struct transfer){
		.fd = *fd, .writing = writing, .is_socket = is_socket, .buf = buf, .room = room};
	*fd = -1;
	return 0;
}

/*
 * move - one call. Return: bytes, 0 at the end when reading, -1 with errno.
 * Syscalls: vmsplice: a pipe, read and written without waiting; recvfrom, sendto
 */
static ssize_t move(const struct transfer *t)
{
	size_t at = t->writing ? t->written : t->bytes;
	size_t end = t->writing ? t->bytes : t->room;
	struct iovec iov = {.iov_base = t->buf + at, .iov_len = end - at};

	if (!t->is_socket)
		return vmsplice(t->fd, &iov, 1, SPLICE_F_NONBLOCK);
	if (t->writing)
		return send(t->fd, iov.iov_base, iov.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return recv(t->fd, iov.iov_base, iov.iov_len, MSG_DONTWAIT);
}

/* Copies of a socket's fd may be about, so closing ours is not sure to end the stream.
 * Syscalls: shutdown */
static int end_of_writing(const struct transfer *t)
{
	return t->is_socket && shutdown(t->fd, SHUT_WR) < 0 ? -errno : 1;
}

int transfer_step(struct transfer *t)
{
	for (;;) {
		ssize_t n;

		if (t->writing && t->written == t->bytes)
			return end_of_writing(t);
		if (!t->writing && t->bytes == t->room)
			return -EFBIG;
		n = move(t);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (!t->writing && n == 0)
			return 1;
		*(t->writing ? &t->written : &t->bytes) += (size_t)n;
	}
}

void transfer_end(struct transfer *t)
{
	close_fd(&t->fd);
	if (t->buf)
		munmap(t->buf, t->room);
	t->buf = NULL;
}
