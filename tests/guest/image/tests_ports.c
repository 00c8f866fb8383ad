/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_ports.c - every port read in every size, and those written that do not end the run. The
 * machine has to live, and the disk to work. Test guest, the first CPU.
 */
#include <linux/serial_reg.h>

#include "tests/guest/image/acpi.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"
#include "tests/guest/image/poke.h"
#include "tests/guest/image/serial.h"

#define PORT_SIZES 3 /* 1, 2, 4 bytes */

static void read_ports(void)
{
	unsigned step_by = (unsigned)option_number("stride", 1);

	for (unsigned port = 0; port < 0x10000; port += step_by) {
		inb((uint16_t)port);
		inw((uint16_t)port);
		inl((uint16_t)port);
	}
	serial_init();
	check(true, "poke: every port was read");
	poke_still_works("every port was read");
}

/* Where a write may end the run, or take the machine's interrupts or console away for good. */
static bool is_dangerous(unsigned port, unsigned bytes)
{
	static const struct {
		uint16_t begin, end;
	} keep[] = {
		{0x20, 0x22},   {0xa0, 0xa2}, /* interrupt controllers */
		{0x60, 0x65}, /* i8042 */
		{0x92, 0x93},   {0x3f8, 0x400}, /* has a test of its own */
		{0x600, 0x60c}, /* and so has this */
		{0xcf9, 0xcfa},
	};

	for (unsigned i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
		if (port < keep[i].end && port + bytes > keep[i].begin)
			return !(port == PCI_ADDRESS && bytes == 4);
	return false;
}

static void write_port(unsigned port, unsigned log2, uint64_t value)
{
	if (is_dangerous(port, 1u << log2))
		return;
	if (log2 == 0)
		outb((uint16_t)port, (uint8_t)value);
	else if (log2 == 1)
		outw((uint16_t)port, (uint16_t)value);
	else
		outl((uint16_t)port, (uint32_t)value);
}

/* In loopback nothing comes out. */
static void write_serial(void)
{
	serial_wait_sent();
	for (unsigned i = 0; i < 256; i++) {
		unsigned port = COM1 + i % 8;

		outb(COM1 + UART_MCR, UART_MCR_LOOP);
		if (i % 3 == 0)
			outb((uint16_t)port, (uint8_t)poke_random());
		else if (i % 3 == 1)
			outw((uint16_t)port, (uint16_t)poke_random());
		else
			outl((uint16_t)port, (uint32_t)poke_random());
		outb(COM1 + UART_MCR, UART_MCR_LOOP);
		inl((uint16_t)port);
	}
	outb(COM1 + UART_LCR, 0);
	wait_ms(1);
	serial_init();
}

/* Everything but the sleep enable bit. */
static void write_power(void)
{
	for (unsigned i = 0; i < 64; i++) {
		uint16_t port = (uint16_t)(acpi.pm_event + i % 12);

		if (port >= acpi.pm_control - 3u && port < acpi.pm_control + 2u)
			outb(acpi.pm_control, (uint8_t)poke_random());
		else if (i % 2)
			outl(port, (uint32_t)poke_random());
		else
			outw(port, (uint16_t)poke_random());
	}
	outw((uint16_t)(acpi.pm_event + acpi.pm_event_bytes / 2), 0);
	outw(acpi.pm_event, 0xffff);
}

static void write_ports(void)
{
	lapic_write(0x350, LAPIC_MASKED); /* LINT0, where the PICs come in */
	for (unsigned port = 0; port < 0x1000; port += port < 0x800 ? 1 : 7)
		for (unsigned log2 = 0; log2 < PORT_SIZES; log2++)
			write_port(port, log2, poke_value((port + log2) % 3));
	write_serial();
	write_power();
	outl(PCI_ADDRESS, 0);
	check(true, "poke: ports were written");
	poke_still_works("ports were written");
}

const struct guest_test port_tests[] = {
	{"poke-read-ports", read_ports},
	{"poke-write-ports", write_ports},
	{NULL, NULL},
};
