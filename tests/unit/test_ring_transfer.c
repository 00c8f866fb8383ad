/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_transfer.c - what a driver submits reaches the device as it was laid down, and what
 * the device uses reaches the driver, in either ring format. Tests ring/virtqueue and
 * frontend/ring against each other.
 */
#include "tests/unit/ring_pair.h"

/* _i of a looped test: packed, event index, indirect. */
#define VARIANTS 8

static void make(int variant, uint16_t size)
{
	pair_make(&(struct pair_options){
		.packed = variant & 1,
		.event_idx = variant & 2,
		.indirect = variant & 4 ? 8 : 0,
		.size = size,
	});
}

START_TEST(a_chain_arrives_as_it_was_laid_down)
{
	struct taken t;
	struct fe_buf bufs[4];
	struct fe_used used;
	uint64_t gpa;
	unsigned head, i;

	make(_i, 8);
	pair_alloc(4096, &gpa);
	for (i = 0; i < 4; i++)
		bufs[i] = (struct fe_buf){gpa + i * 512, 100 + i};
	ck_assert_int_eq(pair_pop(&t), 0);
	head = pair_add(bufs, 1, 3);
	ck_assert_uint_ge(vq_waiting(&vq, 8), 1);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(t.chain.head, head);
	ck_assert_uint_eq(t.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(t.chain.num_out, 1);
	ck_assert_uint_eq(t.chain.num_in, 3);
	ck_assert_uint_eq(t.chain.out_bytes, 100);
	ck_assert_uint_eq(t.chain.in_bytes, 101 + 102 + 103);
	for (i = 0; i < 4; i++) {
		ck_assert_ptr_eq(t.iov[i].iov_base, pair_device_at(bufs[i].gpa));
		ck_assert_uint_eq(t.iov[i].iov_len, bufs[i].len);
	}
	ck_assert_int_eq(pair_pop(&t), 0);
	ck_assert_uint_eq(vq_waiting(&vq, 8), 0);
	vq_push(&vq, (uint16_t)head, 306);
	vq_publish(&vq);
	used = pair_poll_one();
	ck_assert_uint_eq(used.head, head);
	ck_assert_uint_eq(used.len, 306);
	ck_assert_uint_eq(ring.num_free, 8);
	pair_drop();
}
END_TEST

START_TEST(a_chain_as_long_as_the_queue_arrives)
{
	struct fe_buf bufs[8];
	struct taken t;
	uint64_t gpa;
	unsigned i, turn;

	make(_i, 8);
	pair_alloc(64, &gpa);
	for (i = 0; i < 8; i++)
		bufs[i] = (struct fe_buf){gpa + i, 1};
	for (turn = 0; turn < 5; turn++) {
		unsigned head = pair_add(bufs, 4, 4);

		ck_assert_int_eq(pair_pop(&t), 1);
		ck_assert_uint_eq(t.chain.error, VQ_CHAIN_OK);
		ck_assert_uint_eq(t.chain.num_out + t.chain.num_in, 8);
		vq_push(&vq, (uint16_t)head, 4);
		vq_publish(&vq);
		ck_assert_uint_eq(pair_poll_one().head, head);
	}
	pair_drop();
}
END_TEST

START_TEST(nothing_is_visible_before_it_is_published)
{
	struct fe_used used[8];
	struct fe_buf buf = {0, 8};
	struct taken t[3];
	int heads[3], i;

	make(_i, 4);
	pair_alloc(64, &buf.gpa);
	for (i = 0; i < 3; i++)
		heads[i] = fe_ring_add(&ring, &buf, 0, 1);
	ck_assert_int_eq(pair_pop(&t[0]), 0);
	fe_ring_publish(&ring);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pair_pop(&t[i]), 1);
	for (i = 2; i >= 0; i--) {
		vq_push(&vq, t[i].chain.head, (uint32_t)i + 1);
		ck_assert_int_eq(fe_ring_poll(&ring, used, 8), 0);
		vq_notify(&vq);
		ck_assert_uint_eq(pair_eventfd(ring.call_fd), 0);
	}
	vq_publish(&vq);
	ck_assert_int_eq(fe_ring_poll(&ring, used, 8), 3);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(used[i].head, (unsigned)heads[2 - i]);
		ck_assert_uint_eq(used[i].len, 3u - (unsigned)i);
	}
	pair_drop();
}
END_TEST

START_TEST(a_burst_takes_what_waits_in_order)
{
	struct taken t[6];
	struct vq_chain *chains[6];
	struct fe_buf bufs[2] = {{0, 8}, {0, 8}};
	int heads[5], i;

	make(_i, 16);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa + 8;
	for (i = 0; i < 6; i++)
		chains[i] = pair_empty(&t[i], PAIR_MAX_IOV);
	ck_assert_uint_eq(vq_pop_burst(&vq, chains, 6), 0);
	for (i = 0; i < 5; i++)
		heads[i] = fe_ring_add(&ring, bufs, 1, 1);
	fe_ring_publish(&ring);
	ck_assert_uint_eq(vq_pop_burst(&vq, chains, 3), 3);
	ck_assert_uint_eq(vq_pop_burst(&vq, chains + 3, 3), 2);
	for (i = 0; i < 5; i++) {
		ck_assert_uint_eq(t[i].chain.head, (unsigned)heads[i]);
		ck_assert_uint_eq(t[i].chain.num_out, 1);
		ck_assert_uint_eq(t[i].chain.num_in, 1);
	}
	pair_drop();
}
END_TEST

/* At every place of the ring, round its end too. */
START_TEST(what_is_put_back_is_taken_again)
{
	struct fe_buf bufs[2] = {{0, 8}, {0, 8}};
	unsigned turn, i;
	uint32_t base;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa;
	for (turn = 0; turn < 40; turn++) {
		unsigned first = pair_add(bufs, 1, turn & 1);
		unsigned second = pair_add(bufs, 1, 0);
		struct taken t;

		base = vq_base(&vq);
		for (i = 0; i < 3; i++) {
			ck_assert_int_eq(pair_pop(&t), 1);
			ck_assert_uint_eq(t.chain.head, first);
			ck_assert_int_eq(pair_pop(&t), 1);
			ck_assert_uint_eq(t.chain.head, second);
			ck_assert_int_eq(pair_pop(&t), 0);
			vq_unpop(&vq, &t.chain);
			ck_assert_int_eq(pair_pop(&t), 1);
			ck_assert_uint_eq(t.chain.head, second);
			vq_unpop(&vq, &t.chain);
			t.chain.head = (uint16_t)first;
			vq_unpop(&vq, &t.chain);
			ck_assert_uint_eq(vq_base(&vq), base);
		}
		for (i = 0; i < 2; i++) {
			ck_assert_int_eq(pair_pop(&t), 1);
			vq_push(&vq, t.chain.head, 0);
		}
		vq_publish(&vq);
		ck_assert_uint_eq(fe_ring_poll(&ring, (struct fe_used[4]){0}, 4), 2);
	}
	pair_drop();
}
END_TEST

START_TEST(a_buffer_over_two_regions_becomes_two)
{
	struct fe_buf buf = {PAIR_SEAM - 100, 300};
	struct taken t;

	make(_i, 8);
	pair_add(&buf, 0, 1);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(t.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(t.chain.num_in, 2);
	ck_assert_uint_eq(t.chain.in_bytes, 300);
	ck_assert_uint_eq(t.iov[0].iov_len, 100);
	ck_assert_ptr_eq(t.iov[0].iov_base, pair_device_at(PAIR_SEAM - 100));
	ck_assert_uint_eq(t.iov[1].iov_len, 200);
	ck_assert_ptr_eq(t.iov[1].iov_base, pair_device_at(PAIR_SEAM));
	vq_unpop(&vq, &t.chain);

	/* With room for one only, the chain is refused, and given back in peace. */
	ck_assert_int_eq(vq_pop(&vq, pair_empty(&t, 1)), 1);
	ck_assert_uint_eq(t.chain.error, VQ_CHAIN_TOO_LONG);
	ck_assert_ptr_eq(t.chain.last_byte, pair_device_at(PAIR_SEAM + 199));
	vq_push(&vq, t.chain.head, 0);
	vq_publish(&vq);
	pair_poll_one();
	pair_drop();
}
END_TEST

START_TEST(an_empty_buffer_yields_nothing)
{
	/* One in the region just used, one nowhere. */
	struct fe_buf bufs[4] = {{0, 16}, {0, 0}, {0x10, 0}, {0, 1}};
	struct taken t;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa;
	bufs[3].gpa = bufs[0].gpa + 16;
	pair_add(bufs, 1, 3);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert_uint_eq(t.chain.error, VQ_CHAIN_OK);
	ck_assert_uint_eq(t.chain.num_out, 1);
	ck_assert_uint_eq(t.chain.num_in, 1);
	ck_assert_uint_eq(t.chain.in_bytes, 1);
	pair_drop();
}
END_TEST

START_TEST(kicks_come_only_while_asked_for)
{
	struct fe_buf bufs[2] = {{0, 8}, {0, 8}};
	struct taken t;
	unsigned turn;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa;
	for (turn = 0; turn < 20; turn++) {
		vq_kicks_off(&vq);
		pair_add(bufs, 2, 0);
		fe_ring_kick(&ring);
		ck_assert_uint_eq(pair_eventfd(ring.kick_fd), 0);

		ck_assert(vq_kicks_on(&vq)); /* it came while we were not told */
		ck_assert_int_eq(pair_pop(&t), 1);
		vq_push(&vq, t.chain.head, 0);
		vq_publish(&vq);
		pair_poll_one();

		ck_assert(!vq_kicks_on(&vq));
		pair_add(bufs, 2, 0);
		fe_ring_kick(&ring);
		fe_ring_kick(&ring);
		ck_assert_uint_eq(pair_eventfd(ring.kick_fd), 1);
		/* By event index one kick was asked for, not one for each. */
		pair_add(bufs, 2, 0);
		fe_ring_kick(&ring);
		ck_assert_uint_eq(pair_eventfd(ring.kick_fd), ring.event_idx ? 0 : 1);
		while (pair_pop(&t))
			vq_push(&vq, t.chain.head, 0);
		vq_publish(&vq);
		ck_assert_int_eq(fe_ring_poll(&ring, (struct fe_used[4]){0}, 4), 2);
	}
	pair_drop();
}
END_TEST

/* What is staged behind what was published does not count yet, nor is it forgotten. */
START_TEST(a_kick_is_for_what_was_published)
{
	struct fe_buf bufs[2] = {{0, 8}, {0, 8}};
	struct taken t;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa;
	pair_add(bufs, 2, 0);
	ck_assert_int_eq(pair_pop(&t), 1);
	ck_assert(!vq_kicks_on(&vq));
	ck_assert_int_ge(fe_ring_add(&ring, bufs, 2, 0), 0);
	fe_ring_kick(&ring);
	fe_ring_publish(&ring);
	pair_eventfd(ring.kick_fd);
	fe_ring_kick(&ring);
	ck_assert_uint_eq(pair_eventfd(ring.kick_fd), 1);
	pair_drop();
}
END_TEST

static void use_one(struct taken *t)
{
	vq_push(&vq, t->chain.head, 0);
	vq_publish(&vq);
	vq_notify(&vq);
}

START_TEST(interrupts_come_only_while_asked_for)
{
	struct fe_buf bufs[2] = {{0, 8}, {0, 8}};
	struct taken t[3];
	unsigned turn, i;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa;
	for (turn = 0; turn < 20; turn++) {
		for (i = 0; i < 3; i++) {
			pair_add(bufs, 2, 0);
			ck_assert_int_eq(pair_pop(&t[i]), 1);
		}
		fe_ring_interrupts_off(&ring);
		use_one(&t[0]);
		ck_assert_uint_eq(pair_eventfd(ring.call_fd), 0);
		ck_assert(!fe_ring_interrupts_on(&ring)); /* used while we were not told */
		pair_poll_one();

		ck_assert(fe_ring_interrupts_on(&ring));
		use_one(&t[1]);
		vq_notify(&vq);
		ck_assert_uint_eq(pair_eventfd(ring.call_fd), 1);
		use_one(&t[2]);
		ck_assert_uint_eq(pair_eventfd(ring.call_fd), ring.event_idx ? 0 : 1);
		ck_assert_int_eq(fe_ring_poll(&ring, (struct fe_used[4]){0}, 4), 2);
	}
	pair_drop();
}
END_TEST

/* An interrupt for what is only staged would come too early, and none when it is published. */
START_TEST(an_interrupt_is_for_what_was_published)
{
	struct fe_buf bufs[2] = {{0, 8}, {0, 8}};
	struct taken t[2];
	unsigned i;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[0].gpa;
	for (i = 0; i < 2; i++) {
		pair_add(bufs, 2, 0);
		ck_assert_int_eq(pair_pop(&t[i]), 1);
	}
	vq_push(&vq, t[0].chain.head, 0);
	vq_publish(&vq);
	pair_poll_one();
	ck_assert(fe_ring_interrupts_on(&ring));
	vq_push(&vq, t[1].chain.head, 0);
	vq_notify(&vq);
	pair_eventfd(ring.call_fd);
	vq_publish(&vq);
	vq_notify(&vq);
	ck_assert_uint_eq(pair_eventfd(ring.call_fd), 1);
	pair_drop();
}
END_TEST

static void pass_on(const struct fe_buf *buf, unsigned n)
{
	struct taken t;

	while (n--) {
		pair_add(buf, 1, 0);
		pair_check(pair_pop(&t) == 1);
		vq_push(&vq, t.chain.head, 0);
		vq_publish(&vq);
		pair_poll_one();
	}
}

/* Who publishes often and decides seldom misses no event, from however many rounds ago. */
START_TEST(a_late_decision_sees_all_that_passed)
{
	struct fe_buf buf = {0, 8};
	unsigned n;

	make(_i, 4);
	pair_alloc(64, &buf.gpa);
	/* 65536 would be lost in a 16-bit count; a split ring's index cannot tell it from none. */
	for (n = 1; n <= 65536; n = n == 40 ? 65536 : n + 1) {
		if (n == 65536 && !ring.packed)
			break;
		ck_assert(fe_ring_interrupts_on(&ring));
		ck_assert(!vq_kicks_on(&vq));
		pass_on(&buf, n);
		vq_notify(&vq);
		ck_assert_uint_eq(pair_eventfd(ring.call_fd), 1);
		fe_ring_kick(&ring);
		ck_assert_uint_eq(pair_eventfd(ring.kick_fd), 1);
	}
	pair_drop();
}
END_TEST

/* GET_VRING_BASE and SET_VRING_BASE: what was not taken yet is taken by the next device. */
START_TEST(a_stopped_ring_goes_on_where_it_stood)
{
	struct fe_buf bufs[3] = {{0, 8}, {0, 8}, {0, 8}};
	struct fe_used used[4];
	unsigned turn, i;
	struct taken t;

	make(_i, 8);
	pair_alloc(64, &bufs[0].gpa);
	bufs[1].gpa = bufs[2].gpa = bufs[0].gpa;
	for (turn = 0; turn < 30; turn++) {
		unsigned first = pair_add(bufs, 2, 0), second = pair_add(bufs, 3, 0);
		uint32_t base;

		ck_assert_int_eq(pair_pop(&t), 1);
		vq_push(&vq, t.chain.head, 0);
		vq_publish(&vq);
		base = vq_base(&vq);
		ck_assert_uint_eq(base, fe_ring_base(&ring)); /* not polled yet */
		vq_detach(&vq);
		ck_assert_uint_eq(vq_base(&vq), base);
		/* Some front-ends know only the lower half. */
		ck_assert_int_eq(pair_attach(turn & 1 ? base : (uint16_t)base), 0);
		ck_assert_uint_eq(vq_base(&vq), base);
		ck_assert_int_eq(pair_pop(&t), 1);
		ck_assert_uint_eq(t.chain.head, second);
		vq_push(&vq, t.chain.head, 0);
		vq_publish(&vq);
		ck_assert_int_eq(fe_ring_poll(&ring, used, 4), 2);
		ck_assert_uint_eq(used[0].head, first);
		ck_assert_uint_eq(used[1].head, second);
		for (i = 0; i < turn % 3; i++) {
			pair_add(bufs, 1, 0);
			ck_assert_int_eq(pair_pop(&t), 1);
			use_one(&t);
			pair_poll_one();
		}
	}
	pair_drop();
}
END_TEST

/* --- a long random run: lengths, bursts, order of completion, payload --- */

#define SLOT_BYTES 64u
#define MAX_BUFS   4u
#define REQUESTS   70000u /* past the end of a 16-bit index */

/* A request of the driver's, by slot: the first readable word is its number. */
struct request {
	bool busy;
	uint32_t number;
	unsigned num_out;
	unsigned num_in;
};

struct run {
	struct request requests[512];
	unsigned slot_of[512]; /* by head */
	struct taken in_device[512];
	unsigned num_in_device;
	uint8_t *host;
	uint64_t gpa;
	uint32_t next;
	uint32_t done;
	unsigned seed;
};

static struct run run;

static unsigned below(unsigned limit)
{
	return (unsigned)rand_r(&run.seed) % limit;
}

static bool submit_one(void)
{
	struct fe_buf bufs[MAX_BUFS];
	unsigned n = 1 + below(min_of(MAX_BUFS, (unsigned)ring.size));
	unsigned num_in = below(n), slot = 0, i;
	uint8_t *at;
	int head;

	while (slot < ring.size && run.requests[slot].busy)
		slot++;
	if (slot == ring.size || run.next == REQUESTS)
		return false;
	at = run.host + slot * SLOT_BYTES;
	memset(at, 0, SLOT_BYTES);
	memcpy(at, &run.next, sizeof(run.next));
	for (i = 0; i < n; i++)
		bufs[i] = (struct fe_buf){run.gpa + slot * SLOT_BYTES + i * 8, 8};
	head = fe_ring_add(&ring, bufs, n - num_in, num_in);
	if (head < 0) {
		pair_check(head == -ENOSPC);
		return false;
	}
	run.slot_of[head] = slot;
	run.requests[slot] = (struct request){
		.busy = true,
		.number = run.next++,
		.num_out = n - num_in,
		.num_in = num_in,
	};
	return true;
}

static void take_some(unsigned max)
{
	struct vq_chain *chains[16];
	unsigned i, n;

	for (i = 0; i < max; i++)
		chains[i] = pair_empty(&run.in_device[run.num_in_device + i], MAX_BUFS);
	n = below(2) ? vq_pop_burst(&vq, chains, max) : (unsigned)vq_pop(&vq, chains[0]);
	pair_check(!vq.broken);
	if (n && !below(8)) {
		n--;
		vq_unpop(&vq, chains[n]);
	}
	run.num_in_device += n;
}

/* The device answers with the number it was given, turned round, in every writable buffer. */
static void complete_one(void)
{
	unsigned i, victim = below(run.num_in_device);
	struct taken *t = &run.in_device[victim];
	uint64_t number = 0;

	pair_check(t->chain.error == VQ_CHAIN_OK);
	memcpy(&number, t->iov[0].iov_base, 4);
	for (i = 0; i < t->chain.num_in; i++) {
		uint64_t answer = ~number - i;

		memcpy(t->iov[t->chain.num_out + i].iov_base, &answer, 8);
	}
	vq_push(&vq, t->chain.head, (uint32_t)t->chain.in_bytes);
	*t = run.in_device[--run.num_in_device];
}

static void check_used(const struct fe_used *used)
{
	unsigned slot = run.slot_of[used->head], i;
	struct request *request = &run.requests[slot];
	const uint8_t *at = run.host + slot * SLOT_BYTES;
	uint32_t number;

	pair_check(request->busy);
	pair_check(used->len == request->num_in * 8);
	memcpy(&number, at, sizeof(number));
	pair_check(number == request->number);
	for (i = 0; i < request->num_in; i++) {
		uint64_t word;

		memcpy(&word, at + (request->num_out + i) * 8, 8);
		pair_check(word == ~(uint64_t)number - i);
	}
	request->busy = false;
	run.done++;
}

START_TEST(everything_comes_back_whatever_the_order)
{
	/* Sizes that are no power of two are for packed rings only. */
	static const uint16_t sizes[2][5] = {{1, 2, 8, 64, 256}, {1, 3, 7, 100, 255}};
	struct fe_used used[16];
	unsigned i, n;

	make(_i % VARIANTS, sizes[_i & 1][_i / VARIANTS]);
	memset(&run, 0, sizeof(run));
	run.seed = (unsigned)_i + 1;
	run.host = pair_alloc(ring.size * SLOT_BYTES, &run.gpa);
	vq_kicks_off(&vq);
	while (run.done < REQUESTS) {
		for (n = below(12); n && submit_one(); n--)
			;
		fe_ring_publish(&ring);
		fe_ring_kick(&ring);
		take_some(1 + below(12));
		for (n = below(12); n && run.num_in_device; n--)
			complete_one();
		vq_publish(&vq);
		vq_notify(&vq);
		n = (unsigned)fe_ring_poll(&ring, used, 1 + below(16));
		pair_check(!ring.broken);
		for (i = 0; i < n; i++)
			check_used(&used[i]);
	}
	pair_check(ring.num_free == ring.size);
	pair_check(fe_ring_in_flight(&ring) == 0);
	pair_check(vq_base(&vq) == fe_ring_base(&ring));
	pair_drop();
}
END_TEST

START_TEST(nothing_stays_open)
{
	unsigned fds = open_fds();

	make(_i, 8);
	pair_drop();
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ring_transfer");
	TCase *tc = tcase_create("both formats");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, a_chain_arrives_as_it_was_laid_down, 0, VARIANTS);
	tcase_add_loop_test(tc, a_chain_as_long_as_the_queue_arrives, 0, VARIANTS);
	tcase_add_loop_test(tc, nothing_is_visible_before_it_is_published, 0, VARIANTS);
	tcase_add_loop_test(tc, a_burst_takes_what_waits_in_order, 0, VARIANTS);
	tcase_add_loop_test(tc, what_is_put_back_is_taken_again, 0, VARIANTS);
	tcase_add_loop_test(tc, a_buffer_over_two_regions_becomes_two, 0, VARIANTS);
	tcase_add_loop_test(tc, an_empty_buffer_yields_nothing, 0, VARIANTS);
	tcase_add_loop_test(tc, kicks_come_only_while_asked_for, 0, VARIANTS);
	tcase_add_loop_test(tc, a_kick_is_for_what_was_published, 0, VARIANTS);
	tcase_add_loop_test(tc, interrupts_come_only_while_asked_for, 0, VARIANTS);
	tcase_add_loop_test(tc, an_interrupt_is_for_what_was_published, 0, VARIANTS);
	tcase_add_loop_test(tc, a_late_decision_sees_all_that_passed, 0, VARIANTS);
	tcase_add_loop_test(tc, a_stopped_ring_goes_on_where_it_stood, 0, VARIANTS);
	tcase_add_loop_test(tc, everything_comes_back_whatever_the_order, 0, 5 * VARIANTS);
	tcase_add_loop_test(tc, nothing_stays_open, 0, VARIANTS);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
