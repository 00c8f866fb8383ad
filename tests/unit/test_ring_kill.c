/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The process that serves a ring may be killed between any two instructions. It is single-stepped
 * here, and after every step the next process is tried on what it would find: each chain must come
 * to the driver exactly once, whatever was on its way.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/unit/ring_pair.h"

#define SIZE       8
#define CHAINS     3 /* in the ring at a time; of 3, 1 and 3 descriptors, so that no round is alike */
#define ROUNDS     SIZE /* served before the one that is stepped, at most */
#define RING_BYTES 8192 /* more than the ring takes, from its first byte */
#define MAX_STEPS  200000

static uint8_t *area; /* in flight; shared with the process that is stepped */
static unsigned heads[CHAINS];

/* All that the next process could find, and the driver's own mind. */
struct moment {
	uint8_t ring[RING_BYTES];
	uint8_t area[1024];
	struct fe_ring driver;
	struct fe_chain chains[SIZE];
};

static uint8_t *ring_base(void)
{
	return mem.regions[0].host;
}

static void moment_save(struct moment *m)
{
	memcpy(m->ring, ring_base(), sizeof(m->ring));
	memcpy(m->area, area, sizeof(m->area));
	m->driver = ring;
	memcpy(m->chains, ring.chains, sizeof(m->chains));
}

static void moment_restore(const struct moment *m)
{
	memcpy(ring_base(), m->ring, sizeof(m->ring));
	memcpy(area, m->area, sizeof(m->area));
	ring = m->driver;
	memcpy(ring.chains, m->chains, sizeof(m->chains));
}

static void submit_all(void)
{
	for (unsigned i = 0; i < CHAINS; i++)
		fe_ring_submit(&ring, heads[i]);
	fe_ring_publish(&ring);
}

static void push(const struct taken *t)
{
	vq_push(&vq, t->chain.head, 1);
}

/* serve - all that a queue does: pop, give back, answer out of order, one by one and as a batch. */
static void serve(void)
{
	struct taken t[CHAINS];

	pair_check(pair_pop(&t[0]) == 1 && pair_pop(&t[1]) == 1 && pair_pop(&t[2]) == 1);
	vq_unpop(&vq, &t[2].chain);
	push(&t[1]);
	vq_publish(&vq);
	pair_check(pair_pop(&t[2]) == 1);
	push(&t[2]);
	push(&t[0]);
	vq_publish(&vq);
}

/* poll_all - the driver takes what is used; with @again it submits the same chains anew, over what
 * the killed process left in the ring. Return: how many. */
static unsigned poll_all(bool again)
{
	struct fe_used used;
	unsigned done = 0;

	for (; fe_ring_poll(&ring, &used, 1) == 1; done++)
		if (again)
			fe_ring_submit(&ring, used.head);
	fe_ring_publish(&ring);
	return done;
}

/*
 * next_process_serves - what a new process makes of the memory as it is now. The driver goes on
 * before it comes, or after. Its answers are published one at a time, youngest first, so that a
 * wrong mark left in a slot is found.
 */
static unsigned next_process_serves(bool driver_first)
{
	static struct virtqueue next;
	struct taken t[CHAINS + 1];
	struct fe_used used[2];
	unsigned done = 0, again = 0, n = 0;

	memset(&next, 0, sizeof(next));
	pair_check(!vq_init(&next, "next", 0, SIZE));
	if (driver_first)
		done = again = poll_all(true);
	pair_check(!vq_attach(&next, &setup));
	done += poll_all(false);
	while (vq_pop(&next, pair_empty(&t[n], PAIR_MAX_IOV)) == 1) {
		pair_check(n < CHAINS && !t[n].chain.error);
		n++;
	}
	pair_check(done + n == CHAINS + again);
	while (n-- > 0) {
		vq_push(&next, t[n].chain.head, 1);
		vq_publish(&next);
		if (!(setup.features & VU_BIT(VIRTIO_F_IN_ORDER)))
			pair_check(fe_ring_poll(&ring, used, 2) == 1 &&
				   used[0].head == t[n].chain.head);
	}
	while (fe_ring_poll(&ring, used, 1) == 1)
		;
	pair_check(!ring.broken && ring.last_used == ring.published);
	vq_detach(&next);
	vq_free(&next);
	return done;
}

static void child(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	serve();
	_exit(0);
}

/* step_through - Return: steps after each of which the next process got it right. */
static unsigned step_through(void)
{
	static struct moment now, last;
	unsigned steps = 0, before = 0;
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid)
		child();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status));
	for (; steps < MAX_STEPS; steps++) {
		unsigned done;

		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			break;
		moment_save(&now);
		if (steps && !memcmp(&now, &last, sizeof(now)))
			continue;
		last = now;
		next_process_serves(true);
		moment_restore(&now);
		done = next_process_serves(false);
		pair_check(done >= before); /* what the driver has seen stays seen */
		before = done;
		moment_restore(&now);
	}
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_uint_eq(before, CHAINS);
	return steps;
}

struct variant {
	bool packed;
	bool in_order;
	unsigned rounds;
};

static void make_ring(const struct variant *v)
{
	struct pair_options options = {.packed = v->packed, .event_idx = true, .size = SIZE};
	struct fe_buf bufs[CHAINS] = {{.len = 16}, {.len = 1}, {.len = 1}};

	pair_make(&options);
	area = mmap(NULL, sizeof(((struct moment *)NULL)->area), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(area, MAP_FAILED);
	ck_assert_uint_le(vq_inflight_bytes(v->packed, SIZE),
			  sizeof(((struct moment *)NULL)->area));
	setup.inflight = area;
	setup.inflight_bytes = vq_inflight_bytes(v->packed, SIZE);
	setup.features |= v->in_order ? VU_BIT(VIRTIO_F_IN_ORDER) : 0;
	ck_assert_int_eq(pair_attach(fe_ring_base(&ring)), 0);
	setup.base = 0x1234; /* from here on it is stale */
	pair_alloc(16, &bufs[0].gpa);
	pair_alloc(16, &bufs[1].gpa);
	pair_alloc(16, &bufs[2].gpa);
	heads[0] = (unsigned)fe_ring_prepare(&ring, bufs, 1, 2);
	heads[1] = (unsigned)fe_ring_prepare(&ring, bufs + 1, 0, 1);
	heads[2] = (unsigned)fe_ring_prepare(&ring, bufs, 1, 2);
}

/* Every instruction of a round, at whatever place in the ring the round begins. */
static void killed_anywhere(const struct variant *v)
{
	struct fe_used used[CHAINS];
	unsigned steps;

	make_ring(v);
	for (unsigned i = 0; i < v->rounds; i++) {
		submit_all();
		serve();
		pair_check(fe_ring_poll(&ring, used, CHAINS) == CHAINS);
	}
	submit_all();
	steps = step_through();
	printf("%s%s, round %u: killed after each of %u instructions\n",
	       v->packed ? "packed" : "split", v->in_order ? ", in order" : "", v->rounds, steps);
	ck_assert_uint_gt(steps, 100);
	munmap(area, sizeof(((struct moment *)NULL)->area));
	pair_drop();
}

START_TEST(no_chain_is_lost_or_answered_twice)
{
	struct variant v = {
		.packed = _i & 1,
		.in_order = _i & 2,
		.rounds = (unsigned)_i / 4,
	};

	killed_anywhere(&v);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_kill");
	TCase *tc = tcase_create("killed between any two instructions");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, no_chain_is_lost_or_answered_twice, 0, 4 * (ROUNDS + 1));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
