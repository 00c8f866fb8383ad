/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon.h - a small virtio-balloon driver. Test guest. Virtio 1.3, section 5.5.
 *
 * Its pages come from a pool that nothing else uses, in an order without neighbours: those with the
 * numbers 0 to actual - 1 are in the balloon. What is outside carries its number, so that a page that
 * was taken and should not have been is found.
 */
#ifndef RINGSIDE_GUEST_BALLOON_H
#define RINGSIDE_GUEST_BALLOON_H

#include <linux/virtio_balloon.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/guest/image/virtio.h"

#define PAGE_BYTES        4096
#define POOL_GPA          0x4000000ull
#define POOL_PAGES        4096 /* a power of two */
#define SPARE_GPA         0x6000000ull /* what is used and reported as free, page by page */
#define SPARE_PAGES       1024
#define BALLOON_MAX_STATS 4

struct balloon {
	struct virtio v;
	unsigned actual; /* pages in the balloon, of the pool */
	unsigned target; /* that the device asked for last */
	unsigned seen; /* interrupts for a change of its configuration */
	unsigned stats_asked; /* how often the device has */
	struct virtio_balloon_stat stats[BALLOON_MAX_STATS];
};

/* pool_page - where page @number of the pool is. */
uint64_t pool_page(unsigned number);

/* pool_fill - every page gets its number; pool_check - those outside a balloon of @actual pages have
 * it. Return: how many have not. */
void pool_fill(void);
unsigned pool_check(unsigned actual);

/* balloon_start - find, negotiate, set up queues as Linux numbers them, DRIVER_OK; ring=packed.
 * Says why not by a failed check. Return: is it ready? */
bool balloon_start(struct balloon *balloon);

/* balloon_follow - look once: go towards the target by one chain where an interrupt has told of a new
 * one (or one is not reached yet), answer for statistics. Return: false, the device does not answer or a
 * page came back with what is not its own. */
bool balloon_follow(struct balloon *balloon);

/* balloon_report - use the spare pages, then report them as free. Return: was that answered? */
bool balloon_report(struct balloon *balloon);

/* spare_check - does each spare page read as zero, or as it was? Where it is gone it comes back. */
bool spare_check(void);

#endif
