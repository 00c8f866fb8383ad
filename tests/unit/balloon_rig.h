/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_rig.h - a guest's balloon without a front-end: one queue over memory that the test writes.
 * Tests only. The queue is served by hand; timers run in a loop that the test turns.
 */
#ifndef RINGSIDE_TESTS_UNIT_BALLOON_RIG_H
#define RINGSIDE_TESTS_UNIT_BALLOON_RIG_H

#include <linux/virtio_balloon.h>
#include <sys/stat.h>

#include "balloon/device.h"
#include "tests/unit/ring_rig.h"
#include "vhost/base/clock.h"

#define PAGE 4096ull

#define TELLS BAL_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST)

static struct bal_vm vm;
static struct bal_vm_options opt;
static struct loop *loop;
static struct loop_timer stop_timer;

/* Descriptors and chains that the driver has handed out so far. */
static uint16_t num_desc, num_avail;

static inline void balloon_open(void)
{
	char error[256];

	rig_open();
	num_desc = num_avail = 0;
	opt = (struct bal_vm_options){
		.name = "guest",
		.max_bytes = BAL_ALL_MEMORY,
		.deflate_on_oom = true,
		.reporting = true,
	};
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(bal_vm_open(&vm, &opt, error, sizeof(error)), 0);
	bal_vm_serve(&vm, loop);
}

static inline void balloon_close(void)
{
	bal_pages_free(&vm.pages);
	bal_vm_close(&vm);
	loop_destroy(loop);
	rig_close();
}

/* start - the rig's ring is ring @index, of a driver with these features, and the only one. */
static inline struct bal_queue *start(unsigned index, uint64_t features)
{
	struct bal_queue *queue = &vm.queues[index];

	memset(r.host[0], 0, GPA_DATA - GPA_A);
	r.vq.index = index;
	rig_attach(false, RIG_SIZE, 0, 0);
	vm.features = features;
	vm.started = 1u << index;
	*queue = (struct bal_queue){.loop_queue.vq = &r.vq, .vm = &vm};
	ck_assert_int_eq(bal_pages_init(&vm.pages, &r.mem), 0);
	return queue;
}

/* chain - hand out @num buffers as one chain; those with @write are the device's to write. */
static inline void chain(const struct iovec *gpas, unsigned num, bool write)
{
	struct vring_desc *desc = at(GPA_A);
	struct vring_avail *avail = at(GPA_A + 0x8000);

	avail->ring[num_avail++ % RIG_SIZE] = num_desc;
	for (unsigned i = 0; i < num; i++, num_desc++)
		desc[num_desc] = (struct vring_desc){
			.addr = (uint64_t)(uintptr_t)gpas[i].iov_base,
			.len = (uint32_t)gpas[i].iov_len,
			.flags = (uint16_t)((write ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < num ? VRING_DESC_F_NEXT : 0)),
			.next = (uint16_t)(num_desc + 1),
		};
	avail->idx = num_avail;
}

static inline void chain_one(uint64_t gpa, uint64_t bytes, bool write)
{
	struct iovec one = {(void *)(uintptr_t)gpa, bytes};

	chain(&one, 1, write);
}

/* pfns - a chain with the page numbers of guest [gpa, gpa + num pages). */
static inline void pfns(uint64_t gpa, unsigned num)
{
	uint32_t *array = at(GPA_DATA);

	for (unsigned i = 0; i < num; i++)
		array[i] = htole32((uint32_t)(gpa / PAGE + i));
	chain_one(GPA_DATA, num * sizeof(array[0]), false);
}

/* serve - one pass; what it pushed is published. Return: chains the driver has back, in all. */
static inline unsigned serve(struct bal_queue *queue)
{
	const struct vring_used *used = at(GPA_A + 0xc000);

	bal_serve(&queue->loop_queue);
	vq_publish(&r.vq);
	return used->idx;
}

static inline void stop_turning(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

/* turn - run timers for @ms. */
static inline void turn(unsigned ms)
{
	loop_timer_set(loop, &stop_timer, ms, stop_turning);
	ck_assert_int_eq(loop_run(loop), 0);
}

/* there - is the page of region A or B, which was written to, still with the guest? */
static inline bool there(uint64_t gpa)
{
	return *(volatile uint64_t *)at(gpa) != 0;
}

static inline void fill(uint64_t gpa, uint64_t bytes)
{
	memset(at(gpa), 0x5a, bytes);
}

#endif
