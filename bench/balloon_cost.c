/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_cost.c - pages through ringside-balloon's bitmap, for bench/balloon-cost to count the
 * instructions of. note_pass and next_pass are the functions it counts. Main thread.
 *
 * Usage: balloon-cost-load contiguous|shuffled|scattered PAGES
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "balloon/discard.h"
#include "bench/balloon_order.h"
#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/frontend/memory.h"

#define MIN_PAGES 256u
#define MAX_PAGES (1u << 20)

/* What an inflate queue's pass does to page numbers. */
static __attribute__((noinline)) unsigned note_pass(struct bal_pages *pages, const uint32_t *pfns,
						    unsigned num)
{
	unsigned taken = 0, i;

	for (i = 0; i < num; i++)
		taken += bal_pages_add(pages, pfns[i], true) == BAL_SKIP_NONE;
	return taken;
}

/* What giving them back does, but for the system call. Return: pages. */
static __attribute__((noinline)) unsigned next_pass(struct bal_pages *pages)
{
	struct bal_run run;
	uint64_t bytes = 0;

	while (bal_pages_next(pages, BAL_DISCARD_BYTES, &run))
		bytes += run.bytes;
	return (unsigned)(bytes / BAL_PAGE_BYTES);
}

static void make_memory(struct fe_memory *mem, struct mem_table *table, uint64_t bytes)
{
	struct vu_region region;
	int fd;

	fe_memory_init(mem);
	if (fe_memory_add(mem, 0, bytes, false))
		fatal("guest memory cannot be made");
	region = fe_memory_describe(mem, 0);
	fd = fcntl(mem->regions[0].fd, F_DUPFD_CLOEXEC, 0);
	if (mem_table_init(table) || mem_table_add(table, &region, &fd))
		fatal("guest memory cannot be mapped");
}

int main(int argc, char **argv)
{
	struct bal_pages pages;
	struct mem_table table;
	struct fe_memory mem;
	uint32_t *pfns;
	uint64_t num;
	unsigned step;

	log_init("balloon-cost-load");
	if (argc != 3 || parse_uint(argv[2], MIN_PAGES, MAX_PAGES, &num))
		usage_error("usage: balloon-cost-load contiguous|shuffled|scattered PAGES");
	step = balloon_step(argv[1]);
	pfns = calloc(num, sizeof(*pfns));
	make_memory(&mem, &table, num * step * BAL_PAGE_BYTES);
	if (!pfns || bal_pages_init(&pages, &table))
		fatal("out of memory");
	balloon_order(argv[1], pfns, (unsigned)num, 0);
	if (note_pass(&pages, pfns, (unsigned)num) != num || next_pass(&pages) != num)
		fatal("not every page came through");
	bal_pages_free(&pages);
	mem_table_free(&table);
	fe_memory_free(&mem);
	free(pfns);
	return 0;
}
