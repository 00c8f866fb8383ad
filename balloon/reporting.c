/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reporting.c - free page reporting (virtio 1.3, section 5.5.6.6): pages that the guest does not use
 * go back to the host before the report is answered; after that they are the guest's again.
 * Layer L5, control thread.
 */
#include <linux/virtio_balloon.h>
#include <stdlib.h>

#include "balloon/device.h"
#include "balloon/discard.h"

static uint64_t pages_of(uint64_t bytes)
{
	return (bytes + BAL_PAGE_BYTES - 1) / BAL_PAGE_BYTES;
}

/* reason_not_to - BAL_SKIP_NONE when reported pages may go. A page that comes back is all zeroes,
 * which a guest that looks for its poison would take for a stray write. */
static enum bal_skip reason_not_to(const struct bal_vm *vm)
{
	if (!vm->pages.mem) /* there was no memory for it */
		return BAL_SKIP_UNMAPPED;
	if (vm->features & BAL_BIT(VIRTIO_BALLOON_F_PAGE_POISON) &&
	    (vm->poison_val || vm->poison_missed))
		return BAL_SKIP_POISON;
	return bal_vm_inhibited(vm) ? BAL_SKIP_INHIBITED : BAL_SKIP_NONE;
}

static int by_address(const void *a, const void *b)
{
	const struct bal_range *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* merge - sort, and join what touches or overlaps: two reported blocks may be one huge page.
 * Return: how many are left.
 * Syscalls: sysinfo: qsort(3) of more than 1 KiB asks how much memory there is */
static unsigned merge(struct bal_range *ranges, unsigned num)
{
	unsigned last = 0;

	qsort(ranges, num, sizeof(ranges[0]), by_address);
	for (unsigned i = 1; i < num; i++) {
		if (ranges[i].gpa > ranges[last].end)
			ranges[++last] = ranges[i];
		else
			ranges[last].end = max_of(ranges[last].end, ranges[i].end);
	}
	return num ? last + 1 : 0;
}

/* give_back_run - in pieces. Return: bytes given back or tried, at most about @max. */
static uint64_t give_back_run(struct bal_vm *vm, const struct bal_run *run, uint64_t max)
{
	uint64_t step = max_of((uint64_t)BAL_DISCARD_BYTES, run->region->page_bytes);
	uint64_t done = 0;

	while (done < run->bytes && done < max) {
		struct bal_run piece = {
			.region = run->region,
			.offset = run->offset + done,
			.bytes = min_of(step, run->bytes - done),
		};

		bal_give_back(vm, &piece, &vm->count.reported_bytes);
		done += piece.bytes;
	}
	vm->count.skipped[BAL_SKIP_LIMIT] += pages_of(run->bytes - done);
	return done;
}

/* give_back_range - what of it can be. Return: bytes given back or tried. */
static uint64_t give_back_range(struct bal_vm *vm, struct bal_range range, uint64_t max)
{
	uint64_t done = 0, used;
	struct bal_run run;

	for (; range.gpa < range.end; range.gpa += used) {
		enum bal_skip skip =
			bal_pages_clip(&vm->pages, range.gpa, range.end - range.gpa, &run, &used);

		if (skip)
			vm->count.skipped[skip] += pages_of(used);
		else
			done += give_back_run(vm, &run, max - min_of(done, max));
	}
	return done;
}

void bal_report(struct bal_vm *vm, const struct vq_chain *chain)
{
	const struct iovec *in = chain->iov + chain->num_out;
	enum bal_skip reason = reason_not_to(vm);
	struct bal_range ranges[VQ_MAX_INDIRECT];
	uint64_t left = BAL_MAX_REPORT_BYTES;
	unsigned num = 0;

	vm->count.skipped[BAL_SKIP_DIRECTION] += chain->num_out;
	if (reason) {
		vm->count.skipped[reason] += pages_of(chain->in_bytes);
		return;
	}
	for (; num < chain->num_in; num++) {
		ranges[num].gpa = mem_gpa_of(vm->pages.mem, in[num].iov_base);
		ranges[num].end = ranges[num].gpa + in[num].iov_len;
	}
	num = merge(ranges, num);
	for (unsigned i = 0; i < num; i++)
		left -= min_of(left, give_back_range(vm, ranges[i], left));
}
