/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon.h - a back-end in the test's own process: a loop thread with devices that echo.
 * Tests only. What a chain's readable buffers hold is copied to its writable ones.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_DAEMON_H
#define RINGSIDE_TESTS_PROTOCOL_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost/backend/loop_queue.h"

#define ECHO_MAX_QUEUES 4
#define ECHO_MAX_HELD   64
#define ECHO_MAX_IOV    8
#define DAEMON_DEVICES  2
#define ECHO_BAD_MTU    1280 /* the device refuses it */

struct echo;

/* A queue, with the thread that serves it from queue_start to vu_queue_stopped. */
struct echo_queue {
	struct echo *echo;
	struct virtqueue *vq;
	pthread_t thread;
	bool has_thread;
	bool running; /* the device's: from queue_start to vu_queue_stopped; atomic */
	int stop_fd;
	struct vu_loop_queue loop_queue; /* instead, with on_loop */
	struct {
		struct vq_chain chain;
		struct iovec iov[ECHO_MAX_IOV];
	} held[ECHO_MAX_HELD];
	unsigned num_held;
};

/* What a device is; zeroes give one queue, 60 bytes of configuration, the usual ring features. */
struct echo_options {
	unsigned num_queues;
	unsigned max_ring_size;
	bool no_config;
	bool plain; /* no operation that is optional: read-only configuration, no state, ... */
	bool packed; /* offer packed rings */
	uint16_t ring_size; /* of the front-end's rings; 0: RIG_RING_SIZE */
	bool stop_inside; /* no thread serves the queue; queue_stop answers before it returns */
	bool on_loop; /* the loop's thread serves the queue, and: */
	unsigned pass_chains; /* takes as many in a pass; 0: all that can be held */
	unsigned pass_ms; /* which lasts as long at least */
	bool close_inside; /* and in which it closes the device once it has taken a chain */
};

struct echo {
	struct vu_device dev;
	char path[96];
	struct echo_options options;
	struct echo_queue queues[ECHO_MAX_QUEUES];
	uint8_t config[60]; /* the first half may be written */

	/* Written by one thread, read by the test: atomic. */
	bool hold; /* keep what is popped in flight */
	unsigned popped; /* chains */
	unsigned passes; /* with on_loop */
	unsigned starts;
	unsigned stops;
	unsigned disconnects;
	unsigned config_writes;
	unsigned memory_changes;
	unsigned regions; /* at the last of them */
	uint64_t features;
	unsigned closed;
	unsigned resets;
	unsigned loads;
	size_t state_bytes; /* what is saved, and was loaded: echo_state_byte() of the seed */
	uint8_t state_seed;
	uint64_t mac; /* of the last SEND_RARP; 0 is refused */
	uint16_t mtu;
};

struct daemon {
	struct loop *loop;
	pthread_t thread;
	char dir[64];
	struct echo echo[DAEMON_DEVICES]; /* listening on their paths */
};

/* daemon_start, daemon_stop - with DAEMON_DEVICES devices alike. @options may be NULL. Stop waits
 * for drains, so nothing may be held. */
void daemon_start(struct daemon *d, const struct echo_options *options);
void daemon_stop(struct daemon *d);

/* daemon_call - run @fn on the loop thread and wait for it. */
void daemon_call(struct daemon *d, void (*fn)(void *arg), void *arg);

/* echo_state_byte - byte @i of a state. What differs is refused. */
static inline uint8_t echo_state_byte(uint8_t seed, size_t i)
{
	return i == 0 ? 'E' : i == 1 ? seed : (uint8_t)(seed + i * 7);
}

/* echo_hold - keep popped chains in flight (true), or finish them (false). Any thread, but that a
 * loop finishes them only at its next pass. */
void echo_hold(struct echo *e, bool hold);

/* Atomic reads of the counters. */
#define echo_count(e, field) __atomic_load_n(&(e)->field, __ATOMIC_ACQUIRE)

#endif
