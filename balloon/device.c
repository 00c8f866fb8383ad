/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - a balloon as the library sees it: features, configuration space (virtio 1.3, section
 * 5.5.4), and queues that come and go. Layer L5, control thread.
 */
#include "balloon/device.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <string.h>

#include "vhost/base/clock.h"

static struct bal_vm *vm_of(struct vu_device *dev)
{
	return container_of(dev, struct bal_vm, dev);
}

uint64_t bal_device_features(const struct bal_vm_options *opt)
{
	uint64_t features =
		BAL_BIT(VIRTIO_F_VERSION_1) | BAL_BIT(VIRTIO_F_RING_PACKED) |
		BAL_BIT(VIRTIO_RING_F_INDIRECT_DESC) | BAL_BIT(VIRTIO_RING_F_EVENT_IDX) |
		BAL_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST) | BAL_BIT(VIRTIO_BALLOON_F_STATS_VQ) |
		BAL_BIT(VIRTIO_BALLOON_F_PAGE_POISON);

	if (opt->deflate_on_oom)
		features |= BAL_BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	if (opt->reporting)
		features |= BAL_BIT(VIRTIO_BALLOON_F_REPORTING);
	if (opt->hinting)
		features |= BAL_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT);
	return features;
}

/* --- configuration space --- */

/* The command of free page hinting stays at VIRTIO_BALLOON_CMD_ID_STOP: no hints are asked for. */
static struct virtio_balloon_config make_config(const struct bal_vm *vm)
{
	return (struct virtio_balloon_config){
		.num_pages = htole32(vm->num_pages),
		.actual = htole32(vm->actual_pages),
		.free_page_hint_cmd_id = htole32(VIRTIO_BALLOON_CMD_ID_STOP),
		.poison_val = htole32(vm->poison_val),
	};
}

static void get_config(struct vu_device *dev, uint32_t offset, uint32_t size, uint8_t *data)
{
	struct virtio_balloon_config config = make_config(vm_of(dev));

	memcpy(data, (uint8_t *)&config + offset, size);
}

/* The driver tells the size of its balloon and its poison; the rest is for it to read. */
static int set_config(struct vu_device *dev, uint32_t offset, uint32_t size, const uint8_t *data)
{
	const uint32_t actual_at = offsetof(struct virtio_balloon_config, actual);
	struct bal_vm *vm = vm_of(dev);
	struct virtio_balloon_config old = make_config(vm), new = old;
	bool whole = size == sizeof(new);

	memcpy((uint8_t *)&new + offset, data, size);
	/* QEMU writes the whole space for one field, the others as the driver read them from us last,
	 * which may be before the target changed. */
	if (whole && new.num_pages == htole32(vm->num_pages_before))
		new.num_pages = old.num_pages;
	if (new.num_pages != old.num_pages ||
	    new.free_page_hint_cmd_id != old.free_page_hint_cmd_id)
		return -EPERM;
	vm->actual_pages = le32toh(new.actual);
	vm->poison_val = le32toh(new.poison_val);
	if (offset + size > offsetof(struct virtio_balloon_config, poison_val) &&
	    !(whole && vm->poison_missed && new.poison_val == old.poison_val)) {
		vm->poison_heard = true;
		vm->poison_missed = false;
	}
	if (offset < actual_at + sizeof(new.actual) && offset + size > actual_at) {
		vm->actual_heard = true;
		/* Before any queue ran it is not the driver that speaks, but a front-end that repeats
		 * what the driver said to the process before us. */
		vm->adopting = !vm->target_known && !vm->ran;
	}
	bal_vm_changed(vm);
	return 0;
}

/* --- what the front-end says --- */

static void set_features(struct vu_device *dev, uint64_t features)
{
	vm_of(dev)->features = features;
}

static void memory_changed(struct vu_device *dev)
{
	const struct mem_table *mem = vu_device_memory(dev);
	struct bal_vm *vm = vm_of(dev);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < mem->num_regions; i++)
		bytes += mem->regions[i].size; /* all are mapped, so they cannot overflow */
	vm->memory_bytes = align_up(bytes, 1u << 20);
	bal_vm_changed(vm);
}

/* What the driver said stays: a guest whose front-end comes back does not say it again. */
static void disconnected(struct vu_device *dev)
{
	struct bal_vm *vm = vm_of(dev);

	vm->features = 0;
	vm->memory_bytes = 0;
	vm->num_pages = vm->num_pages_before = 0;
	vm->ran = 0;
	vm->adopting = vm->actual_heard = vm->poison_missed = false;
}

static void reset(struct vu_device *dev)
{
	struct bal_vm *vm = vm_of(dev);

	vm->actual_pages = 0;
	vm->poison_val = 0;
	vm->poison_missed = false;
	bal_vm_changed(vm);
}

static ssize_t save_state(struct vu_device *dev, uint8_t *out, size_t max)
{
	struct bal_state state = bal_vm_state(vm_of(dev));

	return bal_state_encode(&state, clock_ns(), out, max);
}

static int load_state(struct vu_device *dev, const uint8_t *data, size_t size)
{
	struct bal_state state;
	int ret = bal_state_decode(&state, clock_ns(), data, size);

	if (ret == 0)
		bal_vm_set_state(vm_of(dev), &state);
	return ret;
}

/* --- queues --- */

/* protect_rings - no page of a ring that runs is given back, whatever the guest says. */
static void protect_rings(struct bal_vm *vm)
{
	bal_pages_unprotect(&vm->pages);
	for (unsigned i = 0; i < BAL_MAX_QUEUES; i++) {
		const struct virtqueue *vq = vm->queues[i].loop_queue.vq;
		struct vq_parts bytes;

		if (!vq)
			continue;
		bytes = vq_part_bytes(vq->packed, vq->size);
		bal_pages_protect(&vm->pages, mem_gpa_of(vq->mem, vq->desc), bytes.desc);
		bal_pages_protect(&vm->pages, mem_gpa_of(vq->mem, vq->avail), bytes.avail);
		bal_pages_protect(&vm->pages, mem_gpa_of(vq->mem, vq->used), bytes.used);
	}
}

/* was_used - by a driver that is not a new one. */
static bool was_used(const struct virtqueue *vq)
{
	return vq->next_avail != 0 || (vq->packed && !vq->avail_wrap);
}

/* driver_came - with its inflate queue, of which nothing was ever used when the driver is a new one:
 * then what another one said of its balloon is over. */
static void driver_came(struct bal_vm *vm, const struct virtqueue *vq)
{
	if (!was_used(vq) && !vm->actual_heard) {
		vm->actual_pages = 0;
		bal_vm_changed(vm);
	}
	if (log_limited(&vm->log_limit, vm->dev.name)) /* guests can reset at any rate */
		log_info(vm->dev.name, "%llu MiB of memory, the guest is asked to keep %llu MiB%s",
			 (unsigned long long)vm->memory_bytes >> 20,
			 (unsigned long long)bal_vm_target(vm) >> 20,
			 vm->features & BAL_BIT(VIRTIO_BALLOON_F_MUST_TELL_HOST)
				 ? ""
				 : ", and tells nobody before it takes more back");
}

/* queue_stopped - by the library, whatever made it stop. */
static void queue_stopped(struct vu_loop_queue *loop_queue)
{
	struct bal_queue *queue = container_of(loop_queue, struct bal_queue, loop_queue);
	unsigned index = loop_queue->vq->index;
	struct bal_vm *vm = queue->vm;

	bal_stats_stopped(queue);
	vm->started &= ~(1u << index);
	if (index == BAL_INFLATE) {
		loop_timer_cancel(vm->loop, &vm->gather);
		bal_pages_forget(&vm->pages);
	}
	if (!vm->started)
		bal_pages_free(&vm->pages); /* the memory may change from here on */
}

static void queue_start(struct vu_device *dev, struct virtqueue *vq)
{
	struct bal_vm *vm = vm_of(dev);
	struct bal_queue *queue = &vm->queues[vq->index];

	if (!vm->pages.mem && bal_pages_init(&vm->pages, vq->mem) < 0)
		log_error(vm->dev.name, "out of memory: nothing is given back");
	if (was_used(vq) && !(vm->ran & 1u << vq->index) && !vm->poison_heard)
		vm->poison_missed = true;
	vm->ran |= 1u << vq->index;
	vm->adopting = false;
	vm->started |= 1u << vq->index;
	queue->vm = vm;
	/* That it could not be started was logged, and the ring counts as broken. */
	(void)vu_loop_queue_start(&queue->loop_queue, vm->loop, vq, bal_serve);
	queue->loop_queue.stopped = queue_stopped;
	protect_rings(vm);
	if (vq->index == BAL_INFLATE)
		driver_came(vm, vq);
}

static void queue_stop(struct vu_device *dev, struct virtqueue *vq)
{
	vu_loop_queue_stop(&vm_of(dev)->queues[vq->index].loop_queue);
}

const struct vu_device_ops bal_device_ops = {
	.get_config = get_config,
	.set_config = set_config,
	.set_features = set_features,
	.memory_changed = memory_changed,
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.disconnected = disconnected,
	.reset = reset,
	.save_state = save_state,
	.load_state = load_state,
};
