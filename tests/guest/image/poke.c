/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poke.c - see poke.h. Test guest, the first CPU.
 */
#include "tests/guest/image/poke.h"

#include "tests/guest/image/blk.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"

#define MMIO_SIZES 4 /* 1, 2, 4, 8 bytes */

static struct blk blk;
static uint8_t sector[SECTOR_BYTES] __attribute__((aligned(16)));

uint64_t poke_random(void)
{
	static uint64_t state = 0x2545f4914f6cdd1d;
	uint64_t x = state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	state = x;
	return x;
}

uint64_t poke_value(unsigned kind)
{
	return kind == 0 ? 0 : kind == 1 ? ~0ull : poke_random();
}

static uint64_t read_sized(uint64_t addr, unsigned log2)
{
	return log2 == 0   ? read8(addr)
	       : log2 == 1 ? read16(addr)
	       : log2 == 2 ? read32(addr)
			   : read64(addr);
}

static void write_sized(uint64_t addr, unsigned log2, uint64_t value)
{
	if (log2 == 0)
		write8(addr, (uint8_t)value);
	else if (log2 == 1)
		write16(addr, (uint16_t)value);
	else if (log2 == 2)
		write32(addr, (uint32_t)value);
	else
		write64(addr, value);
}

void poke_memory(uint64_t addr, uint64_t bytes, unsigned stride)
{
	for (uint64_t at = 0; at < bytes; at += stride) {
		for (unsigned log2 = 0; log2 < MMIO_SIZES; log2++) {
			read_sized(addr + at, log2);
			write_sized(addr + at, log2, poke_value((unsigned)(at + log2) % 3));
		}
	}
}

bool poke_still_works(const char *what)
{
	struct blk_options opt = blk_options_from_cmdline();
	bool works = blk_start(&blk, &opt);

	works = works &&
		blk_do(&blk, 0, VIRTIO_BLK_T_OUT, 3, sector, sizeof(sector)) == VIRTIO_BLK_S_OK;
	check(works, "poke: the disk works after %s", what);
	return blk_stop(&blk) && works;
}
