/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk.c - bench/blk, a load generator for any vhost-user-blk back-end: the main thread, which
 * sets up, starts the workers, and watches that the back-end neither dies nor hangs.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "bench/blk_load.h"
#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

#define CEILING_DISK_BYTES (1ull << 30)
#define WATCH_MS           20

/* No request at all for LOAD_STALL_MS, or a closed socket, while workers run. */
static int watch(struct load *load)
{
	uint64_t progress = 0, moved_ns = clock_ns();
	struct pollfd pfd = {.fd = load->options.ceiling ? -1 : load->fe.sock};
	int error = 0;

	while (__atomic_load_n(&load->running, __ATOMIC_ACQUIRE)) {
		uint64_t sum = 0;
		unsigned i;

		poll(&pfd, 1, WATCH_MS);
		for (i = 0; i < load->options.threads; i++)
			sum += __atomic_load_n(&load->workers[i].progress, __ATOMIC_RELAXED);
		if (sum != progress) {
			progress = sum;
			moved_ns = clock_ns();
		}
		if (pfd.revents & (POLLHUP | POLLERR))
			error = -ECONNRESET;
		else if (clock_ns() - moved_ns > LOAD_STALL_MS * 1000000ull)
			error = -ETIMEDOUT;
		if (error) {
			__atomic_store_n(&load->abort, true, __ATOMIC_RELAXED);
			pfd.fd = -1;
		}
	}
	return error;
}

static void run_workers(struct load *load)
{
	const struct load_options *o = &load->options;
	unsigned i;

	load->running = o->threads;
	for (i = 0; i < o->threads; i++) {
		struct load_worker *w = &load->workers[i];

		w->load = load;
		w->index = i;
		w->cpu = affinity_pick(&o->cpus, i);
		if (pthread_create(&w->thread, NULL, load_worker_main, w))
			fatal("cannot start a thread");
	}
}

/* Return: 0, or -errno of the first thing that went wrong, said already. */
static int join_workers(struct load *load, int watched)
{
	int first = watched;
	unsigned i, q;

	for (i = 0; i < load->options.threads; i++) {
		pthread_join(load->workers[i].thread, NULL);
		if (load->workers[i].error && load->workers[i].error != -ECANCELED && !first)
			first = load->workers[i].error;
	}
	for (q = 0; q < load->options.queues; q++)
		if (load->queues[q].ring.broken)
			log_error("blk", "ring %u: %s", q, load->queues[q].ring.why);
	if (first)
		log_error("blk", "%s",
			  watched == -ECONNRESET  ? "the back-end closed the connection"
			  : watched == -ETIMEDOUT ? "the back-end completes nothing"
						  : strerror(-first));
	return first;
}

static void sleep_ms(uint64_t ms)
{
	struct timespec ts = {.tv_sec = (time_t)(ms / 1000),
			      .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

/* --idle: a driver that waits for an interrupt, and nothing more. */
static void go_idle(struct load *load)
{
	unsigned i;

	for (i = 0; i < load->options.queues; i++)
		fe_ring_interrupts_on(&load->queues[i].ring);
	sleep_ms(load->options.idle_ms);
}

static bool any_wrong(const struct load *load)
{
	unsigned i;

	for (i = 0; i < load->options.queues; i++)
		if (load->queues[i].counts.errors || load->queues[i].shadow.mismatches)
			return true;
	return false;
}

static uint64_t ceiling_features(const struct load_options *o)
{
	return (o->event_idx ? VU_BIT(VIRTIO_RING_F_EVENT_IDX) : 0) |
	       (o->indirect ? VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
	       (o->packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0);
}

int main(int argc, char **argv)
{
	static struct load load;
	struct ceiling *ceiling = NULL;
	int ret;

	log_init("blk");
	load_parse(&load.options, argc, argv);
	clock_init();
	if (load.options.ceiling) {
		load.capacity_bytes = CEILING_DISK_BYTES;
		load_rings(&load, ceiling_features(&load.options));
		ceiling = ceiling_start(&load);
	} else {
		load_connect(&load);
		load_start(&load);
	}
	run_workers(&load);
	ret = join_workers(&load, watch(&load));
	if (ceiling)
		ceiling_stop(ceiling);
	if (!ret && load.options.idle_ms)
		go_idle(&load);
	if (!ret && !load.options.ceiling)
		ret = load_stop(&load);
	if (!load.options.json || strcmp(load.options.json, "-"))
		load_report(&load);
	if (load.options.json && load_report_json(&load)) {
		log_error("blk", "cannot write %s", load.options.json);
		ret = -EIO;
	}
	if (any_wrong(&load))
		ret = -EIO;
	load_free(&load);
	return ret ? 1 : 0;
}
