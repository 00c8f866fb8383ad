/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon.c - a guest's balloon driver without a guest, for bench/balloon: how long pages take to
 * leave the memfd, by one fallocate(2) for each stretch (the raw limit), and by a daemon.
 * Main thread; it polls its rings, and sleeps while it only waits for pages to go.
 *
 * Usage: balloon-load SOCKET CPU DAEMON-CPU MIB contiguous|shuffled|scattered small|huge PHASE...
 *
 * Each PHASE (raw, here, queued, one) begins with every page there, and prints "PHASE SECONDS": the
 * pages of the pattern are gone, by the file's block count. raw is a process of its own, on the
 * daemon's CPU, since freeing pages that another CPU has mapped costs more than freeing one's own;
 * here is this process. First comes a line "pages N stretches N".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "bench/balloon_order.h"
#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/frontend/frontend.h"

#define RING_SIZE   128u
#define CHAIN_PFNS  256u /* as Linux has them (VIRTIO_BALLOON_ARRAY_PFNS_MAX) */
#define PAGE_BYTES  4096u
#define HUGE_BYTES  (2ull << 20)
#define RAM_GPA     (4ull << 30)
#define MAX_MIB     65536u
#define BLOCK_BYTES 512u /* the unit of st_blocks */
#define LOOK_NS     100000
#define STALL_NS    30000000000ull

#define INFLATE 0u
#define DEFLATE 1u

struct stretch {
	off_t offset, bytes;
};

struct load {
	struct fe fe;
	struct fe_memory mem; /* region 0: rings and page numbers; region 1: what comes and goes */
	const struct fe_region *ram;
	struct fe_ring rings[2];
	uint32_t *pfns; /* in guest memory, in the order in which the driver names them */
	uint64_t pfns_gpa;
	unsigned num_pfns;
	struct stretch *stretches; /* the same pages, sorted and merged */
	unsigned num_stretches;
	int daemon_cpu;
};

static void check(const char *what, int ret)
{
	if (ret < 0)
		fatal("%s: %s", what, strerror(-ret));
}

/* --- the pages --- */

static void make_pattern(struct load *load, const char *pattern)
{
	unsigned step = balloon_step(pattern);
	struct fe_mem at;
	unsigned i;

	load->num_pfns = (unsigned)(load->ram->size / PAGE_BYTES / step);
	if (fe_alloc_in(&load->mem, 0, load->num_pfns * sizeof(uint32_t), PAGE_BYTES, &at))
		fatal("no room for the page numbers");
	load->pfns = (uint32_t *)at.host;
	load->pfns_gpa = at.gpa;
	balloon_order(pattern, load->pfns, load->num_pfns, (uint32_t)(load->ram->gpa / PAGE_BYTES));

	load->num_stretches = step == 1 ? 1 : load->num_pfns;
	load->stretches = calloc(load->num_stretches, sizeof(*load->stretches));
	if (!load->stretches)
		fatal("out of memory");
	load->stretches[0] = (struct stretch){0, (off_t)load->ram->size};
	for (i = 0; step > 1 && i < load->num_stretches; i++)
		load->stretches[i] = (struct stretch){(off_t)i * step * PAGE_BYTES, PAGE_BYTES};
}

static uint64_t bytes_there(const struct load *load)
{
	struct stat st;

	if (fstat(load->ram->fd, &st))
		fatal("fstat: %s", strerror(errno));
	return (uint64_t)st.st_blocks * BLOCK_BYTES;
}

static void populate(const struct load *load)
{
	uint64_t at;

	for (at = 0; at < load->ram->size; at += load->ram->page_bytes)
		*(volatile uint64_t *)(load->ram->host + at) = at;
	if (bytes_there(load) != load->ram->size)
		fatal("the memory is not all there: %llu of %llu bytes",
		      (unsigned long long)bytes_there(load), (unsigned long long)load->ram->size);
}

static void await_gone(const struct load *load)
{
	uint64_t rest = load->ram->size - (uint64_t)load->num_pfns * PAGE_BYTES;
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	uint64_t start = clock_ns();

	while (bytes_there(load) > rest) {
		if (clock_ns() - start > STALL_NS)
			fatal("%llu bytes are still there",
			      (unsigned long long)(bytes_there(load) - rest));
		nanosleep(&pause, NULL);
	}
	if (bytes_there(load) < rest)
		fatal("pages that were not named are gone");
}

/* --- the driver --- */

/* Have all pages named on ring @index, @depth chains at a time. */
static void name_pages(struct load *load, unsigned index, unsigned depth)
{
	struct fe_ring *ring = &load->rings[index];
	struct fe_used used[RING_SIZE];
	unsigned next = 0, flying = 0;
	int n;

	while (next < load->num_pfns || flying) {
		for (; next < load->num_pfns && flying < depth; flying++) {
			unsigned pfns = min_of(CHAIN_PFNS, load->num_pfns - next);
			struct fe_buf buf = {load->pfns_gpa + next * sizeof(uint32_t),
					     pfns * (uint32_t)sizeof(uint32_t)};

			check("a chain", fe_ring_add(ring, &buf, 1, 0));
			next += pfns;
		}
		fe_ring_publish(ring);
		fe_ring_kick(ring);
		n = fe_ring_poll(ring, used, RING_SIZE);
		check("the ring", n);
		flying -= (unsigned)n;
	}
}

static void start_session(struct load *load, const char *path)
{
	uint64_t wanted = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
			  VU_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST);
	unsigned i;

	check("cannot connect", fe_connect(&load->fe, path));
	check("negotiation",
	      fe_negotiate(&load->fe, wanted, VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK)));
	check("memory", fe_share_memory(&load->fe, &load->mem));
	for (i = 0; i < ARRAY_SIZE(load->rings); i++) {
		struct fe_ring_options options = {
			.size = RING_SIZE,
			.event_idx = load->fe.features & VU_BIT(VIRTIO_RING_F_EVENT_IDX),
		};

		check("a ring", fe_ring_init(&load->rings[i], &load->mem, &options));
		check("starting a ring", fe_ring_start(&load->fe, i, &load->rings[i]));
	}
	check("starting the rings", fe_sync(&load->fe));
}

static void end_session(struct load *load)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(load->rings); i++) {
		check("stopping a ring", fe_ring_stop(&load->fe, i, &load->rings[i]));
		fe_ring_free(&load->rings[i]);
	}
	fe_close(&load->fe);
}

/* --- what is measured --- */

static void punch_all(const struct load *load)
{
	unsigned i;

	for (i = 0; i < load->num_stretches; i++)
		if (fallocate(load->ram->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      load->stretches[i].offset, load->stretches[i].bytes))
			fatal("fallocate: %s", strerror(errno));
}

/* punch_elsewhere - a child on CPU load->daemon_cpu does it, as soon as the pipe that is returned is
 * closed. */
static int punch_elsewhere(const struct load *load)
{
	int fds[2];
	char end;

	if (pipe(fds))
		fatal("pipe: %s", strerror(errno));
	fflush(stdout);
	switch (fork()) {
	case -1:
		fatal("fork: %s", strerror(errno));
	case 0:
		close(fds[1]);
		check("cannot run on that CPU", affinity_pin_self(load->daemon_cpu));
		if (read(fds[0], &end, 1) == 0)
			punch_all(load);
		_exit(0);
	default:
		close(fds[0]);
		return fds[1];
	}
}

static void run_phase(struct load *load, const char *phase)
{
	bool raw = !strcmp(phase, "raw"), here = !strcmp(phase, "here");
	bool one = !strcmp(phase, "one"), queued = !strcmp(phase, "queued");
	uint64_t start, took;
	int go = -1;

	if (!raw && !here && !one && !queued)
		usage_error("%s: raw, here, queued or one", phase);
	populate(load);
	if (raw)
		go = punch_elsewhere(load);
	start = clock_ns();
	close_fd(&go);
	if (here)
		punch_all(load);
	else if (!raw)
		name_pages(load, INFLATE, one ? 1 : RING_SIZE);
	await_gone(load);
	took = clock_ns() - start;
	if (raw)
		wait(NULL);
	if (one || queued)
		name_pages(load, DEFLATE, RING_SIZE);
	printf("%s %.9f\n", phase, (double)took / 1e9);
}

static void make_memory(struct load *load, uint64_t bytes, bool huge)
{
	uint64_t numbers = bytes / PAGE_BYTES * sizeof(uint32_t);

	fe_memory_init(&load->mem);
	check("guest memory",
	      fe_memory_add(&load->mem, 0, align_up(numbers + HUGE_BYTES, HUGE_BYTES), false));
	check(huge ? "guest memory on huge pages (/proc/sys/vm/nr_hugepages)" : "guest memory",
	      fe_memory_add(&load->mem, RAM_GPA, bytes, huge));
	load->ram = &load->mem.regions[1];
}

int main(int argc, char **argv)
{
	static struct load load;
	uint64_t cpu, daemon_cpu, mib;
	bool session, huge;
	int i;

	log_init("balloon-load");
	if (argc < 8 || parse_uint(argv[2], 0, CPU_SETSIZE - 1, &cpu) ||
	    parse_uint(argv[3], 0, CPU_SETSIZE - 1, &daemon_cpu) ||
	    parse_uint(argv[4], 2, MAX_MIB, &mib))
		usage_error("usage: balloon-load SOCKET CPU DAEMON-CPU MIB "
			    "contiguous|shuffled|scattered small|huge PHASE...");
	load.daemon_cpu = (int)daemon_cpu;
	huge = !strcmp(argv[6], "huge");
	session = strcmp(argv[1], "-"); /* "-": nothing but raw */
	check("cannot run on that CPU", affinity_pin_self((int)cpu));
	make_memory(&load, align_down(mib << 20, HUGE_BYTES), huge);
	make_pattern(&load, argv[5]);
	printf("pages %u stretches %u\n", load.num_pfns, load.num_stretches);
	if (session)
		start_session(&load, argv[1]);
	for (i = 7; i < argc; i++)
		run_phase(&load, argv[i]);
	if (session)
		end_session(&load);
	fe_memory_free(&load.mem);
	free(load.stretches);
	return 0;
}
