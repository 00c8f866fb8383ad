/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * policy.c - how much memory each guest should have; policy.h says by what rules.
 * Layer L5, control thread, pure. Whatever the numbers say, hostile ones included, sums saturate
 * and no target leaves its guest's bounds.
 */
#include "balloon/policy.h"

#include <assert.h>

#include "vhost/base/util.h"

#define NS_PER_MS         1000000ull
#define NS_PER_S          1000000000ull
#define LONGEST_ROUND_NS  (60 * NS_PER_S) /* after a longer pause no guest moves further */
#define PAGE_BYTES        4096u
#define REACHED_BYTES     (1ull << 20) /* nearer to its target than this, a guest is there */
#define MAX_REST_DOUBLING 4
#define LEAST_WAY         128 /* less than this part of its target is not worth moving a guest */
/* A level: bytes for each weight, with so many binary digits after the point. */
#define FILL_SHIFT  40
#define FILL_PASSES 64
/* Shares as weights: so that there is a level for the largest guest with one share. */
#define SHARE_WEIGHT (1u << 24)

/* The host, as the round sees it. */
struct view {
	uint64_t now_ns;
	uint64_t low, high, goal, floor;
	uint64_t available; /* now */
	uint64_t settled; /* when every guest has followed its target */
	bool short_of_memory, plenty;
};

struct bal_policy bal_policy_default(void)
{
	return (struct bal_policy){
		/* Around the 15 % a host wants for its own cache; Proxmox keeps 20 %, but looks only
		 * every 10 s and at no pressure. */
		.low_permille = 100,
		.high_permille = 200,
		.host_pressure_permille = 100, /* a tenth of the time something waits for memory */
		.rate_bytes_per_s = 64ull << 20, /* Proxmox: 10; too slow for a boot storm */
		.guest_low_permille = 50, /* below, Linux soon reclaims while programs wait */
		.guest_swap_bytes_per_s = 1u << 20,
		.guest_faults_per_s = 200,
		.stale_stats_ms = 15000,
		.respond_ms =
			10000, /* Linux inflates 1 MiB at a time, and tries again every 200 ms */
		.rest_ms = 30000,
	};
}

const char *bal_reason_name(enum bal_reason reason)
{
	static const char *const names[] = {
		[BAL_KEEP] = "keep",     [BAL_RECLAIM] = "reclaim",
		[BAL_RETURN] = "return", [BAL_RETREAT] = "retreat",
		[BAL_REST] = "rest",     [BAL_UNRESPONSIVE] = "unresponsive",
		[BAL_BLIND] = "blind",   [BAL_BOUND] = "bound",
		[BAL_ABSENT] = "absent",
	};

	static_assert(ARRAY_SIZE(names) == BAL_REASONS, "a name for each reason");
	return names[reason];
}

const char *bal_mode_name(enum bal_mode mode)
{
	static const char *const names[] = {
		[BAL_MANUAL] = "manual",
		[BAL_AUTO] = "auto",
		[BAL_DRY_RUN] = "dry-run",
	};

	static_assert(ARRAY_SIZE(names) == BAL_MODES, "a name for each mode");
	return names[mode];
}

static uint64_t plus(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return add_overflows(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	value = min_of(value, most);
	return max_of(value, least);
}

/* @a * @b / @divisor, which is not 0. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t divisor)
{
	unsigned __int128 product = (unsigned __int128)a * b / divisor;

	return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}

static uint64_t permille(uint64_t bytes, uint32_t part)
{
	return scale(bytes, part, 1000);
}

static uint64_t at_level(const struct bal_part *part, uint64_t level)
{
	unsigned __int128 bytes = (unsigned __int128)part->weight * level >> FILL_SHIFT;

	return clamp(bytes > UINT64_MAX ? UINT64_MAX : (uint64_t)bytes, part->least, part->most);
}

/*
 * Divide @total: everyone gets the same for each weight, but for its least and its most, as water
 * finds its level. Together that is not more than @total, unless the leasts alone are. The level
 * is found by halving, one binary digit a pass.
 */
static void fill(struct bal_memo *memos, unsigned num, uint64_t total)
{
	uint64_t level = 0, wanted = 0;

	for (unsigned i = 0; i < num; i++) {
		memos[i].part.got = memos[i].part.most;
		wanted = plus(wanted, memos[i].part.most);
	}
	if (wanted <= total)
		return;
	for (unsigned pass = 0; pass < FILL_PASSES; pass++) {
		uint64_t digit = 1ull << (FILL_PASSES - 1 - pass);
		uint64_t sum = 0;

		for (unsigned i = 0; i < num && sum <= total; i++)
			sum = plus(sum, at_level(&memos[i].part, level | digit));
		if (sum <= total)
			level |= digit;
	}
	for (unsigned i = 0; i < num; i++)
		memos[i].part.got = at_level(&memos[i].part, level);
}

/* A total that grew by @permitted a second or more between two statistics. */
static bool faster(uint64_t now, uint64_t before, uint64_t ns, uint64_t permitted)
{
	if (now == UINT64_MAX || before == UINT64_MAX || now <= before || !ns)
		return false;
	return scale(now - before, NS_PER_S, ns) > permitted;
}

/* Does what a guest says now, against what it said last, tell that it lacks memory? */
static bool under_pressure(const struct bal_policy *policy, const struct bal_guest *guest,
			   const struct bal_memo *memo)
{
	uint64_t ns = guest->stats_ns - memo->stats_ns;

	if (guest->available_bytes < permille(guest->actual_bytes, policy->guest_low_permille))
		return true;
	if (!memo->stats_ns)
		return false; /* totals since it booted */
	return faster(guest->swap_in_bytes, memo->swap_in_bytes, ns,
		      policy->guest_swap_bytes_per_s) ||
	       faster(guest->major_faults, memo->major_faults, ns, policy->guest_faults_per_s) ||
	       (guest->oom_kills != UINT64_MAX && guest->oom_kills > memo->oom_kills);
}

/* Leave it alone for a while: twice as long when it was asked again and again could not. */
static void rest(const struct bal_policy *policy, struct bal_memo *memo, uint64_t now_ns)
{
	uint64_t rest_ns = scale(policy->rest_ms, NS_PER_MS << memo->retreats, 1);

	if (memo->rest_until_ns && now_ns >= plus(memo->rest_until_ns, rest_ns))
		memo->retreats = 0;
	else if (memo->rest_until_ns && now_ns >= memo->rest_until_ns)
		memo->retreats += memo->retreats < MAX_REST_DOUBLING;
	rest_ns = scale(policy->rest_ms, NS_PER_MS << memo->retreats, 1);
	memo->rest_until_ns = max_of(memo->rest_until_ns, plus(now_ns, rest_ns));
}

/*
 * New statistics: what the guest needs. They may be of the round before: it uses what it had then, less
 * what was available. Under pressure it needs more than it has, in any case.
 */
static void note_stats(const struct bal_policy *policy, const struct bal_guest *guest,
		       struct bal_memo *memo)
{
	uint64_t have = guest->actual_bytes;
	uint64_t air = permille(have, policy->guest_low_permille);

	memo->pressed = under_pressure(policy, guest, memo);
	memo->need_bytes =
		plus(minus(max_of(have, memo->had_bytes), guest->available_bytes), plus(air, air));
	if (memo->pressed)
		memo->need_bytes = max_of(memo->need_bytes, plus(have, have / 8));
	memo->stats_ns = guest->stats_ns;
	memo->swap_in_bytes = guest->swap_in_bytes;
	memo->major_faults = guest->major_faults;
	memo->oom_kills = guest->oom_kills;
}

/*
 * Does the guest follow? It has to come nearer by an eighth of its way within respond_ms: a trickle
 * would have the host wait for what does not come, and spare the guest from being asked for more.
 */
static void note_progress(const struct bal_policy *policy, const struct bal_guest *guest,
			  struct bal_memo *memo, uint64_t now_ns)
{
	uint64_t gap = distance(guest->actual_bytes, memo->target_bytes);
	uint64_t way = distance(memo->nearest_bytes, memo->target_bytes);

	if (memo->stuck) {
		if (now_ns < memo->rest_until_ns &&
		    distance(guest->actual_bytes, memo->nearest_bytes) < REACHED_BYTES)
			return;
		if (now_ns < memo->rest_until_ns)
			memo->rest_until_ns = 0; /* it moved */
		memo->stuck = false;
	} else if (gap > REACHED_BYTES && gap > way - way / 8) {
		if (now_ns < plus(memo->moved_ns, scale(policy->respond_ms, NS_PER_MS, 1)))
			return;
		memo->stuck = true;
		memo->target_bytes =
			clamp(guest->actual_bytes, memo->floor_bytes, memo->ceiling_bytes);
		rest(policy, memo, now_ns);
	}
	memo->nearest_bytes = guest->actual_bytes;
	memo->moved_ns = now_ns;
}

/* A guest as the round sees it. */
static void look(const struct bal_policy *policy, const struct bal_guest *guest,
		 struct bal_memo *memo, uint64_t now_ns)
{
	uint64_t round_ns = memo->last_ns ? minus(now_ns, memo->last_ns) : 0;

	memo->ceiling_bytes = min_of(guest->max_bytes, guest->memory_bytes);
	memo->floor_bytes = clamp(guest->min_bytes, BAL_LEAST_BYTES, UINT64_MAX);
	memo->floor_bytes = min_of(memo->floor_bytes, memo->ceiling_bytes);
	memo->target_bytes = clamp(guest->target_bytes, memo->floor_bytes, memo->ceiling_bytes);
	memo->step_bytes =
		scale(policy->rate_bytes_per_s, clamp(round_ns, 0, LONGEST_ROUND_NS), NS_PER_S);
	if (!memo->last_ns) {
		memo->nearest_bytes = guest->actual_bytes;
		memo->moved_ns = now_ns;
	}
	memo->last_ns = now_ns;
	memo->pressed = false;
	if (guest->stats_ns > memo->stats_ns && guest->available_bytes != UINT64_MAX)
		note_stats(policy, guest, memo);
	memo->had_bytes = guest->actual_bytes;
	memo->blind = !memo->stats_ns ||
		      minus(now_ns, memo->stats_ns) > scale(policy->stale_stats_ms, NS_PER_MS, 1);
	note_progress(policy, guest, memo, now_ns);
}

static bool present(const struct bal_guest *guest)
{
	return guest->connected && !guest->inhibited;
}

static void look_at_host(const struct bal_policy *policy, const struct bal_host *host,
			 const struct bal_guest *guests, const struct bal_memo *memos, unsigned num,
			 struct view *view)
{
	bool pressure = host->pressure_permille > policy->host_pressure_permille;
	uint64_t coming = 0, going = 0, least;

	for (unsigned i = 0; i < num; i++) {
		if (!present(&guests[i]))
			continue;
		coming = plus(coming, minus(guests[i].actual_bytes, memos[i].target_bytes));
		going = plus(going, minus(memos[i].target_bytes, guests[i].actual_bytes));
	}
	view->low = permille(host->total_bytes, policy->low_permille);
	view->high = max_of(view->low, permille(host->total_bytes, policy->high_permille));
	view->floor = view->low - view->low / 4;
	view->available = host->available_bytes;
	view->settled = minus(plus(view->available, coming), going);
	least = min_of(view->available, view->settled);
	/* Pressure counts up to high: above, something else is wrong, a control group's limit perhaps. */
	view->short_of_memory = least < view->low || pressure;
	view->plenty = least > view->high && !view->short_of_memory;
	view->goal = pressure ? view->high : view->low + (view->high - view->low) / 2;
}

/* What each guest is entitled to, to be had when all have followed their targets. */
static void entitle(const struct view *view, const struct bal_guest *guests, struct bal_memo *memos,
		    unsigned num)
{
	uint64_t all = view->settled, needed = 0;

	for (unsigned i = 0; i < num; i++) {
		struct bal_memo *memo = &memos[i];
		bool resting = view->now_ns < memo->rest_until_ns;
		uint64_t need;

		memo->part = (struct bal_part){0};
		if (!present(&guests[i]))
			continue;
		need = resting ? max_of(memo->need_bytes, memo->target_bytes) : memo->need_bytes;
		memo->part.weight = (uint64_t)guests[i].shares * SHARE_WEIGHT;
		memo->part.least = memo->floor_bytes;
		memo->part.most = clamp(need, memo->floor_bytes, memo->ceiling_bytes);
		if (memo->stuck || memo->blind)
			memo->part.least = memo->target_bytes;
		if (memo->blind || (memo->stuck && !memo->pressed))
			memo->part.most = memo->target_bytes;
		all = plus(all, memo->target_bytes);
	}
	fill(memos, num, minus(all, view->floor));
	for (unsigned i = 0; i < num; i++) {
		needed = plus(needed, memos[i].part.got);
		memos[i].part.least = memos[i].part.got;
		if (present(&guests[i]) && !memos[i].stuck)
			memos[i].part.most = memos[i].ceiling_bytes;
	}
	if (needed < minus(all, view->goal))
		fill(memos, num, minus(all, view->goal));
	for (unsigned i = 0; i < num; i++)
		memos[i].entitled_bytes = memos[i].part.got;
}

/* How far a guest is from @to, upwards or @down; 0 where that is not worth moving it. */
static uint64_t way_of(const struct bal_memo *memo, uint64_t to, bool down)
{
	uint64_t way = down ? minus(memo->target_bytes, to) : minus(to, memo->target_bytes);

	return way < memo->target_bytes / LEAST_WAY && to != memo->ceiling_bytes ? 0 : way;
}

/* Raise guests under pressure to what they are entitled to, as far as the host has it. */
static void retreat(const struct bal_policy *policy, struct view *view, struct bal_memo *memos,
		    unsigned num, struct bal_verdict *verdicts)
{
	for (unsigned i = 0; i < num; i++) {
		struct bal_memo *memo = &memos[i];
		uint64_t to = min_of(memo->entitled_bytes, memo->need_bytes);
		uint64_t want = way_of(memo, to, false);

		memo->part = (struct bal_part){.weight = want, .most = memo->pressed ? want : 0};
	}
	fill(memos, num, minus(min_of(view->available, view->settled), view->floor));
	for (unsigned i = 0; i < num; i++) {
		uint64_t bytes = align_down(memos[i].part.got, PAGE_BYTES);

		if (!memos[i].pressed)
			continue;
		view->available = minus(view->available, bytes);
		view->settled = minus(view->settled, bytes);
		verdicts[i].target_bytes += bytes;
		verdicts[i].reason = bytes ? BAL_RETREAT : BAL_BOUND;
		rest(policy, &memos[i], view->now_ns);
	}
}

/* Take what the host is short of from guests above their entitlement, or give them what it has too
 * much below it, at their rate. */
static void move(const struct view *view, struct bal_memo *memos, unsigned num,
		 struct bal_verdict *verdicts)
{
	uint64_t total = view->short_of_memory
				 ? minus(view->goal, view->settled)
				 : minus(min_of(view->available, view->settled), view->goal);

	for (unsigned i = 0; i < num; i++) {
		struct bal_memo *memo = &memos[i];
		uint64_t way = way_of(memo, memo->entitled_bytes, view->short_of_memory);
		bool still = verdicts[i].reason == BAL_RETREAT || memo->stuck;

		memo->part = (struct bal_part){.weight = way,
					       .most = still ? 0 : min_of(way, memo->step_bytes)};
	}
	fill(memos, num, total);
	for (unsigned i = 0; i < num; i++) {
		uint64_t bytes = align_down(memos[i].part.got, PAGE_BYTES);

		if (!bytes)
			continue;
		if (view->short_of_memory)
			verdicts[i].target_bytes -= bytes;
		else
			verdicts[i].target_bytes += bytes;
		verdicts[i].reason = view->short_of_memory ? BAL_RECLAIM : BAL_RETURN;
	}
}

/* The reason why a guest that is there did not move. */
static enum bal_reason why_still(const struct view *view, const struct bal_memo *memo)
{
	if (memo->stuck)
		return BAL_UNRESPONSIVE;
	if (view->now_ns < memo->rest_until_ns)
		return BAL_REST;
	if (memo->blind)
		return BAL_BLIND;
	if ((view->short_of_memory && memo->target_bytes == memo->floor_bytes) ||
	    (view->plenty && memo->target_bytes == memo->ceiling_bytes))
		return BAL_BOUND;
	return BAL_KEEP;
}

/* A guest that is sent the other way has its whole time for it. */
static void note_turn(const struct bal_guest *guest, const struct bal_verdict *verdict,
		      struct bal_memo *memo)
{
	bool inflating = memo->target_bytes < guest->actual_bytes;

	if (!memo->stuck && inflating != (verdict->target_bytes < guest->actual_bytes)) {
		memo->nearest_bytes = guest->actual_bytes;
		memo->moved_ns = memo->last_ns;
	}
}

void bal_policy_round(const struct bal_policy *policy, uint64_t now_ns, const struct bal_host *host,
		      const struct bal_guest *guests, struct bal_memo *memos, unsigned num,
		      struct bal_verdict *verdicts)
{
	struct view view = {.now_ns = now_ns};

	for (unsigned i = 0; i < num; i++) {
		if (present(&guests[i]))
			look(policy, &guests[i], &memos[i], now_ns);
		else
			memos[i] = (struct bal_memo){0};
		verdicts[i] = (struct bal_verdict){memos[i].target_bytes, BAL_KEEP};
	}
	look_at_host(policy, host, guests, memos, num, &view);
	entitle(&view, guests, memos, num);
	retreat(policy, &view, memos, num, verdicts);
	if (view.short_of_memory || view.plenty)
		move(&view, memos, num, verdicts);
	for (unsigned i = 0; i < num; i++) {
		if (!present(&guests[i])) {
			verdicts[i] = (struct bal_verdict){guests[i].target_bytes, BAL_ABSENT};
			continue;
		}
		if (verdicts[i].reason == BAL_KEEP)
			verdicts[i].reason = why_still(&view, &memos[i]);
		note_turn(&guests[i], &verdicts[i], &memos[i]);
	}
}
