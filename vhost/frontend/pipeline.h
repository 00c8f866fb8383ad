/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pipeline.h - a session with a back-end in which nobody waits: requests are queued, go out as the
 * socket takes them, and their replies are matched in order as they come.
 * Beside L1 (front-end, on the event loop). The loop's thread; frontend.h is the form that waits.
 *
 * Nothing a back-end sends is trusted, and it has a time for everything: whatever breaks a rule
 * ends the session, once, with a reason in words. Functions of the caller's are called from the loop
 * only, never from within a call that queues something.
 */
#ifndef RINGSIDE_FRONTEND_PIPELINE_H
#define RINGSIDE_FRONTEND_PIPELINE_H

#include "vhost/frontend/messages.h"
#include "vhost/wire/loop.h"

#define FE_PIPELINE_TIMEOUT_MS 5000 /* of a request, from when it is the oldest unanswered */
#define FE_PIPELINE_STOP_TIMEOUT_MS \
	30000 /* of GET_VRING_BASE, which waits for the ring's requests */

struct fe_pipeline;

/*
 * How a request went. @error: 0, or -EREMOTEIO: the back-end refused; the session goes on. @reply:
 * what a query was answered with, its size and fds checked; fds may be taken out, the rest are
 * closed. It is NULL for other requests, and when refused. The session may be closed from within,
 * but neither freed nor opened. Not called for what is unanswered when the session ends.
 */
typedef void (*fe_pipeline_fn)(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg);

struct fe_pipeline_ops {
	/* The session is over; @reason says why, for a log line. All is closed already. */
	void (*lost)(struct fe_pipeline *p, const char *reason);
	/* The back-end's configuration space has changed. May be NULL. */
	void (*config_change)(struct fe_pipeline *p);
};

struct fe_pipeline {
	struct loop *loop;
	const struct fe_pipeline_ops *ops;
	unsigned timeout_ms; /* FE_PIPELINE_TIMEOUT_MS at first; for requests queued from now on */
	unsigned stop_timeout_ms;
	uint64_t protocol; /* features negotiated: with REPLY_ACK each request is answered */
	uint32_t finished; /* the request that a function is being called for */

	/* The rest is private. */
	int sock; /* -1: closed */
	struct loop_watch watch;
	struct loop_timer timer; /* the oldest request's time */
	struct list calls; /* oldest first */
	unsigned num_sent; /* of them, from the oldest on */
	const char *broken; /* what could not be queued; the timer tells of it */
	struct vu_receiver rx;

	int channel_fd; /* our end of the back-end channel, or -1 */
	struct loop_watch channel_watch;
	struct loop_timer channel_timer; /* while the channel rests */
	struct vu_receiver channel_rx;
};

/* fe_pipeline_init - closed. @ops and @loop stay the caller's. */
void fe_pipeline_init(struct fe_pipeline *p, struct loop *loop, const struct fe_pipeline_ops *ops);

/* fe_pipeline_open - talk over @sock, a connected, non-blocking stream socket, which is taken over.
 * Return: 0, or -errno of epoll_ctl(2) (the socket is then closed). */
int fe_pipeline_open(struct fe_pipeline *p, int sock);

/* fe_pipeline_close - hang up and forget what is unanswered. ops->lost is not called. Harmless when
 * closed. */
void fe_pipeline_close(struct fe_pipeline *p);

/* fe_pipeline_fail - end the session for a @reason of the caller's: close, and ops->lost. From the
 * loop only. */
void fe_pipeline_fail(struct fe_pipeline *p, const char *reason);

static inline bool fe_pipeline_is_open(const struct fe_pipeline *p)
{
	return p->sock >= 0;
}

/* fe_pipeline_idle - has everything been answered? */
static inline bool fe_pipeline_idle(const struct fe_pipeline *p)
{
	return list_empty(&p->calls);
}

/*
 * fe_pipeline_request - queue a request that has no reply of its own. With REPLY_ACK negotiated it
 * carries NEED_REPLY, and @fn is called with the answer; without, when it has been sent and what
 * was queued before is done. @fn may be NULL. @msg is copied and its fds duplicated. Where there is
 * no memory or no fd left for that, the session ends, from the loop.
 */
void fe_pipeline_request(struct fe_pipeline *p, const struct vu_msg *msg, fe_pipeline_fn fn,
			 void *arg);

/* fe_pipeline_query - the same for one that has a reply: of @reply_bytes exactly, or 0, which means
 * refused, with at most @max_fds fds. */
void fe_pipeline_query(struct fe_pipeline *p, const struct vu_msg *msg, uint32_t reply_bytes,
		       unsigned max_fds, fe_pipeline_fn fn, void *arg);

/*
 * fe_pipeline_open_channel - make the back-end channel and queue SET_BACKEND_REQ_FD. CONFIG_CHANGE
 * is reported; every other request is answered with failure, where an answer is wanted. A back-end
 * that floods it, or does not read the answers, loses it or is slowed down; the session goes on.
 * Return: 0 or -errno of socketpair(2), epoll_ctl(2).
 */
int fe_pipeline_open_channel(struct fe_pipeline *p, fe_pipeline_fn fn, void *arg);

/* fe_pipeline_close_channel - our end only. Harmless when closed; fe_pipeline_close() does it, too. */
void fe_pipeline_close_channel(struct fe_pipeline *p);

#endif
