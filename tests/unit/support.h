/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * support.h - what several unit tests need: running a suite, counting what is open, memory fds.
 * Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_SUPPORT_H
#define RINGSIDE_TESTS_UNIT_SUPPORT_H

#include <check.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEST_MEMFD_NAME "ringside-test"

/* run_suite - the whole main() of a test. Return: the exit status. */
static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* open_fds - file descriptors this process has open. */
static inline unsigned open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;
	struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* the directory's own */
}

/* test_mappings - mappings of test_memfd() memory in this process. */
static inline unsigned test_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		count += strstr(line, TEST_MEMFD_NAME) != NULL;
	fclose(maps);
	return count;
}

/* test_memfd - a memfd of @bytes. */
static inline int test_memfd(uint64_t bytes)
{
	int fd = memfd_create(TEST_MEMFD_NAME, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

#endif
