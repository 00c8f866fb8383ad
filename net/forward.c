/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forward.c - see forward.h. Layer L5, lcore thread.
 *
 * What a frame goes through on its way in: link, rate, capture, MAC lock; then the wiring, which
 * stages it for a port; then on its way out, which may be on another lcore: link, filters, rate,
 * capture, software offloads, and the choice of a queue.
 */
#include "net/forward.h"

#include <rte_ring.h>
#include <string.h>

#include "net/capture.h"
#include "net/guest.h"
#include "net/rate.h"
#include "net/switch.h"

#define INBOX_BURSTS 4 /* of an inbox in one pass */

/* Drop what does not pass. Return: how many are left, in place. */
static inline unsigned keep(struct net_counters *count, enum net_drop why, struct rte_mbuf **frames,
			    unsigned i, unsigned kept, bool passes)
{
	if (likely(passes)) {
		frames[kept++] = frames[i];
	} else {
		net_count_drop(count, why, 1);
		rte_pktmbuf_free(frames[i]);
	}
	return kept;
}

static void drop(struct net_counters *count, enum net_drop why, struct rte_mbuf **frames,
		 unsigned n)
{
	net_count_drop(count, why, n);
	net_frames_free(frames, n);
}

static unsigned limit_rate(struct net_lcore *lcore, struct net_rate *rate,
			   struct net_counters *count, struct rte_mbuf **frames, unsigned n)
{
	unsigned i, kept = 0;

	for (i = 0; i < n; i++)
		kept = keep(count, NET_DROP_RATE, frames, i, kept,
			    net_rate_pass(rate, lcore->index, lcore->now,
					  net_frame_bytes(frames[i])));
	return kept;
}

static const struct rte_ether_hdr *ether_of(const struct rte_mbuf *frame)
{
	return rte_pktmbuf_mtod(frame, const struct rte_ether_hdr *);
}

/* --- in --- */

static unsigned keep_locked(const struct net_port *from, struct net_counters *count,
			    struct rte_mbuf **frames, unsigned n)
{
	unsigned i, kept = 0;

	for (i = 0; i < n; i++)
		kept = keep(count, NET_DROP_LOCKED_MAC, frames, i, kept,
			    rte_is_same_ether_addr(&ether_of(frames[i])->src_addr, &from->mac));
	return kept;
}

/* other_end - of a cable. Return: NULL: there is none. */
static struct net_port *other_end(const struct net_topology *t, const struct net_port *from)
{
	unsigned i;

	for (i = 0; i < t->num_ids; i++)
		if (t->ports[i] && t->ports[i] != from)
			return t->ports[i];
	return NULL;
}

bool net_forward_borrows(const struct net_lcore *lcore, const struct net_port *from)
{
	const struct net_topology *t = lcore->topology;
	const struct net_port *to;

	if (t->is_switch)
		return true;
	to = other_end(t, from);
	return to && to->kind == NET_GUEST;
}

/* flood - to every port but @from; the last one gets the frame itself. */
static void flood(struct net_lcore *lcore, const struct net_port *from, struct net_counters *count,
		  struct rte_mbuf *frame)
{
	const struct net_topology *t = lcore->topology;
	struct net_port *last = NULL;
	unsigned i;

	for (i = 0; i < t->num_ids; i++) {
		struct net_port *to = t->ports[i];
		struct rte_mbuf *copy;

		if (!to || to == from)
			continue;
		if (last) {
			copy = net_frame_copy(frame, lcore->pool);
			if (copy)
				net_stage_frame(lcore, last, copy);
			else
				net_count_drop(&last->out[lcore->index], NET_DROP_NO_MEMORY, 1);
		}
		last = to;
	}
	if (last)
		net_stage_frame(lcore, last, frame);
	else
		drop(count, NET_DROP_NOWHERE, &frame, 1);
}

/* Frames of a burst often have the same addresses as those before them. */
struct last_looked {
	struct rte_ether_addr from, to;
	bool any;
	uint16_t id; /* where to is */
};

static uint16_t look_up(struct net_lcore *lcore, const struct net_port *from,
			const struct rte_ether_hdr *ether, struct last_looked *last)
{
	struct net_switch *fabric = lcore->topology->fabric;

	if (!last->any || !rte_is_same_ether_addr(&ether->src_addr, &last->from)) {
		net_switch_learn(fabric, lcore->index, from, &ether->src_addr, lcore->now);
		last->from = ether->src_addr;
	}
	if (!last->any || !rte_is_same_ether_addr(&ether->dst_addr, &last->to)) {
		last->to = ether->dst_addr;
		last->id = rte_is_multicast_ether_addr(&ether->dst_addr)
				   ? NET_NO_PORT
				   : net_switch_find(fabric, lcore->index, &ether->dst_addr);
	}
	last->any = true;
	return last->id;
}

static void forward_switch(struct net_lcore *lcore, const struct net_port *from,
			   struct net_counters *count, struct rte_mbuf **frames, unsigned n)
{
	const struct net_topology *t = lcore->topology;
	struct last_looked last = {.any = false};
	unsigned i;

	for (i = 0; i < n; i++) {
		uint16_t id = look_up(lcore, from, ether_of(frames[i]), &last);
		struct net_port *to = id < t->num_ids ? t->ports[id] : NULL;

		if (!to)
			flood(lcore, from, count, frames[i]);
		else if (to == from) /* its receiver has seen it already */
			drop(count, NET_DROP_NOWHERE, &frames[i], 1);
		else
			net_stage_frame(lcore, to, frames[i]);
	}
}

void net_forward(struct net_lcore *lcore, struct net_port *from, struct rte_mbuf **frames,
		 unsigned n)
{
	struct net_counters *count = &from->in[lcore->index];
	struct net_rate *rate = __atomic_load_n(&from->rate_in, __ATOMIC_ACQUIRE);
	struct net_port *to;

	if (unlikely(!__atomic_load_n(&from->link_up, __ATOMIC_RELAXED))) {
		drop(count, NET_DROP_LINK_DOWN, frames, n);
		return;
	}
	if (unlikely(rate))
		n = limit_rate(lcore, rate, count, frames, n);
	if (unlikely(__atomic_load_n(&from->capture, __ATOMIC_ACQUIRE)))
		net_capture_frames(from, lcore->index, frames, n, true);
	if (unlikely(from->mac_locked))
		n = keep_locked(from, count, frames, n);
	if (lcore->topology->is_switch) {
		forward_switch(lcore, from, count, frames, n);
		return;
	}
	to = other_end(lcore->topology, from);
	if (unlikely(!n))
		return; /* none passed */
	if (likely(to))
		net_stage_frames(lcore, to, frames, n);
	else
		drop(count, NET_DROP_NOWHERE, frames, n);
}

/* --- to another lcore --- */

/* own_all - Return: how many are left; the others are dropped. */
static unsigned own_all(struct net_counters *count, struct rte_mbuf **frames, unsigned n)
{
	unsigned i, kept = 0;

	for (i = 0; i < n; i++)
		kept = keep(count, NET_DROP_NO_MEMORY, frames, i, kept,
			    likely(!net_meta(frames[i])->rest_bytes) ||
				    net_frame_own(frames[i]) == 0);
	return kept;
}

/* send_over - @frames go to queue @queue of port @to, which is of lcore @index. */
static void send_over(struct net_lcore *lcore, unsigned index, struct net_port *to, uint16_t queue,
		      struct rte_mbuf **frames, unsigned n)
{
	struct net_counters *count = &to->out[lcore->index];
	struct net_lcore *other = &net_lcores[index];
	unsigned i, sent;

	n = own_all(count, frames, n);
	for (i = 0; i < n; i++) {
		struct net_frame_meta *meta = net_meta(frames[i]);

		meta->to = to->id;
		meta->to_generation = to->generation;
		meta->to_queue = queue;
	}
	sent = rte_ring_mp_enqueue_burst(other->inbox, (void **)frames, n, NULL);
	if (sent)
		net_wake(other);
	if (unlikely(sent < n))
		drop(count, NET_DROP_BUSY, frames + sent, n - sent);
}

/* --- out --- */

static void to_host(struct net_lcore *lcore, struct net_host *host, struct rte_mbuf **frames,
		    unsigned n)
{
	unsigned index = net_host_lcore_of(host, lcore->index);

	if (index != lcore->index) {
		send_over(lcore, index, &host->port, 0, frames, n);
		return;
	}
	n = own_all(&host->port.out[lcore->index], frames, n);
	if (likely(n))
		net_host_send(lcore, host, frames, n);
}

static void to_pair(struct net_lcore *lcore, struct net_guest *guest, unsigned pair,
		    struct rte_mbuf **frames, unsigned n)
{
	unsigned index = net_guest_lcore_of(guest, pair);

	if (index != lcore->index)
		send_over(lcore, index, &guest->port, (uint16_t)pair, frames, n);
	else if (likely(guest->rx[pair]))
		net_rx_deliver(guest->rx[pair], frames, n);
	else
		drop(&guest->port.out[index], NET_DROP_LINK_DOWN, frames, n);
}

/* to_guest - choose a pair for each frame; runs of frames for the same one stay together. */
static void to_guest(struct net_lcore *lcore, struct net_guest *guest,
		     const struct net_guest_config *config, struct rte_mbuf **frames, unsigned n)
{
	uint32_t running = __atomic_load_n(&guest->rx_running, __ATOMIC_RELAXED);
	unsigned i, from = 0;
	int pair = 0, last = 0;

	/* With one pair there is no choice, and a hash is made only for a driver that wants it. */
	if (likely(running == 1 && !config->rss.types)) {
		to_pair(lcore, guest, 0, frames, n);
		return;
	}
	for (i = 0; i < n; i++, last = pair) {
		pair = net_guest_pick(guest, config, frames[i]);
		if (i == from || pair == last)
			continue;
		if (last < 0)
			drop(&guest->port.out[lcore->index], NET_DROP_LINK_DOWN, frames + from,
			     i - from);
		else
			to_pair(lcore, guest, (unsigned)last, frames + from, i - from);
		from = i;
	}
	if (last < 0)
		drop(&guest->port.out[lcore->index], NET_DROP_LINK_DOWN, frames + from, n - from);
	else if (from < n)
		to_pair(lcore, guest, (unsigned)last, frames + from, n - from);
}

/* What a port is, on the way out. */
struct exit {
	struct net_port *port;
	const struct net_guest_config *config; /* of a guest; NULL: a host's */
	net_takes takes;
};

static void leave(struct net_lcore *lcore, const struct exit *e, struct rte_mbuf **frames,
		  unsigned n)
{
	if (!n)
		return;
	if (!e->config)
		to_host(lcore, container_of(e->port, struct net_host, port), frames, n);
	else
		to_guest(lcore, container_of(e->port, struct net_guest, port), e->config, frames,
			 n);
}

/* soften - do in software what the port does not take of @frame, and send what comes of it. */
static void soften(struct net_lcore *lcore, const struct exit *e, struct rte_mbuf *frame)
{
	struct rte_mbuf *segments[NET_MAX_SEGMENTS];
	unsigned i, n;
	int error;

	n = net_offload_soften(frame, e->takes, segments, NET_MAX_SEGMENTS, &error);
	if (!n)
		net_count_drop(&e->port->out[lcore->index],
			       error == -ENOMEM ? NET_DROP_NO_MEMORY : NET_DROP_TOO_LARGE, 1);
	for (i = 0; i < n; i += NET_BURST)
		leave(lcore, e, segments + i, min_of(n - i, (unsigned)NET_BURST));
}

static unsigned keep_admitted(const struct exit *e, struct net_counters *count,
			      struct rte_mbuf **frames, unsigned n)
{
	unsigned i, kept = 0;

	for (i = 0; i < n; i++)
		kept = keep(count, NET_DROP_FILTERED, frames, i, kept,
			    net_config_admits(e->config, frames[i]));
	return kept;
}

void net_output(struct net_lcore *lcore, struct net_port *to, struct rte_mbuf **frames, unsigned n)
{
	struct net_counters *count = &to->out[lcore->index];
	struct net_rate *rate = __atomic_load_n(&to->rate_out, __ATOMIC_ACQUIRE);
	struct exit e = {.port = to};
	unsigned i, from = 0;

	if (unlikely(!__atomic_load_n(&to->link_up, __ATOMIC_RELAXED))) {
		drop(count, NET_DROP_LINK_DOWN, frames, n);
		return;
	}
	if (to->kind == NET_GUEST) {
		const struct net_guest *guest = container_of(to, struct net_guest, port);

		e.config = __atomic_load_n(&guest->config, __ATOMIC_ACQUIRE);
		e.takes = e.config->takes;
		if (unlikely(e.config->filters))
			n = keep_admitted(&e, count, frames, n);
	} else {
		e.takes = __atomic_load_n(&to->takes, __ATOMIC_RELAXED);
	}
	if (unlikely(rate))
		n = limit_rate(lcore, rate, count, frames, n);
	if (unlikely(__atomic_load_n(&to->capture, __ATOMIC_ACQUIRE)))
		net_capture_frames(to, lcore->index, frames, n, false);
	for (i = 0; i < n; i++) {
		if (likely(net_offload_done(frames[i], e.takes)))
			continue;
		leave(lcore, &e, frames + from, i - from);
		soften(lcore, &e, frames[i]);
		from = i + 1;
	}
	leave(lcore, &e, frames + from, n - from);
}

/* --- from other lcores --- */

/* Where a frame that another lcore sent is to go. */
static bool same_place(struct rte_mbuf *a, struct rte_mbuf *b)
{
	const struct net_frame_meta *ma = net_meta(a), *mb = net_meta(b);

	return ma->to == mb->to && ma->to_generation == mb->to_generation &&
	       ma->to_queue == mb->to_queue;
}

/* put_in_place - the port may have gone meanwhile, or the pair. */
static void put_in_place(struct net_lcore *lcore, struct rte_mbuf **frames, unsigned n)
{
	const struct net_frame_meta *meta = net_meta(frames[0]);
	const struct net_topology *t = lcore->topology;
	struct net_port *to = meta->to < t->num_ids ? t->ports[meta->to] : NULL;
	struct net_guest *guest;

	if (!to || to->generation != meta->to_generation) {
		net_frames_free(frames, n);
		return;
	}
	if (to->kind == NET_HOST) {
		net_host_send(lcore, container_of(to, struct net_host, port), frames, n);
		return;
	}
	guest = container_of(to, struct net_guest, port);
	if (likely(guest->rx[meta->to_queue]))
		net_rx_deliver(guest->rx[meta->to_queue], frames, n);
	else
		drop(&to->out[lcore->index], NET_DROP_LINK_DOWN, frames, n);
}

unsigned net_inbox_take(struct net_lcore *lcore)
{
	struct rte_mbuf *frames[NET_BURST];
	unsigned bursts, i, n, from, total = 0;

	for (bursts = 0; bursts < INBOX_BURSTS; bursts++) {
		n = rte_ring_sc_dequeue_burst(lcore->inbox, (void **)frames, NET_BURST, NULL);
		for (i = 1, from = 0; i <= n; i++) {
			if (i < n && same_place(frames[from], frames[i]))
				continue;
			put_in_place(lcore, frames + from, i - from);
			from = i;
		}
		total += n;
		if (n < NET_BURST)
			break;
	}
	return total;
}
