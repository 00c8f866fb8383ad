/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_guest.c - a guest's control queue over the wire: commands in any framing, hostile ones,
 * and what stays of what a driver set when rings stop, memory changes, another driver comes, the
 * daemon is another one, or the guest moves. Tests net/guest, net/ctrl_queue, net/guest_state.
 */
#include <linux/virtio_net.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>

#include "net/guest.h"
#include "tests/unit/support.h"
#include "vhost/frontend/frontend.h"

#define PAIRS     4
#define CTRL      (2u * PAIRS)
#define GPA       0x100000000ull
#define MEM_BYTES (1u << 20)
#define RING_SIZE 64
#define NO_BYTES  0xee /* of an acknowledgement that nobody wrote */

#define BIT(n)     (1ull << (n))
#define WANTED     ~(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) | BIT(VU_F_LOG_ALL))
#define NO_CHANNEL ~VU_BIT(VU_PF_INBAND_NOTIFICATIONS)

/* The daemon: a loop with one guest. There are no lcores, and so no wait for them. */
static struct {
	struct loop *loop;
	pthread_t thread;
	struct net_guest *guest;
	struct net_port_options options;
	char dir[32], path[64];
	sem_t done;
	struct mail mail;
	void (*fn)(void);
} host;

static struct fe fe;
static struct fe_memory mem;
static struct fe_ring ring;
static struct fe_mem out, in;
static struct net_guest_config seen; /* of the daemon's */
static uint16_t status;
static bool packed;

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};

/* --- the daemon --- */

static void run_fn(struct mail *mail)
{
	(void)mail;
	host.fn();
	sem_post(&host.done);
}

static void call(void (*fn)(void))
{
	host.fn = fn;
	loop_post(host.loop, &host.mail, run_fn);
	while (sem_wait(&host.done) < 0)
		;
}

static void *run_loop(void *arg)
{
	(void)arg;
	ck_assert_int_eq(loop_run(host.loop), 0);
	return NULL;
}

static void host_start(void)
{
	ck_assert_int_eq(loop_create(&host.loop), 0);
	ck_assert_int_eq(net_guest_create(&host.guest, host.loop, 0, 1, &host.options), 0);
	ck_assert_int_eq(endpoint_listen(&host.guest->dev.endpoint, host.loop, host.path, 0600), 0);
	vu_device_start(&host.guest->dev);
	ck_assert_int_eq(pthread_create(&host.thread, NULL, run_loop, NULL), 0);
}

static void quit(struct mail *mail)
{
	(void)mail;
	loop_quit(host.loop);
}

/* Behind what the last change of its configuration posted. */
static void closed(struct net_guest *guest)
{
	(void)guest;
	loop_post(host.loop, &host.mail, quit);
}

static void close_guest(void)
{
	net_guest_close(host.guest, closed);
}

static void host_stop(void)
{
	static struct mail mail;

	host.fn = close_guest;
	loop_post(host.loop, &mail, run_fn);
	pthread_join(host.thread, NULL);
	while (sem_wait(&host.done) < 0)
		;
	loop_destroy(host.loop);
}

static void read_config(void)
{
	seen = *host.guest->config;
}

static const struct net_guest_config *config(void)
{
	call(read_config);
	return &seen;
}

/* --- the front-end --- */

static void set_up(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_set_level(getenv("RIG_LOG") ? getenv("RIG_LOG") : "error");
	sem_init(&host.done, 0, 0);
	strcpy(host.dir, "/tmp/ringside-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(host.dir));
	snprintf(host.path, sizeof(host.path), "%s/s", host.dir);
	host.options = (struct net_port_options){
		.name = "g", .queues = PAIRS, .queue_size = 256, .has_mac = true};
	memcpy(&host.options.mac, our_mac, 6);
	host_start();
	fe.sock = fe.channel_fd = -1;
	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, GPA, MEM_BYTES, false), 0);
	ck_assert_int_eq(fe_alloc(&mem, 64u << 10, 4096, &out), 0);
	ck_assert_int_eq(fe_alloc(&mem, 4096, 4096, &in), 0);
}

static void tear_down(void)
{
	fe_close(&fe);
	host_stop();
	fe_ring_free(&ring);
	fe_memory_free(&mem);
	unlink(host.path);
	rmdir(host.dir);
}

static uint64_t wanted(void)
{
	return WANTED | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0);
}

static void make_ring(bool is_packed)
{
	const struct fe_ring_options options = {.size = RING_SIZE,
						.packed = is_packed,
						.event_idx = true};

	packed = is_packed;
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), 0);
}

static void start_ring(void)
{
	ck_assert_int_eq(fe_set_mem_table(&fe, &mem), 0);
	ck_assert_int_eq(fe_ring_start(&fe, CTRL, &ring), 0);
}

static void connect_fe(void)
{
	ck_assert_int_eq(fe_connect(&fe, host.path), 0);
	ck_assert_int_eq(fe_negotiate(&fe, wanted(), NO_CHANNEL), 0);
}

/* ready - a driver is at work. */
static void ready(bool is_packed)
{
	make_ring(is_packed);
	connect_fe();
	start_ring();
}

/* restart - another daemon, and the front-end comes back to it. */
static void restart(void)
{
	fe_close(&fe);
	host_stop();
	unlink(host.path);
	host_start();
}

/* answer - to the chain submitted last. Return: the length used. */
static uint32_t answer(void)
{
	struct fe_used used = {0};

	fe_ring_publish(&ring);
	fe_ring_kick(&ring);
	ck_assert_int_eq(fe_ring_wait(&ring, 5000), 0);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), 1);
	return used.len;
}

/* say_cut - a command over buffers of @piece bytes. Return: what was acknowledged. */
static uint8_t say_cut(uint8_t class, uint8_t command, const void *data, uint32_t bytes,
		       uint32_t piece)
{
	struct fe_buf bufs[RING_SIZE];
	unsigned num = 0;

	bytes += 2;
	out.host[0] = class;
	out.host[1] = command;
	if (bytes > 2)
		memcpy(out.host + 2, data, bytes - 2);
	in.host[0] = NO_BYTES;
	for (uint32_t at = 0; at < bytes; at += piece)
		bufs[num++] = (struct fe_buf){out.gpa + at, min_of(piece, bytes - at)};
	bufs[num] = (struct fe_buf){in.gpa, 1};
	ck_assert_int_ge(fe_ring_add(&ring, bufs, num, 1), 0);
	ck_assert_uint_le(answer(), 1);
	return in.host[0];
}

static uint8_t say(uint8_t class, uint8_t command, const void *data, uint32_t bytes)
{
	return say_cut(class, command, data, bytes, 1u << 16);
}

static uint8_t mode(uint8_t which, uint8_t on)
{
	return say(VIRTIO_NET_CTRL_RX, which, &on, 1);
}

static uint8_t set_pairs(uint16_t pairs)
{
	uint16_t le = htole16(pairs);

	return say(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &le, sizeof(le));
}

static uint16_t read_status(void)
{
	uint16_t le;

	ck_assert_int_eq(fe_get_config(&fe, offsetof(struct virtio_net_config, status), 2, &le), 0);
	status = le16toh(le);
	return status;
}

/* set_much - what is worth keeping. */
static void set_much(void)
{
	uint64_t takes = htole64(BIT(VIRTIO_NET_F_GUEST_CSUM));

	ck_assert_uint_eq(mode(VIRTIO_NET_CTRL_RX_ALLMULTI, 1), VIRTIO_NET_OK);
	ck_assert_uint_eq(set_pairs(3), VIRTIO_NET_OK);
	ck_assert_uint_eq(say(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &takes, 8), VIRTIO_NET_OK);
}

static bool has_much(void)
{
	const struct net_guest_config *c = config();

	return c->filters && c->all_multicast && c->num_pairs == 3 &&
	       c->takes == BIT(VIRTIO_NET_F_GUEST_CSUM) && !c->unknown;
}

/* has_nothing - as for a driver that has said nothing to this control queue. */
static bool has_nothing(void)
{
	const struct net_guest_config *c = config();

	return !c->filters && !c->all_multicast && c->num_pairs == 1 && !c->unknown &&
	       c->takes == (fe.features & NET_TAKES);
}

/* --- commands --- */

START_TEST(a_command_may_be_cut_anywhere)
{
	uint8_t macs[8 + 2 * 6] = {[0] = 1, [4] = 2, [10] = 1, [14] = 1};

	ready(_i);
	ck_assert(has_nothing());
	for (uint32_t piece = 1; piece <= sizeof(macs) + 2; piece++) {
		macs[9] = (uint8_t)piece;
		ck_assert_uint_eq(say_cut(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, macs,
					  sizeof(macs), piece),
				  VIRTIO_NET_OK);
		ck_assert_uint_eq(config()->num_unicast, 1);
		ck_assert_mem_eq(&config()->unicast[0], macs + 4, 6);
		ck_assert_mem_eq(&config()->multicast[0], macs + 14, 6);
	}
}
END_TEST

START_TEST(commands_wait_for_their_turn)
{
	struct fe_used used[8];
	unsigned num = 0;

	ready(_i);
	for (unsigned i = 0; i < 8; i++) {
		struct fe_buf bufs[2] = {{out.gpa + 4 * i, 4}, {in.gpa + i, 1}};

		memcpy(out.host + 4 * i,
		       (uint8_t[]){VIRTIO_NET_CTRL_VLAN, i & 1, (uint8_t)(i / 2), 0}, 4);
		in.host[i] = NO_BYTES;
		ck_assert_int_ge(fe_ring_add(&ring, bufs, 1, 1), 0);
	}
	fe_ring_publish(&ring);
	fe_ring_kick(&ring);
	while (num < 8) {
		ck_assert_int_eq(fe_ring_wait(&ring, 5000), 0);
		num += (unsigned)fe_ring_poll(&ring, used + num, 8 - num);
	}
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(in.host[i], VIRTIO_NET_OK);
	ck_assert_uint_eq(config()->vlans[0], 0); /* each was added, then deleted */
}
END_TEST

START_TEST(h45_commands_cut_short_change_nothing)
{
	const uint8_t many[3] = {0xff, 0xff, 0xff};

	ready(_i);
	for (unsigned class = 0; class < 8; class ++) {
		for (unsigned command = 0; command < 3; command++) {
			uint8_t ack = say((uint8_t) class, (uint8_t)command, many, 3);

			ck_assert_uint_eq(ack, VIRTIO_NET_ERR);
		}
	}
	ck_assert(has_nothing());
	ck_assert_uint_eq(mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), VIRTIO_NET_OK);
}
END_TEST

START_TEST(h45_chains_that_are_no_command)
{
	struct fe_buf read = {out.gpa, 3}, write = {in.gpa, 1};

	ready(_i);
	read.gpa = out.gpa;
	write.gpa = in.gpa;
	memcpy(out.host, (uint8_t[]){VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1}, 3);
	in.host[0] = NO_BYTES;
	/* Nowhere to acknowledge it: not carried out. */
	ck_assert_int_ge(fe_ring_add(&ring, &read, 1, 0), 0);
	ck_assert_uint_eq(answer(), 0);
	ck_assert(has_nothing());
	/* No command. */
	ck_assert_int_ge(fe_ring_add(&ring, &write, 0, 1), 0);
	ck_assert_uint_eq(answer(), 1);
	ck_assert_uint_eq(in.host[0], VIRTIO_NET_ERR);
	/* Outside of memory. */
	for (unsigned i = 0; i < 2; i++) {
		struct fe_buf bufs[2] = {read, write};

		bufs[i].gpa = GPA - 4096;
		ck_assert_int_ge(fe_ring_add(&ring, bufs, 1, 1), 0);
		ck_assert_uint_eq(answer(), 0);
	}
	ck_assert(has_nothing());
	ck_assert_uint_eq(mode(VIRTIO_NET_CTRL_RX_PROMISC, 1), VIRTIO_NET_OK);
}
END_TEST

START_TEST(h45_commands_longer_than_any)
{
	uint8_t *table = calloc(1, 60000);

	ready(_i);
	ck_assert_ptr_nonnull(table);
	for (uint32_t bytes = NET_CTRL_BYTES - 4; bytes < 60000; bytes += 17001) {
		memset(table, 0xff, bytes);
		ck_assert_uint_eq(say_cut(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
					  bytes, 4000),
				  VIRTIO_NET_ERR);
		memset(table, 0, bytes);
		table[0] = 0xff; /* 255 addresses, then none, then more than there should be */
		ck_assert_uint_eq(say_cut(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, table,
					  bytes, 4000),
				  VIRTIO_NET_ERR);
	}
	free(table);
	ck_assert(has_nothing());
}
END_TEST

/* A chain that comes back to its first descriptor; split rings only. */
START_TEST(h45_a_chain_that_never_ends)
{
	ready(false);
	memcpy(out.host, (uint8_t[]){VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1}, 3);
	ring.desc[0] = (struct vring_desc){.addr = htole64(out.gpa),
					   .len = htole32(3),
					   .flags = htole16(VRING_DESC_F_NEXT)};
	fe_ring_claim(&ring, 0, 1);
	fe_ring_submit(&ring, 0);
	ck_assert_uint_eq(answer(), 0);
	ck_assert(has_nothing());
}
END_TEST

/* --- what stays, and what does not --- */

START_TEST(rings_that_stop_for_a_moment_change_nothing)
{
	ready(_i);
	set_much();
	/* At every place of the ring, the first among them: a command takes two entries. */
	for (unsigned i = 0; i < RING_SIZE + 4; i++) {
		ck_assert_int_eq(fe_set_mem_table(&fe, &mem), 0);
		ck_assert(has_much());
		ck_assert_uint_eq(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	}
	ck_assert_uint_eq(read_status(), VIRTIO_NET_S_LINK_UP);
}
END_TEST

START_TEST(a_driver_that_was_paused_goes_on)
{
	ready(_i);
	set_much();
	ck_assert_int_eq(fe_ring_stop(&fe, CTRL, &ring), 0);
	ck_assert_int_eq(fe_set_features(&fe, fe.features), 0);
	ck_assert_int_eq(fe_ring_start(&fe, CTRL, &ring), 0);
	ck_assert(has_much());
	ck_assert_uint_eq(set_pairs(2), VIRTIO_NET_OK);
}
END_TEST

START_TEST(a_migration_that_begins_and_ends_changes_nothing)
{
	ready(_i);
	set_much();
	ck_assert_int_eq(fe_set_features(&fe, fe.features | BIT(VU_F_LOG_ALL)), 0);
	ck_assert(has_much());
	ck_assert_int_eq(fe_set_features(&fe, fe.features & ~BIT(VU_F_LOG_ALL)), 0);
	ck_assert(has_much());
}
END_TEST

/* The guest booted anew, with the same driver: it has set nothing. */
START_TEST(another_driver_begins_with_nothing_set)
{
	ready(_i);
	set_much();
	ck_assert_int_eq(fe_ring_stop(&fe, CTRL, &ring), 0);
	fe_ring_reset(&ring);
	ck_assert_int_eq(fe_set_features(&fe, fe.features), 0);
	ck_assert_int_eq(fe_ring_start(&fe, CTRL, &ring), 0);
	ck_assert(has_nothing());
	ck_assert_uint_eq(read_status(), VIRTIO_NET_S_LINK_UP);
	set_much();
	ck_assert(has_much());
}
END_TEST

START_TEST(a_reset_and_a_hangup_forget)
{
	ready(_i);
	set_much();
	ck_assert_int_eq(fe_reset_device(&fe), 0);
	fe_ring_reset(&ring);
	ck_assert_int_eq(fe_ring_start(&fe, CTRL, &ring), 0);
	ck_assert(has_nothing());
	set_much();
	fe_close(&fe);
	fe_ring_reset(&ring);
	connect_fe();
	start_ring();
	ck_assert(has_nothing());
}
END_TEST

/* What it had set is not known: it gets all frames, in the plainest form, and is asked to announce
 * itself. */
START_TEST(a_driver_that_met_another_daemon_before_misses_nothing)
{
	ready(_i);
	set_much();
	restart();
	connect_fe();
	start_ring();
	ck_assert(config()->unknown && !config()->filters && !config()->takes);
	ck_assert_uint_eq(config()->num_pairs, 1); /* no receive queue is known to be filled */
	ck_assert_uint_eq(read_status(), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	ck_assert_uint_eq(say(VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0),
			  VIRTIO_NET_OK);
	ck_assert_uint_eq(read_status(), VIRTIO_NET_S_LINK_UP);
	/* What it sets now is not all it has set. */
	ck_assert_uint_eq(mode(VIRTIO_NET_CTRL_RX_PROMISC, 0), VIRTIO_NET_OK);
	ck_assert(!config()->filters);
}
END_TEST

/* As front-ends do it: some load before the features are set, some after. */
START_TEST(a_guest_that_moves_takes_along_what_it_set)
{
	static uint8_t state[16384];
	ssize_t bytes;

	ready(_i & 1);
	set_much();
	ck_assert_int_eq(fe_ring_stop(&fe, CTRL, &ring), 0);
	bytes = fe_save_state(&fe, state, sizeof(state));
	ck_assert_int_gt(bytes, 0);
	restart();
	if (_i & 2) {
		uint64_t features, protocol;

		ck_assert_int_eq(fe_connect(&fe, host.path), 0);
		ck_assert_int_eq(fe_get_features(&fe, &features), 0);
		ck_assert_int_eq(fe_get_protocol_features(&fe, &protocol), 0);
		ck_assert_int_eq(fe_set_protocol_features(&fe, protocol & NO_CHANNEL), 0);
		ck_assert_int_eq(fe_load_state(&fe, state, (size_t)bytes), 0);
		ck_assert_int_eq(fe_set_features(&fe, features & wanted()), 0);
	} else {
		connect_fe();
		ck_assert_int_eq(fe_load_state(&fe, state, (size_t)bytes), 0);
	}
	start_ring();
	ck_assert(has_much());
	ck_assert(read_status() & VIRTIO_NET_S_ANNOUNCE);
	ck_assert_uint_eq(set_pairs(2), VIRTIO_NET_OK);
}
END_TEST

START_TEST(a_state_that_is_none_is_refused)
{
	static const uint8_t none[100] = "RS-NET";

	ready(_i);
	set_much();
	ck_assert_int_eq(fe_ring_stop(&fe, CTRL, &ring), 0);
	ck_assert_int_eq(fe_load_state(&fe, none, sizeof(none)), -EREMOTEIO);
	ck_assert_int_eq(fe_ring_start(&fe, CTRL, &ring), 0);
	ck_assert(has_much());
}
END_TEST

/* --- what front-ends ask --- */

/* QEMU compares the number of pairs with the answer; others that of rings. */
START_TEST(the_number_of_queues_is_what_who_asks_takes_it_for)
{
	uint64_t n;

	ck_assert_int_eq(fe_connect(&fe, host.path), 0);
	ck_assert_int_eq(fe_negotiate(&fe, WANTED, VU_BIT(VU_PF_MQ) | VU_BIT(VU_PF_RARP)), 0);
	ck_assert_int_eq(fe_get_queue_num(&fe, &n), 0);
	ck_assert_uint_eq(n, PAIRS);
	fe_close(&fe);
	ck_assert_int_eq(fe_connect(&fe, host.path), 0);
	ck_assert_int_eq(fe_negotiate(&fe, WANTED, VU_BIT(VU_PF_MQ)), 0);
	ck_assert_int_eq(fe_get_queue_num(&fe, &n), 0);
	ck_assert_uint_eq(n, 2 * PAIRS + 1);
}
END_TEST

static void down(void)
{
	net_guest_set_link(host.guest, false);
}

START_TEST(a_link_that_goes_down_is_told)
{
	ready(_i);
	ck_assert_int_eq(fe_open_channel(&fe, NULL, NULL), 0);
	ck_assert_uint_eq(read_status(), VIRTIO_NET_S_LINK_UP);
	call(down);
	ck_assert_int_eq(fe_channel_serve(&fe, 5000), 1);
	ck_assert_uint_eq(fe.config_changes, 1);
	ck_assert_uint_eq(read_status(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_guest");
	TCase *c = tcase_create("control queue");

	tcase_add_checked_fixture(c, set_up, tear_down);
	tcase_add_loop_test(c, a_command_may_be_cut_anywhere, 0, 2);
	tcase_add_loop_test(c, commands_wait_for_their_turn, 0, 2);
	tcase_add_loop_test(c, h45_commands_cut_short_change_nothing, 0, 2);
	tcase_add_loop_test(c, h45_chains_that_are_no_command, 0, 2);
	tcase_add_loop_test(c, h45_commands_longer_than_any, 0, 2);
	tcase_add_test(c, h45_a_chain_that_never_ends);
	tcase_add_loop_test(c, rings_that_stop_for_a_moment_change_nothing, 0, 2);
	tcase_add_loop_test(c, a_driver_that_was_paused_goes_on, 0, 2);
	tcase_add_loop_test(c, a_migration_that_begins_and_ends_changes_nothing, 0, 2);
	tcase_add_loop_test(c, another_driver_begins_with_nothing_set, 0, 2);
	tcase_add_loop_test(c, a_reset_and_a_hangup_forget, 0, 2);
	tcase_add_loop_test(c, a_driver_that_met_another_daemon_before_misses_nothing, 0, 2);
	tcase_add_loop_test(c, a_guest_that_moves_takes_along_what_it_set, 0, 4);
	tcase_add_loop_test(c, a_state_that_is_none_is_refused, 0, 2);
	tcase_add_test(c, the_number_of_queues_is_what_who_asks_takes_it_for);
	tcase_add_loop_test(c, a_link_that_goes_down_is_told, 0, 2);
	suite_add_tcase(s, c);
	return run_suite(s);
}
