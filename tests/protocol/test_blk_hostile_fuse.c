/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_hostile_fuse.c - hostile input 9 as the real daemon meets it: guest memory whose file is
 * served by a process (FUSE), which never gives a page. Skipped where no such file can be made.
 */
#include <linux/fuse.h>
#include <stdio.h>

#include "tests/protocol/blk_hostile_wire.h"
#include "tests/protocol/fuse_file.h"

/* _i: 1 is with a packed ring. */
START_TEST(h09_guest_memory_of_a_process)
{
	struct fuse_file file;

	ck_assert_int_eq(fuse_file_open(&file, 1ull << FUSE_READ), 0);
	start();
	guest(_i);
	refused(slot(FAR, FUSE_FILE_BYTES, FAR, 0, file.fd));
	ck_assert(blkd_logged("its file is a process's (FUSE)"));
	survived();
	close_fd(&file.fd);
	fuse_file_end(&file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_hostile_fuse");
	TCase *tcase = tcase_create("hostile");

	if (!fuse_file_possible())
		return SKIPPED;
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, h09_guest_memory_of_a_process, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
