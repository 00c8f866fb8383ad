/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.c - see guest.h: a virtio-net device as the library sees it: features, configuration space
 * (virtio 1.3, section 5.1.4), and queues that come and go. Layer L5, control thread.
 */
#include "net/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/forward.h"
#include "net/lcore.h"
#include "vhost/base/log.h"

#define BIT(n) (1ull << (n))

/* What kernel headers do not know yet. */
#ifndef VIRTIO_NET_F_GUEST_HDRLEN
#define VIRTIO_NET_F_GUEST_HDRLEN 59
#endif
#ifndef VIRTIO_NET_F_NOTF_COAL
#define VIRTIO_NET_F_NOTF_COAL 53
#endif

#define SPEED_UNKNOWN  UINT32_MAX
#define DUPLEX_FULL    1
#define DUPLEX_UNKNOWN 0xff

#define IDLE_MS 100 /* without a queue: so long the link stays up */

static struct net_guest *guest_of(struct vu_device *dev)
{
	return container_of(dev, struct net_guest, dev);
}

static uint64_t offered_features(const struct net_port_options *opt)
{
	uint64_t features =
		BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) |
		BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) |
		BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
		BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_HOST_UFO) |
		BIT(VIRTIO_NET_F_HOST_USO) | NET_TAKES | BIT(VIRTIO_NET_F_GUEST_HDRLEN) |
		BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_STATUS) |
		BIT(VIRTIO_NET_F_SPEED_DUPLEX) | BIT(VIRTIO_NET_F_HASH_REPORT) |
		BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) |
		BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_CTRL_VLAN) |
		BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |
		BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT(VIRTIO_NET_F_NOTF_COAL);

	if (opt->queues > 1)
		features |= BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_RSS);
	if (opt->has_mac)
		features |= BIT(VIRTIO_NET_F_MAC);
	if (opt->mtu)
		features |= BIT(VIRTIO_NET_F_MTU);
	return features & ~opt->disable;
}

/* --- configuration space --- */

static struct virtio_net_config make_config(const struct net_guest *guest)
{
	const struct net_port_options *opt = guest->opt;
	struct virtio_net_config config = {
		.status = htole16((guest->link_told_up ? VIRTIO_NET_S_LINK_UP : 0) |
				  (guest->announce ? VIRTIO_NET_S_ANNOUNCE : 0)),
		.max_virtqueue_pairs = htole16((uint16_t)opt->queues),
		.mtu = htole16(opt->mtu),
		.speed = htole32(opt->speed_mbit ? opt->speed_mbit : SPEED_UNKNOWN),
		.duplex = opt->speed_mbit ? DUPLEX_FULL : DUPLEX_UNKNOWN,
		.rss_max_key_size = NET_RSS_MAX_KEY,
		.rss_max_indirection_table_length = htole16(NET_RSS_MAX_ENTRIES),
		.supported_hash_types = htole32(net_rss_types),
	};

	memcpy(config.mac, &guest->config->mac, sizeof(config.mac));
	return config;
}

static void get_config(struct vu_device *dev, uint32_t offset, uint32_t size, uint8_t *data)
{
	struct virtio_net_config config = make_config(guest_of(dev));

	memcpy(data, (uint8_t *)&config + offset, size);
}

/* A driver of old writes its address here (5.1.4.2); one that can do so by a command may not. */
static int set_config(struct vu_device *dev, uint32_t offset, uint32_t size, const uint8_t *data)
{
	struct net_guest *guest = guest_of(dev);
	struct virtio_net_config old = make_config(guest), new = old;
	struct rte_ether_addr mac;

	memcpy((uint8_t *)&new + offset, data, size);
	if (memcmp((uint8_t *)&new + sizeof(new.mac), (uint8_t *)&old + sizeof(old.mac),
		   sizeof(new) - sizeof(new.mac)))
		return -EPERM;
	if (!memcmp(new.mac, old.mac, sizeof(new.mac)))
		return 0;
	if (guest->features & (BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_F_VERSION_1)))
		return -EPERM;
	memcpy(&mac, new.mac, sizeof(mac));
	return net_guest_set_mac(guest, &mac);
}

void net_guest_set_link(struct net_guest *guest, bool up)
{
	if (guest->link_told_up == up)
		return;
	guest->link_told_up = up;
	vu_device_config_changed(&guest->dev);
}

/* --- what the front-end says --- */

static void set_features(struct vu_device *dev, uint64_t features)
{
	struct net_guest *guest = guest_of(dev);
	uint64_t changed = guest->features ^ features;

	guest->features = features;
	/* A migration begins or ends: the driver, and what it set, are the same. */
	if (changed == BIT(VU_F_LOG_ALL))
		return;
	/* The same again come from a driver that was paused, or from another: the control queue tells. */
	guest->features_told = true;
	if (changed)
		net_ctrl_features(guest, features);
	if (!guest->num_started && !guest->idle.active)
		net_port_set_ready(&guest->port, false, "driver not ready");
}

/* With nobody there, nobody has set anything. */
static void disconnected(struct vu_device *dev)
{
	struct net_guest *guest = guest_of(dev);

	guest->features = 0;
	guest->mtu = 0;
	guest->features_told = false;
	guest->ctrl_place.known = false;
	guest->rx_filled = 0;
	net_ctrl_reset(guest, 0);
	loop_timer_cancel(guest->loop, &guest->idle);
	net_port_set_ready(&guest->port, false, "no front-end");
}

static void reset(struct vu_device *dev)
{
	struct net_guest *guest = guest_of(dev);

	net_ctrl_reset(guest, guest->features);
}

static int set_mtu(struct vu_device *dev, uint16_t mtu)
{
	struct net_guest *guest = guest_of(dev);

	if (guest->mtu != mtu && log_limited(&guest->log_limit, guest->port.name))
		log_info(guest->port.name, "its guest has an MTU of %u", mtu);
	guest->mtu = mtu;
	return 0;
}

/* --- an announcement in the guest's stead --- */

/* On its way to the lcore of the guest's first pair, which the guest may be gone before. */
struct rarp {
	struct mail mail;
	struct net_lcore *lcore;
	uint16_t port;
	uint32_t generation;
	struct rte_ether_addr mac;
};

#define MAX_RARPS 64
static unsigned num_rarps; /* on their way */

#define RARP_BYTES 60
#define RARP_TYPE  0x8035

/* A reverse ARP request (RFC 903), as switches learn from it where a station is. */
static void write_rarp(uint8_t frame[RARP_BYTES], const struct rte_ether_addr *mac)
{
	static const uint8_t fixed[] = {RARP_TYPE >> 8, RARP_TYPE & 0xff, 0, 1, 8, 0, 6, 4, 0, 3};

	memset(frame, 0, RARP_BYTES);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, fixed, sizeof(fixed));
	memcpy(frame + 22, mac, 6); /* of the sender, and of the one asked for */
	memcpy(frame + 32, mac, 6);
}

static void forward_rarp(struct net_lcore *lcore, const struct rarp *rarp)
{
	const struct net_topology *t = lcore->topology;
	struct net_port *port = rarp->port < t->num_ids ? t->ports[rarp->port] : NULL;
	struct rte_mbuf *frame;

	if (!port || port->generation != rarp->generation)
		return;
	frame = rte_pktmbuf_alloc(lcore->pool);
	if (frame) {
		net_frame_reset(frame);
		frame->data_len = frame->pkt_len = RARP_BYTES;
		write_rarp(rte_pktmbuf_mtod(frame, uint8_t *), &rarp->mac);
		net_forward(lcore, port, &frame, 1);
		net_flush(lcore);
	} else {
		net_count_drop(&port->in[lcore->index], NET_DROP_NO_MEMORY, 1);
	}
}

/* On the lcore. */
static void rarp_arrived(struct mail *mail)
{
	struct rarp *rarp = container_of(mail, struct rarp, mail);

	forward_rarp(rarp->lcore, rarp);
	free(rarp);
	__atomic_fetch_sub(&num_rarps, 1, __ATOMIC_RELAXED);
}

static int send_rarp(struct vu_device *dev, const uint8_t mac[6])
{
	struct net_guest *guest = guest_of(dev);
	struct rarp *rarp;

	if (__atomic_load_n(&num_rarps, __ATOMIC_RELAXED) >= MAX_RARPS)
		return -EBUSY;
	rarp = calloc(1, sizeof(*rarp));
	if (!rarp)
		return -ENOMEM;
	__atomic_fetch_add(&num_rarps, 1, __ATOMIC_RELAXED);
	rarp->lcore = &net_lcores[net_guest_lcore_of(guest, 0)];
	rarp->port = guest->port.id;
	rarp->generation = guest->port.generation;
	memcpy(&rarp->mac, mac, sizeof(rarp->mac));
	net_lcore_post(rarp->lcore, &rarp->mail, rarp_arrived);
	return 0;
}

/* --- queues --- */

/* is_ctrl - the control queue comes after the pairs that the driver knows of (5.1.2). */
static bool is_ctrl(const struct net_guest *guest, const struct virtqueue *vq)
{
	bool many = guest->features & (BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_RSS));

	return guest->features & BIT(VIRTIO_NET_F_CTRL_VQ) &&
	       vq->index == (many ? 2 * guest->opt->queues : 2);
}

static void idle_too_long(struct loop_timer *timer)
{
	struct net_guest *guest = container_of(timer, struct net_guest, idle);

	net_port_set_ready(&guest->port, false, "driver not ready");
}

/* count_queue - one more of the guest's queues runs, or one less. All stop for a moment when the
 * front-end changes memory, say: that is no news for the other ports. */
static void count_queue(struct net_guest *guest, int change)
{
	guest->num_started += (unsigned)change;
	if (guest->num_started) {
		loop_timer_cancel(guest->loop, &guest->idle);
		net_port_set_ready(&guest->port, true, NULL);
	} else {
		loop_timer_set(guest->loop, &guest->idle, IDLE_MS, idle_too_long);
	}
}

/* note_filled - a driver at work has given buffers to the pairs that it uses. */
static void note_filled(struct net_guest *guest, struct virtqueue *vq)
{
	uint32_t bit = 1u << vq->index / 2;

	guest->rx_filled &= ~bit;
	if (vq->next_avail || vq_waiting(vq, 1))
		guest->rx_filled |= bit;
}

static void queue_start(struct vu_device *dev, struct virtqueue *vq)
{
	struct net_guest *guest = guest_of(dev);
	unsigned pair = vq->index / 2;
	struct net_counters *count;

	vq->device_data = NULL;
	if (is_ctrl(guest, vq)) {
		net_ctrl_start(guest, vq);
		return;
	}
	if (pair >= guest->opt->queues) {
		log_warn_limited(&guest->log_limit, vq->name, "is no queue of this device");
		return;
	}
	count = vq->index & 1 ? &guest->from[pair] : &guest->to[pair];
	if (!(vq->index & 1))
		note_filled(guest, vq);
	if (net_guest_queue_start(&net_lcores[net_guest_lcore_of(guest, pair)], guest, vq, count,
				  guest->features) < 0) {
		log_error(vq->name, "out of memory: this queue is not served");
		return;
	}
	count_queue(guest, 1);
}

static void queue_stop(struct vu_device *dev, struct virtqueue *vq)
{
	struct net_guest *guest = guest_of(dev);

	if (guest->ctrl.vq == vq) {
		net_ctrl_stop(guest);
	} else if (vq->device_data) {
		count_queue(guest, -1);
		net_guest_queue_stop(vq->device_data);
	} else {
		vu_queue_stopped(vq);
	}
}

unsigned net_guest_lcore_of(const struct net_guest *guest, unsigned pair)
{
	return (guest->first_lcore + pair) % net_num_lcores;
}

static const struct vu_device_ops guest_ops = {
	.get_config = get_config,
	.set_config = set_config,
	.set_features = set_features,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.disconnected = disconnected,
	.reset = reset,
	.save_state = net_guest_save_state,
	.load_state = net_guest_load_state,
	.send_rarp = send_rarp,
	.set_mtu = set_mtu,
};

/* --- the port --- */

int net_guest_create(struct net_guest **out, struct loop *loop, uint16_t id, uint32_t generation,
		     const struct net_port_options *opt)
{
	struct net_guest *guest = aligned_alloc(CACHELINE_BYTES, sizeof(*guest));
	struct net_guest_config config;

	if (!guest)
		return -ENOMEM;
	memset(guest, 0, sizeof(*guest));
	guest->opt = opt;
	guest->loop = loop;
	guest->port.id = id;
	guest->port.generation = generation;
	guest->port.kind = NET_GUEST;
	snprintf(guest->port.name, sizeof(guest->port.name), "%s", opt->name);
	guest->port.mac = opt->mac;
	guest->port.mac_locked = opt->mac_lock;
	guest->port.max_macs = (uint16_t)opt->max_macs;
	guest->link_told_up = true;
	list_init(&guest->old_configs);
	net_guest_default_config(guest, 0, &config);
	if (net_guest_set_config(guest, &config) < 0) {
		free(guest);
		return -ENOMEM;
	}
	guest->dev.name = guest->port.name;
	guest->dev.ops = &guest_ops;
	guest->dev.features = offered_features(opt);
	guest->dev.num_queues = 2 * opt->queues + 1;
	guest->dev.pairs = opt->queues;
	guest->dev.max_ring_size = opt->queue_size;
	guest->dev.config_bytes = sizeof(struct virtio_net_config);
	guest->dev.max_iov = NET_CHAIN_IOVS;
	guest->dev.config_at_once = true;
	guest->dev.uses_in_order = true;
	vu_device_init(&guest->dev, loop);
	net_port_set_ready(&guest->port, false, "no front-end");
	*out = guest;
	return 0;
}

static void device_closed(struct vu_device *dev)
{
	struct net_guest *guest = guest_of(dev);

	net_guest_free_config(guest);
	if (guest->closed)
		guest->closed(guest);
	free(guest);
}

void net_guest_close(struct net_guest *guest, void (*closed)(struct net_guest *guest))
{
	guest->closed = closed;
	vu_device_close(&guest->dev, device_closed);
}
