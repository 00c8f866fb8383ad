/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - guest RAM of a front-end: one sealed memfd per region.
 * Beside L1 (front-end). The thread that sets the session up.
 */
#include "vhost/frontend/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/base/util.h"

#define SMALL_PAGE_BYTES 4096u
#define HUGE_PAGE_BYTES  (2ull << 20)

void fe_memory_init(struct fe_memory *mem)
{
	memset(mem, 0, sizeof(*mem));
}

static void region_free(struct fe_region *region)
{
	munmap(region->host, region->size);
	close_fd(&region->fd);
}

void fe_memory_free(struct fe_memory *mem)
{
	unsigned i;

	for (i = 0; i < mem->num_regions; i++)
		region_free(&mem->regions[i]);
	free(mem->regions);
	fe_memory_init(mem);
}

/* A back-end has these pages mapped: sealed, so that nobody can pull them from under it. */
static int region_open(uint64_t size, bool huge)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	auto_close int fd = -1;
	int out;

	if (huge)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("guest-ram", flags);
	if (fd < 0 || ftruncate(fd, (off_t)size) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	out = fd;
	fd = -1;
	return out;
}

static bool gpa_free(const struct fe_memory *mem, uint64_t gpa, uint64_t size)
{
	unsigned i;

	for (i = 0; i < mem->num_regions; i++) {
		const struct fe_region *r = &mem->regions[i];

		/* None wraps, so the last byte of each is below 2^64. */
		if (gpa <= r->gpa + (r->size - 1) && r->gpa <= gpa + (size - 1))
			return false;
	}
	return true;
}

static int memory_reserve(struct fe_memory *mem)
{
	unsigned capacity = mem->capacity ? mem->capacity * 2 : 4;
	struct fe_region *regions;

	if (mem->num_regions < mem->capacity)
		return 0;
	regions = realloc(mem->regions, capacity * sizeof(*regions));
	if (!regions)
		return -ENOMEM;
	mem->regions = regions;
	mem->capacity = capacity;
	return 0;
}

/* region_map - at a multiple of 2 MiB, so that the kernel may map large pages wherever it has them;
 * mmap(2) itself sees to it only where the memory is of huge pages. */
static int region_map(struct fe_region *region)
{
	uint64_t room;
	uint8_t *base, *host;

	if (add_overflows(region->size, HUGE_PAGE_BYTES, &room))
		return -ENOMEM;
	base = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	host = (uint8_t *)align_up((uintptr_t)base, HUGE_PAGE_BYTES);
	if (mmap(host, region->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, region->fd,
		 0) == MAP_FAILED) {
		int ret = -errno;

		munmap(base, room);
		return ret;
	}
	if (host > base)
		munmap(base, (size_t)(host - base));
	munmap(host + region->size, (size_t)(base + room - (host + region->size)));
	region->host = host;
	return 0;
}

int fe_memory_add(struct fe_memory *mem, uint64_t gpa, uint64_t size, bool huge)
{
	struct fe_region region = {
		.size = size,
		.page_bytes = huge ? HUGE_PAGE_BYTES : SMALL_PAGE_BYTES,
	};
	uint64_t end;
	int ret;

	if (!size || size % region.page_bytes || size > INT64_MAX)
		return -EINVAL;
	if (gpa != FE_GPA_IDENTITY &&
	    (gpa % region.page_bytes || add_overflows(gpa, size - 1, &end)))
		return -EINVAL;
	if (gpa != FE_GPA_IDENTITY && !gpa_free(mem, gpa, size))
		return -EEXIST;
	ret = memory_reserve(mem);
	if (ret)
		return ret;
	region.fd = region_open(size, huge);
	if (region.fd < 0)
		return region.fd;
	ret = region_map(&region);
	if (ret) {
		close_fd(&region.fd);
		return ret;
	}
	region.gpa = gpa == FE_GPA_IDENTITY ? (uintptr_t)region.host : gpa;
	if (gpa == FE_GPA_IDENTITY && !gpa_free(mem, region.gpa, size)) {
		region_free(&region);
		return -EEXIST;
	}
	mem->regions[mem->num_regions++] = region;
	return 0;
}

void fe_memory_remove(struct fe_memory *mem, unsigned index)
{
	region_free(&mem->regions[index]);
	mem->num_regions--;
	memmove(&mem->regions[index], &mem->regions[index + 1],
		(mem->num_regions - index) * sizeof(mem->regions[0]));
}

void fe_memory_populate(const struct fe_memory *mem)
{
	unsigned i;

	for (i = 0; i < mem->num_regions; i++) {
		const struct fe_region *r = &mem->regions[i];
		uint64_t at;

		/* A write of what is there already; nobody else writes to memory not yet shared. */
		for (at = 0; at < r->size; at += r->page_bytes)
			*(volatile uint8_t *)(r->host + at) = *(volatile uint8_t *)(r->host + at);
	}
}

int fe_alloc_in(struct fe_memory *mem, unsigned index, uint64_t bytes, uint64_t align,
		struct fe_mem *out)
{
	struct fe_region *r = &mem->regions[index];
	uint64_t gpa;

	/* Regions start on a page in both address spaces; alignment beyond it is of the gpa. */
	if (bytes > r->size)
		return -ENOSPC;
	gpa = align_up(r->gpa + r->used, align);
	if (gpa - r->gpa > r->size - bytes || gpa < r->gpa)
		return -ENOSPC;
	r->used = gpa - r->gpa + bytes;
	out->gpa = gpa;
	out->host = r->host + (gpa - r->gpa);
	return 0;
}

int fe_alloc(struct fe_memory *mem, uint64_t bytes, uint64_t align, struct fe_mem *out)
{
	unsigned i;

	for (i = 0; i < mem->num_regions; i++)
		if (!fe_alloc_in(mem, i, bytes, align, out))
			return 0;
	return -ENOSPC;
}

void *fe_memory_host(const struct fe_memory *mem, uint64_t gpa, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < mem->num_regions; i++) {
		const struct fe_region *r = &mem->regions[i];
		uint64_t offset = gpa - r->gpa; /* huge when gpa is below the region */

		if (offset < r->size && bytes <= r->size - offset)
			return r->host + offset;
	}
	return NULL;
}

struct vu_region fe_memory_describe(const struct fe_memory *mem, unsigned index)
{
	const struct fe_region *r = &mem->regions[index];

	return (struct vu_region){
		.gpa = r->gpa,
		.size = r->size,
		.uva = (uintptr_t)r->host,
		.mmap_offset = 0,
	};
}
