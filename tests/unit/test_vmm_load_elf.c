/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_load_elf.c - an ELF kernel is loaded to the byte and told what PVH tells; one that makes no
 * sense is refused with one line and does no harm. Tests vmm/load_elf.
 */
#include <errno.h>

#include "tests/unit/load_rig.h"
#include "tests/unit/support.h"

#define RAM_BYTES (16 * RIG_MIB)

/* As Xen's start_info.h has them, by offset. */
struct start_info {
	uint32_t magic, version, flags, num_modules;
	uint64_t modules, cmdline, rsdp, memory_map;
	uint32_t num_ranges, reserved;
};
struct start_module {
	uint64_t gpa, bytes, cmdline, reserved;
};
struct start_range {
	uint64_t gpa, bytes;
	uint32_t type, reserved;
};

static struct load_rig rig;
static struct elf_image image;
static unsigned fds_before;

static void setup(void)
{
	fds_before = open_fds();
	rig_open(&rig, RAM_BYTES);
	elf_make(&image, true);
}

static void teardown(void)
{
	ck_assert(rig_unharmed(&rig));
	rig_close(&rig);
	ck_assert_uint_eq(open_fds(), fds_before);
}

static int load(void)
{
	return rig_load_kernel(&rig, image.bytes, ELF_BYTES);
}

/* refused - with one line that names the option and has @word. */
static void refused(int expected, const char *word)
{
	int ret = load();

	ck_assert_msg(ret == expected, "%d, expected %d: %s", ret, expected, rig.error);
	ck_assert_msg(strstr(rig.error, word), "no '%s' in: %s", word, rig.error);
	ck_assert_msg(!strncmp(rig.error, "--kernel=/proc/", 15), "%s", rig.error);
	ck_assert_ptr_null(strchr(rig.error, '\n'));
}

/* --- what is loaded --- */

START_TEST(both_classes_are_loaded_to_the_byte)
{
	const uint8_t *text, *data;

	elf_make(&image, _i == 64);
	memset(rig_at(&rig, KERNEL_BEGIN), 0xee, RAM_BYTES - KERNEL_BEGIN);
	ck_assert_msg(load() == 0, "%s", rig.error);
	text = rig_at(&rig, ELF_TEXT_GPA);
	data = rig_at(&rig, ELF_DATA_GPA);
	ck_assert_mem_eq(text, image.bytes + ELF_TEXT_OFFSET, ELF_TEXT_BYTES);
	ck_assert_uint_eq(text[ELF_TEXT_BYTES], 0xee);
	ck_assert_uint_eq(data[-1], 0xee);
	ck_assert_mem_eq(data, image.bytes + ELF_DATA_OFFSET, ELF_DATA_BYTES);
	for (unsigned i = ELF_DATA_BYTES; i < ELF_DATA_MEM; i++)
		ck_assert_uint_eq(data[i], 0);
	ck_assert_uint_eq(data[ELF_DATA_MEM], 0xee);
}
END_TEST

START_TEST(the_entry_is_that_of_the_note)
{
	const uint64_t *gdt;

	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(rig.entry.mode, LOAD_PVH_32);
	ck_assert_uint_eq(rig.entry.rip, ELF_ENTRY);
	ck_assert_uint_eq(rig.entry.cr3, 0);
	ck_assert_uint_ge(rig.entry.gdt_gpa, BOOT_INFO_BEGIN);
	ck_assert_uint_ge(rig.entry.gdt_limit, 5 * 8 - 1);
	gdt = rig_at(&rig, rig.entry.gdt_gpa);
	ck_assert_uint_eq(gdt[0], 0);
	ck_assert_uint_eq(gdt[2], 0x00cf9b000000ffff);
	ck_assert_uint_eq(gdt[3], 0x00cf93000000ffff);
}
END_TEST

START_TEST(a_note_of_four_bytes_is_as_good)
{
	elf_make(&image, _i == 64);
	elf_notes(&image)->entry.n_descsz = 4;
	elf_notes(&image)->entry_desc |= 0xffffffff00000000; /* not part of it */
	ck_assert_msg(load() == 0, "%s", rig.error);
	ck_assert_uint_eq(rig.entry.rip, ELF_ENTRY);
}
END_TEST

START_TEST(the_guest_is_told_what_pvh_tells)
{
	const struct start_info *info;
	const struct start_range *map;

	ck_assert_int_eq(load(), 0);
	info = rig_at(&rig, rig.entry.rbx);
	ck_assert_uint_eq(info->magic, 0x336ec578);
	ck_assert_uint_eq(info->version, 1);
	ck_assert_uint_eq(info->num_modules, 0);
	ck_assert_uint_eq(info->rsdp, RIG_RSDP_GPA);
	ck_assert_str_eq(rig_at(&rig, info->cmdline), "console=ttyS0");
	ck_assert_uint_eq(info->num_ranges, 4);
	map = rig_at(&rig, info->memory_map);
	ck_assert_uint_eq(map[0].gpa, 0);
	ck_assert_uint_eq(map[0].bytes, LOW_RAM_END);
	ck_assert_uint_eq(map[0].type, 1);
	ck_assert_uint_eq(map[1].gpa, LOW_RAM_END);
	ck_assert_uint_eq(map[1].bytes, KERNEL_BEGIN - LOW_RAM_END);
	ck_assert_uint_eq(map[1].type, 2);
	ck_assert_uint_eq(map[2].gpa, KERNEL_BEGIN);
	ck_assert_uint_eq(map[2].bytes, RAM_BYTES - KERNEL_BEGIN);
	ck_assert_uint_eq(map[2].type, 1);
	ck_assert_uint_eq(map[3].gpa, PCI_ECAM_BEGIN);
	ck_assert_uint_eq(map[3].bytes, PCI_ECAM_BYTES);
	ck_assert_uint_eq(map[3].type, 2);
}
END_TEST

START_TEST(ram_above_4_gib_is_in_the_map)
{
	const struct start_info *info;
	const struct start_range *map;

	ck_assert_int_eq(fe_memory_add(&rig.ram.mem, RAM_HIGH_BEGIN, 3 * RIG_MIB, false), 0);
	ck_assert_int_eq(load(), 0);
	info = rig_at(&rig, rig.entry.rbx);
	map = rig_at(&rig, info->memory_map);
	ck_assert_uint_eq(info->num_ranges, 5);
	ck_assert_uint_eq(map[4].gpa, RAM_HIGH_BEGIN);
	ck_assert_uint_eq(map[4].bytes, 3 * RIG_MIB);
	ck_assert_uint_eq(map[4].type, 1);
}
END_TEST

START_TEST(the_initrd_is_the_only_module)
{
	static const char text[] = "an initrd of no whole page";
	const struct start_info *info;
	const struct start_module *module;

	rig_write(rig.initrd_fd, text, sizeof(text));
	rig.opt.initrd_path = rig.initrd_path;
	ck_assert_int_eq(load(), 0);
	info = rig_at(&rig, rig.entry.rbx);
	ck_assert_uint_eq(info->num_modules, 1);
	module = rig_at(&rig, info->modules);
	ck_assert_uint_eq(module->gpa, RAM_BYTES - 4096);
	ck_assert_uint_eq(module->bytes, sizeof(text));
	ck_assert_uint_eq(module->cmdline, 0);
	ck_assert_mem_eq(rig_at(&rig, module->gpa), text, sizeof(text));
}
END_TEST

START_TEST(a_reset_loads_everything_anew)
{
	struct load_entry first;

	ck_assert_int_eq(load(), 0);
	first = rig.entry;
	memset(rig_at(&rig, KERNEL_BEGIN), 0xee, RAM_BYTES - KERNEL_BEGIN);
	memset(rig_at(&rig, BOOT_INFO_BEGIN), 0xee,
	       CMDLINE_BEGIN + CMDLINE_BYTES - BOOT_INFO_BEGIN);
	ck_assert_int_eq(load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, &rig.entry, rig.error,
				     sizeof(rig.error)),
			 0);
	ck_assert_mem_eq(&first, &rig.entry, sizeof(first));
	ck_assert_mem_eq(rig_at(&rig, ELF_TEXT_GPA), image.bytes + ELF_TEXT_OFFSET, ELF_TEXT_BYTES);
	for (unsigned i = ELF_DATA_BYTES; i < ELF_DATA_MEM; i++)
		ck_assert_uint_eq(*(uint8_t *)rig_at(&rig, ELF_DATA_GPA + i), 0);
	ck_assert_str_eq(rig_at(&rig, CMDLINE_BEGIN), "console=ttyS0");
}
END_TEST

/* Fresh memory has no pages, and zeroes need none. */
START_TEST(a_large_bss_makes_no_pages)
{
	struct stat st;
	const struct fe_region *r = &rig.ram.mem.regions[0];

	elf_segment_64(&image, 1)->p_memsz = 8 * RIG_MIB;
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(fstat(r->fd, &st), 0);
	ck_assert_int_lt(st.st_blocks * 512, 2 * (long)RIG_MIB);
}
END_TEST

START_TEST(a_kernel_that_just_fits_is_loaded)
{
	elf_segment_64(&image, 1)->p_memsz = RAM_BYTES - ELF_DATA_GPA;
	ck_assert_msg(load() == 0, "%s", rig.error);
	elf_segment_64(&image, 1)->p_memsz++;
	refused(-E2BIG, "--memory=17M would do");
}
END_TEST

START_TEST(segments_may_come_in_any_order)
{
	Elf64_Phdr *first = elf_segment_64(&image, 0), *second = elf_segment_64(&image, 1);
	Elf64_Phdr text = *first;

	*first = *second;
	*second = text;
	ck_assert_int_eq(load(), 0);
	ck_assert_mem_eq(rig_at(&rig, ELF_TEXT_GPA), image.bytes + ELF_TEXT_OFFSET, ELF_TEXT_BYTES);
	ck_assert_mem_eq(rig_at(&rig, ELF_DATA_GPA), image.bytes + ELF_DATA_OFFSET, ELF_DATA_BYTES);
	first->p_memsz = RAM_BYTES;
	refused(-E2BIG, "--memory=20M would do");
}
END_TEST

/* --- what is refused --- */

START_TEST(other_machines_are_named)
{
	elf_header_64(&image)->e_machine = EM_AARCH64;
	refused(-ENOEXEC, "arm64");
	elf_header_64(&image)->e_machine = EM_RISCV;
	refused(-ENOEXEC, "RISC-V");
	elf_header_64(&image)->e_machine = 0xffff;
	refused(-ENOEXEC, "another CPU");
	elf_header_64(&image)->e_ident[EI_DATA] = ELFDATA2MSB;
	refused(-ENOEXEC, "big-endian");
}
END_TEST

START_TEST(other_kinds_of_elf_are_named)
{
	elf_header_64(&image)->e_type = ET_REL;
	refused(-ENOEXEC, "kernel module");
	elf_header_64(&image)->e_type = ET_CORE;
	refused(-ENOEXEC, "core dump");
	elf_header_64(&image)->e_type = ET_DYN;
	ck_assert_int_eq(load(), 0);
	elf_segment_64(&image, 1)->p_type = PT_INTERP;
	refused(-ENOEXEC, "a program");
}
END_TEST

START_TEST(without_a_pvh_entry_it_says_what_is_missing)
{
	elf_notes(&image)->entry.n_type = 17;
	refused(-ENOEXEC, "CONFIG_PVH");
	elf_make(&image, true);
	elf_notes(&image)->entry_name[3] = 'x';
	refused(-ENOEXEC, "CONFIG_PVH");
	elf_make(&image, true);
	elf_segment_64(&image, 2)->p_type = PT_NULL;
	refused(-ENOEXEC, "CONFIG_PVH");
	elf_make(&image, true);
	elf_segment_64(&image, 2)->p_filesz -= sizeof(uint64_t) + 1;
	refused(-ENOEXEC, "beyond its segment");
}
END_TEST

START_TEST(an_entry_outside_of_the_kernel_is_refused)
{
	elf_notes(&image)->entry_desc = ELF_TEXT_GPA + ELF_TEXT_BYTES;
	refused(-ENOEXEC, "in none of its segments");
	elf_notes(&image)->entry_desc = ELF_TEXT_GPA - 1;
	refused(-ENOEXEC, "in none of its segments");
	elf_notes(&image)->entry_desc = 0x100000000 + ELF_ENTRY;
	refused(-ENOEXEC, "not below 4 GiB");
	elf_notes(&image)->entry_desc = ELF_DATA_GPA + ELF_DATA_MEM - 1;
	ck_assert_int_eq(load(), 0);
}
END_TEST

START_TEST(notes_of_odd_lengths_are_refused)
{
	static const uint32_t lengths[] = {0, 1, 3, 5, 7, 9, 12};

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		elf_notes(&image)->entry.n_descsz = lengths[i];
		elf_segment_64(&image, 2)->p_filesz = 256;
		refused(-ENOEXEC, "expected 4 or 8");
	}
	elf_notes(&image)->entry.n_descsz = 0xffffffff;
	refused(-ENOEXEC, "beyond its segment");
	elf_make(&image, true);
	elf_notes(&image)->first.n_namesz = 0xffffffff;
	refused(-ENOEXEC, "beyond its segment");
	elf_make(&image, true);
	elf_notes(&image)->first.n_namesz = 0xfffffffc;
	elf_notes(&image)->first.n_descsz = 0xfffffffc;
	refused(-ENOEXEC, "beyond its segment");
}
END_TEST

START_TEST(notes_without_end_are_refused)
{
	static uint8_t many[64 << 10];

	elf_segment_64(&image, 2)->p_offset = ELF_BYTES;
	elf_segment_64(&image, 2)->p_filesz = sizeof(many);
	rig_write(rig.kernel_fd, image.bytes, ELF_BYTES);
	ck_assert_int_eq(pwrite(rig.kernel_fd, many, sizeof(many), ELF_BYTES), sizeof(many));
	ck_assert_int_eq(rig_load(&rig), -ENOEXEC);
	ck_assert_msg(strstr(rig.error, "notes"), "%s", rig.error);
}
END_TEST

START_TEST(segments_stay_out_of_what_is_not_the_kernels)
{
	static const uint64_t places[] = {0, BOOT_INFO_BEGIN, CMDLINE_BEGIN, ACPI_BEGIN,
					  KERNEL_BEGIN - 1};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		elf_segment_64(&image, 1)->p_paddr = places[i];
		refused(-ENOEXEC, "below 1 MiB");
	}
	/* One that takes no memory may say what it likes. */
	elf_segment_64(&image, 1)->p_filesz = elf_segment_64(&image, 1)->p_memsz = 0;
	ck_assert_int_eq(load(), 0);
}
END_TEST

START_TEST(segments_that_make_no_sense_are_refused)
{
	Elf64_Phdr *data = elf_segment_64(&image, 1), good = *data;

	data->p_memsz = data->p_filesz - 1;
	refused(-ENOEXEC, "segment 1 makes no sense");
	*data = good;
	data->p_paddr = UINT64_MAX - 0x1000;
	refused(-ENOEXEC, "segment 1 makes no sense");
	data->p_paddr = UINT64_MAX - ELF_DATA_MEM;
	refused(-E2BIG, "below 4 GiB");
	*data = good;
	data->p_offset = ELF_BYTES - ELF_DATA_BYTES + 1;
	refused(-ENOEXEC, "cut short");
	data->p_offset = UINT64_MAX - 1;
	refused(-ENOEXEC, "cut short");
	*data = good;
	data->p_filesz = data->p_memsz = UINT64_MAX;
	refused(-ENOEXEC, "cut short");
	*data = good;
	data->p_memsz = 1ull << 62;
	refused(-E2BIG, "below 4 GiB");
	data->p_memsz = 1ull << 30;
	refused(-E2BIG, "--memory=1028M would do");
}
END_TEST

START_TEST(a_kernel_with_nothing_in_it_is_refused)
{
	elf_segment_64(&image, 0)->p_type = PT_NULL;
	elf_segment_64(&image, 1)->p_type = PT_NULL;
	refused(-ENOEXEC, "nothing to load");
}
END_TEST

START_TEST(headers_that_make_no_sense_are_refused)
{
	elf_header_64(&image)->e_phnum = 0;
	refused(-ENOEXEC, "0 program headers");
	elf_header_64(&image)->e_phnum = 0xffff;
	refused(-ENOEXEC, "65535 program headers");
	elf_make(&image, true);
	elf_header_64(&image)->e_phentsize = 55;
	refused(-ENOEXEC, "55 bytes");
	elf_make(&image, true);
	memcpy(image.bytes + ELF_BYTES - 3 * sizeof(Elf64_Phdr) + 1, elf_segment_64(&image, 0),
	       2 * sizeof(Elf64_Phdr));
	elf_header_64(&image)->e_phoff = ELF_BYTES - 3 * sizeof(Elf64_Phdr) + 1;
	refused(-ENOEXEC, "program header 2");
	elf_header_64(&image)->e_phoff = UINT64_MAX - 8;
	refused(-ENOEXEC, "program header 0");
	elf_header_64(&image)->e_phoff = UINT64_MAX - sizeof(Elf64_Phdr) + 1;
	refused(-ENOEXEC, "program header 0");
	elf_make(&image, true);
	elf_header_64(&image)->e_ident[EI_CLASS] = 3;
	refused(-ENOEXEC, "ELF header makes no sense");
	elf_header_64(&image)->e_ident[EI_CLASS] = ELFCLASS64;
	elf_header_64(&image)->e_ident[EI_DATA] = 0;
	refused(-ENOEXEC, "ELF header makes no sense");
}
END_TEST

/* Cut at every byte, it is refused or does the same. */
START_TEST(cut_short_anywhere_it_does_no_harm)
{
	elf_make(&image, _i == 64);
	for (size_t bytes = 0; bytes < ELF_BYTES; bytes += bytes < 1024 ? 1 : 61) {
		int ret = rig_load_kernel(&rig, image.bytes, bytes);

		ck_assert_msg(ret < 0, "%zu bytes", bytes);
		ck_assert_uint_gt(strlen(rig.error), 20);
	}
}
END_TEST

/* Each byte of all headers and notes at its extremes: refused with a line, or loaded. */
START_TEST(any_byte_of_the_headers_may_be_wrong)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
	size_t ends[] = {sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr),
			 ELF_NOTE_OFFSET + sizeof(struct elf_notes)};
	size_t begins[] = {0, ELF_NOTE_OFFSET};

	elf_make(&image, _i == 64);
	for (unsigned part = 0; part < 2; part++) {
		for (size_t at = begins[part]; at < ends[part]; at++) {
			uint8_t good = image.bytes[at];

			for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
				image.bytes[at] = values[i];
				if (load() < 0)
					ck_assert_uint_gt(strlen(rig.error), 20);
			}
			image.bytes[at] = good;
		}
	}
	ck_assert_int_eq(load(), 0);
}
END_TEST

/* The file is replaced between two loads. */
START_TEST(a_file_that_shrinks_is_an_error_and_not_a_crash)
{
	ck_assert_int_eq(load(), 0);
	ck_assert_int_eq(ftruncate(rig.kernel_fd, ELF_DATA_OFFSET + 5), 0);
	ck_assert_int_lt(load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, &rig.entry, rig.error,
				     sizeof(rig.error)),
			 0);
	ck_assert_msg(strstr(rig.error, "cut short"), "%s", rig.error);
	ck_assert_int_eq(ftruncate(rig.kernel_fd, 0), 0);
	ck_assert_int_eq(load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, &rig.entry, rig.error,
				     sizeof(rig.error)),
			 -ENODATA);
	ck_assert_msg(strstr(rig.error, "empty"), "%s", rig.error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ELF kernels");
	TCase *tc = tcase_create("ELF kernels");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, both_classes_are_loaded_to_the_byte, 63, 65);
	tcase_add_test(tc, the_entry_is_that_of_the_note);
	tcase_add_loop_test(tc, a_note_of_four_bytes_is_as_good, 63, 65);
	tcase_add_test(tc, the_guest_is_told_what_pvh_tells);
	tcase_add_test(tc, ram_above_4_gib_is_in_the_map);
	tcase_add_test(tc, the_initrd_is_the_only_module);
	tcase_add_test(tc, a_reset_loads_everything_anew);
	tcase_add_test(tc, a_large_bss_makes_no_pages);
	tcase_add_test(tc, a_kernel_that_just_fits_is_loaded);
	tcase_add_test(tc, segments_may_come_in_any_order);
	tcase_add_test(tc, other_machines_are_named);
	tcase_add_test(tc, other_kinds_of_elf_are_named);
	tcase_add_test(tc, without_a_pvh_entry_it_says_what_is_missing);
	tcase_add_test(tc, an_entry_outside_of_the_kernel_is_refused);
	tcase_add_test(tc, notes_of_odd_lengths_are_refused);
	tcase_add_test(tc, notes_without_end_are_refused);
	tcase_add_test(tc, segments_stay_out_of_what_is_not_the_kernels);
	tcase_add_test(tc, segments_that_make_no_sense_are_refused);
	tcase_add_test(tc, a_kernel_with_nothing_in_it_is_refused);
	tcase_add_test(tc, headers_that_make_no_sense_are_refused);
	tcase_add_loop_test(tc, cut_short_anywhere_it_does_no_harm, 63, 65);
	tcase_add_loop_test(tc, any_byte_of_the_headers_may_be_wrong, 63, 65);
	tcase_add_test(tc, a_file_that_shrinks_is_an_error_and_not_a_crash);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
