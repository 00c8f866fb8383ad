/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_bus.c - every access of a guest reaches whoever claimed its bytes, and nothing else.
 * Tests vmm/bus.
 */
#include <errno.h>

#include "tests/unit/support.h"
#include "vmm/bus.h"

/* A device that answers with its own letter in every byte and remembers what it was asked. */
struct device {
	struct bus_range range;
	struct bus *bus;
	uint8_t letter;
	unsigned reads, writes;
	uint64_t offset, value; /* of the last access */
	unsigned bytes;
	uint64_t written[16]; /* by offset */
	bool leaves; /* when written */
};

static uint64_t device_read(void *dev, uint64_t offset, unsigned bytes)
{
	struct device *d = dev;

	ck_assert_uint_le(bytes, 8);
	ck_assert_uint_le(offset + bytes, d->range.size);
	d->reads++;
	d->offset = offset;
	d->bytes = bytes;
	return 0x0101010101010101ull * d->letter; /* all eight, whatever was asked for */
}

static void device_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct device *d = dev;

	ck_assert_uint_le(bytes, 8);
	ck_assert_uint_le(offset + bytes, d->range.size);
	d->writes++;
	d->offset = offset;
	d->bytes = bytes;
	d->value = value;
	if (offset < 16)
		d->written[offset] = value;
	if (d->leaves)
		bus_del(d->bus, &d->range);
}

static const struct bus_handler whole = {.read = device_read, .write = device_write};
static const struct bus_handler byte_wide = {.read = device_read,
					     .write = device_write,
					     .byte_wide = true};

static struct bus bus;
static struct device a, b;

static int add(struct device *d, enum bus_space space, uint64_t base, uint64_t size)
{
	d->bus = &bus;
	return bus_add(&bus, &d->range, space, base, size, &whole, d);
}

static void setup(void)
{
	bus_init(&bus);
	a = (struct device){.letter = 0xaa};
	b = (struct device){.letter = 0xbb};
}

START_TEST(an_access_within_a_range_is_one_call)
{
	static const uint64_t mask[] = {0,          0xff,         0xffff,         0xffffff,
					0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
					UINT64_MAX};

	ck_assert_int_eq(add(&a, BUS_MMIO, 0x1003, 16), 0);
	for (unsigned bytes = 1; bytes <= 8; bytes++) {
		for (unsigned offset = 0; offset + bytes <= 16; offset++) {
			a.reads = a.writes = 0;
			ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, 0x1003 + offset, bytes),
					  0xaaaaaaaaaaaaaaaa & mask[bytes]);
			ck_assert_uint_eq(a.reads, 1);
			ck_assert_uint_eq(a.offset, offset);
			ck_assert_uint_eq(a.bytes, bytes);
			bus_write(&bus, BUS_MMIO, 0x1003 + offset, bytes, 0x8877665544332211);
			ck_assert_uint_eq(a.writes, 1);
			ck_assert_uint_eq(a.offset, offset);
			ck_assert_uint_eq(a.bytes, bytes);
			ck_assert_uint_eq(a.value, 0x8877665544332211 & mask[bytes]);
		}
	}
}
END_TEST

START_TEST(a_byte_wide_device_gets_bytes)
{
	ck_assert_int_eq(bus_add(&bus, &a.range, BUS_PIO, 0x60, 4, &byte_wide, &a), 0);
	bus_write(&bus, BUS_PIO, 0x60, 4, 0x44332211);
	ck_assert_uint_eq(a.writes, 4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(a.written[i], 0x11 * (i + 1));
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, 0x61, 2), 0xaaaa);
	ck_assert_uint_eq(a.reads, 2);
	ck_assert_uint_eq(a.bytes, 1);
}
END_TEST

START_TEST(an_access_over_two_ranges_is_split)
{
	ck_assert_int_eq(add(&a, BUS_PIO, 0x100, 3), 0);
	ck_assert_int_eq(add(&b, BUS_PIO, 0x104, 2), 0);
	/* Two bytes of a, one of nobody, one of b. */
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, 0x101, 4), 0xbbffaaaa);
	ck_assert_uint_eq(a.reads, 2);
	ck_assert_uint_eq(b.reads, 1);
	bus_write(&bus, BUS_PIO, 0x101, 4, 0x44332211);
	ck_assert_uint_eq(a.writes, 2);
	ck_assert_uint_eq(a.written[1], 0x11);
	ck_assert_uint_eq(a.written[2], 0x22);
	ck_assert_uint_eq(b.writes, 1);
	ck_assert_uint_eq(b.written[0], 0x44);
}
END_TEST

START_TEST(what_nobody_claims_reads_as_ones)
{
	ck_assert_int_eq(add(&a, BUS_PIO, 0x100, 4), 0);
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, 0x104, 1), 0xff);
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, 0xfc, 4), 0xffffffff);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, 0x100, 8), UINT64_MAX);
	bus_write(&bus, BUS_MMIO, 0x100, 8, 0);
	bus_write(&bus, BUS_PIO, 0x104, 4, 0);
	ck_assert_uint_eq(a.reads + a.writes, 0);
}
END_TEST

START_TEST(ports_do_not_wrap)
{
	ck_assert_int_eq(add(&a, BUS_PIO, 0, 4), 0);
	ck_assert_int_eq(add(&b, BUS_PIO, 0xffff, 1), 0);
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, 0xffff, 4), 0xffffffbb);
	bus_write(&bus, BUS_PIO, 0xffff, 4, 0x44332211);
	ck_assert_uint_eq(b.writes, 1);
	ck_assert_uint_eq(b.value, 0x11);
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, 0x10000, 4), 0xffffffff);
	bus_write(&bus, BUS_PIO, UINT64_MAX, 4, 0);
	ck_assert_uint_eq(a.reads + a.writes, 0);
}
END_TEST

START_TEST(memory_does_not_wrap)
{
	ck_assert_int_eq(add(&a, BUS_MMIO, 0, 16), 0);
	ck_assert_int_eq(add(&b, BUS_MMIO, UINT64_MAX - 1, 2), 0);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, UINT64_MAX - 2, 8), 0xffffffffffbbbbff);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, UINT64_MAX, 8), 0xffffffffffffffbb);
	bus_write(&bus, BUS_MMIO, UINT64_MAX, 8, 0);
	ck_assert_uint_eq(b.writes, 1);
	ck_assert_uint_eq(a.reads + a.writes, 0);
}
END_TEST

START_TEST(overlaps_are_refused)
{
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x2000, 0x1000), 0);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x2000, 0x1000), -EEXIST);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x1fff, 2), -EEXIST);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x2fff, 2), -EEXIST);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x2800, 1), -EEXIST);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0, UINT64_MAX), -EEXIST);
	ck_assert(!b.range.active);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x3000, 1), 0); /* a neighbour is none */
	bus_del(&bus, &b.range);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x1fff, 1), 0);
	bus_del(&bus, &b.range);
	ck_assert_int_eq(add(&b, BUS_PIO, 0x2000, 0x1000), 0); /* nor is another space */
}
END_TEST

START_TEST(a_range_lies_within_its_space)
{
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x1000, 0), -EINVAL);
	ck_assert_int_eq(add(&a, BUS_PIO, 0xffff, 2), -EINVAL);
	ck_assert_int_eq(add(&a, BUS_PIO, 0x10000, 1), -EINVAL);
	ck_assert_int_eq(add(&a, BUS_MMIO, UINT64_MAX, 2), -EINVAL);
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x1000, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(add(&a, BUS_PIO, 0, 0x10000), 0);
	ck_assert_int_eq(add(&b, BUS_MMIO, 1, UINT64_MAX), 0);
}
END_TEST

START_TEST(a_removed_range_is_gone)
{
	bus_del(&bus, &a.range); /* never was there */
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x1000, 16), 0);
	bus_del(&bus, &a.range);
	bus_del(&bus, &a.range);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, 0x1000, 1), 0xff);
	ck_assert_int_eq(add(&b, BUS_MMIO, 0x1008, 16), 0);
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x2000, 16), 0);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, 0x2000, 1), 0xaa);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, 0x1008, 1), 0xbb);
}
END_TEST

/* In the middle of an access that was split, too: the bytes that follow find nobody. */
START_TEST(a_handler_may_remove_its_range)
{
	a.leaves = true;
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x1000, 4), 0);
	bus_write(&bus, BUS_MMIO, 0x0ffe, 8, 0);
	ck_assert_uint_eq(a.writes, 1);
	ck_assert(!a.range.active);
	ck_assert_int_eq(add(&a, BUS_MMIO, 0x1000, 4), 0);
	bus_write(&bus, BUS_MMIO, 0x1000, 4, 0);
	ck_assert_uint_eq(a.writes, 2);
	ck_assert(!a.range.active);
}
END_TEST

#define MODEL_PORTS   64
#define MODEL_DEVICES 12

/* Ranges come and go at random; a table of who has each port says what each access must give. */
START_TEST(any_order_of_ranges)
{
	static struct device devices[MODEL_DEVICES];
	uint8_t owner[MODEL_PORTS + 8]; /* 0xff: nobody */
	unsigned added = 0, refused = 0;

	srand(7);
	memset(owner, 0xff, sizeof(owner));
	for (unsigned i = 0; i < MODEL_DEVICES; i++)
		devices[i].letter = (uint8_t)(0x10 + i);
	for (unsigned step = 0; step < 20000; step++) {
		struct device *d = &devices[rand() % MODEL_DEVICES];
		unsigned base = (unsigned)rand() % MODEL_PORTS;
		unsigned size = 1 + (unsigned)rand() % min_of(9u, MODEL_PORTS - base);
		unsigned bytes = 1 + (unsigned)rand() % 8;
		uint64_t expected = 0;
		bool is_free = true;

		for (unsigned i = 0; i < size; i++)
			is_free &= owner[base + i] == 0xff;
		if (d->range.active) {
			memset(owner + d->range.base, 0xff, d->range.size);
			bus_del(&bus, &d->range);
		} else if (is_free) {
			ck_assert_int_eq(add(d, BUS_PIO, base, size), 0);
			memset(owner + base, d->letter, size);
			added++;
		} else {
			ck_assert_int_eq(add(d, BUS_PIO, base, size), -EEXIST);
			refused++;
		}
		base = (unsigned)rand() % MODEL_PORTS;
		memcpy(&expected, owner + base, bytes);
		ck_assert_uint_eq(bus_read(&bus, BUS_PIO, base, bytes), expected);
	}
	ck_assert_uint_gt(added, 1000);
	ck_assert_uint_gt(refused, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_bus");
	TCase *tc = tcase_create("bus");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, an_access_within_a_range_is_one_call);
	tcase_add_test(tc, a_byte_wide_device_gets_bytes);
	tcase_add_test(tc, an_access_over_two_ranges_is_split);
	tcase_add_test(tc, what_nobody_claims_reads_as_ones);
	tcase_add_test(tc, ports_do_not_wrap);
	tcase_add_test(tc, memory_does_not_wrap);
	tcase_add_test(tc, overlaps_are_refused);
	tcase_add_test(tc, a_range_lies_within_its_space);
	tcase_add_test(tc, a_removed_range_is_gone);
	tcase_add_test(tc, a_handler_may_remove_its_range);
	tcase_add_test(tc, any_order_of_ranges);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
