/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * feature_names.c - see feature_names.h. VMM, any thread.
 */
#include "vmm/feature_names.h"

#include <linux/virtio_ids.h>
#include <stdio.h>

#include "vhost/base/util.h"

/* By number, as the specification has them (5.1.3, 5.2.3, 5.5.3, 6): headers differ in what they know. */
static const char *const transport_names[64] = {
	[24] = "VIRTIO_F_NOTIFY_ON_EMPTY",   [26] = "VHOST_F_LOG_ALL",
	[27] = "VIRTIO_F_ANY_LAYOUT",        [28] = "VIRTIO_F_INDIRECT_DESC",
	[29] = "VIRTIO_F_EVENT_IDX",         [30] = "VHOST_USER_F_PROTOCOL_FEATURES",
	[32] = "VIRTIO_F_VERSION_1",         [33] = "VIRTIO_F_ACCESS_PLATFORM",
	[34] = "VIRTIO_F_RING_PACKED",       [35] = "VIRTIO_F_IN_ORDER",
	[36] = "VIRTIO_F_ORDER_PLATFORM",    [37] = "VIRTIO_F_SR_IOV",
	[38] = "VIRTIO_F_NOTIFICATION_DATA", [39] = "VIRTIO_F_NOTIF_CONFIG_DATA",
	[40] = "VIRTIO_F_RING_RESET",        [41] = "VIRTIO_F_ADMIN_VQ",
};

static const char *const blk_names[64] = {
	[0] = "VIRTIO_BLK_F_BARRIER",
	[1] = "VIRTIO_BLK_F_SIZE_MAX",
	[2] = "VIRTIO_BLK_F_SEG_MAX",
	[4] = "VIRTIO_BLK_F_GEOMETRY",
	[5] = "VIRTIO_BLK_F_RO",
	[6] = "VIRTIO_BLK_F_BLK_SIZE",
	[7] = "VIRTIO_BLK_F_SCSI",
	[9] = "VIRTIO_BLK_F_FLUSH",
	[10] = "VIRTIO_BLK_F_TOPOLOGY",
	[11] = "VIRTIO_BLK_F_CONFIG_WCE",
	[12] = "VIRTIO_BLK_F_MQ",
	[13] = "VIRTIO_BLK_F_DISCARD",
	[14] = "VIRTIO_BLK_F_WRITE_ZEROES",
	[15] = "VIRTIO_BLK_F_LIFETIME",
	[16] = "VIRTIO_BLK_F_SECURE_ERASE",
	[17] = "VIRTIO_BLK_F_ZONED",
};

static const char *const net_names[64] = {
	[0] = "VIRTIO_NET_F_CSUM",
	[1] = "VIRTIO_NET_F_GUEST_CSUM",
	[2] = "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS",
	[3] = "VIRTIO_NET_F_MTU",
	[5] = "VIRTIO_NET_F_MAC",
	[6] = "VIRTIO_NET_F_GSO",
	[7] = "VIRTIO_NET_F_GUEST_TSO4",
	[8] = "VIRTIO_NET_F_GUEST_TSO6",
	[9] = "VIRTIO_NET_F_GUEST_ECN",
	[10] = "VIRTIO_NET_F_GUEST_UFO",
	[11] = "VIRTIO_NET_F_HOST_TSO4",
	[12] = "VIRTIO_NET_F_HOST_TSO6",
	[13] = "VIRTIO_NET_F_HOST_ECN",
	[14] = "VIRTIO_NET_F_HOST_UFO",
	[15] = "VIRTIO_NET_F_MRG_RXBUF",
	[16] = "VIRTIO_NET_F_STATUS",
	[17] = "VIRTIO_NET_F_CTRL_VQ",
	[18] = "VIRTIO_NET_F_CTRL_RX",
	[19] = "VIRTIO_NET_F_CTRL_VLAN",
	[20] = "VIRTIO_NET_F_CTRL_RX_EXTRA",
	[21] = "VIRTIO_NET_F_GUEST_ANNOUNCE",
	[22] = "VIRTIO_NET_F_MQ",
	[23] = "VIRTIO_NET_F_CTRL_MAC_ADDR",
	[52] = "VIRTIO_NET_F_VQ_NOTF_COAL",
	[53] = "VIRTIO_NET_F_NOTF_COAL",
	[54] = "VIRTIO_NET_F_GUEST_USO4",
	[55] = "VIRTIO_NET_F_GUEST_USO6",
	[56] = "VIRTIO_NET_F_HOST_USO",
	[57] = "VIRTIO_NET_F_HASH_REPORT",
	[59] = "VIRTIO_NET_F_GUEST_HDRLEN",
	[60] = "VIRTIO_NET_F_RSS",
	[61] = "VIRTIO_NET_F_RSC_EXT",
	[62] = "VIRTIO_NET_F_STANDBY",
	[63] = "VIRTIO_NET_F_SPEED_DUPLEX",
};

static const char *const balloon_names[64] = {
	[0] = "VIRTIO_BALLOON_F_MUST_TELL_HOST", [1] = "VIRTIO_BALLOON_F_STATS_VQ",
	[2] = "VIRTIO_BALLOON_F_DEFLATE_ON_OOM", [3] = "VIRTIO_BALLOON_F_FREE_PAGE_HINT",
	[4] = "VIRTIO_BALLOON_F_PAGE_POISON",    [5] = "VIRTIO_BALLOON_F_PAGE_REPORTING",
};

const char *feature_name(uint16_t device_id, unsigned bit)
{
	if (bit > 63)
		return NULL;
	if (transport_names[bit])
		return transport_names[bit];
	switch (device_id) {
	case VIRTIO_ID_BLOCK:
		return blk_names[bit];
	case VIRTIO_ID_NET:
		return net_names[bit];
	case VIRTIO_ID_BALLOON:
		return balloon_names[bit];
	default:
		return NULL;
	}
}

void feature_names(uint16_t device_id, uint64_t features, char *out, size_t out_bytes)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned bit = 0; bit < 64 && used < out_bytes; bit++) {
		const char *name = feature_name(device_id, bit);
		const char *comma = used ? ", " : "";
		int n;

		if (!(features >> bit & 1))
			continue;
		n = name ? snprintf(out + used, out_bytes - used, "%s%s", comma, name)
			 : snprintf(out + used, out_bytes - used, "%sbit %u", comma, bit);
		used += (size_t)n;
	}
}
