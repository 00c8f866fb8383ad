/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_net.c - what is particular to a network device (virtio 1.3, section 5.1): pairs of queues,
 * who answers the control queue, and a configuration space where the back-end has none.
 * VMM, board lock held; is_backend_ring, may_write and own_queue_reset on any thread, the rest on the
 * main thread.
 *
 * Back-ends made with DPDK's library offer a control queue that they do not serve: only one that can
 * take a MAC address by it does.
 */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/net_ctrl.h"
#include "vmm/vhost_user_part.h"

/* Not in every version of the header. */
#define NET_F_VQ_NOTF_COAL 52
#define NET_F_NOTF_COAL    53

#define MAX_PAIRS ((VIRTIO_MAX_QUEUES - 1) / 2)
#define MQ_BITS \
	(VU_BIT(VIRTIO_NET_F_MQ) | VU_BIT(VIRTIO_NET_F_RSS) | VU_BIT(VIRTIO_NET_F_HASH_REPORT))
/* What makes no sense without a control queue. */
#define CTRL_BITS                                                                            \
	(MQ_BITS | VU_BIT(VIRTIO_NET_F_CTRL_VQ) | VU_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | \
	 VU_BIT(VIRTIO_NET_F_CTRL_RX) | VU_BIT(VIRTIO_NET_F_CTRL_VLAN) |                     \
	 VU_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | VU_BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |          \
	 VU_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | VU_BIT(NET_F_VQ_NOTF_COAL) |                   \
	 VU_BIT(NET_F_NOTF_COAL))
/* What needs a field of the configuration space that only the back-end could fill in. */
#define CONFIG_BITS                                                                                \
	(VU_BIT(VIRTIO_NET_F_MTU) | VU_BIT(VIRTIO_NET_F_SPEED_DUPLEX) | VU_BIT(VIRTIO_NET_F_RSS) | \
	 VU_BIT(VIRTIO_NET_F_HASH_REPORT))

#define CONFIG_BYTES 12u /* up to the MTU */

struct net {
	struct vhost_user *vu;
	unsigned pairs; /* there are */
	unsigned pairs_on; /* the driver uses */
	enum net_ctrl by; /* not AUTO: who answers the control queue */
	struct net_ctrl_queue *ctrl; /* by == NET_CTRL_VMM */
	bool ctrl_stale; /* not to be touched until it is set up anew */
	bool announce; /* asked of the driver */
	uint8_t mac[6]; /* where neither operator nor back-end has one */
};

static unsigned config_bytes(const struct vhost_user *vu)
{
	if (vu->backend.features & (VU_BIT(VIRTIO_NET_F_RSS) | VU_BIT(VIRTIO_NET_F_HASH_REPORT)))
		return 24;
	return vu->backend.features & VU_BIT(VIRTIO_NET_F_SPEED_DUPLEX) ? 17 : CONFIG_BYTES;
}

/* pairs_there - GET_QUEUE_NUM counts rings; back-ends made with DPDK's library, which have no
 * configuration space to say it in, count pairs. */
static unsigned pairs_there(const struct vhost_user *vu)
{
	const struct virtio_net_config *theirs = (const void *)vu->backend.config;
	uint64_t most = min_of(vu->backend.queue_num, (uint64_t)MAX_PAIRS);
	unsigned pairs = vu->backend.has_config ? le16toh(theirs->max_virtqueue_pairs) : 0;

	if (!(vu->backend.features & VU_BIT(VIRTIO_NET_F_MQ)) ||
	    !(vu->backend.protocol & VU_BIT(VU_PF_MQ)))
		return 1;
	return (unsigned)(pairs ? min_of((uint64_t)pairs, most) : most);
}

/* all_pairs - a back-end that answers the control queue has it behind all its pairs, or behind the
 * first where there is no multiqueue (5.1.2): it cannot show fewer. */
static bool all_pairs(const struct vhost_user *vu, unsigned pairs)
{
	return pairs == 1 || pairs == pairs_there(vu);
}

static bool has_queues(const struct vhost_user *vu)
{
	const struct net *net = vu->kind_data;

	return net->by == NET_CTRL_BACKEND ? all_pairs(vu, net->pairs) && pairs_there(vu)
					   : pairs_there(vu) >= net->pairs;
}

/* --- the control queue --- */

/* 5.1.2: behind all pairs there are, or the first where the driver knows of no more. */
static unsigned ctrl_index(const struct vhost_user *vu)
{
	const struct net *net = vu->kind_data;

	return virtio_has(&vu->dev, VIRTIO_NET_F_MQ) ? 2 * net->pairs : 2;
}

static bool is_backend_ring(const struct vhost_user *vu, unsigned index)
{
	const struct net *net = vu->kind_data;

	return net->by != NET_CTRL_VMM || index < ctrl_index(vu);
}

static bool is_enabled(const struct vhost_user *vu, unsigned index)
{
	const struct net *net = vu->kind_data;

	return net->by != NET_CTRL_VMM || index / 2 < net->pairs_on;
}

static bool ctrl_may_run(void *ctx)
{
	const struct net *net = ctx;

	return net->vu->driver_ok && !net->vu->forget && !net->vu->broken && !net->ctrl_stale;
}

static bool set_pairs(void *ctx, unsigned pairs)
{
	struct net *net = ctx;

	if (pairs < 1 || pairs > net->pairs)
		return false;
	net->pairs_on = pairs;
	vhost_user_wake(net->vu);
	return true;
}

/* Nothing else may change: while the next back-end is not known, nothing is known of the rest. */
static void announced(void *ctx)
{
	struct net *net = ctx;
	struct virtio_net_config *fields = (struct virtio_net_config *)net->vu->dev.config;

	net->announce = false;
	fields->status &= (uint16_t)~htole16(VIRTIO_NET_S_ANNOUNCE);
}

static void ctrl_broken(void *ctx)
{
	struct net *net = ctx;

	vhost_user_break(net->vu, "its control queue is wrong in itself");
}

static const struct net_ctrl_ops ctrl_ops = {
	.may_run = ctrl_may_run,
	.set_pairs = set_pairs,
	.announced = announced,
	.broken = ctrl_broken,
};

/* Without multiqueue there are some that nobody serves. */
static void own_queue_reset(struct vhost_user *vu, unsigned index)
{
	struct net *net = vu->kind_data;

	net->ctrl_stale |= index == ctrl_index(vu);
}

static void start_ctrl(struct vhost_user *vu, unsigned index)
{
	struct net *net = vu->kind_data;
	int ret = net_ctrl_start(net->ctrl, index, &vu->dev.queues[index], vu->dev.driver_features);

	if (ret < 0)
		vhost_user_break(vu, "its control queue cannot be served: %s", strerror(-ret));
}

static void sync_ctrl(struct vhost_user *vu)
{
	struct net *net = vu->kind_data;
	unsigned index;
	bool wanted;

	if (!net || net->by != NET_CTRL_VMM)
		return;
	index = ctrl_index(vu);
	wanted = vu->driver_ok && !vu->broken && virtio_has(&vu->dev, VIRTIO_NET_F_CTRL_VQ) &&
		 vu->dev.queues[index].enabled && !vu->dev.queues[index].resetting;
	if (!wanted || net->ctrl_stale)
		net_ctrl_stop(net->ctrl);
	net->ctrl_stale = false;
	if (wanted && !net_ctrl_runs(net->ctrl))
		start_ctrl(vu, index);
}

static void driver_went(struct vhost_user *vu)
{
	struct net *net = vu->kind_data;

	if (!net)
		return;
	if (net->ctrl)
		net_ctrl_stop(net->ctrl);
	net->ctrl_stale = net->announce = false;
	net->pairs_on = 1;
}

/* A switch behind a new back-end has to learn anew where we are. */
static void reconnected(struct vhost_user *vu)
{
	struct net *net = vu->kind_data;

	if (net->by != NET_CTRL_VMM || !vu->driver_ok ||
	    !virtio_has(&vu->dev, VIRTIO_NET_F_GUEST_ANNOUNCE))
		return;
	net->announce = true;
	if (vhost_user_apply_config(vu))
		virtio_config_changed(&vu->dev);
}

/* --- the device --- */

static enum net_ctrl who_answers(const struct vhost_user *vu, unsigned pairs)
{
	const uint64_t served = VU_BIT(VIRTIO_NET_F_CTRL_VQ) | VU_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	if (vu->opt->ctrl != NET_CTRL_AUTO)
		return vu->opt->ctrl;
	if ((vu->backend.features & served) == served && all_pairs(vu, pairs))
		return NET_CTRL_BACKEND;
	return pairs > 1 ? NET_CTRL_VMM : NET_CTRL_OFF;
}

static uint64_t offer(struct vhost_user *vu, const struct net *net)
{
	uint64_t features = vhost_user_offer(vu, vu->backend.features);

	features &= ~VU_BIT(VIRTIO_NET_F_STANDBY);
	if (!vu->backend.has_config)
		features &= ~CONFIG_BITS;
	if (net->by != NET_CTRL_BACKEND)
		features &= ~CTRL_BITS;
	if (net->pairs == 1)
		features &= ~MQ_BITS;
	else
		features |= VU_BIT(VIRTIO_NET_F_MQ);
	vu->own_features = VU_BIT(VIRTIO_NET_F_MAC) | VU_BIT(VIRTIO_NET_F_STATUS);
	if (net->by == NET_CTRL_VMM)
		vu->own_features |= net_ctrl_features;
	return features | vu->own_features;
}

/* random_mac - an address of the kind that anybody may use: local, of one station. */
static void random_mac(uint8_t mac[6])
{
	static const uint8_t instead[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

	if (getrandom(mac, 6, 0) != 6)
		memcpy(mac, instead, 6);
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static int create(struct vhost_user *vu)
{
	struct net *net = vu->kind_data;

	if (net)
		return 0;
	net = calloc(1, sizeof(*net));
	if (!net)
		return -ENOMEM;
	net->vu = vu;
	net->pairs_on = 1;
	random_mac(net->mac);
	vu->kind_data = net;
	return net_ctrl_create(&net->ctrl, vu->name, vu->mem, vu->loop, &ctrl_ops, net);
}

static int shape(struct vhost_user *vu)
{
	unsigned wanted = vu->opt->queues ? vu->opt->queues : 1;
	struct net *net;

	if (create(vu) < 0) {
		vhost_user_refuse(vu, "cannot be used: out of memory");
		return -ENOMEM;
	}
	net = vu->kind_data;
	if (!pairs_there(vu)) {
		vhost_user_refuse(vu, "has no queues");
		return -EPROTONOSUPPORT;
	}
	net->pairs = min_of(wanted, pairs_there(vu));
	net->by = who_answers(vu, net->pairs);
	if (net->by == NET_CTRL_BACKEND && !(vu->backend.features & VU_BIT(VIRTIO_NET_F_CTRL_VQ))) {
		vhost_user_refuse(vu, "has no control queue, and ctrl=backend is asked for");
		return -EPROTONOSUPPORT;
	}
	if (net->by == NET_CTRL_OFF)
		net->pairs = 1;
	if (net->by == NET_CTRL_BACKEND && !all_pairs(vu, net->pairs)) {
		vhost_user_refuse(vu,
				  "has %u pairs of queues, and cannot serve the control queue of a "
				  "device with %u (queues, or ctrl=vmm)",
				  pairs_there(vu), net->pairs);
		return -EPROTONOSUPPORT;
	}
	if (net->pairs < wanted)
		log_warn(vu->name, "has %u of the %u pairs of queues asked for: %s", net->pairs,
			 wanted,
			 net->by == NET_CTRL_OFF && pairs_there(vu) > 1
				 ? "more need a control queue (ctrl)"
				 : "the back-end has no more");
	vu->dev.num_queues = 2 * net->pairs + (net->by != NET_CTRL_OFF);
	if (!vu->backend.has_config)
		vu->config_bytes = 0; /* never asked for again */
	vu->dev.config_bytes = vu->config_bytes ? vu->config_bytes : CONFIG_BYTES;
	vu->dev.features = offer(vu, net);
	return 0;
}

static bool no_mac(const uint8_t *mac)
{
	static const uint8_t zero[6];

	return !memcmp(mac, zero, sizeof(zero));
}

static void merge_config(const struct vhost_user *vu, uint8_t *config)
{
	struct virtio_net_config *fields = (struct virtio_net_config *)config;
	const struct net *net = vu->kind_data;
	bool has_config = vu->backend.has_config;
	uint16_t status = VIRTIO_NET_S_LINK_UP;

	if (vu->opt->has_mac)
		memcpy(fields->mac, vu->opt->mac, sizeof(fields->mac));
	else if (!has_config || !(vu->backend.features & VU_BIT(VIRTIO_NET_F_MAC)) ||
		 no_mac(fields->mac))
		memcpy(fields->mac, net->mac, sizeof(fields->mac));
	if (has_config && vu->backend.features & VU_BIT(VIRTIO_NET_F_STATUS))
		status = le16toh(fields->status);
	if (net->by == NET_CTRL_VMM) {
		status &= (uint16_t)~VIRTIO_NET_S_ANNOUNCE;
		status |= net->announce ? VIRTIO_NET_S_ANNOUNCE : 0;
	}
	fields->status = htole16(status);
	fields->max_virtqueue_pairs = htole16((uint16_t)net->pairs);
}

static bool may_write(const struct vhost_user *vu, unsigned offset, unsigned bytes)
{
	(void)vu;
	(void)offset;
	(void)bytes;
	return false; /* 5.1.4: all of it is read-only to a modern driver */
}

static void destroy(struct vhost_user *vu)
{
	struct net *net = vu->kind_data;

	if (net)
		net_ctrl_destroy(net->ctrl);
	free(net);
}

const struct vhost_user_kind vhost_user_net = {
	.program = "ringside-net",
	.config_bytes = config_bytes,
	.shape = shape,
	.has_queues = has_queues,
	.merge_config = merge_config,
	.may_write = may_write,
	.is_backend_ring = is_backend_ring,
	.is_enabled = is_enabled,
	.sync = sync_ctrl,
	.driver_went = driver_went,
	.own_queue_reset = own_queue_reset,
	.reconnected = reconnected,
	.destroy = destroy,
	.in_order = true,
};
