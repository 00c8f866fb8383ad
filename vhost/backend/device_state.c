/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device_state.c - see device_state.h. Layer L4, control thread, which never waits for the
 * front-end here: it goes on when the front-end's pipe or socket has something or has room.
 */
#include "vhost/backend/device_state.h"

#include <inttypes.h>
#include <string.h>

#include "vhost/backend/session.h"

#define DIRECTION_SAVE 0
#define DIRECTION_LOAD 1
#define PHASE_STOPPED  0

void vu_state_init(struct vu_state_transfer *state, struct vu_device *dev)
{
	memset(state, 0, sizeof(*state));
	state->dev = dev;
	transfer_init(&state->transfer);
	state->result = -ENODATA;
}

/* over - the fd is closed: to the reader of a saved state that is its end. */
static void over(struct vu_state_transfer *state, int result)
{
	struct vu_device *dev = state->dev;

	loop_watch_del(dev->loop, &state->watch);
	transfer_end(&state->transfer);
	state->result = result;
	if (result && log_limited(&dev->session->log_limit, dev->name))
		log_warn(dev->name, "transfer of device state failed: %s", strerror(-result));
}

static void step(struct vu_state_transfer *state)
{
	struct transfer *t = &state->transfer;
	int rc = transfer_step(t);

	if (rc == 1)
		rc = t->writing ? 0 : state->dev->ops->load_state(state->dev, t->buf, t->bytes);
	else if (rc == 0)
		return;
	over(state, rc);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
	(void)events; /* what there is to know, reading and writing tell */
	step(container_of(watch, struct vu_state_transfer, watch));
}

/* save_first - have the state before any of it goes out. Return: 0, -errno. */
static int save_first(struct vu_state_transfer *state)
{
	struct transfer *t = &state->transfer;
	ssize_t bytes = state->dev->ops->save_state(state->dev, t->buf, t->room);

	if (bytes < 0)
		return (int)bytes;
	assert((size_t)bytes <= t->room);
	t->bytes = (size_t)bytes;
	return 0;
}

int vu_state_begin(struct vu_state_transfer *state, bool save, int *fd)
{
	/* One byte more than a state may have, so that a longer one is seen as such. */
	size_t room = save ? VU_MAX_STATE_BYTES : VU_MAX_STATE_BYTES + 1;
	struct transfer *t = &state->transfer;
	int rc;

	vu_state_abort(state, -ECANCELED);
	rc = transfer_begin(t, fd, save, room);
	if (rc)
		return rc;
	state->result = -EINPROGRESS;
	if (save)
		rc = save_first(state);
	if (!rc)
		rc = loop_watch_add(state->dev->loop, &state->watch, t->fd,
				    save ? EPOLLOUT : EPOLLIN, on_ready);
	if (rc)
		over(state, rc);
	return rc;
}

int vu_state_check(struct vu_state_transfer *state)
{
	if (state->transfer.fd >= 0)
		step(state);
	vu_state_abort(state, -ETIMEDOUT);
	return state->result;
}

void vu_state_abort(struct vu_state_transfer *state, int reason)
{
	if (state->transfer.fd >= 0)
		over(state, reason);
}

/* suspended - the one phase there is: every ring is stopped. */
static int check_suspended(const struct vu_session *s)
{
	for (unsigned i = 0; i < s->num_rings; i++) {
		if (s->rings[i]->state != VU_RING_STOPPED)
			return -EBUSY;
	}
	return 0;
}

static int begin_transfer(struct vu_session *s, struct vu_msg *msg)
{
	const struct vu_device_state *ask = &msg->payload.device_state;
	int rc;

	if (!msg->num_fds || ask->direction > DIRECTION_LOAD)
		return -EINVAL;
	if (ask->phase != PHASE_STOPPED)
		return -ENOTSUP;
	rc = check_suspended(s);
	if (rc)
		return rc;
	return vu_state_begin(&s->state, ask->direction == DIRECTION_SAVE, &msg->fds[0]);
}

/* Errors are answered in the reply that the message has anyway. We never send an fd of ours. */
int vu_set_device_state_fd(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring,
			   struct vu_msg *reply)
{
	const struct vu_device_state *ask = &msg->payload.device_state;
	int rc = begin_transfer(s, msg);

	(void)ring;
	if (rc && log_limited(&s->log_limit, s->dev->name))
		log_warn(s->dev->name,
			 "SET_DEVICE_STATE_FD refused: %s (direction %" PRIu32 ", phase %" PRIu32
			 ", %u fds; expected 0 or 1, 0, a pipe or socket, and all rings stopped)",
			 strerror(-rc), ask->direction, ask->phase, msg->num_fds);
	reply->payload.u64 = VU_VRING_NO_FD | (uint64_t)-rc;
	reply->hdr.size = sizeof(reply->payload.u64);
	return 0;
}

int vu_check_device_state(struct vu_session *s, struct vu_msg *msg, struct vu_ring *ring,
			  struct vu_msg *reply)
{
	(void)msg;
	(void)ring;
	reply->payload.u64 = (uint64_t)-vu_state_check(&s->state);
	reply->hdr.size = sizeof(reply->payload.u64);
	return 0;
}
