/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * huge_pool.h - the host's pool of huge pages of 2 MiB, which a test may raise while it runs; such a test
 * runs alone. Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_LIB_HUGE_POOL_H
#define RINGSIDE_TESTS_LIB_HUGE_POOL_H

#include <stdbool.h>
#include <stdio.h>

#define HUGE_POOL       "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define HUGE_POOL_PAGES HUGE_POOL "nr_hugepages"

static inline long huge_pool_read(const char *path)
{
	FILE *file = fopen(path, "re");
	long value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static inline bool huge_pool_write(const char *path, long value)
{
	FILE *file = fopen(path, "we");
	bool ok = file && fprintf(file, "%ld\n", value) > 0;

	return file && fclose(file) == 0 && ok;
}

/* huge_pool_available - pages that are neither taken nor promised. */
static inline long huge_pool_available(void)
{
	return huge_pool_read(HUGE_POOL "free_hugepages") -
	       huge_pool_read(HUGE_POOL "resv_hugepages");
}

static inline void huge_pool_restore(long before)
{
	if (before >= 0)
		huge_pool_write(HUGE_POOL_PAGES, before);
}

/* huge_pool_raise - have @needed free pages. @before: for huge_pool_restore().
 * Return: false with the line of a test that is skipped on stdout; nothing is to be restored. */
static inline bool huge_pool_raise(long needed, long *before)
{
	long pages = huge_pool_read(HUGE_POOL_PAGES), missing = needed - huge_pool_available();

	*before = -1;
	if (pages >= 0 && missing > 0) {
		*before = pages;
		huge_pool_write(HUGE_POOL_PAGES, pages + missing);
	}
	if (pages >= 0 && huge_pool_available() >= needed)
		return true;
	huge_pool_restore(*before);
	printf("skipped: fewer than %ld free huge pages of 2 MiB, and no more to be had\n", needed);
	return false;
}

#endif
