/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_balloon.c - the VMM's half of a balloon against a back-end made of a script: its shape, what
 * its driver may write, and what the next back-end is told of that. Tests vmm/vhost_user_balloon.c and
 * vmm/vhost_user_config.c.
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "tests/protocol/vmm_rig.h"
#include "tests/protocol/vmm_script.h"

#define NUM_PAGES_AT offsetof(struct virtio_balloon_config, num_pages)
#define ACTUAL_AT    offsetof(struct virtio_balloon_config, actual)
#define POISON_AT    offsetof(struct virtio_balloon_config, poison_val)
#define ALL_FEATURES 0x3full /* of a balloon's own */

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	rig_begin();
	script_init();
	memset(script.config, 0, sizeof(script.config));
	script.features =
		VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VU_F_PROTOCOL_FEATURES) | ALL_FEATURES;
	script.queue_num = 5;
	rig.opt.socket_path = SCRIPT_SOCKET;
}

static int connect_first(void)
{
	script_start();
	rig_create(VIRTIO_ID_BALLOON, 0);
	return rig_connect();
}

static void open_balloon(void)
{
	ck_assert_msg(connect_first() == 0, "%s", vhost_user_reason(rig.vu));
}

static void done(void)
{
	script_stop();
	rig_close();
}

/* lose - it is gone, and another there at once. */
static void lose(void)
{
	unsigned connections = script_count(connections);

	rig.vu->backoff_ms = 1;
	script_drop();
	rig_until(script_count(connections) == connections + 1 &&
		  rig.vu->state == VHOST_USER_RUNNING && !rig.vu->config_writes &&
		  !rig.vu->config_asked);
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t shown(size_t at)
{
	uint32_t value;

	memcpy(&value, rig.dev->config + at, sizeof(value));
	return le32toh(value);
}

static uint32_t told(size_t at)
{
	uint32_t value;

	memcpy(&value, script.written + at, sizeof(value));
	return le32toh(value);
}

static void driver_writes(size_t at, uint32_t value)
{
	uint8_t bytes[4];

	put32(bytes, value);
	rig.dev->ops->config_written(rig.dev, (unsigned)at, sizeof(bytes), bytes);
}

/* announce - the back-end's space has changed. */
static void announce(void)
{
	struct vu_msg msg;

	vu_msg_init(&msg, VU_BACKEND_CONFIG_CHANGE);
	rig_until(script_count(channel) >= 0);
	ck_assert_int_eq(vu_send(script_count(channel), &msg), 0);
}

/* --- its shape --- */

START_TEST(a_balloon_has_five_queues_and_sixteen_bytes)
{
	open_balloon();
	ck_assert_uint_eq(rig.dev->device_id, VIRTIO_ID_BALLOON);
	ck_assert_uint_eq(rig.dev->num_queues, 5);
	ck_assert_uint_eq(rig.dev->config_bytes, 16);
	ck_assert_uint_eq(rig.dev->features & 0xffffff, ALL_FEATURES);
	rig_running(0, 5);
	rig_reset();
	done();
}
END_TEST

static const struct {
	uint64_t features;
	unsigned queues, bytes;
} lesser[] = {
	{0, 2, 8},
	{VU_BIT(VIRTIO_BALLOON_F_STATS_VQ), 3, 8},
	{VU_BIT(VIRTIO_BALLOON_F_FREE_PAGE_HINT), 3, 12},
	{VU_BIT(VIRTIO_BALLOON_F_REPORTING) | VU_BIT(VIRTIO_BALLOON_F_STATS_VQ), 4, 8},
	{VU_BIT(VIRTIO_BALLOON_F_PAGE_POISON), 2, 16},
	{ALL_FEATURES, 5, 16},
};

START_TEST(one_with_fewer_features_needs_fewer_queues)
{
	script.features = (script.features & ~ALL_FEATURES) | lesser[_i].features;
	script.queue_num = lesser[_i].queues;
	open_balloon();
	ck_assert_uint_eq(rig.dev->num_queues, lesser[_i].queues);
	ck_assert_uint_eq(rig.dev->config_bytes, lesser[_i].bytes);
	done();
}
END_TEST

START_TEST(vmm_side_one_with_too_few_queues_is_refused)
{
	char expected[64];

	script.features = (script.features & ~ALL_FEATURES) | lesser[_i].features;
	script.queue_num = lesser[_i].queues - 1;
	ck_assert_int_eq(connect_first(), -EPROTONOSUPPORT);
	snprintf(expected, sizeof(expected),
		 "has %u queues, and a balloon with its features needs %u", lesser[_i].queues - 1,
		 lesser[_i].queues);
	ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu), expected));
	done();
}
END_TEST

START_TEST(vmm_side_one_without_a_configuration_space_is_refused)
{
	script.protocol &= ~VU_BIT(VU_PF_CONFIG);
	ck_assert_int_eq(connect_first(), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu),
				     "is no balloon: it has no configuration space of 16 bytes"));
	done();
}
END_TEST

START_TEST(vmm_side_one_that_comes_back_with_less_is_refused)
{
	open_balloon();
	rig_running(0, 3);
	rig.vu->backoff_ms = 1;
	script.features &= ~VU_BIT(VIRTIO_BALLOON_F_STATS_VQ);
	script_drop();
	rig_until(rig.vu->state == VHOST_USER_REFUSED);
	ck_assert_ptr_nonnull(strstr(rig.vu->reason, "VIRTIO_BALLOON_F_STATS_VQ"));
	done();
}
END_TEST

/* --- what the driver writes --- */

START_TEST(vmm_side_actual_and_poison_are_the_drivers_and_nothing_else_is)
{
	static const struct {
		unsigned offset, bytes;
	} wrong[] = {{0, 4},  {0, 8},  {2, 4},  {6, 4},       {8, 4},
		     {10, 4}, {14, 4}, {16, 1}, {~0u - 3, 4}, {4, 0}};
	uint8_t junk[16];

	memset(junk, 0xee, sizeof(junk));
	open_balloon();
	rig_running(0, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		rig.dev->ops->config_written(rig.dev, wrong[i].offset, wrong[i].bytes, junk);
	rig_turn(5);
	ck_assert_uint_eq(script_count(configs_set), 0);
	driver_writes(ACTUAL_AT, 77);
	driver_writes(POISON_AT, 0xaa);
	rig_until(script_count(configs_set) == 2);
	ck_assert_uint_eq(told(ACTUAL_AT), 77);
	ck_assert_uint_eq(told(POISON_AT), 0xaa);
	rig_reset();
	/* Without the feature there is no poison. */
	rig_running(VU_BIT(VIRTIO_BALLOON_F_PAGE_POISON), 2);
	driver_writes(POISON_AT, 0xbb);
	rig_turn(5);
	ck_assert_uint_eq(script_count(configs_set), 2);
	done();
}
END_TEST

/* Linux writes the poison before DRIVER_OK; what it means follows from the features. */
START_TEST(what_is_written_before_the_features_are_told_comes_after_them)
{
	open_balloon();
	rig.dev->driver_features = rig.dev->features;
	driver_writes(POISON_AT, 0xaa);
	rig_turn(5);
	ck_assert_uint_eq(script_count(configs_set), 0);
	rig_running(0, 2);
	rig_until(script_count(configs_set) == 1);
	ck_assert_ptr_eq(strstr(script.order, "gfmckk"), script.order);
	done();
}
END_TEST

static sem_t held;

/* hold - the back-end is slow with this reply. */
static void hold(struct vu_msg *reply)
{
	(void)reply;
	sem_wait(&held);
}

/* While it says how its space has changed, it is told nothing of what the driver wrote. A ring that
 * started in that time would fill pages with another poison. */
START_TEST(rings_wait_until_the_back_end_was_told_all_of_it)
{
	script.protocol &= ~VU_BIT(VU_PF_INFLIGHT_SHMFD); /* nothing else to wait for */
	ck_assert_int_eq(sem_init(&held, 0, 0), 0);
	open_balloon();
	script.connection = 0;
	script.request = VU_GET_CONFIG;
	script.act = SCRIPT_BENDS;
	script.bend = hold;
	announce();
	rig_until(script_count(acted) == 1);
	rig.dev->driver_features = rig.dev->features;
	driver_writes(POISON_AT, 0xaa);
	rig_driver_ok(0, 2);
	rig_turn(5);
	ck_assert_int_eq(sem_post(&held), 0);
	rig_until(script_count(kicks_set) == 2);
	ck_assert_uint_eq(told(POISON_AT), 0xaa);
	ck_assert_ptr_eq(strstr(script.order, "ggfmckk"), script.order);
	done();
}
END_TEST

START_TEST(the_next_back_end_is_told_all_of_it_before_a_ring_starts)
{
	script.keeps_config = true;
	open_balloon();
	rig_running(0, 2);
	driver_writes(POISON_AT, 0xaa);
	driver_writes(ACTUAL_AT, 1000);
	driver_writes(ACTUAL_AT, 2000);
	rig_until(told(ACTUAL_AT) == 2000 && !rig.vu->config_writes);
	for (unsigned i = 0; i < 3; i++) {
		memset(script.written, 0, sizeof(script.written));
		lose();
		ck_assert_uint_eq(told(ACTUAL_AT), 2000);
		ck_assert_uint_eq(told(POISON_AT), 0xaa);
		ck_assert_uint_eq(shown(ACTUAL_AT), 2000);
		/* What it asks of the driver follows from memory: it is read when that is known. */
		ck_assert_str_eq(script.order, "gfmcckkg");
	}
	done();
}
END_TEST

START_TEST(a_reset_forgets_what_was_written)
{
	open_balloon();
	for (unsigned with_reset = 0; with_reset < 2; with_reset++) {
		unsigned sets;

		rig_running(0, 2);
		driver_writes(ACTUAL_AT, 1000);
		rig_until(told(ACTUAL_AT) == 1000);
		put32(script.config + ACTUAL_AT, 1000);
		rig_reset();
		ck_assert_uint_eq(shown(ACTUAL_AT), 0);
		if (!with_reset) /* by a device reset */
			ck_assert_ptr_nonnull(strchr(script.order, 'r'));
		else /* where there is none, in so many words */
			rig_until(told(ACTUAL_AT) == 0 && !rig.vu->config_writes);
		put32(script.config + ACTUAL_AT, 0);
		script.protocol &= ~VU_BIT(VU_PF_RESET_DEVICE);
		rig_running(0, 2);
		sets = script_count(configs_set);
		lose();
		ck_assert_uint_eq(script_count(configs_set), sets);
		rig_reset();
	}
	done();
}
END_TEST

START_TEST(a_reset_while_nobody_is_there_forgets_it_too)
{
	unsigned sets;

	open_balloon();
	rig_running(0, 2);
	driver_writes(ACTUAL_AT, 1000);
	rig_until(script_count(configs_set) == 1);
	rig.vu->backoff_ms = 20;
	script_drop();
	rig_until(rig.vu->state == VHOST_USER_LOST);
	sets = script_count(configs_set);
	rig_reset();
	ck_assert_uint_eq(shown(ACTUAL_AT), 0);
	rig_running(0, 2);
	ck_assert_uint_eq(script_count(configs_set), sets);
	done();
}
END_TEST

START_TEST(a_back_end_that_refuses_it_serves_on)
{
	open_balloon();
	rig_running(0, 2);
	driver_writes(ACTUAL_AT, 1000);
	rig_until(script_count(configs_set) == 1);
	script.connection = 1;
	script.request = VU_SET_CONFIG;
	script.act = SCRIPT_REFUSE;
	lose();
	ck_assert_uint_eq(script_count(acted), 1);
	ck_assert_uint_eq(rig.needs_resets, 0);
	ck_assert_uint_eq(shown(ACTUAL_AT), 0); /* what counts, it says */
	done();
}
END_TEST

START_TEST(one_that_has_no_such_message_is_told_nothing)
{
	open_balloon();
	rig_running(0, 2);
	driver_writes(ACTUAL_AT, 1000);
	rig_until(script_count(configs_set) == 1);
	rig.vu->backoff_ms = 1;
	script.protocol &= ~VU_BIT(VU_PF_CONFIG);
	script_drop();
	rig_until(rig.vu->state == VHOST_USER_REFUSED);
	ck_assert_ptr_nonnull(strstr(rig.vu->reason, "no configuration space of 16 bytes"));
	ck_assert_uint_eq(script_count(configs_set), 1);
	done();
}
END_TEST

/* --- what the back-end asks for --- */

/* One that has just started knows no memory, and so asks for none of it back. */
START_TEST(a_restart_is_no_target_of_its_own)
{
	put32(script.config + NUM_PAGES_AT, 500);
	open_balloon();
	rig_running(0, 2);
	ck_assert_uint_eq(shown(NUM_PAGES_AT), 500);
	script.act = SCRIPT_HANG;
	script.connection = 1;
	script.request = VU_SET_MEM_TABLE; /* as far as it comes */
	put32(script.config + NUM_PAGES_AT, 0);
	rig.vu->backoff_ms = 1;
	script_drop();
	rig_until(script_count(acted) == 1);
	rig_turn(10);
	ck_assert_uint_eq(shown(NUM_PAGES_AT), 500);
	ck_assert_uint_eq(rig.config_changes, 0);
	lose();
	rig_until(shown(NUM_PAGES_AT) == 0); /* that it says when it knows */
	ck_assert_uint_eq(rig.config_changes, 1);
	done();
}
END_TEST

START_TEST(a_new_target_reaches_a_driver_that_is_being_reset)
{
	open_balloon();
	rig_running(0, 2);
	put32(script.config + NUM_PAGES_AT, 100);
	announce();
	rig_until(rig.config_changes == 1);
	ck_assert_uint_eq(shown(NUM_PAGES_AT), 100);
	for (unsigned i = 1; i <= 20; i++) {
		unsigned resets = rig.resets;

		put32(script.config + NUM_PAGES_AT, 100 + i);
		if (i % 2)
			announce();
		rig.dev->ops->reset(rig.dev);
		if (!(i % 2))
			announce();
		rig_until(rig.resets == resets + 1);
		for (unsigned ring = 0; ring < RIG_MAX_RINGS; ring++)
			fe_ring_reset(rig_ring(ring));
		rig_running(0, 2);
		rig_until(shown(NUM_PAGES_AT) == 100 + i);
	}
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_balloon");
	TCase *tc = tcase_create("balloon");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, a_balloon_has_five_queues_and_sixteen_bytes);
	tcase_add_loop_test(tc, one_with_fewer_features_needs_fewer_queues, 0, ARRAY_SIZE(lesser));
	tcase_add_loop_test(tc, vmm_side_one_with_too_few_queues_is_refused, 0, ARRAY_SIZE(lesser));
	tcase_add_test(tc, vmm_side_one_without_a_configuration_space_is_refused);
	tcase_add_test(tc, vmm_side_one_that_comes_back_with_less_is_refused);
	tcase_add_test(tc, vmm_side_actual_and_poison_are_the_drivers_and_nothing_else_is);
	tcase_add_test(tc, what_is_written_before_the_features_are_told_comes_after_them);
	tcase_add_test(tc, rings_wait_until_the_back_end_was_told_all_of_it);
	tcase_add_test(tc, the_next_back_end_is_told_all_of_it_before_a_ring_starts);
	tcase_add_test(tc, a_reset_forgets_what_was_written);
	tcase_add_test(tc, a_reset_while_nobody_is_there_forgets_it_too);
	tcase_add_test(tc, a_back_end_that_refuses_it_serves_on);
	tcase_add_test(tc, one_that_has_no_such_message_is_told_nothing);
	tcase_add_test(tc, a_restart_is_no_target_of_its_own);
	tcase_add_test(tc, a_new_target_reaches_a_driver_that_is_being_reset);
	suite_add_tcase(suite, tc);
	return run_in_scratch(suite);
}
