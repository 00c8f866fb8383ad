/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state.c - what a disk knows beside its rings and its configuration space, for a migration: the
 * cache mode. Layer L5, control thread.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "blk/disk.h"

#define STATE_VERSION 1

static const uint8_t magic[8] = {'R', 'S', '-', 'B', 'L', 'K', 0x1a, '\n'};

/* As it goes out. A longer one gets another version; whoever does not know it loads nothing. */
struct state {
	uint8_t magic[8];
	uint32_t version; /* little-endian, as all of it */
	uint32_t bytes; /* of the whole */
	uint64_t capacity_sectors; /* the driver knows these two: */
	uint32_t block_bytes; /* they must be true of the disk it finds */
	uint8_t writeback; /* the cache mode, 0 or 1 */
	uint8_t zero[3];
};
static_assert(sizeof(struct state) == 32, "saved state");

static struct state state_of(const struct blk_disk *disk)
{
	struct state state = {
		.version = htole32(STATE_VERSION),
		.bytes = htole32(sizeof(state)),
		.capacity_sectors = htole64(disk->image.capacity_bytes / BLK_SECTOR_BYTES),
		.block_bytes = htole32(disk->image.block_bytes),
		.writeback = disk->writeback,
	};

	memcpy(state.magic, magic, sizeof(magic));
	return state;
}

ssize_t blk_state_save(const struct blk_disk *disk, uint8_t *out, size_t max)
{
	struct state state = state_of(disk);

	if (max < sizeof(state))
		return -ENOBUFS;
	memcpy(out, &state, sizeof(state));
	return sizeof(state);
}

/* Everything but the cache mode must be as we would write it, for a disk that may have grown. */
int blk_state_load(struct blk_disk *disk, const uint8_t *data, size_t size)
{
	struct state state, expected = state_of(disk);

	if (size != sizeof(state))
		return -EBADMSG;
	memcpy(&state, data, sizeof(state));
	if (le64toh(state.capacity_sectors) > le64toh(expected.capacity_sectors) ||
	    state.writeback > 1)
		return -EBADMSG;
	expected.capacity_sectors = state.capacity_sectors;
	expected.writeback = state.writeback;
	if (memcmp(&state, &expected, sizeof(state)))
		return -EBADMSG;
	disk->writeback = state.writeback;
	return 0;
}
