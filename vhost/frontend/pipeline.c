/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pipeline.c - see pipeline.h. Beside L1 (front-end), the loop's thread.
 *
 * A back-end handles requests in order, so replies come in order: the oldest call is the one that
 * a reply must be to. Only the oldest call's time runs; it begins when the call before is done.
 */
#include "vhost/frontend/pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost/base/util.h"

#define TURN 32 /* replies in one turn of the loop */

/* Requests sent and not done. Were it any number, we could be at sending so long that there is no room
 * left for the replies, and a back-end does not wait for one that takes none: it hangs up. */
#define WINDOW 64

/* A request, from when it is queued until it is done. Behind it the payload. */
struct call {
	struct list node;
	fe_pipeline_fn fn;
	void *arg;
	bool answered; /* there will be a reply: @reply_bytes, @max_fds */
	bool query; /* of its own, not an acknowledgement */
	uint32_t reply_bytes;
	unsigned max_fds;
	unsigned timeout_ms;
	struct vu_header hdr;
	unsigned num_fds;
	int *fds; /* ours, until it is sent */
	uint8_t payload[];
};

/* --- life --- */

void fe_pipeline_init(struct fe_pipeline *p, struct loop *loop, const struct fe_pipeline_ops *ops)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	p->ops = ops;
	p->timeout_ms = FE_PIPELINE_TIMEOUT_MS;
	p->stop_timeout_ms = FE_PIPELINE_STOP_TIMEOUT_MS;
	p->sock = p->channel_fd = -1;
	list_init(&p->calls);
}

static struct call *oldest(const struct fe_pipeline *p)
{
	if (list_empty(&p->calls))
		return NULL;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what is freed has been taken off the list */
	return list_entry(p->calls.next, struct call, node);
}

static void close_call_fds(struct call *call)
{
	for (unsigned i = 0; i < call->num_fds; i++)
		vu_close_received(&call->fds[i]); /* it may be the in-flight region */
	call->num_fds = 0;
}

static void free_call(struct call *call)
{
	list_del(&call->node);
	close_call_fds(call);
	free(call->fds);
	free(call);
}

void fe_pipeline_close(struct fe_pipeline *p)
{
	struct list *pos, *next;

	if (p->sock < 0)
		return;
	fe_pipeline_close_channel(p);
	loop_timer_cancel(p->loop, &p->timer);
	loop_watch_del(p->loop, &p->watch);
	vu_receiver_reset(&p->rx);
	list_for_each_safe (pos, next, &p->calls)
		free_call(list_entry(pos, struct call, node));
	p->num_sent = 0;
	vu_hang_up(&p->sock);
}

void fe_pipeline_fail(struct fe_pipeline *p, const char *reason)
{
	char copy[256];

	/* It may lie in what is closed. */
	snprintf(copy, sizeof(copy), "%s", reason);
	fe_pipeline_close(p);
	p->ops->lost(p, copy);
}

static void printf_like(2, 3) fail(struct fe_pipeline *p, const char *fmt, ...)
{
	char reason[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	fe_pipeline_fail(p, reason);
}

/* --- the oldest call --- */

static void on_time_over(struct loop_timer *timer)
{
	struct fe_pipeline *p = container_of(timer, struct fe_pipeline, timer);
	struct call *call = oldest(p);

	if (p->broken)
		fail(p, "%s", p->broken);
	else if (call && p->num_sent)
		fail(p, "it has not answered %s for %g s", vu_request_name(call->hdr.request),
		     call->timeout_ms / 1000.0);
	else if (call)
		fail(p, "it has not read %s for %g s", vu_request_name(call->hdr.request),
		     call->timeout_ms / 1000.0);
}

static void watch_time(struct fe_pipeline *p)
{
	const struct call *call = oldest(p);

	if (p->broken)
		loop_timer_set(p->loop, &p->timer, 0, on_time_over);
	else if (call)
		loop_timer_set(p->loop, &p->timer, call->timeout_ms, on_time_over);
	else
		loop_timer_cancel(p->loop, &p->timer);
}

/* finish - the oldest call is done. Its function may close the session. */
static void finish(struct fe_pipeline *p, int error, struct vu_msg *reply)
{
	struct call *call = oldest(p);
	fe_pipeline_fn fn = call->fn;
	void *arg = call->arg;

	p->num_sent--;
	p->finished = call->hdr.request;
	free_call(call);
	watch_time(p);
	if (fn)
		fn(p, error, reply, arg);
}

/* finish_sent - calls that nothing is awaited for, up to the first that is answered. */
static void finish_sent(struct fe_pipeline *p)
{
	while (p->num_sent && !oldest(p)->answered)
		finish(p, 0, NULL);
}

/* --- out --- */

/* send_call - Return: 0, -EAGAIN, -errno. */
static int send_call(struct fe_pipeline *p, struct call *call)
{
	struct vu_msg msg;
	int ret;

	msg.hdr = call->hdr;
	memcpy(msg.payload.bytes, call->payload, call->hdr.size);
	msg.num_fds = call->num_fds;
	if (call->num_fds)
		memcpy(msg.fds, call->fds, call->num_fds * sizeof(msg.fds[0]));
	ret = vu_send(p->sock, &msg);
	if (ret == 0)
		close_call_fds(call);
	return ret;
}

static struct call *first_unsent(const struct fe_pipeline *p)
{
	struct list *node = p->calls.next;

	for (unsigned i = 0; i < p->num_sent; i++)
		node = node->next;
	return node == &p->calls ? NULL : list_entry(node, struct call, node);
}

/* watch_socket - is there something to send, and may it be? */
static void watch_socket(struct fe_pipeline *p)
{
	bool out = p->num_sent < WINDOW && first_unsent(p);

	loop_watch_events(p->loop, &p->watch, out ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* flush - send what the socket takes. */
static void flush(struct fe_pipeline *p)
{
	struct call *call;

	while (p->num_sent < WINDOW && (call = first_unsent(p))) {
		int ret = send_call(p, call);

		if (ret == -EAGAIN)
			break;
		if (ret < 0) {
			fail(p, "%s cannot be sent: %s", vu_request_name(call->hdr.request),
			     strerror(-ret));
			return;
		}
		p->num_sent++;
	}
	finish_sent(p);
	watch_socket(p);
}

/* dup_fds - Syscalls: fcntl(cmd=F_DUPFD_CLOEXEC) */
static int dup_fds(struct call *call, const struct vu_msg *msg)
{
	call->fds = calloc(msg->num_fds, sizeof(call->fds[0]));
	if (!call->fds)
		return -ENOMEM;
	for (; call->num_fds < msg->num_fds; call->num_fds++) {
		int fd = fcntl(msg->fds[call->num_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		call->fds[call->num_fds] = fd;
	}
	return 0;
}

static struct call *new_call(const struct vu_msg *msg)
{
	struct call *call = calloc(1, sizeof(*call) + msg->hdr.size);

	if (!call)
		return NULL;
	list_init(&call->node);
	call->hdr = msg->hdr;
	memcpy(call->payload, msg->payload.bytes, msg->hdr.size);
	if (msg->num_fds && dup_fds(call, msg) < 0) {
		free_call(call);
		return NULL;
	}
	return call;
}

/* queue - @call behind the others; it is sent from the loop, together with what follows. */
static void queue(struct fe_pipeline *p, struct call *call, fe_pipeline_fn fn, void *arg)
{
	if (!call) {
		p->broken = "out of memory or file descriptors";
		watch_time(p);
		return;
	}
	call->fn = fn;
	call->arg = arg;
	call->timeout_ms =
		call->hdr.request == VU_GET_VRING_BASE ? p->stop_timeout_ms : p->timeout_ms;
	list_add_tail(&p->calls, &call->node);
	if (oldest(p) == call)
		watch_time(p);
	watch_socket(p);
}

void fe_pipeline_request(struct fe_pipeline *p, const struct vu_msg *msg, fe_pipeline_fn fn,
			 void *arg)
{
	struct call *call;

	if (p->sock < 0 || p->broken)
		return;
	call = new_call(msg);
	if (call && p->protocol & VU_BIT(VU_PF_REPLY_ACK)) {
		call->hdr.flags |= VU_FLAG_NEED_REPLY;
		call->answered = true;
		call->reply_bytes = sizeof(uint64_t);
	}
	queue(p, call, fn, arg);
}

void fe_pipeline_query(struct fe_pipeline *p, const struct vu_msg *msg, uint32_t reply_bytes,
		       unsigned max_fds, fe_pipeline_fn fn, void *arg)
{
	struct call *call;

	if (p->sock < 0 || p->broken)
		return;
	call = new_call(msg);
	if (call) {
		call->answered = call->query = true;
		call->reply_bytes = reply_bytes;
		call->max_fds = max_fds;
	}
	queue(p, call, fn, arg);
}

/* --- in --- */

/* take_reply - a whole message is in rx. */
static void take_reply(struct fe_pipeline *p)
{
	const struct call *call = p->num_sent ? oldest(p) : NULL;
	struct vu_msg *reply = &p->rx.msg;
	int ret;

	if (!call) {
		fail(p, "it sends %s, which nobody asked for", vu_request_name(reply->hdr.request));
		return;
	}
	ret = fe_check_reply(reply, call->hdr.request, call->reply_bytes, call->max_fds);
	if (ret == -EPROTO) {
		fail(p, "a wrong reply to %s: %s, flags 0x%x, %u bytes, %u fds",
		     vu_request_name(call->hdr.request), vu_request_name(reply->hdr.request),
		     reply->hdr.flags, reply->hdr.size, reply->num_fds);
		return;
	}
	if (!call->query && ret == 0 && reply->payload.u64)
		ret = -EREMOTEIO;
	finish(p, ret, ret == 0 && call->query ? reply : NULL);
}

static void receive_failed(struct fe_pipeline *p, int error)
{
	if (error == -ECONNRESET)
		fail(p, "it hung up");
	else if (error == -EBADMSG || error == -EMSGSIZE)
		fail(p, "what it sends is no message");
	else
		fail(p, "receive: %s", strerror(-error));
}

static void on_socket(struct loop_watch *watch, uint32_t events)
{
	struct fe_pipeline *p = container_of(watch, struct fe_pipeline, watch);

	if (events & EPOLLOUT)
		flush(p);
	for (unsigned i = 0; i < TURN && p->sock >= 0; i++) {
		int ret = vu_receive(p->sock, &p->rx);

		if (ret == 0)
			return;
		if (ret < 0) {
			receive_failed(p, ret);
			return;
		}
		take_reply(p);
		if (p->sock >= 0) {
			vu_receiver_reset(&p->rx);
			finish_sent(p);
			watch_socket(p);
		}
	}
}

int fe_pipeline_open(struct fe_pipeline *p, int sock)
{
	int ret = loop_watch_add(p->loop, &p->watch, sock, EPOLLIN, on_socket);

	if (ret < 0) {
		close_fd(&sock);
		return ret;
	}
	p->sock = sock;
	p->protocol = 0;
	p->broken = NULL;
	p->num_sent = 0;
	vu_receiver_init(&p->rx);
	vu_receiver_init(&p->channel_rx);
	return 0;
}
