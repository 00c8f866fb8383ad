/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_rings.c - guests whose rings break the rules, change under the daemon's eyes, lie
 * over each other or never end, in either format (_i: 1 is packed): that ring stops, the daemon's
 * other disk is served, and the next guest works. The front-end against the real daemon.
 */
#include <errno.h>
#include <pthread.h>

#include "tests/protocol/blk_hostile_rig.h"

#define LAST      (DISK_RING_SIZE - 1)
#define DESC_BITS ((1u << VRING_PACKED_DESC_F_AVAIL) | (1u << VRING_PACKED_DESC_F_USED))

static uint64_t random_state;

static uint64_t random64(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return random_state ^ random_state >> 29;
}

/* --- split rings --- */

static void publish_raw(uint16_t head, uint16_t by)
{
	struct vring_avail *avail = disk.ring.avail;

	avail->ring[avail->idx % DISK_RING_SIZE] = htole16(head);
	__atomic_store_n(&avail->idx, (uint16_t)(avail->idx + by), __ATOMIC_RELEASE);
	fe_ring_notify(&disk.ring);
}

START_TEST(split_head_outside_the_table)
{
	static const uint16_t heads[] = {DISK_RING_SIZE, DISK_RING_SIZE + 1, 0x8000, 0xffff};

	start();
	guest(false);
	watch();
	publish_raw(heads[_i], 1);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

START_TEST(split_available_index_jumps)
{
	static const uint16_t jumps[] = {DISK_RING_SIZE + 1, 0x7fff, 0x8000, 0xffff};

	start();
	guest(false);
	good_read();
	watch();
	publish_raw(0, jumps[_i]);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

/* The same chain a whole ring full of times; it is in flight at its second. */
START_TEST(split_head_twice_in_flight)
{
	unsigned i;

	start();
	guest(false);
	good_read();
	for (i = 0; i < DISK_RING_SIZE; i++)
		disk.ring.avail->ring[i] = 0;
	watch();
	publish_raw(0, DISK_RING_SIZE);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

/* --- packed rings --- */

/* slot - descriptor @i of the ring, available in the first round; the first comes last. */
static void slot(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t id)
{
	struct vring_packed_desc *desc = &disk.ring.slots[i];

	desc->addr = htole64(gpa);
	desc->len = htole32(len);
	desc->id = htole16(id);
	__atomic_store_n(&desc->flags, htole16(flags | 1u << VRING_PACKED_DESC_F_AVAIL),
			 __ATOMIC_RELEASE);
}

static void slot_read(uint16_t i, uint16_t id)
{
	slot((uint16_t)(i + 2), at(STATUS_AT), 1, WRITE, id);
	slot((uint16_t)(i + 1), at(DATA_AT), 4096, NEXT | WRITE, id);
	slot(i, at(HEADER_AT), 16, NEXT, id);
}

START_TEST(packed_id_outside_the_ring)
{
	static const uint16_t ids[] = {DISK_RING_SIZE, DISK_RING_SIZE + 1, 0x8000, 0xffff};

	start();
	guest(true);
	header(VIRTIO_BLK_T_IN, 0);
	watch();
	slot_read(0, ids[_i]);
	fe_ring_notify(&disk.ring);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

START_TEST(packed_id_twice_in_flight)
{
	uint16_t i;

	start();
	guest(true);
	header(VIRTIO_BLK_T_IN, 0);
	watch();
	for (i = DISK_RING_SIZE / 3 * 3; i; i = (uint16_t)(i - 3))
		slot_read((uint16_t)(i - 3), 5);
	fe_ring_notify(&disk.ring);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

START_TEST(packed_chain_longer_than_the_ring)
{
	uint16_t i;

	start();
	guest(true);
	watch();
	for (i = DISK_RING_SIZE; i--;)
		slot(i, at(DATA_AT), 16, NEXT, 0);
	fe_ring_notify(&disk.ring);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

/* The second chain runs on into the first. */
START_TEST(packed_chain_into_what_is_in_flight)
{
	uint16_t i;

	start();
	guest(true);
	header(VIRTIO_BLK_T_IN, 0);
	watch();
	for (i = LAST; i > 2; i--)
		slot(i, at(DATA_AT), 16, NEXT | WRITE, 1);
	slot(2, at(STATUS_AT), 1, NEXT | WRITE, 0);
	slot(1, at(DATA_AT), 512, NEXT | WRITE, 0);
	slot(0, at(HEADER_AT), 16, NEXT, 0);
	fe_ring_notify(&disk.ring);
	expect(BROKEN);
	unharmed();
	survived();
}
END_TEST

/* Flags of another round, of none, and of every kind, all over the ring. */
START_TEST(packed_wrap_flags_are_garbage)
{
	static const uint16_t bits[] = {0, DESC_BITS, 1u << VRING_PACKED_DESC_F_USED};
	uint16_t i;

	start();
	guest(true);
	header(VIRTIO_BLK_T_IN, 0);
	watch();
	random_state = (uint64_t)_i;
	for (i = DISK_RING_SIZE; i--;) {
		struct vring_packed_desc *desc = &disk.ring.slots[i];

		desc->addr = htole64(at(DATA_AT));
		desc->len = htole32(512);
		desc->id = htole16(i);
		desc->flags = htole16(_i < 3 ? bits[_i] : random64() & DESC_BITS);
	}
	fe_ring_notify(&disk.ring);
	meanwhile();
	usleep(20000);
	unharmed();
	survived();
}
END_TEST

/* --- either --- */

/* What says when to notify is garbage: kicks and calls may go missing, requests do not. */
START_TEST(event_areas_are_garbage)
{
	static const uint32_t words[] = {0xffffffff, 0x0002ffff, 0x00027fff, 0x8001abcd,
					 0x00020080};
	struct fe_used chain = {0};
	unsigned i, ms;

	start();
	guest(_i);
	for (i = 0; i < 200; i++) {
		uint32_t word = words[i % ARRAY_SIZE(words)];

		if (_i) {
			disk.ring.driver_event->off_wrap = htole16((uint16_t)word);
			disk.ring.driver_event->flags = htole16((uint16_t)(word >> 16));
		} else {
			disk.ring.avail->flags = htole16((uint16_t)(word >> 16));
			*disk.ring.used_event = htole16((uint16_t)word);
		}
		good_read();
		stage();
		go();
		for (ms = 0; ms < 5000 && !fe_ring_poll(&disk.ring, &chain, 1); ms++)
			usleep(100);
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_OK);
	}
	survived();
}
END_TEST

/* noise_desc - of any kind; its address is in guest memory more often than not. */
static struct vring_desc noise_desc(void)
{
	uint64_t where = random64(), what = random64();
	uint64_t gpa = where & 7 ? DISK_GPA + (where >> 8) % DISK_MEM_BYTES : where;
	uint32_t len = what & 7 ? (uint32_t)(what >> 8) & 0x1fff : (uint32_t)(what >> 8);

	return (struct vring_desc){
		.addr = htole64(gpa),
		.len = htole32(len),
		.flags = htole16((uint16_t)(what >> 40 & (NEXT | WRITE | INDIRECT))),
		.next = htole16((uint16_t)(what >> 48 & (where & 0x70 ? LAST : 0xffff))),
	};
}

static void noise(void)
{
	unsigned i;

	for (i = 0; i < DISK_RING_SIZE; i++) {
		struct vring_desc desc = noise_desc();
		uint16_t bits = (uint16_t)(i & 7 ? 1u << VRING_PACKED_DESC_F_AVAIL : random64());

		if (disk.ring.packed) {
			disk.ring.slots[i] =
				(struct vring_packed_desc){desc.addr, desc.len, desc.next,
							   desc.flags | htole16(bits & DESC_BITS)};
		} else {
			disk.ring.desc[i] = desc;
			disk.ring.avail->ring[i] = htole16((uint16_t)i);
		}
	}
}

/* Requests at random, from memory that is headers all over: reads of the first sector. */
START_TEST(rings_of_noise)
{
	unsigned round;

	start();
	for (round = 0; round < 40; round++) {
		guest(_i);
		random_state = round * 2 + 1;
		memset(disk.data, 0, 1 << 20);
		noise();
		if (_i)
			fe_ring_notify(&disk.ring);
		else
			publish_raw(0, DISK_RING_SIZE);
		meanwhile();
		leave();
	}
	guest(_i);
	survived();
}
END_TEST

/* --- memory that lies over itself --- */

/* either - used or broken, or neither: what the daemon goes by is gone. */
static void either(void)
{
	struct fe_used chain = {0};
	unsigned ms;

	for (ms = 0; ms < 200 && !broken(0) && !fe_ring_poll(&disk.ring, &chain, 1); ms++)
		usleep(1000);
	meanwhile();
}

/* ring_part - of either format. */
static void *ring_part(int i)
{
	const struct fe_ring *ring = &disk.ring;
	void *split[] = {ring->table, ring->avail, ring->used};
	void *packed[] = {ring->slots, ring->driver_event, ring->device_event};

	return ring->packed ? packed[i] : split[i];
}

/* The disk, which is all ones, is read over each part of the ring, the table the chain is in, and
 * the header. _i: format, then where. */
START_TEST(h48_data_over_the_rings)
{
	int where = _i / 2;
	void *over;

	start();
	guest(_i % 2);
	disk_fill(&disk, 0, 4096);
	memset(disk.data, 0xff, 4096);
	ck_assert_uint_eq(disk_write(&disk, 0, 4096), VIRTIO_BLK_S_OK);
	good_table(48);
	over = where < 3 ? ring_part(where) : disk.data + (where == 3 ? TABLE_AT : 0);
	table_desc(1, gpa_of(over), 512, NEXT | WRITE, 2);
	watch();
	may_write(over, 512);
	stage();
	go();
	either();
	unharmed();
	survived();
}
END_TEST

/* Status over the header, and over the event that the driver waits by. */
START_TEST(h48_status_over_what_is_read)
{
	start();
	guest(_i);
	good_read();
	ring_desc(2, at(HEADER_AT) + 15, 1, WRITE, 0);
	watch();
	may_write(disk.data + HEADER_AT + 15, 1);
	stage();
	go();
	used();
	unharmed();
	good_read();
	ring_desc(2, gpa_of(ring_part(1)) + 1, 1, WRITE, 0);
	stage();
	go();
	either();
	survived();
}
END_TEST

/* All three parts of the ring at one address. */
START_TEST(h48_rings_over_each_other)
{
	struct vu_vring_addr addr;
	unsigned i;

	start();
	guest(_i);
	addr = fe_ring_wire_addr(&disk.ring, 0);
	addr.avail_uva = addr.used_uva = addr.desc_uva;
	good_read();
	stage();
	watch();
	may_write(ring_part(0), DISK_RING_SIZE * 16);
	ck_assert_int_eq(fe_set_vring_addr(&disk.fe, 0, &addr), 0);
	for (i = 0; i < 20; i++) {
		fe_ring_publish(&disk.ring);
		fe_ring_notify(&disk.ring);
		meanwhile();
	}
	unharmed();
	survived();
}
END_TEST

/* The same pages at two addresses: the ring is at one, data goes to it by the other. */
START_TEST(h48_a_region_that_is_another)
{
	struct vu_msg msg;
	uint64_t shift = 1ull << 32;

	start();
	guest(_i);
	vu_msg_init(&msg, VU_ADD_MEM_REG);
	msg.hdr.size = sizeof(msg.payload.region);
	msg.payload.region.region = disk_region(&disk);
	msg.payload.region.region.gpa += shift;
	msg.payload.region.region.uva += shift;
	msg.fds[0] = disk.mem.regions[0].fd;
	msg.num_fds = 1;
	ck_assert_int_eq(fe_request(&disk.fe, &msg), 0);
	good_read();
	ring_desc(0, at(HEADER_AT) + shift, 16, NEXT, 1);
	ring_desc(1, gpa_of(ring_part(0)) + shift, 512, NEXT | WRITE, 2);
	watch();
	may_write(ring_part(0), 512);
	stage();
	go();
	either();
	unharmed();
	survived();
}
END_TEST

/* --- memory that changes meanwhile, rings that never end --- */

static bool stop_threads;

static bool going_on(void)
{
	return !__atomic_load_n(&stop_threads, __ATOMIC_RELAXED);
}

/* scribble - the header, and the descriptors of the table, or of the ring where @arg is not NULL. */
static void *scribble(void *arg)
{
	struct virtio_blk_outhdr *hdr = (void *)(disk.data + HEADER_AT);
	bool packed = disk.ring.packed, ring = arg;
	unsigned i;

	for (i = 0; going_on(); i++) {
		uint8_t *desc = disk.data + TABLE_AT + 16 * (i % 3);
		struct vring_desc noise = noise_desc();

		__atomic_store_n(&hdr->sector, i & 4 ? noise.addr : 0, __ATOMIC_RELAXED);
		__atomic_store_n(&hdr->type, i & 8 ? noise.len & 13 : 0, __ATOMIC_RELAXED);
		if (ring)
			desc = (uint8_t *)ring_part(0) +
			       16 * (packed ? i % DISK_RING_SIZE : 1 + i % 2);
		if (packed)
			noise.flags |= htole16(1u << VRING_PACKED_DESC_F_AVAIL);
		__atomic_store((uint64_t *)(void *)desc, (uint64_t *)(void *)&noise,
			       __ATOMIC_RELAXED);
		__atomic_store((uint64_t *)(void *)(desc + 8), (uint64_t *)(void *)&noise + 1,
			       __ATOMIC_RELAXED);
	}
	return NULL;
}

/* An indirect table changes under the daemon: its chain ends in some way, and the ring goes on. */
START_TEST(h35_a_table_that_changes_meanwhile)
{
	pthread_t thread;
	unsigned i;

	start();
	guest(_i);
	good_table(48);
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (i = 0; i < 5000; i++) {
		stage();
		go();
		used();
		if (i % 500 == 0)
			meanwhile();
	}
	__atomic_store_n(&stop_threads, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	survived();
}
END_TEST

/* The split ring's own descriptors do: chains end in some way, and the ring goes on. */
START_TEST(h35_split_descriptors_that_change_meanwhile)
{
	pthread_t thread;
	unsigned i;

	start();
	guest(false);
	good_read();
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble, &disk), 0);
	for (i = 0; i < 5000; i++) {
		stage();
		go();
		used();
		if (i % 500 == 0)
			meanwhile();
	}
	__atomic_store_n(&stop_threads, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	survived();
}
END_TEST

/* A packed ring does not survive that, since ids and ends are in its descriptors; the daemon does. */
START_TEST(h35_packed_descriptors_that_change_meanwhile)
{
	pthread_t thread;
	unsigned round, i;

	start();
	for (round = 0; round < 20; round++) {
		guest(true);
		good_read();
		stage();
		go();
		stop_threads = false;
		ck_assert_int_eq(pthread_create(&thread, NULL, scribble, &disk), 0);
		for (i = 0; i < 100 && !broken(0); i++) {
			fe_ring_notify(&disk.ring);
			usleep(50);
		}
		meanwhile();
		__atomic_store_n(&stop_threads, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
		leave();
	}
	guest(true);
	survived();
}
END_TEST

/* Refills the ring as fast as it is emptied. */
static void *refill(void *arg)
{
	struct fe_used used[32];
	int i, n;

	(void)arg;
	while (going_on()) {
		n = fe_ring_poll(&disk.ring, used, 32);
		for (i = 0; i < n; i++)
			fe_ring_submit(&disk.ring, used[i].head);
		fe_ring_publish(&disk.ring);
		fe_ring_kick(&disk.ring);
	}
	return NULL;
}

START_TEST(h40_endless_work_starves_nobody)
{
	struct fe_buf bufs[3];
	pthread_t thread;
	uint16_t i;
	int head;

	make_image("b.img", IMAGE_BYTES);
	start_images("ram:64M", "b.img");
	guest(_i);
	header(VIRTIO_BLK_T_IN, 0);
	bufs[0] = (struct fe_buf){at(HEADER_AT), 16};
	bufs[1] = (struct fe_buf){at(DATA_AT), 4096};
	bufs[2] = (struct fe_buf){at(STATUS_AT), 1};
	while ((head = fe_ring_prepare(&disk.ring, bufs, 1, 2)) >= 0)
		fe_ring_submit(&disk.ring, (unsigned)head);
	go();
	ck_assert_int_eq(pthread_create(&thread, NULL, refill, NULL), 0);
	for (i = 0; i < 50; i++)
		meanwhile();
	json_decref(blkd_call("stats"));
	/* Its guest leaves while the ring is as full as ever. */
	fe_close(&disk.fe);
	wait_for(held_by(blkd_pid()).maps == maps_without_guest());
	__atomic_store_n(&stop_threads, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_hostile_rings");
	TCase *tcase = tcase_create("hostile rings");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, split_head_outside_the_table, 0, 4);
	tcase_add_loop_test(tcase, split_available_index_jumps, 0, 4);
	tcase_add_test(tcase, split_head_twice_in_flight);
	tcase_add_loop_test(tcase, packed_id_outside_the_ring, 0, 4);
	tcase_add_test(tcase, packed_id_twice_in_flight);
	tcase_add_test(tcase, packed_chain_longer_than_the_ring);
	tcase_add_test(tcase, packed_chain_into_what_is_in_flight);
	tcase_add_loop_test(tcase, packed_wrap_flags_are_garbage, 0, 6);
	tcase_add_loop_test(tcase, event_areas_are_garbage, 0, 2);
	tcase_add_loop_test(tcase, rings_of_noise, 0, 2);
	tcase_add_loop_test(tcase, h48_data_over_the_rings, 0, 2 * 5);
	tcase_add_loop_test(tcase, h48_status_over_what_is_read, 0, 2);
	tcase_add_loop_test(tcase, h48_rings_over_each_other, 0, 2);
	tcase_add_loop_test(tcase, h48_a_region_that_is_another, 0, 2);
	tcase_add_loop_test(tcase, h35_a_table_that_changes_meanwhile, 0, 2);
	tcase_add_test(tcase, h35_split_descriptors_that_change_meanwhile);
	tcase_add_test(tcase, h35_packed_descriptors_that_change_meanwhile);
	tcase_add_loop_test(tcase, h40_endless_work_starves_nobody, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
