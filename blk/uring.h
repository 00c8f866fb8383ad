/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uring.h - the io_uring of an I/O thread: set-up with fallbacks, submission entries, and what
 * a completion's user_data stands for. Layer L5, I/O thread.
 */
#ifndef RINGSIDE_BLK_URING_H
#define RINGSIDE_BLK_URING_H

#include "blk/queue.h"

/* The low bits of user_data; what it points to is at least 8-byte aligned. */
enum uring_tag { URING_REQUEST, URING_KICK, URING_MAIL, URING_CANCEL, URING_TAG_MASK = 7 };

/*
 * uring_setup - make the thread's ring. Asks for SINGLE_ISSUER, DEFER_TASKRUN and registered
 * files, and does with less on kernels that refuse. With opt.restricted the ring takes no other
 * requests than ours.
 * Return: 0 or -errno of io_uring_setup(2).
 */
int uring_setup(struct blk_thread *thread);

void uring_teardown(struct blk_thread *thread);

/* uring_sqe - a cleared entry with @tag and @object as its user_data; submits what is queued
 * when the ring is full. Never fails. */
struct io_uring_sqe *uring_sqe(struct blk_thread *thread, enum uring_tag tag, void *object);

/* uring_use_file - let @sqe work on the image's file, registered where that worked. */
void uring_use_file(const struct blk_thread *thread, struct io_uring_sqe *sqe,
		    const struct blk_image *image);

/* uring_flush - submit what is queued, without waiting. */
void uring_flush(struct blk_thread *thread);

/* uring_flush_at - submit what is queued if it is @entries or more. Return: at how many to do so
 * the next time. */
static inline unsigned uring_flush_at(struct blk_thread *thread, unsigned entries)
{
	if (io_uring_sq_ready(&thread->ring) < entries)
		return entries;
	uring_flush(thread);
	return entries * 2;
}

/* uring_pending - may there be completions to reap? Runs deferred work when there is some. */
bool uring_pending(struct blk_thread *thread);

/* uring_wait - submit and sleep until there is at least one completion. */
void uring_wait(struct blk_thread *thread);

/* uring_arm_poll - watch @fd for input until cancelled, a completion for each wake-up. */
void uring_arm_poll(struct blk_thread *thread, int fd, enum uring_tag tag, void *object);

/* uring_cancel_poll - end the watch armed with the same tag and object. */
void uring_cancel_poll(struct blk_thread *thread, enum uring_tag tag, void *object);

#endif
