/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_load.c - a file that is no kernel is refused with one line that says what it looks like.
 * Tests vmm/load and vmm/load_guess.
 */
#include <errno.h>
#include <sys/stat.h>

#include "tests/unit/load_rig.h"
#include "tests/unit/support.h"

#define RAM_BYTES (8 * RIG_MIB)

static struct load_rig rig;
static unsigned fds_before;

static void setup(void)
{
	fds_before = open_fds();
	rig_open(&rig, RAM_BYTES);
}

static void teardown(void)
{
	rig_close(&rig);
	ck_assert_uint_eq(open_fds(), fds_before);
}

/* open_refused - at start, before there is RAM; nothing stays open. */
static void open_refused(int expected, const char *option, const char *word)
{
	unsigned fds = open_fds();
	int ret = load_open(&rig.files, &rig.opt, rig.error, sizeof(rig.error));

	ck_assert_msg(ret == expected, "%d, expected %d: %s", ret, expected, rig.error);
	ck_assert_msg(!strncmp(rig.error, option, strlen(option)), "%s", rig.error);
	ck_assert_msg(strstr(rig.error, word), "no '%s' in: %s", word, rig.error);
	ck_assert_ptr_null(strchr(rig.error, '\n'));
	ck_assert_uint_eq(open_fds(), fds);
	load_close(&rig.files);
}

static const struct {
	unsigned offset;
	unsigned bytes;
	const char *content;
	const char *word;
} looks[] = {
	{0, 6, "\x1f\x8b\x08\0\0\0", "gzip"},
	{0, 6,
	 "\xfd"
	 "7zXZ\0",
	 "xz"},
	{0, 4, "\x28\xb5\x2f\xfd", "zstd"},
	{0, 4, "BZh9", "bzip2"},
	{0, 8, "\x5d\0\0\x80\0\0\0\0", "lzma"},
	{0, 4, "\x02\x21\x4c\x18", "lz4"},
	{0, 10, "#!/bin/sh\n", "script"},
	{0, 6, "070701", "initrd"},
	{0, 4, "QFI\xfb", "qcow2"},
	{0x38, 4, "ARM\x64", "arm64"},
	{0x38, 4, "RSC\x05", "RISC-V"},
	{257, 5, "ustar", "tar"},
	{0, 2, "MZ", "EFI"},
	{510, 2, "\x55\xaa", "disk image"},
	{0, 7, "nothing", "not a kernel"},
	{0, 1, "x", "not a kernel"},
};

START_TEST(what_it_looks_like_is_told)
{
	uint8_t file[1024] = {0};
	int ret;

	memcpy(file + looks[_i].offset, looks[_i].content, looks[_i].bytes);
	/* As short as it may be, and with something behind it. */
	for (unsigned more = 0; more <= 512; more += 512) {
		ret = rig_load_kernel(&rig, file, looks[_i].offset + looks[_i].bytes + more);
		ck_assert_int_eq(ret, -ENOEXEC);
		ck_assert_msg(strstr(rig.error, looks[_i].word), "%s", rig.error);
		ck_assert_msg(strstr(rig.error, "vmlinux"), "%s", rig.error);
	}
}
END_TEST

START_TEST(what_is_no_file_is_told)
{
	char dir[] = "/tmp/ringside-load-XXXXXX", fifo[64];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	rig.opt.kernel_path = dir;
	open_refused(-EISDIR, "--kernel=/tmp/ringside-load-", "directory");
	rig.opt.kernel_path = fifo;
	open_refused(-EINVAL, "--kernel=/tmp/ringside-load-", "not a regular file");
	rig.opt.kernel_path = "/dev/zero";
	open_refused(-EINVAL, "--kernel=/dev/zero", "not a regular file");
	rig.opt.kernel_path = "/nonexistent/vmlinuz";
	open_refused(-ENOENT, "--kernel=/nonexistent/vmlinuz", "No such file");
	rig.opt.kernel_path = "";
	open_refused(-ENOENT, "--kernel=", "No such file");
	rig.opt.kernel_path = rig.kernel_path;
	open_refused(-ENODATA, "--kernel=/proc/", "empty");
	unlink(fifo);
	rmdir(dir);
}
END_TEST

START_TEST(an_initrd_has_to_be_a_file_too)
{
	static struct bz_image image;

	bz_make(&image);
	rig_write(rig.kernel_fd, image.bytes, BZ_BYTES);
	rig.opt.initrd_path = "/nonexistent/initrd";
	open_refused(-ENOENT, "--initrd=/nonexistent/initrd", "No such file");
	rig.opt.initrd_path = "/";
	open_refused(-EISDIR, "--initrd=/", "directory");
	rig.opt.initrd_path = "/dev/null";
	open_refused(-EINVAL, "--initrd=/dev/null", "not a regular file");
	rig.opt.initrd_path = rig.initrd_path;
	open_refused(-ENODATA, "--initrd=/proc/", "empty");
}
END_TEST

/* What the file alone says is told before there is RAM. */
START_TEST(a_bad_kernel_is_refused_before_there_is_ram)
{
	static struct elf_image elf;
	static struct bz_image bz;
	static char line[BZ_CMDLINE_MAX + 2];

	elf_make(&elf, true);
	elf_notes(&elf)->entry.n_type = 0;
	rig_write(rig.kernel_fd, elf.bytes, ELF_BYTES);
	open_refused(-ENOEXEC, "--kernel=/proc/", "CONFIG_PVH");
	elf_make(&elf, true);
	elf_segment_64(&elf, 1)->p_paddr = CMDLINE_BEGIN;
	rig_write(rig.kernel_fd, elf.bytes, ELF_BYTES);
	open_refused(-ENOEXEC, "--kernel=/proc/", "below 1 MiB");
	bz_make(&bz);
	bz_header(&bz)->xloadflags = 0;
	rig_write(rig.kernel_fd, bz.bytes, BZ_BYTES);
	open_refused(-ENOEXEC, "--kernel=/proc/", "32-bit");
	bz_make(&bz);
	rig_write(rig.kernel_fd, bz.bytes, BZ_BYTES);
	memset(line, 'x', BZ_CMDLINE_MAX + 1);
	rig.opt.cmdline = line;
	open_refused(-E2BIG, "--cmdline=xxx", "2048 bytes");
}
END_TEST

START_TEST(a_long_path_leaves_room_for_the_reason)
{
	static char path[4000];

	memset(path, 'p', sizeof(path) - 1);
	rig.opt.kernel_path = path;
	open_refused(-ENAMETOOLONG, "--kernel=ppp", "too long");
}
END_TEST

START_TEST(closing_twice_is_harmless)
{
	static struct bz_image image;

	bz_make(&image);
	ck_assert_int_eq(rig_load_kernel(&rig, image.bytes, BZ_BYTES), 0);
	load_close(&rig.files);
	load_close(&rig.files);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kernels");
	TCase *tc = tcase_create("kernels");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, what_it_looks_like_is_told, 0, ARRAY_SIZE(looks));
	tcase_add_test(tc, what_is_no_file_is_told);
	tcase_add_test(tc, an_initrd_has_to_be_a_file_too);
	tcase_add_test(tc, a_bad_kernel_is_refused_before_there_is_ram);
	tcase_add_test(tc, a_long_path_leaves_room_for_the_reason);
	tcase_add_test(tc, closing_twice_is_harmless);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
