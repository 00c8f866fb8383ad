/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vm.c - see vm.h: a guest's balloon from start-up to the end, its target, and what of it is kept.
 * Layer L5, control thread.
 */
#include "balloon/vm.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdio.h>
#include <string.h>

#include "balloon/device.h"
#include "vhost/base/clock.h"

#define STORE_MS 1000u

/* --- target --- */

static uint64_t floor_of(const struct bal_vm *vm)
{
	return max_of(vm->opt->min_bytes, (uint64_t)BAL_LEAST_BYTES);
}

uint64_t bal_vm_target(const struct bal_vm *vm)
{
	uint64_t most = min_of(vm->opt->max_bytes, vm->memory_bytes);
	uint64_t bytes = max_of(vm->target_bytes, floor_of(vm));

	return vm->memory_bytes ? min_of(bytes, most) : vm->target_bytes;
}

uint64_t bal_vm_actual(const struct bal_vm *vm)
{
	uint64_t balloon_bytes = (uint64_t)vm->actual_pages << BAL_PAGE_SHIFT;

	return vm->memory_bytes - min_of(vm->memory_bytes, balloon_bytes);
}

/* adopt - nobody has said what the guest shall have, so it keeps what it has. */
static void adopt(struct bal_vm *vm)
{
	vm->target_bytes = vm->actual_pages ? bal_vm_actual(vm) : BAL_ALL_MEMORY;
}

static void tell_driver(struct bal_vm *vm)
{
	uint64_t num_pages = (vm->memory_bytes - bal_vm_target(vm)) >> BAL_PAGE_SHIFT;

	num_pages = min_of(num_pages, (uint64_t)UINT32_MAX);
	if (num_pages == vm->num_pages)
		return;
	vm->num_pages_before = vm->num_pages;
	vm->num_pages = (uint32_t)num_pages;
	vu_device_config_changed(&vm->dev);
}

int bal_vm_set_target(struct bal_vm *vm, uint64_t bytes)
{
	if (bytes != BAL_ALL_MEMORY && (bytes < floor_of(vm) || bytes > vm->opt->max_bytes))
		return -ERANGE;
	vm->target_known = true;
	vm->adopting = false;
	if (bytes == vm->target_bytes)
		return 0;
	vm->target_bytes = bytes;
	if (bytes == BAL_ALL_MEMORY)
		log_debug(vm->dev.name, "the guest shall have all its memory");
	else
		log_debug(vm->dev.name, "the guest shall have %llu MiB",
			  (unsigned long long)bytes >> 20);
	bal_vm_changed(vm);
	return 0;
}

/* --- what is kept --- */

struct bal_state bal_vm_state(const struct bal_vm *vm)
{
	return (struct bal_state){
		.target_bytes = vm->target_bytes,
		.actual_pages = vm->actual_pages,
		.poison_val = vm->poison_val,
		.stats = vm->stats,
	};
}

static void take_state(struct bal_vm *vm, const struct bal_state *state)
{
	vm->target_bytes = state->target_bytes;
	vm->target_known = true;
	vm->actual_pages = state->actual_pages;
	vm->poison_val = state->poison_val;
	vm->poison_heard = true;
	vm->poison_missed = false;
	vm->stats = state->stats;
}

void bal_vm_set_state(struct bal_vm *vm, const struct bal_state *state)
{
	take_state(vm, state);
	vm->adopting = false;
	vm->actual_heard = true;
	bal_vm_changed(vm);
}

static void store(struct loop_timer *timer)
{
	struct bal_vm *vm = container_of(timer, struct bal_vm, state_timer);
	struct bal_state state = bal_vm_state(vm);
	int ret;

	vm->stored_ns = clock_ns();
	ret = bal_state_store(vm->state_fd, &state, vm->stored_ns);
	if (ret < 0)
		log_warn_limited(&vm->log_limit, vm->dev.name, "--state-file=%s: %s",
				 vm->opt->state_file, strerror(-ret));
}

/* store_soon - at once, unless it has just been. */
static void store_soon(struct bal_vm *vm)
{
	uint64_t since_ms = (clock_ns() - vm->stored_ns) / 1000000;

	if (vm->state_fd >= 0 && !vm->state_timer.active)
		loop_timer_set(vm->loop, &vm->state_timer,
			       STORE_MS - min_of(since_ms, (uint64_t)STORE_MS), store);
}

void bal_vm_changed(struct bal_vm *vm)
{
	if (!vm->loop) /* nobody is served yet */
		return;
	if (vm->memory_bytes && vm->adopting)
		adopt(vm);
	if (vm->memory_bytes)
		tell_driver(vm);
	store_soon(vm);
}

/* --- no discards --- */

const char *bal_vm_inhibited(const struct bal_vm *vm)
{
	if (vm->inhibited)
		return "operator";
	return vm->features & BAL_BIT(VU_F_LOG_ALL) ? "migration" : NULL;
}

void bal_vm_inhibit(struct bal_vm *vm, bool on)
{
	vm->inhibited = on;
	bal_give_back_later(vm);
}

bool bal_vm_present(const struct bal_vm *vm)
{
	return vm->started & 1u << BAL_INFLATE;
}

/* --- from start-up to the end --- */

/* open_state - what the state file says is newer than the command line. Return: 0 or -errno. */
static int open_state(struct bal_vm *vm)
{
	struct bal_state state;
	int ret;

	vm->state_fd = bal_state_open(vm->opt->state_file);
	if (vm->state_fd < 0)
		return vm->state_fd;
	ret = bal_state_load(vm->state_fd, &state, clock_ns());
	if (ret == 0)
		take_state(vm, &state);
	if (ret == 0 || ret == -ENODATA)
		return 0;
	close_fd(&vm->state_fd);
	return ret;
}

static const char *state_advice(int err)
{
	switch (err) {
	case EAGAIN:
		return "another daemon uses it";
	case EINVAL:
		return "is not a plain file";
	case EBADMSG:
		return "is not a state file of this version";
	default:
		return strerror(err);
	}
}

int bal_vm_open(struct bal_vm *vm, const struct bal_vm_options *opt, char *error,
		size_t error_bytes)
{
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->opt = opt;
	vm->dev.name = opt->name;
	vm->target_bytes = opt->has_target ? opt->target_bytes : BAL_ALL_MEMORY;
	vm->target_known = opt->has_target;
	vm->stats_interval_s = opt->stats_interval_s;
	vm->state_fd = -1;
	if (!opt->state_file)
		return 0;
	ret = open_state(vm);
	if (ret == 0)
		return 0;
	snprintf(error, error_bytes, "state-file %s: %s", opt->state_file, state_advice(-ret));
	return -1;
}

void bal_vm_serve(struct bal_vm *vm, struct loop *loop)
{
	vm->loop = loop;
	vm->dev.ops = &bal_device_ops;
	vm->dev.features = bal_device_features(vm->opt);
	vm->dev.num_queues = BAL_MAX_QUEUES;
	vm->dev.config_bytes = sizeof(struct virtio_balloon_config);
	vm->dev.config_at_once = true; /* drivers write `actual` between one chain and the next */
	vu_device_init(&vm->dev, loop);
}

void bal_vm_close(struct bal_vm *vm)
{
	if (vm->loop) {
		loop_timer_cancel(vm->loop, &vm->gather);
		loop_timer_cancel(vm->loop, &vm->stats_timer);
		loop_timer_cancel(vm->loop, &vm->state_timer);
	}
	if (vm->state_fd >= 0)
		store(&vm->state_timer);
	close_fd(&vm->state_fd);
}
