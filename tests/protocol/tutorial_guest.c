/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tutorial_guest.c - what the balloon of vhost/backend/TUTORIAL.md meets in test_tutorial: a driver,
 * well-behaved first, hostile then. Main thread. Tests only.
 *
 * Usage: tutorial_guest SOCKET. Prints "ok WHAT" or "not ok WHAT" for each thing it tries.
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/frontend/frontend.h"

#define PAGE_BYTES  4096u
#define RAM_GPA     (1ull << 32)
#define RAM_PAGES   64u
#define FIRST_PFN   ((uint32_t)(RAM_GPA / PAGE_BYTES))
#define RING_SIZE   16u
#define PATIENCE_NS 5000000000ull
#define LOOK_NS     1000000

struct guest {
	struct fe fe;
	struct fe_memory mem; /* region 0: rings and page numbers; region 1: pages */
	struct fe_ring rings[2];
	struct fe_mem pfns;
	bool gone[RAM_PAGES]; /* pages that should be, by now */
	bool failed;
};

static void report(struct guest *g, bool passed, const char *what)
{
	printf("%s %s\n", passed ? "ok" : "not ok", what);
	g->failed |= !passed;
}

static void must(const char *what, int ret)
{
	if (ret < 0)
		fatal("%s: %s", what, strerror(-ret));
}

static uint64_t *word_of(const struct guest *g, unsigned page)
{
	return (uint64_t *)(g->mem.regions[1].host + (size_t)page * PAGE_BYTES);
}

/* --- what is there --- */

static void fill(struct guest *g)
{
	unsigned page;

	for (page = 0; page < RAM_PAGES; page++) {
		*word_of(g, page) = ~(uint64_t)page;
		g->gone[page] = false;
	}
}

static bool blocks_are(const struct guest *g, uint64_t pages)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	uint64_t start = clock_ns();
	struct stat st;

	do {
		if (fstat(g->mem.regions[1].fd, &st))
			return false;
		if ((uint64_t)st.st_blocks * 512 == pages * PAGE_BYTES)
			return true;
		nanosleep(&pause, NULL);
	} while (clock_ns() - start < PATIENCE_NS);
	return false;
}

/* As many pages are left as should be, by the file's blocks, and they are the right ones. */
static bool as_expected(const struct guest *g)
{
	unsigned page, left = 0;

	for (page = 0; page < RAM_PAGES; page++)
		left += !g->gone[page];
	if (!blocks_are(g, left))
		return false;
	for (page = 0; page < RAM_PAGES; page++)
		if (!g->gone[page] && *word_of(g, page) != ~(uint64_t)page)
			return false;
	return true;
}

/* --- the driver --- */

/* One chain of one buffer. Return: it was used, with nothing written. */
static bool send(struct guest *g, unsigned index, struct fe_buf buf, bool writable)
{
	struct fe_ring *ring = &g->rings[index];
	struct fe_used used;

	must("a chain", fe_ring_add(ring, &buf, !writable, writable));
	fe_ring_publish(ring);
	fe_ring_kick(ring);
	if (fe_ring_wait(ring, (int)(PATIENCE_NS / 1000000)))
		return false;
	return fe_ring_poll(ring, &used, 1) == 1 && used.len == 0;
}

static bool send_pfns(struct guest *g, unsigned index, const uint32_t *pfns, unsigned num,
		      unsigned odd_bytes)
{
	struct fe_buf buf = {g->pfns.gpa, num * (uint32_t)sizeof(*pfns) + odd_bytes};

	memcpy(g->pfns.host, pfns, num * sizeof(*pfns));
	return send(g, index, buf, false);
}

static void connect_to(struct guest *g, const char *path)
{
	unsigned i;

	must("cannot connect", fe_connect(&g->fe, path));
	must("negotiation",
	     fe_negotiate(&g->fe,
			  VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
				  VU_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST),
			  VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK) | VU_BIT(VU_PF_CONFIG)));
	must("memory", fe_share_memory(&g->fe, &g->mem));
	for (i = 0; i < ARRAY_SIZE(g->rings); i++)
		must("a ring", fe_ring_start(&g->fe, i, &g->rings[i]));
}

static void disconnect(struct guest *g)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(g->rings); i++)
		must("stopping a ring", fe_ring_stop(&g->fe, i, &g->rings[i]));
	fe_close(&g->fe);
}

static void boot(struct guest *g)
{
	const struct fe_ring_options options = {.size = RING_SIZE, .event_idx = true};
	unsigned i;

	fe_memory_init(&g->mem);
	must("memory", fe_memory_add(&g->mem, 0, 1u << 20, false));
	must("memory", fe_memory_add(&g->mem, RAM_GPA, RAM_PAGES * PAGE_BYTES, false));
	for (i = 0; i < ARRAY_SIZE(g->rings); i++)
		must("a ring", fe_ring_init(&g->rings[i], &g->mem, &options));
	must("memory", fe_alloc_in(&g->mem, 0, PAGE_BYTES, PAGE_BYTES, &g->pfns));
}

/* --- what is tried --- */

static void try_config(struct guest *g)
{
	struct virtio_balloon_config config;
	__le32 actual = htole32(3);
	int ret;

	ret = fe_get_config(&g->fe, 0, sizeof(config), &config);
	report(g, !ret, "the configuration space can be read");
	ret = fe_set_config(&g->fe, offsetof(struct virtio_balloon_config, actual), sizeof(actual),
			    0, &actual);
	report(g,
	       !ret && !fe_get_config(&g->fe, 0, sizeof(config), &config) &&
		       config.actual == actual,
	       "the driver can say how large its balloon is");
	config.num_pages = ~config.num_pages;
	ret = fe_set_config(&g->fe, 0, sizeof(config), 0, &config);
	report(g, ret == -EREMOTEIO, "but not how large it should be");
}

static void try_inflate(struct guest *g)
{
	const uint32_t pfns[] = {FIRST_PFN + 9, FIRST_PFN + 2, FIRST_PFN + 3, FIRST_PFN + 63};
	bool used;
	unsigned i;

	used = send_pfns(g, 0, pfns, ARRAY_SIZE(pfns), 0);
	for (i = 0; i < ARRAY_SIZE(pfns); i++)
		g->gone[pfns[i] - FIRST_PFN] = true;
	report(g, used && as_expected(g), "pages of the balloon are the host's, no others");
	used = send_pfns(g, 1, pfns, ARRAY_SIZE(pfns), 0);
	fill(g);
	report(g, used && as_expected(g), "they can be taken back");
}

static void try_hostile(struct guest *g)
{
	const uint32_t outside[] = {UINT32_MAX, FIRST_PFN - 1, FIRST_PFN + RAM_PAGES, 1u << 19};
	const uint32_t mixed[] = {UINT32_MAX, FIRST_PFN + 5, FIRST_PFN + RAM_PAGES};
	bool used;

	used = send_pfns(g, 0, outside, ARRAY_SIZE(outside), 0);
	report(g, used && as_expected(g), "page numbers outside of memory do nothing");
	used = send_pfns(g, 0, outside, 1, 3);
	report(g, used && as_expected(g), "nor does part of a page number");
	used = send(g, 0, (struct fe_buf){g->pfns.gpa, PAGE_BYTES}, true);
	report(g, used && as_expected(g), "nor a buffer that is ours to write");
	used = send(g, 0, (struct fe_buf){1ull << 50, PAGE_BYTES}, false);
	report(g, used && as_expected(g), "nor a buffer outside of memory");
	used = send_pfns(g, 0, mixed, ARRAY_SIZE(mixed), 0);
	g->gone[5] = true;
	report(g, used && as_expected(g), "a good page between bad ones goes");
}

int main(int argc, char **argv)
{
	static struct guest g;
	unsigned i;

	log_init("tutorial_guest");
	if (argc != 2)
		usage_error("usage: tutorial_guest SOCKET");
	boot(&g);
	connect_to(&g, argv[1]);
	fill(&g);
	try_config(&g);
	try_inflate(&g);
	try_hostile(&g);
	disconnect(&g);
	connect_to(&g, argv[1]);
	fill(&g);
	try_inflate(&g);
	disconnect(&g);
	for (i = 0; i < ARRAY_SIZE(g.rings); i++)
		fe_ring_free(&g.rings[i]);
	fe_memory_free(&g.mem);
	return g.failed;
}
