/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats_queue.c - the statistics queue (virtio 1.3, section 5.5.6.3), which runs backwards: the driver
 * leaves a buffer with us, and that we push it is the question; the next one is the answer.
 * Layer L5, control thread.
 */
#include "balloon/device.h"
#include "vhost/base/clock.h"

static void due(struct loop_timer *timer)
{
	bal_vm_ask_stats(container_of(timer, struct bal_vm, stats_timer));
}

/* With no buffer to push there is nothing to wake up for. */
void bal_stats_timer(struct bal_vm *vm)
{
	if (vm->held.queue && vm->stats_interval_s)
		loop_timer_set(vm->loop, &vm->stats_timer, vm->stats_interval_s * 1000ull, due);
	else if (vm->loop)
		loop_timer_cancel(vm->loop, &vm->stats_timer);
}

/* A buffer that makes no sense is kept like others: pushed at once it would be filled at once. */
void bal_stats_keep(struct bal_queue *queue, const struct vq_chain *chain, bool owed)
{
	struct bal_vm *vm = queue->vm;

	if (bal_stats_parse(&vm->stats, chain->iov, chain->num_out, clock_ns()))
		vm->count.stats_bad++;
	else
		vm->count.stats_received++;
	vm->held = (struct bal_held){.queue = queue, .chain = *chain, .owed = owed};
	vm->held.chain.iov = NULL; /* the pass's, and not needed to put it back */
	bal_stats_timer(vm);
}

void bal_stats_release(struct bal_queue *queue)
{
	struct bal_vm *vm = queue->vm;

	if (vm->held.queue != queue)
		return;
	vm->held.queue = NULL;
	bal_stats_timer(vm);
	vq_push(queue->loop_queue.vq, vm->held.chain.head, 0);
}

/* The ring's base then points at it, so that the next start, of whatever process, pops it again. */
void bal_stats_stopped(struct bal_queue *queue)
{
	struct bal_vm *vm = queue->vm;

	if (vm->held.queue != queue)
		return;
	vm->held.queue = NULL;
	bal_stats_timer(vm);
	if (vm->held.owed)
		vu_loop_queue_push(&queue->loop_queue, vm->held.chain.head, 0);
	else
		vq_unpop(queue->loop_queue.vq, &vm->held.chain);
}

void bal_vm_ask_stats(struct bal_vm *vm)
{
	struct bal_queue *queue = vm->held.queue;

	if (!queue)
		return;
	vm->held.queue = NULL;
	bal_stats_timer(vm);
	vu_loop_queue_push(&queue->loop_queue, vm->held.chain.head, 0);
}

void bal_vm_set_stats_interval(struct bal_vm *vm, unsigned seconds)
{
	vm->stats_interval_s = seconds;
	bal_stats_timer(vm);
}
