/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * eventfd.h - signal and drain an eventfd that a peer shares, without ever waiting for the peer.
 * Layer L0. Any thread.
 */
#ifndef RINGSIDE_BASE_EVENTFD_H
#define RINGSIDE_BASE_EVENTFD_H

#include <stdbool.h>

/*
 * eventfd_prepare - set the calling thread's AIO context up, without which its first call below
 * would do so; needed before sandbox_enter(), which leaves no way to do it.
 */
void eventfd_prepare(void);

/*
 * eventfd_is - is @fd, which is open, an eventfd? The kernel is asked to signal it at the end of a
 * request that cannot begin: it refuses another kind of fd first, and signals nothing. Where AIO is
 * not to be had, every fd is believed to be one.
 */
bool eventfd_is(int fd);

/*
 * eventfd_signal - add 1 to the counter of eventfd @fd; -1 does nothing.
 *
 * write(2) waits while the counter is full, unless O_NONBLOCK is set, and a peer shares both the
 * counter and that flag. So the kernel is asked to signal it itself, as the completion of an AIO
 * request (io_submit(2), IOCB_FLAG_RESFD), which never waits: a full counter stays full. About
 * 0.5 us. Where AIO is not to be had, write(2) it is.
 */
void eventfd_signal(int fd);

/*
 * eventfd_drain - take what the counter of eventfd @fd holds, without ever waiting for more: a peer
 * that shares it may have cleared O_NONBLOCK and read it a moment ago. It calls preadv2, which is
 * for the caller to name (sandbox.h): not every program drains.
 * Return: false when it held nothing.
 */
bool eventfd_drain(int fd);

#endif
