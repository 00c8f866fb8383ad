/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_io.c - frames from and to a DPDK device: between its mbuf flags and what is left to be done
 * to a frame (frame.h). Layer L5, lcore threads.
 */
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <string.h>

#include "net/checksum.h"
#include "net/forward.h"
#include "net/gro.h"
#include "net/headers.h"
#include "net/host.h"
#include "net/lcore.h"
#include "vhost/base/clock.h"

/* How long an idle queue is left alone that costs a system call to look at. Its interrupt tells a
 * sleeping lcore anyway. */
#define MAX_LOOK_NS 20000
#define MIN_LOOK_NS 1000

#define NET_TAP_FRAME_BYTES 1526

/* --- receive --- */

/* joined_for - what receivers take of what net_gro() can make of frames from @from: all of them do,
 * or it would be cut up again. */
static net_takes joined_for(const struct net_topology *topology, const struct net_port *from)
{
	net_takes takes = ~0ull;
	bool any = false;

	for (unsigned i = 0; i < topology->num_ids; i++) {
		const struct net_port *port = topology->ports[i];

		if (!port || port == from || !port->link_up)
			continue;
		takes &= port->takes;
		any = true;
	}
	return any ? takes : 0;
}

/* is_due - has @queue been left alone for long enough? */
static inline bool is_due(const struct net_lcore *lcore, const struct net_host_queue *queue)
{
	return !queue->host->driver->look_is_call || lcore->now >= queue->next_look;
}

static inline void note_look(struct net_lcore *lcore, struct net_host_queue *queue, unsigned n)
{
	if (!queue->host->driver->look_is_call)
		return;
	if (n == NET_BURST)
		queue->look_after_ns = 0;
	else if (queue->look_after_ns < MIN_LOOK_NS)
		queue->look_after_ns = MIN_LOOK_NS;
	else if (queue->look_after_ns < MAX_LOOK_NS)
		queue->look_after_ns *= 2;
	queue->next_look = lcore->now + clock_ns_to_ticks(queue->look_after_ns);
}

/* take_over - what the device found out of @frame is now in its meta. Return: false: none of
 * ours. */
static inline bool take_over(struct rte_mbuf *frame, uint16_t from)
{
	struct net_frame_meta *meta = net_meta(frame);

	net_frame_reset(frame);
	meta->from = from;
	if ((frame->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		meta->offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	frame->ol_flags = 0;
	return frame->data_len >= NET_MIN_FRAME_BYTES && frame->pkt_len <= NET_MAX_FRAME_BYTES;
}

/*
 * net_host_take - see host.h. What DPDK's drivers call for a burst, here and in net_host_send():
 * Syscalls (net): readv, writev: net_tap; poll, sendto: net_af_packet, net_pcap;
 *	poll, recvfrom, sendto: net_af_xdp; read, write: net_memif's and net_virtio_user's
 *	eventfds, net_pcap's files
 */
unsigned net_host_take(struct net_lcore *lcore, struct net_host_queue *queue)
{
	struct net_host *host = queue->host;
	struct rte_mbuf *frames[NET_BURST];
	uint64_t bytes = 0;
	unsigned n, kept = 0;
	net_takes takes;

	if (!is_due(lcore, queue))
		return 0;
	n = rte_eth_rx_burst(host->ethdev, queue->queue, frames, NET_BURST);
	note_look(lcore, queue, n);
	if (n == 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		if (unlikely(!take_over(frames[i], host->port.id))) {
			net_count_drop(queue->count, NET_DROP_BAD_HEADER, 1);
			rte_pktmbuf_free(frames[i]);
			continue;
		}
		bytes += frames[i]->pkt_len;
		frames[kept++] = frames[i];
	}
	net_count(queue->count, kept, bytes);
	takes = joined_for(lcore->topology, &host->port);
	if (kept > 1 && takes & (1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6))
		kept = net_gro(frames, kept, takes);
	if (kept)
		net_forward(lcore, &host->port, frames, kept);
	return n;
}

/* --- send --- */

unsigned net_host_lcore_of(const struct net_host *host, unsigned lcore)
{
	unsigned n = net_num_lcores;
	unsigned nth = (lcore + n - host->first_lcore) % n;

	if (likely(nth < host->num_tx) || host->num_tx == 0)
		return lcore;
	return (host->first_lcore + nth % host->num_tx) % n;
}

/* set_flags - of a checksum, and segments, that the device makes. Return: false when it cannot: of
 * another protocol than TCP and UDP. */
static bool set_flags(struct rte_mbuf *frame, const struct net_offload *o)
{
	struct net_headers h;
	uint64_t flags;

	if (!net_headers_parse(&h, rte_pktmbuf_mtod(frame, uint8_t *), frame->data_len,
			       frame->pkt_len) ||
	    !h.payload || h.l4 != o->csum_start)
		return false;
	if (h.protocol == IPPROTO_TCP && o->csum_offset == 16)
		flags = RTE_MBUF_F_TX_TCP_CKSUM;
	else if (h.protocol == IPPROTO_UDP && o->csum_offset == 6)
		flags = RTE_MBUF_F_TX_UDP_CKSUM;
	else
		return false;
	if (o->gso_type)
		flags |= h.protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_UDP_SEG;
	if (h.ip == 4)
		flags |= RTE_MBUF_F_TX_IPV4 | (o->gso_type ? RTE_MBUF_F_TX_IP_CKSUM : 0);
	else
		flags |= RTE_MBUF_F_TX_IPV6;
	frame->ol_flags |= flags;
	frame->l2_len = h.l3;
	frame->l3_len = h.l4 - h.l3;
	frame->l4_len = h.payload - h.l4;
	frame->tso_segsz = o->gso_bytes;
	return true;
}

/*
 * disguise - have net_tap write a frame larger than the 1526 bytes it believes in: it asks nothing
 * about the size of one that is to be cut, and then does not know how to cut it. Of DPDK's drivers
 * only 22.11's and older refuse a larger MTU.
 */
static void disguise(struct rte_mbuf *frame)
{
	frame->ol_flags = RTE_MBUF_F_TX_TCP_SEG;
	frame->tx_offload = 0;
	frame->tso_segsz = 64;
}

/*
 * fit - make @frame such as the device can send.
 * Return: the frame, perhaps another, or NULL: dropped, and counted.
 */
static struct rte_mbuf *fit(struct net_host *host, struct net_counters *count,
			    struct rte_mbuf *frame)
{
	const struct net_offload *o = &net_meta(frame)->offload;
	uint32_t bytes = o->gso_type ? (uint32_t)o->header_bytes + o->gso_bytes : frame->pkt_len;
	uint16_t max = o->gso_type ? host->max_gso_segments : host->max_segments;
	enum net_drop why = NET_DROP_TOO_LARGE;
	struct rte_mbuf *joined;

	if (unlikely(bytes > host->max_frame_bytes))
		goto drop;
	frame->ol_flags = 0;
	if (o->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !set_flags(frame, o)) {
		why = NET_DROP_BAD_HEADER;
		if (o->gso_type)
			goto drop;
		net_checksum_fill(frame);
	}
	if (unlikely(host->oversized && frame->pkt_len > NET_TAP_FRAME_BYTES))
		disguise(frame);
	if (likely(frame->nb_segs <= max))
		return frame;
	joined = rte_pktmbuf_copy(frame, host->pool, 0, UINT32_MAX);
	if (!joined) {
		why = NET_DROP_NO_MEMORY;
		goto drop;
	}
	rte_pktmbuf_free(frame);
	frame = joined;
	if (frame->nb_segs <= max)
		return frame;
drop:
	net_count_drop(count, why, 1);
	rte_pktmbuf_free(frame);
	return NULL;
}

/* prepare - have the driver check and complete what it was asked to do to @frames. Those it refuses
 * are dropped. Return: how many are left. */
static unsigned prepare(struct net_host *host, uint16_t queue, struct rte_mbuf **frames, unsigned n)
{
	unsigned good = 0, done = 0;

	while (done < n) {
		unsigned ok = rte_eth_tx_prepare(host->ethdev, queue, frames + done,
						 (uint16_t)(n - done));

		memmove(frames + good, frames + done, ok * sizeof(*frames));
		good += ok;
		done += ok;
		if (done < n) {
			net_count_drop(&host->to[queue], NET_DROP_BAD_HEADER, 1);
			rte_pktmbuf_free(frames[done++]);
		}
	}
	return good;
}

/* burst - send @frames; what finds no room is dropped and counted. */
static void burst(struct net_host *host, uint16_t queue, struct rte_mbuf **frames, unsigned n)
{
	struct net_counters *count = &host->to[queue];

	while (n) {
		uint64_t bytes = 0;
		unsigned sent, lost;

		for (unsigned i = 0; i < n; i++)
			bytes += frames[i]->pkt_len;
		sent = rte_eth_tx_burst(host->ethdev, queue, frames, (uint16_t)n);
		lost = host->driver->stops_at_bad && sent < n ? 1 : n - sent;
		for (unsigned i = sent; i < n; i++)
			bytes -= frames[i]->pkt_len;
		net_count(count, sent, bytes);
		if (!lost)
			return;
		net_count_drop(count, NET_DROP_NO_DESCRIPTORS, lost);
		rte_pktmbuf_free_bulk(frames + sent, lost);
		frames += sent + lost;
		n -= sent + lost;
	}
}

void net_host_send(struct net_lcore *lcore, struct net_host *host, struct rte_mbuf **frames,
		   unsigned n)
{
	unsigned num_lcores = net_num_lcores, kept = 0;
	unsigned nth = (lcore->index + num_lcores - host->first_lcore) % num_lcores;
	uint16_t queue = (uint16_t)nth;
	uint64_t flags = 0;

	if (unlikely(nth >= host->num_tx)) {
		net_count_drop(&host->port.out[lcore->index], NET_DROP_NO_DESCRIPTORS, n);
		rte_pktmbuf_free_bulk(frames, n);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *frame = fit(host, &host->to[queue], frames[i]);

		if (!frame)
			continue;
		flags |= frame->ol_flags;
		frames[kept++] = frame;
	}
	if (flags && !host->driver->in_software)
		kept = prepare(host, queue, frames, kept);
	burst(host, queue, frames, kept);
}
