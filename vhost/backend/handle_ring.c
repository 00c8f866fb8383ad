/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * handle_ring.c - handlers of messages about one ring.
 * Layer L4, control thread. The ring index has been checked, and unless a message may be
 * handled at once, the ring has been taken back from the device.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "vhost/backend/session.h"
#include "vhost/base/eventfd.h"

#define UNUSED __attribute__((unused))

int vu_check_vring_num(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	uint32_t num = msg->payload.state.num;

	/* The format may come later; what does not suit it then is refused when the ring starts. */
	if (num == 0 || num > s->dev->max_ring_size)
		return vu_refuse(s, -EINVAL, "queue size %u, expected 1 to %u", num,
				 s->dev->max_ring_size);
	if (!vu_is_packed(s) && (num & (num - 1)))
		return vu_refuse(s, -EINVAL, "queue size %u, expected a power of two up to %u", num,
				 s->dev->max_ring_size);
	return 0;
}

int vu_set_vring_num(struct vu_session *s UNUSED, struct vu_msg *msg, struct vu_ring *ring,
		     struct vu_msg *reply UNUSED)
{
	ring->size = (uint16_t)msg->payload.state.num;
	return 0;
}

int vu_check_vring_addr(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	const struct vu_vring_addr *addr = &msg->payload.addr;

	if (addr->flags & ~VU_VRING_F_LOG)
		return vu_refuse(s, -EINVAL, "flags 0x%x, expected 0 or %u", addr->flags,
				 VU_VRING_F_LOG);
	if (addr->desc_uva % 16 || addr->avail_uva % 2 || addr->used_uva % 4)
		return vu_refuse(s, -EINVAL,
				 "desc 0x%" PRIx64 ", avail 0x%" PRIx64 ", used 0x%" PRIx64
				 ", expected alignment 16, 2, 4",
				 addr->desc_uva, addr->avail_uva, addr->used_uva);
	return 0;
}

/* Whether the addresses lie in guest memory is found out when the ring starts: the memory may
 * come later, and may change. */
int vu_set_vring_addr(struct vu_session *s UNUSED, struct vu_msg *msg, struct vu_ring *ring,
		      struct vu_msg *reply UNUSED)
{
	ring->addr = msg->payload.addr;
	ring->has_addr = true;
	return 0;
}

int vu_check_vring_base(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	if (!vu_is_packed(s) && msg->payload.state.num > UINT16_MAX)
		return vu_refuse(s, -EINVAL, "base %u, expected at most %u", msg->payload.state.num,
				 UINT16_MAX);
	return 0;
}

/* A new base sets the ring up anew, so what was wrong with it before is over. */
int vu_set_vring_base(struct vu_session *s UNUSED, struct vu_msg *msg, struct vu_ring *ring,
		      struct vu_msg *reply UNUSED)
{
	ring->base = msg->payload.state.num;
	ring->vq.broken = false;
	return 0;
}

int vu_get_vring_base(struct vu_session *s UNUSED, struct vu_msg *msg, struct vu_ring *ring,
		      struct vu_msg *reply)
{
	if (ring->state == VU_RING_STARTED)
		vu_ring_set_state(ring, VU_RING_STOPPED);
	vu_inband_hold(ring);
	close_fd(&ring->kick_fd);
	reply->payload.state.index = msg->payload.state.index;
	reply->payload.state.num = ring->base;
	reply->hdr.size = sizeof(reply->payload.state);
	return 0;
}

/*
 * An eventfd (as every fd without a file behind it) shows no file type. Anything else might
 * block, mean something else when eight bytes are written to it, or be readable for ever.
 * Syscalls: fcntl(cmd=F_GETFL|F_SETFL)
 */
int vu_check_vring_fd(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	struct stat st;
	int flags;

	if (!msg->num_fds)
		return 0;
	if (stat_fd(msg->fds[0], &st) < 0)
		return vu_refuse(s, -errno, "fstat of its fd: %s", strerror(errno));
	if (st.st_mode & S_IFMT)
		return vu_refuse(s, -EINVAL, "fd of file type 0%o, expected an eventfd",
				 st.st_mode & S_IFMT);
	if (!eventfd_is(msg->fds[0]))
		return vu_refuse(s, -EINVAL, "fd of another kind, expected an eventfd");
	flags = fcntl(msg->fds[0], F_GETFL);
	if (flags < 0 || fcntl(msg->fds[0], F_SETFL, flags | O_NONBLOCK) < 0)
		return vu_refuse(s, -errno, "making its fd non-blocking: %s", strerror(errno));
	return 0;
}

/* take_fd - *@fd becomes the message's fd, or -1; the one before is closed. */
static void take_fd(struct vu_msg *msg, int *fd)
{
	close_fd(fd);
	*fd = vu_msg_take_fd(msg, 0);
}

int vu_set_vring_kick(struct vu_session *s UNUSED, struct vu_msg *msg, struct vu_ring *ring,
		      struct vu_msg *reply UNUSED)
{
	take_fd(msg, &ring->kick_fd);
	vu_ring_start(ring);
	return 0;
}

int vu_check_vring_kick(struct vu_session *s, const struct vu_msg *msg, struct vu_ring *ring UNUSED)
{
	if (msg->payload.state.num)
		return vu_refuse(s, -EINVAL, "num %u, expected 0", msg->payload.state.num);
	return 0;
}

/*
 * A kick as a message. The ring gets an eventfd of ours at its first one, so that the data path
 * knows no other kind; until then "no fd" of SET_VRING_KICK means, as ever, that we poll. QEMU
 * never sends this, User-Mode Linux does, and starts rings by it.
 * Syscalls: eventfd2
 */
int vu_vring_kick(struct vu_session *s, struct vu_msg *msg UNUSED, struct vu_ring *ring,
		  struct vu_msg *reply UNUSED)
{
	if (ring->kick_fd < 0)
		ring->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ring->kick_fd < 0)
		return vu_refuse(s, -errno, "an eventfd for the ring: %s", strerror(errno));
	vu_ring_start(ring);
	eventfd_signal(ring->kick_fd);
	return 0;
}

bool vu_kick_at_once(const struct vu_session *s, const struct vu_msg *msg UNUSED)
{
	return s->ring->kick_fd >= 0;
}

/*
 * swap_fd - replace an fd of a ring that may be running: the new file takes the place of the
 * old behind the same number, which is all that the queue's thread knows. QEMU switches the
 * call fd whenever the guest masks a vector; draining the ring for that would stall it.
 * Syscalls: dup3
 */
static int swap_fd(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring, int *fd,
		   struct vu_inband *inband)
{
	int rc = 0;

	if (ring->state != VU_RING_RUNNING || *fd < 0) {
		take_fd(msg, fd);
		return 0;
	}
	/* The message closes its own number of the file. */
	if (!msg->num_fds)
		rc = vu_inband_use(inband, fd);
	else if (dup3(msg->fds[0], *fd, O_CLOEXEC) < 0)
		rc = -errno;
	return rc ? vu_refuse(s, rc, "taking its fd: %s", strerror(-rc)) : 0;
}

int vu_set_vring_call(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring,
		      struct vu_msg *reply UNUSED)
{
	int rc = swap_fd(s, msg, ring, &ring->call_fd, &ring->inband_call);

	/* An interrupt may have gone to the old fd after the front-end looked there last; one too
	 * many is harmless. */
	if (!rc && ring->state != VU_RING_STOPPED)
		eventfd_signal(ring->call_fd);
	return rc;
}

int vu_set_vring_err(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring,
		     struct vu_msg *reply UNUSED)
{
	return swap_fd(s, msg, ring, &ring->err_fd, &ring->inband_err);
}

bool vu_call_at_once(const struct vu_session *s, const struct vu_msg *msg)
{
	return s->ring->call_fd >= 0 && (msg->num_fds || vu_is_inband(s));
}

bool vu_err_at_once(const struct vu_session *s, const struct vu_msg *msg)
{
	return s->ring->err_fd >= 0 && (msg->num_fds || vu_is_inband(s));
}

/* SPDK sends the queue size where others send 1. */
int vu_set_vring_enable(struct vu_session *s UNUSED, struct vu_msg *msg, struct vu_ring *ring,
			struct vu_msg *reply UNUSED)
{
	ring->enabled = msg->payload.state.num != 0;
	return 0;
}

/* Enabling changes nothing under a ring that runs; disabling takes it back. */
bool vu_enable_at_once(const struct vu_session *s UNUSED, const struct vu_msg *msg)
{
	return msg->payload.state.num != 0;
}
