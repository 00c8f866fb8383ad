/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.h - I/O threads and the queues they serve.
 * Layer L5. blk_thread_* and blk_queue_start/stop are called on the control thread; the rest
 * belongs to the I/O thread.
 */
#ifndef RINGSIDE_BLK_QUEUE_H
#define RINGSIDE_BLK_QUEUE_H

#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>

#include "blk/image.h"
#include "blk/request.h"
#include "vhost/base/histogram.h"
#include "vhost/base/mailbox.h"

#define BLK_BURST          32 /* chains taken in one go */
#define BLK_RING_ENTRIES   512 /* submission entries of a thread's io_uring */
#define BLK_MAX_IN_FLIGHT  3840 /* requests of a thread in the io_uring at a time */
#define BLK_BOUNCE_BYTES   (256 << 10) /* one bounce buffer */
#define BLK_BOUNCE_BUFFERS 16 /* of a thread */

/* Counted by the I/O thread, read by the control thread with vq_count(). */
struct blk_stats {
	uint64_t ops[BLK_OPS] cacheline_aligned;
	uint64_t bytes[BLK_OPS];
	uint64_t errors[BLK_CAUSES];
	uint64_t bounced;
	struct histogram latency[BLK_OPS];
};

/* One virtqueue as its I/O thread sees it. Made by queue_start, gone after vu_queue_stopped. */
struct blk_queue {
	struct virtqueue *vq cacheline_aligned;
	struct blk_thread *thread;
	struct blk_image *image;
	struct blk_limits limits;
	struct blk_stats *stats; /* the disk's, for this queue index; outlives the queue */
	struct blk_request *requests;
	size_t requests_bytes; /* of the mapping */
	struct vq_chain **free; /* stack of vq->size entries, behind the requests */
	unsigned num_free;
	unsigned num_requests;
	bool stopping;
	bool kick_armed; /* a poll request on the kick eventfd is in the io_uring */
	bool staged; /* something was pushed since the last publish */
	struct mail start_mail; /* two: a queue may be stopped before its start was seen */
	struct mail stop_mail;
};

struct blk_bounce {
	struct list node;
	uint8_t *memory; /* BLK_BOUNCE_BYTES, page aligned */
};

struct blk_thread_options {
	int cpu; /* to be pinned to, or -1 */
	int node; /* to run on when not pinned, or -1 */
	uint64_t poll_us; /* look for work this long before sleeping */
	bool busy_poll; /* never sleep while a queue is there */
	bool restricted; /* the io_uring is to refuse what is not needed */
	const int *files; /* registered under slots 0..num_files-1 */
	unsigned num_files;
	unsigned max_queues; /* queues there can be at a time, of all disks */
};

struct blk_thread {
	struct io_uring ring;
	bool fixed_files;
	uint64_t now; /* ticks, of this pass */
	uint64_t poll_ticks;
	unsigned in_flight; /* requests that were started and have not ended */
	unsigned num_queues;
	unsigned num_stopping; /* of queues[] */
	unsigned num_pollers; /* queues without a kick fd: no sleep */
	struct blk_queue **queues; /* room for opt.max_queues */
	struct list bounce_free;
	struct list bounce_waiting; /* requests */
	bool mail_armed;
	bool quit;

	struct blk_thread_options opt;
	struct mailbox mailbox;
	struct mail quit_mail;
	struct blk_bounce bounces[BLK_BOUNCE_BUFFERS];
	uint8_t *bounce_memory;
	pthread_t pthread;
	unsigned index;
	char name[16];
	sem_t started;
	int error; /* of the start */
};

/*
 * blk_thread_start - start I/O thread @index and wait until its io_uring is set up. What the
 * kernel refuses of the modern set-up is done without, and said in the log.
 * Return: 0 or -errno of io_uring_setup(2).
 */
int blk_thread_start(struct blk_thread *thread, unsigned index,
		     const struct blk_thread_options *opt);

/* blk_thread_stop - end and join; its queues must be stopped. */
void blk_thread_stop(struct blk_thread *thread);

/* blk_queue_start - hand @vq to @thread. @limits is copied. Return: 0 or -ENOMEM. */
int blk_queue_start(struct blk_thread *thread, struct virtqueue *vq, struct blk_image *image,
		    const struct blk_limits *limits, struct blk_stats *stats);

/* blk_queue_stop - drain; vu_queue_stopped(vq) follows. */
void blk_queue_stop(struct blk_queue *queue);

/* blk_queue_set_capacity - the disk has grown; takes effect at once. Control thread, between
 * blk_queue_start and blk_queue_stop. */
void blk_queue_set_capacity(struct blk_queue *queue, uint64_t sectors);

/* One pass of the thread's loop; I/O thread. */

/* blk_queues_take - start what waits in every queue, a burst of each. Return: requests started. */
unsigned blk_queues_take(struct blk_thread *thread);

/* blk_queues_reap - handle the completions that are there, at most a ring full, and publish what
 * ended. Return: completions. */
unsigned blk_queues_reap(struct blk_thread *thread);

/* blk_queues_remove_drained - let go of stopping queues that have nothing under way any more. */
void blk_queues_remove_drained(struct blk_thread *thread);

#endif
