/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_run.c - the load itself: take what is used, submit the next, account for it.
 * Worker threads; each alone owns its queues. No allocation, no system call but kicks and waits.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "bench/blk_load.h"
#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"

#define BURST           256
#define SPINS_PER_CLOCK 64
#define WAIT_MS         100 /* longest sleep, so that an abort is noticed */

static const uint32_t op_type[LOAD_OPS] = {
	[LOAD_READ] = VIRTIO_BLK_T_IN,
	[LOAD_WRITE] = VIRTIO_BLK_T_OUT,
	[LOAD_FLUSH] = VIRTIO_BLK_T_FLUSH,
};

/* What one pass over a queue took, to be accounted for after the next requests are under way. */
struct done {
	uint64_t ticks[BURST];
	uint8_t op[BURST];
};

static inline uint64_t pick_block(struct load_queue *q, uint64_t random)
{
	uint64_t block;

	if (!q->sequential)
		return q->first_block + load_below(random, q->num_blocks);
	block = q->next_block++;
	if (q->next_block == q->num_blocks)
		q->next_block = 0;
	return q->first_block + block;
}

static void change_op(struct load_queue *q, struct load_slot *slot, enum load_op op)
{
	struct fe_buf data = {.gpa = slot->data_gpa, .len = q->block_bytes};

	fe_ring_change(&q->ring, slot->head, 1, data, op == LOAD_READ);
	slot->line->header.type = htole32(op_type[op]);
	slot->op = (uint8_t)op;
	slot->used_bytes = op == LOAD_READ ? q->block_bytes + 1 : 1;
}

static inline void submit(struct load_queue *q, struct load_slot *slot, uint64_t now)
{
	slot->line->status = q->status_fill;
	slot->start_ticks = now;
	if (unlikely(q->fresh_chains)) {
		fe_ring_release(&q->ring, slot->head);
		load_lay_down(q, slot);
	}
	fe_ring_submit(&q->ring, slot->head);
}

static void maybe_flush(struct load_queue *q, uint64_t now)
{
	struct load_slot *slot = &q->slots[q->depth];

	/* One flush at a time; writes go on beside it. */
	if (q->flushing)
		return;
	q->flushing = true;
	q->writes = 0;
	submit(q, slot, now);
}

/* Issue the next request from @slot. Return: false when there is nothing more to issue. */
static inline bool issue(struct load_queue *q, struct load_slot *slot, uint64_t now)
{
	enum load_op op = (enum load_op)slot->op;
	uint64_t random;

	if (unlikely(!q->left))
		return false;
	random = load_next_random(&q->rng);
	if (q->mixed)
		op = (uint32_t)random < q->read_below ? LOAD_READ : LOAD_WRITE;
	if (unlikely(q->verify)) {
		if (q->sweeping)
			op = LOAD_READ;
		if (!shadow_pick(q, slot, op))
			return false;
	} else {
		slot->block = pick_block(q, random);
	}
	q->left--;
	if (op != (enum load_op)slot->op)
		change_op(q, slot, op);
	slot->line->header.sector = htole64(slot->block * (q->block_bytes / LOAD_SECTOR));
	submit(q, slot, now);
	if (op == LOAD_WRITE && q->flush_every && ++q->writes >= q->flush_every)
		maybe_flush(q, now);
	return true;
}

static inline void show(struct load_queue *q)
{
	fe_ring_publish(&q->ring);
	fe_ring_kick(&q->ring);
}

static void account(struct load_queue *q, const struct done *done, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		hist_add(&q->latency[done->op[i]], clock_ticks_to_ns(done->ticks[i]), 1);
		q->counts.ops[done->op[i]]++;
		if (done->op[i] != LOAD_FLUSH)
			q->counts.bytes += q->block_bytes;
	}
}

static inline void finish(struct load_queue *q, struct load_slot *slot, uint32_t len)
{
	uint8_t status = __atomic_load_n(&slot->line->status, __ATOMIC_RELAXED);

	if (unlikely(status != VIRTIO_BLK_S_OK))
		q->counts.errors++;
	if (unlikely(len != slot->used_bytes))
		q->counts.odd_lengths++;
	if (unlikely(slot->op == LOAD_FLUSH))
		q->flushing = false;
	else if (unlikely(q->verify))
		shadow_done(q, slot, status == VIRTIO_BLK_S_OK);
}

/*
 * One pass: take a burst, and for each either issue the next from the same slot or let it rest.
 * The device gets its next work before we spend time on our own bookkeeping.
 * Return: requests completed, or -EPROTO.
 */
static inline int pass(struct load_queue *q, bool again)
{
	struct fe_used used[BURST];
	struct done done;
	unsigned staged = 0;
	uint64_t now;
	int i, n;

	n = fe_ring_poll(&q->ring, used, BURST);
	if (n <= 0)
		return n;
	now = clock_ticks();
	/* The device wrote the status: have all lines on their way before using the first. */
	for (i = 0; i < n; i++)
		__builtin_prefetch(q->slots[q->slot_of[used[i].head]].line, 1);
	for (i = 0; i < n; i++) {
		struct load_slot *slot = &q->slots[q->slot_of[used[i].head]];

		done.ticks[i] = now - slot->start_ticks;
		done.op[i] = slot->op;
		finish(q, slot, used[i].len);
		if (again && likely(slot->op != LOAD_FLUSH))
			issue(q, slot, now);
		if (++staged == q->batch) {
			show(q);
			staged = 0;
		}
	}
	show(q);
	account(q, &done, (unsigned)n);
	return n;
}

static void fill(struct load_queue *q)
{
	unsigned i;

	for (i = 0; i < q->depth; i++)
		if (!issue(q, &q->slots[i], clock_ticks()))
			break;
	show(q);
}

/* The queues of one worker: index, index + threads, ... */
#define for_each_queue(q, w)                     \
	for (q = &(w)->load->queues[(w)->index]; \
	     q < &(w)->load->queues[(w)->load->options.queues]; q += (w)->load->options.threads)

/* Sleep until one of the worker's queues has something. */
static void sleep_for_interrupt(struct load_worker *w)
{
	struct pollfd pfd[LOAD_MAX_QUEUES];
	struct load_queue *q;
	bool idle = true;
	unsigned n = 0;
	uint64_t count;

	for_each_queue(q, w)
	{
		idle &= fe_ring_interrupts_on(&q->ring);
		pfd[n++] = (struct pollfd){.fd = q->ring.call_fd, .events = POLLIN};
	}
	if (idle) {
		w->load->queues[w->index].counts.sleeps++;
		poll(pfd, n, WAIT_MS);
	}
	for_each_queue(q, w)
	{
		if (idle && read(q->ring.call_fd, &count, sizeof(count)) < 0)
			assert(errno == EAGAIN);
		fe_ring_interrupts_off(&q->ring);
	}
}

static bool in_flight(struct load_worker *w)
{
	struct load_queue *q;

	for_each_queue(q, w)
	{
		if (fe_ring_in_flight(&q->ring))
			return true;
	}
	return false;
}

/*
 * Drive until @end_ticks, or until nothing is left to issue, then until all is complete.
 * @end_ticks 0: as long as there is something to issue. @drain: wait for what is in flight.
 */
static int drive(struct load_worker *w, uint64_t end_ticks, bool drain)
{
	bool interrupt = w->load->options.interrupt;
	bool again = true;
	unsigned spins = 0;
	uint64_t done = 0;

	for (;;) {
		struct load_queue *q;
		int got = 0;

		for_each_queue(q, w)
		{
			int n = pass(q, again);

			if (n < 0)
				return n;
			got += n;
		}
		done += (unsigned)got;
		if (got)
			__atomic_store_n(&w->progress, done, __ATOMIC_RELAXED);
		else if (interrupt)
			sleep_for_interrupt(w);
		else
			__builtin_ia32_pause();
		if (got && ++spins % SPINS_PER_CLOCK && !interrupt)
			continue;
		if (__atomic_load_n(&w->load->abort, __ATOMIC_RELAXED))
			return -ECANCELED;
		if (end_ticks && again && clock_ticks() >= end_ticks) {
			if (!drain)
				return 0;
			again = false;
		}
		if (!got && !in_flight(w))
			return 0;
	}
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t ticks_in(uint64_t ms)
{
	return ms ? clock_ticks() + clock_ns_to_ticks(ms * 1000000) : 0;
}

static int measure(struct load_worker *w)
{
	const struct load_options *options = &w->load->options;
	struct load_queue *q;
	uint64_t start_ns, start_cpu_ns;
	int ret;

	for_each_queue(q, w)
	{
		fill(q);
	}
	if (options->ramp_ms) {
		ret = drive(w, ticks_in(options->ramp_ms), false);
		if (ret)
			return ret;
		for_each_queue(q, w)
		{
			memset(&q->counts, 0, sizeof(q->counts));
			memset(q->latency, 0, sizeof(q->latency));
		}
	}
	start_ns = clock_ns();
	start_cpu_ns = thread_cpu_ns();
	ret = drive(w, ticks_in(options->runtime_ms), true);
	w->elapsed_ns = clock_ns() - start_ns;
	w->cpu_ns = thread_cpu_ns() - start_cpu_ns;
	return ret;
}

/* Read back every block that was written. Counted apart from the load. */
static int sweep(struct load_worker *w)
{
	struct load_queue *q;

	for_each_queue(q, w)
	{
		struct load_counts counts = q->counts;
		struct histogram latency[LOAD_OPS];
		int ret;

		memcpy(latency, q->latency, sizeof(latency));
		q->sweeping = true;
		q->left = UINT64_MAX;
		fill(q);
		ret = drive(w, 0, true);
		if (ret)
			return ret;
		counts.errors = q->counts.errors;
		q->counts = counts;
		memcpy(q->latency, latency, sizeof(latency));
	}
	return 0;
}

void *load_worker_main(void *arg)
{
	struct load_worker *w = arg;

	if (w->cpu >= 0)
		w->error = affinity_pin_self(w->cpu);
	if (!w->error)
		w->error = measure(w);
	if (!w->error && w->load->options.verify)
		w->error = sweep(w);
	__atomic_sub_fetch(&w->load->running, 1, __ATOMIC_RELEASE);
	return NULL;
}
