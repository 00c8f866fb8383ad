/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce.h - pooled buffers for guest memory that direct I/O cannot take (an unaligned address
 * or length): such a request goes through one of them, a piece of BLK_BOUNCE_BYTES at a time.
 * Layer L5, I/O thread; a pool belongs to one thread.
 */
#ifndef RINGSIDE_BLK_BOUNCE_H
#define RINGSIDE_BLK_BOUNCE_H

#include "blk/queue.h"

/* bounce_init - reserve the thread's pool; a buffer costs memory from its first use on.
 * Return: 0 or -ENOMEM. */
int bounce_init(struct blk_thread *thread);

void bounce_free(struct blk_thread *thread);

/* bounce_take - give @req a buffer. Return: true; false when all are in use: the request waits
 * until bounce_give() hands it one. */
bool bounce_take(struct blk_thread *thread, struct blk_request *req);

/* bounce_give - put the buffer of @req back. Return: a request that waited and has it now, to
 * be started by the caller, or NULL. */
struct blk_request *bounce_give(struct blk_thread *thread, struct blk_request *req);

#endif
