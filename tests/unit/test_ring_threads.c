/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_threads.c - a driver thread and a device thread on one ring, polling or asleep: no
 * request is lost, delivered twice or seen half written, and nobody sleeps through work. Tests
 * ring/virtqueue and frontend/ring against each other, either format.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include "tests/unit/ring_pair.h"

/* _i of the looped test: packed, event index, indirect, asleep instead of polling. */
#define VARIANTS 16
#define ASLEEP   8

#define MAX_SIZE 128u
#define SIZE     96u /* when packed: no power of two */
#define DEPTH    32u
#define WORDS    8u /* of the answer */
#define SPINS    50u
#define LOST_MS  20000 /* nothing for so long: a wake-up was lost */
#define POLLED   120000u
#define SLEPT    30000u

/* What the device sees of a request; each in a line of its own. */
struct request {
	uint64_t number; /* readable */
	uint64_t check; /* readable: follows from the number */
	uint64_t answer[WORDS]; /* writable */
	uint8_t status; /* writable */
} cacheline_aligned;

static struct request *requests;
static uint64_t requests_gpa;
static uint64_t total;
static bool asleep;
static bool done;

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	return x ^ (x >> 27);
}

static void wait_fd(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	pair_check(poll(&pfd, 1, LOST_MS) == 1);
	pair_eventfd(fd);
}

/* --- the device --- */

static void serve(struct taken *t)
{
	uint64_t in[2], answer[WORDS];
	const struct iovec *iov = t->iov;
	uint8_t status = 0;
	unsigned i;

	pair_check(t->chain.error == VQ_CHAIN_OK && t->chain.num_out == 1 && t->chain.num_in == 2);
	memcpy(in, iov[0].iov_base, sizeof(in));
	pair_check(in[1] == mix(in[0]));
	for (i = 0; i < WORDS; i++)
		answer[i] = mix(in[0] + i);
	memcpy(iov[1].iov_base, answer, sizeof(answer));
	memcpy(iov[2].iov_base, &status, 1);
	vq_push(&vq, t->chain.head, (uint32_t)t->chain.in_bytes);
}

static void *device_main(void *arg)
{
	struct taken t[8];
	struct vq_chain *chains[8];
	unsigned i, n, spins = 0;

	(void)arg;
	for (i = 0; i < ARRAY_SIZE(t); i++)
		chains[i] = pair_empty(&t[i], PAIR_MAX_IOV);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		n = vq_pop_burst(&vq, chains, ARRAY_SIZE(t));
		pair_check(!vq.broken);
		if (n) {
			vq_kicks_off(&vq);
			/* Not in the order they came. */
			for (i = n; i-- > 0;)
				serve(&t[i]);
			vq_publish(&vq);
			vq_notify(&vq);
			spins = 0;
		} else if (!asleep || spins++ < SPINS) {
			sched_yield();
		} else if (!vq_kicks_on(&vq)) {
			wait_fd(ring.kick_fd);
		}
	}
	return NULL;
}

/* --- the driver --- */

static unsigned prepare(unsigned i)
{
	uint64_t gpa = requests_gpa + i * sizeof(struct request);
	struct fe_buf bufs[3] = {
		{gpa, 16},
		{gpa + offsetof(struct request, answer), sizeof(requests->answer)},
		{gpa + offsetof(struct request, status), 1},
	};
	int head = fe_ring_prepare(&ring, bufs, 1, 2);

	pair_check(head >= 0);
	return (unsigned)head;
}

static void submit(unsigned head, struct request *request, uint64_t number)
{
	request->number = number;
	request->check = mix(number);
	memset(request->answer, 0, sizeof(request->answer));
	request->status = 0xff;
	fe_ring_submit(&ring, head);
}

static void check_answer(const struct request *request, uint32_t len)
{
	unsigned i;

	pair_check(len == sizeof(request->answer) + 1);
	pair_check(request->status == 0);
	for (i = 0; i < WORDS; i++)
		pair_check(request->answer[i] == mix(request->number + i));
}

static void drive(void)
{
	struct fe_used used[DEPTH];
	unsigned heads[DEPTH], slot_of[MAX_SIZE], idle[DEPTH];
	unsigned i, num_idle = 0, depth = 1, spins = 0, seed = 1;
	uint64_t next = 0, completed = 0;

	for (i = 0; i < DEPTH; i++) {
		heads[i] = prepare(i);
		slot_of[heads[i]] = i;
		idle[num_idle++] = i;
	}
	while (completed < total) {
		int n;

		for (; num_idle > DEPTH - depth && next < total; next++) {
			unsigned slot = idle[--num_idle];

			submit(heads[slot], &requests[slot], next);
			if (!(rand_r(&seed) & 7))
				fe_ring_publish(&ring);
		}
		fe_ring_publish(&ring);
		fe_ring_kick(&ring);
		n = fe_ring_poll(&ring, used, DEPTH);
		pair_check(n >= 0);
		for (i = 0; i < (unsigned)n; i++) {
			unsigned slot = slot_of[used[i].head];

			check_answer(&requests[slot], used[i].len);
			idle[num_idle++] = slot;
		}
		completed += (unsigned)n;
		/* Shallow at times, so that both sides come to rest. */
		if (n)
			depth = 1 + (unsigned)rand_r(&seed) % (completed & 4096 ? 3 : DEPTH);
		if (n || !asleep || spins++ < SPINS) {
			if (!n)
				sched_yield();
			else
				spins = 0;
		} else {
			if (fe_ring_interrupts_on(&ring))
				wait_fd(ring.call_fd);
			fe_ring_interrupts_off(&ring);
		}
	}
	pair_check(fe_ring_in_flight(&ring) == 0);
}

START_TEST(nothing_is_lost_between_two_threads)
{
	uint64_t one = 1;
	pthread_t device;

	pair_make(&(struct pair_options){
		.packed = _i & 1,
		.event_idx = _i & 2,
		.indirect = _i & 4 ? 3 : 0,
		.size = _i & 1 ? SIZE : MAX_SIZE,
	});
	asleep = _i & ASLEEP;
	total = asleep ? SLEPT : POLLED;
	requests = pair_alloc((DEPTH + 1) * sizeof(*requests), &requests_gpa);
	requests_gpa = align_up(requests_gpa, CACHELINE_BYTES);
	requests = fe_memory_host(&mem, requests_gpa, DEPTH * sizeof(*requests));
	ck_assert_int_eq(pthread_create(&device, NULL, device_main, NULL), 0);
	drive();
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
	ck_assert_int_eq(write(ring.kick_fd, &one, sizeof(one)), sizeof(one));
	pthread_join(device, NULL);
	ck_assert_uint_eq(vq_base(&vq), fe_ring_base(&ring));
	pair_drop();
}
END_TEST

/* --- going to sleep at the very moment the other side has something --- */

/* _i of the looped test: packed, event index, the driver goes to sleep and not the device. */
#define SLEEPERS  8
#define CALLS     4
#define ROUNDS    60000u
#define MAX_DELAY 128u
#define IMPATIENT 2000u /* spins: the other thread has no CPU */

/* The main thread begins each round, the other ends it; in between each does one thing. */
static unsigned begun, ended;
static bool calls;
static bool idle; /* what the one that goes to sleep was told */
static struct taken one;

static void wait_for(const unsigned *counter, unsigned value)
{
	unsigned spins = 0;

	while (__atomic_load_n(counter, __ATOMIC_ACQUIRE) != value)
		if (++spins % IMPATIENT == 0)
			sched_yield();
}

static void delay(unsigned *seed)
{
	volatile unsigned n = (unsigned)rand_r(seed) % MAX_DELAY;

	while (n)
		n = n - 1;
}

static void *device_rounds(void *arg)
{
	unsigned round, seed = 2;

	(void)arg;
	for (round = 1; round <= ROUNDS; round++) {
		wait_for(&begun, round);
		/* What it looks at is in its cache, what it writes is not: the reads overtake. */
		vq_waiting(&vq, 1);
		delay(&seed);
		if (calls) {
			vq_publish(&vq);
			vq_notify(&vq);
		} else {
			idle = !vq_kicks_on(&vq);
		}
		__atomic_store_n(&ended, round, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Return: was the one that went to sleep woken, or told not to? */
static bool one_round(unsigned round, unsigned *seed)
{
	struct fe_buf buf = {requests_gpa, 8};
	uint64_t before = vq.count.calls + ring.kicks;
	int head = fe_ring_add(&ring, &buf, 1, 0);

	pair_check(head >= 0);
	if (calls) {
		fe_ring_publish(&ring);
		pair_check(pair_pop(&one) == 1);
		vq_push(&vq, one.chain.head, 0);
	} else {
		vq_kicks_off(&vq);
	}
	__atomic_store_n(&begun, round, __ATOMIC_RELEASE);
	delay(seed);
	if (calls) {
		idle = fe_ring_interrupts_on(&ring);
	} else {
		fe_ring_publish(&ring);
		fe_ring_kick(&ring);
	}
	wait_for(&ended, round);
	if (calls) {
		fe_ring_interrupts_off(&ring);
	} else {
		pair_check(pair_pop(&one) == 1);
		vq_push(&vq, one.chain.head, 0);
		vq_publish(&vq);
	}
	pair_poll_one();
	return !idle || vq.count.calls + ring.kicks != before;
}

START_TEST(one_of_the_two_sees_the_other)
{
	unsigned round, seed = 1;
	pthread_t device;

	pair_make(&(struct pair_options){.packed = _i & 1, .event_idx = _i & 2, .size = 8});
	pair_alloc(64, &requests_gpa);
	calls = _i & CALLS;
	ck_assert_int_eq(pthread_create(&device, NULL, device_rounds, NULL), 0);
	for (round = 1; round <= ROUNDS; round++)
		if (!one_round(round, &seed))
			ck_abort_msg("round %u: asleep, and nobody woke it", round);
	pthread_join(device, NULL);
	pair_drop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_threads");
	TCase *tc = tcase_create("two threads");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, nothing_is_lost_between_two_threads, 0, VARIANTS);
	tcase_add_loop_test(tc, one_of_the_two_sees_the_other, 0, SLEEPERS);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
