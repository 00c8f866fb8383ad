/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_setup.c - see host_open.h: what a device is asked to do for us. Layer L5, control thread.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "net/dpdk_log.h"
#include "net/host_driver.h"
#include "net/host_open.h"
#include "net/lcore.h"

/* choose_offloads - what of the device's abilities is of use to us. */
static void choose_offloads(struct net_host_opening *o)
{
	const uint64_t checksums = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
				   RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	struct net_host *host = o->host;
	uint64_t tx = o->info.tx_offload_capa, rx = o->info.rx_offload_capa;

	host->tx_offloads = tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	host->rx_offloads = rx & RTE_ETH_RX_OFFLOAD_SCATTER;
	if (host->driver->in_software)
		return;
	host->rx_offloads |= rx & RTE_ETH_RX_OFFLOAD_CHECKSUM;
	if ((tx & checksums) != checksums)
		return;
	host->tx_offloads |= checksums;
	host->port.takes |= 1ull << VIRTIO_NET_F_GUEST_CSUM;
	if (!(tx & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
		return;
	if (tx & RTE_ETH_TX_OFFLOAD_TCP_TSO) {
		host->tx_offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
		host->port.takes |=
			1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6;
	}
	if (tx & RTE_ETH_TX_OFFLOAD_UDP_TSO) {
		host->tx_offloads |= RTE_ETH_TX_OFFLOAD_UDP_TSO;
		host->port.takes |=
			1ull << VIRTIO_NET_F_GUEST_USO4 | 1ull << VIRTIO_NET_F_GUEST_USO6;
	}
}

/* choose_segments - a device that does not say how many mbufs it takes says 0, or all. */
static void choose_segments(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	const struct rte_eth_desc_lim *limits = &o->info.tx_desc_lim;

	host->max_segments = host->max_gso_segments = UINT16_MAX;
	if (host->driver->any_frame)
		return;
	if (!(host->tx_offloads & RTE_ETH_TX_OFFLOAD_MULTI_SEGS))
		host->max_segments = host->max_gso_segments = 1;
	else if (limits->nb_mtu_seg_max)
		host->max_segments = limits->nb_mtu_seg_max;
	if (host->max_gso_segments > 1 && limits->nb_seg_max)
		host->max_gso_segments = limits->nb_seg_max;
}

static void choose_queues(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	unsigned most = host->driver->max_queues ? host->driver->max_queues : net_num_lcores;

	most = min_of(most, net_num_lcores);
	host->num_rx = (uint16_t)min_of(most, (unsigned)o->info.max_rx_queues);
	host->num_tx = (uint16_t)min_of(most, (unsigned)o->info.max_tx_queues);
	host->first_lcore = host->port.id % net_num_lcores;
	choose_segments(o);
}

static int configure(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	struct rte_eth_conf conf = {
		.rxmode = {.offloads = host->rx_offloads},
		.txmode = {.offloads = host->tx_offloads},
		.intr_conf =
			{
				.rxq = host->driver->is_tap,
				/* net_tap says that it would tell, and does not. */
				.lsc = !host->driver->is_tap &&
				       *o->info.dev_flags & RTE_ETH_DEV_INTR_LSC,
			},
	};
	uint64_t hash = o->info.flow_type_rss_offloads &
			(RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);

	if (host->num_rx > 1 && hash) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = hash;
	}
	return rte_eth_dev_configure(host->ethdev, host->num_rx, host->num_tx, &conf);
}

static int set_up_queues(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	uint16_t num_rx_descs = NET_HOST_RING, num_tx_descs = NET_HOST_RING;
	int socket = rte_eth_dev_socket_id(host->ethdev), ret;
	uint16_t i;

	ret = rte_eth_dev_adjust_nb_rx_tx_desc(host->ethdev, &num_rx_descs, &num_tx_descs);
	if (ret < 0)
		return ret;
	/* net_tap hands the kernel this many iovecs with each readv(2): what a frame takes. */
	if (host->driver->is_tap)
		num_rx_descs = (uint16_t)(host->mtu / NET_MBUF_BYTES + 4);
	for (i = 0; i < host->num_rx; i++) {
		ret = rte_eth_rx_queue_setup(host->ethdev, i, num_rx_descs, (unsigned)socket, NULL,
					     host->pool);
		if (ret < 0)
			return ret;
	}
	for (i = 0; i < host->num_tx; i++) {
		ret = rte_eth_tx_queue_setup(host->ethdev, i, num_tx_descs, (unsigned)socket, NULL);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* set_interface_mtu - where DPDK refuses to, ask the kernel: net_tap up to 1504 only. */
static int set_interface_mtu(const struct net_host *host, uint16_t mtu)
{
	struct ifreq request = {.ifr_mtu = mtu};

	memcpy(request.ifr_name, host->interface, sizeof(request.ifr_name));
	return ioctl(host->interface_fd, SIOCSIFMTU, &request) < 0 ? -errno : 0;
}

/* choose_mtu - of the operator's mtu=, or the one there is. */
static int choose_mtu(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	uint16_t mtu = host->opt->mtu;
	int ret = 0;

	rte_eth_dev_get_mtu(host->ethdev, &host->mtu);
	if (!mtu && host->interface[0])
		mtu = net_host_interface_mtu(host->interface);
	if (mtu && mtu != host->mtu) {
		net_dpdk_reason_begin();
		ret = rte_eth_dev_set_mtu(host->ethdev, mtu);
		if (ret < 0 && host->driver->is_tap) {
			ret = set_interface_mtu(host, mtu);
			host->oversized = ret == 0;
		} else if ((ret == -ENOTSUP && host->driver->any_frame) ||
			   (ret < 0 && !host->opt->mtu)) {
			ret = 0; /* none is needed, or it is that already */
		}
		if (ret < 0)
			return net_host_fail_dpdk(o, ret, "setting the MTU");
		net_dpdk_reason_end();
		host->mtu = mtu;
	}
	/* The Ethernet header and two VLAN tags. */
	host->max_frame_bytes =
		host->driver->any_frame ? NET_MAX_FRAME_BYTES : host->mtu + 14u + 2 * 4;
	return 0;
}

/* find_interface - the kernel's, which tells of carrier and MTU. */
static void find_interface(struct net_host_opening *o)
{
	struct net_host *host = o->host;

	host->interface_fd = -1;
	if (!o->info.if_index || !if_indextoname(o->info.if_index, host->interface))
		return;
	host->interface_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int choose_pool(struct net_host_opening *o, struct rte_mempool *pool)
{
	struct net_host *host = o->host;
	uint32_t bytes = net_host_large_mbuf(host->opt);
	char name[32];

	host->pool = pool;
	if (!bytes)
		return 0;
	snprintf(name, sizeof(name), "large%u.%u", host->port.id, host->port.generation);
	host->own_pool = rte_pktmbuf_pool_create(name, NET_HOST_LARGE_MBUFS, 64,
						 sizeof(struct net_frame_meta),
						 (uint16_t)(RTE_PKTMBUF_HEADROOM + bytes),
						 rte_eth_dev_socket_id(host->ethdev));
	if (!host->own_pool)
		return net_host_fail(o, -ENOMEM, "no memory for mbufs of %u bytes: raise --memory",
				     bytes);
	host->pool = host->own_pool;
	return 0;
}

static int start(struct net_host_opening *o)
{
	struct net_host *host = o->host;
	int ret;

	net_dpdk_reason_begin();
	ret = rte_eth_dev_start(host->ethdev);
	if (ret < 0)
		return net_host_fail_dpdk(o, ret, "starting");
	/* A tap has no filter; its other end need not look at what is not its own either. */
	if (!host->driver->is_tap) {
		ret = rte_eth_promiscuous_enable(host->ethdev);
		if (ret < 0 && ret != -ENOTSUP)
			return net_host_fail_dpdk(o, ret, "promiscuous mode");
	}
	net_dpdk_reason_end();
	return 0;
}

int net_host_set_up(struct net_host_opening *o, struct rte_mempool *pool)
{
	int ret;

	choose_offloads(o);
	choose_queues(o);
	find_interface(o);
	ret = choose_pool(o, pool);
	if (ret < 0)
		return ret;
	net_dpdk_reason_begin();
	ret = configure(o);
	if (ret < 0)
		return net_host_fail_dpdk(o, ret, "configuring");
	ret = choose_mtu(o);
	if (ret < 0)
		return ret;
	net_dpdk_reason_begin();
	ret = set_up_queues(o);
	if (ret < 0)
		return net_host_fail_dpdk(o, ret, "setting up queues");
	return start(o);
}
