/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vmm_rig.c - see vmm_rig.h. Tests only.
 */
#include "tests/protocol/vmm_rig.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <string.h>

#include "tests/protocol/footprint.h"

struct vmm_rig rig;

static unsigned fds_before;

void rig_begin(void)
{
	fds_before = held_by(getpid()).fds;
}

/* --- the loop --- */

static void on_turn_over(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(rig.loop);
}

void rig_turn(unsigned ms)
{
	struct loop_timer timer = {0};

	loop_timer_set(rig.loop, &timer, ms, on_turn_over);
	ck_assert_int_eq(loop_run(rig.loop), 0);
	loop_timer_cancel(rig.loop, &timer);
}

/* --- the transport --- */

static void reset_done(struct virtio_device *dev)
{
	dev->status = 0;
	dev->driver_features = 0;
	for (unsigned i = 0; i < dev->num_queues; i++)
		dev->queues[i].enabled = dev->queues[i].resetting = false;
	rig.resets++;
}

static void queue_reset_done(struct virtio_device *dev, unsigned index)
{
	ck_assert(dev->queues[index].resetting);
	dev->queues[index].enabled = dev->queues[index].resetting = false;
	rig.queue_resets++;
}

static void config_changed(struct virtio_device *dev)
{
	(void)dev;
	rig.config_changes++;
}

static void needs_reset(struct virtio_device *dev)
{
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	rig.needs_resets++;
}

static const struct virtio_transport_ops transport = {
	.reset_done = reset_done,
	.queue_reset_done = queue_reset_done,
	.config_changed = config_changed,
	.needs_reset = needs_reset,
};

/* --- the device --- */

void rig_create(uint16_t device_id, uint64_t ring_features)
{
	struct fe_ring_options options = {
		.size = DISK_RING_SIZE,
		.packed = ring_features & VU_BIT(VIRTIO_F_RING_PACKED),
		.event_idx = ring_features & VU_BIT(VIRTIO_RING_F_EVENT_IDX),
	};

	ck_assert_int_eq(loop_create(&rig.loop), 0);
	disk_lay_out(&rig.disk, ring_features);
	for (unsigned i = 1; i < RIG_MAX_RINGS; i++)
		ck_assert_int_eq(fe_ring_init(&rig.more[i], &rig.disk.mem, &options), 0);
	if (!rig.opt.socket_path)
		rig.opt.socket_path = BLKD_SOCKET;
	rig.opt.device_id = device_id;
	rig.opt.packed = options.packed;
	ck_assert_int_eq(vhost_user_create(&rig.vu, "dev0", &rig.opt, &rig.disk.mem, rig.loop,
					   rig.num_vcpus ? rig.num_vcpus : 1),
			 0);
	rig.dev = vhost_user_virtio(rig.vu);
	rig.dev->transport = &transport;
}

static void on_connected(void *ctx, int error)
{
	ck_assert_ptr_eq(ctx, &rig);
	ck_assert(!rig.connected); /* once */
	rig.connected = true;
	rig.error = error;
}

int rig_connect(void)
{
	vhost_user_connect(rig.vu, on_connected, &rig);
	ck_assert(!rig.connected); /* from the loop only */
	rig_until(rig.connected);
	return rig.error;
}

void rig_open(bool packed)
{
	rig_create(VIRTIO_ID_BLOCK, VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
					    VU_BIT(VIRTIO_RING_F_INDIRECT_DESC) |
					    (packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0));
	ck_assert_msg(rig_connect() == 0, "%s", vhost_user_reason(rig.vu));
}

struct fe_ring *rig_ring(unsigned index)
{
	return index ? &rig.more[index] : &rig.disk.ring;
}

static uint64_t gpa_of(uint64_t host)
{
	const struct fe_region *region = &rig.disk.mem.regions[0];

	return region->gpa + (host - (uintptr_t)region->host);
}

void rig_set_up(unsigned index)
{
	struct virtio_queue *q = &rig.dev->queues[index];
	const struct fe_ring *ring = rig_ring(index);
	struct vu_vring_addr addr = fe_ring_wire_addr(ring, index);

	q->size = (uint16_t)ring->size;
	q->desc_gpa = gpa_of(addr.desc_uva);
	q->driver_gpa = gpa_of(addr.avail_uva);
	q->device_gpa = gpa_of(addr.used_uva);
	q->kick_fd = ring->kick_fd;
	q->call_fd = ring->call_fd;
	q->enabled = true;
}

void rig_driver_ok(uint64_t without, unsigned num_queues)
{
	rig.dev->driver_features = rig.dev->features & ~without;
	ck_assert_uint_le(num_queues, rig.dev->num_queues);
	for (unsigned i = 0; i < num_queues; i++)
		rig_set_up(i);
	rig.dev->status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
			  VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;
	rig.dev->ops->start(rig.dev);
}

void rig_running(uint64_t without, unsigned num_queues)
{
	rig_driver_ok(without, num_queues);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(vhost_user_rings_in(rig.vu, RING_ON), num_queues);
}

void rig_reset(void)
{
	unsigned before = rig.resets;

	rig.dev->ops->reset(rig.dev);
	rig_until(rig.resets == before + 1);
	ck_assert(vhost_user_idle(rig.vu));
	for (unsigned i = 0; i < RIG_MAX_RINGS; i++)
		fe_ring_reset(rig_ring(i));
}

void rig_close(void)
{
	vhost_user_destroy(rig.vu);
	loop_destroy(rig.loop);
	for (unsigned i = 0; i < RIG_MAX_RINGS; i++)
		fe_ring_free(rig_ring(i));
	fe_memory_free(&rig.disk.mem);
	ck_assert_uint_eq(held_by(getpid()).fds, fds_before);
}
