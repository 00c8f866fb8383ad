/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_status.c - handlers of reset, device status, and what only network devices are told.
 * Layer L4, control thread.
 */
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "vhost/backend/session.h"

#define UNUSED __attribute__((unused))

/* MTU: what IPv4 needs at least (RFC 791), and what 16 bits hold. */
#define MIN_MTU 68
#define MAX_MTU 65535

/* All rings have been taken back. The owner, what was negotiated, memory and channel stay. */
int vu_reset_device(struct vu_session *s, struct vu_msg *msg UNUSED, struct vu_ring *ring UNUSED,
		    struct vu_msg *reply UNUSED)
{
	vu_state_abort(&s->state, -ECANCELED);
	for (unsigned i = 0; i < s->num_rings; i++)
		vu_ring_reset(s->rings[i]);
	vu_inflight_reset(s);
	s->status = 0;
	if (s->dev->ops->reset)
		s->dev->ops->reset(s->dev);
	return 0;
}

int vu_check_status(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	if (msg->payload.u64 > UINT8_MAX)
		return vu_refuse(s, -EINVAL, "status 0x%" PRIx64 ", expected at most 0xff",
				 msg->payload.u64);
	return 0;
}

/*
 * The status is kept for the front-end and nothing follows from it: rings have messages of their
 * own, and QEMU sends 0 before it asks for their bases. NEEDS_RESET is ours to set; a front-end
 * that adds a bit to what it read writes it back.
 */
int vu_set_status(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		  struct vu_msg *reply UNUSED)
{
	s->status = (uint8_t)(msg->payload.u64 & ~(uint64_t)VIRTIO_CONFIG_S_NEEDS_RESET);
	return 0;
}

int vu_get_status(struct vu_session *s, struct vu_msg *msg UNUSED, struct vu_ring *ring UNUSED,
		  struct vu_msg *reply)
{
	reply->payload.u64 = s->status;
	reply->hdr.size = sizeof(reply->payload.u64);
	for (unsigned i = 0; i < s->num_rings; i++) {
		if (vu_ring_is_broken(s->rings[i]))
			reply->payload.u64 |= VIRTIO_CONFIG_S_NEEDS_RESET;
	}
	return 0;
}

int vu_send_rarp(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		 struct vu_msg *reply UNUSED)
{
	const uint8_t *mac = msg->payload.bytes; /* six bytes of eight, as they stand in memory */
	int rc = s->dev->ops->send_rarp(s->dev, mac);

	return rc ? vu_refuse(s, rc, "%s", strerror(-rc)) : 0;
}

int vu_check_mtu(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	if (msg->payload.u64 < MIN_MTU || msg->payload.u64 > MAX_MTU)
		return vu_refuse(s, -EINVAL, "MTU %" PRIu64 ", expected %u to %u", msg->payload.u64,
				 MIN_MTU, MAX_MTU);
	return 0;
}

int vu_net_set_mtu(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring UNUSED,
		   struct vu_msg *reply UNUSED)
{
	int rc = s->dev->ops->set_mtu(s->dev, (uint16_t)msg->payload.u64);

	return rc ? vu_refuse(s, rc, "MTU %" PRIu64 ": %s", msg->payload.u64, strerror(-rc)) : 0;
}
