/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_offload_tool.c - what net/offload.h, gro.h and rss.h make of frames that another program thinks
 * of: test_net_scapy. It writes jobs to our standard input and reads what becomes of each, in host
 * byte order, from the standard output. Tests only.
 */
#include <assert.h>
#include <errno.h>

#include "net/gro.h"
#include "net/offload.h"
#include "net/rss.h"
#include "tests/unit/net_frame_rig.h"

enum what { SOFTEN, JOIN, HASH };

struct job {
	uint32_t what;
	uint32_t num; /* frames that follow: struct job_frame and its bytes */
	uint64_t features; /* negotiated by the sender */
	uint64_t takes; /* of the receiver, its features as well */
	uint32_t hash_types;
	uint8_t key[NET_RSS_MAX_KEY];
};

struct job_frame {
	struct virtio_net_hdr hdr;
	uint8_t valid; /* its checksum was looked at */
	uint32_t bytes;
	uint32_t linear; /* in the first mbuf */
	uint32_t piece; /* of what is borrowed; 0: in mbufs */
};

static_assert(sizeof(struct job) == 72 && sizeof(struct job_frame) == 24,
	      "as test_net_scapy has it");

/* An answer: how many frames (-errno: none), each with its header, length and bytes. */

static uint8_t bytes[NET_MAX_FRAME_BYTES];
static struct rte_mbuf *frames[NET_MAX_SEGMENTS];

static bool get(void *to, size_t n)
{
	return fread(to, 1, n, stdin) == n;
}

static void put(const void *from, size_t n)
{
	if (fwrite(from, 1, n, stdout) != n)
		rig_fail("fwrite");
}

static void answer(int num, uint64_t takes)
{
	int32_t count = num;

	put(&count, sizeof(count));
	for (int i = 0; i < num; i++) {
		struct virtio_net_hdr_v1_hash hdr;
		uint32_t n = net_frame_bytes(frames[i]);

		net_offload_header(frames[i], takes, &hdr);
		put(&hdr, sizeof(hdr));
		put(&n, sizeof(n));
		net_frame_read(frames[i], 0, bytes, n);
		put(bytes, n);
		rte_pktmbuf_free(frames[i]);
	}
}

static struct rte_mbuf *get_frame(const struct job *job, int *error)
{
	struct rte_mbuf *frame;
	struct job_frame f;

	if (!get(&f, sizeof(f)) || f.bytes > sizeof(bytes) || !get(bytes, f.bytes))
		rig_fail("a frame cut short");
	frame = rig_frame(bytes, f.bytes, f.linear, f.piece);
	if (!net_offload_check(frame, &f.hdr, job->features))
		*error = -EINVAL;
	if (f.valid)
		net_meta(frame)->offload.flags |= VIRTIO_NET_HDR_F_DATA_VALID;
	return frame;
}

static int do_job(const struct job *job)
{
	struct net_rss rss = {.types = job->hash_types};
	unsigned num = job->num;
	int error = 0;

	for (unsigned i = 0; i < num; i++)
		frames[i] = get_frame(job, &error);
	if (error) {
		rte_pktmbuf_free_bulk(frames, num);
		return error;
	}
	switch (job->what) {
	case SOFTEN:
		num = net_offload_soften(frames[0], job->takes, frames, ARRAY_SIZE(frames), &error);
		return num ? (int)num : error;
	case JOIN:
		return (int)net_gro(frames, num, job->takes);
	case HASH:
		memcpy(rss.key, job->key, sizeof(rss.key));
		net_rss_hash(frames[0], &rss);
	}
	return (int)num;
}

int main(void)
{
	struct job job;

	rig_start();
	while (get(&job, sizeof(job))) {
		if (!job.num || job.num > ARRAY_SIZE(frames))
			rig_fail("a job");
		answer(do_job(&job), job.takes);
		fflush(stdout);
		if (!rig_all_free())
			rig_fail("mbufs leaked");
	}
	return 0;
}
