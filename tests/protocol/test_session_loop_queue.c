/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_loop_queue.c - queues served by the control loop: kicked or polled, in passes that
 * leave room for others, and given back at any moment. Split and packed.
 */
#include <string.h>
#include <unistd.h>

#include "tests/protocol/rig.h"

#define BUF_BYTES 64u
#define CHAINS    30u

static struct fe_inflight region;
static uint8_t memory_then[RIG_MEM_BYTES];
static uint8_t region_then[65536];

static void setup(const struct echo_options *options)
{
	struct echo_options all = *options;

	memset(memory_then, 1, sizeof(memory_then)); /* ours from here on, for the leak check */
	memset(region_then, 1, sizeof(region_then));
	all.num_queues = 2;
	all.on_loop = true;
	rig_setup(&all);
	region = (struct fe_inflight){.fd = -1};
}

static void setup_plain(void)
{
	setup(&(struct echo_options){0});
}

static void setup_packed(void)
{
	setup(&(struct echo_options){.packed = true});
}

/* One chain a pass, which takes its time. */
static void setup_slow(void)
{
	setup(&(struct echo_options){.pass_chains = 1, .pass_ms = 1});
}

static void setup_slow_packed(void)
{
	setup(&(struct echo_options){.pass_chains = 1, .pass_ms = 1, .packed = true});
}

static void setup_closing(void)
{
	setup(&(struct echo_options){.close_inside = true});
}

/* add - requests @from to @to, each with its own number for the device to copy. */
static void add(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		struct fe_buf bufs[2] = {{rig.out[0].gpa + i * BUF_BYTES, BUF_BYTES},
					 {rig.in[0].gpa + i * BUF_BYTES, BUF_BYTES}};

		memset(rig.out[0].host + i * BUF_BYTES, (int)(i + 1), BUF_BYTES);
		memset(rig.in[0].host + i * BUF_BYTES, 0, BUF_BYTES);
		ck_assert_int_ge(fe_ring_add(&rig.ring[0], bufs, 1, 1), 0);
	}
	fe_ring_publish(&rig.ring[0]);
}

/* answered - take what is used of requests @from to @to, which come in order. Return: how many. */
static unsigned answered(unsigned from, unsigned to)
{
	struct fe_used used;
	unsigned i = from;

	for (; i < to && fe_ring_poll(&rig.ring[0], &used, 1) == 1; i++) {
		ck_assert_uint_eq(used.len, BUF_BYTES);
		ck_assert(all_bytes(rig.in[0].host + i * BUF_BYTES, BUF_BYTES, (uint8_t)(i + 1)));
	}
	ck_assert_msg(!rig.ring[0].broken, "%s", rig.ring[0].why);
	return i - from;
}

static void all_answered(unsigned from, unsigned to)
{
	while (from < to) {
		ck_assert_int_eq(fe_ring_wait(&rig.ring[0], 5000), 0);
		from += answered(from, to);
	}
}

static void at_rest(void)
{
	unsigned passes;

	usleep(20000);
	passes = echo_count(rig.echo, passes);
	usleep(100000);
	ck_assert_uint_eq(echo_count(rig.echo, passes), passes);
}

START_TEST(a_kick_is_served_and_then_there_is_rest)
{
	rig_ready(2);
	for (unsigned i = 0; i < 100; i++)
		rig_echo(i % 2);
	at_rest();
	add(0, CHAINS);
	fe_ring_kick(&rig.ring[0]);
	all_answered(0, CHAINS);
	at_rest();
	rig_survived();
}
END_TEST

/* What was there before the ring was enabled is found without a kick. */
START_TEST(the_first_look_needs_no_kick)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	add(0, 5);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	all_answered(0, 5);
	rig_survived();
}
END_TEST

/* Of 30 passes that one kick begins, none keeps the loop: messages are answered between them, and
 * so is the other queue. */
START_TEST(a_busy_queue_leaves_others_their_turn)
{
	rig_ready(2);
	add(0, CHAINS);
	fe_ring_kick(&rig.ring[0]);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_uint_lt(echo_count(rig.echo, passes), CHAINS / 2);
	rig_echo(1);
	ck_assert_uint_lt(echo_count(rig.echo, passes), CHAINS / 2);
	ck_assert_uint_lt(answered(0, CHAINS), CHAINS);
	rig_hangup();
	ck_assert_uint_eq(echo_count(rig.echo, stops), 2);
}
END_TEST

/* And one more, since the last says like all that it stopped early. */
START_TEST(one_kick_is_enough_for_many_passes)
{
	unsigned passes;

	rig_ready(1);
	at_rest();
	passes = echo_count(rig.echo, passes);
	add(0, CHAINS);
	fe_ring_kick(&rig.ring[0]);
	all_answered(0, CHAINS);
	at_rest();
	ck_assert_uint_eq(echo_count(rig.echo, passes), passes + CHAINS + 1);
	rig_survived();
}
END_TEST

/* start_disabled - ring 0, but for the message that enables it. */
static void start_disabled(int kick_fd)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, 0, fe_ring_base(&rig.ring[0])), 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, kick_fd), 0);
}

START_TEST(a_queue_without_a_kick_fd_is_polled)
{
	unsigned passes;

	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	start_disabled(-1);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	for (unsigned i = 0; i < 5; i++)
		rig_echo(0);
	add(0, CHAINS);
	all_answered(0, CHAINS);
	passes = echo_count(rig.echo, passes);
	usleep(200000);
	passes = echo_count(rig.echo, passes) - passes;
	ck_assert_uint_gt(passes, 0);
	ck_assert_uint_le(passes, 200 / VU_LOOP_QUEUE_POLL_MS + 1);
	rig_survived();
}
END_TEST

/* A kick and the message that stops the ring meet in one round of the loop. */
START_TEST(a_queue_is_stopped_at_any_moment)
{
	unsigned done = 0;

	rig_ready(1);
	for (unsigned i = 0; i < CHAINS; i++) {
		add(i, i + 1);
		fe_ring_notify(&rig.ring[0]);
		ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
		ck_assert_uint_eq(echo_count(rig.echo, starts), echo_count(rig.echo, stops));
		done += answered(done, i + 1);
		ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	}
	all_answered(done, CHAINS);
	rig_survived();
}
END_TEST

/* Stopped while more passes are due: nothing of it is done after the reply, nothing is lost. */
START_TEST(a_busy_queue_is_stopped_and_goes_on)
{
	unsigned done;

	rig_ready(1);
	add(0, CHAINS);
	fe_ring_kick(&rig.ring[0]);
	ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
	done = answered(0, CHAINS);
	ck_assert_uint_lt(done, CHAINS);
	at_rest();
	ck_assert_uint_eq(answered(done, CHAINS), 0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	all_answered(done, CHAINS);
	rig_survived();
}
END_TEST

/* The device closes itself within a pass: what that pass had pushed is still told. */
START_TEST(a_queue_is_stopped_from_within_a_pass)
{
	rig_ready(1);
	rig_submit(0);
	rig_answer(0);
	rig_closed();
	ck_assert_uint_eq(echo_count(rig.echo, stops), 1);
}
END_TEST

/* die - the session ends with chains taken, and nothing of what it did after this moment is left.
 * */
static void die(void)
{
	ck_assert_uint_le(region.mmap_size, sizeof(region_then));
	memcpy(memory_then, rig.mem.regions[0].host, sizeof(memory_then));
	memcpy(region_then, region.map, region.mmap_size);
	rig_hangup();
	echo_hold(rig.echo, false);
	memcpy(rig.mem.regions[0].host, memory_then, sizeof(memory_then));
	memcpy(region.map, region_then, region.mmap_size);
	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
}

/* hold_three - the device has taken three chains. */
static void hold_three(void)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_get_inflight(&rig.fe, 2, RIG_RING_SIZE, &region), 0);
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	echo_hold(rig.echo, true);
	add(0, 3);
	fe_ring_notify(&rig.ring[0]);
	wait_for(echo_count(rig.echo, popped) == 3);
}

/* enable_and_stop - in one write, so that the loop has both before its first look at the ring. */
static void enable_and_stop(void)
{
	struct vu_msg msgs[2] = {
		request(VU_SET_VRING_ENABLE, sizeof(msgs[0].payload.state)),
		request(VU_GET_VRING_BASE, sizeof(msgs[1].payload.state)),
	};
	const size_t bytes = sizeof(msgs[0].hdr) + sizeof(msgs[0].payload.state);
	uint8_t both[2 * (sizeof(msgs[0].hdr) + sizeof(msgs[0].payload.state))];

	msgs[0].payload.state.num = 1;
	for (unsigned i = 0; i < 2; i++) {
		memcpy(both + i * bytes, &msgs[i].hdr, sizeof(msgs[i].hdr));
		memcpy(both + i * bytes + sizeof(msgs[i].hdr), &msgs[i].payload.state,
		       sizeof(msgs[i].payload.state));
	}
	ck_assert_int_eq(write(rig.fe.sock, both, sizeof(both)), sizeof(both));
	ck_assert_int_eq(fe_await_reply(&rig.fe, VU_GET_VRING_BASE, 8, 0), 0);
}

START_TEST(chains_of_a_process_before_are_served)
{
	hold_three();
	die();
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	all_answered(0, 3);
	fe_inflight_free(&region);
	rig_survived();
}
END_TEST

/* The base that GET_VRING_BASE answers could not express them: they are served first. */
START_TEST(chains_of_a_process_before_are_served_before_a_stop)
{
	unsigned passes;

	hold_three();
	die();
	start_disabled(rig.ring[0].kick_fd);
	passes = echo_count(rig.echo, passes);
	enable_and_stop();
	ck_assert_uint_eq(answered(0, 3), 3);
	ck_assert_uint_eq(echo_count(rig.echo, passes), passes + 3);
	ck_assert_uint_eq(echo_count(rig.echo, starts), echo_count(rig.echo, stops));
	at_rest();
	fe_inflight_free(&region);
	rig_survived();
}
END_TEST

static void push_held(void *arg)
{
	struct echo_queue *q = arg;

	while (q->num_held) {
		const struct vq_chain *chain = &q->held[--q->num_held].chain;
		uint32_t bytes = (uint32_t)chain->in_bytes;

		memcpy(rig.in[0].host, rig.out[0].host, bytes);
		vu_loop_queue_push(&q->loop_queue, chain->head, bytes);
	}
}

START_TEST(a_chain_that_was_kept_is_answered_later)
{
	rig_ready(1);
	echo_hold(rig.echo, true);
	rig_submit(0);
	rig_silence(0);
	at_rest();
	daemon_call(&rig.daemon, push_held, &rig.echo->queues[0]);
	rig_answer(0);
	echo_hold(rig.echo, false);
	rig_echo(0);
	rig_survived();
}
END_TEST

static void look_again(void *arg)
{
	struct echo_queue *q = arg;

	vu_loop_queue_again(&q->loop_queue);
}

START_TEST(a_look_can_be_asked_for)
{
	rig_ready(1);
	echo_hold(rig.echo, true);
	rig_submit(0);
	rig_silence(0);
	echo_hold(rig.echo, false);
	rig_silence(0);
	daemon_call(&rig.daemon, look_again, &rig.echo->queues[0]);
	rig_answer(0);
	daemon_call(&rig.daemon, look_again, &rig.echo->queues[1]); /* not started: nothing */
	rig_survived();
}
END_TEST

START_TEST(a_broken_ring_is_left_alone)
{
	rig_ready(1);
	rig_break(0);
	at_rest();
	daemon_call(&rig.daemon, look_again, &rig.echo->queues[0]);
	at_rest();
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	rig_survived();
}
END_TEST

START_TEST(a_broken_ring_is_not_polled)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	start_disabled(-1);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
	rig_break(0);
	at_rest();
	rig_survived();
}
END_TEST

static TCase *tcase(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, rig_teardown);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	return tc;
}

static void add_plain(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase(suite, name, fixture);

	tcase_add_test(tc, a_kick_is_served_and_then_there_is_rest);
	tcase_add_test(tc, the_first_look_needs_no_kick);
	tcase_add_test(tc, a_queue_without_a_kick_fd_is_polled);
	tcase_add_test(tc, a_queue_is_stopped_at_any_moment);
	tcase_add_test(tc, chains_of_a_process_before_are_served);
	tcase_add_test(tc, a_chain_that_was_kept_is_answered_later);
	tcase_add_test(tc, a_look_can_be_asked_for);
}

static void add_slow(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase(suite, name, fixture);

	tcase_add_test(tc, a_busy_queue_leaves_others_their_turn);
	tcase_add_test(tc, one_kick_is_enough_for_many_passes);
	tcase_add_test(tc, a_busy_queue_is_stopped_and_goes_on);
	tcase_add_test(tc, chains_of_a_process_before_are_served_before_a_stop);
}

int main(void)
{
	Suite *suite = suite_create("session_loop_queue");
	TCase *tc;

	add_plain(suite, "split", setup_plain);
	add_plain(suite, "packed", setup_packed);
	add_slow(suite, "slow", setup_slow);
	add_slow(suite, "slow packed", setup_slow_packed);
	tc = tcase(suite, "broken", setup_plain);
	tcase_add_test(tc, a_broken_ring_is_left_alone);
	tcase_add_test(tc, a_broken_ring_is_not_polled);
	tcase_add_test(tcase(suite, "closing", setup_closing),
		       a_queue_is_stopped_from_within_a_pass);
	return run_suite(suite);
}
