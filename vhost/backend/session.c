/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - the life of a session: receive, quiesce, handle, restart, answer; and its end.
 * Layer L4, control thread. The theory of operation is in session.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vhost/backend/session.h"

/* Messages of one session handled before other sessions get their turn. */
#define MESSAGES_PER_EVENT 32

#define DRAIN_WARN_MS     5000u
#define DRAIN_WARN_MAX_MS 60000u

static void stop_rings(struct vu_session *s, enum vu_quiesce which)
{
	if (which == VU_QUIESCE_RING)
		vu_ring_stop(s->ring);
	for (unsigned i = 0; which == VU_QUIESCE_ALL && i < s->num_rings; i++)
		vu_ring_stop(s->rings[i]);
}

static void update_rings(struct vu_session *s, enum vu_quiesce which)
{
	if (which == VU_QUIESCE_RING)
		vu_ring_update(s->ring);
	for (unsigned i = 0; which == VU_QUIESCE_ALL && i < s->num_rings; i++)
		vu_ring_update(s->rings[i]);
}

/* Contract 1: a drain that takes long is no error, but the operator can see what it waits for. */
static void drain_is_slow(struct loop_timer *timer)
{
	struct vu_session *s = container_of(timer, struct vu_session, drain_timer);
	const char *what = s->phase == VU_SESSION_ENDING ? "the end of the connection"
							 : vu_request_name(s->rx.msg.hdr.request);
	unsigned next_ms;

	for (unsigned i = 0; i < s->num_rings; i++) {
		const struct vu_ring *ring = s->rings[i];

		if (ring->state == VU_RING_DRAINING)
			log_warn(ring->vq.name, "%s waits %u s for %u requests in flight", what,
				 s->drain_waited_ms / 1000, vu_ring_in_flight(ring));
	}
	next_ms = min_of(s->drain_waited_ms, DRAIN_WARN_MAX_MS);
	s->drain_waited_ms += next_ms;
	loop_timer_set(s->dev->loop, timer, next_ms, drain_is_slow);
}

static void watch_drain(struct vu_session *s)
{
	s->drain_waited_ms = DRAIN_WARN_MS;
	loop_timer_set(s->dev->loop, &s->drain_timer, DRAIN_WARN_MS, drain_is_slow);
}

static void session_free(struct vu_session *s)
{
	loop_timer_cancel(s->dev->loop, &s->drain_timer);
	loop_watch_del(s->dev->loop, &s->watch);
	loop_watch_del(s->dev->loop, &s->fault_watch);
	vu_receiver_reset(&s->rx);
	for (unsigned i = 0; i < s->num_rings; i++)
		vu_ring_free(s->rings[i]);
	mem_table_free(&s->mem);
	mem_dirty_unmap(&s->log);
	mem_unmap(&s->inflight.map);
	close_fd(&s->fault_fd);
	free(s);
}

/* The socket is closed last: it tells the front-end that its memory is its own again. */
static void finish(struct mail *mail)
{
	struct vu_session *s = container_of(mail, struct vu_session, end_mail);
	struct vu_device *dev = s->dev;
	int sock = s->sock;

	session_free(s);
	dev->session = NULL;
	if (dev->ops->disconnected)
		dev->ops->disconnected(dev);
	vu_hang_up(&sock);
	if (!dev->closing) {
		endpoint_resume(&dev->endpoint);
		return;
	}
	endpoint_close(&dev->endpoint);
	dev->on_closed(dev);
}

void vu_session_end(struct vu_session *s, enum log_level level, const char *fmt, ...)
{
	char why[sizeof(s->why) + 64];
	va_list args;

	if (s->phase == VU_SESSION_ENDING)
		return;
	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	log_line(level, s->dev->name, "%s", why);

	s->phase = VU_SESSION_ENDING;
	loop_watch_del(s->dev->loop, &s->watch);
	vu_channel_close(&s->channel);
	vu_state_abort(&s->state, -ECONNRESET);
	stop_rings(s, VU_QUIESCE_ALL);
	if (s->draining)
		watch_drain(s);
	else
		loop_post(s->dev->loop, &s->end_mail, finish);
}

int vu_refuse(struct vu_session *s, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, args);
	va_end(args);
	return err;
}

static bool wants_ack(const struct vu_session *s)
{
	return s->rx.msg.hdr.flags & VU_FLAG_NEED_REPLY &&
	       s->protocol_features & VU_BIT(VU_PF_REPLY_ACK);
}

static void send_reply(struct vu_session *s, struct vu_msg *reply)
{
	int rc;

	reply->hdr.flags |= VU_FLAG_REPLY;
	rc = vu_send(s->sock, reply);
	if (rc)
		vu_session_end(s, LOG_WARN, "cannot answer %s: %s, disconnecting",
			       vu_request_name(reply->hdr.request), strerror(-rc));
}

static void send_ack(struct vu_session *s, int rc)
{
	struct vu_msg reply;

	vu_msg_init(&reply, s->rx.msg.hdr.request);
	reply.hdr.size = sizeof(reply.payload.u64);
	reply.payload.u64 = (uint64_t)-rc;
	send_reply(s, &reply);
}

/*
 * refuse - a message that breaks a rule. Where the front-end listens for an answer it gets one;
 * otherwise it would go on believing, and only a closed connection tells it.
 */
static void refuse(struct vu_session *s, int rc)
{
	const char *name = vu_request_name(s->rx.msg.hdr.request);

	if (rc == VU_OUT_OF_STEP || !wants_ack(s) || (s->info && s->info->reply == VU_REPLY_OWN)) {
		vu_session_end(s, LOG_WARN, "%s: %s; disconnecting", name, s->why);
		return;
	}
	log_warn_limited(&s->log_limit, s->dev->name, "%s refused: %s", name, s->why);
	send_ack(s, rc);
}

/* handle - the rings concerned are ours: change, restart, answer. */
static void handle(struct vu_session *s)
{
	const struct vu_request_info *info = s->info;
	struct vu_msg *msg = &s->rx.msg;
	struct vu_msg reply;
	int rc;

	vu_msg_init(&reply, msg->hdr.request);
	s->why[0] = '\0';
	rc = info->handle(s, msg, s->ring, &reply);
	update_rings(s, info->quiesce);
	if (rc)
		refuse(s, rc);
	else if (info->reply == VU_REPLY_OWN)
		send_reply(s, &reply);
	else if (wants_ack(s))
		send_ack(s, 0);
	if (!rc && info->answered && s->phase != VU_SESSION_ENDING)
		info->answered(s->ring);
	vu_msg_close_fds(&reply);
	vu_receiver_reset(&s->rx);
}

/* begin - a whole message is in rx. */
static void begin(struct vu_session *s)
{
	struct vu_msg *msg = &s->rx.msg;
	int rc;

	log_debug(s->dev->name, "%s: %u bytes, %u fds", vu_request_name(msg->hdr.request),
		  msg->hdr.size, msg->num_fds);
	rc = vu_request_check(s, msg);
	if (rc) {
		refuse(s, rc);
		vu_receiver_reset(&s->rx);
		return;
	}
	if (!s->info->at_once || !s->info->at_once(s, msg))
		stop_rings(s, s->info->quiesce);
	if (!s->draining) {
		handle(s);
		return;
	}
	s->phase = VU_SESSION_QUIESCING;
	loop_watch_events(s->dev->loop, &s->watch, 0);
	watch_drain(s);
}

void vu_session_drained(struct vu_session *s)
{
	loop_timer_cancel(s->dev->loop, &s->drain_timer);
	if (s->phase == VU_SESSION_ENDING) {
		loop_post(s->dev->loop, &s->end_mail, finish);
		return;
	}
	s->phase = VU_SESSION_SERVING;
	handle(s);
	if (s->phase == VU_SESSION_SERVING)
		loop_watch_events(s->dev->loop, &s->watch, EPOLLIN);
}

static void receive_failed(struct vu_session *s, int rc)
{
	if (rc == -ECONNRESET)
		vu_session_end(s, LOG_INFO, "front-end disconnected");
	else if (rc == -EBADMSG)
		vu_session_end(s, LOG_WARN,
			       "malformed message: expected version %u, and fds with the first "
			       "byte only; disconnecting",
			       VU_VERSION);
	else if (rc == -EMSGSIZE)
		vu_session_end(s, LOG_WARN,
			       "message too large: expected at most %u bytes of payload and %u "
			       "fds; disconnecting",
			       VU_MAX_PAYLOAD, VU_MAX_FDS);
	else
		vu_session_end(s, LOG_WARN, "receive: %s; disconnecting", strerror(-rc));
}

static void session_event(struct loop_watch *watch, uint32_t events)
{
	struct vu_session *s = container_of(watch, struct vu_session, watch);

	(void)events; /* what there is to know, receiving tells */
	for (unsigned i = 0; i < MESSAGES_PER_EVENT && s->phase == VU_SESSION_SERVING; i++) {
		int rc = vu_receive(s->sock, &s->rx);

		if (rc == 0)
			return;
		if (rc < 0)
			receive_failed(s, rc);
		else
			begin(s);
	}
}

static void memory_failed(struct loop_watch *watch, uint32_t events)
{
	struct vu_session *s = container_of(watch, struct vu_session, fault_watch);

	(void)events;
	loop_watch_del(s->dev->loop, watch);
	vu_session_end(s, LOG_WARN,
		       "guest memory, the log or the in-flight region went away under an access: "
		       "its file was cut short; disconnecting");
}

static int watch_memory(struct vu_session *s)
{
	s->fault_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fault_fd < 0)
		return -errno;
	s->mem.fault_fd = s->fault_fd;
	return loop_watch_add(s->dev->loop, &s->fault_watch, s->fault_fd, EPOLLIN, memory_failed);
}

int vu_session_create(struct vu_device *dev, int sock)
{
	struct vu_session *s;
	int rc;

	s = calloc(1, sizeof(*s) + dev->num_queues * sizeof(s->rings[0]));
	if (!s)
		return -ENOMEM;
	s->dev = dev;
	s->sock = sock;
	vu_receiver_init(&s->rx);
	vu_channel_init(&s->channel, dev->loop, dev->name);
	vu_state_init(&s->state, dev);
	s->fault_fd = -1;
	rc = mem_table_init(&s->mem);
	if (!rc)
		rc = watch_memory(s);
	while (!rc && s->num_rings < dev->num_queues) {
		rc = vu_ring_create(s, s->num_rings, &s->rings[s->num_rings]);
		if (!rc)
			s->num_rings++;
	}
	if (!rc)
		rc = loop_watch_add(dev->loop, &s->watch, sock, EPOLLIN, session_event);
	if (rc) {
		session_free(s);
		return rc;
	}
	dev->session = s;
	log_info(dev->name, "front-end connected");
	return 0;
}
