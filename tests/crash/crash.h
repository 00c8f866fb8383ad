/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * crash.h - one front-end that outlives many daemons: its guest, its load, its link to them.
 * Tests only, one thread; a timer's signal kills the daemon in the middle of anything.
 *
 * A function that waits for the daemon returns -ECANCELED when the daemon has been killed
 * meanwhile; whatever else goes wrong ends the test.
 */
#ifndef RINGSIDE_TESTS_CRASH_CRASH_H
#define RINGSIDE_TESTS_CRASH_CRASH_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/crash/model.h"
#include "vhost/base/util.h"
#include "vhost/frontend/frontend.h"

#define MAX_QUEUES      4
#define SLOTS_PER_QUEUE 64 /* requests in flight */
#define MAX_SECTORS     128u /* of one read or write */
#define MAX_PIECES      6 /* buffers of its data */
#define DISK_SECTORS    4096u

struct variant {
	bool packed;
	unsigned num_queues;
	bool event_idx;
	bool stale; /* base sent at a reconnect */
	bool null; /* backend: keeps nothing, so nothing is read back */
};

/* How the load is made up for a while. */
struct mix {
	unsigned depth; /* requests in flight of each queue */
	uint32_t hot_sector; /* most requests go to this window */
	uint32_t hot_sectors;
	unsigned changes_percent;
	unsigned overlap_percent; /* of the changes: may overlap others in flight */
	unsigned direct_percent; /* of the chains; the others are indirect */
	bool interrupts; /* sleep until one comes, instead of looking all the time */
};

struct piece {
	uint32_t offset; /* in the slot's data */
	uint32_t len;
};

/* One request. */
struct slot {
	bool busy;
	uint32_t type;
	uint32_t sector;
	uint32_t sectors;
	uint32_t version;
	unsigned num_pieces;
	struct piece pieces[MAX_PIECES];
	uint32_t written_bytes; /* by the device: data and status */
	uint64_t since; /* time of the model */
};

struct guest_slot; /* of a request, in guest memory */

struct guest {
	struct fe_memory mem;
	struct fe_ring rings[MAX_QUEUES];
	uint16_t ring_size;
	uint16_t indirect_entries;
	struct fe_mem headers; /* of struct guest_slot */
	struct fe_mem data;
	struct slot slots[MAX_QUEUES][SLOTS_PER_QUEUE];
	uint8_t *slot_of[MAX_QUEUES]; /* by head */
	unsigned in_flight[MAX_QUEUES];
	uint32_t next_version;
	uint64_t completed; /* requests, in all */
};

struct rng {
	uint64_t state;
};

struct crash {
	struct variant variant;
	uint64_t seed;
	unsigned kill; /* which one we are at */
	char doing[160]; /* what was planned for this time, for messages */
	struct model model;
	struct guest guest;
	struct mix mix;
	struct rng rng; /* of the load */

	struct fe fe;
	struct fe_inflight inflight;
	uint64_t features; /* negotiated the first time */
	bool unsure[MAX_QUEUES]; /* the area may be one of a ring that was never used */
	bool stopping; /* what is polled now says nothing about the area */

	/* Shared with the timer's signal handler. */
	volatile sig_atomic_t killed;
	volatile sig_atomic_t pid;
	volatile uint64_t killed_ns;
};

/* --- kill_loop.c --- */

/* crash_fail - say what was seen, and how to see it again; ends the test. */
_Noreturn void crash_fail(struct crash *c, const char *format, ...) printf_like(2, 3);

/* crash_kill - SIGKILL, now. */
void crash_kill(struct crash *c);

/* --- plan.c --- */

/* rng_next - 64 bits. rng_below - 0 to @limit - 1. rng_percent - true in @percent of all cases. */
uint64_t rng_next(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t limit);
bool rng_percent(struct rng *rng, unsigned percent);

/* --- load.c --- */

void guest_init(struct crash *c);
void guest_free(struct crash *c);

/* load_poll - take what was completed and check it. Return: how many requests. */
unsigned load_poll(struct crash *c);

/* load_fill - submit until every queue has as many requests in flight as the mix says. */
void load_fill(struct crash *c);

/* load_read - submit a read of these sectors. The queue must have room for it. */
void load_read(struct crash *c, unsigned q, uint32_t sector, uint32_t sectors);

/* --- settle.c --- */

/* load_run - poll and fill until the daemon is killed, or for @us microseconds (0: for ever). */
void load_run(struct crash *c, uint64_t us);

/* load_settle - until nothing is in flight. Every request must complete, within a time limit, and
 * if @interrupts by an interrupt. Return: 0, -ECANCELED. */
int load_settle(struct crash *c, bool interrupts);

/* load_read_all - read the whole disk, with nothing else in flight. Return: 0, -ECANCELED. */
int load_read_all(struct crash *c);

/* --- link.c --- */

/* Where a connection is cut short. */
enum step {
	STEP_CONNECTED,
	STEP_NEGOTIATED,
	STEP_MEMORY,
	STEP_INFLIGHT,
	STEP_RING, /* the first; then the others */
	STEP_NEVER = STEP_RING + MAX_QUEUES,
};

/* How to connect. */
struct join {
	enum step kill_at; /* kill the daemon after this one */
	bool load_meanwhile; /* poll and submit while there is no daemon */
	bool slots; /* CONFIGURE_MEM_SLOTS */
	bool reply_ack;
	unsigned stale; /* which wrong base; see link.c */
};

/* link_join - connect to the daemon that was just started, and give it memory, the in-flight
 * region and the rings, running. Return: 0, -ECANCELED. */
int link_join(struct crash *c, const struct join *join);

/* link_stop - stop all rings cleanly: what the daemon had taken is complete.
 * Return: 0, -ECANCELED. */
int link_stop(struct crash *c);

/* link_start - start them again, on the same connection. Return: 0, -ECANCELED. */
int link_start(struct crash *c, bool inflight_again);

/* link_reset - after link_stop with nothing in flight: the rings as a guest that boots leaves them,
 * a new in-flight region, and start. Return: 0, -ECANCELED. */
int link_reset(struct crash *c);

/* link_marked - requests that the in-flight region says were taken and not completed. */
unsigned link_marked(const struct crash *c);

#endif
