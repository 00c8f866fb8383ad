/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_acpi.c - the tables are whole, say what the board has, and the board answers there.
 * Tests vmm/acpi and vmm/aml; what the DSDT says is looked at by test_vmm_acpi_tables.
 */
#include <errno.h>

#include "tests/unit/support.h"
#include "tests/unit/vmm_recorder.h"
#include "vmm/acpi.h"
#include "vmm/acpi_tables.h"
#include "vmm/aml.h"
#include "vmm/board.h"
#include "vmm/memory_map.h"

static struct ram ram;
static struct recorder rec;
static uint32_t apic_ids[100000];

static void setup(void)
{
	ram = (struct ram){0};
	fe_memory_init(&ram.mem);
	ck_assert_int_eq(fe_memory_add(&ram.mem, 0, 4 << 20, false), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(apic_ids); i++)
		apic_ids[i] = i;
}

static void teardown(void)
{
	fe_memory_free(&ram.mem);
}

static const void *at(uint64_t gpa, uint64_t bytes)
{
	ck_assert_uint_ge(gpa, ACPI_BEGIN);
	ck_assert_uint_le(gpa, ACPI_END);
	ck_assert_uint_le(bytes, ACPI_END - gpa);
	return ram_host(&ram, gpa, bytes);
}

static unsigned sum(const uint8_t *data, size_t bytes)
{
	uint8_t total = 0;

	for (size_t i = 0; i < bytes; i++)
		total += data[i];
	return total;
}

static const struct acpi_rsdp *write_tables(unsigned num_vcpus)
{
	struct acpi_options opt = {.num_vcpus = num_vcpus, .apic_ids = apic_ids};
	uint64_t rsdp_gpa;

	ck_assert_int_eq(acpi_write(&ram, &opt, &rsdp_gpa), 0);
	ck_assert_uint_eq(rsdp_gpa, ACPI_BEGIN);
	return at(rsdp_gpa, sizeof(struct acpi_rsdp));
}

static const struct acpi_header *table_at(uint64_t gpa, const char *signature)
{
	const struct acpi_header *header = at(gpa, sizeof(*header));

	ck_assert(!memcmp(header->signature, signature, 4));
	ck_assert_uint_ge(header->length, sizeof(*header));
	ck_assert_uint_eq(sum(at(gpa, header->length), header->length), 0);
	return header;
}

/* The table of that name in the XSDT, and what stands behind its header. */
static const void *table(const char *signature, size_t *body_bytes)
{
	const struct acpi_rsdp *rsdp = at(ACPI_BEGIN, sizeof(*rsdp));
	const struct acpi_header *xsdt = table_at(rsdp->xsdt_gpa, "XSDT");

	for (size_t i = sizeof(*xsdt); i < xsdt->length; i += 8) {
		const struct acpi_header *header;
		uint64_t gpa;

		memcpy(&gpa, (const char *)xsdt + i, sizeof(gpa));
		header = at(gpa, sizeof(*header));
		if (!memcmp(header->signature, signature, 4)) {
			header = table_at(gpa, signature);
			*body_bytes = header->length - sizeof(*header);
			return header + 1;
		}
	}
	ck_abort_msg("no %s", signature);
}

static const struct acpi_fadt *fadt(void)
{
	size_t bytes;
	const struct acpi_fadt *table_body = table("FACP", &bytes);

	ck_assert_uint_eq(bytes, sizeof(*table_body));
	return table_body;
}

START_TEST(the_root_is_where_a_scan_finds_it)
{
	const struct acpi_rsdp *rsdp = write_tables(1);

	ck_assert(!memcmp(rsdp->signature, "RSD PTR ", 8));
	ck_assert_uint_eq(sum((const uint8_t *)rsdp, 20), 0);
	ck_assert_uint_eq(rsdp->length, 36);
	ck_assert_uint_eq(sum((const uint8_t *)rsdp, 36), 0);
	ck_assert_uint_eq(rsdp->revision, 2);
}
END_TEST

START_TEST(every_table_is_whole)
{
	const struct acpi_facs *facs;
	size_t bytes;

	write_tables(VMM_MAX_VCPUS);
	table("APIC", &bytes);
	table("MCFG", &bytes);
	table_at(fadt()->dsdt_gpa, "DSDT");
	ck_assert_uint_eq(fadt()->x_dsdt_gpa, fadt()->dsdt_gpa);
	ck_assert_uint_eq(fadt()->x_facs_gpa, 0); /* one of the two names it */
	facs = at(fadt()->facs_gpa, sizeof(*facs));
	ck_assert(!memcmp(facs->signature, "FACS", 4));
	ck_assert_uint_eq(facs->length, 64);
	ck_assert_uint_eq(fadt()->facs_gpa % 64, 0);
}
END_TEST

/* The registers FADT names are on the board, at both of its ways to name them. */
START_TEST(the_board_answers_where_fadt_says)
{
	struct board board;
	struct board_options opt = {.ram_bytes = 4 << 20};
	const struct acpi_fadt *f;

	write_tables(1);
	f = fadt();
	recorder_init(&rec);
	ck_assert_int_eq(board_init(&board, &rec.hv, &opt), 0);
	ck_assert_uint_eq(f->x_pm1a_event.address, f->pm1a_event);
	ck_assert_uint_eq(f->x_pm1a_control.address, f->pm1a_control);
	ck_assert_uint_eq(f->x_pm_timer.address, f->pm_timer);
	ck_assert_uint_eq(f->x_pm1a_event.bits, 8 * f->pm1_event_bytes);
	ck_assert_uint_eq(f->x_pm1a_control.bits, 8 * f->pm1_control_bytes);
	ck_assert_uint_eq(f->x_pm_timer.bits, 8 * f->pm_timer_bytes);
	ck_assert_uint_eq(bus_read(&board.bus, BUS_PIO, f->pm1a_event, f->pm1_event_bytes), 0);
	/* In ACPI mode, as FADT has it without a port that switches to it. */
	ck_assert_uint_eq(f->smi_port, 0);
	ck_assert_uint_eq(bus_read(&board.bus, BUS_PIO, f->pm1a_control, f->pm1_control_bytes), 1);
	ck_assert_uint_ne(bus_read(&board.bus, BUS_PIO, f->pm_timer, f->pm_timer_bytes),
			  UINT32_MAX);
	bus_write(&board.bus, BUS_PIO, f->pm1a_event + 2u, 2, 0x100);
	ck_assert(board_power_button(&board));
	ck_assert(rec.lines[f->sci_irq]);
	bus_write(&board.bus, BUS_PIO, 0x70, 1, f->century);
	ck_assert_uint_ge(bus_read(&board.bus, BUS_PIO, 0x71, 1), 0x20);
}
END_TEST

static void count_reset(void *ctx, const char *how)
{
	(void)how;
	++*(unsigned *)ctx;
}

START_TEST(the_reset_register_resets)
{
	unsigned resets = 0;
	struct board board;
	struct board_options opt = {.events = {.reset = count_reset, .ctx = &resets}};

	write_tables(1);
	recorder_init(&rec);
	ck_assert_int_eq(board_init(&board, &rec.hv, &opt), 0);
	ck_assert(fadt()->flags & FADT_RESET);
	ck_assert_uint_eq(fadt()->reset.space, ACPI_SPACE_IO);
	bus_write(&board.bus, BUS_PIO, fadt()->reset.address, fadt()->reset.bits / 8,
		  fadt()->reset_value);
	ck_assert_uint_eq(resets, 1);
}
END_TEST

START_TEST(fadt_says_what_is_not_there)
{
	write_tables(1);
	ck_assert_uint_eq(fadt()->boot_arch & (FADT_BOOT_8042 | FADT_BOOT_NO_RTC), 0);
	ck_assert(fadt()->boot_arch & FADT_BOOT_NO_VGA);
	/* The power button is fixed hardware; a sleep button is not there at all. */
	ck_assert_uint_eq(fadt()->flags & (FADT_NO_POWER_BUTTON | FADT_HARDWARE_REDUCED), 0);
	ck_assert(fadt()->flags & FADT_NO_SLEEP_BUTTON);
	ck_assert(fadt()->flags & FADT_TIMER_32);
}
END_TEST

/* --- MADT --- */

struct found {
	unsigned lapics, x2apics, ioapics, overrides, nmis, x2apic_nmis;
	uint32_t apic_id[VMM_MAX_VCPUS]; /* by UID */
	struct acpi_madt_override override[16]; /* by IRQ */
};

static void look_at_madt(struct found *found)
{
	size_t bytes, offset;
	const uint8_t *body = table("APIC", &bytes);

	memset(found, 0, sizeof(*found));
	for (offset = sizeof(struct acpi_madt); offset < bytes; offset += body[offset + 1]) {
		const void *entry = body + offset;
		const struct acpi_madt_lapic *lapic = entry;
		const struct acpi_madt_x2apic *x2apic = entry;
		const struct acpi_madt_override *override = entry;

		ck_assert_uint_ge(body[offset + 1], 2);
		switch (body[offset]) {
		case MADT_LAPIC:
			ck_assert_uint_eq(lapic->flags, MADT_ENABLED);
			found->lapics++;
			found->apic_id[lapic->uid] = lapic->apic_id;
			break;
		case MADT_X2APIC:
			ck_assert_uint_eq(x2apic->flags, MADT_ENABLED);
			found->x2apics++;
			found->apic_id[x2apic->uid] = x2apic->apic_id;
			break;
		case MADT_IOAPIC:
			found->ioapics++;
			ck_assert_uint_eq(((const struct acpi_madt_ioapic *)entry)->gpa,
					  IOAPIC_BASE);
			break;
		case MADT_OVERRIDE:
			found->overrides++;
			found->override[override->irq] = *override;
			break;
		case MADT_LAPIC_NMI:
			ck_assert_uint_eq(((const struct acpi_madt_lapic_nmi *)entry)->lint, 1);
			found->nmis++;
			break;
		case MADT_X2APIC_NMI:
			found->x2apic_nmis++;
			break;
		default:
			ck_abort_msg("entry of type %u", body[offset]);
		}
	}
	ck_assert_uint_eq(offset, bytes);
}

START_TEST(madt_has_every_processor)
{
	static const unsigned counts[] = {1, 2, 7, VMM_MAX_VCPUS};
	struct found found;

	for (unsigned i = 0; i < VMM_MAX_VCPUS; i++)
		apic_ids[i] = i * 3; /* with gaps, as a topology of three threads has */
	for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
		write_tables(counts[c]);
		look_at_madt(&found);
		ck_assert_uint_eq(found.lapics, counts[c]);
		ck_assert_uint_eq(found.x2apics, 0);
		for (unsigned i = 0; i < counts[c]; i++)
			ck_assert_uint_eq(found.apic_id[i], i * 3);
		ck_assert_uint_eq(found.ioapics, 1);
		ck_assert_uint_eq(found.nmis, 1);
	}
}
END_TEST

/* 255 as an ID of eight bits is every processor. */
START_TEST(a_large_apic_id_is_an_x2apic)
{
	struct found found;

	apic_ids[0] = 254;
	apic_ids[1] = 255;
	apic_ids[2] = 0x12345;
	write_tables(3);
	look_at_madt(&found);
	ck_assert_uint_eq(found.lapics, 1);
	ck_assert_uint_eq(found.x2apics, 2);
	ck_assert_uint_eq(found.x2apic_nmis, 1);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(found.apic_id[i], apic_ids[i]);
}
END_TEST

START_TEST(madt_tells_which_lines_are_levels)
{
	static const uint8_t lines[] = IRQ_PCI_LINES;
	struct found found;

	write_tables(1);
	look_at_madt(&found);
	ck_assert_uint_eq(found.overrides, 2 + ARRAY_SIZE(lines));
	ck_assert_uint_eq(found.override[0].gsi, 2);
	ck_assert_uint_eq(found.override[0].flags, 0);
	ck_assert_uint_eq(found.override[IRQ_SCI].gsi, IRQ_SCI);
	ck_assert_uint_eq(found.override[IRQ_SCI].flags, MADT_LEVEL | MADT_ACTIVE_HIGH);
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		ck_assert_uint_eq(found.override[lines[i]].gsi, lines[i]);
		ck_assert_uint_eq(found.override[lines[i]].flags & MADT_LEVEL, MADT_LEVEL);
	}
}
END_TEST

START_TEST(mcfg_is_the_boards_ecam)
{
	const struct acpi_mcfg *mcfg;
	size_t bytes;

	write_tables(1);
	mcfg = table("MCFG", &bytes);
	ck_assert_uint_eq(bytes, sizeof(*mcfg));
	ck_assert_uint_eq(mcfg->ecam_gpa, PCI_ECAM_BEGIN);
	ck_assert_uint_eq(mcfg->last_bus - mcfg->first_bus + 1u, PCI_ECAM_BYTES >> 20);
}
END_TEST

/* --- room --- */

START_TEST(more_than_fits_is_refused)
{
	struct acpi_options opt = {.num_vcpus = ARRAY_SIZE(apic_ids), .apic_ids = apic_ids};
	uint8_t *behind = ram_host(&ram, ACPI_END, 4096);
	uint8_t *before = ram_host(&ram, ACPI_BEGIN - 4096, 4096);
	unsigned touched = 0;
	uint64_t rsdp_gpa;

	for (; opt.num_vcpus > 500; opt.num_vcpus /= 2)
		if (acpi_write(&ram, &opt, &rsdp_gpa) == 0)
			break;
	ck_assert_uint_gt(opt.num_vcpus, 500); /* which some can be written for */
	for (unsigned n = opt.num_vcpus; n < 2 * opt.num_vcpus; n += 97) {
		struct acpi_options more = {.num_vcpus = n, .apic_ids = apic_ids};
		int ret = acpi_write(&ram, &more, &rsdp_gpa);

		ck_assert(ret == 0 || ret == -ENOSPC);
	}
	for (unsigned i = 0; i < 4096; i++)
		touched |= before[i] | behind[i];
	ck_assert_uint_eq(touched, 0);
}
END_TEST

START_TEST(ram_that_ends_before_is_refused)
{
	struct acpi_options opt = {.num_vcpus = 1, .apic_ids = apic_ids};
	uint64_t rsdp_gpa;

	fe_memory_free(&ram.mem);
	fe_memory_init(&ram.mem);
	ck_assert_int_eq(fe_memory_add(&ram.mem, 0, ACPI_END - 4096, false), 0);
	ck_assert_int_eq(acpi_write(&ram, &opt, &rsdp_gpa), -ENOSPC);
}
END_TEST

/* After a reset the same tables lie there, whatever the guest made of them. */
START_TEST(written_again_they_are_the_same)
{
	static uint8_t before[ACPI_END - ACPI_BEGIN];
	const struct acpi_rsdp *rsdp = write_tables(4);
	const struct acpi_header *last = at(rsdp->xsdt_gpa, sizeof(*last));
	size_t bytes = rsdp->xsdt_gpa + last->length - ACPI_BEGIN;
	uint8_t *now = ram_host(&ram, ACPI_BEGIN, sizeof(before));

	memcpy(before, now, bytes);
	memset(now, 0xee, sizeof(before));
	write_tables(4);
	ck_assert(!memcmp(before, now, bytes));
}
END_TEST

/* --- AML --- */

static uint8_t code[1 << 21];

static void assert_code(const struct aml *aml, const char *expected, size_t bytes)
{
	ck_assert(!aml->full);
	ck_assert_uint_eq(aml->bytes, bytes);
	ck_assert_mem_eq(code, expected, bytes);
}

START_TEST(integers_take_as_little_as_they_can)
{
	static const struct {
		uint64_t value;
		const char *code;
		size_t bytes;
	} integers[] = {
		{0, "\x00", 1},
		{1, "\x01", 1},
		{2, "\x0a\x02", 2},
		{0xff, "\x0a\xff", 2},
		{0x100, "\x0b\x00\x01", 3},
		{0x10000, "\x0c\x00\x00\x01\x00", 5},
		{0x100000000, "\x0e\x00\x00\x00\x00\x01\x00\x00\x00", 9},
	};
	struct aml aml;

	for (unsigned i = 0; i < ARRAY_SIZE(integers); i++) {
		aml_init(&aml, code, sizeof(code));
		aml_integer(&aml, integers[i].value);
		assert_code(&aml, integers[i].code, integers[i].bytes);
	}
}
END_TEST

START_TEST(names_and_ids)
{
	struct aml aml;

	aml_init(&aml, code, sizeof(code));
	aml_name(&aml, "\\_S5");
	aml_eisa_id(&aml, "PNP0A08");
	aml_string(&aml, "hi");
	assert_code(&aml, "\x08\\_S5_\x0c\x41\xd0\x0a\x08\x0dhi", 15);
}
END_TEST

/* _i: a body of as many bytes; the length in front counts itself. */
START_TEST(lengths_of_one_to_four_bytes)
{
	static const struct {
		size_t body, length_bytes;
	} sizes[] = {
		{1, 1},    {62, 1},      {63, 2},      {4093, 2},    {4094, 3},
		{8000, 3}, {1048572, 3}, {1048573, 4}, {1200000, 4},
	};
	size_t body = sizes[_i].body, length_bytes = sizes[_i].length_bytes, length, begun;
	bool whole = true;
	struct aml aml;

	aml_init(&aml, code, sizeof(code));
	begun = aml_if(&aml);
	for (size_t i = 0; i < body; i++)
		aml_integer(&aml, i % 2);
	aml_end(&aml, begun);
	ck_assert_uint_eq(aml.bytes, 1 + length_bytes + body);
	length = code[1] & (length_bytes == 1 ? 0x3f : 0x0f);
	ck_assert_uint_eq(code[1] >> 6, length_bytes - 1);
	for (size_t i = 1; i < length_bytes; i++)
		length |= (size_t)code[1 + i] << (8 * i - 4);
	ck_assert_uint_eq(length, length_bytes + body);
	for (size_t i = 0; i < body; i++)
		whole &= code[1 + length_bytes + i] == i % 2;
	ck_assert(whole);
}
END_TEST

/* However little room there is, nothing is written behind it. */
START_TEST(a_full_buffer_stays_within_its_room)
{
	for (size_t room = 0; room < 64; room++) {
		struct aml aml;
		size_t device, list;
		unsigned touched = 0;

		memset(code, 0xee, 256);
		aml_init(&aml, code, room);
		device = aml_device(&aml, "COM1");
		aml_name(&aml, "_CRS");
		list = aml_resources(&aml);
		aml_io(&aml, 0x3f8, 8);
		aml_irq(&aml, 4);
		aml_end_resources(&aml, list);
		aml_end(&aml, device);
		ck_assert_uint_eq(aml.full, room < 29);
		ck_assert_uint_le(aml.bytes, room);
		for (size_t i = room; i < 256; i++)
			touched |= code[i] ^ 0xee;
		ck_assert_uint_eq(touched, 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_acpi");
	TCase *tc = tcase_create("acpi");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, the_root_is_where_a_scan_finds_it);
	tcase_add_test(tc, every_table_is_whole);
	tcase_add_test(tc, the_board_answers_where_fadt_says);
	tcase_add_test(tc, the_reset_register_resets);
	tcase_add_test(tc, fadt_says_what_is_not_there);
	tcase_add_test(tc, madt_has_every_processor);
	tcase_add_test(tc, a_large_apic_id_is_an_x2apic);
	tcase_add_test(tc, madt_tells_which_lines_are_levels);
	tcase_add_test(tc, mcfg_is_the_boards_ecam);
	tcase_add_test(tc, more_than_fits_is_refused);
	tcase_add_test(tc, ram_that_ends_before_is_refused);
	tcase_add_test(tc, written_again_they_are_the_same);
	tcase_add_test(tc, integers_take_as_little_as_they_can);
	tcase_add_test(tc, names_and_ids);
	tcase_add_loop_test(tc, lengths_of_one_to_four_bytes, 0, 9);
	tcase_add_test(tc, a_full_buffer_stays_within_its_room);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
