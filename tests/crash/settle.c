/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * settle.c - waiting for the daemon: by interrupt or by looking, each time with a limit.
 * Tests only, one thread.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>

#include "tests/crash/crash.h"
#include "vhost/base/clock.h"

#define SETTLE_NS     20000000000ull
#define INTERRUPT_MS  1000
#define READS_AT_ONCE 8

/* used_waiting - has the device used something that was not polled? Arms nothing. */
static bool used_waiting(const struct fe_ring *ring)
{
	if (ring->packed)
		return ring->last_used != ring->published &&
		       fe_packed_is_used(ring, ring->used_slot, ring->used_bits);
	return fe_load16(&ring->used->idx) != ring->last_used;
}

static int poll_calls(const struct crash *c, int timeout_ms)
{
	struct pollfd pfds[MAX_QUEUES];
	uint64_t count;
	unsigned q;
	int n;

	for (q = 0; q < c->variant.num_queues; q++)
		pfds[q] = (struct pollfd){.fd = c->guest.rings[q].call_fd, .events = POLLIN};
	n = poll(pfds, c->variant.num_queues, timeout_ms);
	for (q = 0; n > 0 && q < c->variant.num_queues; q++)
		if (pfds[q].revents && read(pfds[q].fd, &count, sizeof(count)) < 0)
			ck_assert_int_eq(errno, EAGAIN);
	return n;
}

/* Sleep until an interrupt. One that stays away although something is used is lost. */
static void await_interrupt(struct crash *c, int timeout_ms)
{
	bool idle = true;
	unsigned q;

	for (q = 0; q < c->variant.num_queues; q++)
		idle &= fe_ring_interrupts_on(&c->guest.rings[q]);
	if (idle && poll_calls(c, timeout_ms) == 0 && timeout_ms >= INTERRUPT_MS && !c->killed)
		for (q = 0; q < c->variant.num_queues; q++)
			if (used_waiting(&c->guest.rings[q]) && !poll_calls(c, 200) && !c->killed)
				crash_fail(c, "queue %u: used without an interrupt", q);
	for (q = 0; q < c->variant.num_queues; q++)
		fe_ring_interrupts_off(&c->guest.rings[q]);
}

void load_run(struct crash *c, uint64_t us)
{
	uint64_t end_ns = us ? clock_ns() + us * 1000 : UINT64_MAX;

	while (!c->killed && clock_ns() < end_ns) {
		load_fill(c);
		if (!load_poll(c) && c->mix.interrupts)
			await_interrupt(c, 1);
	}
}

static unsigned all_in_flight(const struct crash *c)
{
	unsigned q, n = 0;

	for (q = 0; q < c->variant.num_queues; q++)
		n += c->guest.in_flight[q];
	return n;
}

static _Noreturn void fail_unsettled(struct crash *c)
{
	unsigned q, s;

	for (q = 0; q < c->variant.num_queues; q++)
		for (s = 0; s < SLOTS_PER_QUEUE; s++)
			if (c->guest.slots[q][s].busy)
				goto found;
found:
	crash_fail(c,
		   "%u requests are not complete after %llu s, %u marked in flight; one is on "
		   "queue %u: type %u, %u sectors from %u",
		   all_in_flight(c), SETTLE_NS / 1000000000, link_marked(c), q,
		   c->guest.slots[q][s].type, c->guest.slots[q][s].sectors,
		   c->guest.slots[q][s].sector);
}

/* Nothing is in flight: nothing may be used, and soon nothing marked. */
static int check_settled(struct crash *c)
{
	uint64_t end_ns = clock_ns() + 2000000000;
	unsigned q;

	while (link_marked(c) && !c->killed) {
		if (clock_ns() > end_ns)
			crash_fail(c, "%u requests marked in flight, and all are complete",
				   link_marked(c));
		usleep(100);
	}
	for (q = 0; q < c->variant.num_queues; q++) {
		const struct fe_ring *ring = &c->guest.rings[q];

		if (ring->packed ? fe_packed_is_used(ring, ring->used_slot, ring->used_bits)
				 : used_waiting(ring))
			crash_fail(c, "queue %u: something is used and nothing was in flight", q);
	}
	return c->killed ? -ECANCELED : 0;
}

int load_settle(struct crash *c, bool interrupts)
{
	uint64_t end_ns = clock_ns() + SETTLE_NS;

	while (all_in_flight(c)) {
		if (c->killed)
			return -ECANCELED;
		if (load_poll(c)) {
			end_ns = clock_ns() + SETTLE_NS;
			continue;
		}
		if (clock_ns() > end_ns)
			fail_unsettled(c);
		if (interrupts)
			await_interrupt(c, INTERRUPT_MS);
	}
	return check_settled(c);
}

int load_read_all(struct crash *c)
{
	uint32_t sector = 0;
	unsigned q;

	while (!c->variant.null && sector < DISK_SECTORS && !c->killed) {
		for (q = 0; q < c->variant.num_queues && sector < DISK_SECTORS; q++) {
			if (c->guest.in_flight[q] >= READS_AT_ONCE ||
			    c->guest.rings[q].num_free < MAX_PIECES + 2)
				continue;
			load_read(c, q, sector, min_of(MAX_SECTORS, DISK_SECTORS - sector));
			sector += MAX_SECTORS;
		}
		load_poll(c);
	}
	return load_settle(c, c->mix.interrupts);
}
