/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop_queue.h - a queue whose thread is the control thread: for devices with little to do.
 * Layer L4, control thread.
 *
 * The device embeds one of these for each queue, starts it in queue_start, stops it in queue_stop,
 * and is called when there may be chains. Kicks, their suppression, queues without a kick fd
 * (polled), chains of a process before and turns between many queues are dealt with here.
 */
#ifndef RINGSIDE_BACKEND_LOOP_QUEUE_H
#define RINGSIDE_BACKEND_LOOP_QUEUE_H

#include <stdbool.h>

#include "vhost/backend/device.h"

#define VU_LOOP_QUEUE_POLL_MS 10 /* a queue without a kick fd is looked at this often */

struct vu_loop_queue {
	struct virtqueue *vq; /* NULL: not started */
	/*
	 * serve - pop, count (vq->count.chains), push; publishing and notifying are done by the
	 * caller. Bounded work: after some milliseconds it returns, and is called again after
	 * others had their turn. While the ring owes chains (vq_owes) it takes them, whatever else.
	 * Return: true when it stopped early, with chains left.
	 */
	bool (*serve)(struct vu_loop_queue *queue);

	/*
	 * stopped - the last word on this run of the queue: serve() is not called any more, and
	 * vu_queue_stopped() follows. Set between start and stop; NULL: nobody wants to know.
	 */
	void (*stopped)(struct vu_loop_queue *queue);

	/* Private: */
	struct loop *loop;
	struct loop_watch kick;
	struct loop_timer again; /* the next look that waits for no kick */
	bool stopping;
};

/*
 * vu_loop_queue_start - @queue (zeroed, or stopped) serves @vq from now on; the first look is taken
 * from the loop, not from within. Return: 0, or -errno when the kick fd cannot be watched: then the
 * ring counts as broken, which has been logged, nothing is served, and it is stopped all the same.
 */
int vu_loop_queue_start(struct vu_loop_queue *queue, struct loop *loop, struct virtqueue *vq,
			bool (*serve)(struct vu_loop_queue *queue));

/* vu_loop_queue_again - look at it again soon, kicked or not (after what serve() left, say).
 * Harmless when it is not started. */
void vu_loop_queue_again(struct vu_loop_queue *queue);

/* vu_loop_queue_push - for a chain that serve() kept: push, publish and notify now. */
void vu_loop_queue_push(struct vu_loop_queue *queue, uint16_t head, uint32_t written_bytes);

/*
 * vu_loop_queue_stop - it is asked back. The device has pushed what serve() kept. Kicks are not
 * listened to any more; stopped() and vu_queue_stopped() are called before this returns, but for a
 * ring that owes chains of a process before: those are served first, in turns with others.
 */
void vu_loop_queue_stop(struct vu_loop_queue *queue);

#endif
