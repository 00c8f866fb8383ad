/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_board.c - power button, soft off, timer, the ways to reset, time of day, CMOS, and ports that
 * nobody has. Tests vmm/board.
 */
#include <time.h>

#include "tests/unit/support.h"
#include "tests/unit/vmm_recorder.h"
#include "vmm/board.h"
#include "vmm/memory_map.h"

#define PM1_STS      (PORT_PM_BASE + PM1_EVENT_OFFSET)
#define PM1_EN       (PM1_STS + 2)
#define PM1_CNT      (PORT_PM_BASE + PM1_CONTROL_OFFSET)
#define PM_TIMER     (PORT_PM_BASE + PM_TIMER_OFFSET)
#define PWRBTN       0x100
#define GBL          0x20
#define RTC          0x400
#define SCI_EN       0x1
#define SLP_EN       0x2000
#define SLP_TYP(typ) ((typ) << 10)

#define GIB (1ull << 30)

static struct board board;
static struct recorder rec;
static const char *reset_how;
static unsigned resets, poweroffs;

static void on_reset(void *ctx, const char *how)
{
	ck_assert_ptr_eq(ctx, &rec);
	reset_how = how;
	resets++;
}

static void on_poweroff(void *ctx)
{
	ck_assert_ptr_eq(ctx, &rec);
	poweroffs++;
}

static bool take(void *ctx, uint8_t byte)
{
	(void)ctx, (void)byte;
	return true;
}

static void make_board(uint64_t ram_bytes)
{
	struct board_options opt = {
		.ram_bytes = ram_bytes,
		.serial_tx = take,
		.events = {.reset = on_reset, .poweroff = on_poweroff, .ctx = &rec},
	};

	recorder_init(&rec);
	resets = poweroffs = 0;
	reset_how = NULL;
	ck_assert_int_eq(board_init(&board, &rec.hv, &opt), 0);
}

static void setup(void)
{
	make_board(512 << 20);
}

static uint64_t in(unsigned port, unsigned bytes)
{
	return bus_read(&board.bus, BUS_PIO, port, bytes);
}

static void out(unsigned port, unsigned bytes, uint64_t value)
{
	bus_write(&board.bus, BUS_PIO, port, bytes, value);
}

/* --- ACPI fixed hardware --- */

START_TEST(the_power_button)
{
	ck_assert(!board_power_button(&board)); /* nobody listens yet */
	ck_assert_uint_eq(in(PM1_STS, 2), 0);
	out(PM1_EN, 2, PWRBTN);
	ck_assert(!rec.lines[IRQ_SCI]);
	ck_assert(board_power_button(&board));
	ck_assert(rec.lines[IRQ_SCI]);
	ck_assert_uint_eq(in(PM1_STS, 2), PWRBTN);
	out(PM1_STS, 2, 0xffff & ~PWRBTN); /* only a one clears */
	ck_assert(rec.lines[IRQ_SCI]);
	out(PM1_STS, 2, PWRBTN);
	ck_assert(!rec.lines[IRQ_SCI]);
	ck_assert_uint_eq(in(PM1_STS, 2), 0);
	ck_assert(board_power_button(&board));
	out(PM1_EN, 2, 0); /* the level follows both registers */
	ck_assert(!rec.lines[IRQ_SCI]);
	out(PM1_EN, 2, PWRBTN);
	ck_assert(rec.lines[IRQ_SCI]);
	ck_assert_uint_eq(rec.line_rises[IRQ_SCI], 3);
}
END_TEST

START_TEST(enable_bits_that_stick)
{
	out(PM1_EN, 2, 0xffff);
	ck_assert_uint_eq(in(PM1_EN, 2), PWRBTN | GBL | RTC);
	out(PM1_EN + 1, 1, 0);
	ck_assert_uint_eq(in(PM1_EN, 2), GBL);
	out(PM1_STS, 4, (uint64_t)PWRBTN << 16); /* both registers at once */
	ck_assert_uint_eq(in(PM1_STS, 4), (uint64_t)PWRBTN << 16);
}
END_TEST

START_TEST(acpi_mode_is_always_on)
{
	ck_assert_uint_eq(in(PM1_CNT, 2), SCI_EN);
	out(PM1_CNT, 2, 0);
	ck_assert_uint_eq(in(PM1_CNT, 2), SCI_EN);
	out(PM1_CNT, 2, 0xffff & ~SLP_EN);
	ck_assert_uint_eq(in(PM1_CNT, 2), SCI_EN | 2 | SLP_TYP(7));
	ck_assert_uint_eq(poweroffs, 0);
}
END_TEST

/* _i: 0 in one write, 1 as ACPICA does (type, then enable), 2 byte by byte. */
START_TEST(soft_off)
{
	if (_i == 1)
		out(PM1_CNT, 2, SCI_EN | SLP_TYP(PM_SLP_TYP_S5));
	ck_assert_uint_eq(poweroffs, 0);
	if (_i == 2)
		out(PM1_CNT + 1, 1, (SLP_TYP(PM_SLP_TYP_S5) | SLP_EN) >> 8);
	else
		out(PM1_CNT, 2, SCI_EN | SLP_TYP(PM_SLP_TYP_S5) | SLP_EN);
	ck_assert_uint_eq(poweroffs, 1);
	ck_assert_uint_eq(in(PM1_CNT, 2) & SLP_EN, 0);
}
END_TEST

START_TEST(other_sleep_states_are_not_there)
{
	for (unsigned typ = 0; typ < 8; typ++)
		if (typ != PM_SLP_TYP_S5)
			out(PM1_CNT, 2, SLP_TYP(typ) | SLP_EN);
	ck_assert_uint_eq(poweroffs + resets, 0);
}
END_TEST

START_TEST(the_timer_counts_at_its_rate)
{
	struct timespec pause = {0, 30000000}, from, to;
	uint32_t ticks = (uint32_t)in(PM_TIMER, 4);
	double seconds, expected;

	clock_gettime(CLOCK_MONOTONIC, &from);
	nanosleep(&pause, NULL);
	ticks = (uint32_t)in(PM_TIMER, 4) - ticks;
	clock_gettime(CLOCK_MONOTONIC, &to);
	seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	expected = seconds * 3579545;
	ck_assert_double_ge(ticks, expected * 0.98 - 5000);
	ck_assert_double_le(ticks, expected * 1.02 + 50000);
	out(PM_TIMER, 4, 0); /* for reading only */
	ck_assert_uint_lt((uint32_t)in(PM_TIMER, 4) - ticks, UINT32_MAX);
}
END_TEST

/* A read over the end of a block gives what lies behind it; none reads beyond. */
START_TEST(pm_registers_at_any_size)
{
	for (unsigned port = PORT_PM_BASE - 8; port < PORT_PM_BASE + PM_BYTES + 2; port++)
		for (unsigned bytes = 1; bytes <= 8; bytes++) {
			in(port, bytes);
			out(port, bytes, 0);
		}
	ck_assert_uint_eq(in(PORT_PM_BASE - 2, 4), 0xffff);
	ck_assert_uint_eq(in(PORT_PM_BASE + PM_BYTES, 4), 0xffffffff);
}
END_TEST

/* --- reset --- */

START_TEST(the_keyboard_controller_resets)
{
	ck_assert_uint_eq(in(0x64, 1) & 2, 0); /* or Linux waits before it asks */
	ck_assert_uint_eq(in(0x64, 1) & 1, 1); /* or Linux waits for an answer */
	for (unsigned value = 0; value < 0x100; value++) {
		bool is_reset = value >= 0xf0 && !(value & 1);

		resets = 0;
		out(0x64, 1, value);
		ck_assert_uint_eq(resets, is_reset);
	}
	ck_assert_str_eq(reset_how, "i8042");
	resets = 0;
	out(0x63, 2, 0xfe00); /* as part of a wider access too */
	ck_assert_uint_eq(resets, 1);
}
END_TEST

START_TEST(port_92_resets)
{
	ck_assert_uint_eq(in(0x92, 1), 2); /* A20 is open */
	out(0x92, 1, 0);
	ck_assert_uint_eq(in(0x92, 1), 2);
	ck_assert_uint_eq(resets, 0);
	out(0x92, 1, 1);
	ck_assert_uint_eq(resets, 1);
	ck_assert_str_eq(reset_how, "port 92");
}
END_TEST

START_TEST(port_cf9_resets)
{
	out(PORT_RESET, 1, 0x02);
	ck_assert_uint_eq(in(PORT_RESET, 1), 0x02);
	ck_assert_uint_eq(resets, 0);
	out(PORT_RESET, 1, 0x06);
	ck_assert_uint_eq(resets, 1);
	ck_assert_str_eq(reset_how, "port cf9");
	out(PORT_RESET, 1, 0x06); /* it already is 1 */
	ck_assert_uint_eq(resets, 1);
	board_reset(&board);
	ck_assert_uint_eq(in(PORT_RESET, 1), 0);
	out(PORT_RESET, 1, 0x0e);
	ck_assert_uint_eq(resets, 2);
	/* Addresses of PCI configuration space are no resets. */
	board_reset(&board);
	out(PORT_PCI_ADDRESS, 4, 0x80000600);
	ck_assert_uint_eq(resets, 2);
	ck_assert_uint_eq(in(PORT_PCI_ADDRESS, 4), 0x80000600);
}
END_TEST

START_TEST(a_reset_is_as_at_power_on)
{
	out(PM1_EN, 2, PWRBTN);
	ck_assert(board_power_button(&board));
	out(PM1_CNT, 2, SLP_TYP(3));
	out(PORT_COM1 + 1, 1, 0x0f);
	out(PORT_COM1 + 4, 1, 0x08);
	ck_assert(rec.lines[IRQ_COM1]);
	out(PORT_RTC, 2, 0x400b); /* a periodic interrupt */
	out(PORT_PCI_ADDRESS, 4, 0x80000000);
	board_reset(&board);
	ck_assert(!rec.lines[IRQ_SCI]);
	ck_assert(!rec.lines[IRQ_COM1]);
	ck_assert_uint_eq(in(PM1_STS, 4), 0);
	ck_assert_uint_eq(in(PM1_CNT, 2), SCI_EN);
	ck_assert_uint_eq(in(PORT_COM1 + 1, 1), 0);
	ck_assert_uint_eq(in(PORT_RTC, 1), 0);
	out(PORT_RTC, 1, 0x0b);
	ck_assert_uint_eq(in(PORT_RTC + 1, 1), 0x02);
	ck_assert_uint_eq(in(PORT_PCI_ADDRESS, 4), 0);
	ck_assert(!board_power_button(&board));
	ck_assert_uint_eq(resets + poweroffs, 0);
	out(PM1_EN, 2, PWRBTN); /* and all works again */
	ck_assert(board_power_button(&board));
	ck_assert(rec.lines[IRQ_SCI]);
}
END_TEST

/* --- time of day and CMOS --- */

static uint8_t cmos(uint8_t index)
{
	out(PORT_RTC, 1, index);
	return (uint8_t)in(PORT_RTC + 1, 1);
}

static void set_cmos(uint8_t index, uint8_t value)
{
	bus_write(&board.bus, BUS_PIO, PORT_RTC, 2, (uint64_t)value << 8 | index);
}

static int number(uint8_t byte, bool binary)
{
	return binary ? byte : (byte >> 4) * 10 + (byte & 0xf);
}

/* What the registers say, as seconds since 1970; read twice over until no second passed. */
static time_t guest_time(void)
{
	uint8_t b = cmos(0x0b), second;
	bool binary = b & 4;
	struct tm tm = {0};

	do {
		uint8_t hours = cmos(0x04);

		second = cmos(0x00);
		tm.tm_sec = number(second, binary);
		tm.tm_min = number(cmos(0x02), binary);
		tm.tm_hour = number(hours & 0x7f, binary);
		if (!(b & 2))
			tm.tm_hour = tm.tm_hour % 12 + (hours & 0x80 ? 12 : 0);
		tm.tm_mday = number(cmos(0x07), binary);
		tm.tm_mon = number(cmos(0x08), binary) - 1;
		tm.tm_year = number(cmos(0x09), binary) - 1900 +
			     100 * number(cmos(CMOS_CENTURY), binary);
	} while (cmos(0x00) != second);
	return timegm(&tm);
}

static void assert_time(time_t ahead)
{
	time_t guest = guest_time(), now = time(NULL) + ahead;

	ck_assert_int_ge(guest, now - 2);
	ck_assert_int_le(guest, now + 2);
}

/* _i: the format, bits 2 (binary) and 1 (24 hours) of register B. */
START_TEST(it_has_the_time_in_utc)
{
	set_cmos(0x0b, (uint8_t)(_i << 1));
	assert_time(0);
	ck_assert_uint_eq(number(cmos(0x06), _i & 2), (time(NULL) / 86400 + 4) % 7 + 1);
}
END_TEST

START_TEST(the_time_can_be_set)
{
	static const uint8_t registers[][2] = {{0, 0x56}, {2, 0x34}, {4, 0x23},           {7, 0x28},
					       {8, 0x02}, {9, 0x00}, {CMOS_CENTURY, 0x21}};
	struct tm tm = {.tm_sec = 56,
			.tm_min = 34,
			.tm_hour = 23,
			.tm_mday = 28,
			.tm_mon = 1,
			.tm_year = 200};

	set_cmos(0x0b, 0x82);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
		set_cmos(registers[i][0], registers[i][1]);
	for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) /* it stands */
		ck_assert_uint_eq(cmos(registers[i][0]), registers[i][1]);
	ck_assert_uint_eq(cmos(0x0a) & 0x80, 0);
	set_cmos(0x0b, 0x02);
	assert_time(timegm(&tm) - time(NULL));
	ck_assert_uint_eq(cmos(0x06), 1); /* a Sunday */
	board_reset(&board); /* the battery */
	assert_time(timegm(&tm) - time(NULL));
}
END_TEST

/* Written in twelve hours, read in twenty-four, and the other way round; _i is the hour. */
START_TEST(twelve_hours)
{
	uint8_t twelve = (uint8_t)((_i + 11) % 12 + 1), in_bcd;

	in_bcd = (uint8_t)(twelve / 10 << 4 | twelve % 10) | (_i >= 12 ? 0x80 : 0);
	set_cmos(0x0b, 0x80);
	set_cmos(2, 0);
	set_cmos(4, in_bcd);
	set_cmos(0x0b, 0x00);
	ck_assert_uint_eq(cmos(4), in_bcd);
	set_cmos(0x0b, 0x02);
	ck_assert_uint_eq(cmos(4), _i / 10 << 4 | _i % 10);
	set_cmos(4, 0x05);
	set_cmos(4, (uint8_t)(_i / 10 << 4 | _i % 10));
	set_cmos(0x0b, 0x00);
	ck_assert_uint_eq(cmos(4), in_bcd);
}
END_TEST

/* Without SET too, which is against the data sheet; _i is the format. */
START_TEST(one_register_of_the_time_can_be_set)
{
	time_t before;
	int year;

	set_cmos(0x0b, (uint8_t)(_i << 1));
	before = guest_time();
	year = number(cmos(0x09), _i & 2);
	set_cmos(0x09,
		 _i & 2 ? (uint8_t)(year + 4) : (uint8_t)((year + 4) / 10 << 4 | (year + 4) % 10));
	ck_assert_int_ge(guest_time() - before, (4 * 365 + 1) * 86400);
	ck_assert_int_le(guest_time() - before, (4 * 365 + 1) * 86400 + 5);
}
END_TEST

START_TEST(what_is_no_date_changes_nothing)
{
	static const uint8_t wrong[][2] = {
		{0, 0x60},           {0, 0x5a}, {2, 0xff}, {4, 0x24}, {7, 0},
		{7, 0x32},           {8, 0},    {8, 0x13}, {9, 0xff}, {CMOS_CENTURY, 0x18},
		{CMOS_CENTURY, 0xff}};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		set_cmos(wrong[i][0], wrong[i][1]);
		assert_time(0);
		set_cmos(0x0b, 0x82);
		set_cmos(wrong[i][0], wrong[i][1]);
		set_cmos(0x0b, 0x02);
		assert_time(0);
	}
	set_cmos(0x0b, 0x80); /* twelve hours: there is no hour 0, nor 13 */
	set_cmos(4, 0x00);
	set_cmos(0x0b, 0x00);
	assert_time(0);
	set_cmos(4, 0x13);
	assert_time(0);
}
END_TEST

START_TEST(control_registers)
{
	ck_assert_uint_eq(cmos(0x0a) & 0x7f, 0x26);
	ck_assert_uint_eq(cmos(0x0b), 0x02);
	ck_assert_uint_eq(cmos(0x0c), 0x00);
	ck_assert_uint_eq(cmos(0x0d), 0x80); /* the battery is good */
	set_cmos(0x0b, 0x82); /* or an update might be under way */
	set_cmos(0x0a, 0xff);
	ck_assert_uint_eq(cmos(0x0a), 0x7f);
	set_cmos(0x0c, 0xff);
	set_cmos(0x0d, 0x00);
	ck_assert_uint_eq(cmos(0x0c), 0x00);
	ck_assert_uint_eq(cmos(0x0d), 0x80);
	set_cmos(0x0b, 0x72); /* interrupts that are never raised */
	ck_assert_uint_eq(cmos(0x0b), 0x72);
	ck_assert_uint_eq(cmos(0x0c), 0x00);
	out(PORT_RTC, 1, 0x8d); /* NMIs masked */
	ck_assert_uint_eq(in(PORT_RTC, 1), 0x0d);
	ck_assert_uint_eq(in(PORT_RTC + 1, 1), 0x80);
	ck_assert_uint_eq(rec.line_rises[8], 0);
}
END_TEST

/* update_seen - look at register A around the end of this second. */
static bool update_seen(void)
{
	struct timespec now;
	bool seen = false;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += now.tv_nsec >= 999000000;
	now.tv_nsec = 999000000;
	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &now, NULL);
	while (now.tv_nsec >= 999000000) {
		bool updating = cmos(0x0a) & 0x80;

		clock_gettime(CLOCK_REALTIME, &now);
		/* It may have begun before and the clock been read after. */
		if (updating)
			ck_assert(now.tv_nsec >= 999756000 || now.tv_nsec < 900000000);
		seen |= updating;
	}
	return seen;
}

/* 244 us of each second in which a guest is told not to begin reading. A busy machine may look
 * away all that time. */
START_TEST(an_update_is_announced)
{
	bool seen = false;

	for (unsigned i = 0; i < 20 && !seen; i++)
		seen = update_seen();
	ck_assert(seen);
}
END_TEST

START_TEST(time_that_stands_is_not_updated)
{
	set_cmos(0x0b, 0x82);
	for (unsigned i = 0; i < 2; i++)
		ck_assert(!update_seen());
}
END_TEST

START_TEST(memory_sizes_in_cmos)
{
	static const struct {
		uint64_t ram;
		unsigned extended_kib, above_16m, above_4g;
	} sizes[] = {
		{1 << 20, 0, 0, 0},
		{2 << 20, 1024, 0, 0},
		{48 << 20, 47 << 10, 32 << 4, 0},
		{512 << 20, 0xfc00, 496 << 4, 0},
		{3 * GIB, 0xfc00, 3056 << 4, 0},
		{8 * GIB, 0xfc00, 3056 << 4, 5 << 14},
		{UINT64_MAX, 0xfc00, 3056 << 4, 0xffffff},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		make_board(sizes[i].ram);
		ck_assert_uint_eq(cmos(0x15) | cmos(0x16) << 8, 640);
		ck_assert_uint_eq(cmos(0x17) | cmos(0x18) << 8, sizes[i].extended_kib);
		ck_assert_uint_eq(cmos(0x30) | cmos(0x31) << 8, sizes[i].extended_kib);
		ck_assert_uint_eq(cmos(0x34) | cmos(0x35) << 8, sizes[i].above_16m);
		ck_assert_uint_eq(cmos(0x5b) | cmos(0x5c) << 8 | cmos(0x5d) << 16,
				  sizes[i].above_4g);
	}
}
END_TEST

START_TEST(cmos_bytes_can_be_written)
{
	set_cmos(0x0f, 0x0a); /* shutdown status, by Linux when it starts CPUs */
	set_cmos(0x7f, 0x55);
	ck_assert_uint_eq(cmos(0x0f), 0x0a);
	ck_assert_uint_eq(cmos(0x7f), 0x55);
	ck_assert_uint_eq(cmos(0xff), 0x55);
	ck_assert_uint_eq(cmos(0x10), 0); /* no floppy */
}
END_TEST

/* --- the rest of the ports --- */

START_TEST(ports_of_nobody_read_as_ones)
{
	static const uint16_t ports[] = {0x60,  0x80,  0xed,  0x87,  0x170, 0x1f0, 0x2e8, 0x2f8,
					 0x378, 0x3b4, 0x3d4, 0x3e8, 0x3f0, 0xb2,  0x510, 0xfffe};

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		out(ports[i], 2, 0);
		ck_assert_uint_eq(in(ports[i], 2), 0xffff);
	}
	ck_assert_uint_eq(bus_read(&board.bus, BUS_MMIO, 0xfed00000, 8), UINT64_MAX); /* HPET */
	ck_assert_uint_eq(bus_read(&board.bus, BUS_MMIO, 0xfed40000, 4), UINT32_MAX); /* TPM */
}
END_TEST

/* A guest that writes anything to anywhere may reset or power off its machine, and no more. */
START_TEST(random_accesses_are_survived)
{
	srand(5);
	for (unsigned i = 0; i < 300000; i++) {
		unsigned port = (unsigned)rand() % 0x1000, bytes = 1u << rand() % 4;
		uint64_t value = (uint64_t)rand() << 32 ^ (uint64_t)rand();

		if (rand() % 2)
			in(port, bytes);
		else
			out(port, bytes, value);
		if (i % 1000 == 0)
			board_reset(&board);
	}
	board_reset(&board);
	for (unsigned i = 0; i < HV_ISA_GSIS; i++)
		ck_assert(!rec.lines[i]);
	set_cmos(0x0b, 0x02);
	ck_assert_uint_eq(cmos(0x0d), 0x80);
	ck_assert_uint_eq(in(PM1_CNT, 2), SCI_EN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_board");
	TCase *tc = tcase_create("board");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, the_power_button);
	tcase_add_test(tc, enable_bits_that_stick);
	tcase_add_test(tc, acpi_mode_is_always_on);
	tcase_add_loop_test(tc, soft_off, 0, 3);
	tcase_add_test(tc, other_sleep_states_are_not_there);
	tcase_add_test(tc, the_timer_counts_at_its_rate);
	tcase_add_test(tc, pm_registers_at_any_size);
	tcase_add_test(tc, the_keyboard_controller_resets);
	tcase_add_test(tc, port_92_resets);
	tcase_add_test(tc, port_cf9_resets);
	tcase_add_test(tc, a_reset_is_as_at_power_on);
	tcase_add_loop_test(tc, it_has_the_time_in_utc, 0, 4);
	tcase_add_test(tc, the_time_can_be_set);
	tcase_add_loop_test(tc, twelve_hours, 0, 24);
	tcase_add_loop_test(tc, one_register_of_the_time_can_be_set, 0, 4);
	tcase_add_test(tc, what_is_no_date_changes_nothing);
	tcase_add_test(tc, control_registers);
	tcase_add_test(tc, an_update_is_announced);
	tcase_add_test(tc, time_that_stands_is_not_updated);
	tcase_add_test(tc, memory_sizes_in_cmos);
	tcase_add_test(tc, cmos_bytes_can_be_written);
	tcase_add_test(tc, ports_of_nobody_read_as_ones);
	tcase_add_test(tc, random_accesses_are_survived);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
