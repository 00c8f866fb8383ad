/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - see report.h. Layer L5, control thread.
 */
#include "balloon/report.h"

#include <linux/virtio_balloon.h>
#include <string.h>

#include "balloon/host.h"
#include "vhost/base/clock.h"
#include "vhost/base/parse.h"
#include "vhost/daemon/report.h"

/* --- which guest --- */

/* names_of - for the operator who named none, or another. */
static void names_of(const struct bal_report *report, char *out, size_t max)
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < report->num_vms && used < max; i++) {
		int n = snprintf(out + used, max - used, "%s%s", i ? ", " : "",
				 report->vms[i].opt->name);

		used += (size_t)n;
	}
	if (used >= max)
		memcpy(out + max - 4, "...", 4);
}

/* find_vm - by @name; NULL is the only one there is. Return: NULL with @error filled in. */
static struct bal_vm *find_vm(const struct bal_report *report, const char *name,
			      struct rpc_error *error)
{
	char names[160];

	if (!name && report->num_vms == 1)
		return &report->vms[0];
	for (unsigned i = 0; name && i < report->num_vms; i++)
		if (!strcmp(report->vms[i].opt->name, name))
			return &report->vms[i];
	names_of(report, names, sizeof(names));
	if (name)
		rpc_fail(error, RPC_INVALID_PARAMS, "no guest '%.32s'; there is: %s", name, names);
	else
		rpc_fail(error, RPC_INVALID_PARAMS, "which guest? vm= is one of: %s", names);
	return NULL;
}

/* --- balloon.get, stats --- */

/* bytes_json - null for what is not known, or has no limit. */
static json_t *bytes_json(uint64_t bytes)
{
	return bytes > INT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

static json_t *features_json(uint64_t features)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{VIRTIO_BALLOON_F_MUST_TELL_HOST, "must-tell-host"},
		{VIRTIO_BALLOON_F_STATS_VQ, "statistics"},
		{VIRTIO_BALLOON_F_DEFLATE_ON_OOM, "deflate-on-oom"},
		{VIRTIO_BALLOON_F_FREE_PAGE_HINT, "free-page-hinting"},
		{VIRTIO_BALLOON_F_PAGE_POISON, "page-poison"},
		{VIRTIO_BALLOON_F_REPORTING, "free-page-reporting"},
	};
	json_t *list = json_array();

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (features & 1ull << names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

static json_t *stats_json(const struct bal_vm *vm)
{
	json_t *values = json_object();

	if (!vm->stats.there) {
		json_decref(values);
		return json_null();
	}
	for (unsigned i = 0; i < BAL_STATS_TAGS; i++)
		if (vm->stats.present & 1u << i)
			json_object_set_new(values, bal_stat_name(i),
					    bytes_json(vm->stats.values[i]));
	return json_pack("{s:I, s:i, s:o}", "age_ms",
			 (json_int_t)((clock_ns() - vm->stats.taken_ns) / 1000000), "interval_s",
			 (int)vm->stats_interval_s, "values", values);
}

static json_t *counters_json(const struct bal_count *count)
{
	json_t *skipped = json_object();

	for (unsigned i = BAL_SKIP_NONE + 1; i < BAL_SKIPS; i++)
		json_object_set_new(skipped, bal_skip_name(i),
				    json_integer((json_int_t)count->skipped[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "inflated_pages",
			 (json_int_t)count->inflated_pages, "deflated_pages",
			 (json_int_t)count->deflated_pages, "discard_calls",
			 (json_int_t)count->discard_calls, "discard_errors",
			 (json_int_t)count->discard_errors, "stats_received",
			 (json_int_t)count->stats_received, "stats_bad",
			 (json_int_t)count->stats_bad, "skipped", skipped);
}

static json_t *vm_json(const struct bal_report *report, unsigned i)
{
	const struct bal_vm *vm = &report->vms[i];
	const struct bal_count *count = &vm->count;
	json_t *json;

	json = json_pack("{s:s, s:o, s:b, s:b, s:o, s:o, s:o, s:i}", "name", vm->opt->name,
			 "socket", rpc_text(vm->opt->socket.path), "connected",
			 vu_device_connected(&vm->dev), "present", bal_vm_present(vm),
			 "memory_bytes", bytes_json(vm->memory_bytes), "min_bytes",
			 bytes_json(max_of(vm->opt->min_bytes, (uint64_t)BAL_LEAST_BYTES)),
			 "max_bytes", bytes_json(vm->opt->max_bytes), "shares",
			 (int)vm->opt->shares);
	if (!json)
		return NULL;
	json_object_set_new(json, "target_bytes", bytes_json(bal_vm_target(vm)));
	json_object_set_new(json, "actual_bytes", bytes_json(bal_vm_actual(vm)));
	json_object_set_new(json, "balloon_bytes",
			    bytes_json((uint64_t)vm->actual_pages << BAL_PAGE_SHIFT));
	json_object_set_new(json, "reclaimed_bytes", bytes_json(count->reclaimed_bytes));
	json_object_set_new(json, "reported_bytes", bytes_json(count->reported_bytes));
	json_object_set_new(json, "hinted_bytes", bytes_json(count->hinted_bytes));
	json_object_set_new(json, "pending_bytes", bytes_json(vm->pages.num_due << BAL_PAGE_SHIFT));
	json_object_set_new(json, "inhibited", rpc_text(bal_vm_inhibited(vm)));
	json_object_set_new(json, "features", features_json(vm->features));
	json_object_set_new(json, "reason", rpc_text(bal_governor_reason(report->governor, i)));
	json_object_set_new(json, "stats", stats_json(vm));
	json_object_set_new(json, "counters", counters_json(count));
	return json;
}

static json_t *host_json(const struct bal_governor *governor)
{
	struct bal_host host = {0};

	if (bal_host_read(&governor->files, &host) < 0)
		return json_null();
	return json_pack("{s:o, s:o, s:i}", "total_bytes", bytes_json(host.total_bytes),
			 "available_bytes", bytes_json(host.available_bytes), "pressure_permille",
			 (int)host.pressure_permille);
}

static int get(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct bal_report *report = ctx;
	const struct bal_vm *only = NULL;
	const char *name = NULL;
	json_t *list;

	if (rpc_unpack(params, error, "{s?s}", "vm", &name))
		return RPC_INVALID_PARAMS;
	if (name) {
		only = find_vm(report, name, error);
		if (!only)
			return RPC_INVALID_PARAMS;
	}
	list = json_array();
	for (unsigned i = 0; i < report->num_vms; i++)
		if (!only || only == &report->vms[i])
			json_array_append_new(list, vm_json(report, i));
	*result = json_pack("{s:o, s:o, s:s}", "vms", list, "host", host_json(report->governor),
			    "policy", bal_mode_name(report->governor->mode));
	return *result ? 0 : rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
}

static json_t *queues_json(struct bal_vm *vm)
{
	json_t *rings[VU_MAX_RINGS];
	json_t *list = json_array();

	daemon_rings_json(&vm->dev, rings);
	for (unsigned i = 0; i < BAL_MAX_QUEUES; i++) {
		enum bal_role role = bal_role_of(i, vm->features, vm->started);

		if (rings[i])
			json_array_append_new(list,
					      json_pack("{s:i, s:s, s:o}", "queue", i, "role",
							bal_role_name(role), "ring", rings[i]));
	}
	return list;
}

static int stats(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct bal_report *report = ctx;
	json_t *list;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	list = json_array();
	for (unsigned i = 0; i < report->num_vms; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:o, s:o}", "name", report->vms[i].opt->name,
						"queues", queues_json(&report->vms[i]), "counters",
						counters_json(&report->vms[i].count)));
	*result = json_pack("{s:o}", "vms", list);
	return *result ? 0 : rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
}

/* --- what changes something --- */

/* target_of - bytes, as a number or as a text such as 512M or all. Return: 0, -EINVAL. */
static int target_of(const json_t *value, uint64_t *bytes)
{
	const char *text = json_string_value(value);

	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*bytes = (uint64_t)json_integer_value(value);
		return 0;
	}
	if (!text)
		return -EINVAL;
	if (!strcmp(text, "all")) {
		*bytes = BAL_ALL_MEMORY;
		return 0;
	}
	return parse_size(text, bytes) < 0 ? -EINVAL : 0;
}

static int fail_range(const struct bal_vm *vm, struct rpc_error *error)
{
	uint64_t least = max_of(vm->opt->min_bytes, (uint64_t)BAL_LEAST_BYTES);

	if (vm->opt->max_bytes == BAL_ALL_MEMORY)
		return rpc_fail(error, RPC_INVALID_PARAMS, "target: must be %lluM or more, or all",
				(unsigned long long)least >> 20);
	return rpc_fail(error, RPC_INVALID_PARAMS, "target: must be %lluM to %lluM, or all",
			(unsigned long long)least >> 20,
			(unsigned long long)vm->opt->max_bytes >> 20);
}

static int set(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct bal_report *report = ctx;
	const char *name = NULL, *refusal;
	const json_t *target;
	struct bal_vm *vm;
	uint64_t bytes;

	if (rpc_unpack(params, error, "{s?s, s:o}", "vm", &name, "target", &target))
		return RPC_INVALID_PARAMS;
	vm = find_vm(report, name, error);
	if (!vm)
		return RPC_INVALID_PARAMS;
	refusal = bal_governor_refuses_set(report->governor);
	if (refusal)
		return rpc_fail(error, RPC_FAILED, "%s", refusal);
	if (target_of(target, &bytes) < 0)
		return rpc_fail(error, RPC_INVALID_PARAMS,
				"target: must be bytes, a size such as 512M, or all");
	if (bal_vm_set_target(vm, bytes) < 0)
		return fail_range(vm, error);
	*result = json_pack("{s:s, s:o, s:o}", "vm", vm->opt->name, "target_bytes",
			    bytes_json(bal_vm_target(vm)), "actual_bytes",
			    bytes_json(bal_vm_actual(vm)));
	return 0;
}

static int stats_interval(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const char *name = NULL;
	struct bal_vm *vm;
	json_int_t seconds;

	if (rpc_unpack(params, error, "{s?s, s:I}", "vm", &name, "seconds", &seconds))
		return RPC_INVALID_PARAMS;
	vm = find_vm(ctx, name, error);
	if (!vm)
		return RPC_INVALID_PARAMS;
	if (seconds < 0 || seconds > BAL_MAX_STATS_S)
		return rpc_fail(error, RPC_INVALID_PARAMS, "seconds: must be 0 (never) to %d",
				BAL_MAX_STATS_S);
	bal_vm_set_stats_interval(vm, (unsigned)seconds);
	if (seconds) /* the operator need not wait for the first */
		bal_vm_ask_stats(vm);
	*result = json_pack("{s:s, s:I}", "vm", vm->opt->name, "interval_s", seconds);
	return 0;
}

static int inhibit(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const char *name = NULL;
	struct bal_vm *vm;
	int on;

	if (rpc_unpack(params, error, "{s?s, s:b}", "vm", &name, "on", &on))
		return RPC_INVALID_PARAMS;
	vm = find_vm(ctx, name, error);
	if (!vm)
		return RPC_INVALID_PARAMS;
	bal_vm_inhibit(vm, on);
	*result = json_pack("{s:s, s:o}", "vm", vm->opt->name, "inhibited",
			    rpc_text(bal_vm_inhibited(vm)));
	return 0;
}

static int policy(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct bal_report *report = ctx;
	const char *name = NULL;
	unsigned mode = 0;
	int ret;

	if (rpc_unpack(params, error, "{s?s}", "mode", &name))
		return RPC_INVALID_PARAMS;
	while (name && mode < BAL_MODES && strcmp(name, bal_mode_name(mode)))
		mode++;
	if (name && mode == BAL_MODES)
		return rpc_fail(error, RPC_INVALID_PARAMS, "mode: must be manual, auto or dry-run");
	ret = name ? bal_governor_set_mode(report->governor, mode) : 0;
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "/proc/meminfo: %s", strerror(-ret));
	*result = json_pack("{s:s}", "mode", bal_mode_name(report->governor->mode));
	return 0;
}

const struct rpc_method bal_report_methods[] = {
	{"balloon.get", "[vm=NAME]", "memory, target, actual, statistics and their age", get},
	{"balloon.set", "[vm=NAME] target=SIZE|all", "the memory that a guest shall keep", set},
	{"balloon.stats-interval", "[vm=NAME] seconds=N", "ask for statistics this often; 0: never",
	 stats_interval},
	{"balloon.inhibit", "[vm=NAME] on=true|false",
	 "no discards while it is set: for pinned or migrating guests", inhibit},
	{"balloon.policy", "[mode=manual|auto|dry-run]", "who sets the targets", policy},
	{"stats", "", "rings and counters of every guest", stats},
};
const size_t bal_report_num_methods = ARRAY_SIZE(bal_report_methods);
