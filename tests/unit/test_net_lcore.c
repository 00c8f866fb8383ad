/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lcores at work: they sleep and wake without losing anything, between guests and between each
 * other, and a grace is one. Tests net/lcore. Each lcore is a thread, so nothing here is forked.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

/* Those of a test stay with their lcores when it is over. */
#define RIG_GUESTS 16
#include "tests/unit/net_rig.h"
#include "vhost/wire/loop.h"

#define HEADER  sizeof(struct virtio_net_hdr_v1)
#define LOST_MS 10000 /* nothing for so long: a wake-up was lost */
#define FRAMES  20000u

static struct rig_guest *a, *b;
static struct loop *loop;

/* cpu_ns - of this process. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void nap_ms(unsigned ms)
{
	poll(NULL, 0, (int)ms);
}

/* set_up - two guests, the second on the lcore behind the first; they run. */
static void set_up(const struct rig_options *o, unsigned second)
{
	static struct net_topology topologies[RIG_GUESTS / 2];
	struct net_topology *topology;
	static unsigned used;

	rig_check(used + 2 <= RIG_GUESTS);
	topology = &topologies[used / 2];
	rig_sender = a = &rig_guests[used++];
	b = &rig_guests[used++];
	rig_lcore = &net_lcores[0];
	rig_make_guest(a, 0, o);
	rig_lcore = &net_lcores[second];
	rig_make_guest(b, 1, o);
	b->guest.first_lcore = second;
	topology->num_ids = 2;
	topology->ports[0] = &a->guest.port;
	topology->ports[1] = &b->guest.port;
	net_set_topology(topology);
	nap_ms(50); /* they have begun */
}

/* await - until the call fd of ring @i of @g is signalled. */
static void await(struct rig_guest *g, unsigned i)
{
	struct pollfd pfd = {.fd = g->ring[i].call_fd, .events = POLLIN};
	uint64_t count;

	rig_check(poll(&pfd, 1, LOST_MS) == 1);
	rig_check(read(pfd.fd, &count, sizeof(count)) == sizeof(count));
}

/* One frame at a time, each after a sleep of both sides: a kick, perhaps a wake-up of the other
 * lcore, an interrupt. */
static void ping(unsigned n)
{
	struct fe_used used;
	unsigned i;

	for (i = 0; i < n; i++) {
		struct fe_mem at = rig_offer(b, 1, 256);
		const uint8_t *frame = rig_send(64, i);

		if (i % 3 == 0)
			nap_ms(1); /* longer than it polls */
		if (fe_ring_interrupts_on(&b->ring[RX])) {
			fe_ring_kick(&a->ring[TX]);
			await(b, RX);
		}
		rig_check(rig_poll(b, RX, &used, 1) == 1);
		rig_check(!memcmp(at.host + HEADER, frame, 64));
		while (!rig_poll(a, TX, &used, 1))
			sched_yield();
	}
}

/* stream - as many as fit the rings, kicks where they are asked for. */
static void stream(void)
{
	struct fe_used used[64];
	struct fe_mem in = rig_alloc(b, RIG_RING_SIZE * 128), out = rig_alloc(a, 128);
	uint64_t deadline = clock_ns() + LOST_MS * 1000000ull;
	unsigned offered = 0, sent = 0, got = 0, back = 0;

	memset(out.host, 0, 128);
	while (got < FRAMES || back < FRAMES) {
		for (; offered - got < RIG_RING_SIZE; offered++) {
			struct fe_buf buf = {in.gpa + offered % RIG_RING_SIZE * 128, 128};

			rig_add(b, RX, &buf, 0, 1);
		}
		/* No more than there are buffers for: nothing may be dropped. */
		for (; sent < FRAMES && sent - got < RIG_RING_SIZE / 2 &&
		       sent - back < RIG_RING_SIZE / 2;
		     sent++) {
			struct fe_buf buf = {out.gpa, HEADER + 64};

			rig_add(a, TX, &buf, 1, 0);
		}
		fe_ring_kick(&a->ring[TX]);
		got += rig_poll(b, RX, used, 64);
		back += rig_poll(a, TX, used, 64);
		rig_check(clock_ns() < deadline);
	}
	rig_check(got == FRAMES && back == FRAMES);
}

static void run_both(struct rig_options o, unsigned second)
{
	o.event_idx = true;
	set_up(&o, second);
	ping(200);
	stream();
}

START_TEST(nothing_is_lost_on_one_lcore)
{
	run_both(rig_variant(_i), 0);
}
END_TEST

START_TEST(nothing_is_lost_between_lcores)
{
	run_both(rig_variant(_i), 1);
}
END_TEST

START_TEST(idle_lcores_use_no_processor_time)
{
	uint64_t before;

	nap_ms(50);
	before = cpu_ns();
	nap_ms(500);
	ck_assert_uint_lt(cpu_ns() - before, 5000000); /* 1 % */
}
END_TEST

/* --- grace --- */

static unsigned graces;

static void grace_over(struct net_grace *grace)
{
	(void)grace;
	if (++graces == 3)
		loop_quit(loop);
}

/* By mail, so that lcores asleep are asked, too; and any number at a time. */
START_TEST(a_grace_ends_though_all_sleep)
{
	struct net_grace grace[3];

	ck_assert_int_eq(loop_create(&loop), 0);
	nap_ms(20);
	for (unsigned i = 0; i < 3; i++)
		net_grace(loop, &grace[i], grace_over);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_uint_eq(graces, 3);
	loop_destroy(loop);
}
END_TEST

/* Mails of one batch: what is put in place after the lcore began its pass, a grace, and mail that
 * comes later. */
static struct net_topology later_ports;
static const struct net_topology *seen_after_grace;
static bool at_gate, gate_open, later_over;

static void wait_at_gate(struct mail *mail)
{
	(void)mail;
	__atomic_store_n(&at_gate, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&gate_open, __ATOMIC_ACQUIRE))
		nap_ms(1);
}

static void replace_ports(struct mail *mail)
{
	(void)mail;
	net_set_topology(&later_ports);
}

static void see_ports(struct mail *mail)
{
	(void)mail;
	seen_after_grace = net_lcores[0].topology;
	__atomic_store_n(&later_over, true, __ATOMIC_RELEASE);
}

static void quit_loop(struct net_grace *grace)
{
	(void)grace;
	loop_quit(loop);
}

START_TEST(mail_behind_a_grace_does_not_see_what_it_waited_for)
{
	struct mail gate = {0}, replace = {0}, see = {0};
	struct net_grace grace;

	ck_assert_int_eq(loop_create(&loop), 0);
	net_lcore_post(&net_lcores[0], &gate, wait_at_gate);
	while (!__atomic_load_n(&at_gate, __ATOMIC_ACQUIRE))
		nap_ms(1);
	net_lcore_post(&net_lcores[0], &replace, replace_ports);
	net_grace(loop, &grace, quit_loop);
	net_lcore_post(&net_lcores[0], &see, see_ports);
	__atomic_store_n(&gate_open, true, __ATOMIC_RELEASE);
	ck_assert_int_eq(loop_run(loop), 0);
	for (unsigned i = 0; i < LOST_MS && !__atomic_load_n(&later_over, __ATOMIC_ACQUIRE); i++)
		nap_ms(1);
	ck_assert_ptr_eq(seen_after_grace, &later_ports);
	loop_destroy(loop);
}
END_TEST

static unsigned mail_ran;

static void count_mail(struct mail *mail)
{
	(void)mail;
	__atomic_add_fetch(&mail_ran, 1, __ATOMIC_RELAXED);
}

START_TEST(mail_is_run_whether_an_lcore_polls_or_sleeps)
{
	static struct mail mails[100];

	for (unsigned i = 0; i < 100; i++) {
		net_lcore_post(&net_lcores[i % 2], &mails[i], count_mail);
		if (i % 10 == 0)
			nap_ms(1);
	}
	for (unsigned i = 0; i < LOST_MS && __atomic_load_n(&mail_ran, __ATOMIC_RELAXED) < 100; i++)
		nap_ms(1);
	ck_assert_uint_eq(__atomic_load_n(&mail_ran, __ATOMIC_RELAXED), 100);
}
END_TEST

/* --- a host's port --- */

static struct net_host host;

static struct net_host_queue *host_queue(int interrupt_fd)
{
	host.rx[0] = (struct net_host_queue){.host = &host, .interrupt_fd = interrupt_fd};
	return &host.rx[0];
}

/* On this thread, by an lcore that does not run. */
START_TEST(a_port_without_an_interrupt_is_looked_at_now_and_then)
{
	struct net_lcore *lcore = &net_lcores[0];
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct net_host_queue *queue = host_queue(-1);

	lcore->num_timed = 0;
	ck_assert_int_eq(net_lcore_add_host(lcore, queue), 0);
	ck_assert_uint_eq(lcore->num_timed, 1);
	net_lcore_remove_host(lcore, queue);
	net_lcore_remove_host(lcore, queue); /* harmless */
	ck_assert_uint_eq(lcore->num_timed, 0);
	queue = host_queue(fd);
	ck_assert_int_eq(net_lcore_add_host(lcore, queue), 0);
	ck_assert_uint_eq(lcore->num_timed, 0);
	ck_assert_uint_eq(lcore->num_host_queues, 1);
	net_lcore_remove_host(lcore, queue);
	ck_assert_uint_eq(lcore->num_host_queues, 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_lcore");
	TCase *still = tcase_create("still"), *tc = tcase_create("lcore");
	SRunner *runner;
	int failed;

	rig_start();
	tcase_add_test(still, a_port_without_an_interrupt_is_looked_at_now_and_then);
	tcase_add_loop_test(tc, nothing_is_lost_on_one_lcore, 0, RIG_VARIANTS);
	tcase_add_loop_test(tc, nothing_is_lost_between_lcores, 0, RIG_VARIANTS);
	tcase_add_test(tc, idle_lcores_use_no_processor_time);
	tcase_add_test(tc, a_grace_ends_though_all_sleep);
	tcase_add_test(tc, mail_is_run_whether_an_lcore_polls_or_sleeps);
	tcase_add_test(tc, mail_behind_a_grace_does_not_see_what_it_waited_for);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, still);
	runner = srunner_create(s);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (failed)
		return EXIT_FAILURE;
	net_lcores_start();
	s = suite_create("net_lcore");
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	net_lcores_stop();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
