/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_chains.c - guests whose descriptors break the rules: that chain fails and the
 * ring goes on, the daemon's other disk is served, nothing leaks, and the next guest works.
 * The front-end against the real daemon.
 */
#include "tests/protocol/blk_hostile_rig.h"

/* --- one bad thing each; the chain's head is 0, in either ring format --- */

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
	chain_ends(0);
	ring_desc(0, at(HEADER_AT), 0, NEXT, 1);
	ring_desc(1, at(DATA_AT), 0, WRITE, 0);
}

static void no_length_in_a_circle(void)
{
	chain_ends(0);
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
	ring_desc(1, at(DATA_AT), 512, 0, 0);
}

static void table_after_buffers(void)
{
	good_table(48);
	ring_desc(0, at(HEADER_AT), 16, NEXT, 1);
	ring_desc(1, at(TABLE_AT) + 16, 32, INDIRECT, 0);
	table_desc(1, at(DATA_AT), 4096, NEXT | WRITE, 1);
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
	memcpy(disk.ram + DISK_MEM_BYTES - 16, disk.data + TABLE_AT, 16);
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
	chain_ends(0);
	ring_desc(0, at(HEADER_AT), 16, NEXT, 1);
	ring_desc(1, at(DATA_AT), 4096, 0, 0);
}

static void header_alone(void)
{
	good_read();
	chain_ends(1);
	ring_desc(0, at(HEADER_AT), 16, 0, 0);
}

static void header_short(void)
{
	good_read();
	chain_ends(2);
	ring_desc(0, at(HEADER_AT), 15, NEXT, 1);
	ring_desc(1, at(STATUS_AT), 1, WRITE, 0);
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

static void sector_behind_the_end(void)
{
	good_read();
	header(VIRTIO_BLK_T_IN, IMAGE_BYTES / SECTOR - 7);
}

static void write_behind_the_end(void)
{
	good_read();
	header(VIRTIO_BLK_T_OUT, IMAGE_BYTES / SECTOR - 7);
	ring_desc(1, at(DATA_AT), 4096, NEXT, 2);
}

/* ranges - @num segments alike behind the header of a discard or write-zeroes. */
static void ranges(uint32_t type, unsigned num, struct disk_range range)
{
	struct virtio_blk_discard_write_zeroes *at_host = (void *)(disk.data + DATA_AT);
	unsigned i;

	good_read();
	header(type, 0);
	for (i = 0; i < num; i++)
		at_host[i] = (struct virtio_blk_discard_write_zeroes){htole64(range.sector),
								      htole32(range.sectors),
								      htole32(range.flags)};
	ring_desc(1, at(DATA_AT), num * (uint32_t)sizeof(*at_host), NEXT, 2);
}

static void discard_of_too_many_sectors(void)
{
	ranges(VIRTIO_BLK_T_DISCARD, 1, (struct disk_range){0, UINT32_MAX, 0});
}

static void discard_behind_the_end(void)
{
	ranges(VIRTIO_BLK_T_DISCARD, 1, (struct disk_range){IMAGE_BYTES / SECTOR - 7, 8, 0});
}

static void discard_sector_overflows(void)
{
	ranges(VIRTIO_BLK_T_DISCARD, 1, (struct disk_range){UINT64_MAX - 3, 8, 0});
}

static void discard_of_too_many_segments(void)
{
	ranges(VIRTIO_BLK_T_DISCARD, 200, (struct disk_range){0, 8, 0});
}

static void zeroes_of_too_many_sectors(void)
{
	ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1, (struct disk_range){8, UINT32_MAX, 0});
}

static void zeroes_sector_times_512_overflows(void)
{
	ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1, (struct disk_range){UINT64_MAX / 512 + 1, 8, 0});
}

static void zeroes_of_no_whole_segment(void)
{
	ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1, (struct disk_range){0, 8, 0});
	ring_desc(1, at(DATA_AT), 15, NEXT, 2);
}

/* What happens to the chain: on a split ring, and on a packed one. */
#define CHAIN(make, split, packed)                                   \
	{                                                            \
		"split_" #make, "packed_" #make, make, split, packed \
	}

static const struct {
	const char *split_name;
	const char *packed_name;
	void (*make)(void);
	enum outcome split;
	enum outcome packed;
} chains[] = {
	CHAIN(next_outside_the_table, USED, NOT_HERE),
	CHAIN(next_far_outside, USED, NOT_HERE),
	CHAIN(chain_to_itself, USED, NOT_HERE),
	CHAIN(chain_in_a_circle, USED, NOT_HERE),
	CHAIN(buffers_of_no_length, USED, USED),
	CHAIN(no_length_in_a_circle, USED, NOT_HERE),
	CHAIN(header_unmapped, TOLD, TOLD),
	CHAIN(data_unmapped, TOLD, TOLD),
	CHAIN(status_unmapped, USED, USED),
	CHAIN(data_below_memory, TOLD, TOLD),
	CHAIN(data_over_the_end, TOLD, TOLD),
	CHAIN(data_around_the_address_space, TOLD, TOLD),
	CHAIN(data_of_four_gigabytes, TOLD, TOLD),
	CHAIN(status_around_the_address_space, USED, USED),
	CHAIN(table_nested, USED, TOLD), /* packed: a buffer like any other */
	CHAIN(table_with_next, USED, USED),
	CHAIN(table_after_buffers, SERVED, USED), /* split: allowed, by 2.7.5.3.1 */
	CHAIN(table_empty, USED, USED),
	CHAIN(table_of_odd_length, USED, USED),
	CHAIN(table_unmapped, USED, USED),
	CHAIN(table_around_the_address_space, USED, USED),
	CHAIN(table_over_the_end, USED, USED),
	CHAIN(table_next_outside, USED, SERVED), /* packed: there are no links */
	CHAIN(table_in_a_circle, USED, SERVED),
	CHAIN(table_too_long, ANY, USED),
	/* split: one not in memory as a whole may be read all the same */
	CHAIN(table_of_four_gigabytes, ANY, USED),
	CHAIN(writable_before_readable, TOLD, TOLD),
	CHAIN(header_writable, TOLD, TOLD),
	CHAIN(status_read_only, USED, USED),
	CHAIN(status_missing, USED, USED),
	CHAIN(header_alone, USED, USED),
	CHAIN(header_short, TOLD, TOLD),
	CHAIN(write_of_writable_data, TOLD, TOLD),
	CHAIN(sector_times_512_overflows, TOLD, TOLD),
	CHAIN(sector_and_length_overflow, TOLD, TOLD),
	CHAIN(sector_behind_the_end, TOLD, TOLD),
	CHAIN(write_behind_the_end, TOLD, TOLD),
	CHAIN(discard_of_too_many_sectors, TOLD, TOLD),
	CHAIN(discard_behind_the_end, TOLD, TOLD),
	CHAIN(discard_sector_overflows, TOLD, TOLD),
	CHAIN(discard_of_too_many_segments, TOLD, TOLD),
	CHAIN(zeroes_of_too_many_sectors, TOLD, TOLD),
	CHAIN(zeroes_sector_times_512_overflows, TOLD, TOLD),
	CHAIN(zeroes_of_no_whole_segment, TOLD, TOLD),
};

/* The ring goes on. */
static void goes_on(void)
{
	good_read();
	stage();
	go();
	used();
	ck_assert_uint_eq(disk.data[STATUS_AT], VIRTIO_BLK_S_OK);
}

static void bad(int i, bool packed)
{
	enum outcome outcome = packed ? chains[i].packed : chains[i].split;

	start();
	guest(packed);
	disk.data[STATUS_AT] = 0xff;
	chains[i].make();
	stage();
	watch();
	go();
	expect(outcome);
	unharmed();
	if (!broken(0))
		goes_on();
	survived();
}

static void bad_split(int i)
{
	bad(i, false);
}

static void bad_packed(int i)
{
	bad(i, true);
}

/* add_chains - each by its name, in the formats that know such a chain. */
static void add_chains(TCase *tcase)
{
	static TTest tests[2 * ARRAY_SIZE(chains)];
	TTest *test = tests;
	int i;

	for (i = 0; i < (int)ARRAY_SIZE(chains); i++) {
		if (chains[i].split != NOT_HERE) {
			*test = (TTest){chains[i].split_name, bad_split, __FILE__, __LINE__};
			tcase_add_loop_test(tcase, test, i, i + 1);
			test++;
		}
		if (chains[i].packed != NOT_HERE) {
			*test = (TTest){chains[i].packed_name, bad_packed, __FILE__, __LINE__};
			tcase_add_loop_test(tcase, test, i, i + 1);
			test++;
		}
	}
}

/* In either format: _i. */
START_TEST(indirect_not_negotiated)
{
	start();
	guest_without(_i, VU_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	good_table(48);
	stage();
	watch();
	go();
	expect(USED);
	unharmed();
	goes_on();
	survived();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_hostile_chains");
	TCase *tcase = tcase_create("hostile chains");

	tcase_set_timeout(tcase, 30);
	add_chains(tcase);
	tcase_add_loop_test(tcase, indirect_not_negotiated, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
