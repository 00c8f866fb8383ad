/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_load.h - the parts of bench/blk: options, queues with their request slots, results.
 * A program's own header. The main thread sets up and watches; each worker owns its queues.
 */
#ifndef RINGSIDE_BENCH_BLK_LOAD_H
#define RINGSIDE_BENCH_BLK_LOAD_H

#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost/base/histogram.h"
#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"

#define LOAD_MAX_QUEUES  64
#define LOAD_MAX_DEPTH   4096
#define LOAD_SECTOR      512u
#define LOAD_STALL_MS    30000 /* no request completed for so long: the back-end hangs */
#define LOAD_STATUS_NONE 0xff /* laid down before submitting; a device writes 0, 1 or 2 */

enum load_op { LOAD_READ, LOAD_WRITE, LOAD_FLUSH, LOAD_OPS };
enum load_layout { LAYOUT_FLAT, LAYOUT_HIGH, LAYOUT_PC, LAYOUT_IDENTITY, LAYOUT_SPLIT };

struct load_options {
	const char *socket_path;
	const char *rw; /* as given */
	bool sequential;
	unsigned read_percent;
	uint32_t block_bytes;
	unsigned depth; /* of each queue */
	unsigned queues;
	unsigned threads;
	unsigned queue_size; /* 0: the smallest that holds the depth, at least 128 */
	unsigned batch; /* submissions made visible at once, at most */
	unsigned misalign; /* bytes into its page at which a data buffer begins */
	uint64_t runtime_ms;
	uint64_t ramp_ms;
	uint64_t idle_ms; /* connect, start, sleep; no load */
	uint64_t ios; /* in all; 0: until the time is up */
	uint64_t size_bytes; /* of the disk to use; 0: all */
	unsigned flush_every; /* writes; 0: never */
	uint64_t seed;
	bool verify;
	bool interrupt;
	bool event_idx;
	bool indirect;
	bool packed;
	bool in_order;
	bool fresh_chains; /* laid down anew for each request */
	bool mem_slots;
	bool huge;
	bool ceiling;
	enum load_layout layout;
	cpu_set_t cpus;
	int device_cpu; /* of the ceiling's device thread; -1: any */
	const char *json; /* file, "-" for stdout, or NULL */
};

/* What the device sees of a request but its data: one line, as Linux's virtblk_req has it. */
struct load_line {
	struct virtio_blk_outhdr header;
	uint8_t status;
} cacheline_aligned;

/* What we know of it. */
struct load_slot {
	struct load_line *line;
	uint64_t line_gpa;
	uint64_t start_ticks;
	uint64_t block;
	uint8_t *data;
	uint64_t data_gpa;
	uint32_t used_bytes; /* what the device has to say it wrote */
	uint16_t head;
	uint8_t op; /* enum load_op; the chain is laid down for it */
};

struct load_counts {
	uint64_t ops[LOAD_OPS];
	uint64_t bytes;
	uint64_t errors; /* status other than 0 */
	uint64_t odd_lengths; /* used lengths that are not what was written */
	uint64_t sleeps;
};

/* Blocks of one queue: queue i of n has block numbers i, i + n, ...; see blk_verify.c. */
struct load_shadow {
	uint64_t num_blocks;
	uint64_t mismatches;
	uint64_t checked;
	uint64_t sweep; /* next block of the final read-back */
	uint32_t *generation; /* of the last completed write; 0: never written */
	uint8_t *busy;
};

struct load_queue {
	struct fe_ring ring;
	struct load_slot *slots; /* depth of them, then the flush */
	uint16_t *slot_of; /* by head */
	unsigned depth;
	unsigned index;
	unsigned batch;
	uint32_t block_bytes;
	uint64_t first_block; /* this queue's part of the disk, in blocks */
	uint64_t num_blocks;
	uint64_t next_block; /* sequential */
	uint64_t rng;
	uint64_t left; /* requests that may still be issued */
	unsigned writes; /* since the last flush */
	unsigned flush_every;
	uint32_t read_below; /* a 32-bit random number below this makes a read */
	bool mixed;
	bool sequential;
	bool verify;
	bool fresh_chains;
	bool flushing; /* the flush slot is under way */
	bool sweeping; /* reading back all that was written */
	uint8_t status_fill; /* laid down before submitting */
	struct load_shadow shadow;
	const struct load_options *options;
	struct load_counts counts;
	struct histogram latency[LOAD_OPS];
} cacheline_aligned;

struct load_worker {
	struct load *load;
	pthread_t thread;
	unsigned index;
	int cpu; /* -1: any */
	int error;
	uint64_t elapsed_ns; /* of the measured part */
	uint64_t cpu_ns;
	uint64_t progress; /* requests done, for the watchdog */
};

struct load {
	struct load_options options;
	struct fe fe;
	struct fe_memory mem;
	struct load_queue *queues;
	struct load_worker workers[LOAD_MAX_QUEUES];
	uint64_t capacity_bytes;
	bool abort; /* set by the main thread: leave at once */
	unsigned running; /* workers not done */
};

/* blk_options.c - options from the command line; ends the program on a wrong one. */
void load_parse(struct load_options *options, int argc, char **argv);

/* blk_setup.c - connect, share memory, start the rings. Ends the program with a line if it
 * cannot. load_rings is the part of it that needs no back-end. */
void load_connect(struct load *load);
void load_rings(struct load *load, uint64_t features);
void load_start(struct load *load);

/* load_stop - stop the rings and hang up. Return: 0 or -errno (the back-end misbehaved). */
int load_stop(struct load *load);
void load_free(struct load *load);

/* load_lay_down - the chain of a slot, by its operation. The one before must have been released. */
void load_lay_down(struct load_queue *q, struct load_slot *slot);

/* blk_run.c - the body of a worker thread. */
void *load_worker_main(void *arg);

/* blk_verify.c - the shadow of the disk, and patterns. Worker thread.
 *
 * shadow_pick: a block for @op that no request of this queue is using, marked busy; fills in the
 * data of a write. Return: false when there is none (the sweep is over).
 * shadow_done: the request in @slot is complete; checks the data of a read. */
int shadow_init(struct load_queue *q, unsigned num_queues);
void shadow_free(struct load_queue *q);
bool shadow_pick(struct load_queue *q, struct load_slot *slot, enum load_op op);
void shadow_done(struct load_queue *q, const struct load_slot *slot, bool ok);

/* blk_ceiling.c - a device of our own that hands every head back, on a thread. */
struct ceiling;
struct ceiling *ceiling_start(struct load *load);
void ceiling_stop(struct ceiling *ceiling);

/* blk_report.c - the result, as text on stdout and as JSON where asked. */
void load_report(const struct load *load);
int load_report_json(const struct load *load);

/* load_next_random - a 64-bit pseudo-random number (splitmix64). */
static inline uint64_t load_next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* load_below - a number below @limit from a random 64-bit one. */
static inline uint64_t load_below(uint64_t random, uint64_t limit)
{
	return (uint64_t)(((unsigned __int128)random * limit) >> 64);
}

#endif
