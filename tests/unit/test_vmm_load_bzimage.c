/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_load_bzimage.c - a bzImage is loaded as Linux' boot protocol has it; one that makes no
 * sense is refused with one line and does no harm. Tests vmm/load_bzimage.
 */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/load_rig.h"
#include "tests/unit/support.h"

#define RAM_BYTES (16 * RIG_MIB)

static struct load_rig rig;
static struct bz_image image;
static struct setup_header *hdr;
static unsigned fds_before;

static void setup(void)
{
	fds_before = open_fds();
	rig_open(&rig, RAM_BYTES);
	bz_make(&image);
	hdr = bz_header(&image);
}

static void teardown(void)
{
	ck_assert(rig_unharmed(&rig));
	rig_close(&rig);
	ck_assert_uint_eq(open_fds(), fds_before);
}

static int load(void)
{
	return rig_load_kernel(&rig, image.bytes, BZ_BYTES);
}

static void loaded(void)
{
	int ret = load();

	ck_assert_msg(ret == 0, "%d: %s", ret, rig.error);
}

/* refused - with one line that names @option and has @word. */
static void refused_for(const char *option, int expected, const char *word)
{
	int ret = load();

	ck_assert_msg(ret == expected, "%d, expected %d: %s", ret, expected, rig.error);
	ck_assert_msg(strstr(rig.error, word), "no '%s' in: %s", word, rig.error);
	ck_assert_msg(!strncmp(rig.error, option, strlen(option)), "%s", rig.error);
	ck_assert_ptr_null(strchr(rig.error, '\n'));
}

static void refused(int expected, const char *word)
{
	refused_for("--kernel=/proc/", expected, word);
}

static const struct boot_params *params(void)
{
	return rig_at(&rig, rig.entry.rsi);
}

static void give_initrd(uint64_t bytes)
{
	ck_assert_int_eq(ftruncate(rig.initrd_fd, (off_t)bytes), 0);
	ck_assert_int_eq(pwrite(rig.initrd_fd, "begin", 5, 0), 5);
	rig.opt.initrd_path = rig.initrd_path;
}

/* --- what is loaded --- */

START_TEST(the_protected_part_is_at_its_address)
{
	const uint8_t *code;

	memset(rig_at(&rig, KERNEL_BEGIN), 0xee, RAM_BYTES - KERNEL_BEGIN);
	loaded();
	code = rig_at(&rig, BZ_GPA);
	ck_assert_mem_eq(code, image.bytes + BZ_OFFSET, BZ_CODE_BYTES);
	ck_assert_uint_eq(code[-1], 0xee);
	ck_assert_uint_eq(code[BZ_CODE_BYTES], 0xee);
	ck_assert_int_eq(rig.entry.mode, LOAD_LINUX_64);
	ck_assert_uint_eq(rig.entry.rip, BZ_GPA + 0x200);
}
END_TEST

START_TEST(what_follows_the_kernel_is_not_loaded)
{
	uint8_t *code;

	hdr->syssize -= 2; /* two lines of a signature */
	memset(rig_at(&rig, BZ_GPA), 0xee, BZ_CODE_BYTES);
	loaded();
	code = rig_at(&rig, BZ_GPA);
	ck_assert_mem_eq(code, image.bytes + BZ_OFFSET, BZ_CODE_BYTES - 32);
	ck_assert_uint_eq(code[BZ_CODE_BYTES - 32], 0xee);
}
END_TEST

START_TEST(no_setup_sectors_means_four)
{
	hdr->setup_sects = 0;
	hdr->syssize -= 512 / 16;
	loaded();
	ck_assert_mem_eq(rig_at(&rig, BZ_GPA), image.bytes + 5 * 512, BZ_CODE_BYTES - 512);
}
END_TEST

START_TEST(the_header_is_copied_and_filled_in)
{
	memset(rig_at(&rig, BOOT_INFO_BEGIN), 0xee, BOOT_INFO_END - BOOT_INFO_BEGIN);
	hdr->root_flags = 0x1234;
	hdr->payload_offset = 0x5678;
	loaded();
	ck_assert_uint_eq(params()->hdr.root_flags, 0x1234);
	ck_assert_uint_eq(params()->hdr.payload_offset, 0x5678);
	ck_assert_uint_eq(params()->hdr.header, 0x53726448);
	ck_assert_uint_eq(params()->hdr.type_of_loader, 0xff);
	ck_assert_uint_eq(params()->hdr.loadflags, LOADED_HIGH | CAN_USE_HEAP);
	ck_assert_uint_ne(params()->hdr.heap_end_ptr, 0);
	ck_assert_uint_eq(params()->hdr.code32_start, BZ_GPA);
	ck_assert_uint_eq(params()->hdr.cmd_line_ptr, CMDLINE_BEGIN);
	ck_assert_uint_eq(params()->hdr.ramdisk_image, 0);
	ck_assert_uint_eq(params()->hdr.ramdisk_size, 0);
	ck_assert_uint_eq(params()->hdr.setup_data, 0);
	ck_assert_uint_eq(params()->acpi_rsdp_addr, RIG_RSDP_GPA);
	ck_assert_uint_eq(params()->sentinel, 0);
	ck_assert_uint_eq(params()->ext_ramdisk_image, 0);
	ck_assert_uint_eq(params()->screen_info.orig_video_isVGA, 0);
	ck_assert_str_eq(rig_at(&rig, CMDLINE_BEGIN), "console=ttyS0");
}
END_TEST

/* What stands behind the header in the file is code. */
START_TEST(only_as_much_of_the_header_as_it_has_is_copied)
{
	hdr->jump = 0x62eb; /* to 0x264: without handover_offset and kernel_info_offset */
	hdr->handover_offset = 0x11111111;
	hdr->kernel_info_offset = 0x22222222;
	loaded();
	ck_assert_uint_eq(params()->hdr.init_size, BZ_INIT_SIZE);
	ck_assert_uint_eq(params()->hdr.handover_offset, 0);
	ck_assert_uint_eq(params()->hdr.kernel_info_offset, 0);
	hdr->jump = 0x7aeb; /* to 0x27c: a kernel to come */
	loaded();
	ck_assert_uint_eq(params()->hdr.kernel_info_offset, 0x22222222);
	ck_assert_mem_eq(params()->_pad7, image.bytes + 0x26c, 16);
	for (unsigned i = 16; i < sizeof(params()->_pad7); i++)
		ck_assert_uint_eq(params()->_pad7[i], 0);
	hdr->jump = 0xffeb; /* more than there is room for */
	loaded();
	ck_assert_uint_eq(params()->edd_mbr_sig_buffer[0], 0);
}
END_TEST

START_TEST(the_memory_map_is_told)
{
	const struct boot_e820_entry *map;

	ck_assert_int_eq(fe_memory_add(&rig.ram.mem, RAM_HIGH_BEGIN, 3 * RIG_MIB, false), 0);
	loaded();
	map = params()->e820_table;
	ck_assert_uint_eq(params()->e820_entries, 5);
	ck_assert_uint_eq(map[0].addr + map[0].size, LOW_RAM_END);
	ck_assert_uint_eq(map[0].type, 1);
	ck_assert_uint_eq(map[1].type, 2);
	ck_assert_uint_eq(map[2].addr, KERNEL_BEGIN);
	ck_assert_uint_eq(map[2].addr + map[2].size, RAM_BYTES);
	ck_assert_uint_eq(map[2].type, 1);
	ck_assert_uint_eq(map[3].addr, PCI_ECAM_BEGIN);
	ck_assert_uint_eq(map[3].type, 2);
	ck_assert_uint_eq(map[4].addr, RAM_HIGH_BEGIN);
	ck_assert_uint_eq(map[4].size, 3 * RIG_MIB);
	ck_assert_uint_eq(map[4].type, 1);
}
END_TEST

/* Walked as the CPU does it. */
static uint64_t translate(uint64_t addr)
{
	uint64_t entry = rig.entry.cr3, *table;

	for (int shift = 39; shift >= 21; shift -= 9) {
		table = ram_host(&rig.ram, entry & 0xffffffffff000, 4096);
		ck_assert_ptr_nonnull(table);
		entry = table[addr >> shift & 511];
		ck_assert_msg(entry & 1, "0x%lx is not mapped", (unsigned long)addr);
		ck_assert_uint_eq(entry & 2, 2);
		ck_assert_uint_eq(entry & 0x80, shift == 21 ? 0x80 : 0);
	}
	return (entry & 0xfffffffe00000) | (addr & 0x1fffff);
}

START_TEST(the_first_4_gib_are_mapped_to_themselves)
{
	uint64_t *top;

	memset(rig_at(&rig, BOOT_INFO_BEGIN), 0xee, BOOT_INFO_END - BOOT_INFO_BEGIN);
	loaded();
	for (uint64_t addr = 0; addr < 4ull << 30; addr += 0x1ff000)
		ck_assert_uint_eq(translate(addr), addr);
	ck_assert_uint_eq(translate(0xffffffff), 0xffffffff);
	top = rig_at(&rig, rig.entry.cr3);
	for (unsigned i = 1; i < 512; i++)
		ck_assert_uint_eq(top[i], 0);
	for (unsigned i = 4; i < 512; i++)
		ck_assert_uint_eq(top[512 + i], 0);
}
END_TEST

START_TEST(the_segments_are_those_of_the_64_bit_protocol)
{
	const uint64_t *gdt;

	loaded();
	ck_assert_uint_ge(rig.entry.gdt_limit, 5 * 8 - 1);
	gdt = rig_at(&rig, rig.entry.gdt_gpa);
	ck_assert_uint_eq(gdt[2], 0x00af9b000000ffff);
	ck_assert_uint_eq(gdt[3], 0x00cf93000000ffff);
}
END_TEST

START_TEST(a_reset_loads_everything_anew)
{
	struct load_entry first;
	struct boot_params before;

	give_initrd(100);
	loaded();
	first = rig.entry;
	before = *params();
	memset(rig_at(&rig, KERNEL_BEGIN), 0xee, RAM_BYTES - KERNEL_BEGIN);
	memset(rig_at(&rig, BOOT_INFO_BEGIN), 0xee, BOOT_INFO_END - BOOT_INFO_BEGIN);
	ck_assert_int_eq(load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, &rig.entry, rig.error,
				     sizeof(rig.error)),
			 0);
	ck_assert_mem_eq(&first, &rig.entry, sizeof(first));
	ck_assert_mem_eq(&before, params(), sizeof(before));
	ck_assert_mem_eq(rig_at(&rig, BZ_GPA), image.bytes + BZ_OFFSET, BZ_CODE_BYTES);
	ck_assert_mem_eq(rig_at(&rig, params()->hdr.ramdisk_image), "begin", 5);
}
END_TEST

/* --- where it goes --- */

START_TEST(the_address_is_aligned_as_the_kernel_wants)
{
	hdr->pref_address = BZ_GPA + 1;
	loaded();
	ck_assert_uint_eq(rig.entry.rip, BZ_GPA + 0x200000 + 0x200);
	hdr->pref_address = 0;
	loaded();
	ck_assert_uint_eq(rig.entry.rip, 0x200000 + 0x200);
	hdr->relocatable_kernel = 0;
	refused(-ENOEXEC, "below 1 MiB");
	hdr->pref_address = KERNEL_BEGIN + 0x10;
	loaded();
	ck_assert_uint_eq(rig.entry.rip, KERNEL_BEGIN + 0x210);
}
END_TEST

START_TEST(all_it_needs_to_unpack_has_to_be_ram)
{
	hdr->init_size = RAM_BYTES - BZ_GPA;
	loaded();
	hdr->init_size++;
	refused(-E2BIG, "--memory=17M would do");
	hdr->init_size = 0xffffffff;
	refused(-E2BIG, "below 4 GiB");
	hdr->init_size = 0; /* then as much as it has */
	loaded();
	hdr->pref_address = 1ull << 63;
	refused(-E2BIG, "below 4 GiB");
	hdr->pref_address = UINT64_MAX; /* wraps to 0 when it is aligned */
	refused(-ENOEXEC, "below 1 MiB");
}
END_TEST

START_TEST(alignments_that_are_none_are_refused)
{
	static const uint32_t bad[] = {0, 3, 0x201000, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		hdr->kernel_alignment = bad[i];
		refused(-ENOEXEC, "kernel_alignment");
	}
	hdr->kernel_alignment = 1u << 31;
	refused(-E2BIG, "--memory=2051M would do");
	hdr->kernel_alignment = 1;
	loaded();
}
END_TEST

/* --- initrd --- */

START_TEST(the_initrd_lies_as_high_as_it_may)
{
	give_initrd(5000);
	loaded();
	ck_assert_uint_eq(params()->hdr.ramdisk_image, RAM_BYTES - 8192);
	ck_assert_uint_eq(params()->hdr.ramdisk_size, 5000);
	ck_assert_mem_eq(rig_at(&rig, params()->hdr.ramdisk_image), "begin", 6);
	hdr->initrd_addr_max = 0xbfffff;
	loaded();
	ck_assert_uint_eq(params()->hdr.ramdisk_image, 0xc00000 - 8192);
	hdr->initrd_addr_max = 0xc00000;
	loaded();
	ck_assert_uint_eq(params()->hdr.ramdisk_image, 0xc00000 - 8192);
	hdr->initrd_addr_max = 0xffffffff;
	loaded();
	ck_assert_uint_eq(params()->hdr.ramdisk_image, RAM_BYTES - 8192);
}
END_TEST

START_TEST(an_initrd_that_just_fits_is_taken)
{
	uint64_t room = RAM_BYTES - BZ_GPA - BZ_INIT_SIZE;

	give_initrd(room);
	loaded();
	ck_assert_uint_eq(params()->hdr.ramdisk_image, BZ_GPA + BZ_INIT_SIZE);
	give_initrd(room + 1);
	refused_for("--initrd=/proc/", -E2BIG, "--memory=17M would do");
	give_initrd(room);
	hdr->init_size++;
	refused_for("--initrd=/proc/", -E2BIG, "--memory=17M would do");
}
END_TEST

START_TEST(an_initrd_that_may_not_lie_anywhere_is_refused)
{
	static const uint32_t highest[] = {0, 1, 0xfffff, BZ_GPA + BZ_INIT_SIZE - 1,
					   BZ_GPA + BZ_INIT_SIZE + 4095 - 1};

	give_initrd(4096);
	for (unsigned i = 0; i < ARRAY_SIZE(highest); i++) {
		hdr->initrd_addr_max = highest[i];
		refused_for("--initrd=/proc/", -E2BIG, "takes none above");
	}
	hdr->initrd_addr_max = BZ_GPA + BZ_INIT_SIZE + 4095;
	loaded();
	give_initrd(1ull << 40); /* a sparse one */
	refused_for("--initrd=/proc/", -E2BIG, "no room");
}
END_TEST

/* --- command line --- */

START_TEST(a_command_line_has_to_fit)
{
	static char line[CMDLINE_BYTES + 1];

	memset(line, 'a', BZ_CMDLINE_MAX);
	rig.opt.cmdline = line;
	loaded();
	ck_assert_str_eq(rig_at(&rig, CMDLINE_BEGIN), line);
	line[BZ_CMDLINE_MAX] = 'b';
	refused_for("--cmdline=aaaa", -E2BIG, "takes at most 2047");
	hdr->cmdline_size = 0xffffffff;
	loaded();
	memset(line, 'a', CMDLINE_BYTES - 1);
	loaded();
	line[CMDLINE_BYTES - 1] = 'b';
	refused_for("--cmdline=aaaa", -E2BIG, "takes at most 65535");
	hdr->cmdline_size = 0;
	rig.opt.cmdline = "";
	loaded();
	ck_assert_str_eq(rig_at(&rig, CMDLINE_BEGIN), "");
}
END_TEST

/* --- what is refused --- */

START_TEST(other_kernels_are_named)
{
	hdr->version = 0x20b;
	refused(-ENOEXEC, "boot protocol 2.11");
	hdr->version = 0;
	refused(-ENOEXEC, "boot protocol 0.00");
	bz_make(&image);
	hdr->loadflags = 0;
	refused(-ENOEXEC, "zImage");
	bz_make(&image);
	hdr->xloadflags = 0xfffe;
	refused(-ENOEXEC, "32-bit");
	bz_make(&image);
	hdr->boot_flag = 0;
	refused(-ENOEXEC, "not a kernel");
	bz_make(&image);
	hdr->header++;
	refused(-ENOEXEC, "boot sector");
	bz_make(&image);
	hdr->jump = 0x61eb;
	refused(-ENOEXEC, "makes no sense");
	hdr->jump = 0;
	refused(-ENOEXEC, "makes no sense");
}
END_TEST

START_TEST(a_file_that_is_too_short_is_refused)
{
	hdr->syssize++;
	refused(-ENOEXEC, "cut short");
	hdr->syssize = 0xffffffff;
	refused(-ENOEXEC, "cut short");
	bz_make(&image);
	hdr->setup_sects = 0xff;
	refused(-ENOEXEC, "cut short");
	bz_make(&image);
	for (size_t bytes = 0; bytes < BZ_BYTES - 15; bytes += bytes < 1024 ? 1 : 61)
		ck_assert_int_lt(rig_load_kernel(&rig, image.bytes, bytes), 0);
}
END_TEST

/* Each byte of the header at its extremes: refused with a line, or loaded. */
START_TEST(any_byte_of_the_header_may_be_wrong)
{
	static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};

	give_initrd(5000);
	for (size_t at = offsetof(struct boot_params, hdr); at < 0x290; at++) {
		uint8_t good = image.bytes[at];

		for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
			image.bytes[at] = values[i];
			if (load() < 0)
				ck_assert_uint_gt(strlen(rig.error), 20);
		}
		image.bytes[at] = good;
	}
	loaded();
}
END_TEST

START_TEST(files_that_shrink_are_an_error_and_not_a_crash)
{
	give_initrd(5000);
	loaded();
	ck_assert_int_eq(ftruncate(rig.initrd_fd, 0), 0);
	ck_assert_int_eq(load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, &rig.entry, rig.error,
				     sizeof(rig.error)),
			 -ENODATA);
	ck_assert_msg(strstr(rig.error, "--initrd="), "%s", rig.error);
	ck_assert_int_eq(ftruncate(rig.kernel_fd, BZ_OFFSET + 1), 0);
	ck_assert_int_eq(load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, &rig.entry, rig.error,
				     sizeof(rig.error)),
			 -ENODATA);
}
END_TEST

/* A file of sysfs tells of a whole page and has a few bytes: as one that shrinks while it is read. */
START_TEST(a_file_that_ends_while_it_is_read_is_an_error)
{
	static const char path[] = "/sys/kernel/uevent_seqnum";
	struct stat st;

	if (stat(path, &st) || st.st_size < 4096) {
		fprintf(stderr, "not tried: %s is not there\n", path);
		return;
	}
	rig.opt.initrd_path = path;
	refused_for("--initrd=/sys/", -ENODATA, "shorter");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bzImage kernels");
	TCase *tc = tcase_create("bzImage kernels");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_protected_part_is_at_its_address);
	tcase_add_test(tc, what_follows_the_kernel_is_not_loaded);
	tcase_add_test(tc, no_setup_sectors_means_four);
	tcase_add_test(tc, the_header_is_copied_and_filled_in);
	tcase_add_test(tc, only_as_much_of_the_header_as_it_has_is_copied);
	tcase_add_test(tc, the_memory_map_is_told);
	tcase_add_test(tc, the_first_4_gib_are_mapped_to_themselves);
	tcase_add_test(tc, the_segments_are_those_of_the_64_bit_protocol);
	tcase_add_test(tc, a_reset_loads_everything_anew);
	tcase_add_test(tc, the_address_is_aligned_as_the_kernel_wants);
	tcase_add_test(tc, all_it_needs_to_unpack_has_to_be_ram);
	tcase_add_test(tc, alignments_that_are_none_are_refused);
	tcase_add_test(tc, the_initrd_lies_as_high_as_it_may);
	tcase_add_test(tc, an_initrd_that_just_fits_is_taken);
	tcase_add_test(tc, an_initrd_that_may_not_lie_anywhere_is_refused);
	tcase_add_test(tc, a_command_line_has_to_fit);
	tcase_add_test(tc, other_kernels_are_named);
	tcase_add_test(tc, a_file_that_is_too_short_is_refused);
	tcase_add_test(tc, any_byte_of_the_header_may_be_wrong);
	tcase_add_test(tc, files_that_shrink_are_an_error_and_not_a_crash);
	tcase_add_test(tc, a_file_that_ends_while_it_is_read_is_an_error);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
