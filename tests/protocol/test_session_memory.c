/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_memory.c - guest memory comes, changes and goes while rings run.
 */
#include <string.h>

#include "tests/protocol/rig.h"

#define MORE_GPA   0x40000000ull
#define MORE_BYTES (1u << 20)

/* A buffer pair at guest address @gpa, with both halves in one page. */
static int submit_at(uint64_t gpa)
{
	struct fe_buf bufs[2] = {{.gpa = gpa, .len = 512}, {.gpa = gpa + 2048, .len = 512}};

	ck_assert_int_ge(fe_ring_add(&rig.ring[0], bufs, 1, 1), 0);
	fe_ring_publish(&rig.ring[0]);
	fe_ring_kick(&rig.ring[0]);
	ck_assert_int_eq(fe_ring_wait(&rig.ring[0], 5000), 0);
	return 0;
}

static uint32_t used_bytes(void)
{
	struct fe_used used = {0};

	ck_assert_int_eq(fe_ring_poll(&rig.ring[0], &used, 1), 1);
	return used.len;
}

static bool reachable(uint64_t gpa)
{
	submit_at(gpa);
	return used_bytes() == 512;
}

static void slots(void)
{
	rig_negotiate();
	ck_assert(fe_has(&rig.fe, VU_PF_CONFIGURE_MEM_SLOTS));
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 0), 0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_memory_add(&rig.mem, MORE_GPA, MORE_BYTES, false), 0);
}

START_TEST(a_slot_is_added_under_a_running_ring)
{
	slots();
	ck_assert(!reachable(MORE_GPA));
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 1), 0);
	ck_assert(reachable(MORE_GPA));
	rig_echo(0);
}
END_TEST

START_TEST(a_slot_is_removed_under_a_running_ring)
{
	struct held with;

	slots();
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 1), 0);
	ck_assert(reachable(MORE_GPA));
	with = held_now();
	ck_assert_int_eq(fe_remove_region(&rig.fe, &rig.mem, 1), 0);
	ck_assert_uint_eq(held_now().maps, with.maps - 1);
	ck_assert_uint_eq(held_now().fds, with.fds - 1);
	ck_assert(!reachable(MORE_GPA));
	rig_echo(0);
}
END_TEST

/* A front-end may pass the region's fd with the removal: it is closed. */
START_TEST(a_removal_with_an_fd_leaks_none)
{
	struct vu_msg msg = request(VU_REM_MEM_REG, sizeof(msg.payload.region));

	slots();
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 1), 0);
	msg.payload.region.region = fe_memory_describe(&rig.mem, 1);
	msg.fds[0] = rig.mem.regions[1].fd;
	msg.num_fds = 1;
	accepted(msg);
	fe_memory_remove(&rig.mem, 1);
	rig_survived();
}
END_TEST

/* The slot with the ring itself: the ring stops, and comes back with the memory. */
START_TEST(a_ring_in_a_removed_slot_stops_until_it_is_back)
{
	unsigned starts;

	slots();
	starts = echo_count(rig.echo, starts);
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 1), 0);
	ck_assert_int_eq(fe_remove_region(&rig.fe, &rig.mem, 0), 0);
	ck_assert_uint_eq(echo_count(rig.echo, stops), starts + 1);
	rig_submit(0);
	rig_silence(0);
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 0), 0);
	rig_answer(0);
	rig_echo(0);
}
END_TEST

START_TEST(the_same_slot_twice_is_refused)
{
	struct vu_msg msg = request(VU_ADD_MEM_REG, sizeof(msg.payload.region));

	slots();
	msg.payload.region.region = fe_memory_describe(&rig.mem, 0);
	msg.fds[0] = rig.mem.regions[0].fd;
	msg.num_fds = 1;
	refused(msg);
	rig_echo(0);
	fe_memory_remove(&rig.mem, 1);
	rig_survived();
}
END_TEST

/* Slots are named by guest address, user address and size, all three. */
START_TEST(removing_another_slot_is_refused)
{
	struct vu_msg msg = request(VU_REM_MEM_REG, sizeof(msg.payload.region));

	slots();
	for (int field = 0; field < 3; field++) {
		struct vu_region *region = &msg.payload.region.region;

		*region = fe_memory_describe(&rig.mem, 0);
		*(field == 0 ? &region->gpa : field == 1 ? &region->uva : &region->size) ^= 4096;
		refused(msg);
	}
	rig_echo(0);
}
END_TEST

START_TEST(as_many_slots_as_promised)
{
	struct vu_msg msg = request(VU_ADD_MEM_REG, sizeof(msg.payload.region));
	struct vu_region *region = &msg.payload.region.region;

	rig_negotiate();
	msg.fds[0] = rig.mem.regions[0].fd;
	msg.num_fds = 1;
	region->size = 4096;
	for (unsigned i = 0; i < VU_MAX_MEM_SLOTS; i++) {
		region->gpa = region->uva = 0x10000ull * (i + 1);
		accepted(msg);
	}
	region->gpa = region->uva = 0x10000ull * (VU_MAX_MEM_SLOTS + 1);
	refused(msg);
	rig_survived();
}
END_TEST

/* A new table at other addresses: the ring is translated anew, requests go on. */
START_TEST(a_live_table_replaces_the_old_one)
{
	uint64_t gpa = rig.mem.regions[0].gpa;

	rig_ready(1);
	rig_echo(0);
	ck_assert_int_eq(fe_memory_add(&rig.mem, MORE_GPA, MORE_BYTES, false), 0);
	ck_assert(!reachable(MORE_GPA));
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert(reachable(MORE_GPA));
	rig_echo(0);
	/* The guest sees its memory elsewhere from now on; the ring stays where it is. */
	rig.mem.regions[0].gpa = gpa + MORE_GPA * 4;
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert(!reachable(rig.out[0].gpa));
	ck_assert(reachable(rig.out[0].gpa + MORE_GPA * 4));
}
END_TEST

START_TEST(a_table_without_the_ring_stops_it)
{
	struct fe_memory other;

	rig_ready(1);
	rig_echo(0);
	fe_memory_init(&other);
	ck_assert_int_eq(fe_memory_add(&other, MORE_GPA, MORE_BYTES, false), 0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &other), 0);
	ck_assert_uint_eq(echo_count(rig.echo, starts), echo_count(rig.echo, stops));
	rig_submit(0);
	rig_silence(0);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	rig_answer(0);
	fe_memory_free(&other);
	rig_survived();
}
END_TEST

/* The device is told of every change, while it has no queue, and of nothing else. */
START_TEST(the_device_is_told_of_every_change)
{
	struct vu_msg msg = request(VU_REM_MEM_REG, sizeof(msg.payload.region));

	slots();
	ck_assert_uint_eq(echo_count(rig.echo, memory_changes), 1);
	ck_assert_int_eq(fe_add_region(&rig.fe, &rig.mem, 1), 0);
	ck_assert_uint_eq(echo_count(rig.echo, memory_changes), 2);
	ck_assert_uint_eq(echo_count(rig.echo, regions), 2);
	ck_assert_int_eq(fe_remove_region(&rig.fe, &rig.mem, 1), 0);
	ck_assert_uint_eq(echo_count(rig.echo, memory_changes), 3);
	ck_assert_uint_eq(echo_count(rig.echo, regions), 1);
	msg.payload.region.region = fe_memory_describe(&rig.mem, 1);
	refused(msg); /* it is gone already */
	ck_assert_uint_eq(echo_count(rig.echo, memory_changes), 3);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_uint_eq(echo_count(rig.echo, memory_changes), 4);
	ck_assert_uint_eq(echo_count(rig.echo, regions), 2);
	fe_memory_remove(&rig.mem, 1);
	rig_hangup(); /* that is told otherwise */
	ck_assert_uint_eq(echo_count(rig.echo, memory_changes), 4);
}
END_TEST

START_TEST(a_table_is_sent_many_times)
{
	rig_ready(1);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
		rig_echo(0);
	}
	rig_survived();
}
END_TEST

/* Buffers may lie over two regions that meet. */
START_TEST(a_buffer_crosses_adjoining_regions)
{
	ck_assert_int_eq(fe_memory_add(&rig.mem, RIG_GPA + RIG_MEM_BYTES, MORE_BYTES, false), 0);
	rig_ready(1);
	ck_assert(reachable(RIG_GPA + RIG_MEM_BYTES - 256));
	ck_assert(reachable(RIG_GPA + RIG_MEM_BYTES - 2048 - 256));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_memory");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, rig_default, rig_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_slot_is_added_under_a_running_ring);
	tcase_add_test(tc, a_slot_is_removed_under_a_running_ring);
	tcase_add_test(tc, a_removal_with_an_fd_leaks_none);
	tcase_add_test(tc, a_ring_in_a_removed_slot_stops_until_it_is_back);
	tcase_add_test(tc, the_same_slot_twice_is_refused);
	tcase_add_test(tc, removing_another_slot_is_refused);
	tcase_add_test(tc, as_many_slots_as_promised);
	tcase_add_test(tc, a_live_table_replaces_the_old_one);
	tcase_add_test(tc, a_table_without_the_ring_stops_it);
	tcase_add_test(tc, the_device_is_told_of_every_change);
	tcase_add_test(tc, a_table_is_sent_many_times);
	tcase_add_test(tc, a_buffer_crosses_adjoining_regions);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
