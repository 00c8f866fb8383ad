/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_balloon.c - a guest, its driver and its front-end do anything to a balloon: whatever is given
 * back was named by the guest and not taken back since, is whole pages of the file behind it, holds no
 * ring, and is given back when that may be.
 *
 * Input: struct input, then operations: a byte each (enum op, modulo OPS), and what that takes. The
 * buffers of chains are the input itself, which libFuzzer looks after.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <string.h>

#include "balloon/device.h"
#include "balloon/discard.h"
#include "vhost/base/log.h"

#define MAX_PAGES   2048u /* of a region */
#define MAX_REGIONS 3u
#define MAX_BUFS    32u
#define MIB         (1ull << 20)

struct input {
	uint8_t layout;
	uint8_t features; /* a balloon's own */
	uint8_t flags; /* FLAG_* */
} __attribute__((packed));

#define FLAG_REFUSED 1u /* no discard succeeds */

enum op {
	INFLATE,
	DEFLATE,
	REPORT,
	GATHER,
	PROTECT,
	STOP,
	CONFIG,
	LOAD,
	STATS,
	FEATURES,
	INHIBIT,
	TARGET,
	ROLE,
	OPS
};

struct page {
	bool named; /* in the balloon */
	bool due; /* and not given back since */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_bal_discard(const struct bal_run *run);

/* gpa, size, file_offset, page_bytes. */
#define REGION(at, bytes, offset, page)                                                     \
	{                                                                                   \
		.gpa = (at), .size = (bytes), .file_offset = (offset), .page_bytes = (page) \
	}

static const struct mem_region layouts[][MAX_REGIONS] = {
	{REGION(MIB, 4 * MIB, 0, 4096)},
	{REGION(0, MIB, 0, 4096), REGION(2 * MIB, MIB, 0x5000, 4096)},
	{REGION(MIB, MIB, 0, 4096), REGION(2 * MIB, MIB, 8 * MIB, 4096),
	 REGION(3 * MIB, 4096, 0, 4096)},
	{REGION(MIB, MIB, 0x800, 4096)},
	{REGION(MIB + 0x800, MIB, 0x800, 4096)},
	{REGION(2 * MIB, 6 * MIB, 0, 2 * MIB), REGION(32 * MIB, MIB, 0, 4096)},
	{REGION(MIB, 5 * MIB, MIB, 2 * MIB)},
	{REGION(MIB, 5 * MIB, 4096, 2 * MIB)},
	{REGION(0, MIB, 0x8000, 65536)},
	{REGION((1ull << 44) - 2 * MIB, 4 * MIB, 0, 4096)},
};

static struct bal_vm vm;
static struct bal_vm_options options;
static struct loop *loop;
static struct mem_region regions[MAX_REGIONS];
static struct mem_table table;
static struct page pages[MAX_REGIONS][MAX_PAGES];
static struct bal_range reported[MAX_BUFS];
static unsigned num_reported; /* of the report at hand; 0: another queue's turn */
static bool refused;
static const uint8_t *in; /* what is left of the input */
static size_t left;

/* --- the input --- */

static const uint8_t *take(size_t bytes)
{
	const uint8_t *at = in;

	bytes = min_of(bytes, left);
	in += bytes;
	left -= bytes;
	return at;
}

static uint64_t take_number(unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && left; i++)
		value = value << 8 | *take(1);
	return value;
}

/* take_chain - readable buffers: the number of buffers, their lengths, their bytes. */
static struct vq_chain take_chain(struct iovec *iov)
{
	struct vq_chain chain = {.iov = iov, .max_iov = MAX_BUFS};
	unsigned num = (unsigned)take_number(1) % MAX_BUFS;
	const uint8_t *lengths = take(num);

	for (unsigned i = 0; i < num && lengths + i < in && left; i++) {
		size_t bytes = min_of((size_t)lengths[i] + 1, left);

		iov[chain.num_out++] = (struct iovec){(void *)(uintptr_t)take(bytes), bytes};
		chain.out_bytes += bytes;
	}
	return chain;
}

/* --- what may be given back --- */

static struct page *page_of(uint32_t pfn)
{
	uint64_t gpa = (uint64_t)pfn << BAL_PAGE_SHIFT;

	for (unsigned i = 0; i < table.num_regions; i++) {
		if (gpa >= regions[i].gpa && gpa - regions[i].gpa < regions[i].size)
			return &pages[i][(gpa - regions[i].gpa) >> BAL_PAGE_SHIFT];
	}
	return NULL;
}

/* Every byte is in one of the buffers of the report. */
static void check_reported(uint64_t gpa, uint64_t end)
{
	assert(!(vm.features & BAL_BIT(VIRTIO_BALLOON_F_PAGE_POISON)) || !vm.poison_val);
	while (gpa < end) {
		uint64_t before = gpa;

		for (unsigned i = 0; i < num_reported; i++) {
			if (reported[i].gpa <= gpa && reported[i].end > gpa)
				gpa = reported[i].end;
		}
		assert(gpa > before);
	}
}

static void check_inflated(const struct mem_region *region, uint64_t gpa, uint64_t end)
{
	for (; gpa < end; gpa += BAL_PAGE_BYTES) {
		struct page *page = page_of((uint32_t)(gpa >> BAL_PAGE_SHIFT));

		assert(page && page->named);
		assert(page->due || region->page_bytes > BAL_PAGE_BYTES);
		page->due = false;
	}
}

static bool inhibited(void)
{
	return vm.inhibited || vm.features & BAL_BIT(VU_F_LOG_ALL);
}

int __wrap_bal_discard(const struct bal_run *run)
{
	const struct mem_region *region = run->region;
	uint64_t gpa = region->gpa + run->offset, end = gpa + run->bytes;

	assert(region >= regions && region < regions + table.num_regions);
	assert(run->bytes && run->offset < region->size &&
	       run->bytes <= region->size - run->offset);
	assert((region->file_offset + run->offset) % region->page_bytes == 0);
	assert(run->bytes % region->page_bytes == 0);
	assert(run->bytes <= max_of((uint64_t)BAL_DISCARD_BYTES, region->page_bytes));
	assert(!inhibited());
	for (unsigned i = 0; i < vm.pages.num_hazards; i++)
		assert(end <= vm.pages.hazards[i].gpa || gpa >= vm.pages.hazards[i].end);
	if (num_reported)
		check_reported(gpa, end);
	else
		check_inflated(region, gpa, end);
	return refused ? -EPERM : 0;
}

/* --- operations --- */

static bool tells(void)
{
	return vm.features & BAL_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

/* names - the page numbers of a chain, as they stand in it. */
static void names(const struct vq_chain *chain, bool named)
{
	uint8_t number[4];
	size_t at = 0;

	for (unsigned i = 0; i < chain->num_out; i++) {
		for (size_t k = 0; k < chain->iov[i].iov_len; k++) {
			struct page *page;
			uint32_t pfn;

			number[at++ % 4] = ((const uint8_t *)chain->iov[i].iov_base)[k];
			if (at % 4)
				continue;
			memcpy(&pfn, number, sizeof(pfn));
			page = page_of(le32toh(pfn));
			if (page)
				*page = (struct page){.named = named, .due = named};
		}
	}
}

static void forget(void)
{
	memset(pages, 0, sizeof(pages));
}

static void inflate(void)
{
	struct iovec iov[MAX_BUFS];
	struct vq_chain chain = take_chain(iov);

	names(&chain, true);
	bal_inflate(&vm, &chain);
	if (tells())
		return;
	/* The guest may use them again. */
	assert(!vm.gather.active && !vm.pages.num_due);
	forget();
}

static void deflate(void)
{
	struct iovec iov[MAX_BUFS];
	struct vq_chain chain = take_chain(iov);

	bal_deflate(&vm, &chain);
	names(&chain, false);
}

/* Buffers of a report lie in regions: that is the ring's work. */
static void report(void)
{
	unsigned num = (unsigned)take_number(1) % MAX_BUFS;
	struct iovec iov[MAX_BUFS];
	struct vq_chain chain = {.iov = iov, .max_iov = MAX_BUFS};

	for (unsigned i = 0; i < num && left; i++) {
		const struct mem_region *region = &regions[take_number(1) % table.num_regions];
		uint64_t at = take_number(3) % region->size;
		uint64_t bytes = 1 + take_number(3) % (region->size - at);

		iov[chain.num_in++] = (struct iovec){region->host + at, bytes};
		chain.in_bytes += bytes;
		reported[i] = (struct bal_range){region->gpa + at, region->gpa + at + bytes};
	}
	num_reported = chain.num_in;
	bal_report(&vm, &chain);
	num_reported = 0;
}

static void gather(void)
{
	while (vm.gather.active) {
		void (*fn)(struct loop_timer * timer) = vm.gather.fn;

		loop_timer_cancel(loop, &vm.gather);
		fn(&vm.gather);
	}
	assert(!vm.pages.num_due || inhibited());
}

static void protect(void)
{
	const struct mem_region *region = &regions[take_number(1) % table.num_regions];
	uint64_t at = take_number(3) % region->size;

	if (vm.pages.num_hazards == BAL_MAX_HAZARDS)
		bal_pages_unprotect(&vm.pages);
	bal_pages_protect(&vm.pages, region->gpa + at, 1 + take_number(2) % (region->size - at));
}

static void stop(void)
{
	loop_timer_cancel(loop, &vm.gather);
	bal_pages_forget(&vm.pages);
	forget();
}

static struct virtio_balloon_config config(void)
{
	struct virtio_balloon_config config;

	bal_device_ops.get_config(&vm.dev, 0, sizeof(config), (uint8_t *)&config);
	assert((uint64_t)le32toh(config.num_pages) << BAL_PAGE_SHIFT <= vm.memory_bytes);
	assert(bal_vm_actual(&vm) <= vm.memory_bytes);
	return config;
}

static void write_config(void)
{
	uint32_t offset = (uint32_t)take_number(1) % sizeof(struct virtio_balloon_config);
	uint32_t size = 1 + (uint32_t)take_number(1) %
				    (uint32_t)(sizeof(struct virtio_balloon_config) - offset);
	struct virtio_balloon_config before = config(), after;
	uint8_t bytes[sizeof(before)] = {0};
	size_t there = min_of((size_t)size, left);
	int ret;

	memcpy(bytes, take(there), there);
	ret = bal_device_ops.set_config(&vm.dev, offset, size, bytes);
	after = config();
	assert(before.free_page_hint_cmd_id == after.free_page_hint_cmd_id);
	if (ret)
		assert(!memcmp(&before, &after, sizeof(before)));
	else if (offset >= offsetof(struct virtio_balloon_config, actual))
		assert(!memcmp((uint8_t *)&after + offset, bytes, size));
}

static void load(void)
{
	uint8_t saved[2][BAL_STATE_BYTES];
	size_t bytes = (size_t)take_number(1);

	bytes = min_of(bytes, left);
	bal_device_ops.load_state(&vm.dev, take(bytes), bytes);
	/* What it has saves, loads, and saves the same again, but for the age of the statistics. */
	assert(bal_device_ops.save_state(&vm.dev, saved[0], sizeof(saved[0])) == BAL_STATE_BYTES);
	assert(!bal_device_ops.load_state(&vm.dev, saved[0], sizeof(saved[0])));
	assert(bal_device_ops.save_state(&vm.dev, saved[1], sizeof(saved[1])) == BAL_STATE_BYTES);
	assert(!memcmp(saved[0], saved[1], 40) && !memcmp(saved[0] + 48, saved[1] + 48, 128));
	config();
}

static void stats(void)
{
	struct iovec iov[MAX_BUFS];
	struct vq_chain chain = take_chain(iov);
	struct bal_stats before = vm.stats;

	if (bal_stats_parse(&vm.stats, chain.iov, chain.num_out, 1))
		assert(!memcmp(&before, &vm.stats, sizeof(before)) && chain.out_bytes < 10);
	else
		assert(vm.stats.there && !(vm.stats.present >> BAL_STATS_TAGS));
}

/* All queues are stopped for it. */
static void set_features(void)
{
	uint64_t own = take_number(1);

	stop();
	bal_device_ops.set_features(&vm.dev, BAL_BIT(VIRTIO_F_VERSION_1) | (own & 0x3f) |
						     (own & 0x80 ? BAL_BIT(VU_F_LOG_ALL) : 0));
}

static void role(void)
{
	static const uint64_t needs[BAL_ROLES] = {
		[BAL_STATS] = BAL_BIT(VIRTIO_BALLOON_F_STATS_VQ),
		[BAL_HINT] = BAL_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT),
		[BAL_REPORTING] = BAL_BIT(VIRTIO_BALLOON_F_REPORTING),
	};
	uint64_t features = take_number(1);
	unsigned index = (unsigned)take_number(1) % BAL_MAX_QUEUES;
	unsigned started = (unsigned)take_number(1) % (1u << BAL_MAX_QUEUES) | 1u << index;
	enum bal_role found = bal_role_of(index, features, started);

	assert(found < BAL_ROLES && bal_role_name(found));
	assert((features & needs[found]) == needs[found]);
	assert(index > BAL_DEFLATE || found == (enum bal_role)index);
}

static void operate(enum op op)
{
	switch (op) {
	case INFLATE:
		inflate();
		break;
	case DEFLATE:
		deflate();
		break;
	case REPORT:
		report();
		break;
	case GATHER:
		gather();
		break;
	case PROTECT:
		protect();
		break;
	case STOP:
		stop();
		break;
	case CONFIG:
		write_config();
		break;
	case LOAD:
		load();
		break;
	case STATS:
		stats();
		break;
	case FEATURES:
		set_features();
		break;
	case INHIBIT:
		bal_vm_inhibit(&vm, !vm.inhibited);
		break;
	case TARGET:
		bal_vm_set_target(&vm, take_number(4) << 10);
		config();
		break;
	default:
		role();
	}
}

/* --- */

static void set_up_once(void)
{
	if (loop)
		return;
	log_set_level("error");
	assert(!loop_create(&loop));
}

static void begin(const struct input *input)
{
	uint64_t host = 1ull << 45; /* looked up, never touched */
	char error[100];

	memcpy(regions, layouts[input->layout % ARRAY_SIZE(layouts)], sizeof(regions));
	table = (struct mem_table){.regions = regions};
	for (unsigned i = 0; i < MAX_REGIONS && regions[i].size; i++) {
		regions[i].host = (uint8_t *)host;
		host += 1ull << 32;
		table.num_regions++;
	}
	options = (struct bal_vm_options){.name = "fuzz",
					  .max_bytes = BAL_ALL_MEMORY,
					  .reporting = true};
	assert(!bal_vm_open(&vm, &options, error, sizeof(error)));
	bal_vm_serve(&vm, loop);
	vm.features = BAL_BIT(VIRTIO_F_VERSION_1) | (input->features & 0x3f);
	vm.memory_bytes = 512 * MIB;
	assert(!bal_pages_init(&vm.pages, &table));
	refused = input->flags & FLAG_REFUSED;
	forget();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < sizeof(struct input))
		return -1;
	set_up_once();
	begin((const struct input *)data);
	in = data + sizeof(struct input);
	left = size - sizeof(struct input);
	while (left)
		operate((enum op)(*take(1) % OPS));
	gather();
	bal_pages_free(&vm.pages);
	bal_vm_close(&vm);
	return 0;
}
