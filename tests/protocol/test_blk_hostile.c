/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile.c - guests that break the rules of rings, chains and requests: the daemon
 * lives, its other disk is served, nothing leaks, and the next guest works.
 * The front-end against the real daemon.
 */
#include <dirent.h>
#include <endian.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "tests/protocol/blk_driver.h"

#define IMAGE_BYTES (8u << 20)
#define NO_MEMORY   (DISK_GPA + DISK_MEM_BYTES + 4096)
#define NEXT        VRING_DESC_F_NEXT
#define WRITE       VRING_DESC_F_WRITE
#define INDIRECT    VRING_DESC_F_INDIRECT

static struct disk disk, other;

/* What a bad guest gets. */
enum outcome {
	TOLD, /* used, with IOERR in the status byte */
	USED, /* used, with nothing written */
	BROKEN, /* the ring stops and its error eventfd is signalled */
	ANY, /* used somehow, or broken */
};

static unsigned daemon_fds(void)
{
	char path[64];
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", blkd_pid());
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static unsigned fds_before;

static void start(void)
{
	make_image("a.img", IMAGE_BYTES);
	make_image("b.img", IMAGE_BYTES);
	blkd_start("--disk=socket=a.sock,file=a.img --disk=socket=b.sock,file=b.img");
	disk_open(&other, "b.sock", 0);
	ck_assert_uint_eq(disk_write(&other, 8, 4096), VIRTIO_BLK_S_OK);
	fds_before = daemon_fds();
}

/* survived - the other disk is served, nothing was kept, and the next guest works. */
static void survived(void)
{
	ck_assert_uint_eq(disk_read(&other, 8, 4096), VIRTIO_BLK_S_OK);
	disk_drop(&disk);
	wait_for(daemon_fds() == fds_before);
	disk_open(&disk, "a.sock", 0);
	disk_fill(&disk, 7, 65536);
	ck_assert_uint_eq(disk_write(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(disk_read(&disk, 0, 65536), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&disk, 7, 65536));
	disk_close(&disk);
	disk_close(&other);
	blkd_stop();
}

/* --- chains made by hand --- */

/* Places in the data memory. */
#define HEADER_AT 0u
#define STATUS_AT 64u
#define TABLE_AT  4096u
#define DATA_AT   65536u

static uint64_t at(uint32_t offset)
{
	return disk.data_mem.gpa + offset;
}

static void put(struct vring_desc *desc, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	*desc = (struct vring_desc){htole64(gpa), htole32(len), htole16(flags), htole16(next)};
}

static void ring_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	put(&disk.ring.desc[i], gpa, len, flags, next);
}

static void table_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	put(&((struct vring_desc *)(disk.data + TABLE_AT))[i], gpa, len, flags, next);
}

static void header(uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr *hdr = (void *)(disk.data + HEADER_AT);

	hdr->type = htole32(type);
	hdr->sector = htole64(sector);
	disk.data[STATUS_AT] = 0xff;
}

/* A good read of a page in descriptors 0 to 2, for a case to spoil. */
static void good_read(void)
{
	header(VIRTIO_BLK_T_IN, 0);
	ring_desc(0, at(HEADER_AT), 16, NEXT, 1);
	ring_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 2);
	ring_desc(2, at(STATUS_AT), 1, WRITE, 0);
}

static void good_table(uint32_t bytes)
{
	header(VIRTIO_BLK_T_IN, 0);
	ring_desc(0, at(TABLE_AT), bytes, INDIRECT, 0);
	table_desc(0, at(HEADER_AT), 16, NEXT, 1);
	table_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 2);
	table_desc(2, at(STATUS_AT), 1, WRITE, 0);
}

static void stage(uint16_t head)
{
	fe_ring_claim(&disk.ring, head, UINT32_MAX);
	fe_ring_submit(&disk.ring, head);
}

static void go(void)
{
	fe_ring_publish(&disk.ring);
	fe_ring_notify(&disk.ring);
}

/* --- one bad thing each; the chain's head is 0 --- */

static void next_outside_the_table(void)
{
	good_read();
	ring_desc(1, at(DATA_AT), 4096, NEXT | WRITE, DISK_RING_SIZE);
}

static void next_far_outside(void)
{
	good_read();
	ring_desc(0, at(HEADER_AT), 16, NEXT, 0xffff);
}

static void chain_to_itself(void)
{
	good_read();
	ring_desc(0, at(HEADER_AT), 16, NEXT, 0);
}

static void chain_in_a_circle(void)
{
	good_read();
	ring_desc(2, at(STATUS_AT), 1, NEXT | WRITE, 1);
}

static void buffers_of_no_length(void)
{
	ring_desc(0, at(HEADER_AT), 0, NEXT, 1);
	ring_desc(1, at(DATA_AT), 0, WRITE, 0);
}

static void no_length_in_a_circle(void)
{
	ring_desc(0, at(HEADER_AT), 0, NEXT, 1);
	ring_desc(1, at(HEADER_AT), 0, NEXT, 0);
}

static void header_unmapped(void)
{
	good_read();
	ring_desc(0, NO_MEMORY, 16, NEXT, 1);
}

static void data_unmapped(void)
{
	good_read();
	ring_desc(1, NO_MEMORY, 4096, NEXT | WRITE, 2);
}

static void status_unmapped(void)
{
	good_read();
	ring_desc(2, NO_MEMORY, 1, WRITE, 0);
}

static void data_below_memory(void)
{
	good_read();
	ring_desc(1, DISK_GPA - 1, 4096, NEXT | WRITE, 2);
}

static void data_over_the_end(void)
{
	good_read();
	ring_desc(1, DISK_GPA + DISK_MEM_BYTES - 2048, 4096, NEXT | WRITE, 2);
}

static void data_around_the_address_space(void)
{
	good_read();
	ring_desc(1, UINT64_MAX - 100, 4096, NEXT | WRITE, 2);
}

static void data_of_four_gigabytes(void)
{
	good_read();
	ring_desc(1, at(DATA_AT), UINT32_MAX, NEXT | WRITE, 2);
}

static void status_around_the_address_space(void)
{
	good_read();
	ring_desc(2, UINT64_MAX, 2, WRITE, 0);
}

static void table_nested(void)
{
	good_table(48);
	table_desc(1, at(TABLE_AT), 48, INDIRECT, 0);
}

static void table_with_next(void)
{
	good_table(48);
	ring_desc(0, at(TABLE_AT), 48, INDIRECT | NEXT, 1);
}

static void table_empty(void)
{
	good_table(0);
}

static void table_of_odd_length(void)
{
	good_table(47);
}

static void table_unmapped(void)
{
	good_table(48);
	ring_desc(0, NO_MEMORY, 48, INDIRECT, 0);
}

static void table_around_the_address_space(void)
{
	good_table(48);
	ring_desc(0, UINT64_MAX - 15, 48, INDIRECT, 0);
}

static void table_over_the_end(void)
{
	good_table(48);
	ring_desc(0, DISK_GPA + DISK_MEM_BYTES - 16, 48, INDIRECT, 0);
	put((struct vring_desc *)(disk.mem.regions[0].host + DISK_MEM_BYTES - 16), at(HEADER_AT),
	    16, NEXT, 1);
}

static void table_next_outside(void)
{
	good_table(48);
	table_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 3);
}

static void table_in_a_circle(void)
{
	good_table(48);
	table_desc(2, at(STATUS_AT), 1, NEXT | WRITE, 2);
}

/* Longer than any request may be: 4096 readable bytes, one a descriptor. */
static void table_too_long(void)
{
	uint16_t i;

	good_table(4096 * 16);
	for (i = 0; i < 4095; i++)
		table_desc(i, at(DATA_AT), 1, NEXT, (uint16_t)(i + 1));
	table_desc(4095, at(STATUS_AT), 1, WRITE, 0);
}

static void table_of_four_gigabytes(void)
{
	good_table(48);
	ring_desc(0, at(TABLE_AT), 0xfffffff0u, INDIRECT, 0);
}

static void writable_before_readable(void)
{
	good_read();
	ring_desc(0, at(STATUS_AT), 1, NEXT | WRITE, 1);
	ring_desc(1, at(DATA_AT), 4096, NEXT, 2);
}

static void header_writable(void)
{
	good_read();
	ring_desc(0, at(HEADER_AT), 16, NEXT | WRITE, 1);
}

static void status_read_only(void)
{
	good_read();
	ring_desc(1, at(DATA_AT), 4096, NEXT, 2);
	ring_desc(2, at(STATUS_AT), 1, 0, 0);
}

static void status_missing(void)
{
	header(VIRTIO_BLK_T_OUT, 0);
	ring_desc(0, at(HEADER_AT), 16, NEXT, 1);
	ring_desc(1, at(DATA_AT), 4096, 0, 0);
}

static void header_alone(void)
{
	good_read();
	ring_desc(0, at(HEADER_AT), 16, 0, 0);
}

static void header_short(void)
{
	good_read();
	ring_desc(0, at(HEADER_AT), 15, NEXT, 2);
}

static void write_of_writable_data(void)
{
	good_read();
	header(VIRTIO_BLK_T_OUT, 0);
}

static void sector_times_512_overflows(void)
{
	good_read();
	header(VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1);
}

static void sector_and_length_overflow(void)
{
	good_read();
	header(VIRTIO_BLK_T_IN, UINT64_MAX - 3);
}

/* The disk reads zeroes: over the descriptors, and over the used ring's index. */
static void data_over_the_descriptors(void)
{
	good_read();
	ring_desc(1,
		  disk.mem.regions[0].gpa +
			  (uint64_t)((uint8_t *)disk.ring.desc - disk.mem.regions[0].host),
		  512, NEXT | WRITE, 2);
}

static void status_over_the_header(void)
{
	good_read();
	ring_desc(2, at(HEADER_AT) + 15, 1, WRITE, 0);
}

static const struct {
	void (*make)(void);
	enum outcome outcome;
} chains[] = {
	{next_outside_the_table, USED},
	{next_far_outside, USED},
	{chain_to_itself, USED},
	{chain_in_a_circle, USED},
	{buffers_of_no_length, USED},
	{no_length_in_a_circle, USED},
	{header_unmapped, TOLD},
	{data_unmapped, TOLD},
	{status_unmapped, USED},
	{data_below_memory, TOLD},
	{data_over_the_end, TOLD},
	{data_around_the_address_space, TOLD},
	{data_of_four_gigabytes, TOLD},
	{status_around_the_address_space, USED},
	{table_nested, USED},
	{table_with_next, USED},
	{table_empty, USED},
	{table_of_odd_length, USED},
	{table_unmapped, USED},
	{table_around_the_address_space, USED},
	{table_over_the_end, USED},
	{table_next_outside, USED},
	{table_in_a_circle, USED},
	{table_too_long, ANY},
	{table_of_four_gigabytes, ANY}, /* one not in memory as a whole may be read all the same */
	{writable_before_readable, TOLD},
	{header_writable, TOLD},
	{status_read_only, USED},
	{status_missing, USED},
	{header_alone, USED},
	{header_short, TOLD},
	{write_of_writable_data, TOLD},
	{sector_times_512_overflows, TOLD},
	{sector_and_length_overflow, TOLD},
	{data_over_the_descriptors, ANY},
	{status_over_the_header, ANY},
};

static bool signalled(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 5000) == 1;
}

static void expect(enum outcome outcome)
{
	struct fe_used used = {0};

	if (outcome == BROKEN) {
		ck_assert_msg(signalled(disk.ring.err_fd), "the ring's error was not signalled");
		return;
	}
	ck_assert_int_eq(fe_ring_wait(&disk.ring, 5000), 0);
	ck_assert_int_eq(fe_ring_poll(&disk.ring, &used, 1), 1);
	ck_assert_uint_eq(used.head, 0);
	if (outcome == TOLD) {
		ck_assert_uint_eq(used.len, 1);
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_IOERR);
	} else if (outcome == USED) {
		ck_assert_uint_eq(used.len, 0);
		ck_assert_uint_eq(disk.data[STATUS_AT], 0xff);
	}
}

START_TEST(bad_chain)
{
	start();
	disk_open(&disk, "a.sock", 0);
	disk.data[STATUS_AT] = 0xff;
	chains[_i].make();
	stage(0);
	go();
	expect(chains[_i].outcome);
	if (chains[_i].outcome != ANY) { /* the ring goes on */
		good_read();
		fe_ring_submit(&disk.ring, 0);
		go();
		ck_assert_int_eq(fe_ring_wait(&disk.ring, 5000), 0);
		ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_OK);
	}
	survived();
}
END_TEST

START_TEST(indirect_not_negotiated)
{
	start();
	disk_open(&disk, "a.sock", VU_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	good_table(48);
	stage(0);
	go();
	expect(USED);
	survived();
}
END_TEST

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
	Suite *suite = suite_create("blk_hostile");
	TCase *tcase = tcase_create("hostile guests");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, bad_chain, 0, (int)ARRAY_SIZE(chains));
	tcase_add_test(tcase, indirect_not_negotiated);
	tcase_add_loop_test(tcase, bad_head, 0, 4);
	tcase_add_loop_test(tcase, available_index_jumps, 0, 4);
	tcase_add_test(tcase, same_head_twice);
	tcase_add_test(tcase, guest_memory_changes_meanwhile);
	tcase_add_test(tcase, endless_work_starves_nobody);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
