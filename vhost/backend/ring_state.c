/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_state.c - the states of a ring, and its way to the device and back.
 * Layer L4, control thread.
 */
#include <stdlib.h>
#include <string.h>

#include "vhost/backend/session.h"
#include "vhost/base/eventfd.h"

static const char *const state_names[] = {
	[VU_RING_STOPPED] = "stopped",
	[VU_RING_STARTED] = "started",
	[VU_RING_RUNNING] = "running",
	[VU_RING_DRAINING] = "draining",
};
static_assert(ARRAY_SIZE(state_names) == VU_RING_STATES, "a name for every ring state");

/* Only a message that quiesced the ring first stops it, so running never leads to stopped. */
static const bool legal[VU_RING_STATES][VU_RING_STATES] = {
	[VU_RING_STOPPED] = {[VU_RING_STARTED] = true},
	[VU_RING_STARTED] = {[VU_RING_STOPPED] = true, [VU_RING_RUNNING] = true},
	[VU_RING_RUNNING] = {[VU_RING_DRAINING] = true},
	[VU_RING_DRAINING] = {[VU_RING_STARTED] = true},
};

const char *vu_ring_state_name(enum vu_ring_state state)
{
	return state_names[state];
}

void vu_ring_set_state(struct vu_ring *ring, enum vu_ring_state next)
{
	assert(legal[ring->state][next]);
	log_debug(ring->vq.name, "%s -> %s", state_names[ring->state], state_names[next]);
	ring->state = next;
}

int vu_ring_create(struct vu_session *s, unsigned index, struct vu_ring **out)
{
	struct vu_ring *ring = aligned_alloc(CACHELINE_BYTES, sizeof(*ring));
	int rc;

	if (!ring)
		return -ENOMEM;
	memset(ring, 0, sizeof(*ring));
	rc = vq_init(&ring->vq, s->dev->name, index, s->dev->max_ring_size);
	if (rc) {
		free(ring);
		return rc;
	}
	ring->vq.owner = ring;
	ring->session = s;
	ring->kick_fd = ring->call_fd = ring->err_fd = -1;
	vu_inband_init(&ring->inband_call, ring, VU_BACKEND_VRING_CALL);
	vu_inband_init(&ring->inband_err, ring, VU_BACKEND_VRING_ERR);
	*out = ring;
	return 0;
}

void vu_ring_free(struct vu_ring *ring)
{
	if (!ring)
		return;
	assert(ring->state == VU_RING_STOPPED || ring->state == VU_RING_STARTED);
	vu_inband_free(ring);
	close_fd(&ring->kick_fd);
	close_fd(&ring->call_fd);
	close_fd(&ring->err_fd);
	vq_free(&ring->vq);
	free(ring);
}

void vu_ring_start(struct vu_ring *ring)
{
	if (ring->state != VU_RING_STOPPED)
		return;
	/* The front-end has given up on a transfer that needs the device suspended. */
	vu_state_abort(&ring->session->state, -ECANCELED);
	ring->vq.broken = false;
	vu_ring_set_state(ring, VU_RING_STARTED);
}

void vu_ring_reset(struct vu_ring *ring)
{
	const struct vu_session *s = ring->session;

	if (ring->state == VU_RING_STARTED)
		vu_ring_set_state(ring, VU_RING_STOPPED);
	vu_inband_hold(ring);
	vu_inband_forget(ring);
	close_fd(&ring->kick_fd);
	/* Where SET_VRING_ENABLE is not used, nothing would enable them again. */
	ring->enabled = s->features_set && !(s->features & VU_BIT(VU_F_PROTOCOL_FEATURES));
	ring->has_addr = false;
	ring->base = 0;
	ring->vq.broken = false;
}

void vu_ring_stop(struct vu_ring *ring)
{
	struct vu_device *dev = ring->session->dev;

	if (ring->state != VU_RING_RUNNING)
		return;
	vu_ring_set_state(ring, VU_RING_DRAINING);
	ring->session->draining++;
	dev->ops->queue_stop(dev, &ring->vq);
}

void vu_ring_stopped(struct mail *mail)
{
	struct vu_ring *ring = container_of(mail, struct vu_ring, stopped_mail);
	struct vu_session *s = ring->session;

	vu_ring_set_state(ring, VU_RING_STARTED);
	ring->base = vq_base(&ring->vq);
	vq_detach(&ring->vq);
	vu_inband_collect(ring);
	if (--s->draining == 0)
		vu_session_drained(s);
}

/* translate - find the ring's three parts in guest memory.
 * Return: NULL, or the name of the part that is not wholly inside one region. */
static const char *translate(const struct vu_ring *ring, struct vq_setup *setup)
{
	const struct mem_table *mem = &ring->session->mem;
	struct vq_parts bytes = vq_part_bytes(vu_is_packed(ring->session), ring->size);

	setup->desc = mem_from_uva(mem, ring->addr.desc_uva, bytes.desc);
	if (!setup->desc)
		return "descriptor area";
	setup->avail = mem_from_uva(mem, ring->addr.avail_uva, bytes.avail);
	if (!setup->avail)
		return "available ring or driver area";
	setup->used = mem_from_uva(mem, ring->addr.used_uva, bytes.used);
	if (!setup->used)
		return "used ring or device area";
	return NULL;
}

/* complete - has everything come that a ring needs? Messages come in any order. */
static bool complete(const struct vu_ring *ring)
{
	const struct vu_session *s = ring->session;

	return ring->size && ring->has_addr && s->mem.num_regions && s->features_set;
}

/* set_log - where the ring's writes are logged, if they are to be at the moment. */
static void set_log(const struct vu_ring *ring, struct vq_setup *setup)
{
	const struct vu_session *s = ring->session;

	if (!(s->features & VU_BIT(VU_F_LOG_ALL)) || !s->log.bits)
		return;
	setup->dirty = &s->log;
	setup->dirty_ring = ring->addr.flags & VU_VRING_F_LOG;
	setup->used_gpa = ring->addr.log_gpa;
}

/* attach - set the queue up, or say why not. Return: 0 or -errno. */
static int attach(struct vu_ring *ring, const struct vq_setup *setup)
{
	int rc = vq_attach(&ring->vq, setup);

	if (rc)
		log_warn_limited(&ring->session->log_limit, ring->vq.name,
				 "not started: %s%s (%s ring, size %u, base 0x%x): %s",
				 rc == -EBADMSG ? "in-flight area: " : "", ring->vq.refused,
				 setup->packed ? "packed" : "split", setup->size, setup->base,
				 strerror(-rc));
	return rc;
}

/* start - give an attached ring to the device. The process before may have used chains and died
 * before it told the driver, which is therefore told once (contract 2). */
static void start(struct vu_ring *ring)
{
	struct vu_device *dev = ring->session->dev;
	bool recovered = ring->vq.recovered && !ring->on_area;

	ring->on_area = ring->session->inflight.num_areas > ring->vq.index;
	vu_ring_set_state(ring, VU_RING_RUNNING);
	vu_inband_resume(ring);
	dev->ops->queue_start(dev, &ring->vq);
	if (recovered)
		eventfd_signal(ring->call_fd);
}

/* set_fds - those given, and in the place of those missing what in-band messages need. */
static int set_fds(struct vu_ring *ring, struct vq_setup *setup)
{
	int rc = 0;

	if (ring->call_fd < 0)
		rc = vu_inband_use(&ring->inband_call, &ring->call_fd);
	if (!rc && ring->err_fd < 0)
		rc = vu_inband_use(&ring->inband_err, &ring->err_fd);
	setup->kick_fd = ring->kick_fd;
	setup->call_fd = ring->call_fd;
	setup->err_fd = ring->err_fd;
	return rc;
}

void vu_ring_update(struct vu_ring *ring)
{
	struct vu_session *s = ring->session;
	struct vq_setup setup = {
		.packed = vu_is_packed(s),
		.size = ring->size,
		.features = s->features,
		.uses_in_order = s->dev->uses_in_order,
		.mem = &s->mem,
		.base = ring->base,
		.max_iov = s->dev->max_iov,
	};
	const char *outside;
	int rc;

	if (ring->state != VU_RING_STARTED || !ring->enabled || ring->vq.broken ||
	    s->phase == VU_SESSION_ENDING || !complete(ring))
		return;
	outside = translate(ring, &setup);
	if (outside) {
		log_warn_limited(&s->log_limit, ring->vq.name,
				 "not started: the %s (desc 0x%llx, avail 0x%llx, used 0x%llx, "
				 "size %u) is not inside one memory region",
				 outside, (unsigned long long)ring->addr.desc_uva,
				 (unsigned long long)ring->addr.avail_uva,
				 (unsigned long long)ring->addr.used_uva, ring->size);
		return;
	}
	rc = set_fds(ring, &setup);
	if (rc) {
		log_warn_limited(&s->log_limit, ring->vq.name,
				 "not started: an eventfd for in-band notifications: %s",
				 strerror(-rc));
		return;
	}
	set_log(ring, &setup);
	vu_inflight_setup(ring, &setup);
	if (!attach(ring, &setup))
		start(ring);
}

/* As below: the queue's thread may be finding it out at this moment. */
__attribute__((no_sanitize("thread"))) bool vu_ring_is_broken(const struct vu_ring *ring)
{
	return *(const volatile bool *)&ring->vq.broken;
}

/* The queue's thread is writing these words meanwhile: the figure is for a human. Plain reads,
 * since the sanitizer looks at atomic ones all the same. */
__attribute__((no_sanitize("thread"))) unsigned vu_ring_in_flight(const struct vu_ring *ring)
{
	const volatile uint16_t *in_flight = ring->vq.in_flight;
	unsigned count = 0;

	for (unsigned i = 0; i < ring->vq.size; i++)
		count += in_flight[i] != 0;
	return count;
}
