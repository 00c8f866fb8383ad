/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer.h - a blob of bounded size through a pipe or socket that a peer made, without ever
 * waiting for the peer. Layer L1. Both halves (back-end and front-end); one thread per transfer.
 *
 * The peer may keep a copy of the very file, and with it the flag O_NONBLOCK, so the flag is not
 * relied on: each call asks for itself not to wait.
 */
#ifndef RINGSIDE_WIRE_TRANSFER_H
#define RINGSIDE_WIRE_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transfer {
	int fd; /* -1: none */
	bool writing;
	bool is_socket;
	uint8_t *buf; /* whole pages of its own, @room bytes of them in use */
	size_t room;
	size_t bytes; /* reading: read so far; writing: to be written */
	size_t written;
};

/* transfer_init - no transfer. */
void transfer_init(struct transfer *t);

/*
 * transfer_begin - get ready to read up to @room bytes from *@fd to its end, or to write what the
 * caller puts into t->buf (and t->bytes) and end it. *@fd is taken over on success: -1 is left.
 * Return: 0, -EINVAL (neither a pipe nor a unix stream socket, or the wrong end of a pipe),
 *         -ENOMEM, -errno.
 */
int transfer_begin(struct transfer *t, int *fd, bool writing, size_t room);

/*
 * transfer_step - as much as goes without waiting. A pipe without a reader raises SIGPIPE: the
 * program ignores it.
 * Return: 1 over, as far as this end can tell (read to the end, or all written and ended);
 *         0 try again when the fd is readable or writable; -EFBIG more than room; -EPIPE, -errno.
 */
int transfer_step(struct transfer *t);

/* transfer_end - close the fd, give the buffer back. Harmless when there is none. */
void transfer_end(struct transfer *t);

#endif
