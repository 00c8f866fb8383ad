/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce.c - see bounce.h. Layer L5, I/O thread.
 */
#include "blk/bounce.h"

#include <errno.h>
#include <sys/mman.h>

#define POOL_BYTES ((size_t)BLK_BOUNCE_BUFFERS * BLK_BOUNCE_BYTES)

int bounce_init(struct blk_thread *thread)
{
	unsigned i;

	thread->bounce_memory = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (thread->bounce_memory == MAP_FAILED)
		return -ENOMEM;
	list_init(&thread->bounce_free);
	list_init(&thread->bounce_waiting);
	for (i = 0; i < BLK_BOUNCE_BUFFERS; i++) {
		thread->bounces[i].memory = thread->bounce_memory + (size_t)i * BLK_BOUNCE_BYTES;
		list_add_tail(&thread->bounce_free, &thread->bounces[i].node);
	}
	return 0;
}

void bounce_free(struct blk_thread *thread)
{
	munmap(thread->bounce_memory, POOL_BYTES);
}

bool bounce_take(struct blk_thread *thread, struct blk_request *req)
{
	struct list *node;

	if (list_empty(&thread->bounce_free)) {
		list_add_tail(&thread->bounce_waiting, &req->waiting);
		return false;
	}
	/* The one used last is the one whose pages are there. */
	node = thread->bounce_free.next;
	list_del(node);
	req->bounce = list_entry(node, struct blk_bounce, node);
	return true;
}

struct blk_request *bounce_give(struct blk_thread *thread, struct blk_request *req)
{
	struct blk_bounce *bounce = req->bounce;
	struct blk_request *next;

	req->bounce = NULL;
	if (list_empty(&thread->bounce_waiting)) {
		list_add(&thread->bounce_free, &bounce->node);
		return NULL;
	}
	next = list_entry(thread->bounce_waiting.next, struct blk_request, waiting);
	list_del(&next->waiting);
	next->bounce = bounce;
	return next;
}
