/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fe_ring_restart.c - a driver's ring outlives its back-end: with chains in flight, used and
 * not polled, staged and not published, another device goes on at fe_ring_base() and every chain
 * comes back once, with nothing reset. Tests frontend/ring against vhost/ring.
 */
#include "tests/unit/ring_pair.h"

#define SIZE 8u

/* A device takes and uses @n chains, in order, and shows them together. */
static void serve(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		struct taken t;

		pair_check(pair_pop(&t) == 1);
		vq_push(&vq, t.chain.head, (uint32_t)t.chain.in_bytes);
	}
	vq_publish(&vq);
	vq_notify(&vq);
}

/* The back-end is gone as by SIGKILL, with what it took and what it had not shown; another one
 * comes, with nothing but the ring and the base. */
static void restart(unsigned size)
{
	struct taken t;

	if (pair_pop(&t) == 1)
		vq_push(&vq, t.chain.head, 0);
	vq_free(&vq);
	pair_check(vq_init(&vq, "next", 0, (uint16_t)size) == 0);
	pair_check(pair_attach(fe_ring_base(&ring)) == 0);
}

static struct fe_used landed[64];
static unsigned num_landed;

static void poll_some(unsigned max)
{
	int n = fe_ring_poll(&ring, landed + num_landed, max);

	pair_check(n >= 0);
	num_landed += (unsigned)n;
}

START_TEST(every_chain_comes_back_once)
{
	struct pair_options o = {
		.packed = _i & 1,
		.event_idx = _i & 2,
		.indirect = _i & 4 ? 3 : 0,
		.size = _i & 1 ? SIZE - 1 : SIZE,
	};
	struct fe_buf bufs[] = {{PAIR_GPA, 1}, {PAIR_GPA + 64, 10}};
	unsigned heads[4], turn, i;

	pair_make(&o);
	for (turn = 0; turn < 3000; turn++) {
		unsigned n = 1 + turn % 3, before = turn % (n + 1), polled = turn % (before + 1);

		num_landed = 0;
		for (i = 0; i < n; i++) {
			int head = fe_ring_add(&ring, bufs, 1, 1);

			pair_check(head >= 0);
			heads[i] = (unsigned)head;
			if (i + 2 == n) /* the last may be staged while the back-end dies */
				fe_ring_publish(&ring);
		}
		if (turn & 8 || n == 1)
			fe_ring_publish(&ring);
		else
			before = min_of(before, n - 1);
		fe_ring_kick(&ring);
		serve(before);
		if (polled)
			poll_some(polled);
		restart(o.size);
		fe_ring_publish(&ring);
		fe_ring_kick(&ring);
		serve(n - before);
		poll_some(4);
		pair_check(num_landed == n);
		for (i = 0; i < n; i++)
			pair_check(landed[i].head == heads[i] && landed[i].len == 10);
		pair_check(fe_ring_in_flight(&ring) == 0 && ring.num_free == o.size);
		poll_some(4);
		pair_check(num_landed == n);
	}
	pair_drop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fe_ring_restart");
	TCase *tc = tcase_create("restart");

	tcase_add_loop_test(tc, every_chain_comes_back_once, 0, 8);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
