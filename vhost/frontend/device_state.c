/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device_state.c - the state a device keeps beside rings and configuration, out of one back-end
 * and into another. Beside L1 (front-end). The thread that owns the session; waits are bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"
#include "vhost/wire/transfer.h"

#define DIRECTION_SAVE 0
#define DIRECTION_LOAD 1

#define REPLY_ERROR_MASK 0xffu

/* checked_reply - success, and an fd exactly where one is announced? */
static int checked_reply(const struct vu_msg *reply)
{
	uint64_t value = reply->payload.u64;
	bool no_fd = value & VU_VRING_NO_FD;

	if (value & ~(uint64_t)(REPLY_ERROR_MASK | VU_VRING_NO_FD))
		return -EPROTO;
	if (value & REPLY_ERROR_MASK)
		return reply->num_fds ? -EPROTO : -EREMOTEIO;
	return (reply->num_fds == 1) == no_fd ? -EPROTO : 0;
}

/*
 * negotiate - offer a pipe for the transfer; the back-end may offer something better instead.
 * Return: 0 with our end, the caller's, in *@fd; -errno.
 */
static int negotiate(struct fe *fe, uint32_t direction, int *fd)
{
	auto_close int ours = -1;
	struct vu_msg msg;
	int pipes[2], ret;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	ours = pipes[direction == DIRECTION_SAVE ? 0 : 1];
	vu_msg_init(&msg, VU_SET_DEVICE_STATE_FD);
	msg.hdr.size = sizeof(msg.payload.device_state);
	msg.payload.device_state.direction = direction;
	msg.fds[0] = pipes[direction == DIRECTION_SAVE ? 1 : 0];
	msg.num_fds = 1;
	ret = fe_query(fe, &msg, sizeof(uint64_t), 1);
	vu_msg_close_fds(&msg);
	if (!ret)
		ret = checked_reply(&fe->rx.msg);
	if (ret)
		return ret;
	if (fe->rx.msg.num_fds) {
		close_fd(&ours);
		ours = vu_msg_take_fd(&fe->rx.msg, 0);
	}
	*fd = ours;
	ours = -1;
	return 0;
}

/* run - to the end of the transfer. The back-end channel is served meanwhile. */
static int run(struct fe *fe, struct transfer *t)
{
	uint64_t deadline_ns = clock_ns() + (uint64_t)fe->timeout_ms * 1000000;
	int ret;

	while ((ret = transfer_step(t)) == 0) {
		struct pollfd pfd[2] = {
			{.fd = t->fd, .events = t->writing ? POLLOUT : POLLIN},
			{.fd = fe->channel_fd, .events = POLLIN}, /* -1 is ignored */
		};
		uint64_t now = clock_ns();

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(pfd, 2, (int)((deadline_ns - now + 999999) / 1000000)) < 0 &&
		    errno != EINTR)
			return -errno;
		if (pfd[1].revents)
			fe_channel_serve(fe, 0);
	}
	return ret < 0 ? ret : 0;
}

/* verify - does the back-end too say that all went well? */
static int verify(struct fe *fe)
{
	struct vu_msg msg;
	int ret;

	vu_msg_init(&msg, VU_CHECK_DEVICE_STATE);
	ret = fe_query(fe, &msg, sizeof(uint64_t), 0);
	if (ret)
		return ret;
	return fe->rx.msg.payload.u64 ? -EREMOTEIO : 0;
}

ssize_t fe_save_state(struct fe *fe, void *buf, size_t max)
{
	auto_close int fd = -1;
	struct transfer t;
	ssize_t bytes;
	int ret;

	transfer_init(&t);
	ret = negotiate(fe, DIRECTION_SAVE, &fd);
	/* One byte of room more than there is, so that a longer state is seen as such. */
	if (!ret)
		ret = transfer_begin(&t, &fd, false, max + 1);
	if (ret)
		return ret;
	ret = run(fe, &t);
	bytes = (ssize_t)t.bytes;
	if (!ret)
		memcpy(buf, t.buf, t.bytes);
	transfer_end(&t);
	if (!ret)
		ret = verify(fe);
	return ret ? ret : bytes;
}

int fe_load_state(struct fe *fe, const void *data, size_t len)
{
	auto_close int fd = -1;
	struct transfer t;
	int ret, verified;

	transfer_init(&t);
	ret = negotiate(fe, DIRECTION_LOAD, &fd);
	if (!ret)
		ret = transfer_begin(&t, &fd, true, len + 1);
	if (ret)
		return ret;
	memcpy(t.buf, data, len);
	t.bytes = len;
	ret = run(fe, &t);
	transfer_end(&t);
	/* A back-end that stopped reading says why it did: that counts for more. */
	verified = verify(fe);
	return verified ? verified : ret;
}
