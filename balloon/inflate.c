/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflate.c - pages go into the balloon and come out, and those in it go back to the host; when,
 * vm.h tells. Virtio 1.3, section 5.5.6. Layer L5, control thread.
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <string.h>

#include "balloon/device.h"
#include "balloon/discard.h"
#include "balloon/reader.h"
#include "vhost/base/clock.h"

/* The page numbers of a chain, copied out of guest memory in batches. */
struct pfns {
	struct bal_reader reader;
	size_t left; /* of those that are to be read */
	uint32_t batch[1024];
};

/* pfns_begin - the readable buffers are one array of page numbers, wherever one ends and the next
 * begins. What of the chain cannot be taken is counted. */
static void pfns_begin(struct pfns *pfns, struct bal_vm *vm, const struct vq_chain *chain,
		       uint64_t max)
{
	uint64_t num = chain->out_bytes / sizeof(pfns->batch[0]);

	pfns->reader = (struct bal_reader){.iov = chain->iov, .num = chain->num_out};
	pfns->left = min_of(num, max);
	vm->count.skipped[BAL_SKIP_LIMIT] += num - pfns->left;
	vm->count.skipped[BAL_SKIP_DIRECTION] += chain->num_in;
	if (chain->out_bytes % sizeof(pfns->batch[0]))
		vm->count.skipped[BAL_SKIP_LENGTH]++;
}

/* pfns_next - fill the batch. Return: how many; 0 at the end. */
static size_t pfns_next(struct pfns *pfns)
{
	size_t n = min_of(pfns->left, ARRAY_SIZE(pfns->batch));

	n = bal_read(&pfns->reader, pfns->batch, n * sizeof(pfns->batch[0]));
	n /= sizeof(pfns->batch[0]);
	for (size_t i = 0; i < n; i++)
		pfns->batch[i] = le32toh(pfns->batch[i]);
	pfns->left -= n;
	return n;
}

/* --- giving back --- */

static const char *discard_advice(int err)
{
	switch (err) {
	case EOPNOTSUPP:
		return "the file system of its memory has no holes, so none of it can be given "
		       "back";
	case EPERM:
		return "the file of its memory is sealed, so none of it can be given back";
	default:
		return strerror(err);
	}
}

void bal_give_back(struct bal_vm *vm, const struct bal_run *run, uint64_t *counter)
{
	int ret = bal_discard(run);

	vm->count.discard_calls++;
	if (ret == 0) {
		*counter += run->bytes;
		return;
	}
	vm->count.discard_errors++;
	log_warn_limited(&vm->log_limit, vm->dev.name, "%llu bytes stay with the guest: %s",
			 (unsigned long long)run->bytes, discard_advice(-ret));
}

/* give_back_noted - until @end_ns. Return: is something left? */
static bool give_back_noted(struct bal_vm *vm, uint64_t end_ns)
{
	struct bal_run run;

	while (bal_pages_next(&vm->pages, BAL_DISCARD_BYTES, &run)) {
		bal_give_back(vm, &run, &vm->count.reclaimed_bytes);
		if (clock_ns() >= end_ns)
			break;
	}
	return vm->pages.num_due;
}

static void gathered(struct loop_timer *timer)
{
	struct bal_vm *vm = container_of(timer, struct bal_vm, gather);

	if (!bal_vm_inhibited(vm) && give_back_noted(vm, clock_ns() + BAL_PASS_NS))
		loop_timer_set(vm->loop, timer, 0, gathered);
}

void bal_give_back_later(struct bal_vm *vm)
{
	uint64_t now_ns = clock_ns(), left_ms;

	if (!vm->pages.num_due || bal_vm_inhibited(vm))
		return;
	if (!vm->gather.active)
		vm->gather_until_ns = now_ns + BAL_GATHER_MAX_MS * 1000000ull;
	left_ms = (vm->gather_until_ns - min_of(now_ns, vm->gather_until_ns)) / 1000000;
	loop_timer_set(vm->loop, &vm->gather, min_of(left_ms, (uint64_t)BAL_GATHER_MS), gathered);
}

/* --- the two queues --- */

static uint64_t add(struct bal_vm *vm, struct pfns *pfns, bool tells)
{
	uint64_t taken = 0;
	size_t n;

	while ((n = pfns_next(pfns))) {
		for (size_t i = 0; i < n; i++) {
			enum bal_skip skip = bal_pages_add(&vm->pages, pfns->batch[i], tells);

			if (skip == BAL_SKIP_NONE)
				taken++;
			else
				vm->count.skipped[skip]++;
		}
	}
	return taken;
}

void bal_inflate(struct bal_vm *vm, const struct vq_chain *chain)
{
	bool tells = vm->features & BAL_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST);
	struct pfns pfns;

	pfns_begin(&pfns, vm, chain, tells ? BAL_MAX_CHAIN_PFNS : BAL_MAX_SYNC_PFNS);
	if (tells) {
		vm->count.inflated_pages += add(vm, &pfns, true);
		bal_give_back_later(vm);
	} else if (bal_vm_inhibited(vm)) {
		/* It may take them back at any time, so there is no later. */
		vm->count.skipped[BAL_SKIP_INHIBITED] += pfns.left;
	} else {
		vm->count.inflated_pages += add(vm, &pfns, false);
		give_back_noted(vm, UINT64_MAX);
	}
}

void bal_deflate(struct bal_vm *vm, const struct vq_chain *chain)
{
	struct pfns pfns;
	size_t n;

	/* Once it is answered the guest uses all that it named: where we do not know what that was,
	 * nothing that is noted may go any more. */
	if (chain->error || chain->out_bytes / sizeof(pfns.batch[0]) > BAL_MAX_CHAIN_PFNS)
		bal_pages_forget(&vm->pages);
	if (chain->error)
		return;
	pfns_begin(&pfns, vm, chain, BAL_MAX_CHAIN_PFNS);
	while ((n = pfns_next(&pfns))) {
		vm->count.deflated_pages += n;
		for (size_t i = 0; i < n; i++)
			bal_pages_remove(&vm->pages, pfns.batch[i]);
	}
}
