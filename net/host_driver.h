/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_driver.h - what is known of DPDK's drivers: their device strings and their ways.
 * Layer L5, control thread.
 */
#ifndef RINGSIDE_NET_HOST_DRIVER_H
#define RINGSIDE_NET_HOST_DRIVER_H

#include "net/host.h"

/* net_host_driver_of - the driver that @name ("net_tap", "net_tap0,iface=x", a PCI address, what
 * DPDK calls its driver) begins with; never NULL. */
const struct net_host_driver *net_host_driver_of(const char *name);

/*
 * net_host_device_string - @dpdk as DPDK wants it, "tap,iface=x" as "net_tap0,iface=x" with a
 * number that is free, and af_packet with rings and queues that fit @mtu and @num_lcores unless
 * it names its own. @name becomes the device's name alone. Return: 0 or -EINVAL with a line in
 * @error.
 */
int net_host_device_string(const char *dpdk, uint16_t mtu, unsigned num_lcores, char *device,
			   size_t device_bytes, char *name, size_t name_bytes, char *error,
			   size_t error_bytes);

/* net_host_argument - the value of "@key=" in device string @dpdk, into @value.
 * Return: false without one. */
bool net_host_argument(const char *dpdk, const char *key, char *value, size_t bytes);

#define NET_HOST_LARGE_MBUFS 2047

/* net_host_large_mbuf - bytes of data room for a device that receives a frame larger than
 * NET_MBUF_BYTES into one mbuf: a pool of NET_HOST_LARGE_MBUFS for it. Return: 0 for all others. */
uint32_t net_host_large_mbuf(const struct net_port_options *opt);

/* net_host_interface_mtu - of interface @name. Return: bytes, or 0: none such. */
uint16_t net_host_interface_mtu(const char *name);

#endif
