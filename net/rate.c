/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rate.c - see rate.h. Layer L5, lcore threads.
 *
 * Theory of operation. The meter is one for all lcores. An lcore takes a millisecond's bytes out of
 * it at a time, and spends them on its own. It never waits for the meter: while another lcore is at
 * it, this one passes frames on credit, up to as much again, which its next lease pays back.
 */
#include "net/rate.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_meter.h>
#include <rte_spinlock.h>
#include <stdlib.h>

#include "net/port.h"
#include "vhost/base/clock.h"
#include "vhost/base/util.h"

#define BURST_PART  10 /* of a second, where no burst is said */
#define LEASE_PART  1000
#define LEAST_BURST (2 * NET_MAX_FRAME_BYTES)

struct share {
	int64_t bytes cacheline_aligned; /* below 0: on credit */
};

struct net_rate {
	rte_spinlock_t lock; /* only ever tried */
	uint64_t last; /* the meter must not see time go back */
	struct rte_meter_srtcm meter;
	struct rte_meter_srtcm_profile profile;
	uint32_t lease_bytes;
	struct share shares[NET_MAX_LCORES];
};

int net_rate_create(struct net_rate **out, uint64_t bytes_s, uint64_t burst_bytes)
{
	uint64_t burst = burst_bytes ? burst_bytes : bytes_s / BURST_PART;
	struct rte_meter_srtcm_params params = {
		.cir = bytes_s,
		.cbs = max_of(burst, (uint64_t)LEAST_BURST),
	};
	struct net_rate *rate = aligned_alloc(CACHELINE_BYTES, sizeof(*rate));

	if (!rate)
		return -ENOMEM;
	*rate = (struct net_rate){.lock = RTE_SPINLOCK_INITIALIZER};
	if (rte_meter_srtcm_profile_config(&rate->profile, &params) ||
	    rte_meter_srtcm_config(&rate->meter, &rate->profile)) {
		free(rate);
		return -EINVAL;
	}
	rate->last = rate->meter.time;
	rate->lease_bytes = (uint32_t)min_of(bytes_s / LEASE_PART, params.cbs / 4);
	*out = rate;
	return 0;
}

void net_rate_free(struct net_rate *rate)
{
	free(rate);
}

/* meter_time - in the cycles that rte_meter counts. */
static uint64_t meter_time(uint64_t ticks)
{
	if (clock_tick_is_tsc)
		return ticks;
	return (uint64_t)((unsigned __int128)ticks * rte_get_tsc_hz() / 1000000000u);
}

/* take - @bytes out of the meter, which the caller has locked. */
static bool take(struct net_rate *rate, uint64_t now_ticks, uint32_t bytes)
{
	uint64_t now = meter_time(now_ticks);

	rate->last = max_of(rate->last, now);
	return rte_meter_srtcm_color_blind_check(&rate->meter, &rate->profile, rate->last, bytes) ==
	       RTE_COLOR_GREEN;
}

bool net_rate_pass(struct net_rate *rate, unsigned lcore, uint64_t now_ticks, uint32_t bytes)
{
	struct share *share = &rate->shares[lcore];
	int64_t need = (int64_t)bytes - share->bytes;
	uint32_t lease;
	bool passes;

	if (likely(need <= 0)) {
		share->bytes -= bytes;
		return true;
	}
	lease = max_of((uint32_t)need, rate->lease_bytes);
	if (!rte_spinlock_trylock(&rate->lock)) {
		if (need > (int64_t)rate->lease_bytes)
			return false;
		share->bytes -= bytes;
		return true;
	}
	passes = take(rate, now_ticks, lease);
	if (!passes && lease > need) {
		lease = (uint32_t)need;
		passes = take(rate, now_ticks, lease);
	}
	rte_spinlock_unlock(&rate->lock);
	if (passes)
		share->bytes += (int64_t)lease - bytes;
	return passes;
}
