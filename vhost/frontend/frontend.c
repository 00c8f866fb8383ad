/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * frontend.c - one session with a back-end: sending, waiting, checking replies.
 * Beside L1 (front-end). The thread that owns the session; waits are bounded.
 */
#include "vhost/frontend/frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/frontend/messages.h"
#include "vhost/wire/endpoint.h"

int fe_adopt(struct fe *fe, int sock)
{
	int flags = fcntl(sock, F_GETFL);

	memset(fe, 0, sizeof(*fe));
	fe->sock = fe->channel_fd = -1;
	if (flags < 0 || fcntl(sock, F_SETFL, flags | O_NONBLOCK)) {
		int ret = -errno;

		close_fd(&sock);
		return ret;
	}
	fe->sock = sock;
	fe->timeout_ms = FE_TIMEOUT_MS;
	vu_receiver_init(&fe->rx);
	vu_receiver_init(&fe->channel_rx);
	return 0;
}

int fe_connect(struct fe *fe, const char *path)
{
	int sock = unix_connect(path);

	if (sock < 0) {
		memset(fe, 0, sizeof(*fe));
		fe->sock = fe->channel_fd = -1;
		return sock;
	}
	return fe_adopt(fe, sock);
}

void fe_close(struct fe *fe)
{
	if (fe->sock >= 0)
		vu_receiver_reset(&fe->rx);
	fe_channel_close(fe);
	close_fd(&fe->sock);
	fe->error = -ECONNRESET;
}

/* The stream is out of step for good: remember why. */
static int fe_lost(struct fe *fe, int error)
{
	if (error == -EPIPE || error == -ENOTCONN)
		error = -ECONNRESET;
	if (error == -EBADMSG || error == -EMSGSIZE)
		error = -EPROTO;
	fe->error = error;
	return error;
}

static int ms_until(uint64_t deadline_ns)
{
	uint64_t now = clock_ns();

	return now >= deadline_ns ? 0 : (int)((deadline_ns - now + 999999) / 1000000);
}

static uint64_t fe_deadline(const struct fe *fe)
{
	return clock_ns() + (uint64_t)fe->timeout_ms * 1000000;
}

/* Wait for @events on the session's socket; the back-end channel is served meanwhile. */
static int fe_await(struct fe *fe, short events, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd pfd[2] = {
			{.fd = fe->sock, .events = events},
			{.fd = fe->channel_fd, .events = POLLIN}, /* -1 is ignored */
		};
		int left = ms_until(deadline_ns);
		int ready = poll(pfd, 2, left);

		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready > 0 && pfd[1].revents)
			fe_channel_serve(fe, 0); /* a channel that fails is closed; we go on */
		if (ready > 0 && pfd[0].revents)
			return 0;
		if (left == 0)
			return -ETIMEDOUT;
	}
}

int fe_send(struct fe *fe, const struct vu_msg *msg)
{
	uint64_t deadline_ns = fe_deadline(fe);

	if (fe->error)
		return fe->error;
	for (;;) {
		int ret = vu_send(fe->sock, msg);

		if (ret == 0)
			return 0;
		if (ret == -EAGAIN)
			ret = fe_await(fe, POLLOUT, deadline_ns);
		if (ret)
			return fe_lost(fe, ret);
	}
}

int fe_send_bytes(struct fe *fe, const void *bytes, size_t len, const int *fds, unsigned num_fds)
{
	union {
		char buf[CMSG_SPACE(2 * VU_MAX_FDS * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	uint64_t deadline_ns = fe_deadline(fe);

	if (fe->error)
		return fe->error;
	if (num_fds > 2 * VU_MAX_FDS)
		return -EINVAL;
	if (num_fds) {
		struct cmsghdr *cmsg = &control.align;

		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, num_fds * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(fe->sock, &mh, MSG_NOSIGNAL);
		int ret = 0;

		if (n < 0 && errno == EAGAIN)
			ret = fe_await(fe, POLLOUT, deadline_ns);
		else if (n < 0 && errno != EINTR)
			ret = -errno;
		if (ret)
			return fe_lost(fe, ret);
		if (n > 0) {
			iov.iov_base = (char *)iov.iov_base + n;
			iov.iov_len -= (size_t)n;
			mh.msg_control = NULL;
			mh.msg_controllen = 0;
		}
	}
	return 0;
}

int fe_await_reply(struct fe *fe, uint32_t request, uint32_t reply_bytes, unsigned max_fds)
{
	uint64_t deadline_ns = fe_deadline(fe);
	int ret;

	if (fe->error)
		return fe->error;
	vu_receiver_reset(&fe->rx);
	while ((ret = vu_receive(fe->sock, &fe->rx)) == 0) {
		ret = fe_await(fe, POLLIN, deadline_ns);
		if (ret)
			return fe_lost(fe, ret);
	}
	if (ret < 0)
		return fe_lost(fe, ret);
	ret = fe_check_reply(&fe->rx.msg, request, reply_bytes, max_fds);
	return ret == -EPROTO ? fe_lost(fe, ret) : ret;
}

int fe_query(struct fe *fe, struct vu_msg *msg, uint32_t reply_bytes, unsigned max_fds)
{
	int ret = fe_send(fe, msg);

	return ret ? ret : fe_await_reply(fe, msg->hdr.request, reply_bytes, max_fds);
}

int fe_request(struct fe *fe, struct vu_msg *msg)
{
	int ret;

	if (!fe_has(fe, VU_PF_REPLY_ACK))
		return fe_send(fe, msg);
	msg->hdr.flags |= VU_FLAG_NEED_REPLY;
	ret = fe_query(fe, msg, sizeof(uint64_t), 0);
	if (ret)
		return ret;
	return fe->rx.msg.payload.u64 ? -EREMOTEIO : 0;
}

int fe_await_close(struct fe *fe, unsigned timeout_ms)
{
	uint64_t deadline_ns = clock_ns() + (uint64_t)timeout_ms * 1000000;
	char drop[4096];

	if (fe->sock < 0)
		return 0;
	for (;;) {
		ssize_t n = recv(fe->sock, drop, sizeof(drop), 0);
		int ret;

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return 0;
		if (n > 0)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		ret = fe_await(fe, POLLIN, deadline_ns);
		if (ret)
			return ret;
	}
}
