/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.c - a pass over one queue of a balloon: pop chains, have their work done, push them.
 * Layer L5, control thread.
 */
#include "balloon/device.h"
#include "vhost/base/clock.h"

/* work - Return: is the chain to be pushed now? All that is not understood is, so that no driver
 * waits for it. */
static bool work(struct bal_queue *queue, const struct vq_chain *chain, bool owed)
{
	struct bal_vm *vm = queue->vm;

	if (chain->error && queue->role != BAL_DEFLATE)
		return true;
	switch (queue->role) {
	case BAL_INFLATE:
		bal_inflate(vm, chain);
		return true;
	case BAL_DEFLATE:
		bal_deflate(vm, chain);
		return true;
	case BAL_STATS:
		bal_stats_keep(queue, chain, owed);
		return false;
	case BAL_HINT: /* Linux takes hinted pages back without a word: they are left alone */
		vm->count.hinted_bytes += chain->in_bytes;
		return true;
	case BAL_REPORTING:
		bal_report(vm, chain);
		return true;
	default:
		return true;
	}
}

bool bal_serve(struct vu_loop_queue *loop_queue)
{
	struct bal_queue *queue = container_of(loop_queue, struct bal_queue, loop_queue);
	struct virtqueue *vq = loop_queue->vq;
	uint64_t end_ns = clock_ns() + BAL_PASS_NS;
	struct iovec iov[VQ_MAX_INDIRECT];

	queue->role = bal_role_of(vq->index, queue->vm->features, queue->vm->started);
	/* Never more than the queue has entries, however fast the driver fills it again. */
	for (unsigned n = 0; n < vq->size; n++) {
		struct vq_chain chain = {.iov = iov, .max_iov = VQ_MAX_INDIRECT};
		bool owed = vq_owes(vq);

		if (!vq_pop(vq, &chain))
			return false;
		vq_count_add(&vq->count.chains, 1);
		bal_stats_release(queue);
		if (work(queue, &chain, owed))
			vq_push(vq, chain.head, 0);
		if (clock_ns() >= end_ns)
			break;
	}
	return true;
}
