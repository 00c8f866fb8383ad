/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ram_populate.c - every page of guest RAM is made now, in pieces dealt to one thread for each CPU.
 * VMM, start-up; its threads are gone when it returns.
 */
#include "vmm/ram_populate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"

#define PIECE_BYTES (32ull << 20)
#define MAX_THREADS 64
#define QUIET_NS    2000000000ull
#define PROGRESS_NS 250000000ull

struct populate {
	const struct fe_memory *mem;
	_Atomic uint64_t next; /* the piece that nobody has taken yet, over all regions */
	_Atomic uint64_t done_bytes;
	_Atomic int error; /* -errno of the first piece that failed; the others then stop */
};

/* populate_piece - without a signal where there is no memory, as touching it would have one. */
static int populate_piece(const struct fe_region *region, uint64_t offset, uint64_t bytes)
{
	int ret;

	do
		ret = madvise(region->host + offset, bytes, MADV_POPULATE_WRITE) ? -errno : 0;
	while (ret == -EINTR || ret == -EAGAIN);
	if (ret != -EINVAL)
		return ret;
	/* Linux before 5.14. This one holds a lock, so the threads do it one after the other. */
	do
		ret = fallocate(region->fd, 0, (off_t)offset, (off_t)bytes) ? -errno : 0;
	while (ret == -EINTR);
	return ret == -ENOSPC ? -ENOMEM : ret;
}

/* find_piece - number @index. Return: its region, or NULL when there are no more. */
static const struct fe_region *find_piece(const struct fe_memory *mem, uint64_t index,
					  uint64_t *offset)
{
	for (unsigned i = 0; i < mem->num_regions; i++) {
		const struct fe_region *r = &mem->regions[i];
		uint64_t pieces = (r->size + PIECE_BYTES - 1) / PIECE_BYTES;

		if (index < pieces) {
			*offset = index * PIECE_BYTES;
			return r;
		}
		index -= pieces;
	}
	return NULL;
}

static void *populate_thread(void *arg)
{
	struct populate *p = arg;
	const struct fe_region *region;
	uint64_t offset, bytes;

	while (!atomic_load(&p->error) &&
	       (region = find_piece(p->mem, atomic_fetch_add(&p->next, 1), &offset))) {
		int none = 0, ret;

		bytes = min_of(region->size - offset, (uint64_t)PIECE_BYTES);
		ret = populate_piece(region, offset, bytes);
		if (ret < 0)
			atomic_compare_exchange_strong(&p->error, &none, ret);
		else
			atomic_fetch_add(&p->done_bytes, bytes);
	}
	return NULL;
}

static unsigned choose_threads(const struct fe_memory *mem)
{
	uint64_t pieces = 0;
	unsigned count = 1;
	cpu_set_t cpus;

	for (unsigned i = 0; i < mem->num_regions; i++)
		pieces += (mem->regions[i].size + PIECE_BYTES - 1) / PIECE_BYTES;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0)
		count = (unsigned)CPU_COUNT(&cpus);
	count = min_of(count, (unsigned)MAX_THREADS);
	return (unsigned)min_of((uint64_t)count, pieces);
}

static void say(const struct populate *p, uint64_t total)
{
	fprintf(stderr, "\rpreallocating memory: %" PRIu64 " of %" PRIu64 " MiB",
		atomic_load(&p->done_bytes) >> 20, total >> 20);
	fflush(stderr);
}

/* wait_for - the threads' end, and say how far they are. */
static void wait_for(const struct populate *p, const pthread_t *threads, unsigned count)
{
	uint64_t next_ns = clock_ns() + QUIET_NS, total = 0;
	bool terminal = isatty(STDERR_FILENO), said = false;

	for (unsigned i = 0; i < p->mem->num_regions; i++)
		total += p->mem->regions[i].size;
	for (unsigned i = 0; i < count;) {
		struct timespec until = {(time_t)(next_ns / 1000000000),
					 (long)(next_ns % 1000000000)};

		if (!terminal)
			pthread_join(threads[i++], NULL);
		else if (pthread_clockjoin_np(threads[i], NULL, CLOCK_MONOTONIC, &until) == 0)
			i++;
		else {
			say(p, total);
			said = true;
			next_ns += PROGRESS_NS;
		}
	}
	if (said) {
		say(p, total);
		fputc('\n', stderr);
	}
}

int ram_populate(const struct fe_memory *mem)
{
	struct populate p = {.mem = mem};
	pthread_t threads[MAX_THREADS];
	unsigned wanted = choose_threads(mem), count = 0;

	while (count < wanted && pthread_create(&threads[count], NULL, populate_thread, &p) == 0)
		count++;
	if (count)
		wait_for(&p, threads, count);
	else
		populate_thread(&p);
	return atomic_load(&p.error);
}
