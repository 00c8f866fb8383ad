/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * governor.c - a round of the policy at each interval: look, decide, apply or tell.
 * Layer L5, control thread.
 */
#include "balloon/governor.h"

#include <inttypes.h>
#include <string.h>

#include "vhost/base/clock.h"
#include "vhost/base/log.h"
#include "vhost/base/util.h"

#define MIB_SHIFT 20

static void gather(const struct bal_vm *vm, struct bal_guest *guest)
{
	const struct bal_stats *stats = &vm->stats;
	uint64_t available = bal_stats_value(stats, BAL_STAT_AVAILABLE);

	if (available == UINT64_MAX)
		available = bal_stats_value(stats, BAL_STAT_FREE);
	*guest = (struct bal_guest){
		.connected = bal_vm_present(vm),
		.inhibited = bal_vm_inhibited(vm) != NULL,
		.memory_bytes = vm->memory_bytes,
		.min_bytes = vm->opt->min_bytes,
		.max_bytes = vm->opt->max_bytes,
		.shares = vm->opt->shares,
		.target_bytes = bal_vm_target(vm),
		.actual_bytes = bal_vm_actual(vm),
		.stats_ns = stats->there ? stats->taken_ns : 0,
		.available_bytes = available,
		.swap_in_bytes = bal_stats_value(stats, BAL_STAT_SWAP_IN),
		.major_faults = bal_stats_value(stats, BAL_STAT_MAJOR_FAULTS),
		.oom_kills = bal_stats_value(stats, BAL_STAT_OOM_KILLS),
	};
}

/* A line when a guest's verdict becomes another; the steps of one that goes on are worth none. */
static void tell(struct bal_governor *gov, unsigned i)
{
	const char *dry = gov->mode == BAL_DRY_RUN ? "dry-run: " : "";
	uint64_t from = gov->guests[i].target_bytes >> MIB_SHIFT;
	uint64_t to = gov->verdicts[i].target_bytes >> MIB_SHIFT;
	const char *reason = bal_reason_name(gov->verdicts[i].reason);

	if (gov->verdicts[i].reason == gov->told[i])
		return;
	gov->told[i] = gov->verdicts[i].reason;
	if (gov->guests[i].target_bytes == gov->verdicts[i].target_bytes)
		log_info("policy", "%s%s stays (%s)", dry, gov->vms[i].opt->name, reason);
	else
		log_info("policy", "%s%s %" PRIu64 " -> %" PRIu64 " MiB (%s)", dry,
			 gov->vms[i].opt->name, from, to, reason);
}

static void apply(struct bal_governor *gov, unsigned i)
{
	uint64_t target = gov->verdicts[i].target_bytes;
	int err;

	if (gov->mode != BAL_AUTO || target == gov->guests[i].target_bytes)
		return;
	err = bal_vm_set_target(&gov->vms[i], target);
	if (err)
		log_error("policy", "%s: no target of %" PRIu64 " MiB: %s", gov->vms[i].opt->name,
			  target >> MIB_SHIFT, strerror(-err));
}

static void decide(struct bal_governor *gov)
{
	struct bal_host host;
	int err = bal_host_read(&gov->files, &host);

	if (err && err != gov->host_error)
		log_error("policy",
			  "the host's memory cannot be read: %s; targets stay as they are",
			  strerror(-err));
	gov->host_error = err;
	if (err)
		return;
	for (unsigned i = 0; i < gov->num_vms; i++)
		gather(&gov->vms[i], &gov->guests[i]);
	bal_policy_round(&gov->policy, clock_ns(), &host, gov->guests, gov->memos, gov->num_vms,
			 gov->verdicts);
	gov->decided = true;
	for (unsigned i = 0; i < gov->num_vms; i++) {
		tell(gov, i);
		apply(gov, i);
	}
}

static void interval_over(struct loop_timer *timer)
{
	struct bal_governor *gov = container_of(timer, struct bal_governor, timer);

	decide(gov);
	/* For the next round, whatever the operator's own interval is. */
	for (unsigned i = 0; i < gov->num_vms; i++)
		bal_vm_ask_stats(&gov->vms[i]);
	loop_timer_set(gov->loop, timer, gov->interval_ms, interval_over);
}

int bal_governor_set_mode(struct bal_governor *gov, enum bal_mode mode)
{
	if (mode != BAL_MANUAL && gov->files.meminfo_fd < 0)
		return gov->files.meminfo_fd;
	if (mode == gov->mode)
		return 0;
	log_info("policy", "%s, was %s", bal_mode_name(mode), bal_mode_name(gov->mode));
	gov->mode = mode;
	gov->decided = false;
	gov->host_error = 0;
	memset(gov->memos, 0, sizeof(gov->memos));
	memset(gov->told, 0, sizeof(gov->told));
	if (mode == BAL_MANUAL)
		loop_timer_cancel(gov->loop, &gov->timer);
	else
		loop_timer_set(gov->loop, &gov->timer, 0, interval_over);
	return 0;
}

int bal_governor_open(struct bal_governor *gov, const struct bal_options *opt, struct bal_vm *vms,
		      struct loop *loop)
{
	uint64_t patience_ms = 3 * (uint64_t)opt->interval_ms;
	int err;

	*gov = (struct bal_governor){
		.loop = loop,
		.mode = BAL_MANUAL,
		.policy = opt->policy,
		.interval_ms = opt->interval_ms,
		.vms = vms,
		.num_vms = opt->num_vms,
	};
	/* Statistics are asked for at each round: one may be lost without the guest being blind. */
	gov->policy.stale_stats_ms = max_of(gov->policy.stale_stats_ms, patience_ms);
	err = bal_host_open(&gov->files);
	return err ? err : bal_governor_set_mode(gov, opt->mode);
}

const char *bal_governor_reason(const struct bal_governor *gov, unsigned i)
{
	return gov->decided ? bal_reason_name(gov->verdicts[i].reason) : NULL;
}

const char *bal_governor_refuses_set(const struct bal_governor *gov)
{
	return gov->mode == BAL_AUTO ? "the policy sets the targets; to set them yourself, call "
				       "balloon.policy mode=manual first"
				     : NULL;
}

void bal_governor_close(struct bal_governor *gov)
{
	loop_timer_cancel(gov->loop, &gov->timer);
	bal_host_close(&gov->files);
}
