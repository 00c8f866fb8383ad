/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_discard.c - memory given back is free on the host, and nothing beside it changes; what
 * cannot be given back is said. Tests balloon/discard.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "balloon/discard.h"
#include "tests/unit/support.h"

#define PAGE  4096ull
#define BYTES (64 * PAGE)
#define AT    (8 * PAGE) /* where the region begins in its file */

static struct mem_region region;
static uint8_t *host;
static int fd;

static void setup(void)
{
	fd = test_memfd(BYTES);
	host = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(host, MAP_FAILED);
	memset(host, 0x5a, BYTES);
	region = (struct mem_region){
		.size = BYTES - AT,
		.file_offset = AT,
		.page_bytes = PAGE,
		.fd = fd,
	};
}

static void teardown(void)
{
	munmap(host, BYTES);
	close(fd);
}

static uint64_t allocated(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

START_TEST(the_host_has_it_back)
{
	struct bal_run run = {&region, 4 * PAGE, 10 * PAGE};
	struct stat st;

	ck_assert_uint_eq(allocated(), BYTES);
	ck_assert_int_eq(bal_discard(&run), 0);
	ck_assert_uint_eq(allocated(), BYTES - 10 * PAGE);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, BYTES);
	/* All mappings see it, at the region's place in the file. */
	for (uint64_t at = 0; at < BYTES; at++) {
		bool gone = at >= AT + 4 * PAGE && at < AT + 14 * PAGE;

		ck_assert_uint_eq(host[at], gone ? 0 : 0x5a);
	}
}
END_TEST

START_TEST(up_to_the_very_end)
{
	struct bal_run run = {&region, 0, BYTES - AT};

	ck_assert_int_eq(bal_discard(&run), 0);
	ck_assert_uint_eq(allocated(), AT);
}
END_TEST

START_TEST(what_cannot_be_is_said)
{
	struct bal_run run = {&region, 0, PAGE};
	int file = memfd_create(TEST_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int pipes[2];

	ck_assert_int_eq(ftruncate(file, BYTES), 0);
	ck_assert_int_eq(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE), 0);
	region.fd = file;
	ck_assert_int_eq(bal_discard(&run), -EPERM);
	close(file);

	ck_assert_int_eq(pipe(pipes), 0);
	region.fd = pipes[1];
	ck_assert_int_eq(bal_discard(&run), -ESPIPE);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_discard");
	TCase *tc = tcase_create("discard");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_host_has_it_back);
	tcase_add_test(tc, up_to_the_very_end);
	tcase_add_test(tc, what_cannot_be_is_said);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
