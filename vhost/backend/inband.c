/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inband.c - calls and errors of rings as messages on the back-end channel, where the front-end
 * negotiated INBAND_NOTIFICATIONS and gave a ring no eventfd of its own.
 * Layer L4, control thread.
 *
 * The data path knows eventfds only. So such a ring gets one of ours; the control loop watches it
 * and passes a signal on as VRING_CALL or VRING_ERR. While a message waits for room in the channel
 * the eventfd is not looked at, and its counter is the queue: whatever rate a guest causes, there
 * is at most one message waiting for a ring, and a front-end that does not read costs nothing.
 *
 * Only simulators use this (User-Mode Linux); QEMU takes the feature but always gives eventfds.
 */
#include <fcntl.h>
#include <sys/eventfd.h>

#include "vhost/backend/session.h"

/* look - has it been signalled since it was last looked at? Syscalls: read */
static void look(struct vu_inband *inband)
{
	uint64_t count;

	if (read(inband->fd, &count, sizeof(count)) == sizeof(count))
		inband->due = true;
}

/* tell - while a message is due, nothing more is looked for. */
static void tell(struct vu_inband *inband)
{
	struct vu_session *s = inband->ring->session;

	if (!vu_is_inband(s))
		inband->due = false;
	loop_watch_events(s->dev->loop, &inband->watch, inband->due ? 0 : EPOLLIN);
	if (inband->due)
		vu_channel_post(&s->channel, &inband->note);
}

static void on_signal(struct loop_watch *watch, uint32_t events)
{
	struct vu_inband *inband = container_of(watch, struct vu_inband, watch);

	(void)events;
	look(inband);
	tell(inband);
}

static void sent(struct vu_note *note)
{
	struct vu_inband *inband = container_of(note, struct vu_inband, note);

	inband->due = false;
	loop_watch_events(inband->ring->session->dev->loop, &inband->watch, EPOLLIN);
}

void vu_inband_init(struct vu_inband *inband, struct vu_ring *ring, uint32_t request)
{
	inband->ring = ring;
	inband->fd = -1;
	vu_note_init(&inband->note, request, ring->vq.index, sent);
}

/* open_ours - Syscalls: eventfd2 */
static int open_ours(struct vu_inband *inband)
{
	int rc;

	if (inband->fd >= 0)
		return 0;
	inband->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (inband->fd < 0)
		return -errno;
	rc = loop_watch_add(inband->ring->session->dev->loop, &inband->watch, inband->fd, EPOLLIN,
			    on_signal);
	if (rc)
		close_fd(&inband->fd);
	return rc;
}

/* The ring gets a number of its own for the file, so that what the front-end sends later can take
 * its place there while the one watched stays.
 * Syscalls: fcntl(cmd=F_DUPFD_CLOEXEC), dup3 */
int vu_inband_use(struct vu_inband *inband, int *fd)
{
	int rc, dup;

	if (!vu_is_inband(inband->ring->session))
		return 0;
	rc = open_ours(inband);
	if (rc)
		return rc;
	dup = *fd < 0 ? fcntl(inband->fd, F_DUPFD_CLOEXEC, 0) : dup3(inband->fd, *fd, O_CLOEXEC);
	if (dup < 0)
		return -errno;
	*fd = dup;
	return 0;
}

static void each_of(struct vu_ring *ring, void (*fn)(struct vu_inband *inband))
{
	if (ring->inband_call.fd >= 0)
		fn(&ring->inband_call);
	if (ring->inband_err.fd >= 0)
		fn(&ring->inband_err);
}

static void collect(struct vu_inband *inband)
{
	look(inband);
	tell(inband);
}

void vu_inband_collect(struct vu_ring *ring)
{
	each_of(ring, collect);
}

/* What could not be told yet is told when the ring starts again: a suspended device sends nothing,
 * and a guest that was stopped still waits for its interrupt. */
static void hold(struct vu_inband *inband)
{
	struct vu_session *s = inband->ring->session;

	loop_watch_events(s->dev->loop, &inband->watch, 0);
	vu_channel_cancel(&inband->note);
}

void vu_inband_hold(struct vu_ring *ring)
{
	each_of(ring, hold);
}

static void forget(struct vu_inband *inband)
{
	look(inband);
	inband->due = false;
}

void vu_inband_forget(struct vu_ring *ring)
{
	each_of(ring, forget);
}

void vu_inband_resume(struct vu_ring *ring)
{
	each_of(ring, tell);
}

static void stop(struct vu_inband *inband)
{
	struct vu_session *s = inband->ring->session;

	hold(inband);
	loop_watch_del(s->dev->loop, &inband->watch);
	close_fd(&inband->fd);
}

void vu_inband_free(struct vu_ring *ring)
{
	each_of(ring, stop);
}
