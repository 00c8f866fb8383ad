/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_world.c - the made-up host: how guests use memory, what the host has left, what either
 * feels of it. The guests (balloon_vm.c) know nothing of who sets their targets.
 * Benchmarks and tests only. One thread.
 */
#include "bench/balloon_world.h"

#include <stdbool.h>

#include "balloon/policy.h"
#include "bench/balloon_vm.h"
#include "vhost/base/util.h"

#define S              1000000000ull
#define SHARES_EVERY_S 10
#define OURS_EVERY_S   (BAL_DEFAULT_INTERVAL_MS / 1000)
#define TURN_S         300

struct world {
	const struct world_options *opt;
	enum world_rule rule;
	struct world_result *result;
	uint64_t random;
	uint64_t now_s;
	uint64_t host_bytes, own_bytes, available_bytes;
	uint32_t pressure_permille;
	unsigned pressed; /* guest-seconds, this minute */
	struct made_vm vms[WORLD_MAX_VMS];
	struct world_view views[WORLD_MAX_VMS];
	struct bal_policy policy;
	struct bal_guest guests[WORLD_MAX_VMS];
	struct bal_memo memos[WORLD_MAX_VMS];
	struct bal_verdict verdicts[WORLD_MAX_VMS];
	struct {
		uint64_t changed_s;
		bool up;
	} last[WORLD_MAX_VMS];
};

const char *world_rule_name(enum world_rule rule)
{
	static const char *const names[] = {
		[WORLD_NONE] = "none",
		[WORLD_SHARES] = "shares",
		[WORLD_POLICY] = "ringside",
		[WORLD_POLICY_20] = "ringside-20",
	};

	return names[rule];
}

static void set_target(struct world *world, unsigned i, uint64_t target)
{
	struct made_vm *vm = &world->vms[i];
	bool up = target > vm->target_bytes;

	if (target == vm->target_bytes)
		return;
	world->result->changes++;
	if (world->last[i].changed_s && up != world->last[i].up &&
	    world->now_s - world->last[i].changed_s < TURN_S)
		world->result->turns++;
	world->last[i].changed_s = world->now_s;
	world->last[i].up = up;
	vm->target_bytes = target;
}

static void rule_by_shares(struct world *world)
{
	unsigned num = 0, which[WORLD_MAX_VMS];

	for (unsigned i = 0; i < world->opt->num_vms; i++) {
		const struct made_vm *vm = &world->vms[i];

		if (!made_vm_runs(vm))
			continue;
		which[num] = i;
		world->views[num++] = (struct world_view){
			.memory_bytes = vm->memory_bytes,
			.min_bytes = vm->min_bytes,
			.shares = vm->shares,
			.target_bytes = vm->target_bytes,
			.actual_bytes = vm->actual_bytes,
			.available_bytes = made_vm_available(vm),
		};
	}
	world_share_rule(world->views, num, world->host_bytes, world->available_bytes);
	for (unsigned i = 0; i < num; i++)
		set_target(world, which[i], world->views[i].target_bytes);
}

/* As governor.c does it: statistics are asked for after a round and looked at in the next. */
static void rule_by_policy(struct world *world)
{
	unsigned num = world->opt->num_vms;
	struct bal_host host = {world->host_bytes, world->available_bytes,
				world->pressure_permille};

	for (unsigned i = 0; i < num; i++) {
		world->guests[i].actual_bytes = world->vms[i].actual_bytes;
		world->guests[i].target_bytes = world->vms[i].target_bytes;
	}
	bal_policy_round(&world->policy, (world->now_s + 1) * S, &host, world->guests, world->memos,
			 num, world->verdicts);
	for (unsigned i = 0; i < num; i++) {
		const struct made_vm *vm = &world->vms[i];
		uint64_t available = made_vm_available(vm);

		set_target(world, i, world->verdicts[i].target_bytes);
		world->guests[i] = (struct bal_guest){
			.connected = made_vm_runs(vm),
			.memory_bytes = vm->memory_bytes,
			.min_bytes = vm->min_bytes,
			.max_bytes = UINT64_MAX,
			.shares = vm->shares,
			.stats_ns = available == UINT64_MAX ? 0 : (world->now_s + 1) * S,
			.available_bytes = available,
			.swap_in_bytes = vm->swap_in_bytes,
			.major_faults = vm->major_faults,
			.oom_kills = UINT64_MAX, /* as Linux before 6.12 */
		};
	}
}

static void govern(struct world *world)
{
	if (world->rule == WORLD_SHARES && world->now_s % SHARES_EVERY_S == 0)
		rule_by_shares(world);
	if (world->rule >= WORLD_POLICY && world->now_s % OURS_EVERY_S == 0)
		rule_by_policy(world);
}

/* What the guests' second did to the host. Without swap of its own it would now kill guests. */
static void host_second(struct world *world)
{
	struct world_result *result = world->result;
	uint64_t used = world->own_bytes, missing;

	for (unsigned i = 0; i < world->opt->num_vms; i++)
		used += world->vms[i].occupied_bytes;
	missing = used > world->host_bytes ? used - world->host_bytes : 0;
	world->available_bytes = missing ? 0 : world->host_bytes - used;
	/* Pressure comes with the last 2 %. */
	world->pressure_permille = 0;
	if (world->available_bytes < world->host_bytes / 50)
		world->pressure_permille =
			1000 - (uint32_t)(world->available_bytes * 1000 / (world->host_bytes / 50));
	result->least_available_bytes =
		min_of(result->least_available_bytes, world->available_bytes);
	result->below_low_s += world->available_bytes < result->low_bytes;
	result->below_half_low_s += world->available_bytes < result->low_bytes / 2;
	result->out_of_memory_s += missing > 0;
	result->host_missing_bytes = max_of(result->host_missing_bytes, missing);
	result->available_byte_hours += world->available_bytes / 3600;
}

static void guests_second(struct world *world)
{
	for (unsigned i = 0; i < world->opt->num_vms; i++) {
		struct made_vm *vm = &world->vms[i];
		struct made_second felt;

		made_vm_second(vm, world->now_s, &felt);
		if (!made_vm_counts(vm))
			continue;
		world->pressed += felt.pressed;
		world->result->pressure_s += felt.pressed;
		world->result->swapped_bytes += felt.swapped_bytes;
		world->result->kills += felt.killed;
	}
}

static void tell(struct world *world, void (*each)(void *, const struct world_minute *), void *ctx)
{
	struct world_minute minute = {
		.rule = world->rule,
		.minute = (unsigned)(world->now_s / 60),
		.host_bytes = world->host_bytes,
		.available_bytes = world->available_bytes,
		.pressed = world->pressed,
	};

	for (unsigned i = 0; i < world->opt->num_vms; i++) {
		minute.demand_bytes += world->vms[i].demand_bytes;
		minute.targets_bytes += world->vms[i].target_bytes;
	}
	each(ctx, &minute);
	world->pressed = 0;
}

static void begin(struct world *world)
{
	uint64_t all = 0;

	world->policy = bal_policy_default();
	for (unsigned i = 0; i < world->opt->num_vms; i++) {
		made_vm_init(&world->vms[i], &world->random);
		all += world->vms[i].memory_bytes;
	}
	world->host_bytes = all * 100 / world->opt->overcommit_percent;
	world->own_bytes = world->host_bytes / 25;
	world->available_bytes = world->host_bytes - world->own_bytes;
	world->result->host_bytes = world->host_bytes;
	world->result->low_bytes = world->host_bytes / 1000 * world->policy.low_permille;
	world->result->least_available_bytes = world->host_bytes;
	if (world->rule == WORLD_POLICY_20) {
		world->policy.low_permille = 150;
		world->policy.high_permille = 250;
	}
}

void world_run(const struct world_options *opt, enum world_rule rule, struct world_result *result,
	       void (*each)(void *ctx, const struct world_minute *minute), void *ctx)
{
	static struct world world;

	world = (struct world){.opt = opt, .rule = rule, .result = result, .random = opt->seed};
	*result = (struct world_result){0};
	begin(&world);
	for (world.now_s = 1; world.now_s <= opt->hours * 3600ull; world.now_s++) {
		guests_second(&world);
		host_second(&world);
		govern(&world);
		if (each && world.now_s % 60 == 0)
			tell(&world, each, ctx);
	}
}
