/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop_queue.c - see loop_queue.h: passes over a queue, and what makes the event loop begin one.
 * Layer L4, control thread.
 *
 * One timer stands for every reason to look without a kick: the first look, what a pass left, a
 * queue that has no kick fd. Timers run after the events of a round of the loop, so a queue that
 * always has work takes one pass in each round, as all others do.
 */
#include "vhost/backend/loop_queue.h"

#include "vhost/base/eventfd.h"

static void look(struct loop_timer *timer);

static void look_in(struct vu_loop_queue *queue, unsigned delay_ms)
{
	loop_timer_set(queue->loop, &queue->again, delay_ms, look);
}

static void finish(struct vu_loop_queue *queue)
{
	struct virtqueue *vq = queue->vq;

	loop_timer_cancel(queue->loop, &queue->again);
	if (queue->stopped)
		queue->stopped(queue);
	queue->vq = NULL;
	vu_queue_stopped(vq);
}

static void publish(struct virtqueue *vq)
{
	vq_publish(vq);
	vq_notify(vq);
}

/* look_again - when is the next look due? A ring that is broken is not looked at any more. */
static void look_again(struct vu_loop_queue *queue, bool left)
{
	struct virtqueue *vq = queue->vq;
	bool polled = vq->kick_fd < 0;

	if (vq->broken)
		return;
	if (left || (!polled && vq_kicks_on(vq)))
		look_in(queue, 0);
	else if (polled && !queue->again.active)
		look_in(queue, VU_LOOP_QUEUE_POLL_MS);
}

static void pass(struct vu_loop_queue *queue)
{
	struct virtqueue *vq = queue->vq;
	bool left;

	loop_timer_cancel(queue->loop, &queue->again);
	vq_kicks_off(vq);
	left = queue->serve(queue);
	if (queue->vq != vq) /* it was stopped from within */
		return;
	publish(vq);
	if (!queue->stopping)
		look_again(queue, left);
	else if (vq_owes(vq))
		look_in(queue, 0);
	else
		finish(queue);
}

static void look(struct loop_timer *timer)
{
	pass(container_of(timer, struct vu_loop_queue, again));
}

/* Syscalls: preadv2 */
static void kicked(struct loop_watch *watch, uint32_t events)
{
	struct vu_loop_queue *queue = container_of(watch, struct vu_loop_queue, kick);

	(void)events;
	eventfd_drain(watch->fd);
	vq_count_add(&queue->vq->count.kicks, 1);
	pass(queue);
}

int vu_loop_queue_start(struct vu_loop_queue *queue, struct loop *loop, struct virtqueue *vq,
			bool (*serve)(struct vu_loop_queue *queue))
{
	int ret = 0;

	assert(!queue->vq);
	queue->vq = vq;
	queue->serve = serve;
	queue->stopped = NULL;
	queue->loop = loop;
	queue->stopping = false;
	if (vq->kick_fd >= 0)
		ret = loop_watch_add(loop, &queue->kick, vq->kick_fd, EPOLLIN, kicked);
	if (ret < 0)
		vq_break(vq, "kick fd cannot be watched, errno", (unsigned)-ret, 0);
	else
		look_in(queue, 0);
	return ret;
}

void vu_loop_queue_again(struct vu_loop_queue *queue)
{
	if (queue->vq && !queue->vq->broken)
		look_in(queue, 0);
}

void vu_loop_queue_push(struct vu_loop_queue *queue, uint16_t head, uint32_t written_bytes)
{
	vq_push(queue->vq, head, written_bytes);
	publish(queue->vq);
}

void vu_loop_queue_stop(struct vu_loop_queue *queue)
{
	queue->stopping = true;
	loop_watch_del(queue->loop, &queue->kick);
	publish(queue->vq); /* what a pass had staged, if it is one that asks */
	if (vq_owes(queue->vq))
		look_in(queue, 0);
	else
		finish(queue);
}
