/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_chains.c - guests whose descriptors break the rules: that chain fails and the
 * ring goes on, the daemon's other disk is served, nothing leaks, and the next guest works.
 * The front-end against the real daemon.
 */
#include "tests/protocol/blk_hostile_rig.h"

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

int main(void)
{
	Suite *suite = suite_create("blk_hostile_chains");
	TCase *tcase = tcase_create("hostile chains");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, bad_chain, 0, (int)ARRAY_SIZE(chains));
	tcase_add_test(tcase, indirect_not_negotiated);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
