/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests_cpu.c - the other CPUs, what CPUID says of them, timers and clock. Test guest, the first CPU.
 */
#include "tests/guest/image/acpi.h"
#include "tests/guest/image/clock.h"
#include "tests/guest/image/guest.h"
#include "tests/guest/image/interrupt.h"
#include "tests/guest/image/smp.h"

#define CPUID_TSC_DEADLINE (1u << 24)
#define MSR_TSC_DEADLINE   0x6e0
#define LAPIC_TSC_DEADLINE (2u << 17) /* of the timer's LVT entry */

static bool in_madt(uint32_t id)
{
	for (unsigned i = 0; i < acpi.num_cpus; i++)
		if (acpi.apic_ids[i] == id)
			return true;
	return false;
}

static volatile unsigned worked;

static void count_up(unsigned index)
{
	(void)index;
	__atomic_fetch_add(&worked, 1, __ATOMIC_SEQ_CST);
}

static void smp(void)
{
	unsigned expected = (unsigned)option_number("cpus", 1);
	unsigned before = interrupt_counts[VECTOR_IPI];
	bool same = true, known = true, distinct = true;

	if (!check_equal(smp_start(), expected, "smp: every CPU starts"))
		return;
	for (unsigned i = 0; i < expected; i++) {
		const struct smp_cpu *cpu = &smp_cpus[i];

		known = known && in_madt(cpu->lapic_id);
		same = same && cpu->cpuid_id == cpu->lapic_id && cpu->cpuid_x2id == cpu->lapic_id;
		for (unsigned j = 0; j < i; j++)
			distinct = distinct && cpu->lapic_id != smp_cpus[j].lapic_id;
	}
	check(known && distinct, "smp: each is one of the MADT's");
	check(same, "smp: CPUID and the local APIC agree on its ID");
	for (unsigned i = 0; i < 3; i++) {
		smp_work(count_up);
		if (!smp_wait(2000))
			break;
	}
	check_equal(worked, 3 * (expected - 1), "smp: each does what it is told by an IPI");
	check_equal(interrupt_counts[VECTOR_IPI] - before, 3 * (expected - 1),
		    "smp: and is told once each time");
}

/* --- topology --- */

static unsigned width(unsigned n)
{
	unsigned bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

/* topology=SOCKETS,CORES,THREADS */
static void topology(void)
{
	unsigned sockets = (unsigned)option_number_at("topology", 0, 1);
	unsigned cores = (unsigned)option_number_at("topology", 1, 1);
	unsigned threads = (unsigned)option_number_at("topology", 2, 1);
	struct cpuid smt = cpuid(0xb, 0), core = cpuid(0xb, 1);
	unsigned thread_bits = smt.eax & 31, core_bits = core.eax & 31, bad = 0;

	if (!check(cpuid(0, 0).eax >= 0xb, "topology: CPUID has leaf 0xb"))
		return;
	check_equal(smt.ecx >> 8 & 0xff, 1, "topology: its first level are threads");
	check_equal(core.ecx >> 8 & 0xff, 2, "topology: its second level are cores");
	check_equal(smt.ebx & 0xffff, threads, "topology: threads of a core");
	check_equal(core.ebx & 0xffff, threads * cores, "topology: threads of a socket");
	check_equal(thread_bits, width(threads), "topology: bits of the ID for the thread");
	check_equal(core_bits, width(threads) + width(cores), "topology: and for the core");
	check_equal(cpuid(0xb, 2).ebx & 0xffff, 0, "topology: there is no third level");
	for (unsigned i = 0; i < acpi.num_cpus; i++) {
		unsigned id = acpi.apic_ids[i], thread = id & ((1u << thread_bits) - 1);
		unsigned in_socket = id & ((1u << core_bits) - 1), socket = id >> core_bits;

		bad += thread >= threads || in_socket >> thread_bits >= cores || socket >= sockets;
	}
	check_equal(bad, 0, "topology: every ID of the MADT is within");
	check(cpuid(1, 0).ecx >> 31, "topology: CPUID says that this is a virtual machine");
}

/* --- timers --- */

static void lapic_timer(void)
{
	volatile unsigned *count = &interrupt_counts[VECTOR_TIMER];
	unsigned before = *count;
	uint64_t begin;

	lapic_write(LAPIC_TIMER_DIVIDE, 3); /* by 16 */
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, 100000);
	check(lapic_read(LAPIC_TIMER_CURRENT) <= 100000, "timer: the local APIC counts down");
	check(wait_for(count, before + 1, 2000), "timer: and interrupts at the end");
	wait_ms(5);
	check_equal(*count, before + 1, "timer: once");
	begin = clock_ticks();
	lapic_write(LAPIC_LVT_TIMER, LAPIC_PERIODIC | VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INITIAL, 200000);
	check(wait_for(count, before + 4, 3000), "timer: again and again when it is to");
	lapic_write(LAPIC_LVT_TIMER, LAPIC_MASKED);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	note("three periods took %lu us", (clock_ticks() - begin) * 1000000 / PM_TIMER_HZ);
}

static void pit(void)
{
	volatile unsigned *count = &interrupt_counts[VECTOR_PIT];
	unsigned before = *count, pin;
	bool level, active_low;
	uint64_t begin, us;

	acpi_irq(0, &pin, &level, &active_low);
	ioapic_enable(pin, VECTOR_PIT, level, active_low);
	begin = clock_ticks();
	outb(0x43, 0x34); /* channel 0, rate generator */
	outb(0x40, 11932 & 0xff); /* 100 Hz */
	outb(0x40, 11932 >> 8);
	check(wait_for(count, before + 5, 3000), "timer: the PIT interrupts");
	us = (clock_ticks() - begin) * 1000000 / PM_TIMER_HZ;
	ioapic_mask(pin);
	note("five ticks of 10 ms took %lu us", us);
	check(us >= 30000, "timer: not faster than it was told");
}

/* Sleep until something comes: the CPU has to wake up for it. */
static void sleep_and_wake(void)
{
	unsigned before = interrupt_counts[VECTOR_TIMER];

	lapic_write(LAPIC_TIMER_DIVIDE, 3);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER);
	interrupts_off();
	lapic_write(LAPIC_TIMER_INITIAL, 500000);
	while (interrupt_counts[VECTOR_TIMER] == before)
		cpu_sleep();
	interrupts_on();
	check(true, "timer: a CPU that sleeps is woken");
}

/* The timer that stock kernels prefer, where there is one: it counts as the time stamp counter does. */
static void deadline_timer(void)
{
	volatile unsigned *count = &interrupt_counts[VECTOR_TIMER];
	unsigned before = *count;

	if (!(cpuid(1, 0).ecx & CPUID_TSC_DEADLINE)) {
		note("timer: no TSC deadline");
		return;
	}
	lapic_write(LAPIC_LVT_TIMER, LAPIC_TSC_DEADLINE | VECTOR_TIMER);
	memory_barrier();
	wrmsr(MSR_TSC_DEADLINE, __builtin_ia32_rdtsc() + 1000000);
	check(wait_for(count, before + 1, 2000), "timer: a TSC deadline interrupts");
	wait_ms(5);
	check_equal(*count, before + 1, "timer: and only once");
	lapic_write(LAPIC_LVT_TIMER, LAPIC_MASKED);
}

static void timers(void)
{
	lapic_timer();
	deadline_timer();
	pit();
	sleep_and_wake();
}

/* --- clock --- */

static uint8_t cmos_read(uint8_t index)
{
	outb(0x70, index);
	return inb(0x71);
}

static unsigned from_bcd(uint8_t value)
{
	return (value >> 4) * 10u + (value & 15);
}

static void rtc(void)
{
	unsigned seconds, hours, month, year;
	uint64_t deadline = clock_after_ms(2500);
	uint8_t begin;

	while (cmos_read(0x0a) & 0x80)
		if (clock_is_past(deadline))
			break;
	begin = cmos_read(0);
	seconds = from_bcd(begin);
	hours = from_bcd(cmos_read(4) & 0x7f);
	month = from_bcd(cmos_read(8));
	year = from_bcd(cmos_read(9));
	check(seconds < 60 && hours < 24 && month >= 1 && month <= 12 && year >= 20 && year < 100,
	      "rtc: a time of day, in BCD");
	check(cmos_read(0x0d) & 0x80, "rtc: its battery is well");
	while (cmos_read(0) == begin && !clock_is_past(deadline))
		cpu_pause();
	check(cmos_read(0) != begin, "rtc: seconds pass");
}

const struct guest_test cpu_tests[] = {
	{"smp", smp}, {"topology", topology}, {"timers", timers}, {"rtc", rtc}, {NULL, NULL},
};
