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

void fe_channel_close(struct fe *fe)
{
	if (fe->channel_fd < 0)
		return;
	vu_receiver_reset(&fe->channel_rx);
	close_fd(&fe->channel_fd);
}

/* Payload bytes of a back-end request; any, for one we do not know. */
static bool channel_size_ok(const struct vu_header *hdr)
{
	switch (hdr->request) {
	case VU_BACKEND_IOTLB_MSG:
		return hdr->size == sizeof(struct vu_iotlb);
	case VU_BACKEND_CONFIG_CHANGE:
		return hdr->size == 0;
	case VU_BACKEND_HOST_NOTIFIER:
		return hdr->size == sizeof(struct vu_vring_area);
	case VU_BACKEND_VRING_CALL:
	case VU_BACKEND_VRING_ERR:
		return hdr->size == sizeof(struct vu_vring_state);
	default:
		return true;
	}
}

static int channel_answer(struct fe *fe, uint32_t request, uint32_t flags, int result)
{
	struct vu_msg reply;

	if (!(flags & VU_FLAG_NEED_REPLY))
		return 0;
	vu_msg_init(&reply, request);
	reply.hdr.flags = VU_VERSION | VU_FLAG_REPLY;
	reply.hdr.size = sizeof(reply.payload.u64);
	reply.payload.u64 = result ? 1 : 0;
	/* Never waits: a back-end that does not read its answers loses the channel. */
	return vu_send(fe->channel_fd, &reply);
}

int fe_channel_serve(struct fe *fe, int timeout_ms)
{
	struct pollfd pfd = {.fd = fe->channel_fd, .events = POLLIN};
	struct vu_msg *msg = &fe->channel_rx.msg;
	uint32_t request, flags;
	int ret, result = 0;

	if (fe->channel_fd < 0)
		return -ECONNRESET;
	ret = vu_receive(fe->channel_fd, &fe->channel_rx);
	if (ret == 0 && timeout_ms && poll(&pfd, 1, timeout_ms) > 0)
		ret = vu_receive(fe->channel_fd, &fe->channel_rx);
	if (ret == 0)
		return 0;
	if (ret > 0 && ((msg->hdr.flags & VU_FLAG_REPLY) || !channel_size_ok(&msg->hdr)))
		ret = -EPROTO;
	if (ret < 0) {
		fe_channel_close(fe);
		return ret == -ECONNRESET ? ret : -EPROTO;
	}
	request = msg->hdr.request;
	flags = msg->hdr.flags;
	if (request == VU_BACKEND_CONFIG_CHANGE)
		fe->config_changes++;
	if (fe->channel_fn)
		result = fe->channel_fn(fe, msg, fe->channel_arg);
	vu_receiver_reset(&fe->channel_rx);
	if (channel_answer(fe, request, flags, result)) {
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
	vu_msg_init(&msg, VU_SET_BACKEND_REQ_FD);
	msg.fds[0] = pair[1];
	msg.num_fds = 1;
	ret = fe_request(fe, &msg);
	close_fd(&pair[1]);
	if (ret)
		fe_channel_close(fe);
	return ret;
}
