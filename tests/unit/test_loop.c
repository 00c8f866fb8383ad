/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_loop.c - watches, timers and mail fire when they should, and never once they are taken
 * away, though it be in the middle of a batch. Tests wire/loop.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vhost/wire/loop.h"

struct source {
	struct loop_watch watch;
	int fd;
	unsigned fired;
	uint32_t events;
	struct source *other;
};

struct alarm {
	struct loop_timer timer;
	unsigned fired;
	unsigned order;
	struct alarm *other;
};

static struct loop *loop;
static struct source one, two;
static struct alarm quit_alarm;
static unsigned alarms_fired;
static unsigned fds_before;

static void setup(void)
{
	fds_before = open_fds();
	ck_assert_int_eq(loop_create(&loop), 0);
	memset(&one, 0, sizeof(one));
	memset(&two, 0, sizeof(two));
	one.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* readable for good */
	two.fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	one.other = &two;
	two.other = &one;
}

static void teardown(void)
{
	loop_watch_del(loop, &one.watch);
	loop_watch_del(loop, &two.watch);
	loop_destroy(loop);
	close_fd(&one.fd);
	close_fd(&two.fd);
	ck_assert_uint_eq(open_fds(), fds_before);
}

static void quit_now(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void run_for(uint64_t ms)
{
	loop_timer_set(loop, &quit_alarm.timer, ms, quit_now);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void note(struct loop_watch *watch, uint32_t events)
{
	struct source *source = container_of(watch, struct source, watch);

	source->fired++;
	source->events = events;
}

static void note_and_quit(struct loop_watch *watch, uint32_t events)
{
	note(watch, events);
	loop_quit(loop);
}

static void note_and_drain(struct loop_watch *watch, uint32_t events)
{
	uint64_t value;

	note(watch, events);
	ck_assert_int_eq(read(watch->fd, &value, sizeof(value)), sizeof(value));
}

static void delete_both(struct loop_watch *watch, uint32_t events)
{
	struct source *source = container_of(watch, struct source, watch);

	note(watch, events);
	loop_watch_del(loop, &source->other->watch);
	loop_watch_del(loop, watch);
}

static void pause_both(struct loop_watch *watch, uint32_t events)
{
	struct source *source = container_of(watch, struct source, watch);

	note(watch, events);
	loop_watch_events(loop, &source->other->watch, 0);
	loop_watch_events(loop, watch, 0);
}

START_TEST(a_watch_fires_and_stops)
{
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, one.fd, EPOLLIN, note_and_drain), 0);
	run_for(20);
	ck_assert_uint_eq(one.fired, 1);
	ck_assert_uint_eq(one.events, EPOLLIN);

	ck_assert_int_eq(eventfd_write(one.fd, 1), 0);
	loop_watch_del(loop, &one.watch);
	loop_watch_del(loop, &one.watch); /* harmless */
	run_for(20);
	ck_assert_uint_eq(one.fired, 1);
}
END_TEST

START_TEST(a_regular_file_is_refused)
{
	int fd = test_memfd(1);

	ck_assert_int_eq(loop_watch_add(loop, &one.watch, fd, EPOLLIN, note), -EPERM);
	ck_assert(!one.watch.active);
	close_fd(&fd);
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, -1, EPOLLIN, note), -EBADF);
}
END_TEST

/* Both are ready in one batch; whichever comes first takes both away. */
START_TEST(a_watch_deleted_in_a_batch_does_not_fire)
{
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, one.fd, EPOLLIN, delete_both), 0);
	ck_assert_int_eq(loop_watch_add(loop, &two.watch, two.fd, EPOLLIN, delete_both), 0);
	run_for(20);
	ck_assert_uint_eq(one.fired + two.fired, 1);
}
END_TEST

START_TEST(a_watch_paused_in_a_batch_does_not_fire)
{
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, one.fd, EPOLLIN, pause_both), 0);
	ck_assert_int_eq(loop_watch_add(loop, &two.watch, two.fd, EPOLLIN, pause_both), 0);
	run_for(20);
	ck_assert_uint_eq(one.fired + two.fired, 1);
	loop_watch_events(loop, &one.watch, EPOLLIN);
	loop_watch_events(loop, &two.watch, EPOLLIN);
	run_for(20);
	ck_assert_uint_eq(one.fired + two.fired, 2);
}
END_TEST

static struct source *heap[2];

static void free_both(struct loop_watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	for (unsigned i = 0; i < 2; i++) {
		loop_watch_del(loop, &heap[i]->watch);
		free(heap[i]);
		heap[i] = NULL;
	}
	loop_quit(loop);
}

START_TEST(a_callback_may_free_every_watch_of_the_batch)
{
	for (unsigned i = 0; i < 2; i++) {
		heap[i] = calloc(1, sizeof(*heap[i]));
		ck_assert_int_eq(loop_watch_add(loop, &heap[i]->watch, i ? two.fd : one.fd, EPOLLIN,
						free_both),
				 0);
	}
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_ptr_null(heap[0]);
}
END_TEST

START_TEST(quit_leaves_the_rest_for_the_next_run)
{
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, one.fd, EPOLLIN, note_and_quit), 0);
	ck_assert_int_eq(loop_watch_add(loop, &two.watch, two.fd, EPOLLIN, note_and_quit), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(one.fired + two.fired, 1);
	loop_watch_del(loop, one.fired ? &one.watch : &two.watch);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(one.fired, 1);
	ck_assert_uint_eq(two.fired, 1);
}
END_TEST

START_TEST(quit_before_run_returns_at_once)
{
	loop_quit(loop);
	ck_assert_int_eq(loop_run(loop), 0);
}
END_TEST

/* cpu_ms - of this process, to tell a wait from a spin. */
static uint64_t cpu_ms(void)
{
	return (uint64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

START_TEST(a_paused_watch_is_silent_about_a_hang_up_too)
{
	int pair[2];
	uint64_t cpu;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, pair[0], 0, note), 0);
	ck_assert_int_eq(loop_watch_add(loop, &two.watch, two.fd, EPOLLIN, note_and_drain), 0);
	close_fd(&pair[1]);
	cpu = cpu_ms();
	run_for(300);
	ck_assert_uint_lt(cpu_ms() - cpu, 100);
	ck_assert_uint_eq(one.fired, 0);
	ck_assert_uint_eq(two.fired, 1);

	loop_watch_events(loop, &one.watch, EPOLLIN);
	one.watch.fn = note_and_quit;
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert(one.events & EPOLLHUP);
	loop_timer_cancel(loop, &quit_alarm.timer);
	loop_watch_del(loop, &one.watch);
	close_fd(&pair[0]);
}
END_TEST

static void ring(struct loop_timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	alarm->fired++;
	alarm->order = ++alarms_fired;
}

static void ring_and_cancel_other(struct loop_timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	ring(timer);
	loop_timer_cancel(loop, &alarm->other->timer);
}

static void ring_again_at_once(struct loop_timer *timer)
{
	ring(timer);
	loop_timer_set(loop, timer, 0, ring_again_at_once);
}

START_TEST(timers_fire_once_in_order_and_not_early)
{
	static struct alarm a, b, c, d;
	uint64_t start = clock_ns();

	loop_timer_set(loop, &c.timer, 30, ring);
	loop_timer_set(loop, &a.timer, 10, ring);
	loop_timer_set(loop, &d.timer, 30, ring); /* due after c, though in the same moment */
	loop_timer_set(loop, &b.timer, 20, ring);
	run_for(40);
	ck_assert_uint_ge(clock_ns() - start, 40000000);
	ck_assert_uint_eq(a.order, 1);
	ck_assert_uint_eq(b.order, 2);
	ck_assert_uint_eq(c.order, 3);
	ck_assert_uint_eq(d.order, 4);
	run_for(40);
	ck_assert_uint_eq(alarms_fired, 4);
}
END_TEST

START_TEST(a_timer_can_be_moved_and_cancelled)
{
	static struct alarm early, late, never;

	loop_timer_set(loop, &early.timer, 10, ring);
	loop_timer_set(loop, &early.timer, 10000, ring);
	loop_timer_set(loop, &late.timer, 10000, ring);
	loop_timer_set(loop, &late.timer, 10, ring);
	loop_timer_set(loop, &never.timer, 10, ring);
	loop_timer_cancel(loop, &never.timer);
	loop_timer_cancel(loop, &never.timer); /* harmless */
	run_for(40);
	ck_assert_uint_eq(early.fired, 0);
	ck_assert(early.timer.active);
	ck_assert_uint_eq(late.fired, 1);
	ck_assert(!late.timer.active);
	ck_assert_uint_eq(never.fired, 0);
	loop_timer_cancel(loop, &early.timer);
}
END_TEST

START_TEST(a_due_timer_cancelled_by_another_does_not_fire)
{
	static struct alarm a, b;
	struct timespec pause = {0, 5000000};

	a.other = &b;
	b.other = &a;
	loop_timer_set(loop, &a.timer, 1, ring_and_cancel_other);
	loop_timer_set(loop, &b.timer, 1, ring_and_cancel_other);
	nanosleep(&pause, NULL); /* both are due */
	run_for(10);
	ck_assert_uint_eq(a.fired, 1);
	ck_assert_uint_eq(b.fired, 0);
}
END_TEST

START_TEST(a_timer_that_sets_itself_does_not_starve_the_rest)
{
	static struct alarm busy;

	loop_timer_set(loop, &busy.timer, 0, ring_again_at_once);
	ck_assert_int_eq(loop_watch_add(loop, &one.watch, one.fd, EPOLLIN, note_and_quit), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(one.fired, 1);
	one.watch.fn = note;
	run_for(20);
	ck_assert_uint_gt(one.fired, 10);
	loop_timer_cancel(loop, &busy.timer);
}
END_TEST

START_TEST(an_idle_loop_uses_no_cpu)
{
	uint64_t cpu = cpu_ms();

	run_for(300);
	ck_assert_uint_lt(cpu_ms() - cpu, 50);
}
END_TEST

static void quit_by_mail(struct mail *mail)
{
	(void)mail;
	loop_quit(loop);
}

static void *post_a_little_later(void *arg)
{
	struct timespec pause = {0, 20000000};

	nanosleep(&pause, NULL);
	loop_post(loop, arg, quit_by_mail);
	return NULL;
}

START_TEST(mail_from_another_thread_wakes_the_loop)
{
	struct mail mail;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, post_a_little_later, &mail), 0);
	ck_assert_int_eq(loop_run(loop), 0);
	pthread_join(thread, NULL);
}
END_TEST

/* More ready fds than one epoll_wait(2) returns. */
START_TEST(more_watches_than_a_batch_all_fire)
{
	static struct source many[100];

	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		many[i].fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert_int_eq(loop_watch_add(loop, &many[i].watch, many[i].fd, EPOLLIN,
						note_and_drain),
				 0);
	}
	run_for(50);
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++) {
		ck_assert_uint_eq(many[i].fired, 1);
		loop_watch_del(loop, &many[i].watch);
		close_fd(&many[i].fd);
	}
}
END_TEST

static pthread_mutex_t board = PTHREAD_MUTEX_INITIALIZER;
static unsigned shared;

/* Each step takes the lock for longer than a switch of threads takes. */
static void *count_under_lock(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < 100; i++) {
		unsigned seen;

		pthread_mutex_lock(&board);
		seen = shared;
		sched_yield();
		shared = seen + 1;
		pthread_mutex_unlock(&board);
	}
	return NULL;
}

static void count_and_again(struct loop_timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);
	unsigned seen = shared;

	sched_yield();
	shared = seen + 1;
	if (++alarm->fired < 100)
		loop_timer_set(loop, timer, 1, count_and_again);
	else
		loop_quit(loop);
}

START_TEST(callbacks_run_under_the_lock_and_waits_do_not)
{
	static struct alarm counter;
	pthread_t thread;

	pthread_mutex_lock(&board);
	loop_set_lock(loop, &board);
	/* Where the lock stayed taken while the loop waits, the thread would never end. */
	ck_assert_int_eq(pthread_create(&thread, NULL, count_under_lock, NULL), 0);
	loop_timer_set(loop, &counter.timer, 0, count_and_again);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(pthread_mutex_trylock(&board), EBUSY);
	pthread_mutex_unlock(&board);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(shared, 200);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loop");
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, a_watch_fires_and_stops);
	tcase_add_test(tc, a_regular_file_is_refused);
	tcase_add_test(tc, a_watch_deleted_in_a_batch_does_not_fire);
	tcase_add_test(tc, a_watch_paused_in_a_batch_does_not_fire);
	tcase_add_test(tc, a_callback_may_free_every_watch_of_the_batch);
	tcase_add_test(tc, quit_leaves_the_rest_for_the_next_run);
	tcase_add_test(tc, quit_before_run_returns_at_once);
	tcase_add_test(tc, a_paused_watch_is_silent_about_a_hang_up_too);
	tcase_add_test(tc, timers_fire_once_in_order_and_not_early);
	tcase_add_test(tc, a_timer_can_be_moved_and_cancelled);
	tcase_add_test(tc, a_due_timer_cancelled_by_another_does_not_fire);
	tcase_add_test(tc, a_timer_that_sets_itself_does_not_starve_the_rest);
	tcase_add_test(tc, an_idle_loop_uses_no_cpu);
	tcase_add_test(tc, mail_from_another_thread_wakes_the_loop);
	tcase_add_test(tc, more_watches_than_a_batch_all_fire);
	tcase_add_test(tc, callbacks_run_under_the_lock_and_waits_do_not);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
