/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.c - see pages.h: a bitmap over guest memory.
 * Layer L5, control thread.
 *
 * Each region has a grid of host pages: those of the file behind it that lie wholly in the region. A
 * unit is 4 KiB of that grid, and has a bit. Units are counted in chunks, 2 MiB or one larger host
 * page, and one more bit for each chunk tells where to look: of a chunk of small pages, that units of
 * it may be due; of a large page, that all of its units are in the balloon, and it is due. So a pass
 * over a guest of a TiB looks at 64 KiB where there is nothing.
 */
#include "balloon/pages.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "balloon/bits.h"

#define SMALL_CHUNK_UNITS 512u
#define MAX_PFN_BYTES     (1ull << (32 + BAL_PAGE_SHIFT)) /* what page numbers can name */

struct bal_region {
	const struct mem_region *mem;
	uint64_t first; /* where the grid begins in the region, bytes */
	uint64_t num_units; /* 0: there is none */
	uint64_t num_chunks;
	uint64_t page_units; /* of a host page */
	uint64_t chunk_units;
	uint64_t low; /* chunks below have no mark */
	uint64_t *units; /* the one mapping of all three */
	uint64_t *marks; /* by chunk */
	uint32_t *in_balloon; /* by chunk, its units; of large pages only */
	size_t map_bytes;
};

static const char *const skip_names[] = {
	[BAL_SKIP_NONE] = "none",           [BAL_SKIP_UNMAPPED] = "unmapped",
	[BAL_SKIP_HAZARD] = "hazard",       [BAL_SKIP_UNALIGNED] = "unaligned",
	[BAL_SKIP_DIRECTION] = "direction", [BAL_SKIP_LENGTH] = "length",
	[BAL_SKIP_LIMIT] = "limit",         [BAL_SKIP_POISON] = "poison",
	[BAL_SKIP_INHIBITED] = "inhibited", [BAL_SKIP_UNSAFE] = "unsafe",
};
static_assert(ARRAY_SIZE(skip_names) == BAL_SKIPS, "a name for every reason");

const char *bal_skip_name(enum bal_skip skip)
{
	return skip_names[skip];
}

/* --- regions --- */

static bool is_large(const struct bal_region *region)
{
	return region->page_units > 1;
}

/* Only whole host pages, and only those that a page number can name. */
static void lay_grid(struct bal_region *region, const struct mem_region *mem)
{
	uint64_t page_bytes = max_of(mem->page_bytes, (uint64_t)BAL_PAGE_BYTES);
	uint64_t reach = mem->gpa < MAX_PFN_BYTES ? MAX_PFN_BYTES - mem->gpa : 0;
	uint64_t size = min_of(mem->size, reach);
	uint64_t first = -mem->file_offset & (page_bytes - 1);

	region->mem = mem;
	region->first = first;
	region->page_units = page_bytes >> BAL_PAGE_SHIFT;
	region->chunk_units = is_large(region) ? region->page_units : SMALL_CHUNK_UNITS;
	/* Pages of the guest that lie across pages of the file are none to be given back. */
	if (size > first && (mem->gpa + first) % BAL_PAGE_BYTES == 0)
		region->num_units = align_down(size - first, page_bytes) >> BAL_PAGE_SHIFT;
	region->num_chunks = (region->num_units + region->chunk_units - 1) / region->chunk_units;
	region->low = region->num_chunks;
}

/* Syscalls: mmap(prot!PROT_EXEC) */
static int region_init(struct bal_region *region, const struct mem_region *mem)
{
	uint64_t units_bytes, marks_bytes;

	lay_grid(region, mem);
	if (!region->num_units)
		return 0;
	units_bytes = bits_bytes(region->num_units);
	marks_bytes = bits_bytes(region->num_chunks);
	region->map_bytes = units_bytes + marks_bytes;
	if (is_large(region))
		region->map_bytes += region->num_chunks * sizeof(region->in_balloon[0]);
	region->units = mmap(NULL, region->map_bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (region->units == MAP_FAILED) {
		region->units = NULL;
		return -ENOMEM;
	}
	region->marks = region->units + units_bytes / sizeof(region->units[0]);
	region->in_balloon = (uint32_t *)(region->marks + marks_bytes / sizeof(region->marks[0]));
	return 0;
}

int bal_pages_init(struct bal_pages *pages, const struct mem_table *mem)
{
	*pages = (struct bal_pages){.mem = mem};
	pages->regions = calloc(max_of(mem->num_regions, 1u), sizeof(pages->regions[0]));
	if (!pages->regions)
		goto err;
	for (unsigned i = 0; i < mem->num_regions; i++) {
		if (region_init(&pages->regions[i], &mem->regions[i]))
			goto err;
	}
	return 0;

err:
	bal_pages_free(pages);
	return -ENOMEM;
}

void bal_pages_free(struct bal_pages *pages)
{
	for (unsigned i = 0; pages->regions && i < pages->mem->num_regions; i++) {
		if (pages->regions[i].units)
			munmap(pages->regions[i].units, pages->regions[i].map_bytes);
	}
	free(pages->regions);
	*pages = (struct bal_pages){0};
}

void bal_pages_forget(struct bal_pages *pages)
{
	for (unsigned i = 0; pages->mem && i < pages->mem->num_regions; i++) {
		struct bal_region *region = &pages->regions[i];

		/* Anonymous memory: it reads as zero from here on. */
		if (region->units)
			madvise(region->units, region->map_bytes, MADV_DONTNEED);
		region->low = region->num_chunks;
	}
	pages->num_due = 0;
}

/* find - the region of guest address @gpa, or NULL. Page numbers come in sequences. */
static struct bal_region *find(const struct bal_pages *pages, uint64_t gpa)
{
	const struct mem_region *mem = pages->last ? pages->last->mem : NULL;

	if (likely(mem && gpa - mem->gpa < mem->size))
		return pages->last;
	mem = pages->mem ? mem_find(pages->mem, gpa) : NULL;
	return mem ? &pages->regions[mem - pages->mem->regions] : NULL;
}

/* --- hazards --- */

static bool meet(const struct bal_range *range, uint64_t gpa, uint64_t end)
{
	return gpa < range->end && range->gpa < end;
}

static bool in_hazard(const struct bal_pages *pages, uint64_t gpa, uint64_t end)
{
	bool found = false;

	if (likely(!meet(&pages->near, gpa, end)))
		return false;
	for (unsigned i = 0; !found && i < pages->num_hazards; i++)
		found = meet(&pages->hazards[i], gpa, end);
	return found;
}

/* unit_remove - it is neither in the balloon nor due. */
static void unit_remove(struct bal_pages *pages, struct bal_region *region, uint64_t unit)
{
	uint64_t chunk = unit / region->chunk_units;

	if (!bit_get(region->units, unit))
		return;
	bit_clear(region->units, unit);
	if (!is_large(region)) {
		pages->num_due--;
		return;
	}
	region->in_balloon[chunk]--;
	if (bit_get(region->marks, chunk))
		pages->num_due -= region->page_units;
	bit_clear(region->marks, chunk);
}

/* drop - take off what overlaps @range, by which its host pages are not whole any more. */
static void drop(struct bal_pages *pages, struct bal_region *region, const struct bal_range *range)
{
	uint64_t base = region->mem->gpa + region->first;
	uint64_t begin, end;

	if (range->end <= base || !region->num_units)
		return;
	begin = range->gpa > base ? (range->gpa - base) >> BAL_PAGE_SHIFT : 0;
	end = (range->end - base + BAL_PAGE_BYTES - 1) >> BAL_PAGE_SHIFT;
	end = min_of(end, region->num_units);
	for (uint64_t unit = begin; unit < end; unit++)
		unit_remove(pages, region, unit);
}

void bal_pages_unprotect(struct bal_pages *pages)
{
	pages->num_hazards = 0;
	pages->near = (struct bal_range){0};
}

void bal_pages_protect(struct bal_pages *pages, uint64_t gpa, uint64_t bytes)
{
	struct bal_range range = {.gpa = gpa, .end = gpa + bytes};

	assert(pages->num_hazards < BAL_MAX_HAZARDS && range.end > gpa);
	pages->near.gpa = pages->num_hazards ? min_of(pages->near.gpa, gpa) : gpa;
	pages->near.end = max_of(pages->near.end, range.end);
	pages->hazards[pages->num_hazards++] = range;
	for (unsigned i = 0; pages->mem && i < pages->mem->num_regions; i++)
		drop(pages, &pages->regions[i], &range);
}

/* --- noting --- */

static void mark(struct bal_region *region, uint64_t chunk)
{
	bit_set(region->marks, chunk);
	region->low = min_of(region->low, chunk);
}

/* unit_add - it is in the balloon, where it was not; is anything due by that? */
static void unit_add(struct bal_pages *pages, struct bal_region *region, uint64_t unit)
{
	uint64_t chunk = unit / region->chunk_units;

	if (bit_get(region->units, unit))
		return;
	bit_set(region->units, unit);
	if (is_large(region) && ++region->in_balloon[chunk] < region->page_units)
		return;
	mark(region, chunk);
	pages->num_due += region->page_units;
}

/* unit_of - which one is guest page @gpa? Return: false when no whole host page holds it. */
static bool unit_of(const struct bal_region *region, uint64_t gpa, uint64_t *unit)
{
	uint64_t offset = gpa - region->mem->gpa;

	if (offset < region->first)
		return false;
	*unit = (offset - region->first) >> BAL_PAGE_SHIFT;
	return *unit < region->num_units;
}

enum bal_skip bal_pages_add(struct bal_pages *pages, uint32_t pfn, bool huge)
{
	uint64_t gpa = (uint64_t)pfn << BAL_PAGE_SHIFT;
	struct bal_region *region = find(pages, gpa);
	uint64_t unit, host_page;

	if (!region || region->mem->size - (gpa - region->mem->gpa) < BAL_PAGE_BYTES)
		return BAL_SKIP_UNMAPPED;
	pages->last = region;
	if (!unit_of(region, gpa, &unit))
		return BAL_SKIP_UNALIGNED;
	if (is_large(region) && !huge)
		return BAL_SKIP_UNSAFE;
	host_page = gpa - ((unit & (region->page_units - 1)) << BAL_PAGE_SHIFT);
	if (in_hazard(pages, host_page, host_page + (region->page_units << BAL_PAGE_SHIFT)))
		return BAL_SKIP_HAZARD;
	unit_add(pages, region, unit);
	return BAL_SKIP_NONE;
}

void bal_pages_remove(struct bal_pages *pages, uint32_t pfn)
{
	uint64_t gpa = (uint64_t)pfn << BAL_PAGE_SHIFT;
	struct bal_region *region = find(pages, gpa);
	uint64_t unit;

	if (!region)
		return;
	pages->last = region;
	if (unit_of(region, gpa, &unit))
		unit_remove(pages, region, unit);
}

/* --- giving back --- */

/* next_large - whole chunks that are marked. What was in the balloon stays there. */
static uint64_t next_large(struct bal_region *region, uint64_t max_units, uint64_t *begin)
{
	uint64_t max = max_of(max_units / region->chunk_units, (uint64_t)1);
	uint64_t chunks;

	*begin = region->low * region->chunk_units;
	chunks = bits_equal(region->marks, region->low,
			    min_of(max, region->num_chunks - region->low), true);
	bits_clear(region->marks, region->low, chunks);
	region->low += chunks;
	return chunks * region->chunk_units;
}

/* next_small - the first units that are due in the chunk marked first, and those that adjoin.
 * Return: how many; 0 when the mark was out of date, and is gone. */
static uint64_t next_small(struct bal_region *region, uint64_t max_units, uint64_t *begin)
{
	uint64_t chunk = region->low * region->chunk_units;
	uint64_t in_chunk = min_of(region->chunk_units, region->num_units - chunk);
	uint64_t skipped = bits_equal(region->units, chunk, in_chunk, false);
	uint64_t n;

	if (skipped == in_chunk) {
		bit_clear(region->marks, region->low);
		return 0;
	}
	*begin = chunk + skipped;
	n = bits_equal(region->units, *begin, min_of(max_units, region->num_units - *begin), true);
	bits_clear(region->units, *begin, n);
	return n;
}

/* region_next - Return: units cut out from *@begin on; 0 when none is due. */
static uint64_t region_next(struct bal_region *region, uint64_t max_units, uint64_t *begin)
{
	uint64_t n = 0;

	while (!n) {
		region->low += bits_equal(region->marks, region->low,
					  region->num_chunks - region->low, false);
		if (region->low == region->num_chunks)
			return 0;
		n = is_large(region) ? next_large(region, max_units, begin)
				     : next_small(region, max_units, begin);
	}
	return n;
}

bool bal_pages_next(struct bal_pages *pages, uint64_t max_bytes, struct bal_run *run)
{
	uint64_t max_units = max_of(max_bytes >> BAL_PAGE_SHIFT, (uint64_t)1);
	uint64_t begin = 0, n;

	for (unsigned i = 0; pages->num_due && i < pages->mem->num_regions; i++) {
		struct bal_region *region = &pages->regions[i];

		n = region_next(region, max_units, &begin);
		if (!n)
			continue;
		pages->num_due -= n;
		*run = (struct bal_run){
			.region = region->mem,
			.offset = region->first + (begin << BAL_PAGE_SHIFT),
			.bytes = n << BAL_PAGE_SHIFT,
		};
		return true;
	}
	return false;
}

/* --- a range at once --- */

/* to_next_region - how far is it from unmapped @gpa to guest memory, at most @bytes? */
static uint64_t to_next_region(const struct bal_pages *pages, uint64_t gpa, uint64_t bytes)
{
	for (unsigned i = 0; pages->mem && i < pages->mem->num_regions; i++) {
		uint64_t begin = pages->mem->regions[i].gpa;

		if (begin > gpa)
			return min_of(bytes, begin - gpa);
	}
	return bytes;
}

/* The last hazard that begins before the range is passed, the first one within ends it; what is cut
 * off at the front is dealt with too, what is cut off at the end is not. */
static enum bal_skip clip_hazards(const struct bal_pages *pages, uint64_t page_bytes, uint64_t base,
				  uint64_t *begin, uint64_t *end)
{
	const struct bal_range *first = NULL;

	for (unsigned i = 0; i < pages->num_hazards; i++) {
		const struct bal_range *hazard = &pages->hazards[i];

		if (meet(hazard, *begin, *end) && (!first || hazard->gpa < first->gpa))
			first = hazard;
	}
	if (!first)
		return BAL_SKIP_NONE;
	if (first->gpa >= *begin + page_bytes) {
		*end = base + align_down(first->gpa - base, page_bytes);
		return BAL_SKIP_NONE;
	}
	*end = min_of(*end, base + align_up(first->end - base, page_bytes));
	return BAL_SKIP_HAZARD;
}

enum bal_skip bal_pages_clip(const struct bal_pages *pages, uint64_t gpa, uint64_t bytes,
			     struct bal_run *run, uint64_t *used)
{
	const struct bal_region *region = find(pages, gpa);
	uint64_t base, page_bytes, begin, end, grid_end;
	enum bal_skip skip;

	if (!region) {
		*used = to_next_region(pages, gpa, bytes);
		return BAL_SKIP_UNMAPPED;
	}
	*used = min_of(bytes, region->mem->size - (gpa - region->mem->gpa));
	base = region->mem->gpa + region->first;
	page_bytes = region->page_units << BAL_PAGE_SHIFT;
	grid_end = base + (region->num_units << BAL_PAGE_SHIFT);
	begin = gpa > base ? base + align_up(gpa - base, page_bytes) : base;
	end = min_of(gpa + *used, grid_end);
	if (begin >= end || end - begin < page_bytes)
		return BAL_SKIP_UNALIGNED;
	end = base + align_down(end - base, page_bytes);
	skip = clip_hazards(pages, page_bytes, base, &begin, &end);
	*run = (struct bal_run){region->mem, begin - region->mem->gpa, end - begin};
	if (skip || *used > end - gpa)
		*used = end - gpa;
	return skip;
}
