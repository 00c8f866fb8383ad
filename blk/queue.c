/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.c - the queues of an I/O thread: take chains and start them, reap completions, publish;
 * and how a queue comes and goes. thread.c calls it, pass after pass. Layer L5.
 */
#include "blk/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "blk/bounce.h"
#include "blk/uring.h"
#include "vhost/backend/device.h"
#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

/* --- completing --- */

/* request_done - answer a finished request: status byte, used element, counters. */
static void request_done(struct blk_request *req)
{
	struct blk_queue *queue = req->queue;
	struct blk_stats *stats = queue->stats;
	uint32_t written = req->written_bytes;

	if (likely(req->status_at)) {
		*(volatile uint8_t *)req->status_at = req->status;
		written++;
	}
	if (unlikely(req->cause))
		vq_count_add(&stats->errors[req->cause], 1);
	vq_push(queue->vq, req->chain.head, written);
	queue->staged = true;
	queue->free[queue->num_free++] = &req->chain;
}

/* count_done - @n requests of one operation ended, each after @ns. */
static void count_done(struct blk_stats *stats, unsigned op, uint64_t n, uint64_t bytes,
		       uint64_t ns)
{
	vq_count_add(&stats->ops[op], n);
	vq_count_add(&stats->bytes[op], bytes);
	hist_add(&stats->latency[op], ns, n);
}

static void queue_publish(struct blk_queue *queue)
{
	queue->staged = false;
	vq_publish(queue->vq);
	vq_notify(queue->vq);
}

/* --- taking --- */

/* What ended within one burst, by operation: the histogram gets it in one step each. */
struct burst {
	unsigned ops[BLK_OPS + 1];
	uint64_t bytes[BLK_OPS + 1];
};

static void burst_count(struct blk_queue *queue, const struct burst *burst, uint64_t ns)
{
	unsigned op;

	for (op = 0; op < BLK_OPS; op++)
		if (burst->ops[op])
			count_done(queue->stats, op, burst->ops[op], burst->bytes[op], ns);
}

static inline struct blk_request *chain_request(struct vq_chain *chain)
{
	return container_of(chain, struct blk_request, chain);
}

/* queue_take - pop up to BLK_BURST waiting chains into @taken. Return: how many. */
static unsigned queue_take(struct blk_queue *queue, struct vq_chain **taken)
{
	unsigned i, n, got;

	n = vq_waiting(queue->vq, min_of(queue->num_free, (unsigned)BLK_BURST));
	if (!n || unlikely(queue->thread->in_flight + n > BLK_MAX_IN_FLIGHT))
		return 0;
	for (i = 0; i < n; i++) {
		struct blk_request *req;

		taken[i] = queue->free[--queue->num_free];
		req = chain_request(taken[i]);
		/* Set here, not once for all, so that requests never used stay untouched. */
		req->queue = queue;
		req->image = queue->image;
		req->chain.iov = req->iov;
		req->chain.max_iov = BLK_MAX_IOV;
	}
	got = vq_pop_burst(queue->vq, taken, n);
	assert(got <= n);
	for (i = got; i < n; i++)
		queue->free[queue->num_free++] = taken[i];
	/* The headers are in the driver's cache: ask for all before using the first. */
	for (i = 0; i < got; i++)
		if (taken[i]->num_out)
			__builtin_prefetch(taken[i]->iov[0].iov_base);
	return got;
}

/*
 * queue_pass - take a burst and start it. Return: how many requests it had.
 *
 * The first request is submitted at once, then two together, then four: the device works on it
 * while the rest is being prepared, and a burst still costs few system calls. Submitting a burst
 * of 32 as one left a virtual disk idle for a tenth of the time.
 */
static unsigned queue_pass(struct blk_thread *thread, struct blk_queue *queue)
{
	const struct blk_backend *backend = queue->image->backend;
	struct vq_chain *taken[BLK_BURST];
	struct burst burst = {0};
	unsigned together = 1;
	unsigned i, n;

	n = queue_take(queue, taken);
	if (!n)
		return 0;
	vq_kicks_off(queue->vq);
	vq_count_add(&queue->vq->count.chains, n);
	for (i = 0; i < n; i++) {
		struct blk_request *req = chain_request(taken[i]);

		req->start_ticks = thread->now;
		if (!blk_request_parse(req, &queue->limits) || backend->start(thread, req)) {
			burst.ops[req->op]++;
			burst.bytes[req->op] += req->data_bytes;
			request_done(req);
		} else {
			thread->in_flight++;
			together = uring_flush_at(thread, together);
		}
	}
	if (queue->staged) {
		queue_publish(queue);
		burst_count(queue, &burst, clock_ticks_to_ns(clock_ticks() - thread->now));
	}
	return n;
}

unsigned blk_queues_take(struct blk_thread *thread)
{
	unsigned i, n = 0;

	for (i = 0; i < thread->num_queues; i++)
		if (likely(!thread->queues[i]->stopping) || vq_owes(thread->queues[i]->vq))
			n += queue_pass(thread, thread->queues[i]);
	return n;
}

/* --- reaping --- */

/* poll_ended - watch the kick fd again, unless the kernel cannot: to try for ever would only keep
 * the thread awake. */
static void poll_ended(struct blk_thread *thread, struct blk_queue *queue, int result)
{
	queue->kick_armed = false;
	if (queue->stopping)
		return;
	if (result < 0) {
		vq_break(queue->vq, "kick fd cannot be watched, errno", (unsigned)-result,
			 queue->vq->size);
		return;
	}
	uring_arm_poll(thread, queue->vq->kick_fd, URING_KICK, queue);
	queue->kick_armed = true;
}

static void handle_completion(struct blk_thread *thread, const struct io_uring_cqe *cqe)
{
	void *object = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)URING_TAG_MASK);
	struct blk_request *req = object;
	struct blk_queue *queue = object;

	switch ((enum uring_tag)(cqe->user_data & URING_TAG_MASK)) {
	case URING_REQUEST:
		if (req->image->backend->complete(thread, req, cqe->res)) {
			thread->in_flight--;
			count_done(req->queue->stats, req->op, 1, req->data_bytes,
				   clock_ticks_to_ns(thread->now - req->start_ticks));
			request_done(req);
		}
		break;
	case URING_KICK:
		vq_count_add(&queue->vq->count.kicks, 1);
		if (!(cqe->flags & IORING_CQE_F_MORE))
			poll_ended(thread, queue, cqe->res);
		break;
	case URING_MAIL:
		if (!(cqe->flags & IORING_CQE_F_MORE))
			thread->mail_armed = false;
		mailbox_run(&thread->mailbox);
		break;
	default:
		break;
	}
}

unsigned blk_queues_reap(struct blk_thread *thread)
{
	struct io_uring_cqe *cqe;
	unsigned head, i, n = 0;

	if (!uring_pending(thread))
		return 0;
	/* Some may have been started in this very pass, and are not to count as done in no time. */
	thread->now = clock_ticks();
	io_uring_for_each_cqe(&thread->ring, head, cqe)
	{
		handle_completion(thread, cqe);
		n++;
	}
	io_uring_cq_advance(&thread->ring, n);
	for (i = 0; i < thread->num_queues; i++)
		if (thread->queues[i]->staged)
			queue_publish(thread->queues[i]);
	return n;
}

/* --- queues come and go --- */

static void queue_free(struct blk_queue *queue)
{
	munmap(queue->requests, queue->requests_bytes);
	free(queue);
}

/* A bad kick fd or a lazy front-end: without one the ring is looked at all the time. */
static void watch_kicks(struct blk_thread *thread, struct blk_queue *queue)
{
	if (queue->vq->kick_fd < 0) {
		thread->num_pollers++;
		return;
	}
	uring_arm_poll(thread, queue->vq->kick_fd, URING_KICK, queue);
	queue->kick_armed = true;
}

static void queue_added(struct mail *mail)
{
	struct blk_queue *queue = container_of(mail, struct blk_queue, start_mail);
	struct blk_thread *thread = queue->thread;

	if (thread->opt.cpu < 0 && thread->opt.node < 0)
		affinity_run_on_node(affinity_node_of_memory(queue->vq->desc));
	thread->queues[thread->num_queues++] = queue;
	watch_kicks(thread, queue);
}

static void queue_stopping(struct mail *mail)
{
	struct blk_queue *queue = container_of(mail, struct blk_queue, stop_mail);

	queue->stopping = true;
	queue->thread->num_stopping++;
	if (queue->kick_armed)
		uring_cancel_poll(queue->thread, URING_KICK, queue);
}

static void queue_remove(struct blk_thread *thread, unsigned i)
{
	struct blk_queue *queue = thread->queues[i];
	struct virtqueue *vq = queue->vq;

	thread->queues[i] = thread->queues[--thread->num_queues];
	thread->num_stopping--;
	if (vq->kick_fd < 0)
		thread->num_pollers--;
	queue_free(queue);
	vu_queue_stopped(vq);
}

void blk_queues_remove_drained(struct blk_thread *thread)
{
	unsigned i = thread->num_queues;

	while (i-- > 0) {
		struct blk_queue *queue = thread->queues[i];

		if (queue->stopping && queue->num_free == queue->num_requests &&
		    !queue->kick_armed && !vq_owes(queue->vq))
			queue_remove(thread, i);
	}
}

/* Syscalls: mmap(prot!PROT_EXEC) */
int blk_queue_start(struct blk_thread *thread, struct virtqueue *vq, struct blk_image *image,
		    const struct blk_limits *limits, struct blk_stats *stats)
{
	struct blk_queue *queue = aligned_alloc(CACHELINE_BYTES, sizeof(*queue));
	unsigned i;

	if (!queue)
		return -ENOMEM;
	memset(queue, 0, sizeof(*queue));
	queue->vq = vq;
	queue->thread = thread;
	queue->image = image;
	queue->limits = *limits;
	queue->stats = stats;
	queue->num_requests = queue->num_free = vq->size;
	queue->requests_bytes = vq->size * (sizeof(struct blk_request) + sizeof(queue->free[0]));
	queue->requests = mmap(NULL, queue->requests_bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (queue->requests == MAP_FAILED) {
		free(queue);
		return -ENOMEM;
	}
	queue->free = (struct vq_chain **)(queue->requests + vq->size);
	for (i = 0; i < vq->size; i++)
		queue->free[i] = &queue->requests[vq->size - 1 - i].chain;
	vq->device_data = queue;
	mailbox_post(&thread->mailbox, &queue->start_mail, queue_added);
	return 0;
}

void blk_queue_stop(struct blk_queue *queue)
{
	mailbox_post(&queue->thread->mailbox, &queue->stop_mail, queue_stopping);
}

void blk_queue_set_capacity(struct blk_queue *queue, uint64_t sectors)
{
	__atomic_store_n(&queue->limits.capacity_sectors, sectors, __ATOMIC_RELAXED);
}
