/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_rig.c - see balloon_rig.h. Tests only.
 */
#include "tests/protocol/balloon_rig.h"

#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RING_FEATURES                                                       \
	(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 VU_BIT(VIRTIO_RING_F_EVENT_IDX))
#define PROTOCOL                                                                                   \
	(VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG) |                       \
	 VU_BIT(VU_PF_BACKEND_REQ) | VU_BIT(VU_PF_CONFIGURE_MEM_SLOTS) | VU_BIT(VU_PF_LOG_SHMFD) | \
	 VU_BIT(VU_PF_INFLIGHT_SHMFD) | VU_BIT(VU_PF_STATUS) | VU_BIT(VU_PF_DEVICE_STATE) |        \
	 VU_BIT(VU_PF_RESET_DEVICE))
#define INDIRECT_ENTRIES 100
#define MISC_BYTES       65536u
#define SETTLED_MS       30 /* many times what is waited for before pages are given back */
#define WAIT_MS          10000

/* Features of the optional queues, by role. */
static const uint64_t queue_feature[BAL_MAX_QUEUES] = {
	[BAL_STATS] = OWN(STATS_VQ),
	[BAL_HINT] = OWN(FREE_PAGE_HINT),
	[BAL_REPORTING] = OWN(REPORTING),
};

int run_balloon_suite(Suite *suite)
{
	signal(SIGPIPE, SIG_IGN);
	blkd_is("ringside-balloon", "RINGSIDE_BALLOON");
	return run_in_scratch(suite);
}

/* --- memory --- */

static void put_pattern(uint64_t *to, const struct page *page)
{
	uint64_t word = (uint64_t)page->pfn << 32 | page->version;

	for (unsigned i = 0; i < PAGE_BYTES / sizeof(*to); i++)
		to[i] = (word + i) * 0x9e3779b97f4a7c15ull | 1;
}

void balloon_write(struct balloon *b, unsigned page)
{
	b->pages[page].version++;
	put_pattern((uint64_t *)(void *)b->pages[page].host, &b->pages[page]);
}

static void add_page(struct balloon *b, unsigned at, unsigned r, uint64_t offset, bool guard)
{
	const struct fe_region *region = &b->mem.regions[r];

	b->pages[at] = (struct page){
		.host = region->host + offset,
		.pfn = (uint32_t)((region->gpa + offset) / PAGE_BYTES),
		.region = r,
		.offset = offset,
		.guard = guard,
	};
	balloon_write(b, at);
}

/* number_pages - the guest's first, in ascending order; then the guards. */
static void number_pages(struct balloon *b)
{
	unsigned regions = b->opt.regions, guards = b->opt.guard_pages, at = 0;

	b->num_pages = regions * b->opt.pages;
	b->num_all = b->num_pages + 2 * regions * guards;
	b->pages = calloc(b->num_all, sizeof(*b->pages));
	ck_assert_ptr_nonnull(b->pages);
	for (unsigned r = 0; r < regions; r++) {
		uint64_t first = guards + (r ? 0 : WORK_PAGES);

		for (unsigned i = 0; i < b->opt.pages; i++)
			add_page(b, at++, r, (first + i) * PAGE_BYTES, false);
	}
	for (unsigned r = 0; r < regions; r++) {
		uint64_t end = b->mem.regions[r].size / PAGE_BYTES - guards;

		for (unsigned i = 0; i < guards; i++) {
			add_page(b, at++, r, (uint64_t)i * PAGE_BYTES, true);
			add_page(b, at++, r, (end + i) * PAGE_BYTES, true);
		}
	}
	ck_assert_uint_eq(at, b->num_all);
}

static void make_memory(struct balloon *b)
{
	uint64_t gpa = GUEST_GPA, guard_bytes = (uint64_t)b->opt.guard_pages * PAGE_BYTES;

	fe_memory_init(&b->mem);
	for (unsigned r = 0; r < b->opt.regions; r++) {
		uint64_t bytes = (uint64_t)(b->opt.pages + (r ? 0 : WORK_PAGES)) * PAGE_BYTES;

		if (r == 0)
			bytes += (uint64_t)b->opt.spare_mib << 20;
		ck_assert_int_eq(fe_memory_add(&b->mem, gpa - guard_bytes, bytes + 2 * guard_bytes,
					       b->opt.huge),
				 0);
		b->mem.regions[r].used = guard_bytes;
		b->told_bytes += bytes;
		gpa += bytes + GUEST_HOLE;
	}
	/* Of all but the spare memory, so that there are blocks to be missed. */
	memset(b->mem.regions[0].host + guard_bytes, 0, WORK_PAGES * PAGE_BYTES);
	number_pages(b);
}

void balloon_lay_out(struct balloon *b, const struct guest_options *opt)
{
	struct fe_ring_options ring = {.size = BALLOON_RING};

	memset(b, 0, sizeof(*b));
	b->fe.sock = b->fe.channel_fd = -1;
	if (opt)
		b->opt = *opt;
	b->opt.regions = b->opt.regions ? b->opt.regions : 1;
	b->opt.pages = b->opt.pages ? b->opt.pages : GUEST_PAGES;
	make_memory(b);
	ring.packed = b->opt.packed;
	ring.event_idx = !(b->opt.without & VU_BIT(VIRTIO_RING_F_EVENT_IDX));
	if (!(b->opt.without & VU_BIT(VIRTIO_RING_F_INDIRECT_DESC)))
		ring.indirect = INDIRECT_ENTRIES;
	for (unsigned i = 0; i < BAL_MAX_QUEUES; i++)
		ck_assert_int_eq(fe_ring_init(&b->ring[i], &b->mem, &ring), 0);
	ck_assert_int_eq(fe_alloc(&b->mem, MAX_PFNS * 4, PAGE_BYTES, &b->pfns), 0);
	ck_assert_int_eq(fe_alloc(&b->mem, MISC_BYTES, PAGE_BYTES, &b->misc), 0);
	ck_assert_uint_le(b->mem.regions[0].used,
			  (uint64_t)(b->opt.guard_pages + WORK_PAGES) * PAGE_BYTES);
}

struct vu_region balloon_region(const struct balloon *b, unsigned index)
{
	struct vu_region region = fe_memory_describe(&b->mem, index);
	uint64_t guard_bytes = (uint64_t)b->opt.guard_pages * PAGE_BYTES;

	region.gpa += guard_bytes;
	region.uva += guard_bytes;
	region.mmap_offset += guard_bytes;
	region.size -= 2 * guard_bytes;
	return region;
}

void balloon_share(struct balloon *b)
{
	for (unsigned i = 0; i < b->opt.regions; i++) {
		struct vu_msg msg;

		vu_msg_init(&msg, VU_ADD_MEM_REG);
		msg.hdr.size = sizeof(msg.payload.region);
		msg.payload.region.region = balloon_region(b, i);
		msg.fds[0] = b->mem.regions[i].fd;
		msg.num_fds = 1;
		ck_assert_int_eq(fe_request(&b->fe, &msg), 0);
	}
}

/* --- session --- */

static void number_queues(struct balloon *b)
{
	unsigned number = 2;

	b->roles = 1u << BAL_INFLATE | 1u << BAL_DEFLATE;
	b->number[BAL_DEFLATE] = 1;
	for (unsigned role = BAL_STATS; role < BAL_MAX_QUEUES; role++) {
		uint64_t feature = queue_feature[role];
		bool counted = b->opt.numbering == AS_SPECIFIED || b->fe.features & feature ||
			       (b->opt.numbering == AS_QEMU && b->fe.offered & feature);

		b->number[role] = number;
		number += counted;
		if (b->fe.features & feature)
			b->roles |= 1u << role;
	}
}

void balloon_connect(struct balloon *b, const char *socket)
{
	uint64_t wanted = RING_FEATURES | ALL_OWN;

	if (b->opt.packed)
		wanted |= VU_BIT(VIRTIO_F_RING_PACKED);
	ck_assert_int_eq(fe_connect(&b->fe, socket), 0);
	b->fe.timeout_ms = WAIT_MS;
	ck_assert_int_eq(fe_negotiate(&b->fe, wanted & ~b->opt.without, PROTOCOL), 0);
	ck_assert(!b->opt.packed || b->fe.features & VU_BIT(VIRTIO_F_RING_PACKED));
	number_queues(b);
}

void balloon_start_rings(struct balloon *b)
{
	for (unsigned role = 0; role < BAL_MAX_QUEUES; role++) {
		if (b->roles & 1u << role)
			ck_assert_int_eq(fe_ring_start(&b->fe, b->number[role], &b->ring[role]), 0);
	}
	ck_assert_int_eq(fe_sync(&b->fe), 0);
}

void balloon_stop_rings(struct balloon *b)
{
	for (unsigned role = 0; role < BAL_MAX_QUEUES; role++) {
		if (b->roles & 1u << role)
			ck_assert_int_eq(fe_ring_stop(&b->fe, b->number[role], &b->ring[role]), 0);
	}
}

void balloon_open(struct balloon *b, const char *socket, const struct guest_options *opt)
{
	balloon_lay_out(b, opt);
	balloon_connect(b, socket);
	balloon_share(b);
	balloon_start_rings(b);
}

void balloon_drop(struct balloon *b)
{
	fe_close(&b->fe);
}

void balloon_close(struct balloon *b)
{
	fe_close(&b->fe);
	for (unsigned i = 0; i < BAL_MAX_QUEUES; i++)
		fe_ring_free(&b->ring[i]);
	fe_memory_free(&b->mem);
	free(b->pages);
	b->pages = NULL;
}

/* --- queues --- */

void balloon_submit(struct balloon *b, enum bal_role role, const struct fe_buf *bufs,
		    unsigned num_out, unsigned num_in)
{
	struct fe_ring *ring = &b->ring[role];

	ck_assert_int_ge(fe_ring_add(ring, bufs, num_out, num_in), 0);
	fe_ring_publish(ring);
	fe_ring_kick(ring);
}

uint32_t balloon_wait(struct balloon *b, enum bal_role role)
{
	struct fe_used used = {0};

	ck_assert_int_eq(fe_ring_wait(&b->ring[role], WAIT_MS), 0);
	ck_assert_int_eq(fe_ring_poll(&b->ring[role], &used, 1), 1);
	return used.len;
}

uint32_t balloon_chain(struct balloon *b, enum bal_role role, const struct fe_buf *bufs,
		       unsigned num_out, unsigned num_in)
{
	balloon_submit(b, role, bufs, num_out, num_in);
	return balloon_wait(b, role);
}

void balloon_say(struct balloon *b, enum bal_role role, const uint32_t *pfns, unsigned num)
{
	struct fe_buf buf = {b->pfns.gpa, num * 4};
	uint32_t *to = (uint32_t *)(void *)b->pfns.host;

	ck_assert_uint_le(num, MAX_PFNS);
	for (unsigned i = 0; i < num; i++)
		to[i] = htole32(pfns[i]);
	ck_assert_uint_eq(balloon_chain(b, role, &buf, 1, 0), 0);
}

static void say_pages(struct balloon *b, enum bal_role role, const unsigned *pages, unsigned num)
{
	uint32_t *pfns = calloc(num, sizeof(*pfns));

	ck_assert_ptr_nonnull(pfns);
	for (unsigned i = 0; i < num; i++)
		pfns[i] = b->pages[pages[i]].pfn;
	balloon_say(b, role, pfns, num);
	free(pfns);
}

void balloon_inflate(struct balloon *b, const unsigned *pages, unsigned num)
{
	for (unsigned i = 0; i < num; i++)
		b->pages[pages[i]].gone = true;
	say_pages(b, BAL_INFLATE, pages, num);
}

void balloon_deflate(struct balloon *b, const unsigned *pages, unsigned num)
{
	say_pages(b, BAL_DEFLATE, pages, num);
	for (unsigned i = 0; i < num; i++) {
		b->pages[pages[i]].gone = false;
		balloon_write(b, pages[i]);
	}
}

void balloon_report(struct balloon *b, unsigned first, unsigned num)
{
	struct fe_buf buf = {(uint64_t)b->pages[first].pfn * PAGE_BYTES, num * PAGE_BYTES};

	ck_assert_uint_eq(balloon_chain(b, BAL_REPORTING, &buf, 0, 1), 0);
}

void balloon_gone(struct balloon *b, unsigned first, unsigned num, bool gone)
{
	for (unsigned i = 0; i < num; i++)
		b->pages[first + i].gone = gone;
}

/* --- what became of the pages --- */

uint64_t balloon_blocks(const struct balloon *b)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < b->opt.regions; i++) {
		struct stat st;

		ck_assert_int_eq(fstat(b->mem.regions[i].fd, &st), 0);
		bytes += (uint64_t)st.st_blocks * 512;
	}
	return bytes;
}

/* A page of the file is there as long as one of the guest's in it is. */
static uint64_t expected_blocks(const struct balloon *b)
{
	unsigned host_page = b->opt.huge ? HUGE_PAGES : 1, gone = 0;
	uint64_t bytes = (uint64_t)(WORK_PAGES + b->num_all) * PAGE_BYTES;

	for (unsigned i = 0; i < b->num_all; i++) {
		gone = b->pages[i].gone ? gone + 1 : 0;
		if (gone == host_page) {
			bytes -= (uint64_t)host_page * PAGE_BYTES;
			gone = 0;
		} else if (i % host_page == host_page - 1) {
			gone = 0;
		}
	}
	return bytes;
}

/* Read from the file: a hole that is looked at through a mapping is one no more. */
static void check_pages(const struct balloon *b)
{
	uint64_t now[PAGE_BYTES / 8], expected[PAGE_BYTES / 8];

	for (unsigned i = 0; i < b->num_all; i++) {
		const struct page *page = &b->pages[i];

		memset(expected, 0, sizeof(expected));
		if (!page->gone)
			put_pattern(expected, page);
		ck_assert_int_eq(pread(b->mem.regions[page->region].fd, now, PAGE_BYTES,
				       (off_t)page->offset),
				 PAGE_BYTES);
		ck_assert_msg(!memcmp(now, expected, PAGE_BYTES),
			      "page %u (pfn %x): %llx, expected %llx", i, page->pfn,
			      (unsigned long long)now[0], (unsigned long long)expected[0]);
	}
}

void balloon_settles(struct balloon *b)
{
	uint64_t expected = expected_blocks(b);

	for (unsigned ms = 0; ms < 5000 && balloon_blocks(b) != expected; ms++)
		usleep(1000);
	check_pages(b);
	ck_assert_uint_eq(balloon_blocks(b), expected);
}

void balloon_stays(struct balloon *b)
{
	usleep(SETTLED_MS * 1000);
	balloon_settles(b);
}

/* --- configuration and control --- */

int balloon_set_word(struct balloon *b, uint32_t offset, uint32_t value)
{
	value = htole32(value);
	return fe_set_config(&b->fe, offset, sizeof(value), 0, &value);
}

uint32_t balloon_word(struct balloon *b, uint32_t offset)
{
	uint32_t value;

	ck_assert_int_eq(fe_get_config(&b->fe, offset, sizeof(value), &value), 0);
	return le32toh(value);
}

json_t *balloon_get(unsigned vm, const char *keys)
{
	json_t *all = blkd_call("balloon.get"), *at;
	char copy[128], *key, *rest = copy;

	ck_assert_ptr_nonnull(all);
	snprintf(copy, sizeof(copy), "%s", keys);
	at = json_array_get(json_object_get(all, "vms"), vm);
	ck_assert_ptr_nonnull(at);
	while ((key = strsep(&rest, "/")))
		at = json_object_get(at, key);
	json_incref(at);
	json_decref(all);
	return at;
}

int64_t balloon_number(unsigned vm, const char *keys)
{
	json_t *value = balloon_get(vm, keys);
	int64_t number = json_is_integer(value) ? json_integer_value(value) : -1;

	json_decref(value);
	return number;
}

bool balloon_ask(const char *arguments)
{
	json_t *result = blkd_call(arguments);
	bool done = result;

	json_decref(result);
	return done;
}

unsigned *shuffle(unsigned num, unsigned seed)
{
	unsigned *order = calloc(num, sizeof(*order));

	ck_assert_ptr_nonnull(order);
	for (unsigned i = 0; i < num; i++)
		order[i] = i;
	for (unsigned i = num; i > 1; i--) {
		unsigned other, was = order[i - 1];

		seed = seed * 1103515245 + 12345;
		other = (seed >> 8) % i;
		order[i - 1] = order[other];
		order[other] = was;
	}
	return order;
}
