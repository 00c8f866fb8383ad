/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_load.c - a guest's network driver without a guest, for bench/net-compare: how long a frame
 * takes to a device behind any vhost-user back-end that sends it back, and home again.
 * Main thread, which polls its rings. Every frame that comes is compared with the one it sent.
 *
 * Usage: net-load SOCKET CPU split|packed PAUSE-US REQUESTS
 *
 * One frame of 64 bytes is on its way at a time; the next is sent PAUSE-US after the last one came
 * back. The first tenth does not count. Prints {"median_us": N, "p99_us": N, "requests": N}.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/affinity.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/base/parse.h"
#include "vhost/frontend/frontend.h"

#define RING_SIZE    256u
#define RAM_BYTES    (4u << 20)
#define FRAME_BYTES  64u
#define BUFFER_BYTES 2048u
#define HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define ETHERTYPE    0x88b5 /* for local experiments: nobody in between understands it */
#define STALL_NS     2000000000ull
#define LINK_NS      100000000ull /* between trials until the first frame comes back */
#define LINK_TRIALS  50u

enum ring { RX, TX, NUM_RINGS };

struct load {
	struct fe fe;
	struct fe_memory mem;
	struct fe_ring rings[NUM_RINGS];
	struct fe_mem buffers[RING_SIZE]; /* by head of the receive ring */
	struct fe_mem sent; /* header and frame */
	unsigned head; /* of the chain that sends it */
};

static void check(const char *what, int ret)
{
	if (ret < 0)
		fatal("%s: %s", what, strerror(-ret));
}

static void start_session(struct load *load, const char *path, bool packed)
{
	uint64_t wanted = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VIRTIO_NET_F_MRG_RXBUF) |
			  (packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0);
	struct fe_ring_options options = {.size = RING_SIZE, .packed = packed};
	unsigned i;

	fe_memory_init(&load->mem);
	check("guest memory", fe_memory_add(&load->mem, 0, RAM_BYTES, false));
	check("cannot connect", fe_connect(&load->fe, path));
	check("negotiation",
	      fe_negotiate(&load->fe, wanted, VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_REPLY_ACK)));
	if ((load->fe.features & wanted) != wanted)
		fatal("the back-end lacks features: %#llx of %#llx",
		      (unsigned long long)load->fe.features, (unsigned long long)wanted);
	check("memory", fe_share_memory(&load->fe, &load->mem));
	for (i = 0; i < NUM_RINGS; i++) {
		check("a ring", fe_ring_init(&load->rings[i], &load->mem, &options));
		check("starting a ring", fe_ring_start(&load->fe, i, &load->rings[i]));
	}
	check("starting the rings", fe_sync(&load->fe));
}

static void give_buffers(struct load *load)
{
	struct fe_ring *rx = &load->rings[RX];
	struct fe_mem piece;
	unsigned i;

	for (i = 0; i < RING_SIZE; i++) {
		struct fe_buf buf = {.len = BUFFER_BYTES};
		int head;

		check("a buffer", fe_alloc(&load->mem, BUFFER_BYTES, BUFFER_BYTES, &piece));
		buf.gpa = piece.gpa;
		head = fe_ring_prepare(rx, &buf, 0, 1);
		check("a buffer", head);
		load->buffers[head] = piece;
		fe_ring_submit(rx, (unsigned)head);
	}
	fe_ring_publish(rx);
	fe_ring_kick(rx);
}

static void make_frame(struct load *load)
{
	struct fe_buf buf = {.len = HEADER_BYTES + FRAME_BYTES};
	int head;

	check("a frame", fe_alloc(&load->mem, BUFFER_BYTES, BUFFER_BYTES, &load->sent));
	buf.gpa = load->sent.gpa;
	memcpy(load->sent.host + HEADER_BYTES,
	       (const uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, ETHERTYPE >> 8,
				 ETHERTYPE & 0xff},
	       14);
	head = fe_ring_prepare(&load->rings[TX], &buf, 1, 0);
	check("a frame", head);
	load->head = (unsigned)head;
	/* net_vhost gives a packed chain that it read back with a length, as if it had written. */
	fe_ring_claim(&load->rings[TX], load->head, UINT32_MAX);
}

/* received - has the frame of this number come? Older ones are dropped, buffers given back. */
static bool received(struct load *load)
{
	struct fe_ring *rx = &load->rings[RX];
	struct fe_used used[RING_SIZE];
	bool found = false;
	int i, n = fe_ring_poll(rx, used, RING_SIZE);

	if (n < 0)
		fatal("the receive ring: %s", rx->why);
	if (!n)
		return false;
	for (i = 0; i < n; i++) {
		const uint8_t *frame = load->buffers[used[i].head].host + HEADER_BYTES;

		if (used[i].len == HEADER_BYTES + FRAME_BYTES)
			found |= !memcmp(frame, load->sent.host + HEADER_BYTES, FRAME_BYTES);
		fe_ring_submit(rx, used[i].head);
	}
	fe_ring_publish(rx);
	fe_ring_kick(rx);
	return found;
}

/* ask - send frame @number and wait for it. Return: ns, or 0 when it did not come in time. */
static uint64_t ask(struct load *load, uint64_t number, uint64_t limit_ns)
{
	struct fe_ring *tx = &load->rings[TX];
	struct fe_used used;
	uint64_t start, now;
	bool came = false, free = false;

	memcpy(load->sent.host + HEADER_BYTES + 14, &number, sizeof(number));
	start = now = clock_ns();
	fe_ring_submit(tx, load->head);
	fe_ring_publish(tx);
	fe_ring_kick(tx);
	while (!(came && free)) {
		int n = free ? 0 : fe_ring_poll(tx, &used, 1);

		if (n < 0)
			fatal("the transmit ring: %s", tx->why);
		free |= n > 0;
		if (!came && received(load)) {
			came = true;
			now = clock_ns();
		}
		if (came || clock_ns() - start < (free ? limit_ns : STALL_NS))
			continue;
		if (!free)
			fatal("a frame is not taken");
		return 0;
	}
	return now - start;
}

/* The back-end may still be about to find its rings. */
static void await_link(struct load *load)
{
	unsigned i;

	for (i = 1; i <= LINK_TRIALS; i++)
		if (ask(load, UINT64_MAX - i, LINK_NS))
			return;
	fatal("no frame comes back");
}

static void spin(uint64_t ns)
{
	uint64_t start = clock_ns();

	while (clock_ns() - start < ns)
		;
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
	static struct load load;
	uint64_t cpu, pause_us, requests, i, warm, half, hundredth;
	uint64_t *took, *measured;

	log_init("net-load");
	if (argc != 6 || parse_uint(argv[2], 0, CPU_SETSIZE - 1, &cpu) ||
	    (strcmp(argv[3], "split") && strcmp(argv[3], "packed")) ||
	    parse_uint(argv[4], 0, 1000000, &pause_us) ||
	    parse_uint(argv[5], 10, 100000000, &requests))
		usage_error("usage: net-load SOCKET CPU split|packed PAUSE-US REQUESTS");
	took = calloc(requests, sizeof(*took));
	if (!took)
		fatal("out of memory");
	check("cannot run on that CPU", affinity_pin_self((int)cpu));
	start_session(&load, argv[1], !strcmp(argv[3], "packed"));
	give_buffers(&load);
	make_frame(&load);
	await_link(&load);
	for (i = 0; i < requests; i++) {
		spin(pause_us * 1000);
		took[i] = ask(&load, i, STALL_NS);
		if (!took[i])
			fatal("frame %llu does not come back", (unsigned long long)i);
	}
	warm = requests / 10;
	requests -= warm;
	measured = took + warm;
	qsort(measured, requests, sizeof(*measured), by_size);
	half = requests / 2;
	hundredth = requests / 100;
	printf("{\"median_us\": %.3f, \"p99_us\": %.3f, \"requests\": %llu}\n",
	       (double)measured[half] / 1e3, (double)measured[requests - 1 - hundredth] / 1e3,
	       (unsigned long long)requests);
	free(took);
	return 0;
}
