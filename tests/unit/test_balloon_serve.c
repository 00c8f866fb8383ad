/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_serve.c - what a balloon does with the chains of its queues: inflate, deflate, hint and
 * report. Tests balloon/serve, inflate, reporting over a ring.
 */
#include "tests/unit/balloon_rig.h"
#include "vhost/base/clock.h"

#define AT (GPA_A + 0x40000) /* pages the tests are about */

static uint64_t skipped(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < BAL_SKIPS; i++)
		sum += vm.count.skipped[i];
	return sum;
}

/* --- inflate and deflate --- */

START_TEST(a_driver_that_tells_is_answered_first)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);

	fill(AT, 16 * PAGE);
	pfns(AT, 8);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.inflated_pages, 8);
	ck_assert(there(AT));
	turn(50);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(there(AT + i * PAGE), i >= 8);
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 8 * PAGE);
	ck_assert_uint_eq(vm.count.discard_calls, 1);
	ck_assert_uint_eq(skipped(), 0);
}
END_TEST

START_TEST(a_driver_that_does_not_tell_is_answered_after)
{
	struct bal_queue *queue = start(BAL_INFLATE, 0);

	fill(AT, 16 * PAGE);
	pfns(AT, 8);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert(!vm.gather.active);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(there(AT + i * PAGE), i >= 8);
}
END_TEST

START_TEST(chains_are_merged)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);

	fill(AT, 16 * PAGE);
	for (unsigned i = 0; i < 4; i++) {
		pfns(AT + (3 - i) * 4 * PAGE, 4);
		ck_assert_uint_eq(serve(queue), i + 1);
	}
	turn(50);
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 16 * PAGE);
	ck_assert_uint_eq(vm.count.discard_calls, 1);
}
END_TEST

START_TEST(notes_wait_for_a_pause_but_not_for_ever)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);
	uint64_t due_ns;

	fill(AT, 3 * PAGE);
	pfns(AT, 1);
	serve(queue);
	due_ns = vm.gather.due_ns;
	usleep(100);
	pfns(AT + PAGE, 1);
	serve(queue);
	ck_assert_uint_gt(vm.gather.due_ns, due_ns);
	vm.gather_until_ns = clock_ns(); /* as if so much time had passed */
	pfns(AT + 2 * PAGE, 1);
	serve(queue);
	ck_assert_uint_le(vm.gather.due_ns, clock_ns());
	turn(50);
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 3 * PAGE);
}
END_TEST

START_TEST(what_comes_out_again_is_kept)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);

	fill(AT, 8 * PAGE);
	pfns(AT, 8);
	serve(queue);
	r.vq.index = BAL_DEFLATE;
	pfns(AT + 2 * PAGE, 3);
	ck_assert_uint_eq(serve(queue), 2);
	ck_assert_uint_eq(vm.count.deflated_pages, 3);
	turn(50);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(there(AT + i * PAGE), i >= 2 && i < 5);
}
END_TEST

START_TEST(nothing_goes_while_inhibited)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);

	fill(AT, 8 * PAGE);
	if (_i == 0)
		bal_vm_inhibit(&vm, true);
	else
		vm.features |= BAL_BIT(VU_F_LOG_ALL);
	ck_assert_str_eq(bal_vm_inhibited(&vm), _i ? "migration" : "operator");
	pfns(AT, 8);
	ck_assert_uint_eq(serve(queue), 1);
	turn(20);
	ck_assert(there(AT));
	if (_i == 1)
		return; /* the end of a migration stops the queue, which drops the notes */
	bal_vm_inhibit(&vm, false);
	turn(50);
	ck_assert(!there(AT));
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 8 * PAGE);
}
END_TEST

START_TEST(inhibited_under_way)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);

	fill(AT, 8 * PAGE);
	pfns(AT, 8);
	serve(queue);
	bal_vm_inhibit(&vm, true); /* the timer runs already */
	turn(20);
	ck_assert(there(AT));
}
END_TEST

/* There is no later for pages that the driver takes back without a word. */
START_TEST(not_noted_while_inhibited_unless_the_driver_tells)
{
	struct bal_queue *queue = start(BAL_INFLATE, 0);

	fill(AT, 8 * PAGE);
	bal_vm_inhibit(&vm, true);
	pfns(AT, 8);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_INHIBITED], 8);
	bal_vm_inhibit(&vm, false);
	turn(20);
	ck_assert(there(AT));
}
END_TEST

START_TEST(page_numbers_outside_of_memory)
{
	struct bal_queue *queue = start(BAL_INFLATE, _i ? TELLS : 0);
	uint32_t *array = at(GPA_DATA);

	fill(AT, PAGE);
	array[0] = 0;
	array[1] = UINT32_MAX;
	array[2] = htole32(GPA_HOLE / PAGE);
	array[3] = htole32(AT / PAGE);
	chain_one(GPA_DATA, 16, false);
	ck_assert_uint_eq(serve(queue), 1);
	turn(20);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_UNMAPPED], 3);
	ck_assert_uint_eq(vm.count.inflated_pages, 1);
	ck_assert(!there(AT));
}
END_TEST

START_TEST(a_buffer_that_is_no_whole_number_of_pages)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);
	uint32_t *array = at(GPA_DATA);

	fill(AT, 2 * PAGE);
	array[0] = htole32(AT / PAGE);
	array[1] = htole32(AT / PAGE + 1);
	chain_one(GPA_DATA, 4 + _i, false);
	chain_one(GPA_DATA, _i, false);
	ck_assert_uint_eq(serve(queue), 2);
	turn(20);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_LENGTH], 2);
	ck_assert_uint_eq(vm.count.inflated_pages, 1);
	ck_assert(!there(AT));
	ck_assert(there(AT + PAGE));
}
END_TEST

START_TEST(a_writable_inflate_buffer)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);
	uint32_t *array = at(GPA_DATA);

	fill(AT, PAGE);
	array[0] = htole32(AT / PAGE);
	chain_one(GPA_DATA, 4, true);
	ck_assert_uint_eq(serve(queue), 1);
	turn(20);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_DIRECTION], 1);
	ck_assert_uint_eq(array[0], htole32(AT / PAGE));
	ck_assert(there(AT));
}
END_TEST

START_TEST(a_ring_s_own_page)
{
	struct bal_queue *queue = start(BAL_INFLATE, _i ? TELLS : 0);

	bal_pages_protect(&vm.pages, GPA_A, 16 * RIG_SIZE);
	bal_pages_protect(&vm.pages, GPA_A + 0x8000, 6 + 2 * RIG_SIZE);
	pfns(GPA_A, 9);
	ck_assert_uint_eq(serve(queue), 1);
	turn(20);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_HAZARD], 2);
	ck_assert(there(GPA_A + 0x8000));
}
END_TEST

/* Page numbers go on in the next buffer, wherever one ends. */
START_TEST(buffers_may_end_anywhere)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);
	uint32_t *array = at(GPA_DATA);
	struct iovec parts[3] = {
		{(void *)GPA_DATA, (size_t)_i},
		{(void *)(GPA_DATA + 0x1000), 5},
		{(void *)(GPA_DATA + 0x2000), 7 - (size_t)_i},
	};

	fill(AT, 3 * PAGE);
	for (unsigned i = 0; i < 3; i++)
		array[i] = htole32((uint32_t)(AT / PAGE + i));
	memcpy(at(GPA_DATA + 0x1000), at(GPA_DATA + (uint64_t)_i), 5);
	memcpy(at(GPA_DATA + 0x2000), at(GPA_DATA + (uint64_t)_i + 5), 7 - (size_t)_i);
	chain(parts, 3, false);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.inflated_pages, 3);
	turn(20);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(!there(AT + i * PAGE));
	ck_assert_uint_eq(skipped(), 0);
}
END_TEST

/* One descriptor, two regions: the ring hands out two iovecs, cut within a page number. */
START_TEST(a_buffer_over_two_regions)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);
	uint32_t pfn = htole32(AT / PAGE);

	fill(AT, PAGE);
	memcpy(at(GPA_B - 2), &pfn, 2);
	memcpy(at(GPA_B), (uint8_t *)&pfn + 2, 2);
	chain_one(GPA_B - 2, 4, false);
	ck_assert_uint_eq(serve(queue), 1);
	turn(20);
	ck_assert(!there(AT));
}
END_TEST

START_TEST(a_chain_has_a_limit)
{
	struct bal_queue *queue = start(BAL_INFLATE, _i ? TELLS : 0);
	unsigned max = _i ? BAL_MAX_CHAIN_PFNS : BAL_MAX_SYNC_PFNS;
	unsigned each = 0xe0000 / sizeof(uint32_t), left = max + 3, num = 0;
	struct iovec parts[8];

	for (; left; num++) { /* the same memory again and again, all zeroes */
		unsigned n = min_of(left, each);

		parts[num] = (struct iovec){(void *)GPA_B, n * sizeof(uint32_t)};
		left -= n;
	}
	chain(parts, num, false);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_LIMIT], 3);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_UNMAPPED], max);
}
END_TEST

START_TEST(a_bad_chain_comes_back)
{
	struct bal_queue *queue = start((unsigned)_i, TELLS | 1u << VIRTIO_BALLOON_F_STATS_VQ);
	const struct vring_used *used = at(GPA_A + 0xc000);

	chain_one(GPA_HOLE, 64, false);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(used->ring[0].len, 0);
	ck_assert_uint_eq(r.vq.count.chains, 1);
	ck_assert_ptr_null(vm.held.queue);
}
END_TEST

/* The driver uses all that it named as soon as it is answered, and we do not know what that was: a chain
 * with an error, or one of more page numbers than are read. */
START_TEST(a_deflate_that_is_not_read_drops_the_notes)
{
	struct bal_queue *queue = start(BAL_INFLATE, TELLS);
	unsigned each = 0xe0000 / sizeof(uint32_t), left = BAL_MAX_CHAIN_PFNS + 1, num = 0;
	struct iovec parts[8];

	fill(AT, 8 * PAGE);
	pfns(AT, 8);
	serve(queue);
	ck_assert_uint_eq(vm.pages.num_due, 8);
	r.vq.index = BAL_DEFLATE;
	for (; left; num++) {
		unsigned n = min_of(left, each);

		parts[num] = (struct iovec){(void *)GPA_B, n * sizeof(uint32_t)};
		left -= n;
	}
	if (_i)
		chain(parts, num, false);
	else
		chain_one(GPA_HOLE, 64, false);
	ck_assert_uint_eq(serve(queue), 2);
	turn(50);
	ck_assert(there(AT));
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 0);
}
END_TEST

START_TEST(memory_without_holes_is_counted)
{
	struct bal_queue *queue = start(BAL_INFLATE, 0);
	int fd = r.mem.regions[0].fd, pipes[2];

	ck_assert_int_eq(pipe(pipes), 0);
	r.mem.regions[0].fd = pipes[0];
	pfns(AT, 2);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.discard_errors, 1);
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 0);
	r.mem.regions[0].fd = fd;
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

/* --- hints and reports --- */

#define REPORTS (TELLS | 1u << VIRTIO_BALLOON_F_REPORTING)

START_TEST(reported_pages_go_before_the_answer)
{
	struct bal_queue *queue = start(2, REPORTS);

	fill(AT, 16 * PAGE);
	chain_one(AT, 8 * PAGE, true);
	ck_assert_uint_eq(serve(queue), 1);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(there(AT + i * PAGE), i >= 8);
	ck_assert_uint_eq(vm.count.reported_bytes, 8 * PAGE);
	ck_assert_uint_eq(vm.count.reclaimed_bytes, 0);
}
END_TEST

START_TEST(reported_blocks_are_merged)
{
	struct bal_queue *queue = start(2, REPORTS);
	struct iovec parts[4] = {
		{(void *)(AT + 4 * PAGE), 2 * PAGE},
		{(void *)AT, 2 * PAGE},
		{(void *)(AT + 2 * PAGE), 2 * PAGE},
		{(void *)(AT + PAGE), 2 * PAGE},
	};

	fill(AT, 8 * PAGE);
	chain(parts, 4, true);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.discard_calls, 1);
	ck_assert_uint_eq(vm.count.reported_bytes, 6 * PAGE);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_int_eq(there(AT + i * PAGE), i >= 6);
}
END_TEST

/* Two halves of what the file counts as one page: together they go, alone they stay. */
START_TEST(reported_halves_of_a_larger_page)
{
	struct bal_queue *queue;
	struct iovec parts[2] = {{(void *)(AT + 4 * PAGE), 4 * PAGE}, {(void *)AT, 4 * PAGE}};

	r.mem.regions[0].page_bytes = 8 * PAGE;
	queue = start(2, REPORTS);
	fill(AT, 16 * PAGE);
	chain(parts, 1, true);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_UNALIGNED], 4);
	ck_assert(there(AT + 4 * PAGE));
	chain(parts, 2, true);
	ck_assert_uint_eq(serve(queue), 2);
	ck_assert_uint_eq(vm.count.reported_bytes, 8 * PAGE);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_int_eq(there(AT + i * PAGE), i >= 8);
}
END_TEST

START_TEST(a_report_over_a_ring_and_two_regions)
{
	struct bal_queue *queue = start(2, REPORTS);

	bal_pages_protect(&vm.pages, GPA_B - 2 * PAGE, 100);
	fill(GPA_B - 4 * PAGE, 4 * PAGE);
	fill(GPA_B, 2 * PAGE);
	chain_one(GPA_B - 4 * PAGE, 6 * PAGE, true);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_HAZARD], 1);
	ck_assert_uint_eq(vm.count.reported_bytes, 5 * PAGE);
	ck_assert(!there(GPA_B - 3 * PAGE));
	ck_assert(there(GPA_B - 2 * PAGE));
	ck_assert(!there(GPA_B - PAGE));
	ck_assert(!there(GPA_B + PAGE));
}
END_TEST

START_TEST(a_reported_page_keeps_its_poison)
{
	struct bal_queue *queue = start(2, REPORTS | 1u << VIRTIO_BALLOON_F_PAGE_POISON);

	vm.poison_val = 0xaaaaaaaa;
	fill(AT, 4 * PAGE);
	chain_one(AT, 4 * PAGE, true);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert(there(AT));
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_POISON], 4);
	/* Of zeroes there are enough. */
	vm.poison_val = 0;
	chain_one(AT, 4 * PAGE, true);
	ck_assert_uint_eq(serve(queue), 2);
	ck_assert(!there(AT));
}
END_TEST

START_TEST(a_report_while_inhibited_is_only_answered)
{
	struct bal_queue *queue = start(2, REPORTS);

	bal_vm_inhibit(&vm, true);
	fill(AT, 4 * PAGE);
	chain_one(AT, 4 * PAGE, true);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_INHIBITED], 4);
	bal_vm_inhibit(&vm, false);
	turn(20);
	ck_assert(there(AT)); /* it is the guest's again */
}
END_TEST

START_TEST(a_readable_report_is_skipped)
{
	struct bal_queue *queue = start(2, REPORTS);
	struct iovec parts[2] = {{(void *)AT, PAGE}, {(void *)(AT + 4 * PAGE), PAGE}};
	struct vring_desc *desc = at(GPA_A);

	fill(AT, 8 * PAGE);
	chain(parts, 2, true);
	desc[0].flags &= (uint16_t)~VRING_DESC_F_WRITE;
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.skipped[BAL_SKIP_DIRECTION], 1);
	ck_assert(there(AT));
	ck_assert(!there(AT + 4 * PAGE));
}
END_TEST

START_TEST(hinted_pages_are_never_given_back)
{
	struct bal_queue *queue = start(2, TELLS | 1u << VIRTIO_BALLOON_F_FREE_PAGE_HINT);

	fill(AT, 4 * PAGE);
	chain_one(AT, 4 * PAGE, true);
	chain_one(GPA_DATA, 4, false); /* a command id */
	ck_assert_uint_eq(serve(queue), 2);
	turn(20);
	ck_assert_uint_eq(vm.count.hinted_bytes, 4 * PAGE);
	ck_assert_uint_eq(vm.count.discard_calls, 0);
	ck_assert(there(AT));
}
END_TEST

START_TEST(a_queue_that_should_not_be_discards_nothing)
{
	struct bal_queue *queue = start(2, TELLS);

	fill(AT, 4 * PAGE);
	chain_one(AT, 4 * PAGE, true);
	ck_assert_uint_eq(serve(queue), 1);
	ck_assert_uint_eq(vm.count.discard_calls, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_serve");
	TCase *inflate = tcase_create("inflate");
	TCase *report = tcase_create("report");

	clock_init();
	tcase_add_checked_fixture(inflate, balloon_open, balloon_close);
	tcase_add_test(inflate, a_driver_that_tells_is_answered_first);
	tcase_add_test(inflate, a_driver_that_does_not_tell_is_answered_after);
	tcase_add_test(inflate, chains_are_merged);
	tcase_add_test(inflate, notes_wait_for_a_pause_but_not_for_ever);
	tcase_add_test(inflate, what_comes_out_again_is_kept);
	tcase_add_loop_test(inflate, nothing_goes_while_inhibited, 0, 2);
	tcase_add_test(inflate, inhibited_under_way);
	tcase_add_test(inflate, not_noted_while_inhibited_unless_the_driver_tells);
	tcase_add_loop_test(inflate, page_numbers_outside_of_memory, 0, 2);
	tcase_add_loop_test(inflate, a_buffer_that_is_no_whole_number_of_pages, 1, 4);
	tcase_add_test(inflate, a_writable_inflate_buffer);
	tcase_add_loop_test(inflate, a_ring_s_own_page, 0, 2);
	tcase_add_loop_test(inflate, buffers_may_end_anywhere, 1, 7);
	tcase_add_test(inflate, a_buffer_over_two_regions);
	tcase_add_loop_test(inflate, a_chain_has_a_limit, 0, 2);
	tcase_add_loop_test(inflate, a_bad_chain_comes_back, 0, 3);
	tcase_add_loop_test(inflate, a_deflate_that_is_not_read_drops_the_notes, 0, 2);
	tcase_add_test(inflate, memory_without_holes_is_counted);
	suite_add_tcase(suite, inflate);
	tcase_add_checked_fixture(report, balloon_open, balloon_close);
	tcase_add_test(report, reported_pages_go_before_the_answer);
	tcase_add_test(report, reported_blocks_are_merged);
	tcase_add_test(report, reported_halves_of_a_larger_page);
	tcase_add_test(report, a_report_over_a_ring_and_two_regions);
	tcase_add_test(report, a_reported_page_keeps_its_poison);
	tcase_add_test(report, a_report_while_inhibited_is_only_answered);
	tcase_add_test(report, a_readable_report_is_skipped);
	tcase_add_test(report, hinted_pages_are_never_given_back);
	tcase_add_test(report, a_queue_that_should_not_be_discards_nothing);
	suite_add_tcase(suite, report);
	return run_suite(suite);
}
