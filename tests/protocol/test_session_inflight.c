/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_inflight.c - the in-flight region, split and packed: made for the front-end, and
 * given back to a back-end that goes on where one before it died.
 *
 * The death is played: guest memory and the region are copied while requests are in flight, and put
 * back when that session is over.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "tests/protocol/rig.h"
#include "vhost/ring/inflight.h"

#define QUEUES     2u
#define BUF_BYTES  300u
#define BUF_STRIDE 512u
#define MOST       8u

static struct fe_inflight region;
static struct fe_mem out, in;
static uint8_t memory_then[RIG_MEM_BYTES];
static uint8_t *region_then;
static bool packed;

static void setup(void)
{
	memset(memory_then, 1, sizeof(memory_then)); /* ours from here on, for the leak check */
	rig_setup(&(struct echo_options){.num_queues = QUEUES, .packed = packed});
	ck_assert_int_eq(fe_alloc(&rig.mem, MOST * BUF_STRIDE, 4096, &out), 0);
	ck_assert_int_eq(fe_alloc(&rig.mem, MOST * BUF_STRIDE, 4096, &in), 0);
	region = (struct fe_inflight){.fd = -1};
	region_then = NULL;
}

static void setup_split(void)
{
	packed = false;
	setup();
}

static void setup_packed(void)
{
	packed = true;
	setup();
}

static void teardown(void)
{
	rig_teardown();
	fe_inflight_free(&region);
	free(region_then);
}

static void connect_with_memory(void)
{
	rig_negotiate();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
}

/* begin - connected, with a region of our own, before any ring starts. */
static void begin(void)
{
	connect_with_memory();
	ck_assert_int_eq(fe_get_inflight(&rig.fe, QUEUES, RIG_RING_SIZE, &region), 0);
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
}

static void start(unsigned ring)
{
	ck_assert_int_eq(fe_ring_start(&rig.fe, ring, &rig.ring[ring]), 0);
}

/* start_from - as fe_ring_start(), whatever the front-end believes the base to be. */
static void start_from(uint32_t base)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_set_vring_base(&rig.fe, 0, base), 0);
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	ck_assert_int_eq(fe_set_vring_call(&rig.fe, 0, rig.ring[0].call_fd), 0);
	ck_assert_int_eq(fe_set_vring_kick(&rig.fe, 0, rig.ring[0].kick_fd), 0);
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, true), 0);
}

/* take - requests @from to @to are in flight: the device has them and holds them. */
static void take(unsigned from, unsigned to)
{
	unsigned popped = echo_count(rig.echo, popped);

	echo_hold(rig.echo, true);
	for (unsigned i = from; i < to; i++) {
		struct fe_buf bufs[2] = {{out.gpa + i * BUF_STRIDE, BUF_BYTES},
					 {in.gpa + i * BUF_STRIDE, BUF_BYTES}};

		memset(out.host + i * BUF_STRIDE, (int)(i + 1), BUF_BYTES);
		memset(in.host + i * BUF_STRIDE, 0, BUF_BYTES);
		ck_assert_int_ge(fe_ring_add(&rig.ring[0], bufs, 1, 1), 0);
	}
	fe_ring_publish(&rig.ring[0]);
	fe_ring_notify(&rig.ring[0]);
	wait_for(echo_count(rig.echo, popped) == popped + to - from);
}

/* die - the session ends, and nothing of what it did after this moment is left. */
static void die(void)
{
	region_then = malloc(region.mmap_size);
	ck_assert_ptr_nonnull(region_then);
	memcpy(memory_then, rig.mem.regions[0].host, sizeof(memory_then));
	memcpy(region_then, region.map, region.mmap_size);
	fe_close(&rig.fe);
	echo_hold(rig.echo, false);
	wait_for(echo_count(rig.echo, disconnects) == rig.connects);
	memcpy(rig.mem.regions[0].host, memory_then, sizeof(memory_then));
	memcpy(region.map, region_then, region.mmap_size);
	connect_with_memory();
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
}

/* answers - those of requests 0 to @num come once each, in their old order, and then no more. */
static void answers(unsigned num)
{
	struct fe_used used;

	for (unsigned i = 0; i < num; i++) {
		int got;

		wait_for((got = fe_ring_poll(&rig.ring[0], &used, 1)) != 0);
		ck_assert_msg(got == 1, "%s", rig.ring[0].why);
		ck_assert_uint_eq(used.len, BUF_BYTES);
		ck_assert_mem_eq(in.host + i * BUF_STRIDE, out.host + i * BUF_STRIDE, BUF_BYTES);
	}
	rig_silence(0);
}

/* survived - nothing leaked beside what is ours. */
static void survived(void)
{
	fe_inflight_free(&region);
	rig_survived();
}

START_TEST(a_region_is_made_as_it_was_asked_for)
{
	static const struct {
		unsigned queues, size;
	} asks[] = {{1, 1}, {1, 1024}, {2, 64}, {2, 2}};

	rig_negotiate();
	for (unsigned i = 0; i < ARRAY_SIZE(asks); i++) {
		uint64_t stride;
		int seals;

		ck_assert_int_eq(fe_get_inflight(&rig.fe, asks[i].queues, asks[i].size, &region),
				 0);
		ck_assert_uint_eq(region.num_queues, asks[i].queues);
		ck_assert_uint_eq(region.queue_size, asks[i].size);
		stride = region.mmap_size / region.num_queues;
		ck_assert_uint_eq(stride % 64, 0);
		ck_assert_uint_ge(stride, vq_inflight_bytes(packed, asks[i].size));
		ck_assert(all_bytes(region.map, region.mmap_size, 0));
		seals = fcntl(region.fd, F_GET_SEALS);
		ck_assert_int_eq(seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		fe_inflight_free(&region);
	}
	survived();
}
END_TEST

/* Before SET_FEATURES the format is not known: there is room for either, and nothing in it. */
START_TEST(a_region_may_be_asked_for_before_features_are_set)
{
	uint64_t features;

	rig_connect();
	ck_assert_int_eq(fe_get_features(&rig.fe, &features), 0);
	ck_assert_int_eq(fe_get_protocol_features(&rig.fe, &features), 0);
	ck_assert_int_eq(fe_set_protocol_features(&rig.fe, features), 0);
	ck_assert_int_eq(fe_get_inflight(&rig.fe, QUEUES, RIG_RING_SIZE, &region), 0);
	ck_assert_uint_ge(region.mmap_size / QUEUES, vq_inflight_bytes(true, RIG_RING_SIZE));
	ck_assert(all_bytes(region.map, region.mmap_size, 0));
	ck_assert_int_eq(fe_set_features(&rig.fe, rig.fe.offered), 0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
	start(0);
	take(0, 3);
	die();
	start(0);
	answers(3);
	survived();
}
END_TEST

/* Some front-ends leave the padding of the message out, and mean the reply to do so too. */
START_TEST(messages_may_come_without_padding)
{
	struct vu_msg msg = request(VU_GET_INFLIGHT_FD, 20);

	connect_with_memory();
	msg.payload.inflight =
		(struct vu_inflight){.num_queues = QUEUES, .queue_size = RIG_RING_SIZE};
	ck_assert_int_eq(fe_query(&rig.fe, &msg, 20, 1), 0);
	ck_assert_uint_eq(rig.fe.rx.msg.num_fds, 1);
	msg = request(VU_SET_INFLIGHT_FD, 20);
	msg.payload.inflight = rig.fe.rx.msg.payload.inflight;
	msg.fds[0] = vu_msg_take_fd(&rig.fe.rx.msg, 0);
	msg.num_fds = 1;
	accepted(msg);
	vu_msg_close_fds(&msg);
	start(0);
	rig_echo(0);
	survived();
}
END_TEST

/* Where the front-end believes the ring to stand does not matter. */
START_TEST(what_was_taken_is_served_again_whatever_the_base)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t bases[4];

		begin();
		start(0);
		rig_echo(0);
		bases[0] = fe_ring_base(&rig.ring[0]);
		bases[1] = packed ? 0x80008000 : 0; /* as in the beginning */
		bases[2] = (uint16_t)(bases[0] + 5); /* what was made available */
		bases[3] = 0x1234;
		take(0, 5);
		die();
		start_from(bases[i]);
		answers(5);
		rig_echo(0); /* and the ring goes on */
		rig_hangup();
		fe_inflight_free(&region);
		free(region_then);
		region_then = NULL;
		fe_ring_reset(&rig.ring[0]);
	}
	survived();
}
END_TEST

START_TEST(only_what_was_not_answered_is_served_again)
{
	begin();
	start(0);
	take(0, 3);
	echo_hold(rig.echo, false);
	wait_for(fe_ring_base(&rig.ring[0]) != (packed ? 0x80008000u : 0u)); /* all, in a batch */
	take(3, 7);
	die();
	memset(in.host + 3 * BUF_STRIDE, 0, 4 * BUF_STRIDE);
	start(0);
	answers(7);
	survived();
}
END_TEST

/* Twice in a row, the second time in the middle of the recovery. */
START_TEST(a_recovery_that_dies_is_recovered_from)
{
	unsigned popped;

	begin();
	start(0);
	take(0, 6);
	die();
	free(region_then);
	echo_hold(rig.echo, true);
	popped = echo_count(rig.echo, popped);
	start(0);
	wait_for(echo_count(rig.echo, popped) == popped + 6);
	take(6, 8);
	die();
	start(0);
	answers(8);
	survived();
}
END_TEST

static uint64_t calls(void)
{
	uint64_t count = 0;

	return read(rig.ring[0].call_fd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* The process before may have died between using a chain and telling the driver (contract 2). */
START_TEST(the_driver_is_told_once_after_a_recovery)
{
	begin();
	start(0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_uint_eq(calls(), 0); /* nothing was ever in this region */
	rig_echo(0);
	calls();
	die();
	start(0);
	wait_for(calls() == 1);
	/* A change under the running ring is no recovery. */
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_uint_eq(calls(), 0);
	rig_echo(0);
	survived();
}
END_TEST

/* is_fresh - is the region as one just made? */
static bool is_fresh(void)
{
	return all_bytes(region.map, region.mmap_size, 0);
}

/* From GET_VRING_BASE on the base counts, so that a guest may set its ring up anew. */
START_TEST(a_stop_hands_the_place_over_to_the_front_end)
{
	begin();
	for (unsigned i = 0; i < 3; i++) {
		start(0);
		for (unsigned k = 0; k < 100; k++)
			rig_echo(0);
		ck_assert(!is_fresh());
		ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
		ck_assert_int_eq(fe_sync(&rig.fe), 0); /* once we have been told the place */
		ck_assert(is_fresh());
		start(0); /* where it stood */
		rig_echo(0);
		ck_assert_int_eq(fe_ring_stop(&rig.fe, 0, &rig.ring[0]), 0);
		fe_ring_reset(&rig.ring[0]);
	}
	survived();
}
END_TEST

/* A front-end may stop a ring before it ever ran: what is in its area is not lost. */
START_TEST(a_stop_before_the_recovery_loses_nothing)
{
	uint32_t base;

	begin();
	start(0);
	take(0, 4);
	die();
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	ck_assert_int_eq(fe_set_vring_num(&rig.fe, 0, RIG_RING_SIZE), 0);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	start_from((uint16_t)(fe_ring_base(&rig.ring[0]) + 4)); /* a base that knows of none */
	answers(4);
	survived();
}
END_TEST

START_TEST(a_reset_forgets_what_was_in_flight)
{
	begin();
	start(0);
	take(0, 4);
	die();
	ck_assert(fe_has(&rig.fe, VU_PF_RESET_DEVICE));
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	fe_ring_reset(&rig.ring[0]);
	start(0);
	rig_silence(0);
	rig_echo(0);
	survived();
}
END_TEST

/* Quiesced and started again for every message, with requests going on between. */
START_TEST(changes_under_a_running_ring_keep_its_place)
{
	begin();
	start(0);
	for (unsigned i = 0; i < 100; i++) {
		rig_echo(0);
		rig_submit(0);
		ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
		rig_answer(0);
	}
	take(0, 4);
	die();
	start(0);
	answers(4);
	survived();
}
END_TEST

START_TEST(a_region_is_replaced_by_the_next)
{
	struct fe_inflight next;
	struct held with;

	begin();
	start(0);
	rig_echo(0);
	with = held_now();
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(fe_get_inflight(&rig.fe, QUEUES, RIG_RING_SIZE, &next), 0);
		ck_assert_int_eq(fe_set_inflight(&rig.fe, &next), 0);
		fe_inflight_free(&region);
		region = next;
		rig_echo(0);
		ck_assert_int_eq(fe_sync(&rig.fe), 0);
		ck_assert_uint_eq(held_now().fds, with.fds);
		ck_assert_uint_eq(held_now().maps, with.maps);
	}
	ck_assert(!is_fresh()); /* the last one is the one in use */
	take(0, 3);
	die();
	start(0);
	answers(3);
	survived();
}
END_TEST

START_TEST(a_ring_without_an_area_goes_without)
{
	connect_with_memory();
	ck_assert_int_eq(fe_get_inflight(&rig.fe, 1, RIG_RING_SIZE, &region), 0);
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
	start(0);
	start(1);
	rig_echo(0);
	rig_echo(1);
	survived();
}
END_TEST

/* Another back-end may have made it: anywhere in a file, with areas of any size that will do. */
START_TEST(a_region_may_be_of_another_making)
{
	uint64_t stride = align_up(vq_inflight_bytes(packed, RIG_RING_SIZE) + 72, 8);
	const uint64_t offset = 4096 + 40;
	const uint8_t *end;

	region = (struct fe_inflight){
		.fd = memfd_create("other", MFD_CLOEXEC),
		.mmap_size = stride * QUEUES,
		.mmap_offset = offset,
		.num_queues = QUEUES,
		.queue_size = RIG_RING_SIZE,
		.map_bytes = 65536,
	};
	ck_assert_int_eq(ftruncate(region.fd, 65536), 0);
	region.map_base = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, region.fd, 0);
	ck_assert_ptr_ne(region.map_base, MAP_FAILED);
	memset(region.map_base, 0x5a, 65536);
	region.map = (uint8_t *)region.map_base + offset;
	memset(region.map, 0, region.mmap_size);
	connect_with_memory();
	ck_assert_int_eq(fe_set_inflight(&rig.fe, &region), 0);
	start(0);
	start(1);
	rig_echo(1);
	take(0, 3);
	die();
	start(0);
	answers(3);
	end = (uint8_t *)region.map + region.mmap_size;
	ck_assert(all_bytes(region.map_base, offset, 0x5a));
	ck_assert(all_bytes(end, 65536 - offset - region.mmap_size, 0x5a));
	survived();
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_region_is_made_as_it_was_asked_for);
	tcase_add_test(tc, a_region_may_be_asked_for_before_features_are_set);
	tcase_add_test(tc, messages_may_come_without_padding);
	tcase_add_test(tc, what_was_taken_is_served_again_whatever_the_base);
	tcase_add_test(tc, only_what_was_not_answered_is_served_again);
	tcase_add_test(tc, a_recovery_that_dies_is_recovered_from);
	tcase_add_test(tc, the_driver_is_told_once_after_a_recovery);
	tcase_add_test(tc, a_stop_hands_the_place_over_to_the_front_end);
	tcase_add_test(tc, a_stop_before_the_recovery_loses_nothing);
	tcase_add_test(tc, a_reset_forgets_what_was_in_flight);
	tcase_add_test(tc, changes_under_a_running_ring_keep_its_place);
	tcase_add_test(tc, a_region_is_replaced_by_the_next);
	tcase_add_test(tc, a_ring_without_an_area_goes_without);
	tcase_add_test(tc, a_region_may_be_of_another_making);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("session_inflight");

	add_tests(suite, "split", setup_split);
	add_tests(suite, "packed", setup_packed);
	return run_suite(suite);
}
