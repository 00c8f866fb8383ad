/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_vm.c - how a made-up guest spends a second. Whole numbers only, so that every machine
 * sees the same.
 * Benchmarks and tests only. One thread.
 */
#include "bench/balloon_vm.h"

#include "vhost/base/util.h"

#define MIB               (1ull << 20)
#define GIB               (1ull << 30)
#define DAY_S             86400u
#define DRIVER_BYTES      (512 * MIB) /* a second: what a balloon driver moves, */
#define CRAWL_BYTES       MIB /* or the slow one's */
#define SWAP_OUT_BYTES    (64 * MIB) /* a second, to make room for the balloon */
#define SWAP_IN_BYTES     (32 * MIB) /* a second, of pages wanted now */
#define PRESSED_BYTES     MIB /* swapped in a second: programs wait */
#define PRESSED_FAULTS    200 /* a second, likewise */
#define COLD_PERCENT      10 /* of programs' memory is not missed when it is swapped out */
#define HOT_CACHE_PERCENT 4 /* so much cache, of programs' memory, is code that runs */
#define ALLOC_BYTES       (200 * MIB) /* a second: what programs can ask for */

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t between(uint64_t *state, uint64_t least, uint64_t most)
{
	return least + next(state) % (most - least + 1);
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* min_of() that can be nested. */
static uint64_t lesser(uint64_t a, uint64_t b)
{
	return min_of(a, b);
}

static enum made_kind kind_of(uint64_t percent)
{
	static const struct {
		enum made_kind kind;
		uint64_t percent;
	} mix[] = {
		{MADE_STEADY, 27}, {MADE_DAILY, 25}, {MADE_BURSTS, 20},
		{MADE_FILES, 12},  {MADE_LEAK, 4},   {MADE_LIAR, 3},
		{MADE_SILENT, 3},  {MADE_DEAD, 3},   {MADE_SLOW, 3},
	};
	unsigned i = 0;

	while (percent >= mix[i].percent)
		percent -= mix[i++].percent;
	return mix[i].kind;
}

void made_vm_init(struct made_vm *vm, uint64_t *random)
{
	*vm = (struct made_vm){.random = next(random)};
	vm->kind = kind_of(between(&vm->random, 0, 99));
	vm->memory_bytes = (2 * GIB) << between(&vm->random, 0, 3);
	vm->min_bytes = vm->memory_bytes / 4;
	vm->shares = 500u << between(&vm->random, 0, 2);
	vm->reports = between(&vm->random, 0, 1);
	vm->target_bytes = vm->actual_bytes = vm->memory_bytes;
	vm->start_s = between(&vm->random, 1, 1800);
	/* By day all are busy together, more or less. */
	vm->phase_s = between(&vm->random, 0, DAY_S / 6);
	vm->base_bytes = vm->memory_bytes / 100 * between(&vm->random, 15, 25);
	vm->peak_bytes = vm->memory_bytes / 100 * between(&vm->random, 55, 80);
	vm->grow_bytes_per_s = between(&vm->random, 10, 50) * MIB;
	if (vm->kind == MADE_STEADY || vm->kind == MADE_DEAD || vm->kind == MADE_SLOW)
		vm->base_bytes = vm->memory_bytes / 100 * between(&vm->random, 25, 60);
	if (vm->kind == MADE_FILES)
		vm->base_bytes = vm->memory_bytes / 10;
}

/* From base to peak and back, once a day, the way up as long as the way down. */
static uint64_t by_day(const struct made_vm *vm, uint64_t now_s)
{
	uint64_t at = (now_s + vm->phase_s) % DAY_S;
	uint64_t up = at < DAY_S / 2 ? at : DAY_S - at;

	return vm->base_bytes + (vm->peak_bytes - vm->base_bytes) / (DAY_S / 2) * up;
}

static uint64_t in_bursts(struct made_vm *vm, uint64_t now_s)
{
	if (now_s >= vm->burst_until_s && between(&vm->random, 0, 3599) == 0)
		vm->burst_until_s = now_s + between(&vm->random, 60, 900);
	return now_s < vm->burst_until_s ? vm->peak_bytes : vm->base_bytes;
}

/* What its programs want to use now. */
static uint64_t wanted(struct made_vm *vm, uint64_t now_s)
{
	switch (vm->kind) {
	case MADE_DAILY:
		return by_day(vm, now_s);
	case MADE_BURSTS:
		return in_bursts(vm, now_s);
	case MADE_LEAK:
		vm->leaked_bytes += vm->memory_bytes / 20000; /* full in five hours */
		return vm->base_bytes + vm->leaked_bytes;
	default:
		return vm->base_bytes + between(&vm->random, 0, vm->memory_bytes / 100);
	}
}

/* The kernel's own reserve, which nobody gets. */
static uint64_t room_of(const struct made_vm *vm)
{
	return minus(vm->actual_bytes, vm->memory_bytes / 64);
}

static void move_balloon(struct made_vm *vm)
{
	uint64_t most = vm->kind == MADE_SLOW ? CRAWL_BYTES : DRIVER_BYTES;
	uint64_t spare = minus(room_of(vm), vm->resident_bytes) + SWAP_OUT_BYTES;

	if (vm->kind == MADE_DEAD)
		return;
	if (vm->target_bytes > vm->actual_bytes)
		vm->actual_bytes += lesser(most, vm->target_bytes - vm->actual_bytes);
	else if (room_of(vm) > SWAP_OUT_BYTES)
		vm->actual_bytes -=
			lesser(lesser(most, spare), vm->actual_bytes - vm->target_bytes);
}

static void use_memory(struct made_vm *vm, uint64_t now_s)
{
	uint64_t want = wanted(vm, now_s);

	if (want > vm->demand_bytes) {
		uint64_t more = lesser(want - vm->demand_bytes, ALLOC_BYTES);

		vm->demand_bytes += more;
		vm->resident_bytes += more;
	} else if (want < vm->demand_bytes) {
		uint64_t less = lesser(vm->demand_bytes - want, ALLOC_BYTES);
		uint64_t out = vm->swapped_bytes / (vm->demand_bytes / less + 1);

		vm->demand_bytes -= less;
		vm->swapped_bytes -= out;
		vm->resident_bytes -= less - out;
	}
}

/* What does not fit goes: the cache first, then to swap; when that is full, a program. Linux evicts
 * all but the hottest of its cache before it swaps much. */
static void make_room(struct made_vm *vm, struct made_second *felt)
{
	uint64_t over = minus(vm->resident_bytes + vm->cache_bytes, room_of(vm));
	uint64_t hot = vm->demand_bytes / 100 * HOT_CACHE_PERCENT;
	uint64_t cut = lesser(over, minus(vm->cache_bytes, hot / 2));

	vm->cache_bytes -= cut;
	over -= cut;
	vm->resident_bytes -= over;
	vm->swapped_bytes += over;
	if (over && vm->swapped_bytes > vm->memory_bytes / 4) {
		/* The driver gives way before a program is killed. */
		if (vm->actual_bytes < vm->memory_bytes) {
			vm->actual_bytes = lesser(vm->actual_bytes + 256 * MIB, vm->memory_bytes);
			return;
		}
		felt->killed = true;
		vm->leaked_bytes = 0;
		vm->demand_bytes = vm->resident_bytes = vm->base_bytes;
		vm->swapped_bytes = 0;
	}
}

/* Programs touch what they use, and wait for what is not there. */
static void touch(struct made_vm *vm, struct made_second *felt)
{
	uint64_t cold = vm->demand_bytes / 100 * COLD_PERCENT;
	uint64_t missed = lesser(minus(vm->swapped_bytes, cold), SWAP_IN_BYTES);
	uint64_t fit = lesser(missed, minus(room_of(vm), vm->resident_bytes + vm->cache_bytes));
	uint64_t hot = vm->demand_bytes / 100 * HOT_CACHE_PERCENT;
	uint64_t faults = 0;

	/* Where there is no room, another page goes out for each that comes in. */
	vm->swapped_bytes -= fit;
	vm->resident_bytes += fit;
	vm->swap_in_bytes += missed;
	felt->swapped_bytes = missed;
	if (vm->cache_bytes < hot) {
		faults = 1000 - vm->cache_bytes * 1000 / hot;
		vm->major_faults += faults;
	}
	felt->pressed = missed > PRESSED_BYTES || faults > PRESSED_FAULTS;
}

static void fill_cache(struct made_vm *vm)
{
	uint64_t left = minus(room_of(vm), vm->resident_bytes + vm->cache_bytes);
	uint64_t files = vm->kind == MADE_FILES ? vm->memory_bytes : vm->memory_bytes / 3;

	vm->cache_bytes +=
		lesser(lesser(left, minus(files, vm->cache_bytes)), vm->grow_bytes_per_s);
}

void made_vm_second(struct made_vm *vm, uint64_t now_s, struct made_second *felt)
{
	uint64_t used;

	*felt = (struct made_second){0};
	if (now_s < vm->start_s)
		return;
	move_balloon(vm);
	use_memory(vm, now_s);
	make_room(vm, felt);
	touch(vm, felt);
	fill_cache(vm);
	used = vm->resident_bytes + vm->cache_bytes + vm->memory_bytes / 64;
	/* Free memory that was used once is the host's again when it is reported. */
	if (vm->reports || vm->occupied_bytes < used)
		vm->occupied_bytes = used;
	vm->occupied_bytes = lesser(vm->occupied_bytes, vm->actual_bytes);
	if (vm->kind == MADE_LIAR)
		vm->swap_in_bytes += GIB;
}

uint64_t made_vm_available(const struct made_vm *vm)
{
	uint64_t hot = vm->demand_bytes / 100 * HOT_CACHE_PERCENT;

	if (vm->kind == MADE_SILENT || vm->kind == MADE_DEAD)
		return UINT64_MAX;
	if (vm->kind == MADE_LIAR)
		return 0;
	return minus(room_of(vm), vm->resident_bytes + lesser(vm->cache_bytes / 2, hot));
}

bool made_vm_runs(const struct made_vm *vm)
{
	return vm->demand_bytes > 0;
}

bool made_vm_counts(const struct made_vm *vm)
{
	return vm->kind <= MADE_FILES || vm->kind == MADE_SLOW;
}
