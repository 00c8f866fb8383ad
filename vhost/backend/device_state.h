/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device_state.h - what a device knows beside its rings and configuration space, saved to and
 * loaded from the front-end (SET_DEVICE_STATE_FD, CHECK_DEVICE_STATE).
 * Layer L4, internal to vhost/backend. Control thread.
 *
 * A transfer goes on while the session handles other messages. It ends when all was written, or
 * when all was read and the device has taken it: a state is loaded whole or not at all.
 */
#ifndef RINGSIDE_BACKEND_DEVICE_STATE_H
#define RINGSIDE_BACKEND_DEVICE_STATE_H

#include "vhost/backend/device.h"
#include "vhost/wire/transfer.h"

#define VU_MAX_STATE_BYTES (64u << 10)

struct vu_state_transfer {
	struct vu_device *dev;
	struct transfer transfer; /* its fd: while the transfer goes on */
	struct loop_watch watch;
	int result; /* of the last one: 0, -errno; -ENODATA before the first */
};

/* vu_state_init - no transfer yet. */
void vu_state_init(struct vu_state_transfer *state, struct vu_device *dev);

/*
 * vu_state_begin - save to *@fd, or load from it; takes it over on success (-1 is left). The
 * device is suspended. A transfer before that has not ended is given up.
 * Return: 0, -EINVAL (not a file to transfer through), -errno, what the device's save_state says.
 */
int vu_state_begin(struct vu_state_transfer *state, bool save, int *fd);

/*
 * vu_state_check - how did the last transfer end? One that waits for the front-end has failed:
 * whoever asks has read to the end, or has closed its end.
 * Return: 0, -errno.
 */
int vu_state_check(struct vu_state_transfer *state);

/* vu_state_abort - give a transfer up for @reason (-errno). Harmless when there is none. */
void vu_state_abort(struct vu_state_transfer *state, int reason);

#endif
