/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * codec.c - messages off and onto a unix socket, with their file descriptors.
 * Layer L1. The thread that owns the socket. Works on blocking and non-blocking sockets: it is
 * the socket's own mode that decides whether a call waits.
 */
#include "vhost/wire/codec.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "vhost/base/util.h"

#define HEADER_BYTES sizeof(struct vu_header)

#define MAX_RECEIVED 253 /* fds that one recvmsg(2) can bring (SCM_MAX_FD) */

/* Room for the fds of one message, aligned as a control message must be. */
union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * VU_MAX_FDS)];
};

/* Room for all that can come: what there is no room for, the kernel closes, and waits for. */
union received_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * MAX_RECEIVED)];
};

void vu_msg_init(struct vu_msg *msg, uint32_t request)
{
	/* All of it: padding goes to the peer, and our stack is none of its business. */
	memset(msg, 0, sizeof(*msg));
	msg->hdr.request = request;
	msg->hdr.flags = VU_VERSION;
}

int vu_msg_take_fd(struct vu_msg *msg, unsigned i)
{
	int fd;

	if (i >= msg->num_fds)
		return -1;
	fd = msg->fds[i];
	msg->fds[i] = -1;
	return fd;
}

/* Syscalls: setsockopt(level=SOL_SOCKET, optname=SO_LINGER) */
void vu_close_received(int *fd)
{
	static const struct linger none;
	int saved = errno;

	/* What is no socket does not linger. */
	if (*fd >= 0 && setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) < 0)
		errno = saved;
	close_fd(fd);
}

void vu_msg_close_fds(struct vu_msg *msg)
{
	for (unsigned i = 0; i < msg->num_fds; i++)
		vu_close_received(&msg->fds[i]);
	msg->num_fds = 0;
}

void vu_receiver_init(struct vu_receiver *rx)
{
	memset(rx, 0, sizeof(*rx));
}

void vu_receiver_reset(struct vu_receiver *rx)
{
	vu_msg_close_fds(&rx->msg);
	rx->received = 0;
}

/* collect_fds - move the fds of @mh into @msg, if it may have as many; else they are closed.
 * @msg: NULL, it may have none. Return: false, they were closed. */
static bool collect_fds(struct vu_msg *msg, struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		int fds[MAX_RECEIVED];

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* The kernel puts all fds into one control message. */
		memcpy(fds, CMSG_DATA(c), n * sizeof(int));
		if (msg && n <= VU_MAX_FDS) {
			msg->num_fds = n;
			memcpy(msg->fds, fds, n * sizeof(int));
			continue;
		}
		for (unsigned i = 0; i < n; i++)
			vu_close_received(&fds[i]);
		return false;
	}
	return true;
}

/* What is not read goes with the socket, and the kernel would wait for it.
 * Syscalls: shutdown, recvmsg */
void vu_hang_up(int *sock)
{
	union received_control control;
	char bytes[256];
	ssize_t n;

	if (*sock < 0)
		return;
	shutdown(*sock, SHUT_RDWR); /* nothing more can come */
	do {
		struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
		struct msghdr mh = {.msg_iov = &iov,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof(control)};

		n = recvmsg(*sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n >= 0)
			collect_fds(NULL, &mh);
	} while (n > 0 || (n < 0 && errno == EINTR));
	close_fd(sock);
}

/*
 * read_some - one recvmsg(2) of at most @len bytes to @buf, counted in rx->received.
 * Return: 1 some bytes, 0 none for now, or -errno as vu_receive.
 * Syscalls: recvmsg
 */
static int read_some(int sock, struct vu_receiver *rx, void *buf, size_t len)
{
	union received_control control;
	struct iovec iov = {.iov_base = buf, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control)};
	bool first = rx->received == 0; /* only the first bytes may bring fds */
	bool whole;
	ssize_t n;

	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	whole = collect_fds(first ? &rx->msg : NULL, &mh);
	if (!whole || mh.msg_flags & MSG_CTRUNC)
		return first ? -EMSGSIZE : -EBADMSG;
	if (n == 0)
		return -ECONNRESET;
	rx->received += (size_t)n;
	return 1;
}

/* receive_all - read on until header and payload are there. Return: as vu_receive. */
static int receive_all(int sock, struct vu_receiver *rx)
{
	struct vu_header *hdr = &rx->msg.hdr;
	size_t whole;
	int ret;

	while (rx->received < HEADER_BYTES) {
		ret = read_some(sock, rx, (char *)hdr + rx->received, HEADER_BYTES - rx->received);
		if (ret <= 0)
			return ret;
	}
	if ((hdr->flags & VU_VERSION_MASK) != VU_VERSION)
		return -EBADMSG;
	if (hdr->size > VU_MAX_PAYLOAD)
		return -EMSGSIZE;
	whole = HEADER_BYTES + hdr->size;
	while (rx->received < whole) {
		ret = read_some(sock, rx, rx->msg.payload.bytes + (rx->received - HEADER_BYTES),
				whole - rx->received);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

int vu_receive(int sock, struct vu_receiver *rx)
{
	int ret = receive_all(sock, rx);

	if (ret < 0)
		vu_receiver_reset(rx);
	return ret;
}

/* attach_fds - put the fds of @msg into @control, for the first sendmsg(2). */
static void attach_fds(struct msghdr *mh, union fd_control *control, const struct vu_msg *msg)
{
	size_t bytes = msg->num_fds * sizeof(int);
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(bytes);
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(c), msg->fds, bytes);
}

/* Syscalls: sendmsg */
int vu_send(int sock, const struct vu_msg *msg)
{
	union fd_control control;
	size_t sent = 0, whole = HEADER_BYTES + msg->hdr.size;

	if (msg->hdr.size > VU_MAX_PAYLOAD || msg->num_fds > VU_MAX_FDS)
		return -EMSGSIZE;
	while (sent < whole) {
		struct iovec iov[2];
		struct msghdr mh = {.msg_iov = iov};
		ssize_t n;

		if (sent < HEADER_BYTES) {
			iov[0].iov_base = (char *)&msg->hdr + sent;
			iov[0].iov_len = HEADER_BYTES - sent;
			iov[1].iov_base = (void *)msg->payload.bytes;
			iov[1].iov_len = msg->hdr.size;
			mh.msg_iovlen = 2;
		} else {
			iov[0].iov_base = (char *)msg->payload.bytes + (sent - HEADER_BYTES);
			iov[0].iov_len = whole - sent;
			mh.msg_iovlen = 1;
		}
		if (sent == 0 && msg->num_fds > 0)
			attach_fds(&mh, &control, msg);
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno == EAGAIN || errno == EWOULDBLOCK)
				return sent == 0 ? -EAGAIN : -EPIPE;
			return -errno;
		}
		sent += (size_t)n;
	}
	return 0;
}
