/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * channel.c - the back-end channel: requests that come the other way, checked and answered.
 * Beside L1 (front-end). The thread that owns the session.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"
#include "vhost/frontend/messages.h"

void fe_channel_close(struct fe *fe)
{
	if (fe->channel_fd < 0)
		return;
	vu_receiver_reset(&fe->channel_rx);
	close_fd(&fe->channel_fd);
}

int fe_channel_serve(struct fe *fe, int timeout_ms)
{
	struct pollfd pfd = {.fd = fe->channel_fd, .events = POLLIN};
	struct vu_msg *msg = &fe->channel_rx.msg;
	struct vu_header hdr;
	int ret, result = 0;

	if (fe->channel_fd < 0)
		return -ECONNRESET;
	ret = vu_receive(fe->channel_fd, &fe->channel_rx);
	if (ret == 0 && timeout_ms && poll(&pfd, 1, timeout_ms) > 0)
		ret = vu_receive(fe->channel_fd, &fe->channel_rx);
	if (ret == 0)
		return 0;
	if (ret > 0 && !fe_check_channel(&msg->hdr))
		ret = -EPROTO;
	if (ret < 0) {
		fe_channel_close(fe);
		return ret == -ECONNRESET ? ret : -EPROTO;
	}
	hdr = msg->hdr;
	if (hdr.request == VU_BACKEND_CONFIG_CHANGE)
		fe->config_changes++;
	if (fe->channel_fn)
		result = fe->channel_fn(fe, msg, fe->channel_arg);
	vu_receiver_reset(&fe->channel_rx);
	if (fe_answer_channel(fe->channel_fd, &hdr, result)) {
		fe_channel_close(fe);
		return -ECONNRESET;
	}
	return 1;
}

int fe_open_channel(struct fe *fe, fe_channel_fn fn, void *arg)
{
	struct vu_msg msg;
	int pair[2];
	int ret;

	fe_channel_close(fe);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	/* Ours must not block; the back-end decides about its own end. */
	if (fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK)) {
		ret = -errno;
		close_fd(&pair[0]);
		close_fd(&pair[1]);
		return ret;
	}
	fe->channel_fn = fn;
	fe->channel_arg = arg;
	fe->channel_fd = pair[0];
	fe_msg_fd(&msg, VU_SET_BACKEND_REQ_FD, pair[1]);
	ret = fe_request(fe, &msg);
	close_fd(&pair[1]);
	if (ret)
		fe_channel_close(fe);
	return ret;
}
