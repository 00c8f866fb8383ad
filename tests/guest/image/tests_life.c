/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_life.c - how a machine's run ends: reset in every way there is, power button, crash.
 * Test guest, the first CPU.
 */
#include "tests/guest/image/acpi.h"
#include "tests/guest/image/blk.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/cpu.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/pci.h"
#include "tests/guest/image/serial.h"
#include "tests/guest/image/smp.h"

#define COUNT_SECTOR 7 /* how often this machine has been reset is kept there */
#define MAGIC        0x5253544252535442
#define KEPT_RAM     0x2000000

static struct blk blk;
static uint64_t sector[SECTOR_BYTES / 8] __attribute__((aligned(16)));

/* --- reset --- */

static void triple_fault(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) nothing = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

static void reset_machine(const char *how)
{
	serial_wait_sent();
	if (text_equal(how, "acpi", 4))
		outb(acpi.reset_port, acpi.reset_value);
	else if (text_equal(how, "i8042", 5))
		outb(0x64, 0xfe);
	else if (text_equal(how, "port92", 6))
		outb(0x92, (uint8_t)(inb(0x92) | 1));
	else if (text_equal(how, "cf9", 3))
		outb(0xcf9, 0x06);
	else if (text_equal(how, "host", 4))
		step("reset");
	wait_ms(3000);
	check(false, "reset: %s resets the machine", how);
	guest_end();
}

/* What the machine before left must be gone. */
static void as_at_power_on(void)
{
	unsigned slot = blk.v.slot, open_pins = 0;

	check_equal(virtio_status(&blk.v), 0, "reset: the disk has been reset");
	check(!(pci_read16(slot, blk.v.msix + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_ENABLE),
	      "reset: its MSI-X is off");
	check(lapic_read(LAPIC_LVT_TIMER) & LAPIC_MASKED, "reset: the local APIC's timer is off");
	for (unsigned pin = 0; pin < ioapic_pins(); pin++)
		open_pins += !ioapic_is_masked(pin);
	check_equal(open_pins, 0, "reset: every pin of the IOAPIC is masked");
}

/* how=WAY,WAY,...: one after another, then power off. The disk counts. */
static void resets(void)
{
	struct blk_options opt = blk_options_from_cmdline();
	int slot = pci_find_virtio(2, 0);
	const char *how = option("how");
	uint64_t done;

	if (!check(slot >= 0 && virtio_open(&blk.v, (unsigned)slot), "reset: a disk"))
		return;
	as_at_power_on();
	check_equal(smp_start(), option_number("cpus", 1), "reset: every CPU starts");
	if (!blk_start(&blk, &opt))
		return;
	if (!check(blk_do(&blk, 0, VIRTIO_BLK_T_IN, COUNT_SECTOR, sector, sizeof(sector)) ==
			   VIRTIO_BLK_S_OK,
		   "reset: the disk reads"))
		return;
	done = sector[0] == MAGIC ? sector[1] : 0;
	print("VALUE resets %lu\n", done);
	sector[0] = MAGIC;
	sector[1] = done + 1;
	check(blk_do(&blk, 0, VIRTIO_BLK_T_OUT, COUNT_SECTOR, sector, sizeof(sector)) ==
		      VIRTIO_BLK_S_OK,
	      "reset: the disk writes");
	while (how && done--)
		how = next_word(how);
	if (!how)
		return;
	/* Leave something behind: a timer that runs, a pin that is open, requests in flight. */
	lapic_write(LAPIC_LVT_TIMER, LAPIC_PERIODIC | VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, 1000000000);
	ioapic_enable(11, VECTOR_PINS + 11, true, false);
	for (unsigned i = 0; i < 4; i++)
		blk_submit(&blk, 0, VIRTIO_BLK_T_IN, i, sector, sizeof(sector), 0);
	queue_kick(&blk.v.queues[0]);
	reset_machine(how);
}

static volatile unsigned ready_to_reset;

static void reset_by_port(unsigned index)
{
	__atomic_fetch_add(&ready_to_reset, 1, __ATOMIC_SEQ_CST);
	while (ready_to_reset < acpi.num_cpus)
		cpu_pause();
	for (unsigned i = 0; i < 1000; i++) {
		if (index & 1)
			outb(0x64, 0xfe);
		else
			outb(0x92, 1);
	}
}

/* All CPUs at once, resets=N times; no device is in use that it would have to wait for. A reset leaves
 * RAM as it is, but for where the kernel is loaded to: there it is counted. */
static void resets_together(void)
{
	volatile uint64_t *kept = (uint64_t *)KEPT_RAM;

	if (kept[0] != MAGIC)
		kept[1] = 0;
	kept[0] = MAGIC;
	if (kept[1]++ == option_number("resets", 1))
		return;
	smp_start();
	smp_work(reset_by_port);
	reset_by_port(0);
	check(false, "reset: by all CPUs");
}

/* --- power --- */

static void on_sci(uint8_t vector)
{
	(void)vector;
	outw(acpi.pm_event, PM1_PWRBTN);
}

/* The host presses the button when it is told so. */
static void power_button(void)
{
	volatile unsigned *count = &interrupt_counts[VECTOR_SCI];
	uint16_t enable = (uint16_t)(acpi.pm_event + acpi.pm_event_bytes / 2);
	unsigned before = *count, pin;
	bool level, active_low;

	check(acpi_enable(), "power: ACPI mode");
	interrupt_handle(VECTOR_SCI, on_sci);
	acpi_irq((uint8_t)acpi.sci, &pin, &level, &active_low);
	ioapic_enable(pin, VECTOR_SCI, true, active_low);
	outw(acpi.pm_event, 0xffff);
	check(!(inw(acpi.pm_event) & PM1_PWRBTN), "power: the button is not pressed yet");
	outw(enable, PM1_PWRBTN);
	check_equal(inw(enable) & PM1_PWRBTN, PM1_PWRBTN, "power: the button may interrupt");
	step("press");
	check(wait_for(count, before + 1, 5000), "power: the button raises the SCI");
	check(!(inw(acpi.pm_event) & PM1_PWRBTN), "power: its status can be taken back");
	/* A KVM in software brings a level-triggered interrupt once more than it should. */
	wait_ms(10);
	before = *count;
	wait_ms(10);
	check_equal(*count, before, "power: and then the SCI is silent");
	outw(enable, 0);
}

static void nothing(void)
{
}

/* Until the host ends it. */
static void stand_still(void)
{
	step("still");
	guest_stand_still();
}

/* Until the host types a byte; the machine must not care how long that is. */
static void idle(void)
{
	char byte;

	step("idle");
	while (!serial_take(&byte))
		wait_ms(1);
	check(true, "life: the host said go on");
}

/* --- crashes --- */

static void crash_by_triple_fault(void)
{
	step("crash");
	serial_wait_sent();
	interrupts_off();
	triple_fault();
}

static volatile unsigned traps;

static void on_trap(uint8_t vector)
{
	(void)vector;
	traps++;
}

/* A KVM in software cannot do this one, and says so by an internal error. */
static void crash_by_int3(void)
{
	interrupt_handle(3, on_trap);
	step("crash");
	serial_wait_sent();
	__asm__ volatile("int3" : : : "memory");
	check_equal(traps, 1, "life: int3 is an exception");
}

const struct guest_test life_tests[] = {
	{"poweroff", nothing},
	{"resets", resets},
	{"resets-together", resets_together},
	{"power-button", power_button},
	{"still", stand_still},
	{"idle", idle},
	{"triple-fault", crash_by_triple_fault},
	{"int3", crash_by_int3},
	{NULL, NULL},
};
