/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch_learn.c - see switch.h: how lcores look into the table, and tell what is not in it.
 * Layer L5, lcore threads; hearing what they tell: control thread.
 *
 * Theory of operation. Each lcore remembers what it found for the last addresses, until the table
 * changes (version), and which senders it has seen this second: a frame of a flow costs no look into
 * the table at all. What it tells goes through a bounded ring. There is a pause between two goes of
 * the control thread, so that a flood of new addresses costs it, and the frames of others, little.
 */
#include <stdlib.h>

#include "net/switch_part.h"

#define TOLD_PER_TURN 256 /* taken from the lcores in one go */
#define TURN_MS       10 /* between two goes */

/* --- learning: the control thread's part --- */

/* make_room - the table is full: the port with the most addresses gives up its oldest one, unless
 * @port would then have as many. Return: is there room? The place itself comes after a grace. */
static bool make_room(struct net_switch *fabric, uint16_t port)
{
	unsigned most = 0, oldest = fabric->num_positions;

	for (unsigned i = 1; i < NET_MAX_PORTS; i++)
		if (fabric->learnt[i] > fabric->learnt[most])
			most = i;
	if (fabric->learnt[port] + 1 >= fabric->learnt[most])
		return false;
	for (unsigned i = 0; i < fabric->num_positions; i++) {
		const struct entry *entry = &fabric->entries[i];

		if (entry->used && !entry->is_static && entry->port == most &&
		    (oldest == fabric->num_positions ||
		     entry->seen_s < fabric->entries[oldest].seen_s))
			oldest = i;
	}
	net_switch_bury(fabric, oldest);
	net_switch_begin_grace(fabric);
	return true;
}

static void learn(struct net_switch *fabric, const struct told *told)
{
	int position = net_switch_position(fabric, &told->mac);
	const struct entry *entry = position < 0 ? NULL : &fabric->entries[position];

	if (entry && (entry->is_static || entry->port == told->port))
		return;
	if (fabric->learnt[told->port] >= told->max_macs) {
		log_warn_limited(&fabric->limit, "switch",
				 "port %u: more than max-macs=%u addresses: not learnt", told->port,
				 told->max_macs);
		return;
	}
	if (!entry && fabric->num_learnt >= NET_SWITCH_ENTRIES && !make_room(fabric, told->port))
		return;
	if (net_switch_put(fabric, &told->mac, told->port, false, told->seen_s) < 0)
		return; /* its place comes free soon, and so does its next frame */
	net_switch_begin_ageing(fabric);
}

static void take_turn(struct net_switch *fabric);

static void on_turn(struct loop_timer *timer)
{
	take_turn(container_of(timer, struct net_switch, turn_timer));
}

static void on_told(struct mail *mail)
{
	take_turn(container_of(mail, struct net_switch, told_mail));
}

/*
 * take_turn - hear some of what lcores tell. They may tell more than anybody can listen to: there is
 * a pause behind each turn, during which nobody wakes us. A turn that finds nothing is the last one.
 */
static void take_turn(struct net_switch *fabric)
{
	struct told told[TOLD_PER_TURN];
	unsigned n;

	n = rte_ring_dequeue_burst_elem(fabric->told, told, sizeof(told[0]), TOLD_PER_TURN, NULL);
	for (unsigned i = 0; i < n; i++)
		learn(fabric, &told[i]);
	if (!n) {
		/* Pairs with the exchange in tell(): what is put in before it is seen there, or here. */
		__atomic_store_n(&fabric->told_pending, false, __ATOMIC_SEQ_CST);
		if (rte_ring_empty(fabric->told))
			return;
		__atomic_store_n(&fabric->told_pending, true, __ATOMIC_SEQ_CST);
	}
	if (!fabric->stopped)
		loop_timer_set(fabric->loop, &fabric->turn_timer, TURN_MS, on_turn);
}

void net_switch_hear_all(struct net_switch *fabric)
{
	struct told told;

	for (unsigned i = 0; i < TOLD_SLOTS; i++) {
		if (rte_ring_dequeue_elem(fabric->told, &told, sizeof(told)))
			break;
		learn(fabric, &told);
	}
}

/* --- lcore thread --- */

/* slot_of - where an lcore remembers @key. Its last bytes differ most. */
static unsigned slot_of(uint64_t key)
{
	return (unsigned)((key * 0x9e3779b97f4a7c15ull) >> 58) & (MEMORY_SLOTS - 1);
}

static uint32_t second_of(struct net_switch *fabric, struct view *view, uint64_t now_ticks)
{
	if (unlikely(now_ticks - view->second_began >= fabric->ticks_per_second)) {
		view->second_began = now_ticks;
		view->second = now_s();
	}
	return view->second;
}

/* tell - the control thread, which is woken where it does not look anyway. */
static void tell(struct net_switch *fabric, struct told *told)
{
	if (rte_ring_enqueue_elem(fabric->told, told, sizeof(*told)) < 0)
		return;
	if (!__atomic_exchange_n(&fabric->told_pending, true, __ATOMIC_SEQ_CST))
		loop_post(fabric->loop, &fabric->told_mail, on_told);
}

/* look - into the table, once a second for each sender. */
static void look(struct net_switch *fabric, const struct net_port *from,
		 const struct rte_ether_addr *mac, uint32_t second)
{
	uint64_t key = key_of(mac);
	void *data;
	int position = rte_hash_lookup_data(fabric->table, &key, &data);

	if (position >= 0 && (uintptr_t)data & VALUE_STATIC)
		return;
	if (position >= 0 && (uint16_t)(uintptr_t)data == from->id)
		__atomic_store_n(&fabric->entries[position].seen_s, second, __ATOMIC_RELAXED);
	else
		tell(fabric, &(struct told){.mac = *mac,
					    .port = from->id,
					    .max_macs = from->max_macs,
					    .seen_s = second});
}

void net_switch_learn(struct net_switch *fabric, unsigned lcore, const struct net_port *from,
		      const struct rte_ether_addr *mac, uint64_t now_ticks)
{
	struct view *view = &fabric->views[lcore];
	uint64_t key = key_of(mac) | (uint64_t)from->id << 48;
	struct seen *seen = &view->seen[slot_of(key)];
	uint32_t second = second_of(fabric, view, now_ticks);

	if (likely(seen->key == key && seen->second == second))
		return;
	if (!rte_is_valid_assigned_ether_addr(mac))
		return;
	seen->key = key;
	seen->second = second;
	look(fabric, from, mac, second);
}

uint16_t net_switch_find(struct net_switch *fabric, unsigned lcore,
			 const struct rte_ether_addr *mac)
{
	uint32_t version = __atomic_load_n(&fabric->version, __ATOMIC_ACQUIRE);
	uint64_t key = key_of(mac);
	struct found *found = &fabric->views[lcore].found[slot_of(key)];
	void *data;

	if (likely(found->mac == key && found->version == version))
		return found->port;
	if (rte_is_multicast_ether_addr(mac))
		return NET_NO_PORT;
	found->mac = key;
	found->version = version;
	found->port = NET_NO_PORT;
	if (rte_hash_lookup_data(fabric->table, &key, &data) >= 0)
		found->port = (uint16_t)(uintptr_t)data;
	return found->port;
}
