/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.c - see control.h. VMM, main thread with the board lock held; the vCPUs' counters are read
 * while they run.
 */
#include "vmm/control.h"

#include <errno.h>
#include <string.h>

#include "vhost/base/clock.h"
#include "vmm/vm.h"

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static int out_of_memory(struct rpc_error *error)
{
	return rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
}

/* --- vm.info --- */

static json_t *topology_json(const struct topology *t)
{
	return json_pack("{s:i, s:i, s:i}", "sockets", (int)t->sockets, "cores", (int)t->cores,
			 "threads", (int)t->threads);
}

static json_t *memory_json(const struct ram_options *ram)
{
	return json_pack("{s:o, s:b, s:o, s:b}", "bytes", number(ram->size), "hugepages",
			 ram->hugepages, "numa_node",
			 ram->numa_node < 0 ? json_null() : json_integer(ram->numa_node),
			 "prealloc", ram->prealloc);
}

static json_t *kernel_json(const struct load_options *load)
{
	return json_pack("{s:o, s:o, s:o}", "file", rpc_text(load->kernel_path), "initrd",
			 rpc_text(load->initrd_path), "cmdline", rpc_text(load->cmdline));
}

static int vm_info(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct vm *vm = ctx;
	const struct options *opt = vm->opt;
	uint64_t up_ns = vm->boot_ns ? clock_ns() - vm->boot_ns : 0;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	*result =
		json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o, s:i, s:o, s:b}", "name",
			  "ringside-vmm", "version", RINGSIDE_VERSION, "state",
			  vm_state_name(vm->state), "uptime_ms", number(up_ns / 1000000), "resets",
			  number(vm->resets), "vcpus", (int)opt->topology.num_vcpus, "topology",
			  topology_json(&opt->topology), "memory", memory_json(&opt->ram), "kernel",
			  kernel_json(&opt->load), "devices", (int)vm->num_devices, "serial",
			  rpc_text(opt->serial), "sandbox", opt->sandbox);
	return *result ? 0 : out_of_memory(error);
}

/* --- what changes the machine's state --- */

/* done - after a step: the state it led to, or why there is none. */
static int done(const struct vm *vm, int ret, const char *step, json_t **result,
		struct rpc_error *error)
{
	const char *state = vm_state_name(vm->state);

	if (ret == -EBUSY)
		return rpc_fail(error, RPC_FAILED, "a machine that is %s cannot be %s", state,
				step);
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "the machine cannot be %s: %s", step,
				strerror(-ret));
	*result = json_pack("{s:s}", "state", state);
	return *result ? 0 : out_of_memory(error);
}

static int pause_vm(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	return done(ctx, vm_pause(ctx), "paused", result, error);
}

static int resume_vm(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	return done(ctx, vm_resume(ctx), "resumed", result, error);
}

static int reset_vm(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	return done(ctx, vm_reset(ctx), "reset", result, error);
}

static int power_down(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	int ret;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	ret = vm_powerdown(ctx);
	if (ret == -ENODEV)
		return rpc_fail(error, RPC_FAILED,
				"nobody in the guest listens to the power button (no ACPI, or not "
				"yet); vm.quit ends the machine without it");
	return done(ctx, ret, "powered down", result, error);
}

static int quit_vm(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	vm_end(ctx, VM_EXIT_OK);
	return done(ctx, 0, "ended", result, error);
}

/* --- vm.stats --- */

/* add_numbers - those of @from to those of the same name in @sum. */
static void add_numbers(json_t *sum, json_t *from)
{
	const char *key;
	json_t *value;

	json_object_foreach (from, key, value)
		json_object_set_new(sum, key,
				    json_integer(json_integer_value(json_object_get(sum, key)) +
						 json_integer_value(value)));
}

/* add_groups - @from holds groups of numbers, by name, and @sum is to hold their sums. */
static void add_groups(json_t *sum, json_t *from)
{
	const char *key;
	json_t *group;

	json_object_foreach (from, key, group) {
		if (!json_object_get(sum, key))
			json_object_set_new(sum, key, json_object());
		add_numbers(json_object_get(sum, key), group);
	}
}

static json_t *vcpus_json(const struct vm *vm, json_t *total)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < vm->num_vcpus; i++) {
		const struct vcpu *vcpu = &vm->vcpus[i];
		json_t *stats = vcpu_stats(vcpu);
		json_t *one = json_pack("{s:i, s:o}", "vcpu", (int)i, "cpu",
					vcpu->cpu < 0 ? json_null() : json_integer(vcpu->cpu));

		add_groups(total, stats);
		json_object_update_new(one, stats);
		json_array_append_new(list, one);
	}
	return list;
}

/* Notifications go past us unless they are counted; what came before is then not in the number. */
static json_t *queue_json(const struct vm *vm, const struct virtio_queue *queue, unsigned index)
{
	return json_pack("{s:i, s:b, s:i, s:o, s:o}", "queue", (int)index, "enabled",
			 queue->enabled, "size", (int)queue->size, "vector",
			 queue->vector == MSIX_NO_VECTOR ? json_null()
							 : json_integer(queue->vector),
			 "kicks", vm->count_kicks ? number(queue->kicks) : json_null());
}

static json_t *device_json(const struct vm *vm, const struct virtio_device *dev)
{
	json_t *queues = json_array();

	for (unsigned i = 0; i < dev->num_queues; i++)
		json_array_append_new(queues, queue_json(vm, &dev->queues[i], i));
	return json_pack("{s:s, s:o, s:o}", "device", dev->name, "config_interrupts",
			 number(dev->config_interrupts), "queues", queues);
}

static int vm_stats(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct vm *vm = ctx;
	json_t *devices, *total, *vcpus;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	devices = json_array();
	total = json_object();
	vcpus = vcpus_json(vm, total);
	for (unsigned i = 0; i < vm->num_devices; i++)
		json_array_append_new(devices,
				      device_json(vm, vhost_user_virtio(vm->devices[i].backend)));
	*result = json_pack("{s:o, s:o, s:o}", "vcpus", vcpus, "total", total, "devices", devices);
	return *result ? 0 : out_of_memory(error);
}

static int count_kicks(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct vm *vm = ctx;
	int on;

	if (rpc_unpack(params, error, "{s:b}", "on", &on))
		return RPC_INVALID_PARAMS;
	vm->count_kicks = on;
	for (unsigned i = 0; i < vm->num_devices; i++)
		virtio_pci_count_kicks(vm->devices[i].pci, on);
	*result = json_pack("{s:b}", "on", on);
	return *result ? 0 : out_of_memory(error);
}

/* --- device.list --- */

static int device_list(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct vm *vm = ctx;
	json_t *list;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	list = json_array();
	for (unsigned i = 0; i < vm->num_devices; i++)
		json_array_append_new(list, vhost_user_report(vm->devices[i].backend));
	*result = json_pack("{s:o}", "devices", list);
	return *result ? 0 : out_of_memory(error);
}

const struct rpc_method control_methods[] = {
	{"vm.info", "", "state, size, kernel, uptime", vm_info},
	{"vm.pause", "", "vCPUs stand still; devices finish what they have", pause_vm},
	{"vm.resume", "", "vCPUs run again", resume_vm},
	{"vm.reset", "", "as the reset button: boot anew, without asking the guest", reset_vm},
	{"vm.powerdown", "", "press the power button; the guest shuts down if it listens",
	 power_down},
	{"vm.quit", "", "end the machine and the program at once", quit_vm},
	{"vm.stats", "", "exits by reason for each vCPU, queues of each device", vm_stats},
	{"vm.count-kicks", "on=true|false", "count notifications; each then costs an exit",
	 count_kicks},
	{"device.list", "", "devices and how their back-ends are", device_list},
};
const size_t control_num_methods = ARRAY_SIZE(control_methods);
