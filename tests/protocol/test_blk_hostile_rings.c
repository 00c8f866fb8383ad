/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_rings.c - guests whose rings break the rules, change under the daemon's eyes or
 * never end: that ring stops, the daemon's other disk is served, and the next guest works.
 * The front-end against the real daemon.
 */
#include <pthread.h>

#include "tests/protocol/blk_hostile_rig.h"

/* --- rings --- */

static void publish_raw(uint16_t head, uint16_t by)
{
	struct vring_avail *avail = disk.ring.avail;

	avail->ring[avail->idx % DISK_RING_SIZE] = htole16(head);
	__atomic_store_n(&avail->idx, (uint16_t)(avail->idx + by), __ATOMIC_RELEASE);
	fe_ring_notify(&disk.ring);
}

START_TEST(bad_head)
{
	static const uint16_t heads[] = {DISK_RING_SIZE, DISK_RING_SIZE + 1, 0x8000, 0xffff};

	start();
	disk_open(&disk, "a.sock", 0);
	publish_raw(heads[_i], 1);
	expect(BROKEN);
	survived();
}
END_TEST

START_TEST(available_index_jumps)
{
	static const uint16_t jumps[] = {DISK_RING_SIZE + 1, 0x7fff, 0x8000, 0xffff};

	start();
	disk_open(&disk, "a.sock", 0);
	good_read();
	publish_raw(0, jumps[_i]);
	expect(BROKEN);
	survived();
}
END_TEST

/* The same chain a whole ring full of times; it is in flight at its second. */
START_TEST(same_head_twice)
{
	unsigned i;

	start();
	disk_open(&disk, "a.sock", 0);
	good_read();
	for (i = 0; i < DISK_RING_SIZE; i++)
		disk.ring.avail->ring[i] = 0;
	publish_raw(0, DISK_RING_SIZE);
	expect(BROKEN);
	survived();
}
END_TEST

/* --- memory that changes meanwhile, rings that never end --- */

static bool stop_threads;

static void *scribble(void *arg)
{
	uint64_t random = 1;
	struct virtio_blk_outhdr *hdr = (void *)(disk.data + HEADER_AT);

	(void)arg;
	while (!__atomic_load_n(&stop_threads, __ATOMIC_RELAXED)) {
		struct vring_desc *desc = &disk.ring.desc[1];

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		__atomic_store_n(&hdr->sector, random >> 40 & 1 ? random : 0, __ATOMIC_RELAXED);
		__atomic_store_n(&hdr->type, random >> 33 & 13, __ATOMIC_RELAXED);
		__atomic_store_n(&desc->addr, random >> 41 & 1 ? random : at(DATA_AT),
				 __ATOMIC_RELAXED);
		__atomic_store_n(&desc->len, random >> 42 & 1 ? (uint32_t)random : 4096,
				 __ATOMIC_RELAXED);
		__atomic_store_n(&desc->flags, NEXT | (random >> 43 & 7), __ATOMIC_RELAXED);
		__atomic_store_n(&desc->next, random >> 46 & 1 ? (uint16_t)random : 2,
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(guest_memory_changes_meanwhile)
{
	struct fe_used used = {0};
	pthread_t thread;
	unsigned i;

	start();
	disk_open(&disk, "a.sock", 0);
	good_read();
	fe_ring_claim(&disk.ring, 0, UINT32_MAX);
	ck_assert_int_eq(pthread_create(&thread, NULL, scribble, NULL), 0);
	for (i = 0; i < 20000; i++) {
		fe_ring_submit(&disk.ring, 0);
		fe_ring_publish(&disk.ring);
		fe_ring_kick(&disk.ring);
		ck_assert_int_eq(fe_ring_wait(&disk.ring, 5000), 0);
		ck_assert_int_eq(fe_ring_poll(&disk.ring, &used, 1), 1);
	}
	__atomic_store_n(&stop_threads, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	survived();
}
END_TEST

/* Refills the ring as fast as it is emptied. */
static void *refill(void *arg)
{
	struct fe_used used[32];
	int i, n;

	(void)arg;
	while (!__atomic_load_n(&stop_threads, __ATOMIC_RELAXED)) {
		n = fe_ring_poll(&disk.ring, used, 32);
		for (i = 0; i < n; i++)
			fe_ring_submit(&disk.ring, used[i].head);
		fe_ring_publish(&disk.ring);
		fe_ring_kick(&disk.ring);
	}
	return NULL;
}

START_TEST(endless_work_starves_nobody)
{
	pthread_t thread;
	uint16_t i;

	make_image("b.img", IMAGE_BYTES);
	blkd_start("--disk=socket=a.sock,file=null:1G --disk=socket=b.sock,file=b.img");
	disk_open(&other, "b.sock", 0);
	fds_before = daemon_fds();
	disk_open(&disk, "a.sock", 0);
	good_read();
	for (i = 0; i + 2 < DISK_RING_SIZE; i += 3) {
		ring_desc(i, at(HEADER_AT), 16, NEXT, (uint16_t)(i + 1));
		ring_desc((uint16_t)(i + 1), at(DATA_AT), 4096, NEXT | WRITE, (uint16_t)(i + 2));
		ring_desc((uint16_t)(i + 2), at(STATUS_AT), 1, WRITE, 0);
		stage(i);
	}
	go();
	ck_assert_int_eq(pthread_create(&thread, NULL, refill, NULL), 0);
	for (i = 0; i < 50; i++)
		ck_assert_uint_eq(disk_write(&other, 8, 4096), VIRTIO_BLK_S_OK);
	json_decref(blkd_call("stats"));
	/* Its guest leaves while the ring is as full as ever. */
	fe_close(&disk.fe);
	wait_for(daemon_fds() == fds_before);
	__atomic_store_n(&stop_threads, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	disk_drop(&disk);
	disk_close(&other);
	blkd_stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_hostile_rings");
	TCase *tcase = tcase_create("hostile rings");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, bad_head, 0, 4);
	tcase_add_loop_test(tcase, available_index_jumps, 0, 4);
	tcase_add_test(tcase, same_head_twice);
	tcase_add_test(tcase, guest_memory_changes_meanwhile);
	tcase_add_test(tcase, endless_work_starves_nobody);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
