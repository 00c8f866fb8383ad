/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_switch.c - the table of the switch: it learns, moves, ages and forgets; and a guest that
 * sends from every address there is takes nothing from others. Tests net/switch.
 */
#include <errno.h>
#include <pthread.h>

#include "net/lcore.h"
#include "net/switch.h"
#include "tests/unit/net_eal_rig.h"
#include "vhost/wire/loop.h"

static struct loop *loop;
static struct net_switch *fabric;
static struct net_port ports[3];
static uint64_t now;

/* There are no lcores here: a wait for them is over when the test says so. */
static struct net_grace *waiting;

void net_grace(struct loop *l, struct net_grace *grace, void (*done)(struct net_grace *grace))
{
	(void)l;
	ck_assert_ptr_null(waiting); /* one at a time */
	waiting = grace;
	grace->done = done;
}

static void end_grace(void)
{
	struct net_grace *grace = waiting;

	waiting = NULL;
	if (grace)
		grace->done(grace);
}

static void setup(void)
{
	start_eal();
	ck_assert_int_eq(loop_create(&loop), 0);
	ck_assert_int_eq(net_switch_create(&fabric, loop, 300), 0);
	for (unsigned i = 0; i < 3; i++) {
		ports[i].id = (uint16_t)i;
		ports[i].max_macs = 1024;
	}
	now = clock_ticks();
}

static void teardown(void)
{
	net_switch_stop(fabric);
	net_switch_destroy(fabric);
	loop_destroy(loop);
}

static struct rte_ether_addr mac_of(unsigned n)
{
	return (struct rte_ether_addr){
		{0x02, 0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n}};
}

static void quit(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

/* run - the control thread has @ms. */
static void run(unsigned ms)
{
	struct loop_timer timer = {0};

	loop_timer_set(loop, &timer, ms, quit);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void send_from(unsigned lcore, unsigned port, unsigned n)
{
	struct rte_ether_addr mac = mac_of(n);

	net_switch_learn(fabric, lcore, &ports[port], &mac, now);
}

static uint16_t find(unsigned lcore, unsigned n)
{
	struct rte_ether_addr mac = mac_of(n);

	return net_switch_find(fabric, lcore, &mac);
}

static void next_second(void)
{
	now += clock_ns_to_ticks(1100000000);
}

static void count_one(const struct net_switch_entry *entry, void *arg)
{
	unsigned *counts = arg;

	counts[entry->port]++;
}

static unsigned count(unsigned port)
{
	unsigned counts[NET_MAX_PORTS] = {0};

	net_switch_each(fabric, count_one, counts);
	return counts[port];
}

START_TEST(learns_on_every_lcore)
{
	ck_assert_uint_eq(find(0, 1), NET_NO_PORT);
	ck_assert_uint_eq(find(1, 1), NET_NO_PORT);
	send_from(0, 2, 1);
	run(30);
	ck_assert_uint_eq(find(0, 1), 2);
	ck_assert_uint_eq(find(1, 1), 2);
	ck_assert_uint_eq(find(0, 2), NET_NO_PORT);
}
END_TEST

START_TEST(groups_are_no_senders)
{
	struct rte_ether_addr group = {{0x01, 0, 0x5e, 0, 0, 1}}, zero = {{0}};
	struct rte_ether_addr all = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

	net_switch_learn(fabric, 0, &ports[0], &group, now);
	net_switch_learn(fabric, 0, &ports[0], &all, now);
	net_switch_learn(fabric, 0, &ports[0], &zero, now);
	run(30);
	ck_assert_uint_eq(count(0), 0);
	ck_assert_uint_eq(net_switch_find(fabric, 0, &all), NET_NO_PORT);
	ck_assert_uint_eq(net_switch_find(fabric, 0, &zero), NET_NO_PORT);
}
END_TEST

START_TEST(follows_one_that_moves)
{
	send_from(0, 0, 1);
	run(30);
	ck_assert_uint_eq(find(0, 1), 0);
	send_from(0, 1, 1);
	run(30);
	ck_assert_uint_eq(find(0, 1), 1);
	ck_assert_uint_eq(count(0), 0);
	ck_assert_uint_eq(count(1), 1);
}
END_TEST

/* One who moved does not count where it was. */
START_TEST(who_moved_leaves_a_place)
{
	ports[0].max_macs = 1;
	send_from(0, 0, 1);
	run(30);
	send_from(0, 1, 1);
	run(30);
	send_from(0, 0, 2);
	run(30);
	ck_assert_uint_eq(find(0, 2), 0);
}
END_TEST

START_TEST(made_static_while_it_is_told)
{
	struct rte_ether_addr mac = mac_of(1);

	send_from(0, 0, 1);
	ck_assert_int_eq(net_switch_add_static(fabric, &mac, 2), 0);
	run(30);
	ck_assert_uint_eq(find(0, 1), 2);
}
END_TEST

START_TEST(a_static_one_stays)
{
	struct rte_ether_addr mac = mac_of(1);

	ck_assert_int_eq(net_switch_add_static(fabric, &mac, 2), 0);
	send_from(0, 0, 1);
	run(30);
	ck_assert_uint_eq(find(0, 1), 2);
	ck_assert_int_eq(net_switch_remove(fabric, &mac), 0);
	ck_assert_int_eq(net_switch_remove(fabric, &mac), -ENOENT);
	ck_assert_uint_eq(find(0, 1), NET_NO_PORT);
}
END_TEST

START_TEST(a_learnt_one_is_made_static)
{
	struct rte_ether_addr mac = mac_of(1);

	send_from(0, 0, 1);
	run(30);
	ck_assert_int_eq(net_switch_add_static(fabric, &mac, 1), 0);
	ck_assert_uint_eq(find(0, 1), 1);
	ck_assert_uint_eq(count(0), 0);
	ck_assert_uint_eq(count(1), 1);
}
END_TEST

START_TEST(static_ones_have_a_limit)
{
	struct rte_ether_addr mac;
	unsigned i;

	for (i = 0; i < NET_SWITCH_STATIC; i++) {
		mac = mac_of(i);
		ck_assert_int_eq(net_switch_add_static(fabric, &mac, 0), 0);
	}
	mac = mac_of(i);
	ck_assert_int_eq(net_switch_add_static(fabric, &mac, 0), -ENOSPC);
	send_from(0, 1, i);
	run(30);
	ck_assert_uint_eq(find(0, i), 1); /* learning has its own places */
}
END_TEST

/* Who goes on sending is known; who is silent is not, after --mac-age and the time to look. */
START_TEST(ages_what_is_silent)
{
	net_switch_destroy(fabric);
	ck_assert_int_eq(net_switch_create(&fabric, loop, 2), 0);
	send_from(0, 0, 1);
	send_from(0, 0, 2);
	for (unsigned i = 0; i < 5; i++) {
		run(1000);
		ck_assert_uint_eq(find(0, 1), 0);
		next_second();
		send_from(0, 0, 1);
	}
	ck_assert_uint_eq(find(0, 1), 0);
	ck_assert_uint_eq(find(0, 2), NET_NO_PORT);
	ck_assert_uint_eq(count(0), 1);
}
END_TEST

START_TEST(forgets_a_port)
{
	struct rte_ether_addr mac = mac_of(3);

	send_from(0, 0, 1);
	send_from(0, 1, 2);
	ck_assert_int_eq(net_switch_add_static(fabric, &mac, 0), 0);
	run(30);
	ck_assert_uint_eq(find(0, 1), 0);
	send_from(0, 0, 4); /* told, and not heard yet */
	net_switch_forget_port(fabric, 0);
	run(30);
	ck_assert_uint_eq(count(0), 0);
	ck_assert_uint_eq(find(0, 1), NET_NO_PORT);
	ck_assert_uint_eq(find(0, 3), NET_NO_PORT);
	ck_assert_uint_eq(find(0, 4), NET_NO_PORT);
	ck_assert_uint_eq(find(0, 2), 1);
}
END_TEST

START_TEST(a_port_has_its_limit)
{
	ports[0].max_macs = 5;
	for (unsigned i = 0; i < 20; i++)
		send_from(0, 0, i);
	run(30);
	ck_assert_uint_eq(count(0), 5);
	send_from(0, 1, 100);
	run(30);
	ck_assert_uint_eq(find(0, 100), 1);
}
END_TEST

/* flood - as many addresses as there can be, by one port. */
static void flood(unsigned port, unsigned first, unsigned num)
{
	for (unsigned i = 0; i < num; i++) {
		send_from(0, port, first + i);
		if (i % 256 == 255)
			run(15);
	}
	run(50);
}

/* A hostile guest without a limit fills the table; a victim's address stays, and is learnt anew. */
START_TEST(a_flood_takes_nothing_from_others)
{
	ports[0].max_macs = NET_SWITCH_ENTRIES;
	send_from(0, 1, 1);
	run(30);
	flood(0, 1000, NET_SWITCH_ENTRIES + 2000);
	ck_assert_uint_eq(find(0, 1), 1);
	ck_assert_uint_le(count(0) + count(1), NET_SWITCH_ENTRIES);
	ck_assert_uint_ge(count(0), NET_SWITCH_ENTRIES - 300);
	/* One who comes late has a place, too: the flooder gives it up. */
	end_grace();
	send_from(0, 2, 2);
	run(30);
	end_grace();
	next_second();
	send_from(0, 2, 2);
	run(30);
	ck_assert_uint_eq(find(0, 2), 2);
	ck_assert_uint_eq(find(0, 1), 1);
}
END_TEST

/* The control thread hears so many in a turn, and no more: the rest is lost until sent again. */
START_TEST(a_flood_is_heard_in_turns)
{
	ports[0].max_macs = NET_SWITCH_ENTRIES;
	for (unsigned i = 0; i < 5000; i++)
		send_from(0, 0, i);
	run(5);
	ck_assert_uint_le(count(0), 256);
	run(200);
	ck_assert_uint_le(count(0), 1024); /* what the queue holds */
	ck_assert_uint_ge(count(0), 1000);
}
END_TEST

/* A place that an lcore may be looking at is not used again before a grace. */
START_TEST(places_come_back_after_a_grace)
{
	for (unsigned round = 0; round < 4; round++) {
		ports[0].max_macs = NET_SWITCH_ENTRIES;
		flood(0, round * 20000, NET_SWITCH_ENTRIES);
		ck_assert_uint_ge(count(0), NET_SWITCH_ENTRIES - 200);
		net_switch_forget_port(fabric, 0);
		ck_assert_uint_eq(count(0), 0);
		end_grace();
		end_grace();
	}
}
END_TEST

static bool stop_readers;

/* An lcore that looks all the time: what it finds is right, or not known. */
static void *look(void *arg)
{
	unsigned wrong = 0;

	(void)arg;
	while (!__atomic_load_n(&stop_readers, __ATOMIC_RELAXED))
		for (unsigned n = 0; n < 512; n++) {
			uint16_t port = find(3, n);

			wrong += port != NET_NO_PORT && port != n % 2;
		}
	return (void *)(uintptr_t)wrong;
}

START_TEST(readers_need_no_lock)
{
	pthread_t reader;
	void *wrong;

	ck_assert_int_eq(pthread_create(&reader, NULL, look, NULL), 0);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned n = 0; n < 512; n++)
			send_from(0, n % 2, n);
		run(40);
		net_switch_forget_port(fabric, 0);
		next_second();
	}
	__atomic_store_n(&stop_readers, true, __ATOMIC_RELAXED);
	pthread_join(reader, &wrong);
	ck_assert_uint_eq((uintptr_t)wrong, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_switch");
	TCase *tc = tcase_create("switch");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, learns_on_every_lcore);
	tcase_add_test(tc, groups_are_no_senders);
	tcase_add_test(tc, follows_one_that_moves);
	tcase_add_test(tc, who_moved_leaves_a_place);
	tcase_add_test(tc, made_static_while_it_is_told);
	tcase_add_test(tc, a_static_one_stays);
	tcase_add_test(tc, a_learnt_one_is_made_static);
	tcase_add_test(tc, static_ones_have_a_limit);
	tcase_add_test(tc, ages_what_is_silent);
	tcase_add_test(tc, forgets_a_port);
	tcase_add_test(tc, a_port_has_its_limit);
	tcase_add_test(tc, a_flood_takes_nothing_from_others);
	tcase_add_test(tc, a_flood_is_heard_in_turns);
	tcase_add_test(tc, places_come_back_after_a_grace);
	tcase_add_test(tc, readers_need_no_lock);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
