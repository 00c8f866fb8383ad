/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk.h - a small virtio-blk driver. Test guest. Virtio 1.3, section 5.2.
 *
 * A request completes when it is taken off the used ring, and that is looked at after an interrupt
 * only, unless the driver polls: an interrupt that never comes makes a request time out.
 */
#ifndef RINGSIDE_GUEST_BLK_H
#define RINGSIDE_GUEST_BLK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/guest/image/virtio.h"

#define SECTOR_BYTES 512
#define MAX_REQUESTS 64

enum blk_interrupts { BLK_MSIX, BLK_INTX, BLK_POLL };

struct blk_options {
	unsigned index; /* of the disk on the bus */
	bool packed, indirect;
	enum blk_interrupts interrupts;
	unsigned num_queues; /* 0: one */
	uint16_t queue_size; /* 0: as many as there may be */
};

struct blk_request {
	struct virtio_blk_outhdr header;
	volatile uint8_t status;
	bool busy;
	uint8_t queue;
	uint32_t used_bytes;
};

struct blk {
	struct virtio v;
	struct blk_options opt;
	unsigned num_queues;
	unsigned seen[MAX_QUEUES]; /* interrupts that were acted upon */
	unsigned in_flight;
	unsigned patience_ms; /* how long a request may take */
	unsigned strange; /* completions of what was never asked */
	struct blk_request requests[MAX_REQUESTS];
};

/* blk_options_from_cmdline - ring=split|packed indirect=1 interrupts=msix|intx|poll queues=N size=N */
struct blk_options blk_options_from_cmdline(void);

/* blk_start - find, negotiate, set up, DRIVER_OK. Says why not by a failed check.
 * Return: is the disk ready? */
bool blk_start(struct blk *blk, const struct blk_options *opt);

/* blk_stop - device reset. What was in flight is forgotten. Return: did the device become idle? */
bool blk_stop(struct blk *blk);

uint64_t blk_capacity(const struct blk *blk);

/* blk_submit - one request; @data of @bytes is one buffer for each @piece bytes (0: all in one).
 * Return: its number, or -1 when there is no room. */
int blk_submit(struct blk *blk, unsigned queue, uint32_t type, uint64_t sector, void *data,
	       uint32_t bytes, uint32_t piece);

/* blk_reap - take what is there off all used rings, where an interrupt said so. */
void blk_reap(struct blk *blk);

/* blk_poll_all - as blk_wait_all(), but looks at the rings without being told by an interrupt. */
bool blk_poll_all(struct blk *blk);

/* blk_wait - until request @number is complete. Return: its status (VIRTIO_BLK_S_*), or -1 when it
 * took longer than patience_ms. */
int blk_wait(struct blk *blk, int number);

/* blk_wait_all - until none is in flight. Return: false after patience_ms without progress. */
bool blk_wait_all(struct blk *blk);

/* blk_do - submit, kick and wait. Return: as blk_wait(), -1 also without room. */
int blk_do(struct blk *blk, unsigned queue, uint32_t type, uint64_t sector, void *data,
	   uint32_t bytes);

/* blk_interrupts - that came for @queue so far. */
unsigned blk_interrupts(const struct blk *blk, unsigned queue);

/* blk_vector - the MSI-X vector of @queue; configuration changes have vector 0. */
static inline uint16_t blk_vector(unsigned queue)
{
	return (uint16_t)(queue + 1);
}

/* What a test writes: 64-bit words that name disk offset and @version. */
void pattern_fill(void *data, uint32_t bytes, uint64_t sector, uint32_t version);
bool pattern_check(const void *data, uint32_t bytes, uint64_t sector, uint32_t version);

#endif
