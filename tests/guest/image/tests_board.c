/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_board.c - serial port, ACPI tables, memory map. Test guest, the first CPU.
 */
#include <linux/serial_reg.h>

#include "tests/guest/image/acpi.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/serial.h"

#define FIFO_BYTES 16

/* --- serial --- */

static void serial_registers(void)
{
	uint8_t scratch[2], low, high;

	serial_wait_sent();
	check_equal(inb(COM1 + UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT),
		    UART_LSR_THRE | UART_LSR_TEMT, "serial: idle, so there is room");
	check_equal(inb(COM1 + UART_IIR) & 0xc0, 0xc0, "serial: FIFOs are on");

	outb(COM1 + UART_SCR, 0x5a);
	scratch[0] = inb(COM1 + UART_SCR);
	outb(COM1 + UART_SCR, 0xa5);
	scratch[1] = inb(COM1 + UART_SCR);
	check(scratch[0] == 0x5a && scratch[1] == 0xa5, "serial: scratch register keeps a byte");

	outb(COM1 + UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	outb(COM1 + UART_DLL, 0x34);
	outb(COM1 + UART_DLM, 0x12);
	low = inb(COM1 + UART_DLL);
	high = inb(COM1 + UART_DLM);
	outb(COM1 + UART_DLL, 1);
	outb(COM1 + UART_DLM, 0);
	outb(COM1 + UART_LCR, UART_LCR_WLEN8);
	check(low == 0x34 && high == 0x12, "serial: divisor latch keeps its bytes");
	check_equal(inb(COM1 + UART_LCR), UART_LCR_WLEN8, "serial: line control reads back");
	outb(COM1 + UART_IER, 0xff);
	check_equal(inb(COM1 + UART_IER), 0x0f, "serial: interrupt enable has four bits");
	outb(COM1 + UART_IER, 0);
}

/* Nothing can be printed while the port talks to itself. */
static void serial_loopback(void)
{
	uint8_t normal_mcr = UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2, modem, fcr, lsr;
	unsigned in_order = 0;
	uint64_t deadline;
	bool left;

	serial_wait_sent();
	outb(COM1 + UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT2);
	modem = inb(COM1 + UART_MSR);
	for (uint8_t i = 0; i < FIFO_BYTES; i++) {
		while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
			cpu_pause();
		outb(COM1 + UART_TX, (uint8_t)(0x80 + i));
	}
	deadline = clock_after_ms(200);
	while (in_order < FIFO_BYTES && !clock_is_past(deadline))
		if (inb(COM1 + UART_LSR) & UART_LSR_DR &&
		    inb(COM1 + UART_RX) == (uint8_t)(0x80 + in_order))
			in_order++;
	left = inb(COM1 + UART_LSR) & UART_LSR_DR;

	/* One more than there is room for is lost, and is said to be. */
	for (uint8_t i = 0; i <= FIFO_BYTES; i++) {
		while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
			cpu_pause();
		outb(COM1 + UART_TX, i);
	}
	wait_ms(5);
	lsr = inb(COM1 + UART_LSR);
	outb(COM1 + UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	fcr = inb(COM1 + UART_LSR);
	outb(COM1 + UART_MCR, normal_mcr);
	check_equal(modem & 0xf0, UART_MSR_DSR | UART_MSR_DCD,
		    "serial: in loopback DTR is DSR and OUT2 is DCD");
	check_equal(in_order, FIFO_BYTES, "serial: loopback gives a FIFO of bytes back in order");
	check(!left, "serial: and no more");
	check(lsr & UART_LSR_OE, "serial: the byte too many is an overrun");
	check(!(fcr & UART_LSR_DR), "serial: clearing the FIFO empties it");
}

static char received[32];
static volatile unsigned num_received;

static void on_serial(uint8_t vector)
{
	char byte;

	(void)vector;
	inb(COM1 + UART_IIR);
	while (serial_take(&byte))
		if (num_received < sizeof(received))
			received[num_received++] = byte;
}

static void connect_serial(void (*handler)(uint8_t vector))
{
	bool level, active_low;
	unsigned pin;

	interrupt_handle(VECTOR_SERIAL, handler);
	acpi_irq(COM1_IRQ, &pin, &level, &active_low);
	ioapic_enable(pin, VECTOR_SERIAL, level, active_low);
}

static void serial_interrupts(void)
{
	volatile unsigned *count = &interrupt_counts[VECTOR_SERIAL];
	unsigned before = *count;
	uint8_t first, second;

	serial_wait_sent();
	connect_serial(NULL);
	outb(COM1 + UART_IER, UART_IER_THRI);
	check(wait_for(count, before + 1, 200), "serial: an interrupt when there is room");
	serial_wait_sent();
	outb(COM1 + UART_IER, 0);
	outb(COM1 + UART_IER, UART_IER_THRI);
	first = inb(COM1 + UART_IIR);
	second = inb(COM1 + UART_IIR);
	outb(COM1 + UART_IER, 0);
	check_equal(first & 0x0f, UART_IIR_THRI, "serial: it says what it is for");
	check_equal(second & 0x0f, UART_IIR_NO_INT, "serial: reading that takes it back");
}

static void serial(void)
{
	serial_registers();
	serial_loopback();
	serial_interrupts();
}

/* The host types a line when it is told so. */
static void serial_rx(void)
{
	static const char expected[] = "The quick brown fox!\n";
	unsigned interrupts;

	num_received = 0;
	connect_serial(on_serial);
	outb(COM1 + UART_IER, UART_IER_RDI);
	interrupts = interrupt_counts[VECTOR_SERIAL];
	step("type");
	wait_for(&num_received, sizeof(expected) - 1, 5000);
	outb(COM1 + UART_IER, 0);
	ioapic_mask(COM1_IRQ);
	check_equal(num_received, sizeof(expected) - 1, "serial: what was typed arrived");
	check(text_equal(received, expected, sizeof(expected) - 1), "serial: as it was typed");
	check(interrupt_counts[VECTOR_SERIAL] > interrupts, "serial: by interrupt");
}

/* --- ACPI --- */

static void acpi_sums(void)
{
	const struct acpi_header *xsdt = (const struct acpi_header *)acpi.xsdt;
	bool whole = true;

	check(acpi_sum((const void *)acpi.rsdp, 20) == 0, "acpi: RSDP, checksum of its first part");
	if (!acpi.xsdt) {
		note("revision 0: an RSDT only");
	} else {
		check(acpi_sum((const void *)acpi.rsdp, 36) == 0, "acpi: RSDP, checksum of it all");
		check(acpi_sum(xsdt, xsdt->bytes) == 0, "acpi: XSDT, checksum");
		for (uint32_t i = sizeof(*xsdt); i + 8 <= xsdt->bytes; i += 8) {
			const struct acpi_header *table =
				*(const struct acpi_header *const *)((uint64_t)xsdt + i);

			if (acpi_sum(table, table->bytes) != 0) {
				note("%c%c%c%c has a wrong checksum", table->signature[0],
				     table->signature[1], table->signature[2], table->signature[3]);
				whole = false;
			}
		}
		check(whole, "acpi: every table has its checksum");
	}
}

static void acpi_tables(void)
{
	/* PNP0A08 and PNP0A03 as EISAID() packs them. */
	static const uint8_t pcie_root[] = {0x0c, 0x41, 0xd0, 0x0a, 0x08};
	static const uint8_t pci_root[] = {0x0c, 0x41, 0xd0, 0x0a, 0x03};

	if (!check(acpi.rsdp != 0, "acpi: the start info names an RSDP"))
		return;
	acpi_sums();
	if (!check(acpi.fadt && acpi.madt && acpi.mcfg && acpi.dsdt,
		   "acpi: FADT, MADT, MCFG and DSDT are there"))
		return;
	check(acpi_sum(acpi.dsdt, acpi.dsdt->bytes) == 0, "acpi: DSDT, checksum");
	check(acpi.facs && acpi.facs % 64 == 0 && text_equal((const char *)acpi.facs, "FACS", 4),
	      "acpi: FACS, aligned to 64 bytes");
	check(acpi.has_s5, "acpi: the DSDT has _S5");
	check(acpi_find("_PRT", 4), "acpi: the DSDT has a _PRT");
	check(acpi_find(pcie_root, 5) || acpi_find(pci_root, 5), "acpi: the DSDT has a PCI root");
	check_equal(acpi.num_cpus, option_number("cpus", 1), "acpi: the MADT has every CPU");
	check(acpi.reset_port, "acpi: a reset register");
	check(acpi.ecam % 0x100000 == 0 && acpi.ecam, "acpi: ECAM at 0x%lx", acpi.ecam);
	check_equal(lapic_id(), acpi.apic_ids[0], "acpi: the first CPU of the MADT is this one");
	check_equal(ioapic_pins(), 24, "acpi: an IOAPIC with its pins is where the MADT says");
}

static void acpi_timer(void)
{
	uint32_t before = inl(acpi.pm_timer), after;
	unsigned looks = 0;

	do
		after = inl(acpi.pm_timer);
	while (after == before && ++looks < 100000);
	check(after != before, "acpi: the timer runs");
}

static void acpi_all(void)
{
	acpi_tables();
	acpi_timer();
	check(acpi_enable(), "acpi: the board can be put into ACPI mode");
}

/* --- memory --- */

/* RAM is where the map says, which is as much as the command line says. */
static void memory_map(void)
{
	uint64_t begin, bytes, last = 0, ram = 0, expected = option_number("memory", 0) << 20;
	bool in_order = true, works = true;
	uint32_t type;

	check(start_info_version() >= 1, "memory: the start info has a map");
	for (unsigned i = 0; start_info_map_entry(i, &begin, &bytes, &type); i++) {
		in_order = in_order && begin >= last;
		last = begin + bytes;
		if (type != 1)
			continue;
		ram += bytes;
		/* The last page of each piece; the loader's own things are never there. */
		if (last > 0x400000) {
			uint64_t at = last - 8, old = read64(at);

			write64(at, 0x5249474e47534944 ^ at);
			works = works && read64(at) == (0x5249474e47534944 ^ at);
			write64(at, old);
			note("RAM up to 0x%lx", last);
		}
	}
	check(in_order, "memory: entries rise and do not overlap");
	check(works, "memory: RAM keeps what is written at its ends");
	/* What lies between 640 KiB and 1 MiB is nobody's, and firmware keeps some for itself. */
	check(ram <= expected && ram + (1u << 20) >= expected, "memory: %lu KiB of RAM", ram >> 10);
}

const struct guest_test board_tests[] = {
	{"serial", serial}, {"serial-rx", serial_rx}, {"acpi", acpi_all}, {"memory", memory_map},
	{NULL, NULL},
};
