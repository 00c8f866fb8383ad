/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pipeline_channel.c - the back-end channel of a session in which nobody waits: requests that come the
 * other way, checked and answered. Beside L1 (front-end), the loop's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "vhost/base/util.h"
#include "vhost/frontend/pipeline.h"

#define TURN    32 /* requests in one turn of the loop */
#define REST_MS 10 /* after a turn that did not empty the channel */

void fe_pipeline_close_channel(struct fe_pipeline *p)
{
	if (p->channel_fd < 0)
		return;
	loop_timer_cancel(p->loop, &p->channel_timer);
	loop_watch_del(p->loop, &p->channel_watch);
	vu_receiver_reset(&p->channel_rx);
	vu_hang_up(&p->channel_fd);
}

/* take_request - a whole message is in channel_rx. Return: 0, or -errno: the channel is to go. */
static int take_request(struct fe_pipeline *p)
{
	struct vu_header hdr = p->channel_rx.msg.hdr;
	bool known = hdr.request == VU_BACKEND_CONFIG_CHANGE;

	vu_receiver_reset(&p->channel_rx); /* fds that came along are nobody's */
	if (!fe_check_channel(&hdr))
		return -EPROTO;
	if (known && p->ops->config_change)
		p->ops->config_change(p);
	if (p->channel_fd < 0)
		return -ECONNRESET; /* closed from within */
	return fe_answer_channel(p->channel_fd, &hdr, known ? 0 : -EOPNOTSUPP);
}

static void on_channel_rested(struct loop_timer *timer)
{
	struct fe_pipeline *p = container_of(timer, struct fe_pipeline, channel_timer);

	loop_watch_events(p->loop, &p->channel_watch, EPOLLIN);
}

static void on_channel(struct loop_watch *watch, uint32_t events)
{
	struct fe_pipeline *p = container_of(watch, struct fe_pipeline, channel_watch);

	(void)events;
	for (unsigned i = 0; i < TURN; i++) {
		int ret = vu_receive(p->channel_fd, &p->channel_rx);

		if (ret == 0)
			return;
		if (ret > 0)
			ret = take_request(p);
		if (ret < 0) {
			fe_pipeline_close_channel(p);
			return;
		}
	}
	loop_watch_events(p->loop, watch, 0);
	loop_timer_set(p->loop, &p->channel_timer, REST_MS, on_channel_rested);
}

/* Syscalls: socketpair, fcntl(cmd=F_SETFL) */
int fe_pipeline_open_channel(struct fe_pipeline *p, fe_pipeline_fn fn, void *arg)
{
	struct vu_msg msg;
	int pair[2], ret;

	fe_pipeline_close_channel(p);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	/* Ours must not block; the back-end decides about its own end. */
	ret = fcntl(pair[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0 ? -errno : 0;
	if (ret == 0)
		ret = loop_watch_add(p->loop, &p->channel_watch, pair[0], EPOLLIN, on_channel);
	if (ret == 0) {
		p->channel_fd = pair[0];
		fe_msg_fd(&msg, VU_SET_BACKEND_REQ_FD, pair[1]);
		fe_pipeline_request(p, &msg, fn, arg);
	} else {
		close_fd(&pair[0]);
	}
	close_fd(&pair[1]);
	return ret;
}
