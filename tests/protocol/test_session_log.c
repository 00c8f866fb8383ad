/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session_log.c - the dirty log of a live migration, split and packed: switched on and off
 * under running rings in any order, every page the device writes is marked, and no other.
 */
#include <sys/eventfd.h>

#include "tests/protocol/dirty_log.h"
#include "tests/protocol/rig.h"

#define LOG_BYTES  ((RIG_GPA + RIG_MEM_BYTES) / LOG_PAGE / 8)
#define OUT_BYTES  10000u
#define IN_OFFSET  4000u /* into the first page, so that the answer crosses three borders */
#define IN_PAGES   5u
#define PAGES      (RIG_MEM_BYTES / LOG_PAGE)
#define LOG_ALL    VU_BIT(VU_F_LOG_ALL)
#define LOG_OFFSET 100u

static struct dirty_log log_;
static struct fe_mem out, in;
static uint8_t before[RIG_MEM_BYTES];
static unsigned rounds;

static void setup(const struct echo_options *options)
{
	rig_setup(options);
	ck_assert_int_eq(fe_alloc(&rig.mem, OUT_BYTES, LOG_PAGE, &out), 0);
	ck_assert_int_eq(fe_alloc(&rig.mem, IN_PAGES * LOG_PAGE, LOG_PAGE, &in), 0);
	dirty_log_make(&log_, LOG_OFFSET, LOG_BYTES);
	memset(before, 1, sizeof(before)); /* ours from here on, for the leak check */
	rig.before = held_now();
	rounds = 0;
}

static void setup_split(void)
{
	setup(&(struct echo_options){.num_queues = 2});
}

static void setup_packed(void)
{
	setup(&(struct echo_options){.num_queues = 2, .packed = true});
}

static void teardown(void)
{
	rig_teardown();
	dirty_log_free(&log_);
}

/* ready - connected, with memory and one ring, and nothing said about a log. */
static void ready(void)
{
	rig_connect();
	ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES & ~LOG_ALL, ALL_FEATURES), 0);
	ck_assert(!(rig.fe.features & LOG_ALL) && rig.fe.offered & LOG_ALL);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
}

static uint64_t gpa_of(const void *host)
{
	return RIG_GPA + (uint64_t)((const uint8_t *)host - rig.mem.regions[0].host);
}

static const void *used_part(const struct fe_ring *ring)
{
	return ring->packed ? (const void *)ring->device_event : (const void *)ring->used;
}

/* The three messages of a migration. */
static void set_log_base(void)
{
	ck_assert_int_eq(dirty_log_use(&rig.fe, &log_), 0);
}

static void set_log_all(bool on)
{
	uint64_t features = rig.fe.features & ~LOG_ALL;

	ck_assert_int_eq(fe_set_features(&rig.fe, on ? features | LOG_ALL : features), 0);
	ck_assert_int_eq(!!(echo_count(rig.echo, features) & LOG_ALL), on); /* the device knows */
}

static void set_ring_log(bool on)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	addr.flags = on ? VU_VRING_F_LOG : 0;
	addr.log_gpa = gpa_of(used_part(&rig.ring[0]));
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
}

static bool holds(const void *part, uint64_t bytes, unsigned page)
{
	uint64_t first = (gpa_of(part) - RIG_GPA) / LOG_PAGE;
	uint64_t last = (gpa_of(part) - RIG_GPA + bytes - 1) / LOG_PAGE;

	return page >= first && page <= last;
}

/* ring_page - may the device write to this page because of the ring? */
static bool ring_page(unsigned page)
{
	const struct fe_ring *ring = &rig.ring[0];

	if (!ring->packed)
		return holds(ring->used, 6 + ring->size * 8u, page);
	return holds(ring->slots, ring->size * 16u, page) || holds(ring->device_event, 4, page);
}

static bool answer_page(unsigned page)
{
	return holds(in.host + IN_OFFSET, OUT_BYTES, page);
}

/*
 * traffic - one echo. Guest memory is kept as it was between the driver's last write and the
 * device's first, so that all that differs from @before is the device's doing.
 */
static void traffic(void)
{
	struct fe_buf bufs[3] = {
		{.gpa = out.gpa, .len = OUT_BYTES},
		{.gpa = in.gpa + IN_OFFSET, .len = 3000},
		{.gpa = in.gpa + IN_OFFSET + 3000, .len = OUT_BYTES - 3000},
	};
	struct fe_used used;
	unsigned popped;
	int got;

	rounds++;
	for (unsigned i = 0; i < OUT_BYTES; i++)
		out.host[i] = (uint8_t)(i * 7 + rounds);
	memset(in.host, 0, IN_PAGES * LOG_PAGE);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	echo_hold(rig.echo, true);
	popped = echo_count(rig.echo, popped);
	ck_assert_int_ge(fe_ring_add(&rig.ring[0], bufs, 1, 2), 0);
	fe_ring_publish(&rig.ring[0]);
	fe_ring_notify(&rig.ring[0]);
	wait_for(echo_count(rig.echo, popped) == popped + 1);
	memcpy(before, rig.mem.regions[0].host, sizeof(before));
	echo_hold(rig.echo, false);
	wait_for((got = fe_ring_poll(&rig.ring[0], &used, 1)) != 0);
	ck_assert_int_eq(got, 1);
	ck_assert_mem_eq(in.host + IN_OFFSET, out.host, OUT_BYTES);
}

/* all_marked - is every page that the device changed in the log, of those @ours names? */
static bool all_marked(bool (*ours)(unsigned page))
{
	for (unsigned page = 0; page < PAGES; page++) {
		if (ours(page) && !dirty_log_has(&log_, RIG_GPA + page * LOG_PAGE) &&
		    memcmp(before + page * LOG_PAGE, rig.mem.regions[0].host + page * LOG_PAGE,
			   LOG_PAGE))
			return false;
	}
	return true;
}

static bool any_page(unsigned page)
{
	(void)page;
	return true;
}

static bool marked(bool (*ours)(unsigned page))
{
	for (unsigned page = 0; page < PAGES; page++) {
		if (ours(page) && dirty_log_has(&log_, RIG_GPA + page * LOG_PAGE))
			return true;
	}
	return false;
}

/* Only pages the device writes are marked: of the answer, and of the ring if @with_ring. */
static void no_other(bool with_ring)
{
	unsigned expected = 0;

	for (unsigned page = 0; page < PAGES; page++) {
		bool is = dirty_log_has(&log_, RIG_GPA + page * LOG_PAGE);

		ck_assert_msg(!is || answer_page(page) || (with_ring && ring_page(page)),
			      "page %u of guest memory is marked", page);
		expected += is;
	}
	ck_assert_uint_eq(dirty_log_count(&log_), expected); /* none of another address either */
	ck_assert(dirty_log_fenced(&log_));
}

/* The ring's pages are marked a moment after the driver sees the answer. */
static void logs_everything(void)
{
	dirty_log_clear(&log_);
	traffic();
	wait_for(all_marked(any_page));
	ck_assert(marked(ring_page) && marked(answer_page));
	no_other(true);
}

static void logs_data(void)
{
	dirty_log_clear(&log_);
	traffic();
	ck_assert(all_marked(answer_page)); /* before the driver could see the answer */
	ck_assert(marked(answer_page));
	no_other(false);
}

static void logs_nothing(void)
{
	dirty_log_clear(&log_);
	traffic();
	ck_assert_uint_eq(dirty_log_count(&log_), 0);
}

START_TEST(a_migration_begins_and_ends_under_running_rings)
{
	ready();
	logs_nothing();
	for (unsigned i = 0; i < 3; i++) {
		set_log_base();
		set_log_all(true);
		set_ring_log(true);
		for (unsigned k = 0; k < 70; k++) /* once around the ring */
			logs_everything();
		set_log_all(false);
		set_ring_log(false);
		logs_nothing();
	}
	rig_survived();
}
END_TEST

START_TEST(the_three_messages_come_in_any_order)
{
	static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++) {
		bool has[3] = {false};

		ready();
		for (unsigned k = 0; k < 3; k++) {
			has[orders[i][k]] = true;
			if (orders[i][k] == 0)
				set_log_base();
			else if (orders[i][k] == 1)
				set_log_all(true);
			else
				set_ring_log(true);
			if (has[0] && has[1] && has[2])
				logs_everything();
			else if (has[0] && has[1])
				logs_data();
			else
				logs_nothing();
		}
		/* The end, in the same order: the log itself cannot be taken back. */
		for (unsigned k = 0; k < 3; k++) {
			if (orders[i][k] == 1)
				set_log_all(false);
			else if (orders[i][k] == 2)
				set_ring_log(false);
		}
		logs_nothing();
		rig_hangup();
		fe_ring_reset(&rig.ring[0]);
	}
	rig_survived();
}
END_TEST

/* A log before the rings start, as for a device that is plugged in during a migration. */
START_TEST(a_log_may_be_there_before_memory_and_rings)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&rig.ring[0], 0);

	rig_negotiate(); /* LOG_ALL included */
	set_log_base();
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	logs_data();
	addr.flags = VU_VRING_F_LOG;
	addr.log_gpa = gpa_of(used_part(&rig.ring[0]));
	ck_assert_int_eq(fe_set_vring_addr(&rig.fe, 0, &addr), 0);
	logs_everything();
	rig_survived();
}
END_TEST

/* What the front-end clears is marked again by the next write. */
START_TEST(a_log_is_cleared_while_it_is_written)
{
	ready();
	set_log_base();
	set_log_all(true);
	set_ring_log(true);
	for (unsigned i = 0; i < 100; i++) {
		traffic();
		dirty_log_clear(&log_);
	}
	logs_everything();
	rig_survived();
}
END_TEST

/* When guest memory grows, QEMU makes a longer log and copies the old one. */
START_TEST(another_log_replaces_the_one_before)
{
	struct dirty_log old = log_;
	struct held with;

	ready();
	set_log_base();
	set_log_all(true);
	set_ring_log(true);
	logs_everything();
	with = held_now();
	for (unsigned i = 0; i < 50; i++) {
		dirty_log_make(&log_, 4096 + 24, LOG_BYTES + 100);
		set_log_base();
		dirty_log_clear(&old);
		logs_everything();
		ck_assert_uint_eq(dirty_log_count(&old), 0);
		dirty_log_free(&old);
		old = log_;
		ck_assert_uint_eq(held_now().fds, with.fds);
		ck_assert_uint_eq(held_now().maps, with.maps);
	}
	rig_survived();
}
END_TEST

/* Every ring has a flag of its own, and one that was never told about a log has none. */
START_TEST(each_ring_is_logged_by_its_own_flag)
{
	ready();
	ck_assert_int_eq(fe_ring_start(&rig.fe, 1, &rig.ring[1]), 0);
	set_log_base();
	set_log_all(true);
	set_ring_log(true);
	logs_everything();
	dirty_log_clear(&log_);
	rig_echo(1);
	ck_assert(dirty_log_has(&log_, rig.in[1].gpa));
	ck_assert(!dirty_log_has(&log_, gpa_of(used_part(&rig.ring[1]))));
	rig_survived();
}
END_TEST

/* The log follows guest memory, whatever the table of it does. */
START_TEST(a_change_of_memory_does_not_end_the_log)
{
	ready();
	set_log_base();
	set_log_all(true);
	set_ring_log(true);
	ck_assert_int_eq(fe_set_mem_table(&rig.fe, &rig.mem), 0);
	logs_everything();
	rig_survived();
}
END_TEST

/* Nobody needs the signal, but some front-end may send the fd. */
START_TEST(a_log_eventfd_is_taken)
{
	struct held with;
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ready();
	with = held_now();
	for (unsigned i = 0; i < 50; i++)
		ck_assert_int_eq(fe_set_log_fd(&rig.fe, fd), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0); /* the message is gone, and its fd with it */
	ck_assert_uint_eq(held_now().fds, with.fds);
	close(fd);
	set_log_base();
	set_log_all(true);
	set_ring_log(true);
	logs_everything();
	rig_survived();
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_migration_begins_and_ends_under_running_rings);
	tcase_add_test(tc, the_three_messages_come_in_any_order);
	tcase_add_test(tc, a_log_may_be_there_before_memory_and_rings);
	tcase_add_test(tc, a_log_is_cleared_while_it_is_written);
	tcase_add_test(tc, another_log_replaces_the_one_before);
	tcase_add_test(tc, each_ring_is_logged_by_its_own_flag);
	tcase_add_test(tc, a_change_of_memory_does_not_end_the_log);
	tcase_add_test(tc, a_log_eventfd_is_taken);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("session_log");

	add_tests(suite, "split", setup_split);
	add_tests(suite, "packed", setup_packed);
	return run_suite(suite);
}
