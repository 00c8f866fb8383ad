/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch.c - see switch.h: the table. Layer L5, control thread.
 *
 * Theory of operation. The value of an address in the hash table says which port it is behind, and
 * that is all a frame's way depends on; what else is known of it lies in entries[], at the position
 * that the table gave the address. Only the control thread changes the table. Lcores write one thing,
 * the second an address was seen in.
 *
 * A place of an address that was removed may be looked at by an lcore yet: it goes to the buried, and
 * back to the table after a net_grace().
 */
#include "net/switch.h"

#include <errno.h>
#include <rte_jhash.h>
#include <rte_random.h>
#include <stdlib.h>

#include "net/switch_part.h"

#define TABLE_ENTRIES (NET_SWITCH_ENTRIES + NET_SWITCH_STATIC)

/* --- start and end --- */

static void free_all(struct net_switch *fabric)
{
	rte_ring_free(fabric->told);
	rte_hash_free(fabric->table);
	free(fabric->entries);
	free(fabric->dead.positions);
	free(fabric->dying.positions);
	free(fabric);
}

/* make_table - Return: 0 or -errno. */
static int make_table(struct net_switch *fabric)
{
	/* A guest chooses addresses: the start value, which it does not know, keeps it from choosing
	 * such as fall together. */
	struct rte_hash_parameters params = {
		.name = "switch",
		.entries = TABLE_ENTRIES,
		.key_len = sizeof(uint64_t),
		.hash_func = rte_jhash,
		.hash_func_init_val = (uint32_t)rte_rand(),
		.socket_id = SOCKET_ID_ANY,
		.extra_flag =
			RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF | RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	fabric->table = rte_hash_create(&params);
	fabric->told = rte_ring_create_elem("switch", sizeof(struct told), TOLD_SLOTS,
					    SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (!fabric->table || !fabric->told)
		return -ENOMEM;
	fabric->num_positions = (unsigned)rte_hash_max_key_id(fabric->table) + 1;
	fabric->entries = calloc(fabric->num_positions, sizeof(*fabric->entries));
	fabric->dead.positions = calloc(fabric->num_positions, sizeof(int32_t));
	fabric->dying.positions = calloc(fabric->num_positions, sizeof(int32_t));
	if (!fabric->entries || !fabric->dead.positions || !fabric->dying.positions)
		return -ENOMEM;
	return 0;
}

int net_switch_create(struct net_switch **out, struct loop *loop, unsigned age_s)
{
	struct net_switch *fabric = aligned_alloc(CACHELINE_BYTES, sizeof(*fabric));
	int ret;

	if (!fabric)
		return -ENOMEM;
	memset(fabric, 0, sizeof(*fabric));
	fabric->loop = loop;
	fabric->age_s = age_s;
	fabric->version = 1;
	fabric->ticks_per_second = clock_ns_to_ticks(1000000000u);
	ret = make_table(fabric);
	if (ret < 0) {
		free_all(fabric);
		return ret;
	}
	*out = fabric;
	return 0;
}

void net_switch_stop(struct net_switch *fabric)
{
	fabric->stopped = true;
	loop_timer_cancel(fabric->loop, &fabric->turn_timer);
	loop_timer_cancel(fabric->loop, &fabric->age_timer);
}

void net_switch_destroy(struct net_switch *fabric)
{
	if (!fabric)
		return;
	loop_cancel_post(fabric->loop, &fabric->told_mail);
	free_all(fabric);
}

/* --- the dead --- */

static void grace_over(struct net_grace *grace)
{
	struct net_switch *fabric = container_of(grace, struct net_switch, grace);

	for (unsigned i = 0; i < fabric->dying.num; i++)
		rte_hash_free_key_with_position(fabric->table, fabric->dying.positions[i]);
	fabric->dying.num = 0;
	fabric->waits = false;
	net_switch_begin_grace(fabric);
}

void net_switch_begin_grace(struct net_switch *fabric)
{
	struct buried none = fabric->dying;

	if (fabric->waits || fabric->stopped || !fabric->dead.num)
		return;
	fabric->dying = fabric->dead;
	fabric->dead = none;
	fabric->waits = true;
	net_grace(fabric->loop, &fabric->grace, grace_over);
}

static void changed(struct net_switch *fabric)
{
	uint32_t next = fabric->version + 1;

	__atomic_store_n(&fabric->version, next ? next : 1, __ATOMIC_RELEASE);
}

/* bury - the address at @position. net_switch_begin_grace() follows. */
void net_switch_bury(struct net_switch *fabric, unsigned position)
{
	struct entry *entry = &fabric->entries[position];
	uint64_t key = key_of(&entry->mac);
	int32_t freed = rte_hash_del_key(fabric->table, &key);

	if (freed >= 0)
		fabric->dead.positions[fabric->dead.num++] = freed;
	if (entry->is_static) {
		fabric->num_static--;
	} else {
		fabric->num_learnt--;
		fabric->learnt[entry->port]--;
	}
	entry->used = false;
	changed(fabric);
}

/* --- changes --- */

int net_switch_position(const struct net_switch *fabric, const struct rte_ether_addr *mac)
{
	uint64_t key = key_of(mac);

	return rte_hash_lookup(fabric->table, &key);
}

int net_switch_put(struct net_switch *fabric, const struct rte_ether_addr *mac, uint16_t port,
		   bool is_static, uint32_t seen_s)
{
	uintptr_t value = port | (is_static ? VALUE_STATIC : 0);
	int position = net_switch_position(fabric, mac);
	uint64_t key = key_of(mac);
	struct entry *entry;
	bool is_new = position < 0;

	if (rte_hash_add_key_data(fabric->table, &key, (void *)value) < 0)
		return -ENOSPC;
	if (is_new)
		position = net_switch_position(fabric, mac);
	entry = &fabric->entries[position];
	if (!is_new && entry->is_static) {
		fabric->num_static--;
	} else if (!is_new) {
		fabric->num_learnt--;
		fabric->learnt[entry->port]--;
	}
	entry->used = true;
	entry->is_static = is_static;
	entry->port = port;
	entry->mac = *mac;
	__atomic_store_n(&entry->seen_s, seen_s, __ATOMIC_RELAXED);
	if (is_static) {
		fabric->num_static++;
	} else {
		fabric->num_learnt++;
		fabric->learnt[port]++;
	}
	changed(fabric);
	return 0;
}

int net_switch_add_static(struct net_switch *fabric, const struct rte_ether_addr *mac, uint16_t id)
{
	if (fabric->num_static >= NET_SWITCH_STATIC)
		return -ENOSPC;
	return net_switch_put(fabric, mac, id, true, now_s());
}

int net_switch_remove(struct net_switch *fabric, const struct rte_ether_addr *mac)
{
	int position = net_switch_position(fabric, mac);

	if (position < 0)
		return -ENOENT;
	net_switch_bury(fabric, (unsigned)position);
	net_switch_begin_grace(fabric);
	return 0;
}

/* --- ageing --- */

static unsigned age_period_s(const struct net_switch *fabric)
{
	unsigned period_s = min_of(fabric->age_s / 8, 30u);

	return max_of(period_s, 1u);
}

static void age(struct loop_timer *timer)
{
	struct net_switch *fabric = container_of(timer, struct net_switch, age_timer);
	uint32_t now = now_s();

	for (unsigned i = 0; i < fabric->num_positions; i++) {
		struct entry *entry = &fabric->entries[i];
		uint32_t seen_s = __atomic_load_n(&entry->seen_s, __ATOMIC_RELAXED);

		/* An lcore's second may be ahead of ours by a moment. */
		if (entry->used && !entry->is_static && seen_s < now &&
		    now - seen_s > fabric->age_s)
			net_switch_bury(fabric, i);
	}
	net_switch_begin_grace(fabric);
	if (fabric->num_learnt)
		loop_timer_set(fabric->loop, &fabric->age_timer, 1000 * age_period_s(fabric), age);
}

void net_switch_begin_ageing(struct net_switch *fabric)
{
	if (!fabric->age_timer.active && !fabric->stopped)
		loop_timer_set(fabric->loop, &fabric->age_timer, 1000, age);
}

/* --- all of them --- */

void net_switch_forget_port(struct net_switch *fabric, uint16_t id)
{
	/* What lcores told before the port went must not bring it back later. */
	net_switch_hear_all(fabric);
	for (unsigned i = 0; i < fabric->num_positions; i++)
		if (fabric->entries[i].used && fabric->entries[i].port == id)
			net_switch_bury(fabric, i);
	net_switch_begin_grace(fabric);
}

void net_switch_each(struct net_switch *fabric,
		     void (*fn)(const struct net_switch_entry *entry, void *arg), void *arg)
{
	uint32_t now = now_s();

	for (unsigned i = 0; i < fabric->num_positions; i++) {
		const struct entry *entry = &fabric->entries[i];
		uint32_t seen_s = __atomic_load_n(&entry->seen_s, __ATOMIC_RELAXED);

		if (entry->used)
			fn(&(struct net_switch_entry){.mac = entry->mac,
						      .port = entry->port,
						      .is_static = entry->is_static,
						      .age_s = seen_s < now ? now - seen_s : 0},
			   arg);
	}
}
