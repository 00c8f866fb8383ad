/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_user_start.c - features, memory and rings into a back-end's hands, and back.
 * VMM, main thread with the board lock held.
 *
 * A ring goes to the next back-end as the one before left it. With an in-flight region that one finds
 * out by itself what to do. Without, only what is used in the order in which it was made available,
 * or with nothing on the way, can go on: there is no telling what of the rest was done.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vhost/base/eventfd.h"
#include "vmm/vhost_user_part.h"

#define PACKED_BEGIN 0x80008000u /* both places 0, both wrap counters 1 */

unsigned vhost_user_rings_in(const struct vhost_user *vu, enum vhost_user_ring_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < vu->dev.num_queues; i++)
		n += vu->rings[i].state == state;
	return n;
}

/* --- requests whose refusal the driver has to know of --- */

static void on_answer(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user *vu = arg;

	(void)p;
	(void)reply;
	vu->pending--;
	if (error)
		vhost_user_break(vu, "the back-end refuses %s", vu_request_name(p->finished));
	if (!vu->pending)
		vhost_user_act(vu);
}

void vhost_user_request(struct vhost_user *vu, const struct vu_msg *msg)
{
	vu->pending++;
	fe_pipeline_request(&vu->pipe, msg, on_answer, vu);
}

/* --- before the first ring --- */

void vhost_user_prepare(struct vhost_user *vu)
{
	uint64_t features = vu->dev.driver_features & vu->backend.features;
	uint64_t missing = vhost_user_missing(vu, vu->dev.driver_features);
	struct vu_msg msg;

	if (vu->prepared != PREPARED_NOT)
		return;
	if (missing) {
		vhost_user_refuse(vu, "does not offer features %#llx, which the driver accepted",
				  (unsigned long long)missing);
		return;
	}
	features |= vu->backend.features & VU_BIT(VU_F_PROTOCOL_FEATURES);
	fe_msg_u64(&msg, VU_SET_FEATURES, features);
	vhost_user_request(vu, &msg);
	if (!vu->told_memory) {
		if (fe_msg_mem_table(&msg, vu->mem) < 0) {
			vhost_user_break(vu, "its memory has too many regions");
			return;
		}
		vhost_user_request(vu, &msg);
		vu->told_memory = true;
		vu->config_stale |= vu->kind->config_needs_memory;
	}
	vu->used = true;
	vhost_user_prepare_inflight(vu);
}

/* --- a ring --- */

struct parts {
	uint64_t desc, driver, device;
};

/* The event fields at the ends of split rings are always part of them. */
static struct parts part_bytes(const struct vhost_user *vu, const struct virtio_queue *q)
{
	uint64_t n = q->size;

	if (virtio_has(&vu->dev, VIRTIO_F_RING_PACKED))
		return (struct parts){n * sizeof(struct vring_packed_desc),
				      sizeof(struct vring_packed_desc_event),
				      sizeof(struct vring_packed_desc_event)};
	return (struct parts){n * sizeof(struct vring_desc), 6 + n * sizeof(uint16_t),
			      6 + n * sizeof(struct vring_used_elem)};
}

static uint64_t host_address(const struct vhost_user *vu, uint64_t gpa, uint64_t bytes,
			     unsigned alignment)
{
	return gpa % alignment ? 0 : (uintptr_t)fe_memory_host(vu->mem, gpa, bytes);
}

/* find_ring - 2.7, 2.8: in RAM, aligned? Return: NULL, or what is wrong with it. */
static const char *find_ring(const struct vhost_user *vu, const struct virtio_queue *q,
			     struct vu_vring_addr *addr)
{
	bool packed = virtio_has(&vu->dev, VIRTIO_F_RING_PACKED);
	struct parts bytes = part_bytes(vu, q);

	memset(addr, 0, sizeof(*addr));
	if (!q->size || q->size > q->max_size || (!packed && q->size & (q->size - 1)))
		return "a size that no ring has";
	addr->desc_uva = host_address(vu, q->desc_gpa, bytes.desc, 16);
	addr->avail_uva = host_address(vu, q->driver_gpa, bytes.driver, packed ? 4 : 2);
	addr->used_uva = host_address(vu, q->device_gpa, bytes.device, 4);
	if (!addr->desc_uva)
		return "a descriptor area that is not in RAM, or not aligned";
	if (!addr->avail_uva)
		return "an available ring or driver area that is not in RAM, or not aligned";
	if (!addr->used_uva)
		return "a used ring or device area that is not in RAM, or not aligned";
	return NULL;
}

static uint16_t load16(uint64_t host)
{
	return le16toh(__atomic_load_n((const uint16_t *)(uintptr_t)host, __ATOMIC_ACQUIRE));
}

/* find_base - where the back-end is to go on. Return: NULL, or why it cannot. */
static const char *find_base(const struct vhost_user_ring *ring, const struct vu_vring_addr *addr,
			     uint32_t *base)
{
	const struct vhost_user *vu = ring->vu;
	bool noted = ring->noted && vu->inflight_fd >= 0 &&
		     vu->backend.protocol & VU_BIT(VU_PF_INFLIGHT_SHMFD);
	uint16_t used, avail;

	if (virtio_has(&vu->dev, VIRTIO_F_RING_PACKED)) {
		/* With the region this counts only if the ring was never worked on. */
		*base = PACKED_BEGIN;
		return !ring->begun || noted ? NULL : "a packed ring, and no in-flight region";
	}
	if (!ring->begun) {
		*base = 0;
		return NULL;
	}
	used = load16(addr->used_uva + offsetof(struct vring_used, idx));
	avail = load16(addr->avail_uva + offsetof(struct vring_avail, idx));
	*base = used;
	if (noted || vu->kind->in_order || virtio_has(&vu->dev, VIRTIO_F_IN_ORDER) || used == avail)
		return NULL;
	return "requests on the way, and no in-flight region";
}

static void on_ring_error(struct loop_watch *watch, uint32_t events)
{
	struct vhost_user_ring *ring = container_of(watch, struct vhost_user_ring, err_watch);

	(void)events;
	/* Not read: one that signals it again and again is heard once. */
	loop_watch_del(ring->vu->loop, watch);
	close_fd(&ring->err_fd);
	vhost_user_break(ring->vu, "the back-end found an error in ring %u", ring->index);
}

/* open_err_fd - a ring may do without. Syscalls: eventfd2 */
static void open_err_fd(struct vhost_user_ring *ring)
{
	if (ring->err_fd >= 0)
		return;
	ring->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->err_fd >= 0 && loop_watch_add(ring->vu->loop, &ring->err_watch, ring->err_fd,
						EPOLLIN, on_ring_error) < 0)
		close_fd(&ring->err_fd);
}

static bool has_enable(const struct vhost_user *vu)
{
	return vu->backend.features & VU_BIT(VU_F_PROTOCOL_FEATURES);
}

static void enable_ring(struct vhost_user_ring *ring, bool enable)
{
	struct vu_msg msg;

	ring->enabled = enable;
	if (!has_enable(ring->vu))
		return;
	fe_msg_state(&msg, VU_SET_VRING_ENABLE, ring->index, enable);
	vhost_user_request(ring->vu, &msg);
}

static bool enable_wanted(const struct vhost_user_ring *ring)
{
	const struct vhost_user *vu = ring->vu;

	return !vu->kind->is_enabled || vu->kind->is_enabled(vu, ring->index);
}

static void start_ring(struct vhost_user_ring *ring)
{
	struct vhost_user *vu = ring->vu;
	const struct virtio_queue *q = &vu->dev.queues[ring->index];
	struct vu_vring_addr addr;
	struct vu_msg msg;
	uint32_t base;
	const char *wrong = find_ring(vu, q, &addr);

	if (wrong) {
		vhost_user_break(vu, "queue %u has %s", ring->index, wrong);
		return;
	}
	wrong = find_base(ring, &addr, &base);
	if (wrong) {
		vhost_user_break(vu, "queue %u cannot be served on: %s", ring->index, wrong);
		return;
	}
	open_err_fd(ring);
	fe_msg_state(&msg, VU_SET_VRING_NUM, ring->index, q->size);
	vhost_user_request(vu, &msg);
	fe_msg_state(&msg, VU_SET_VRING_BASE, ring->index, base);
	vhost_user_request(vu, &msg);
	fe_msg_vring_addr(&msg, ring->index, &addr);
	vhost_user_request(vu, &msg);
	fe_msg_vring_fd(&msg, VU_SET_VRING_ERR, ring->index, ring->err_fd);
	vhost_user_request(vu, &msg);
	fe_msg_vring_fd(&msg, VU_SET_VRING_CALL, ring->index, q->call_fd);
	vhost_user_request(vu, &msg);
	/* A kick that the one before took, and an interrupt that it owes: each once too often is
	 * harmless. */
	if (ring->begun) {
		eventfd_signal(q->kick_fd);
		eventfd_signal(q->call_fd);
	}
	fe_msg_vring_fd(&msg, VU_SET_VRING_KICK, ring->index, q->kick_fd);
	vhost_user_request(vu, &msg);
	ring->state = RING_ON;
	ring->begun = true;
	ring->noted = vu->inflight_fd >= 0;
	ring->enabled = !has_enable(vu);
	if (enable_wanted(ring) && !ring->enabled)
		enable_ring(ring, true);
}

static void close_err_fd(struct vhost_user_ring *ring)
{
	loop_watch_del(ring->vu->loop, &ring->err_watch);
	close_fd(&ring->err_fd);
}

/* ring_is_off - nobody works on it. Who did may still have its fds: the next one's errors come by
 * another. */
static void ring_is_off(struct vhost_user_ring *ring)
{
	struct virtio_queue *q = &ring->vu->dev.queues[ring->index];

	ring->state = RING_OFF;
	close_err_fd(ring);
	if (!q->resetting)
		return;
	vhost_user_clear_inflight(ring);
	ring->begun = ring->noted = false;
	virtio_queue_reset_done(&ring->vu->dev, ring->index);
}

static void on_stopped(struct fe_pipeline *p, int error, struct vu_msg *reply, void *arg)
{
	struct vhost_user_ring *ring = arg;

	if (error || fe_check_vring_base(reply, ring->index)) {
		fe_pipeline_fail(p, error ? "it refuses to stop a ring"
					  : "its reply to GET_VRING_BASE is about another ring");
		return;
	}
	ring_is_off(ring);
	vhost_user_act(ring->vu);
}

static void stop_ring(struct vhost_user_ring *ring)
{
	struct vu_msg msg;

	ring->state = RING_STOPPING;
	enable_ring(ring, false);
	fe_msg_state(&msg, VU_GET_VRING_BASE, ring->index, 0);
	fe_pipeline_query(&ring->vu->pipe, &msg, sizeof(msg.payload.state), 0, on_stopped, ring);
}

static bool ring_wanted(const struct vhost_user_ring *ring)
{
	const struct vhost_user *vu = ring->vu;
	const struct virtio_queue *q = &vu->dev.queues[ring->index];

	return vu->driver_ok && !vu->broken && !vu->forget && q->enabled && !q->resetting &&
	       (!vu->kind->is_backend_ring || vu->kind->is_backend_ring(vu, ring->index));
}

static void sync_ring(struct vhost_user_ring *ring)
{
	struct vhost_user *vu = ring->vu;
	bool wanted = ring_wanted(ring);
	bool can_start =
		vhost_user_connected(vu) && vu->prepared == PREPARED && vhost_user_config_told(vu);

	if (ring->state == RING_ON && !wanted)
		stop_ring(ring);
	else if (ring->state == RING_ON && ring->enabled != enable_wanted(ring))
		enable_ring(ring, enable_wanted(ring));
	else if (ring->state == RING_OFF && vu->dev.queues[ring->index].resetting && ring->begun)
		ring_is_off(ring);
	else if (ring->state == RING_OFF && wanted && can_start)
		start_ring(ring);
}

void vhost_user_sync_rings(struct vhost_user *vu)
{
	for (unsigned i = 0; i < vu->dev.num_queues; i++)
		sync_ring(&vu->rings[i]);
}

/* --- the end --- */

void vhost_user_reset_backend(struct vhost_user *vu)
{
	struct vu_msg msg;

	vu->used = false;
	vu->prepared = PREPARED_NOT;
	if (!(vu->backend.protocol & VU_BIT(VU_PF_RESET_DEVICE)))
		return;
	vu_msg_init(&msg, VU_RESET_DEVICE);
	vhost_user_request(vu, &msg);
	vhost_user_refresh_config(vu);
}

static void forget_ring(struct vhost_user_ring *ring)
{
	ring->begun = ring->noted = ring->enabled = false;
	close_err_fd(ring);
}

void vhost_user_forget_rings(struct vhost_user *vu)
{
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		forget_ring(&vu->rings[i]);
	vhost_user_forget_inflight(vu);
}

void vhost_user_lose_rings(struct vhost_user *vu)
{
	vu->prepared = PREPARED_NOT;
	vu->told_memory = vu->used = false;
	vu->pending = 0;
	for (unsigned i = 0; i < vu->dev.num_queues; i++)
		if (vu->rings[i].state != RING_OFF)
			ring_is_off(&vu->rings[i]);
}
