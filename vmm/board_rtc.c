/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * board_rtc.c - time of day and CMOS memory: an MC146818 that has UTC.
 * VMM; every call with the board lock held. Motorola MC146818A data sheet.
 *
 * Its interrupts are not offered (the DSDT names no line for it): what enables them can be written and
 * read, and register C stays empty.
 */
#include <string.h>
#include <time.h>

#include "vmm/board_part.h"
#include "vmm/memory_map.h"

enum {
	RTC_SECONDS = 0x00,
	RTC_MINUTES = 0x02,
	RTC_HOURS = 0x04,
	RTC_WEEKDAY = 0x06, /* 1: Sunday */
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	CMOS_EQUIPMENT = 0x14,
	CMOS_BASE_KIB = 0x15,
	CMOS_EXTENDED_KIB = 0x17, /* from 1 MiB on */
	CMOS_EXTENDED_KIB_2 = 0x30,
	CMOS_ABOVE_16M = 0x34, /* in units of 64 KiB */
	CMOS_ABOVE_4G = 0x5b, /* likewise, three bytes */
};

#define INDEX_MASK 0x7f /* the bit above masks NMIs, of which there are none */

#define A_UPDATING 0x80
#define A_DEFAULT  0x26 /* 32768 Hz, periodic rate 1024 Hz */
#define B_SET      0x80 /* the guest is setting the time: it stands */
#define B_BINARY   0x04
#define B_24H      0x02
#define C_EMPTY    0x00
#define D_VALID    0x80

#define HOURS_PM  0x80
#define UPDATE_NS 244000 /* A_UPDATING is 1 for so long before the time changes */
#define SECOND_NS 1000000000

#define CMOS_BASE_KIB_VALUE   640
#define CMOS_EQUIPMENT_VALUE  0x02 /* a numeric coprocessor; no floppy, no display */
#define CMOS_MAX_EXTENDED_KIB 0xfc00

/* --- the time, as numbers and as registers --- */

static uint8_t encode(const struct board_rtc *rtc, int number)
{
	if (rtc->cmos[RTC_B] & B_BINARY)
		return (uint8_t)number;
	return (uint8_t)(number / 10 << 4 | number % 10);
}

/* decode - Return: the number, or -1 for what is none. */
static int decode(const struct board_rtc *rtc, uint8_t byte)
{
	if (rtc->cmos[RTC_B] & B_BINARY)
		return byte;
	return (byte & 0xf) > 9 || byte >> 4 > 9 ? -1 : (byte >> 4) * 10 + (byte & 0xf);
}

static uint8_t encode_hours(const struct board_rtc *rtc, int hours)
{
	if (rtc->cmos[RTC_B] & B_24H)
		return encode(rtc, hours);
	return encode(rtc, (hours + 11) % 12 + 1) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct board_rtc *rtc)
{
	uint8_t byte = rtc->cmos[RTC_HOURS];
	int hours;

	if (rtc->cmos[RTC_B] & B_24H)
		return decode(rtc, byte);
	hours = decode(rtc, byte & (uint8_t)~HOURS_PM);
	if (hours < 1 || hours > 12)
		return -1;
	return hours % 12 + (byte & HOURS_PM ? 12 : 0);
}

static struct timespec host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts;
}

/* time_to_cmos - the C library reads the time zone's file when it is first asked for a date, of UTC
 * too: board_rtc_init() is that first time, outside of any sandbox. */
static void time_to_cmos(struct board_rtc *rtc)
{
	time_t now = (time_t)(host_now().tv_sec + rtc->offset_s);
	struct tm tm;

	if (!gmtime_r(&now, &tm))
		return;
	rtc->cmos[RTC_SECONDS] = encode(rtc, tm.tm_sec);
	rtc->cmos[RTC_MINUTES] = encode(rtc, tm.tm_min);
	rtc->cmos[RTC_HOURS] = encode_hours(rtc, tm.tm_hour);
	rtc->cmos[RTC_WEEKDAY] = encode(rtc, tm.tm_wday + 1);
	rtc->cmos[RTC_DAY] = encode(rtc, tm.tm_mday);
	rtc->cmos[RTC_MONTH] = encode(rtc, tm.tm_mon + 1);
	rtc->cmos[RTC_YEAR] = encode(rtc, tm.tm_year % 100);
	rtc->cmos[CMOS_CENTURY] = encode(rtc, (tm.tm_year + 1900) / 100);
}

static bool between(int value, int low, int high)
{
	return value >= low && value <= high;
}

/* cmos_to_time - the registers are the time now; what is no date changes nothing. */
static void cmos_to_time(struct board_rtc *rtc)
{
	int century = decode(rtc, rtc->cmos[CMOS_CENTURY]);
	int year = decode(rtc, rtc->cmos[RTC_YEAR]);
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->cmos[RTC_SECONDS]),
		.tm_min = decode(rtc, rtc->cmos[RTC_MINUTES]),
		.tm_hour = decode_hours(rtc),
		.tm_mday = decode(rtc, rtc->cmos[RTC_DAY]),
		.tm_mon = decode(rtc, rtc->cmos[RTC_MONTH]) - 1,
		.tm_year = century * 100 + year - 1900,
	};

	if (between(tm.tm_sec, 0, 59) && between(tm.tm_min, 0, 59) && between(tm.tm_hour, 0, 23) &&
	    between(tm.tm_mday, 1, 31) && between(tm.tm_mon, 0, 11) && between(year, 0, 99) &&
	    between(century, 19, 99))
		rtc->offset_s = (int64_t)timegm(&tm) - host_now().tv_sec;
}

static bool is_time(unsigned index)
{
	switch (index) {
	case RTC_SECONDS:
	case RTC_MINUTES:
	case RTC_HOURS:
	case RTC_WEEKDAY:
	case RTC_DAY:
	case RTC_MONTH:
	case RTC_YEAR:
	case CMOS_CENTURY:
		return true;
	default:
		return false;
	}
}

static bool time_stands(const struct board_rtc *rtc)
{
	return rtc->cmos[RTC_B] & B_SET;
}

/* --- registers --- */

static bool updating(const struct board_rtc *rtc)
{
	return !time_stands(rtc) && host_now().tv_nsec >= SECOND_NS - UPDATE_NS;
}

static uint8_t read_cmos(struct board_rtc *rtc)
{
	if (is_time(rtc->index) && !time_stands(rtc))
		time_to_cmos(rtc);
	if (rtc->index == RTC_A && updating(rtc))
		return rtc->cmos[RTC_A] | A_UPDATING;
	return rtc->cmos[rtc->index];
}

static void write_time(struct board_rtc *rtc, uint8_t value)
{
	if (time_stands(rtc)) {
		rtc->cmos[rtc->index] = value;
		return;
	}
	time_to_cmos(rtc);
	rtc->cmos[rtc->index] = value;
	cmos_to_time(rtc);
}

static void write_b(struct board_rtc *rtc, uint8_t value)
{
	bool stood = time_stands(rtc);

	if (!stood)
		time_to_cmos(rtc);
	rtc->cmos[RTC_B] = value;
	if (stood && !time_stands(rtc))
		cmos_to_time(rtc);
}

static void write_cmos(struct board_rtc *rtc, uint8_t value)
{
	if (is_time(rtc->index)) {
		write_time(rtc, value);
		return;
	}
	switch (rtc->index) {
	case RTC_A:
		rtc->cmos[RTC_A] = value & (uint8_t)~A_UPDATING;
		break;
	case RTC_B:
		write_b(rtc, value);
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		rtc->cmos[rtc->index] = value;
	}
}

static uint64_t rtc_read(void *dev, uint64_t offset, unsigned bytes)
{
	struct board_rtc *rtc = dev;

	(void)bytes;
	return offset == 0 ? rtc->index : read_cmos(rtc);
}

static void rtc_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	struct board_rtc *rtc = dev;

	(void)bytes;
	if (offset == 0)
		rtc->index = value & INDEX_MASK;
	else
		write_cmos(rtc, (uint8_t)value);
}

static const struct bus_handler rtc_handler = {
	.read = rtc_read,
	.write = rtc_write,
	.byte_wide = true,
};

/* --- what firmware would have left in the CMOS --- */

static void put(struct board_rtc *rtc, unsigned index, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		rtc->cmos[index + i] = (uint8_t)(value >> (8 * i));
}

static uint64_t above(uint64_t bytes, uint64_t begin)
{
	return bytes > begin ? bytes - begin : 0;
}

static void put_memory_sizes(struct board_rtc *rtc)
{
	uint64_t low = min_of(rtc->ram_bytes, (uint64_t)RAM_LOW_END);
	uint64_t high = rtc->ram_bytes - low;
	uint64_t extended_kib = min_of(above(low, 1 << 20) >> 10, (uint64_t)CMOS_MAX_EXTENDED_KIB);

	put(rtc, CMOS_BASE_KIB, CMOS_BASE_KIB_VALUE, 2);
	put(rtc, CMOS_EXTENDED_KIB, extended_kib, 2);
	put(rtc, CMOS_EXTENDED_KIB_2, extended_kib, 2);
	put(rtc, CMOS_ABOVE_16M, above(low, 16 << 20) >> 16, 2);
	put(rtc, CMOS_ABOVE_4G, min_of(high >> 16, (uint64_t)0xffffff), 3);
}

void board_rtc_reset(struct board *board)
{
	struct board_rtc *rtc = &board->rtc;

	rtc->index = 0;
	memset(rtc->cmos, 0, sizeof(rtc->cmos));
	rtc->cmos[RTC_A] = A_DEFAULT;
	rtc->cmos[RTC_B] = B_24H;
	rtc->cmos[RTC_C] = C_EMPTY;
	rtc->cmos[RTC_D] = D_VALID;
	rtc->cmos[CMOS_EQUIPMENT] = CMOS_EQUIPMENT_VALUE;
	put_memory_sizes(rtc);
	time_to_cmos(rtc);
}

int board_rtc_init(struct board *board, uint64_t ram_bytes)
{
	struct board_rtc *rtc = &board->rtc;

	rtc->ram_bytes = ram_bytes;
	board_rtc_reset(board);
	return bus_add(&board->bus, &rtc->range, BUS_PIO, PORT_RTC, 2, &rtc_handler, rtc);
}
