/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dpdk_log.h - DPDK's log in ours, and its reason when something fails.
 * Layer L5. Lines come from any thread; net_dpdk_reason_*() on the control thread.
 */
#ifndef RINGSIDE_NET_DPDK_LOG_H
#define RINGSIDE_NET_DPDK_LOG_H

#include <stdbool.h>

/*
 * net_dpdk_log_start - before rte_eal_init(). DPDK's errors become warnings of object "dpdk", a few
 * at a time; all else is for --log-level=debug.
 */
void net_dpdk_log_start(void);

/* net_dpdk_log_catch_stdio - what DPDK prints rather than logs is taken, too, until told otherwise:
 * rte_eal_init() prints its complaints and its usage. Start-up, one thread. */
void net_dpdk_log_catch_stdio(bool on);

/* net_dpdk_reason_begin - what DPDK complains of from here on is a reason, and not logged. */
void net_dpdk_reason_begin(void);

/* net_dpdk_reason_end - Return: the first complaint since, which is what the others follow from; ""
 * when there was none. Valid until the next net_dpdk_reason_begin(). */
const char *net_dpdk_reason_end(void);

#endif
