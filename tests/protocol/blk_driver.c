/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_driver.c - see blk_driver.h. Tests only.
 */
#include "tests/protocol/blk_driver.h"

#include <endian.h>
#include <linux/virtio_config.h>
#include <string.h>

/* What this driver can do: every feature of a disk; packed rings only where they are asked for. */
#define FEATURES                                                                      \
	(0xffffffull | VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) | \
	 VU_BIT(VIRTIO_RING_F_INDIRECT_DESC))
#define PROTOCOL                                                             \
	(VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG) | \
	 VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_BACKEND_SEND_FD) |         \
	 VU_BIT(VU_PF_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_PF_LOG_SHMFD) |       \
	 VU_BIT(VU_PF_INFLIGHT_SHMFD) | VU_BIT(VU_PF_STATUS) | VU_BIT(VU_PF_DEVICE_STATE))
#define WAIT_MS   10000
#define MAX_PARTS 160

bool disk_is_balloon;

static void negotiate(struct disk *disk, uint64_t features)
{
	disk->fe.timeout_ms = WAIT_MS;
	ck_assert_int_eq(fe_negotiate(&disk->fe, features, PROTOCOL), 0);
	if (disk_is_balloon)
		return;
	ck_assert_int_eq(fe_get_config(&disk->fe, 0,
				       offsetof(struct virtio_blk_config, max_secure_erase_sectors),
				       &disk->config),
			 0);
}

/* The file goes on to either side of what the back-end is told of. */
static void make_memory(struct disk *disk)
{
	fe_memory_init(&disk->mem);
	ck_assert_int_eq(fe_memory_add(&disk->mem, DISK_GPA - DISK_GUARD_BYTES,
				       DISK_MEM_BYTES + 2 * DISK_GUARD_BYTES, false),
			 0);
	disk->mem.regions[0].used = DISK_GUARD_BYTES;
	disk->ram = disk->mem.regions[0].host + DISK_GUARD_BYTES;
}

static void share_memory(struct disk *disk)
{
	struct vu_msg msg;

	ck_assert_uint_le(disk->mem.regions[0].used, DISK_GUARD_BYTES + DISK_MEM_BYTES);
	ck_assert(fe_has(&disk->fe, VU_PF_CONFIGURE_MEM_SLOTS));
	vu_msg_init(&msg, VU_ADD_MEM_REG);
	msg.hdr.size = sizeof(msg.payload.region);
	msg.payload.region.region = disk_region(disk);
	msg.fds[0] = disk->mem.regions[0].fd;
	msg.num_fds = 1;
	ck_assert_int_eq(fe_request(&disk->fe, &msg), 0);
}

void disk_lay_out(struct disk *disk, uint64_t features)
{
	struct fe_ring_options ring = {
		.size = DISK_RING_SIZE,
		.packed = features & VU_BIT(VIRTIO_F_RING_PACKED),
		.event_idx = features & VU_BIT(VIRTIO_RING_F_EVENT_IDX),
		.indirect = features & VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) ? 136 : 0,
	};

	make_memory(disk);
	ck_assert_int_eq(fe_ring_init(&disk->ring, &disk->mem, &ring), 0);
	ck_assert_int_eq(fe_alloc(&disk->mem, DISK_SLOTS * sizeof(struct disk_slot), 64,
				  &disk->slots_mem),
			 0);
	ck_assert_int_eq(fe_alloc(&disk->mem, DISK_DATA_BYTES, 4096, &disk->data_mem), 0);
	disk->slot = (struct disk_slot *)disk->slots_mem.host;
	disk->data = disk->data_mem.host;
}

static void start(struct disk *disk)
{
	disk_lay_out(disk, disk->fe.features);
	share_memory(disk);
	ck_assert_int_eq(fe_ring_start(&disk->fe, 0, &disk->ring), 0);
	ck_assert_int_eq(fe_sync(&disk->fe), 0);
}

void disk_open(struct disk *disk, const char *socket, uint64_t without)
{
	memset(disk, 0, sizeof(*disk));
	ck_assert_int_eq(fe_connect(&disk->fe, socket), 0);
	negotiate(disk, FEATURES & ~without);
	start(disk);
}

void disk_open_packed(struct disk *disk, const char *socket, uint64_t without)
{
	memset(disk, 0, sizeof(*disk));
	ck_assert_int_eq(fe_connect(&disk->fe, socket), 0);
	negotiate(disk, (FEATURES | VU_BIT(VIRTIO_F_RING_PACKED)) & ~without);
	start(disk);
	ck_assert(disk->ring.packed);
}

void disk_adopt(struct disk *disk, int sock)
{
	memset(disk, 0, sizeof(*disk));
	ck_assert_int_eq(fe_adopt(&disk->fe, sock), 0);
	negotiate(disk, FEATURES);
	start(disk);
}

void disk_drop(struct disk *disk)
{
	fe_close(&disk->fe);
	fe_ring_free(&disk->ring);
	fe_memory_free(&disk->mem);
}

void disk_close(struct disk *disk)
{
	ck_assert_int_eq(fe_ring_stop(&disk->fe, 0, &disk->ring), 0);
	disk_drop(disk);
}

struct vu_region disk_region(const struct disk *disk)
{
	return (struct vu_region){
		.gpa = DISK_GPA,
		.size = DISK_MEM_BYTES,
		.uva = (uintptr_t)disk->ram,
		.mmap_offset = DISK_GUARD_BYTES,
	};
}

struct fe_buf disk_buf(const struct disk *disk, uint32_t offset, uint32_t bytes)
{
	ck_assert_uint_le(offset + bytes, DISK_DATA_BYTES);
	return (struct fe_buf){disk->data_mem.gpa + offset, bytes};
}

static uint64_t slot_gpa(const struct disk *disk, unsigned slot, size_t member)
{
	return disk->slots_mem.gpa + slot * sizeof(struct disk_slot) + member;
}

static void fly(struct disk *disk, unsigned slot, int head)
{
	ck_assert_int_ge(head, 0);
	disk->used_bytes[slot] = UINT32_MAX;
	disk->slot_of[head] = (uint16_t)slot;
	fe_ring_publish(&disk->ring);
	fe_ring_kick(&disk->ring);
}

void disk_submit(struct disk *disk, unsigned slot, uint32_t type, uint64_t sector,
		 const struct fe_buf *data, unsigned num, bool in)
{
	struct fe_buf bufs[MAX_PARTS];

	ck_assert_uint_lt(slot, DISK_SLOTS);
	if (disk_is_balloon) {
		disk->slot[slot].status = VIRTIO_BLK_S_OK; /* there is no status, but being used */
		fly(disk, slot, fe_ring_add(&disk->ring, data, num, 0));
		return;
	}
	ck_assert_uint_le(num + 2, MAX_PARTS);
	disk->slot[slot].header.type = htole32(type);
	disk->slot[slot].header.sector = htole64(sector);
	disk->slot[slot].status = 0xff;
	bufs[0] = (struct fe_buf){slot_gpa(disk, slot, offsetof(struct disk_slot, header)), 16};
	if (num)
		memcpy(bufs + 1, data, num * sizeof(*data));
	bufs[num + 1] =
		(struct fe_buf){slot_gpa(disk, slot, offsetof(struct disk_slot, status)), 1};
	fly(disk, slot, fe_ring_add(&disk->ring, bufs, in ? 1 : num + 1, in ? num + 1 : 1));
}

uint8_t disk_wait(struct disk *disk, unsigned slot)
{
	while (disk->used_bytes[slot] == UINT32_MAX) {
		struct fe_used used = {0};
		int n;

		ck_assert_int_eq(fe_ring_wait(&disk->ring, WAIT_MS), 0);
		n = fe_ring_poll(&disk->ring, &used, 1);
		ck_assert_msg(n >= 0, "the ring is broken: %s", disk->ring.why);
		if (n)
			disk->used_bytes[disk->slot_of[used.head]] = used.len;
	}
	return disk->slot[slot].status;
}

uint8_t disk_do(struct disk *disk, uint32_t type, uint64_t sector, const struct fe_buf *data,
		unsigned num, bool in)
{
	disk_submit(disk, 0, type, sector, data, num, in);
	return disk_wait(disk, 0);
}

void disk_name_page(struct disk *disk)
{
	uint32_t pfn = htole32((uint32_t)((disk->data_mem.gpa + DISK_PAGE_AT) / 4096));

	memcpy(disk->data, &pfn, sizeof(pfn));
}

static uint8_t inflate(struct disk *disk)
{
	struct fe_buf data = disk_buf(disk, 0, sizeof(uint32_t));

	disk_name_page(disk);
	return disk_do(disk, 0, 0, &data, 1, false);
}

uint8_t disk_read(struct disk *disk, uint64_t sector, uint32_t bytes)
{
	struct fe_buf data = disk_buf(disk, 0, bytes);

	if (disk_is_balloon)
		return inflate(disk);
	return disk_do(disk, VIRTIO_BLK_T_IN, sector, &data, 1, true);
}

uint8_t disk_write(struct disk *disk, uint64_t sector, uint32_t bytes)
{
	struct fe_buf data = disk_buf(disk, 0, bytes);

	if (disk_is_balloon)
		return inflate(disk);
	return disk_do(disk, VIRTIO_BLK_T_OUT, sector, &data, 1, false);
}

uint8_t disk_flush(struct disk *disk)
{
	return disk_do(disk, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, false);
}

uint8_t disk_ranges(struct disk *disk, uint32_t type, const struct disk_range *ranges, unsigned num)
{
	struct virtio_blk_discard_write_zeroes *at = disk->slot[0].ranges;
	struct fe_buf data = {slot_gpa(disk, 0, offsetof(struct disk_slot, ranges)),
			      (uint32_t)(num * sizeof(*at))};
	unsigned i;

	ck_assert_uint_le(num, ARRAY_SIZE(disk->slot[0].ranges));
	for (i = 0; i < num; i++) {
		at[i].sector = htole64(ranges[i].sector);
		at[i].num_sectors = htole32(ranges[i].sectors);
		at[i].flags = htole32(ranges[i].flags);
	}
	return disk_do(disk, type, 0, &data, 1, false);
}

void pattern(void *to, uint32_t seed, size_t bytes)
{
	uint8_t *out = to;
	size_t i;

	for (i = 0; i < bytes; i++)
		out[i] = (uint8_t)((i * 2654435761u + seed * 40503u + (i >> 9) * 97u) >> 8);
}

void disk_fill(struct disk *disk, uint32_t seed, uint32_t bytes)
{
	pattern(disk->data, seed, bytes);
}

bool disk_filled(const struct disk *disk, uint32_t seed, uint32_t bytes)
{
	uint8_t *expected = malloc(bytes);
	bool same;

	ck_assert_ptr_nonnull(expected);
	pattern(expected, seed, bytes);
	same = !memcmp(disk->data, expected, bytes);
	free(expected);
	return same;
}
