/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_vm.c - what a guest is asked for, what it says of itself, and its statistics buffer on
 * its way forth and back. Tests balloon/vm, device, stats_queue.
 */
#include <errno.h>

#include "tests/unit/balloon_rig.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

#define ACTUAL_AT offsetof(struct virtio_balloon_config, actual)
#define POISON_AT offsetof(struct virtio_balloon_config, poison_val)
#define CMD_AT    offsetof(struct virtio_balloon_config, free_page_hint_cmd_id)
#define STATS     (TELLS | 1u << VIRTIO_BALLOON_F_STATS_VQ)

static struct virtio_balloon_config config(void)
{
	struct virtio_balloon_config got;

	vm.dev.ops->get_config(&vm.dev, 0, sizeof(got), (uint8_t *)&got);
	return got;
}

static int write_config(uint32_t offset, uint32_t value)
{
	value = htole32(value);
	return vm.dev.ops->set_config(&vm.dev, offset, sizeof(value), (uint8_t *)&value);
}

/* connect - a front-end has shared so much. */
static void share(uint64_t bytes)
{
	vm.memory_bytes = bytes;
	bal_vm_changed(&vm);
}

/* again - the same options, for a new process. */
static void again(void)
{
	char error[256];

	bal_vm_close(&vm);
	ck_assert_int_eq(bal_vm_open(&vm, &opt, error, sizeof(error)), 0);
	bal_vm_serve(&vm, loop);
}

static void expect_balloon(uint64_t bytes)
{
	ck_assert_uint_eq(le32toh(config().num_pages), bytes / PAGE);
}

/* --- target --- */

START_TEST(an_empty_balloon_at_first)
{
	expect_balloon(0);
	share(GIB);
	expect_balloon(0);
	ck_assert_uint_eq(bal_vm_target(&vm), GIB);
	ck_assert_uint_eq(bal_vm_actual(&vm), GIB);
}
END_TEST

START_TEST(the_target_is_what_the_guest_keeps)
{
	ck_assert_int_eq(bal_vm_set_target(&vm, 256 * MIB), 0);
	ck_assert_uint_eq(bal_vm_target(&vm), 256 * MIB);
	expect_balloon(0); /* of what? */
	share(GIB);
	expect_balloon(768 * MIB);
	share(2 * GIB); /* plugged */
	expect_balloon(GIB + 768 * MIB);
	share(128 * MIB); /* less than it shall have */
	expect_balloon(0);
	ck_assert_uint_eq(bal_vm_target(&vm), 128 * MIB);
	share(GIB);
	ck_assert_int_eq(bal_vm_set_target(&vm, BAL_ALL_MEMORY), 0);
	expect_balloon(0);
	vm.dev.ops->disconnected(&vm.dev);
	expect_balloon(0);
}
END_TEST

START_TEST(the_target_stays_within_its_bounds)
{
	opt.min_bytes = 128 * MIB;
	opt.max_bytes = 512 * MIB;
	share(GIB);
	expect_balloon(512 * MIB); /* never more than the maximum */
	ck_assert_int_eq(bal_vm_set_target(&vm, 128 * MIB - 1), -ERANGE);
	ck_assert_int_eq(bal_vm_set_target(&vm, 512 * MIB + 1), -ERANGE);
	expect_balloon(512 * MIB);
	ck_assert_int_eq(bal_vm_set_target(&vm, 128 * MIB), 0);
	expect_balloon(GIB - 128 * MIB);
	ck_assert_int_eq(bal_vm_set_target(&vm, BAL_ALL_MEMORY), 0);
	expect_balloon(512 * MIB);
	opt.min_bytes = 0;
	ck_assert_int_eq(bal_vm_set_target(&vm, BAL_LEAST_BYTES - 1), -ERANGE);
	ck_assert_int_eq(bal_vm_set_target(&vm, BAL_LEAST_BYTES), 0);
}
END_TEST

/* Page numbers have 32 bits. */
START_TEST(a_guest_of_many_TiB)
{
	share(64ull << 40);
	ck_assert_int_eq(bal_vm_set_target(&vm, GIB), 0);
	ck_assert_uint_eq(le32toh(config().num_pages), UINT32_MAX);
}
END_TEST

/* --- configuration space --- */

START_TEST(the_driver_writes_two_fields)
{
	struct virtio_balloon_config got;

	share(GIB);
	bal_vm_set_target(&vm, 512 * MIB);
	ck_assert_int_eq(write_config(ACTUAL_AT, 1000), 0);
	ck_assert_int_eq(write_config(POISON_AT, 0xaaaaaaaa), 0);
	got = config();
	ck_assert_uint_eq(le32toh(got.actual), 1000);
	ck_assert_uint_eq(le32toh(got.poison_val), 0xaaaaaaaa);
	ck_assert_uint_eq(bal_vm_actual(&vm), GIB - 1000 * PAGE);
	/* All of it as it was read, and parts of fields. */
	ck_assert_int_eq(vm.dev.ops->set_config(&vm.dev, 0, sizeof(got), (uint8_t *)&got), 0);
	ck_assert_int_eq(vm.dev.ops->set_config(&vm.dev, ACTUAL_AT + 2, 1, (uint8_t[]){1}), 0);
	ck_assert_uint_eq(vm.actual_pages, 1000 + (1 << 16));
	/* More than there is. */
	ck_assert_int_eq(write_config(ACTUAL_AT, UINT32_MAX), 0);
	ck_assert_uint_eq(bal_vm_actual(&vm), 0);
	expect_balloon(512 * MIB);
}
END_TEST

START_TEST(the_other_fields_are_not_the_driver_s)
{
	struct virtio_balloon_config got;

	share(GIB);
	bal_vm_set_target(&vm, 512 * MIB);
	ck_assert_int_eq(write_config(0, 0), -EPERM);
	ck_assert_int_eq(write_config(CMD_AT, 1), -EPERM);
	ck_assert_int_eq(write_config(2, 7), -EPERM); /* across two fields */
	got = config();
	got.actual = htole32(9);
	got.num_pages = htole32(7);
	ck_assert_int_eq(vm.dev.ops->set_config(&vm.dev, 0, sizeof(got), (uint8_t *)&got), -EPERM);
	ck_assert_uint_eq(vm.actual_pages, 0);
	expect_balloon(512 * MIB);
}
END_TEST

/* As QEMU does: all of it for one field, read before the target changed. */
START_TEST(the_whole_space_as_it_was_a_moment_ago)
{
	struct virtio_balloon_config got;

	share(GIB);
	bal_vm_set_target(&vm, 512 * MIB);
	got = config();
	bal_vm_set_target(&vm, 256 * MIB);
	got.actual = htole32(9);
	ck_assert_int_eq(vm.dev.ops->set_config(&vm.dev, 0, sizeof(got), (uint8_t *)&got), 0);
	ck_assert_uint_eq(vm.actual_pages, 9);
	expect_balloon(768 * MIB);
	ck_assert_int_eq(write_config(0, 512 * MIB / PAGE), -EPERM); /* it alone is a change */
}
END_TEST

START_TEST(a_reset_leaves_the_target)
{
	share(GIB);
	bal_vm_set_target(&vm, 512 * MIB);
	write_config(ACTUAL_AT, 1000);
	write_config(POISON_AT, 1);
	vm.dev.ops->reset(&vm.dev);
	ck_assert_uint_eq(config().actual, 0);
	ck_assert_uint_eq(config().poison_val, 0);
	expect_balloon(512 * MIB);
}
END_TEST

START_TEST(features_follow_the_options)
{
	uint64_t most;

	opt.hinting = true;
	most = bal_device_features(&opt);
	ck_assert(most & TELLS);
	ck_assert(most & 1u << VIRTIO_BALLOON_F_FREE_PAGE_HINT);
	opt.hinting = opt.reporting = opt.deflate_on_oom = false;
	ck_assert_uint_eq(most & ~bal_device_features(&opt),
			  1u << VIRTIO_BALLOON_F_FREE_PAGE_HINT | 1u << VIRTIO_BALLOON_F_REPORTING |
				  1u << VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
}
END_TEST

/* --- a process that comes later --- */

/* The front-end repeats what the driver wrote, before or after it shares memory. */
START_TEST(without_a_target_the_guest_keeps_what_it_has)
{
	if (_i)
		share(GIB);
	ck_assert_int_eq(write_config(ACTUAL_AT, 1000), 0);
	share(GIB);
	expect_balloon(1000 * PAGE);
	ck_assert_uint_eq(bal_vm_target(&vm), GIB - 1000 * PAGE);
	/* Later it is the driver, on its way. */
	vm.ran = 1;
	ck_assert_int_eq(write_config(ACTUAL_AT, 500), 0);
	expect_balloon(1000 * PAGE);
}
END_TEST

START_TEST(an_empty_balloon_stays_empty)
{
	share(GIB);
	ck_assert_int_eq(write_config(ACTUAL_AT, 0), 0);
	vm.adopting = false; /* it runs */
	vm.ran = 1;
	share(2 * GIB); /* plugged: it is all the guest's */
	expect_balloon(0);
}
END_TEST

START_TEST(a_target_of_our_own_counts)
{
	if (_i == 0) {
		opt.has_target = true;
		opt.target_bytes = 512 * MIB;
		again();
	} else {
		bal_vm_set_target(&vm, 512 * MIB);
	}
	share(GIB);
	ck_assert_int_eq(write_config(ACTUAL_AT, 1000), 0);
	expect_balloon(512 * MIB);
}
END_TEST

START_TEST(the_state_file_remembers)
{
	char path[] = "/tmp/ringside-balloon-vm-XXXXXX";
	struct stat st;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	close(fd);
	opt.state_file = path;
	again();
	share(GIB);
	bal_vm_set_target(&vm, 512 * MIB);
	turn(20); /* at once */
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, BAL_STATE_BYTES);
	write_config(ACTUAL_AT, 1000);
	write_config(POISON_AT, 5);
	vm.dev.closing = true;
	vm.dev.ops->disconnected(&vm.dev);
	opt.has_target = true; /* older than what the file says */
	opt.target_bytes = 768 * MIB;
	again();
	share(GIB);
	expect_balloon(512 * MIB);
	ck_assert_uint_eq(vm.actual_pages, 1000);
	ck_assert_uint_eq(vm.poison_val, 5);
	unlink(path);
}
END_TEST

START_TEST(a_state_file_of_another_kind_is_refused)
{
	struct bal_vm other;
	char error[256];

	opt.state_file = "/dev/null";
	ck_assert_int_eq(bal_vm_open(&other, &opt, error, sizeof(error)), -1);
	ck_assert_ptr_nonnull(strstr(error, "/dev/null"));
	bal_vm_close(&other);
}
END_TEST

START_TEST(a_state_goes_to_another_process)
{
	uint8_t state[BAL_STATE_BYTES];

	share(GIB);
	bal_vm_set_target(&vm, 512 * MIB);
	write_config(ACTUAL_AT, 1000);
	write_config(POISON_AT, 5);
	ck_assert_int_eq(vm.dev.ops->save_state(&vm.dev, state, sizeof(state)), sizeof(state));
	ck_assert_int_eq(vm.dev.ops->save_state(&vm.dev, state, 10), -ENOBUFS);
	again();
	share(GIB);
	expect_balloon(0);
	state[0] ^= 1;
	ck_assert_int_eq(vm.dev.ops->load_state(&vm.dev, state, sizeof(state)), -EBADMSG);
	expect_balloon(0);
	state[0] ^= 1;
	ck_assert_int_eq(vm.dev.ops->load_state(&vm.dev, state, sizeof(state)), 0);
	expect_balloon(512 * MIB);
	ck_assert_uint_eq(vm.actual_pages, 1000);
	ck_assert_uint_eq(vm.poison_val, 5);
}
END_TEST

/* --- statistics --- */

static void stats(uint64_t free_bytes)
{
	uint8_t *entry = at(GPA_DATA);

	*(uint16_t *)entry = htole16(BAL_STAT_FREE);
	memcpy(entry + 2, &free_bytes, sizeof(free_bytes));
	chain_one(GPA_DATA, 10, false);
}

START_TEST(the_buffer_is_kept_until_asked)
{
	struct bal_queue *queue = start(2, STATS);
	const struct vring_used *used = at(GPA_A + 0xc000);

	stats(1000);
	ck_assert_uint_eq(serve(queue), 0);
	ck_assert_uint_eq(bal_stats_value(&vm.stats, BAL_STAT_FREE), 1000);
	turn(30);
	ck_assert_uint_eq(used->idx, 0);
	bal_vm_ask_stats(&vm);
	ck_assert_uint_eq(used->idx, 1);
	ck_assert(signalled(r.call_fd));
	bal_vm_ask_stats(&vm); /* it has it already */
	ck_assert_uint_eq(used->idx, 1);
	stats(2000);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(bal_stats_value(&vm.stats, BAL_STAT_FREE), 2000);
	ck_assert_uint_eq(vm.count.stats_received, 2);
}
END_TEST

START_TEST(asked_at_intervals)
{
	struct bal_queue *queue = start(2, STATS);
	const struct vring_used *used = at(GPA_A + 0xc000);

	bal_vm_set_stats_interval(&vm, 1);
	ck_assert(!vm.stats_timer.active); /* there is no buffer */
	stats(1000);
	serve(queue);
	ck_assert(vm.stats_timer.active);
	turn(1050);
	ck_assert_uint_eq(used->idx, 1);
	ck_assert(!vm.stats_timer.active);
	stats(1000);
	serve(queue);
	bal_vm_set_stats_interval(&vm, 0);
	ck_assert(!vm.stats_timer.active);
	ck_assert_uint_eq(used->idx, 1);
}
END_TEST

START_TEST(the_newest_buffer_is_kept)
{
	struct bal_queue *queue = start(2, STATS);
	const struct vring_used *used = at(GPA_A + 0xc000);

	stats(1000);
	stats(1000);
	stats(1000);
	ck_assert_uint_eq(serve(queue), 2);
	ck_assert_uint_eq(used->ring[0].id, 0);
	ck_assert_uint_eq(used->ring[1].id, 1);
	bal_vm_ask_stats(&vm);
	ck_assert_uint_eq(used->ring[2].id, 2);
}
END_TEST

START_TEST(a_buffer_without_statistics_is_kept_too)
{
	struct bal_queue *queue = start(2, STATS);

	chain_one(GPA_DATA, 9, false);
	ck_assert_uint_eq(serve(queue), 0);
	ck_assert_uint_eq(vm.count.stats_bad, 1);
	ck_assert(!vm.stats.there);
	chain_one(GPA_HOLE, 10, false); /* and a bad chain gives back both */
	ck_assert_uint_eq(serve(queue), 2);
}
END_TEST

/* The base points at it, so that the next process pops it again. */
START_TEST(the_buffer_is_put_back_at_the_end)
{
	struct bal_queue *queue = start(2, STATS);

	stats(1000);
	stats(2000);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vq_base(&r.vq), 2);
	bal_stats_stopped(queue);
	ck_assert_uint_eq(vq_base(&r.vq), 1);
	ck_assert_ptr_null(vm.held.queue);
	bal_stats_stopped(queue);
	ck_assert_uint_eq(vq_base(&r.vq), 1);
}
END_TEST

/* With an in-flight area, what a killed process had comes first, and is answered at the end: the base
 * cannot tell of it. */
START_TEST(a_buffer_of_a_process_before_is_pushed_at_the_end)
{
	uint64_t bytes = vq_inflight_bytes(false, RIG_SIZE);
	struct bal_queue *queue = start(2, STATS);
	void *area = aligned_alloc(64, align_up(bytes, 64));
	const struct vring_used *used = at(GPA_A + 0xc000);

	memset(area, 0, bytes);
	r.setup.inflight = area;
	r.setup.inflight_bytes = bytes;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	stats(1000);
	ck_assert_uint_eq(serve(queue), 0);
	/* Killed. */
	vm.held.queue = NULL;
	ck_assert_int_eq(vq_attach(&r.vq, &r.setup), 0);
	ck_assert(vq_owes(&r.vq));
	ck_assert_uint_eq(serve(queue), 0);
	ck_assert_uint_eq(vm.count.stats_received, 2);
	bal_stats_stopped(queue);
	ck_assert_uint_eq(used->idx, 1);
	ck_assert_uint_eq(vq_base(&r.vq), 1);
	vq_detach(&r.vq);
	free(area);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_vm");
	TCase *target = tcase_create("target");
	TCase *later = tcase_create("later");
	TCase *statistics = tcase_create("statistics");

	clock_init();
	tcase_add_checked_fixture(target, balloon_open, balloon_close);
	tcase_add_test(target, an_empty_balloon_at_first);
	tcase_add_test(target, the_target_is_what_the_guest_keeps);
	tcase_add_test(target, the_target_stays_within_its_bounds);
	tcase_add_test(target, a_guest_of_many_TiB);
	tcase_add_test(target, the_driver_writes_two_fields);
	tcase_add_test(target, the_other_fields_are_not_the_driver_s);
	tcase_add_test(target, the_whole_space_as_it_was_a_moment_ago);
	tcase_add_test(target, a_reset_leaves_the_target);
	tcase_add_test(target, features_follow_the_options);
	suite_add_tcase(suite, target);
	tcase_add_checked_fixture(later, balloon_open, balloon_close);
	tcase_add_loop_test(later, without_a_target_the_guest_keeps_what_it_has, 0, 2);
	tcase_add_test(later, an_empty_balloon_stays_empty);
	tcase_add_loop_test(later, a_target_of_our_own_counts, 0, 2);
	tcase_add_test(later, the_state_file_remembers);
	tcase_add_test(later, a_state_file_of_another_kind_is_refused);
	tcase_add_test(later, a_state_goes_to_another_process);
	suite_add_tcase(suite, later);
	tcase_add_checked_fixture(statistics, balloon_open, balloon_close);
	tcase_add_test(statistics, the_buffer_is_kept_until_asked);
	tcase_add_test(statistics, asked_at_intervals);
	tcase_add_test(statistics, the_newest_buffer_is_kept);
	tcase_add_test(statistics, a_buffer_without_statistics_is_kept_too);
	tcase_add_test(statistics, the_buffer_is_put_back_at_the_end);
	tcase_add_test(statistics, a_buffer_of_a_process_before_is_pushed_at_the_end);
	suite_add_tcase(suite, statistics);
	return run_suite(suite);
}
