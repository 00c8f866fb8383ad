/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.h - the control methods of ringside-net: stats, metrics, port.*, switch.*, capture.*.
 * Layer L5, control thread. Their context is struct net.
 */
#ifndef RINGSIDE_NET_REPORT_H
#define RINGSIDE_NET_REPORT_H

#include "net/net.h"
#include "vhost/control/rpc.h"

extern const struct rpc_method net_report_methods[];
extern const size_t net_report_num_methods;

#endif
