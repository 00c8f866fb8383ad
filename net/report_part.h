/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report_part.h - what report.c, report_metrics.c and report_change.c have of each other.
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_NET_REPORT_PART_H
#define RINGSIDE_NET_REPORT_PART_H

#include "net/report.h"

/* net_report_sum - all that came in by @port, or went out, and was dropped there. */
void net_report_sum(const struct net_port *port, bool in, struct net_counters *sum);

/* net_report_port - what is to be told of @port, but its queues. */
json_t *net_report_port(const struct net *net, struct net_port *port);

/* net_report_mac - in small letters, as one types it. */
void net_report_mac(const struct rte_ether_addr *mac, char text[RTE_ETHER_ADDR_FMT_SIZE]);

/* Handlers, as struct rpc_method has them. */
int net_report_metrics(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_port_add(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_port_remove(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_port_set(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_switch_add(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_switch_del(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_capture_on(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
int net_capture_off(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);

#endif
