/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_hostile_rig.c - see blk_hostile_rig.h. Tests only.
 */
#include "tests/protocol/blk_hostile_rig.h"

#include <poll.h>

struct disk disk, other;

static struct held held; /* by the daemon while only the good guest is there */
static struct canary others_ram; /* guards included */
static struct canary guest_ram;
static struct canary guards[2];
static uint16_t num_desc; /* of the chain laid down */

void choose_daemon(int argc, char **argv)
{
	disk_is_balloon = argc > 1 && !strcmp(argv[1], "ringside-balloon");
	if (disk_is_balloon)
		blkd_is("ringside-balloon", "RINGSIDE_BALLOON");
}

void add_hostile_test(TCase *tcase, const TTest *test, unsigned number)
{
	int first = disk_is_balloon ? (int)(number & 1) : 0;

	tcase_add_loop_test(tcase, test, first, disk_is_balloon ? first + 1 : 2);
}

/* --- the daemon and its guests --- */

/* No zeroes where nobody has written yet, lest zeroes written there hide. */
static void fill_canaries(const struct disk *of)
{
	memset(of->data, 0xc5, (size_t)(of->ram + DISK_MEM_BYTES - of->data));
}

/* visit - a guest comes, with guards on either side of its memory. */
static void visit(bool packed, uint64_t without)
{
	unsigned i;

	if (packed)
		disk_open_packed(&disk, "a.sock", without);
	else
		disk_open(&disk, "a.sock", without);
	memset(disk.mem.regions[0].host, 0xc5, DISK_GUARD_BYTES);
	memset(disk.ram + DISK_MEM_BYTES, 0xc5, DISK_GUARD_BYTES);
	for (i = 0; i < 2; i++)
		canary_take(&guards[i], i ? disk.ram + DISK_MEM_BYTES : disk.ram - DISK_GUARD_BYTES,
			    DISK_GUARD_BYTES);
	num_desc = 0;
}

void leave(void)
{
	canary_lives(&guards[0]);
	canary_lives(&guards[1]);
	disk_drop(&disk);
}

static void writes_and_reads(void)
{
	disk_fill(&disk, 7, 65536);
	ck_assert_uint_eq(disk_write(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	memset(disk.data, 0, 65536);
	ck_assert_uint_eq(disk_read(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 7, 65536));
}

/* inflates - by a page of the data memory, which is then zero. */
static void inflates(void)
{
	volatile uint8_t *page = disk.data + DISK_PAGE_AT;

	*page = 1;
	ck_assert_uint_eq(disk_read(&disk, 0, 4), VIRTIO_BLK_S_OK);
	wait_for(!*page);
}

/* well_behaved - a whole visit of a good guest. */
static void well_behaved(bool packed)
{
	visit(packed, 0);
	if (disk_is_balloon)
		inflates();
	else
		writes_and_reads();
	ck_assert_int_eq(fe_ring_stop(&disk.fe, 0, &disk.ring), 0);
	leave();
}

void meanwhile(void)
{
	ck_assert_uint_eq(disk_read(&other, 8, 4096), VIRTIO_BLK_S_OK);
}

/* both_there - the daemon serves a.sock and b.sock. */
static void both_there(void)
{
	disk_open(&other, "b.sock", 0);
	fill_canaries(&other);
	ck_assert_uint_eq(disk_write(&other, 8, 4096), VIRTIO_BLK_S_OK);
	canary_take(&others_ram, other.mem.regions[0].host, other.mem.regions[0].size);
	/* Ring and slots lie before the data. */
	canary_allow(&others_ram, other.ram, (size_t)(other.data - other.ram) + 4096);
	canary_allow(&others_ram, other.data + DISK_PAGE_AT, disk_is_balloon ? 4096 : 0);
	held = held_by(blkd_pid());
	well_behaved(false);
	well_behaved(true);
	meanwhile();
	/* Threads and pools of the daemon have what they need now. */
	held.heap_bytes = held_by(blkd_pid()).heap_bytes;
	held_back(blkd_pid(), held);
}

void start_images(const char *bad, const char *good)
{
	char options[256];

	snprintf(options, sizeof(options),
		 "--disk=socket=a.sock,file=%s --disk=socket=b.sock,file=%s", bad, good);
	blkd_start(options);
	both_there();
}

unsigned maps_without_guest(void)
{
	return held.maps;
}

void start(void)
{
	if (disk_is_balloon) {
		blkd_start("--vm=name=a,socket=a.sock --vm=name=b,socket=b.sock");
		both_there();
		return;
	}
	make_image("a.img", IMAGE_BYTES);
	make_image("b.img", IMAGE_BYTES);
	start_images("a.img", "b.img");
}

void guest_without(bool packed, uint64_t features)
{
	visit(packed, features);
	fill_canaries(&disk);
}

void guest(bool packed)
{
	guest_without(packed, 0);
}

void survived(void)
{
	meanwhile();
	comes_to_rest(blkd_pid()); /* whatever stands in the bad guest's ring */
	leave();
	held_back(blkd_pid(), held);
	comes_to_rest(blkd_pid());
	canary_lives(&others_ram);
	well_behaved(false);
	well_behaved(true);
	held_back(blkd_pid(), held);
	disk_close(&other);
	blkd_stop();
}

/* --- chains --- */

static void put(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){htole64(gpa), htole32(len), htole16(flags), htole16(next)};
}

static void put_packed(struct vring_packed_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags)
{
	*desc = (struct vring_packed_desc){htole64(gpa), htole32(len), 0, htole16(flags)};
}

void chain_ends(uint16_t num)
{
	num_desc = num;
}

void ring_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	if (!disk.ring.packed) {
		put(&disk.ring.desc[i], gpa, len, flags, next);
		return;
	}
	put_packed(&disk.ring.shape[i], gpa, len, flags);
	disk.ring.links[i] = (uint16_t)(i + 1);
	if (i >= num_desc)
		chain_ends((uint16_t)(i + 1));
}

void table_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t *table = disk.data + TABLE_AT;

	if (disk.ring.packed)
		put_packed(&((struct vring_packed_desc *)(void *)table)[i], gpa, len, flags);
	else
		put(&((struct vring_desc *)(void *)table)[i], gpa, len, flags, next);
}

void header(uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *hdr = (void *)(disk.data + HEADER_AT);

	hdr->type = htole32(type);
	hdr->sector = htole64(sector);
	disk.data[STATUS_AT] = 0xff;
}

void good_read(void)
{
	header(VIRTIO_BLK_T_IN, 0);
	chain_ends(0);
	ring_desc(0, at(HEADER_AT), 16, NEXT, 1);
	ring_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 2);
	ring_desc(2, at(STATUS_AT), 1, WRITE, 0);
}

void good_request(void)
{
	if (!disk_is_balloon) {
		good_read();
		return;
	}
	disk_name_page(&disk);
	disk.data[STATUS_AT] = VIRTIO_BLK_S_OK; /* it has none to write */
	chain_ends(0);
	ring_desc(0, at(0), 4, 0, 0);
}

void good_table(uint32_t bytes)
{
	header(VIRTIO_BLK_T_IN, 0);
	chain_ends(0);
	ring_desc(0, at(TABLE_AT), bytes, INDIRECT, 0);
	table_desc(0, at(HEADER_AT), 16, NEXT, 1);
	table_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 2);
	table_desc(2, at(STATUS_AT), 1, WRITE, 0);
}

void stage(void)
{
	fe_ring_claim(&disk.ring, 0, UINT32_MAX);
	if (disk.ring.packed)
		disk.ring.chains[0].num_desc = num_desc;
	fe_ring_submit(&disk.ring, 0);
}

void go(void)
{
	fe_ring_publish(&disk.ring);
	fe_ring_notify(&disk.ring);
}

/* --- what became of it --- */

void watch(void)
{
	const struct fe_ring *ring = &disk.ring;

	canary_take(&guest_ram, disk.ram, DISK_MEM_BYTES);
	if (ring->packed) {
		may_write(ring->slots, ring->size * sizeof(*ring->slots));
		may_write(ring->device_event, sizeof(*ring->device_event));
		may_write(ring->driver_event, sizeof(*ring->driver_event)); /* by ourselves */
	} else {
		may_write(ring->used,
			  sizeof(*ring->used) + ring->size * sizeof(ring->used->ring[0]) + 2);
		may_write(ring->avail, sizeof(*ring->avail) + (ring->size + 1) * 2);
	}
	may_write(disk.data + (disk_is_balloon ? DISK_PAGE_AT : DATA_AT), 4096);
	may_write(disk.data + STATUS_AT, 1);
}

void may_write(const void *host, size_t bytes)
{
	canary_allow(&guest_ram, host, bytes);
}

void unharmed(void)
{
	canary_lives(&guest_ram);
}

bool broken(int timeout_ms)
{
	struct pollfd poll_fd = {.fd = disk.ring.err_fd, .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

struct fe_used used(void)
{
	struct fe_used used = {0};

	ck_assert_int_eq(fe_ring_wait(&disk.ring, 5000), 0);
	ck_assert_int_eq(fe_ring_poll(&disk.ring, &used, 1), 1);
	ck_assert_uint_eq(used.head, 0);
	return used;
}

static void expect_used(enum outcome outcome)
{
	struct fe_used chain = used();

	if (outcome == TOLD) {
		ck_assert_uint_eq(chain.len, 1);
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_IOERR);
	} else if (outcome == USED) {
		ck_assert_uint_eq(chain.len, 0);
		ck_assert_uint_eq(disk.data[STATUS_AT], 0xff);
	} else {
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_OK);
	}
}

void expect(enum outcome outcome)
{
	unsigned ms;

	meanwhile();
	if (outcome == BROKEN) {
		ck_assert_msg(broken(5000), "the ring's error was not signalled");
	} else if (outcome == ANY) {
		struct fe_used any = {0};

		for (ms = 0; ms < 5000 && !broken(0) && !fe_ring_poll(&disk.ring, &any, 1); ms++)
			usleep(1000);
		ck_assert_msg(ms < 5000, "neither used nor broken");
	} else {
		expect_used(outcome);
	}
	meanwhile();
}
