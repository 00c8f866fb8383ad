/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_balloon.c - a balloon that follows its target while a disk is used out of the pages that come
 * out of it. Test guest, the first CPU.
 *
 * The host types what is to be done: c checks all memory outside the balloon, r reports free pages, s
 * looks at those, x ends.
 */
#include "tests/guest/image/balloon.h"
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/serial.h"

#define DISK_SECTORS (PAGE_BYTES / SECTOR_BYTES)

static struct balloon balloon;
static struct blk blk;
static uint8_t data[PAGE_BYTES] __attribute__((aligned(4096)));

/* use_disk - write a page, and read it into one outside the balloon, the one that came out last; then
 * that has its number again. Return: did the same come back? */
static bool use_disk(unsigned pass)
{
	void *page = (void *)pool_page(balloon.actual);
	uint64_t sector = 64 + pass % 32 * DISK_SECTORS;
	uint64_t first = *(uint64_t *)page, last = ((uint64_t *)page)[PAGE_BYTES / 8 - 1];
	bool same;

	pattern_fill(data, PAGE_BYTES, sector, pass);
	same = blk_do(&blk, 0, VIRTIO_BLK_T_OUT, sector, data, PAGE_BYTES) == VIRTIO_BLK_S_OK &&
	       blk_do(&blk, 0, VIRTIO_BLK_T_IN, sector, page, PAGE_BYTES) == VIRTIO_BLK_S_OK &&
	       pattern_check(page, PAGE_BYTES, sector, pass);
	*(uint64_t *)page = first;
	((uint64_t *)page)[PAGE_BYTES / 8 - 1] = last;
	return same;
}

static void obey(char word)
{
	switch (word) {
	case 'c':
		check_equal(pool_check(balloon.actual), 0,
			    "balloon: memory outside it is intact, with %u pages in it",
			    balloon.actual);
		break;
	case 'r':
		check(balloon_report(&balloon), "balloon: free pages are reported");
		break;
	case 's':
		check(spare_check(), "balloon: reported pages are empty, or as they were");
		break;
	}
}

static void breathe(void)
{
	struct blk_options opt = blk_options_from_cmdline();
	bool disk = option_number("disks", 0), sound = true;
	unsigned passes = 0;
	char word = 0;

	pool_fill();
	step_answered("filled");
	check_equal(pool_check(0), 0, "balloon: fresh memory is left alone");
	if (!balloon_start(&balloon) || (disk && !blk_start(&blk, &opt)))
		return;
	step("ready");
	while (sound && word != 'x') {
		sound = balloon_follow(&balloon);
		if (disk && balloon.actual < POOL_PAGES)
			sound = sound && use_disk(passes++);
		if (serial_take(&word))
			obey(word);
	}
	check(sound, "balloon: it followed, and %u pages of a disk came back", passes);
	check_equal(pool_check(balloon.actual), 0, "balloon: memory outside it is intact");
	print("VALUE passes %u\n", passes);
	check(virtio_reset(&balloon.v), "balloon: reset");
	if (disk)
		blk_stop(&blk);
}

const struct guest_test balloon_tests[] = {
	{"balloon", breathe},
	{NULL, NULL},
};
