/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_wiring.c - ports come and go: what lcores see at each moment, when a port is closed and
 * its number used again, what guests are told of their links, and that nothing is freed while an
 * lcore may have it. Guests, devices and lcores are stand-ins here. Tests net/net, net/wiring.
 */
#include <errno.h>

#include "net/capture.h"
#include "net/eal.h"
#include "net/net.h"
#include "tests/unit/net_eal_rig.h"

#define MAX_WAITING 256

static struct net net;
static const struct net_topology *seen; /* by the lcores */
static struct net_grace *waiting[MAX_WAITING];
static unsigned num_waiting;
static int link_told[NET_MAX_PORTS];
static unsigned num_open, num_attached, num_closing;
static struct net_guest *closing[NET_MAX_PORTS];
static int open_result;

/* --- stand-ins --- */

void net_set_topology(const struct net_topology *topology)
{
	seen = topology;
}

void net_grace(struct loop *loop, struct net_grace *grace, void (*done)(struct net_grace *grace))
{
	(void)loop;
	grace->done = done;
	ck_assert_uint_lt(num_waiting, MAX_WAITING);
	waiting[num_waiting++] = grace;
}

/* end_grace - the lcores have begun another pass: of the wait that began first. */
static void end_grace(void)
{
	struct net_grace *grace = waiting[0];

	ck_assert_uint_gt(num_waiting, 0);
	memmove(waiting, waiting + 1, --num_waiting * sizeof(waiting[0]));
	grace->done(grace);
}

static void end_all(void)
{
	while (num_waiting)
		end_grace();
}

static void init_port(struct net_port *port, enum net_port_kind kind, uint16_t id,
		      uint32_t generation, const struct net_port_options *opt)
{
	port->kind = kind;
	port->id = id;
	port->generation = generation;
	memcpy(port->name, opt->name, sizeof(port->name));
	num_open++;
}

int net_guest_create(struct net_guest **out, struct loop *loop, uint16_t id, uint32_t generation,
		     const struct net_port_options *opt)
{
	(void)loop;
	*out = aligned_alloc(CACHELINE_BYTES, sizeof(**out));
	memset(*out, 0, sizeof(**out));
	init_port(&(*out)->port, NET_GUEST, id, generation, opt);
	link_told[id] = -1;
	return 0;
}

/* A session takes time to end: end_sessions(). */
void net_guest_close(struct net_guest *guest, void (*closed)(struct net_guest *guest))
{
	if (!closed) {
		num_open--;
		free(guest);
		return;
	}
	ck_assert_ptr_null(seen->ports[guest->port.id]);
	guest->closed = closed;
	closing[num_closing++] = guest;
}

static void end_sessions(void)
{
	for (unsigned i = 0; i < num_closing; i++) {
		closing[i]->closed(closing[i]);
		free(closing[i]);
		num_open--;
	}
	num_closing = 0;
}

void net_guest_set_link(struct net_guest *guest, bool up)
{
	ck_assert_int_ne(link_told[guest->port.id], up); /* not twice the same */
	link_told[guest->port.id] = up;
}

int net_host_open(struct net_host **out, struct loop *loop, uint16_t id, uint32_t generation,
		  const struct net_port_options *opt, struct rte_mempool *pool, char *error,
		  size_t error_bytes)
{
	(void)loop;
	(void)pool;
	if (open_result < 0) {
		snprintf(error, error_bytes, "no such device");
		return open_result;
	}
	*out = aligned_alloc(CACHELINE_BYTES, sizeof(**out));
	memset(*out, 0, sizeof(**out));
	init_port(&(*out)->port, NET_HOST, id, generation, opt);
	net_port_set_ready(&(*out)->port, true, NULL);
	return 0;
}

void net_host_close(struct net_host *host)
{
	ck_assert_ptr_null(seen->ports[host->port.id]);
	num_open--;
	free(host);
}

/* What a device receives goes somewhere from the first frame on. */
void net_host_attach(struct net_host *host)
{
	ck_assert_ptr_eq(seen->ports[host->port.id], &host->port);
	num_attached++;
}

void net_host_detach(struct net_host *host)
{
	ck_assert_ptr_null(seen->ports[host->port.id]);
	num_attached--;
}

struct rte_mempool *net_eal_pool(unsigned lcore_id)
{
	(void)lcore_id;
	return NULL;
}

int net_capture_stop(struct net_port *port)
{
	(void)port;
	return -ENOENT;
}

int daemon_open(struct daemon *d, struct vu_device *dev, const struct daemon_socket *socket,
		char *error, size_t error_bytes)
{
	(void)d;
	(void)dev;
	(void)socket;
	snprintf(error, error_bytes, "somebody listens there");
	return open_result;
}

void daemon_forget(struct daemon *d, const struct vu_device *dev)
{
	(void)d;
	(void)dev;
}

/* --- the rig --- */

static char error[256];

static int add(const char *text)
{
	struct net_port_options opt;

	ck_assert_int_eq(net_port_options_parse(&opt, strdup(text), error, sizeof(error)), 0);
	error[0] = '\0';
	return net_add_port(&net, &opt, error, sizeof(error));
}

static void add_guest(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "name=%s,socket=/%s", name, name);
	ck_assert_int_eq(add(text), 0);
}

static void add_host(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "name=%s,dpdk=net_null%s", name, name);
	ck_assert_int_eq(add(text), 0);
}

static void setup(void)
{
	start_eal();
	ck_assert_int_eq(loop_create(&net.daemon.loop), 0);
	log_set_level("error");
	net.opt.age_s = 300;
}

/* wire - guest a and device b, a cable. */
static void wire(void)
{
	add_guest("a");
	add_host("b");
	ck_assert_int_eq(net_start(&net), 0);
}

static bool sees(const char *name)
{
	for (unsigned i = 0; i < seen->num_ids; i++)
		if (seen->ports[i] && !strcmp(seen->ports[i]->name, name))
			return true;
	return false;
}

START_TEST(nothing_is_wired_before_the_start)
{
	add_guest("a");
	add_host("b");
	ck_assert_ptr_null(seen);
	ck_assert_uint_eq(num_attached, 0);
	ck_assert_int_eq(net_start(&net), 0);
	ck_assert(sees("a") && sees("b") && !seen->is_switch);
	ck_assert_uint_eq(num_attached, 1);
}
END_TEST

START_TEST(a_third_port_makes_a_switch_for_good)
{
	wire();
	add_guest("c");
	ck_assert(seen->is_switch && seen->fabric && sees("c"));
	net_remove_port(&net, "c");
	ck_assert(seen->is_switch && !sees("c"));
}
END_TEST

START_TEST(two_ports_are_a_switch_if_asked_for)
{
	net.opt.is_switch = true;
	wire();
	ck_assert(seen->is_switch);
}
END_TEST

/* Out of the picture, then a grace, then closed; and its number is free when that is over. */
START_TEST(a_guest_goes_in_steps)
{
	uint32_t generation;

	wire();
	end_all();
	generation = seen->ports[0]->generation;
	ck_assert_int_eq(net_remove_port(&net, "a"), 0);
	ck_assert(!sees("a"));
	ck_assert_uint_eq(num_closing, 0);
	ck_assert_int_eq(net_remove_port(&net, "a"), -ENOENT);
	end_all();
	ck_assert_uint_eq(num_closing, 1);
	add_guest("a"); /* of the same name, while the other one's session ends */
	ck_assert_uint_ne(net_find_port(&net, "a")->id, 0);
	end_sessions();
	add_guest("d");
	ck_assert_uint_eq(net_find_port(&net, "d")->id, 0);
	ck_assert_uint_ne(net_find_port(&net, "d")->generation, generation);
}
END_TEST

START_TEST(a_device_goes_in_steps)
{
	wire();
	end_all();
	net_remove_port(&net, "b");
	ck_assert_uint_eq(num_attached, 0);
	ck_assert_uint_eq(num_open, 2);
	end_all();
	ck_assert_uint_eq(num_open, 1);
}
END_TEST

START_TEST(a_picture_outlives_its_lcores)
{
	const struct net_topology *first;

	wire();
	first = seen;
	add_host("c");
	ck_assert_ptr_ne(seen, first);
	ck_assert_ptr_null(first->ports[2]); /* as it was: AddressSanitizer sees to that */
	end_all();
}
END_TEST

START_TEST(what_cannot_be_opened_leaves_nothing)
{
	wire();
	open_result = -EADDRINUSE;
	ck_assert_int_eq(add("name=c,socket=/c"), -EADDRINUSE);
	ck_assert_str_eq(error, "somebody listens there");
	ck_assert_int_eq(add("name=c,dpdk=net_null7"), -EADDRINUSE);
	ck_assert_str_eq(error, "no such device");
	open_result = 0;
	ck_assert_int_eq(add("name=a,dpdk=net_null7"), -EEXIST);
	ck_assert_uint_eq(num_open, 2);
	ck_assert(!seen->is_switch);
	for (unsigned i = 2; i < NET_MAX_PORTS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "h%u", i);
		add_host(name);
	}
	ck_assert_int_eq(add("name=x,dpdk=net_null99"), -ENOSPC);
	end_all();
}
END_TEST

/* --- links --- */

START_TEST(a_cable_s_other_end_is_told)
{
	wire();
	add_guest("x"); /* no cable any more */
	net_remove_port(&net, "x");
	end_all();
	end_sessions();
	ck_assert_int_eq(link_told[0], true); /* on a switch others are there */
	net_set_link(&net, net.ports[0], false);
	ck_assert_int_eq(link_told[0], false); /* though it was not ready */

	memset(&net.ports, 0, sizeof(net.ports)); /* and now another one, of two guests */
	memset(&net.slots, 0, sizeof(net.slots));
	net.is_switch = false;
	add_guest("g");
	add_guest("h");
	ck_assert_int_eq(link_told[0], false);
	ck_assert_str_eq(net_told_down(&net, net.ports[0]), "other end of the cable is down");
	net_port_set_ready(net.ports[1], true, NULL);
	ck_assert_int_eq(link_told[0], true);
	ck_assert_int_eq(link_told[1], false); /* g is not ready */
	net_port_set_ready(net.ports[1], false, "driver not ready");
	ck_assert_int_eq(link_told[0], false);
	net_port_set_ready(net.ports[1], true, NULL);
	net_set_link(&net, net.ports[1], false);
	ck_assert_int_eq(link_told[0], false);
	ck_assert_str_eq(net_told_down(&net, net.ports[1]), "set down");
	ck_assert_str_eq(net.ports[1]->why_down, "set down");
	net_set_link(&net, net.ports[1], true);
	ck_assert_int_eq(link_told[0], true);
	net_remove_port(&net, "h");
	ck_assert_int_eq(link_told[0], false);
	ck_assert_str_eq(net_told_down(&net, net.ports[0]), "no other port");
}
END_TEST

/* --- rates --- */

START_TEST(a_rate_outlives_its_lcores)
{
	struct net_rate *first;

	ck_assert_int_eq(add("name=a,socket=/a,rate-in=1M"), 0);
	add_host("b");
	ck_assert_int_eq(net_start(&net), 0);
	first = net.ports[0]->rate_in;
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_null(net.ports[0]->rate_out);
	ck_assert_int_eq(net_set_rate(&net, net.ports[0], true, 1 << 20), 0);
	ck_assert_ptr_ne(net.ports[0]->rate_in, first); /* not freed yet */
	ck_assert_int_eq(net_set_rate(&net, net.ports[0], true, 0), 0);
	ck_assert_ptr_null(net.ports[0]->rate_in);
	end_all();
}
END_TEST

/* --- the end --- */

static bool timed_out;

static void on_time(struct loop_timer *timer)
{
	(void)timer;
	timed_out = true;
	loop_quit(net.daemon.loop);
}

/* ended - was the loop told to quit? */
static bool ended(void)
{
	struct loop_timer timer = {0};

	timed_out = false;
	loop_timer_set(net.daemon.loop, &timer, 5, on_time);
	loop_run(net.daemon.loop);
	loop_timer_cancel(net.daemon.loop, &timer);
	return !timed_out;
}

START_TEST(it_ends_when_all_is_over)
{
	wire();
	add_guest("c");
	net_end(&net);
	net_end(&net);
	ck_assert_uint_eq(num_attached, 0);
	while (num_waiting) {
		ck_assert(!ended());
		end_grace();
	}
	ck_assert(!ended());
	end_sessions();
	ck_assert(!ended()); /* the switch may wait, too */
	ck_assert_uint_eq(num_waiting, 1);
	net_end(&net); /* a second signal */
	ck_assert_uint_eq(num_waiting, 1);
	end_all();
	ck_assert(ended());
	ck_assert_uint_eq(num_open, 0);
	net_free(&net);
}
END_TEST

/* A wait that takes long is waited for, whatever else is over. */
START_TEST(it_ends_after_every_wait)
{
	struct net_grace *late;

	wire();
	end_all();
	net_set_rate(&net, net.ports[0], true, 1 << 20);
	late = waiting[--num_waiting];
	net_end(&net);
	end_all();
	end_sessions();
	ck_assert_uint_eq(num_waiting, 0);
	late->done(late);
	ck_assert_uint_eq(num_waiting, 1);
	end_all();
	ck_assert(ended());
	net_free(&net);
}
END_TEST

START_TEST(it_ends_without_any_port)
{
	wire();
	net_remove_port(&net, "a");
	net_remove_port(&net, "b");
	end_all();
	end_sessions();
	net_end(&net);
	end_all();
	ck_assert(ended());
	net_free(&net);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_wiring");
	TCase *tc = tcase_create("wiring");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, nothing_is_wired_before_the_start);
	tcase_add_test(tc, a_third_port_makes_a_switch_for_good);
	tcase_add_test(tc, two_ports_are_a_switch_if_asked_for);
	tcase_add_test(tc, a_guest_goes_in_steps);
	tcase_add_test(tc, a_device_goes_in_steps);
	tcase_add_test(tc, a_picture_outlives_its_lcores);
	tcase_add_test(tc, what_cannot_be_opened_leaves_nothing);
	tcase_add_test(tc, a_cable_s_other_end_is_told);
	tcase_add_test(tc, a_rate_outlives_its_lcores);
	tcase_add_test(tc, it_ends_when_all_is_over);
	tcase_add_test(tc, it_ends_after_every_wait);
	tcase_add_test(tc, it_ends_without_any_port);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
