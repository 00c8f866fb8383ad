/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net_offload.c - any virtio_net_hdr with any frame: what is believed fits the frame; segments
 * carry all of its payload and nothing else, fit themselves, and are believed in turn; what was
 * joined can be cut again.
 *
 * Input: struct input and the bytes of the frame; or, with MODE_JOIN, of several, each behind its
 * length in two bytes.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/gro.h"
#include "net/headers.h"
#include "net/offload.h"
#include "net/rss.h"
#include "tests/unit/net_frame_rig.h"

struct input {
	struct virtio_net_hdr hdr;
	uint16_t takes; /* bits: which of takes_bits[] */
	uint16_t more_bytes; /* of the frame, behind those of the input */
	uint16_t piece_bytes; /* of what is borrowed; 0: nothing is */
	uint8_t linear_bytes; /* in the first mbuf, beside NET_MIN_FRAME_BYTES */
	uint8_t mode; /* MODE_* */
};
static_assert(sizeof(struct input) == 18, "as make-corpus has it");

#define MODE_JOIN       1u
#define MODE_VALID      2u /* the port looked at the checksums */
#define MODE_FIT        4u /* what IP says of its length is made true */
#define MODE_MAX_FRAMES 40u

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

static const uint64_t takes_bits[] = {BIT(GUEST_CSUM), BIT(GUEST_TSO4), BIT(GUEST_TSO6),
				      BIT(GUEST_ECN),  BIT(GUEST_UFO),  BIT(GUEST_USO4),
				      BIT(GUEST_USO6)};

#define SENDER                                                                         \
	(BIT(CSUM) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_UFO) | \
	 BIT(HOST_USO))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct rte_mbuf *out[NET_MAX_SEGMENTS];
static uint8_t whole[NET_MAX_FRAME_BYTES], part[NET_MAX_FRAME_BYTES];
static struct iovec pieces[NET_MAX_FRAME_BYTES];

/* make_frame - @borrowed is memory of just the size, so that reading beyond it is seen. */
static struct rte_mbuf *make_frame(const struct input *in, const uint8_t *data, uint32_t bytes,
				   uint8_t **borrowed)
{
	uint32_t linear = min_of(bytes, (uint32_t)NET_MIN_FRAME_BYTES + in->linear_bytes);
	uint32_t rest = bytes - linear, n;
	struct rte_mbuf *frame = rig_frame(data, linear, linear, 0);
	struct net_frame_meta *meta = net_meta(frame);

	*borrowed = NULL;
	if (!in->piece_bytes) {
		rig_chain(frame, data + linear, rest);
		return frame;
	}
	if (!rest)
		return frame;
	*borrowed = malloc(rest);
	assert(*borrowed);
	memcpy(*borrowed, data + linear, rest);
	meta->rest = pieces;
	meta->num_rest = 0;
	for (uint32_t done = 0; done < rest; done += n) {
		n = min_of(rest - done, (uint32_t)in->piece_bytes);
		pieces[meta->num_rest++] = (struct iovec){*borrowed + done, n};
		meta->rest_bytes += n;
	}
	return frame;
}

static net_takes takes_of(const struct input *in)
{
	net_takes takes = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(takes_bits); i++)
		takes |= in->takes & 1u << i ? takes_bits[i] : 0;
	return takes;
}

static void put16(uint32_t at, uint32_t value)
{
	whole[at] = (uint8_t)(value >> 8);
	whole[at + 1] = (uint8_t)value;
}

/* fit_length - of the IP packet in whole[], if it is one. */
static void fit_length(uint32_t bytes)
{
	struct net_headers h;

	net_headers_parse(&h, whole, bytes, bytes);
	if (h.ether_type == 0x0800 && bytes - h.l3 >= 20)
		put16(h.l3 + 2, min_of(bytes - h.l3, 65535u));
	else if (h.ether_type == 0x86dd && bytes - h.l3 >= 40)
		put16(h.l3 + 4, min_of(bytes - h.l3 - 40, 65535u));
}

/* look_at_headers - all that is found lies in the memory that was given. */
static void look_at_headers(const uint8_t *data, uint32_t bytes)
{
	uint32_t n = min_of(bytes, (uint32_t)NET_HEADER_BYTES);
	uint8_t *exact = malloc(n);
	struct net_headers h;

	assert(exact);
	memcpy(exact, data, n);
	if (net_headers_parse(&h, exact, n, bytes)) {
		assert(h.l3 <= n && h.l4 <= n && h.payload <= n && h.fragmentable <= n);
		assert(!h.home || h.home + 16u <= n);
		assert(!h.route || h.route + 16u <= n);
		assert(!h.ip || h.l3 + h.l3_bytes <= bytes);
		assert(!h.payload || h.l4 + 8u <= h.payload);
	}
	free(exact);
}

static void hash(struct rte_mbuf *frame)
{
	struct net_rss rss = {.types = net_rss_types};

	net_flow_hash(frame);
	net_rss_hash(frame, &rss);
	assert(net_meta(frame)->hash_type <= VIRTIO_NET_HASH_REPORT_UDPv6_EX);
}

/* believed_again - what a guest is shown of @frame would be taken from it. */
static void believed_again(struct rte_mbuf *frame)
{
	struct virtio_net_hdr_v1_hash shown;
	struct virtio_net_hdr hdr;
	struct net_offload before = net_meta(frame)->offload;

	net_offload_header(frame, BIT(GUEST_CSUM), &shown);
	memcpy(&hdr, &shown, sizeof(hdr));
	assert(net_offload_check(frame, &hdr, SENDER));
	assert((before.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == net_meta(frame)->offload.flags);
	assert(before.gso_type == net_meta(frame)->offload.gso_type);
	net_meta(frame)->offload = before;
}

/* payload_of - offset of the payload of a segment of a frame with @o. */
static uint32_t payload_of(const struct net_offload *o, const struct net_headers *h)
{
	bool fragment = (o->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_UDP;

	/* Behind a fragment header, which is not read on from. */
	if (fragment)
		return h->fragmentable + (h->ip == 6 ? 8 : 0);
	return h->payload;
}

/* look_at_segments - of the frame in whole[], from @at on. */
static void look_at_segments(const struct net_offload *o, unsigned num, uint32_t at, uint32_t bytes,
			     bool summed)
{
	bool fragments = o->gso_type == VIRTIO_NET_HDR_GSO_UDP;
	uint32_t sum = (uint32_t)o->csum_start + o->csum_offset;

	for (unsigned i = 0; i < num; i++) {
		uint32_t n = net_frame_bytes(out[i]), from;
		struct net_headers h;

		net_frame_read(out[i], 0, part, n);
		assert(net_headers_parse(&h, part, min_of(n, (uint32_t)out[i]->data_len), n));
		assert(h.ip == o->ip && h.l3 + h.l3_bytes == n && h.fragment == fragments);
		from = payload_of(o, &h);
		assert(from && n - from <= o->gso_bytes && n > from);
		/* The sum over all of a datagram is new. */
		if (fragments && at <= sum && sum < at + n - from)
			memcpy(whole + sum, part + from + sum - at, sizeof(uint16_t));
		assert(n - from <= bytes - at && !memcmp(part + from, whole + at, n - from));
		at += n - from;
		believed_again(out[i]);
		assert(summed == !net_meta(out[i])->offload.flags);
		rte_pktmbuf_free(out[i]);
	}
	assert(at == bytes);
}

static void one_frame(const struct input *in, const uint8_t *data, uint32_t size)
{
	uint32_t bytes = min_of(size + in->more_bytes, (uint32_t)NET_MAX_FRAME_BYTES);
	net_takes takes = takes_of(in);
	struct net_headers h = {0};
	struct rte_mbuf *frame;
	struct net_offload o;
	uint8_t *borrowed;
	unsigned num;
	int error = 0;

	if (bytes < NET_MIN_FRAME_BYTES)
		return;
	memset(whole, 0x5a, bytes);
	memcpy(whole, data, min_of(size, bytes));
	if (in->mode & MODE_FIT)
		fit_length(bytes);
	look_at_headers(whole, bytes);
	frame = make_frame(in, whole, bytes, &borrowed);
	hash(frame);
	if (!net_offload_check(frame, &in->hdr, SENDER)) {
		rte_pktmbuf_free(frame);
		goto out;
	}
	believed_again(frame);
	o = net_meta(frame)->offload;
	net_headers_parse(&h, whole, frame->data_len, bytes);
	num = net_offload_soften(frame, takes, out, ARRAY_SIZE(out), &error);
	if (!num) {
		/* The pool has room for the most segments there are, but not for copies of all. */
		assert(error == -ENOMEM);
	} else if (!o.gso_type || net_offload_taken(&o, takes)) {
		assert(num == 1 && net_frame_bytes(out[0]) == bytes);
		believed_again(out[0]);
		rte_pktmbuf_free(out[0]);
	} else {
		bool fragments = o.gso_type == VIRTIO_NET_HDR_GSO_UDP;

		look_at_segments(&o, num, fragments ? h.fragmentable : h.payload, bytes,
				 fragments || !(takes & BIT(GUEST_CSUM)));
	}
out:
	free(borrowed);
}

static void several_frames(const struct input *in, const uint8_t *data, size_t size)
{
	struct rte_mbuf *frames[MODE_MAX_FRAMES];
	unsigned num = 0, left;
	uint32_t bytes = 0, frames_again = 0;
	net_takes takes = takes_of(in);
	int error;

	while (num < MODE_MAX_FRAMES && size >= 2 + NET_MIN_FRAME_BYTES) {
		uint32_t n = (uint32_t)(data[0] | data[1] << 8);

		n = max_of(n, (uint32_t)NET_MIN_FRAME_BYTES);
		n = min_of(n, (uint32_t)size - 2);
		frames[num] = rig_frame(data + 2, n, NET_MIN_FRAME_BYTES + in->linear_bytes, 0);
		if (in->mode & MODE_VALID)
			net_meta(frames[num])->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
		num++;
		bytes += n;
		data += 2 + n;
		size -= 2 + n;
	}
	left = net_gro(frames, num, takes);
	assert(left <= num);
	for (unsigned i = 0; i < left; i++) {
		unsigned n;

		assert(!rte_mbuf_check(frames[i], 1, &(const char *){NULL}));
		if (net_meta(frames[i])->offload.gso_type) {
			believed_again(frames[i]);
			assert(net_offload_done(frames[i], takes));
		}
		n = net_offload_soften(frames[i], 0, out, ARRAY_SIZE(out), &error);
		assert(n);
		frames_again += n;
		for (unsigned j = 0; j < n; j++) {
			bytes -= net_frame_bytes(out[j]);
			rte_pktmbuf_free(out[j]);
		}
	}
	/* As many frames as before, and as long, all in all. */
	assert(frames_again == num && !bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;

	rig_start();
	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	if (in.mode & MODE_JOIN)
		several_frames(&in, data, size);
	else
		one_frame(&in, data, (uint32_t)min_of(size, (size_t)NET_MAX_FRAME_BYTES));
	assert(rig_all_free());
	return 0;
}
