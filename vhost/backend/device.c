/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - the face of the library towards a device: serve, stop, tell.
 * Layer L4. Control thread, but for vu_queue_stopped().
 */
#include <stdlib.h>
#include <string.h>

#include "vhost/backend/session.h"
#include "vhost/memory/fault.h"

static void on_connect(struct endpoint *ep, int sock)
{
	struct vu_device *dev = container_of(ep, struct vu_device, endpoint);
	int rc = vu_session_create(dev, sock);

	if (!rc)
		return;
	log_error(dev->name, "cannot serve the front-end: %s", strerror(-rc));
	vu_hang_up(&sock);
	endpoint_resume(ep);
}

void vu_device_init(struct vu_device *dev, struct loop *loop)
{
	assert(dev->num_queues >= 1 && dev->num_queues <= VU_MAX_RINGS);
	assert(dev->config_bytes <= VU_MAX_CONFIG && dev->max_ring_size <= VU_MAX_RING_SIZE);
	mem_fault_init();
	dev->features |= VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VU_F_LOG_ALL);
	if (!dev->max_ring_size)
		dev->max_ring_size = VU_DEFAULT_RING_SIZE;
	dev->loop = loop;
	dev->session = NULL;
	dev->closing = false;
	dev->on_closed = NULL;
}

void vu_device_start(struct vu_device *dev)
{
	dev->endpoint.on_connect = on_connect;
	endpoint_start(&dev->endpoint);
}

void vu_device_close(struct vu_device *dev, void (*on_closed)(struct vu_device *dev))
{
	assert(!dev->closing);
	dev->closing = true;
	dev->on_closed = on_closed;
	if (dev->session) {
		vu_session_end(dev->session, LOG_INFO, "closing");
		return;
	}
	endpoint_close(&dev->endpoint);
	on_closed(dev);
}

void vu_queue_stopped(struct virtqueue *vq)
{
	struct vu_ring *ring = vq->owner;

	loop_post(ring->session->dev->loop, &ring->stopped_mail, vu_ring_stopped);
}

void vu_device_config_changed(struct vu_device *dev)
{
	struct vu_session *s = dev->session;

	if (s && s->protocol_features & VU_BIT(VU_PF_CONFIG))
		vu_channel_config_changed(&s->channel);
}

bool vu_device_connected(const struct vu_device *dev)
{
	return dev->session && dev->session->phase != VU_SESSION_ENDING;
}

const struct mem_table *vu_device_memory(const struct vu_device *dev)
{
	return dev->session ? &dev->session->mem : NULL;
}

void vu_device_each_queue(struct vu_device *dev,
			  void (*fn)(struct virtqueue *vq, const char *state, bool enabled,
				     void *arg),
			  void *arg)
{
	struct vu_session *s = dev->session;

	for (unsigned i = 0; s && i < s->num_rings; i++) {
		struct vu_ring *ring = s->rings[i];

		if (ring->state != VU_RING_STOPPED)
			fn(&ring->vq, vu_ring_state_name(ring->state), ring->enabled, arg);
	}
}
