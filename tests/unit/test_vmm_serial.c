/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_serial.c - a 16550A as its data sheet and the kernels that probe for one want it.
 * Tests vmm/serial.
 */
#include <linux/serial_reg.h>

#include "tests/unit/support.h"
#include "tests/unit/vmm_recorder.h"
#include "vmm/memory_map.h"
#include "vmm/serial.h"

static struct bus bus;
static struct recorder rec;
static struct serial serial;
static uint8_t sent[512];
static unsigned num_sent, room;

static bool take(void *ctx, uint8_t byte)
{
	ck_assert_ptr_eq(ctx, sent);
	if (room == 0)
		return false;
	room--;
	sent[num_sent++] = byte;
	return true;
}

static void setup(void)
{
	bus_init(&bus);
	recorder_init(&rec);
	num_sent = 0;
	room = sizeof(sent);
	ck_assert_int_eq(serial_init(&serial, &bus, &rec.hv, PORT_COM1, IRQ_COM1, take, sent), 0);
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)bus_read(&bus, BUS_PIO, PORT_COM1 + reg, 1);
}

static void out(unsigned reg, uint8_t value)
{
	bus_write(&bus, BUS_PIO, PORT_COM1 + reg, 1, value);
}

static bool irq(void)
{
	return rec.lines[IRQ_COM1];
}

static void receive(const char *text)
{
	ck_assert_uint_eq(serial_rx(&serial, (const uint8_t *)text, strlen(text)), strlen(text));
}

/* As a driver leaves it: FIFO with a trigger of 8, interrupts let through. */
static void start(uint8_t ier)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_RTS | UART_MCR_DTR);
	out(UART_IER, ier);
}

/* --- probing --- */

START_TEST(registers_after_a_reset)
{
	ck_assert_uint_eq(in(UART_IER), 0);
	ck_assert_uint_eq(in(UART_IIR), UART_IIR_NO_INT);
	ck_assert_uint_eq(in(UART_LCR), 0);
	ck_assert_uint_eq(in(UART_MCR), 0);
	ck_assert_uint_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	ck_assert_uint_eq(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	ck_assert(!irq());
}
END_TEST

/* The steps of Linux's autoconfig(). */
START_TEST(is_recognised_as_a_16550a)
{
	out(UART_IER, 0);
	ck_assert_uint_eq(in(UART_IER)&0x0f, 0);
	out(UART_IER, 0xff);
	ck_assert_uint_eq(in(UART_IER), 0x0f); /* an upper bit that stays is an XScale */
	out(UART_IER, 0);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	ck_assert_uint_eq(in(UART_MSR)&0xf0, UART_MSR_DCD | UART_MSR_CTS);
	out(UART_MCR, 0);
	out(UART_LCR, UART_LCR_CONF_MODE_B); /* an extended register there is a 16650 */
	out(UART_EFR, 0);
	out(UART_LCR, 0);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 3);
	out(UART_LCR, UART_LCR_CONF_MODE_A);
	ck_assert_uint_ne(in(UART_EFR), 0);
	out(UART_LCR, UART_LCR_CONF_MODE_B);
	ck_assert_uint_ne(in(UART_EFR), 0);
	out(UART_LCR, 0);
	out(UART_SCR, 0x5a);
	ck_assert_uint_eq(in(UART_SCR), 0x5a);
	out(UART_FCR, 0);
	ck_assert_uint_eq(in(UART_IIR) >> 6, 0);
}
END_TEST

START_TEST(the_fifo_has_sixteen_bytes)
{
	unsigned count = 0;

	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		out(UART_TX, (uint8_t)i);
	ck_assert_uint_eq(in(UART_LSR) & (UART_LSR_DR | UART_LSR_OE), UART_LSR_DR | UART_LSR_OE);
	for (; in(UART_LSR)&UART_LSR_DR; count++)
		ck_assert_uint_eq(in(UART_RX), count);
	ck_assert_uint_eq(count, 16);
	ck_assert_uint_eq(num_sent, 0); /* nothing of it came out */
}
END_TEST

START_TEST(the_divisor_lies_over_data_and_ier)
{
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_DLL, 0x0c);
	out(UART_DLM, 0x34);
	ck_assert_uint_eq(in(UART_DLL), 0x0c);
	ck_assert_uint_eq(in(UART_DLM), 0x34);
	out(UART_LCR, UART_LCR_WLEN8);
	ck_assert_uint_eq(in(UART_LCR), UART_LCR_WLEN8);
	ck_assert_uint_eq(in(UART_IER), 0);
	ck_assert_uint_eq(num_sent, 0);
	out(UART_TX, 'x');
	ck_assert_uint_eq(num_sent, 1);
}
END_TEST

START_TEST(wide_accesses_are_successive_bytes)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	receive("cd");
	/* RX, IER, IIR, LCR */
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, PORT_COM1, 4), 0x00c10000 | 'c');
	bus_write(&bus, BUS_PIO, PORT_COM1, 2, 0x0500 | 'x');
	ck_assert_uint_eq(sent[0], 'x');
	ck_assert_uint_eq(in(UART_IER), 5);
	/* Over both ends. */
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, PORT_COM1 - 1, 2), 'd' << 8 | 0xff);
	out(UART_SCR, 0x77);
	ck_assert_uint_eq(bus_read(&bus, BUS_PIO, PORT_COM1 + UART_SCR, 8), 0xffffffffffffff77);
}
END_TEST

/* --- transmitter --- */

START_TEST(bytes_go_out_at_once)
{
	for (const char *c = "hello"; *c; c++) {
		ck_assert(in(UART_LSR)&UART_LSR_THRE);
		out(UART_TX, (uint8_t)*c);
	}
	ck_assert_uint_eq(num_sent, 5);
	ck_assert(!memcmp(sent, "hello", 5));
	ck_assert(!irq());
}
END_TEST

START_TEST(room_to_send_raises_an_interrupt)
{
	start(UART_IER_THRI); /* there is room: at once */
	ck_assert(irq());
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_THRI);
	ck_assert(!irq()); /* reading it is enough */
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	out(UART_TX, 'x');
	ck_assert(irq());
	ck_assert_uint_eq(rec.line_rises[IRQ_COM1], 2); /* an edge each time */
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_THRI);
	/* Linux switches it off and on, and takes a chip that says nothing then for a broken one. */
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRI);
	ck_assert(irq());
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_THRI);
}
END_TEST

START_TEST(what_finds_no_room_waits)
{
	start(UART_IER_THRI);
	in(UART_IIR);
	room = 3;
	for (unsigned i = 0; i < 16; i++)
		out(UART_TX, (uint8_t)('a' + i));
	ck_assert_uint_eq(num_sent, 3);
	ck_assert_uint_eq(in(UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT), 0);
	in(UART_IIR);
	ck_assert(!irq());
	room = 5;
	serial_tx_ready(&serial);
	ck_assert_uint_eq(num_sent, 8);
	ck_assert(!(in(UART_LSR)&UART_LSR_THRE)); /* some of them still wait */
	ck_assert(!irq());
	room = 100;
	serial_tx_ready(&serial);
	ck_assert_uint_eq(num_sent, 16);
	ck_assert(!memcmp(sent, "abcdefghijklmnop", 16));
	ck_assert_uint_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	ck_assert(irq());
	serial_tx_ready(&serial);
	ck_assert_uint_eq(num_sent, 16);
}
END_TEST

/* The order is kept when the transmitter goes round its buffer. */
START_TEST(waiting_bytes_keep_their_order)
{
	start(0);
	for (unsigned i = 0; i < 200; i++) {
		room = i % 5 ? 0 : 5;
		out(UART_TX, (uint8_t)i);
		serial_tx_ready(&serial);
	}
	room = 100;
	serial_tx_ready(&serial);
	ck_assert_uint_eq(num_sent, 200);
	for (unsigned i = 0; i < 200; i++)
		ck_assert_uint_eq(sent[i], i);
}
END_TEST

/* What the guest said last is what one wants to read. */
START_TEST(nothing_that_waits_is_lost)
{
	start(0);
	room = 0;
	out(UART_TX, 'a');
	out(UART_TX, 'b');
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_XMIT);
	out(UART_FCR, 0);
	serial_reset(&serial);
	ck_assert(!(in(UART_LSR)&UART_LSR_THRE));
	room = 100;
	serial_tx_ready(&serial);
	ck_assert_uint_eq(num_sent, 2);
	ck_assert(!memcmp(sent, "ab", 2));
	ck_assert(in(UART_LSR)&UART_LSR_THRE);
}
END_TEST

/* A guest that does not look for room loses its bytes, and nothing else happens. */
START_TEST(more_than_there_is_room_for_is_dropped)
{
	start(0);
	room = 0;
	for (unsigned i = 0; i < 1000; i++)
		out(UART_TX, (uint8_t)i);
	room = 100;
	serial_tx_ready(&serial);
	ck_assert_uint_eq(num_sent, 16);
	ck_assert_uint_eq(sent[15], 15);
}
END_TEST

/* --- receiver --- */

START_TEST(without_a_fifo_there_is_room_for_one)
{
	ck_assert_uint_eq(serial_rx_room(&serial), 1);
	ck_assert_uint_eq(serial_rx(&serial, (const uint8_t *)"ab", 2), 1);
	ck_assert_uint_eq(serial_rx_room(&serial), 0);
	ck_assert_uint_eq(in(UART_LSR)&UART_LSR_DR, UART_LSR_DR);
	ck_assert_uint_eq(in(UART_RX), 'a');
	ck_assert_uint_eq(in(UART_LSR) & (UART_LSR_DR | UART_LSR_OE), 0);
	ck_assert_uint_eq(in(UART_RX), 0);
	ck_assert_uint_eq(serial_rx_room(&serial), 1);
}
END_TEST

START_TEST(the_trigger_level_tells_data_from_a_timeout)
{
	static const uint8_t levels[] = {1, 4, 8, 14};

	start(UART_IER_RDI);
	for (unsigned l = 0; l < 4; l++) {
		out(UART_FCR, (uint8_t)(UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | l << 6));
		ck_assert(!irq());
		for (unsigned i = 1; i <= 16; i++) {
			receive("x");
			ck_assert(irq());
			ck_assert_uint_eq(in(UART_IIR),
					  0xc0 | (i >= levels[l] ? UART_IIR_RDI
								 : UART_IIR_RX_TIMEOUT));
		}
		ck_assert_uint_eq(serial_rx_room(&serial), 0);
		while (in(UART_LSR)&UART_LSR_DR) {
			ck_assert(irq()); /* until the last is read */
			in(UART_RX);
		}
		ck_assert(!irq());
	}
}
END_TEST

START_TEST(the_fifo_keeps_its_order)
{
	uint8_t next = 0, expected = 0;

	start(0);
	for (unsigned i = 0; i < 100; i++) {
		uint8_t some[16];

		for (unsigned j = 0; j < sizeof(some); j++)
			some[j] = (uint8_t)(next + j);
		next += serial_rx(&serial, some, 1 + i % 16);
		for (unsigned j = 0; j < 1 + i % 7 && (in(UART_LSR)&UART_LSR_DR); j++)
			ck_assert_uint_eq(in(UART_RX), expected++);
	}
	while (in(UART_LSR)&UART_LSR_DR)
		ck_assert_uint_eq(in(UART_RX), expected++);
	ck_assert_uint_eq(next, expected);
}
END_TEST

START_TEST(clearing_the_fifo)
{
	start(UART_IER_RDI);
	receive("abc");
	out(UART_FCR, UART_FCR_CLEAR_RCVR | UART_FCR_ENABLE_FIFO);
	ck_assert(!irq());
	ck_assert_uint_eq(in(UART_LSR)&UART_LSR_DR, 0);
	receive("abc");
	out(UART_FCR, UART_FCR_ENABLE_FIFO); /* nothing changes */
	ck_assert_uint_eq(serial_rx_room(&serial), 13);
	out(UART_FCR, 0); /* another mode clears too */
	ck_assert_uint_eq(serial_rx_room(&serial), 1);
	receive("a");
	out(UART_FCR, UART_FCR_CLEAR_RCVR); /* counts only with the bit that enables */
	ck_assert_uint_eq(serial_rx_room(&serial), 0);
}
END_TEST

/* --- interrupts, modem lines, loopback --- */

START_TEST(the_most_urgent_comes_first)
{
	start(0);
	out(UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 17; i++)
		out(UART_TX, 'x');
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR);
	out(UART_MCR, UART_MCR_OUT2);
	out(UART_IER, 0x0f);
	ck_assert(irq());
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_RLSI);
	ck_assert_uint_eq(in(UART_LSR)&UART_LSR_OE, UART_LSR_OE);
	ck_assert_uint_eq(in(UART_LSR)&UART_LSR_OE, 0);
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_RDI);
	while (in(UART_IIR) == (0xc0 | UART_IIR_RDI))
		in(UART_RX);
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	while (in(UART_IIR) == (0xc0 | UART_IIR_RX_TIMEOUT))
		in(UART_RX);
	/* The loop above read, and so cleared, the one after it. */
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_MSI);
	in(UART_MSR);
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	ck_assert(!irq());
}
END_TEST

START_TEST(what_is_not_enabled_does_not_interrupt)
{
	start(0);
	receive("abcdefghij");
	out(UART_TX, 'x');
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	ck_assert(!irq());
	out(UART_IER, UART_IER_RDI);
	ck_assert(irq());
	out(UART_IER, 0);
	ck_assert(!irq());
}
END_TEST

START_TEST(out2_lets_interrupts_through)
{
	start(UART_IER_RDI);
	out(UART_MCR, 0);
	receive("a");
	ck_assert(!irq());
	ck_assert_uint_eq(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	out(UART_MCR, UART_MCR_OUT2);
	ck_assert(irq());
	out(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP); /* the pin is off in loopback */
	ck_assert(!irq());
}
END_TEST

START_TEST(modem_lines_in_loopback)
{
	static const struct {
		uint8_t mcr, msr, change;
	} lines[] = {
		{UART_MCR_RTS, UART_MSR_CTS, UART_MSR_DCTS},
		{UART_MCR_DTR, UART_MSR_DSR, UART_MSR_DDSR},
		{UART_MCR_OUT1, UART_MSR_RI, 0}, /* rising: tells nothing */
		{UART_MCR_OUT2, UART_MSR_DCD, UART_MSR_DDCD},
	};

	out(UART_MCR, UART_MCR_LOOP);
	in(UART_MSR);
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		uint8_t fall = lines[i].mcr == UART_MCR_OUT1 ? UART_MSR_TERI : lines[i].change;

		out(UART_MCR, UART_MCR_LOOP | lines[i].mcr);
		ck_assert_uint_eq(in(UART_MSR), lines[i].msr | lines[i].change);
		ck_assert_uint_eq(in(UART_MSR), lines[i].msr);
		out(UART_MCR, UART_MCR_LOOP);
		ck_assert_uint_eq(in(UART_MSR), fall);
		ck_assert_uint_eq(in(UART_MSR), 0);
	}
	out(UART_MCR, 0xff);
	ck_assert_uint_eq(in(UART_MCR), 0x1f);
	out(UART_LSR, 0xff); /* for reading only */
	out(UART_MSR, 0xff);
	ck_assert_uint_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
}
END_TEST

START_TEST(loopback_hears_nothing_from_outside)
{
	start(0);
	out(UART_MCR, UART_MCR_LOOP);
	ck_assert_uint_eq(serial_rx_room(&serial), 0);
	ck_assert_uint_eq(serial_rx(&serial, (const uint8_t *)"a", 1), 0);
	out(UART_MCR, 0);
	receive("a");
	ck_assert_uint_eq(in(UART_RX), 'a');
}
END_TEST

START_TEST(a_break_in_loopback_comes_back)
{
	start(0);
	out(UART_LCR, UART_LCR_SBC); /* nobody hears it */
	out(UART_LCR, 0);
	ck_assert_uint_eq(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_LCR, UART_LCR_SBC);
	ck_assert_uint_eq(in(UART_LSR) & (UART_LSR_BI | UART_LSR_DR), UART_LSR_BI | UART_LSR_DR);
	ck_assert_uint_eq(in(UART_RX), 0);
	ck_assert_uint_eq(in(UART_LSR) & (UART_LSR_BI | UART_LSR_DR), 0);
}
END_TEST

START_TEST(a_reset_lowers_the_line)
{
	start(0x0f);
	receive("abc");
	ck_assert(irq());
	rec.num_line_calls = 0;
	serial_reset(&serial);
	ck_assert(!irq());
	ck_assert_uint_eq(rec.num_line_calls, 1); /* said, for a controller that was reset too */
	ck_assert_uint_eq(in(UART_IER), 0);
	ck_assert_uint_eq(serial_rx_room(&serial), 1);
	serial_reset(&serial);
	ck_assert_uint_eq(rec.num_line_calls, 2);
}
END_TEST

/* Any access at any size: bounds are the sanitizers', the rest is looked at here. */
START_TEST(random_accesses_are_survived)
{
	unsigned before;

	srand(3);
	for (unsigned i = 0; i < 20000; i++) {
		unsigned port = PORT_COM1 - 8 + (unsigned)rand() % 24,
			 bytes = 1 + (unsigned)rand() % 8;

		num_sent = 0;
		room = (unsigned)rand() % 3;
		switch (rand() % 4) {
		case 0:
			bus_read(&bus, BUS_PIO, port, bytes);
			break;
		case 1:
			bus_write(&bus, BUS_PIO, port, bytes, (uint64_t)rand() * (uint64_t)rand());
			break;
		case 2:
			before = (unsigned)serial_rx_room(&serial);
			bytes = (unsigned)rand() % 20;
			ck_assert_uint_eq(serial_rx(&serial, sent, bytes), min_of(bytes, before));
			break;
		default:
			serial_tx_ready(&serial);
		}
		ck_assert_uint_le(serial.rx_count, SERIAL_FIFO_BYTES);
		ck_assert_uint_le(serial.tx_count, SERIAL_FIFO_BYTES);
		ck_assert_uint_lt(serial.rx_begin, SERIAL_FIFO_BYTES);
		ck_assert_uint_lt(serial.tx_begin, SERIAL_FIFO_BYTES);
		ck_assert_int_eq(irq(), serial.irq_level);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_serial");
	TCase *tc = tcase_create("serial");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, registers_after_a_reset);
	tcase_add_test(tc, is_recognised_as_a_16550a);
	tcase_add_test(tc, the_fifo_has_sixteen_bytes);
	tcase_add_test(tc, the_divisor_lies_over_data_and_ier);
	tcase_add_test(tc, wide_accesses_are_successive_bytes);
	tcase_add_test(tc, bytes_go_out_at_once);
	tcase_add_test(tc, room_to_send_raises_an_interrupt);
	tcase_add_test(tc, what_finds_no_room_waits);
	tcase_add_test(tc, waiting_bytes_keep_their_order);
	tcase_add_test(tc, nothing_that_waits_is_lost);
	tcase_add_test(tc, more_than_there_is_room_for_is_dropped);
	tcase_add_test(tc, without_a_fifo_there_is_room_for_one);
	tcase_add_test(tc, the_trigger_level_tells_data_from_a_timeout);
	tcase_add_test(tc, the_fifo_keeps_its_order);
	tcase_add_test(tc, clearing_the_fifo);
	tcase_add_test(tc, the_most_urgent_comes_first);
	tcase_add_test(tc, what_is_not_enabled_does_not_interrupt);
	tcase_add_test(tc, out2_lets_interrupts_through);
	tcase_add_test(tc, modem_lines_in_loopback);
	tcase_add_test(tc, loopback_hears_nothing_from_outside);
	tcase_add_test(tc, a_break_in_loopback_comes_back);
	tcase_add_test(tc, a_reset_lowers_the_line);
	tcase_add_test(tc, random_accesses_are_survived);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
