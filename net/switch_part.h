/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * switch_part.h - what switch.c (the table) and switch_learn.c (how it fills, and how lcores look into
 * it) have of each other. Layer L5.
 */
#ifndef RINGSIDE_NET_SWITCH_PART_H
#define RINGSIDE_NET_SWITCH_PART_H

#include <assert.h>
#include <rte_hash.h>
#include <rte_ring_elem.h>
#include <string.h>

#include "net/lcore.h"
#include "net/switch.h"
#include "vhost/base/clock.h"
#include "vhost/base/log.h"

#define TOLD_SLOTS   1024 /* power of two */
#define MEMORY_SLOTS 64 /* power of two */

/* In the table's values, beside the port. */
#define VALUE_STATIC (1u << 16)

struct entry {
	bool used, is_static;
	uint16_t port;
	struct rte_ether_addr mac;
	uint32_t seen_s; /* lcores write it, too: relaxed */
};

/* What an lcore tells the control thread. */
struct told {
	struct rte_ether_addr mac;
	uint16_t port;
	uint16_t max_macs;
	uint16_t unused;
	uint32_t seen_s;
};
static_assert(sizeof(struct told) == 16, "a ring's element is a multiple of 4 bytes");

struct seen {
	uint64_t key; /* address and port */
	uint32_t second;
};

struct found {
	uint64_t mac;
	uint32_t version;
	uint16_t port;
};

/* An lcore's own. */
struct view {
	uint64_t second_began cacheline_aligned; /* ticks */
	uint32_t second;
	struct seen seen[MEMORY_SLOTS];
	struct found found[MEMORY_SLOTS];
};

/* Positions that the table may not use again yet. */
struct buried {
	int32_t *positions;
	unsigned num;
};

struct net_switch {
	struct rte_hash *table;
	struct entry *entries; /* by position */
	unsigned num_positions;
	uint32_t version; /* lcores: acquire; never 0 */
	uint64_t ticks_per_second;
	unsigned age_s;
	unsigned num_learnt, num_static;
	unsigned learnt[NET_MAX_PORTS];
	struct log_limit limit;

	struct rte_ring *told;
	bool told_pending; /* the control thread knows, or will look */
	struct mail told_mail;
	struct loop *loop;
	struct loop_timer turn_timer, age_timer;

	struct buried dead, dying; /* waiting for a grace to begin; for one to end */
	struct net_grace grace;
	bool waits, stopped;

	struct view views[NET_MAX_LCORES];
};

static inline uint32_t now_s(void)
{
	return (uint32_t)(clock_ns() / 1000000000u);
}

/* key_of - an address as the table has it: a number of 48 bits. (rte_jhash() reads words.) */
static inline uint64_t key_of(const struct rte_ether_addr *mac)
{
	uint64_t key = 0;

	memcpy(&key, mac->addr_bytes, RTE_ETHER_ADDR_LEN);
	return key;
}

/* --- switch.c, control thread --- */

/* net_switch_position - of @mac, or negative. */
int net_switch_position(const struct net_switch *fabric, const struct rte_ether_addr *mac);

/* net_switch_put - @mac behind @port, in a new place or where it is. Return: 0 or -ENOSPC. */
int net_switch_put(struct net_switch *fabric, const struct rte_ether_addr *mac, uint16_t port,
		   bool is_static, uint32_t seen_s);

/* net_switch_bury - the address at @position. net_switch_begin_grace() follows. */
void net_switch_bury(struct net_switch *fabric, unsigned position);

/* net_switch_begin_grace - for those that died since the last one. */
void net_switch_begin_grace(struct net_switch *fabric);

/* net_switch_begin_ageing - there is somebody to age. */
void net_switch_begin_ageing(struct net_switch *fabric);

/* --- switch_learn.c, control thread --- */

/* net_switch_hear_all - learn what lcores have told so far. */
void net_switch_hear_all(struct net_switch *fabric);

#endif
