/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_net_ctrl.c - the control queue that the VMM answers: commands as drivers send them, and as
 * they should not. Tests vmm/net_ctrl. The driver is the front-end library's.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <sys/mman.h>

#include "tests/unit/support.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/util.h"
#include "vhost/frontend/ring.h"
#include "vmm/net_ctrl.h"

#define GPA       0x100000ull
#define MEM_BYTES (1u << 20)
#define SIZE      64
#define MAX_PAIRS 4
#define NEXT      VRING_DESC_F_NEXT
#define WRITE     VRING_DESC_F_WRITE
#define INDIRECT  VRING_DESC_F_INDIRECT
#define BIT(n)    (1ull << (n))
#define ALL                                                                                        \
	(BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | \
	 BIT(VIRTIO_NET_F_CTRL_VLAN) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT(VIRTIO_NET_F_MQ) |   \
	 BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC))

static struct loop *loop;
static struct fe_memory mem;
static struct fe_ring ring;
static struct fe_mem page; /* command, and answer at its end */
static struct net_ctrl_queue *ctrl;
static struct virtio_queue queue;
static unsigned pairs, announced, broken;
static bool may_run;

static bool on_may_run(void *ctx)
{
	(void)ctx;
	return may_run;
}

static bool on_set_pairs(void *ctx, unsigned n)
{
	(void)ctx;
	if (n < 1 || n > MAX_PAIRS)
		return false;
	pairs = n;
	return true;
}

static void on_announced(void *ctx)
{
	(void)ctx;
	announced++;
}

static void on_broken(void *ctx)
{
	(void)ctx;
	broken++;
}

static const struct net_ctrl_ops ops = {
	.may_run = on_may_run,
	.set_pairs = on_set_pairs,
	.announced = on_announced,
	.broken = on_broken,
};

static uint64_t gpa_of(uint64_t host)
{
	return GPA + (host - (uintptr_t)mem.regions[0].host);
}

static void start(uint64_t features)
{
	struct fe_ring_options options = {
		.size = SIZE,
		.packed = features & BIT(VIRTIO_F_RING_PACKED),
		.event_idx = features & BIT(VIRTIO_RING_F_EVENT_IDX),
	};
	struct vu_vring_addr addr;

	ck_assert_int_eq(loop_create(&loop), 0);
	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, GPA, MEM_BYTES, false), 0);
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), 0);
	ck_assert_int_eq(fe_alloc(&mem, 65536, 4096, &page), 0);
	addr = fe_ring_wire_addr(&ring, 0);
	queue = (struct virtio_queue){
		.size = SIZE,
		.max_size = SIZE,
		.enabled = true,
		.desc_gpa = gpa_of(addr.desc_uva),
		.driver_gpa = gpa_of(addr.avail_uva),
		.device_gpa = gpa_of(addr.used_uva),
		.kick_fd = ring.kick_fd,
		.call_fd = ring.call_fd,
	};
	may_run = true;
	ck_assert_int_eq(net_ctrl_create(&ctrl, "net0", &mem, loop, &ops, NULL), 0);
	ck_assert_int_eq(net_ctrl_start(ctrl, 2, &queue, features), 0);
	ck_assert(net_ctrl_runs(ctrl));
}

static void stop(void)
{
	net_ctrl_destroy(ctrl);
	fe_ring_free(&ring);
	fe_memory_free(&mem);
	loop_destroy(loop);
}

static void on_turn_over(struct loop_timer *timer)
{
	(void)timer;
	loop_quit(loop);
}

static void turn(unsigned ms)
{
	struct loop_timer timer = {0};

	loop_timer_set(loop, &timer, ms, on_turn_over);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_timer_cancel(loop, &timer);
}

#define ACK_AT 65535u

/* say - a command of @bytes in pieces of @piece. Return: the answer. */
static uint8_t say_in(const void *command, uint32_t bytes, uint32_t piece)
{
	struct fe_buf bufs[40];
	struct fe_used used;
	unsigned n = 0;

	memcpy(page.host, command, bytes);
	page.host[ACK_AT] = 0xee;
	for (uint32_t at = 0; at < bytes; at += piece)
		bufs[n++] = (struct fe_buf){page.gpa + at, min_of(piece, bytes - at)};
	bufs[n] = (struct fe_buf){page.gpa + ACK_AT, 1};
	ck_assert_int_ge(fe_ring_add(&ring, bufs, n, 1), 0);
	fe_ring_publish(&ring);
	fe_ring_kick(&ring);
	turn(1);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), 1);
	ck_assert_uint_eq(used.len, 1);
	return page.host[ACK_AT];
}

static uint8_t say(const void *command, uint32_t bytes)
{
	return say_in(command, bytes, bytes);
}

#define SAY(...)                                       \
	({                                             \
		const uint8_t said_[] = {__VA_ARGS__}; \
		say(said_, sizeof(said_));             \
	})

/* --- what drivers say --- */

static const uint64_t formats[] = {
	ALL,
	ALL | BIT(VIRTIO_RING_F_EVENT_IDX),
	ALL | BIT(VIRTIO_F_RING_PACKED),
	ALL | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_EVENT_IDX),
};

START_TEST(commands_are_obeyed_in_any_ring_format)
{
	start(formats[_i]);
	for (unsigned i = 0; i < 3 * SIZE; i++) {
		fe_ring_interrupts_on(&ring);
		ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, (uint8_t)(1 + i % MAX_PAIRS), 0),
				  VIRTIO_NET_OK);
		ck_assert_uint_eq(pairs, 1 + i % MAX_PAIRS);
		ck_assert(eventfd_drain(ring.call_fd));
	}
	stop();
}
END_TEST

START_TEST(a_command_may_come_in_pieces)
{
	const uint8_t set[] = {VIRTIO_NET_CTRL_MQ, 0, 3, 0};

	start(ALL);
	for (uint32_t piece = 1; piece <= sizeof(set); piece++) {
		pairs = 0;
		ck_assert_uint_eq(say_in(set, sizeof(set), piece), VIRTIO_NET_OK);
		ck_assert_uint_eq(pairs, 3);
	}
	stop();
}
END_TEST

START_TEST(pairs_are_checked)
{
	start(ALL);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, 0, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, MAX_PAIRS + 1, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, 1, 1), VIRTIO_NET_ERR); /* 257 */
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 1, 1, 0), VIRTIO_NET_ERR); /* RSS */
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, 1, 0, 0), VIRTIO_NET_ERR); /* too long */
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, 1), VIRTIO_NET_ERR); /* too short */
	ck_assert_uint_eq(pairs, 0);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, MAX_PAIRS, 0), VIRTIO_NET_OK);
	ck_assert_uint_eq(pairs, MAX_PAIRS);
	stop();
}
END_TEST

START_TEST(what_needs_no_filter_is_agreed_to)
{
	start(ALL);
	for (uint8_t mode = 0; mode <= VIRTIO_NET_CTRL_RX_NOBCAST; mode++) {
		ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_RX, mode, 1), VIRTIO_NET_OK);
		ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_RX, mode, 2), VIRTIO_NET_ERR);
		ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_RX, mode), VIRTIO_NET_ERR);
	}
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_RX, 6, 1), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_VLAN, 0, 0xff, 0x0f), VIRTIO_NET_OK);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_VLAN, 1, 5, 0), VIRTIO_NET_OK);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_VLAN, 0, 0, 0x10), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_VLAN, 2, 5, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_ANNOUNCE, 0), VIRTIO_NET_OK);
	ck_assert_uint_eq(announced, 1);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_ANNOUNCE, 1), VIRTIO_NET_ERR);
	ck_assert_uint_eq(announced, 1);
	stop();
}
END_TEST

/* A driver that did not accept a feature may not use it. */
START_TEST(what_was_not_negotiated_is_refused)
{
	start(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_CTRL_VQ));
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, 1, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_RX, 0, 1), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_RX, 3, 1), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_VLAN, 0, 5, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_ANNOUNCE, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MAC, 0, 0, 0, 0, 0, 0, 0, 0, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(pairs + announced, 0);
	stop();
}
END_TEST

START_TEST(mac_tables_are_agreed_to)
{
	uint8_t command[2 + 4 + 3 * 6 + 4 + 60 * 6] = {VIRTIO_NET_CTRL_MAC, 0, 3};

	start(ALL);
	command[2 + 4 + 3 * 6] = 60;
	ck_assert_uint_eq(say(command, sizeof(command)), VIRTIO_NET_OK);
	ck_assert_uint_eq(say_in(command, sizeof(command), 13), VIRTIO_NET_OK);
	stop();
}
END_TEST

/* --- what they should not (45 of hostile inputs) --- */

START_TEST(mac_tables_that_do_not_fit_their_command)
{
	static const uint32_t entries[] = {1, 2, 0xff, 0xffff, 0x2aaaaaab, 0x7fffffff, 0xffffffff};
	uint8_t command[64] = {VIRTIO_NET_CTRL_MAC, 0};

	start(ALL);
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		memset(command + 2, 0, sizeof(command) - 2);
		memcpy(command + 2, &entries[i], 4);
		ck_assert_uint_eq(say(command, 10), VIRTIO_NET_ERR);
		memset(command + 2, 0, 4);
		memcpy(command + 6, &entries[i], 4);
		ck_assert_uint_eq(say(command, 10), VIRTIO_NET_ERR);
	}
	memset(command + 2, 0, 8);
	ck_assert_uint_eq(say(command, 10), VIRTIO_NET_OK);
	ck_assert_uint_eq(say(command, 11), VIRTIO_NET_ERR);
	ck_assert_uint_eq(say(command, 9), VIRTIO_NET_ERR);
	ck_assert_uint_eq(say(command, 2), VIRTIO_NET_ERR);
	command[1] = 1; /* an address: not offered */
	ck_assert_uint_eq(say(command, 8), VIRTIO_NET_ERR);
	stop();
}
END_TEST

START_TEST(short_and_unknown_commands)
{
	start(ALL);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ), VIRTIO_NET_ERR);
	for (unsigned class = 5; class < 256; class ++)
		ck_assert_uint_eq(SAY((uint8_t) class, 0, 1, 0), VIRTIO_NET_ERR);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 255, 1, 0), VIRTIO_NET_ERR);
	stop();
}
END_TEST

/* lay - descriptors as they are, made available. Split. */
static void lay(const struct vring_desc *desc, unsigned num, uint16_t head)
{
	uint16_t idx = le16toh(ring.avail->idx);

	memcpy(ring.desc, desc, num * sizeof(*desc));
	ring.avail->ring[idx % SIZE] = htole16(head);
	__atomic_store_n(&ring.avail->idx, htole16((uint16_t)(idx + 1)), __ATOMIC_RELEASE);
	eventfd_signal(ring.kick_fd);
	turn(1);
}

/* The answer would be where the last writable byte is; the head comes back in any case. */
static const struct {
	const char *what;
	struct vring_desc desc[3]; /* addr: offset in the page */
	unsigned num;
	bool acked;
} bad_chains[] = {
	{"a circle", {{0, 2, NEXT, 1}, {2, 2, NEXT, 0}}, 2, false},
	{"a circle of one", {{0, 4, NEXT, 0}}, 1, false},
	{"a next index outside", {{0, 4, NEXT, SIZE}}, 1, false},
	{"no room for an answer", {{0, 4, 0, 0}}, 1, false},
	{"an answer of no bytes", {{0, 4, NEXT, 1}, {ACK_AT, 0, WRITE, 0}}, 2, false},
	{"nothing to read", {{ACK_AT, 1, WRITE, 0}}, 1, true},
	{"the answer first", {{ACK_AT, 1, WRITE | NEXT, 1}, {0, 4, 0, 0}}, 2, false},
	{"a command outside RAM", {{1ull << 40, 4, NEXT, 1}, {ACK_AT, 1, WRITE, 0}}, 2, true},
	{"a command that wraps", {{-64ull, 128, NEXT, 1}, {ACK_AT, 1, WRITE, 0}}, 2, true},
	{"a command over the end",
	 {{MEM_BYTES - 8, 0xffffffff, NEXT, 1}, {ACK_AT, 1, WRITE, 0}},
	 2,
	 true},
	{"an answer outside RAM", {{0, 4, NEXT, 1}, {1ull << 40, 1, WRITE, 0}}, 2, false},
	{"a table of odd length", {{0, 17, INDIRECT, 0}}, 1, false},
	{"a table outside RAM", {{1ull << 40, 32, INDIRECT, 0}}, 1, false},
};

START_TEST(chains_that_are_no_commands)
{
	struct vring_desc desc[3];
	uint8_t set[] = {VIRTIO_NET_CTRL_MQ, 0, 2, 0};

	start(ALL);
	memcpy(page.host, set, sizeof(set));
	page.host[ACK_AT] = 0xee;
	memcpy(desc, bad_chains[_i].desc, sizeof(desc));
	for (unsigned i = 0; i < bad_chains[_i].num; i++)
		desc[i].addr += page.gpa;
	lay(desc, bad_chains[_i].num, 0);
	ck_assert_uint_eq(le16toh(ring.used->idx), 1);
	ck_assert_uint_eq(page.host[ACK_AT], bad_chains[_i].acked ? VIRTIO_NET_ERR : 0xee);
	ck_assert_uint_eq(pairs, 0);
	ck_assert_uint_eq(broken, 0);
	/* The next one is obeyed. */
	desc[0] = (struct vring_desc){page.gpa, 4, NEXT, 1};
	desc[1] = (struct vring_desc){page.gpa + ACK_AT, 1, WRITE, 0};
	lay(desc, 2, 0);
	ck_assert_uint_eq(le16toh(ring.used->idx), 2);
	ck_assert_uint_eq(page.host[ACK_AT], VIRTIO_NET_OK);
	ck_assert_uint_eq(pairs, 2);
	stop();
}
END_TEST

START_TEST(a_ring_that_is_wrong_in_itself_stops)
{
	struct vring_desc desc = {page.gpa, 4, 0, 0};

	start(ALL);
	if (_i == 0) {
		lay(&desc, 1, SIZE); /* no such head */
	} else {
		ring.avail->idx = htole16(SIZE + 1);
		eventfd_signal(ring.kick_fd);
		turn(1);
	}
	ck_assert_uint_eq(broken, 1);
	eventfd_signal(ring.kick_fd);
	turn(1);
	ck_assert_uint_eq(broken, 1);
	stop();
}
END_TEST

/* A driver that has the next command ready whenever one is obeyed does not get the loop for itself. */
static bool one_more(void *ctx, unsigned n)
{
	uint16_t idx = le16toh(ring.avail->idx);

	(void)ctx;
	(void)n;
	pairs++;
	ring.avail->ring[idx % SIZE] = 0;
	__atomic_store_n(&ring.avail->idx, htole16((uint16_t)(idx + 1)), __ATOMIC_RELEASE);
	return true;
}

START_TEST(endless_commands_leave_others_their_turn)
{
	static const struct net_ctrl_ops greedy = {
		.may_run = on_may_run,
		.set_pairs = one_more,
		.announced = on_announced,
		.broken = on_broken,
	};
	const uint8_t set[] = {VIRTIO_NET_CTRL_MQ, 0, 2, 0};
	struct vring_desc desc[2];

	start(ALL);
	net_ctrl_destroy(ctrl);
	ck_assert_int_eq(net_ctrl_create(&ctrl, "net0", &mem, loop, &greedy, NULL), 0);
	ck_assert_int_eq(net_ctrl_start(ctrl, 2, &queue, ALL), 0);
	memcpy(page.host, set, sizeof(set));
	desc[0] = (struct vring_desc){page.gpa, 4, NEXT, 1};
	desc[1] = (struct vring_desc){page.gpa + ACK_AT, 1, WRITE, 0};
	lay(desc, 2, 0); /* comes back */
	for (unsigned i = 0; i < 20; i++)
		turn(0);
	ck_assert_uint_gt(pairs, SIZE); /* and in the end they are all served */
	ck_assert_uint_eq(pairs % SIZE, 0);
	stop();
}
END_TEST

START_TEST(nothing_is_touched_while_it_may_not_run)
{
	struct vring_desc desc[2];

	start(ALL);
	desc[0] = (struct vring_desc){page.gpa, 4, NEXT, 1};
	desc[1] = (struct vring_desc){page.gpa + ACK_AT, 1, WRITE, 0};
	page.host[ACK_AT] = 0xee;
	may_run = false;
	lay(desc, 2, 0);
	ck_assert_uint_eq(ring.used->idx, 0);
	ck_assert_uint_eq(page.host[ACK_AT], 0xee);
	may_run = true;
	net_ctrl_stop(ctrl);
	ck_assert(!net_ctrl_runs(ctrl));
	eventfd_signal(ring.kick_fd);
	turn(1);
	ck_assert_uint_eq(ring.used->idx, 0);
	stop();
}
END_TEST

START_TEST(a_ring_that_is_not_in_ram_is_refused)
{
	struct virtio_queue q;

	start(ALL);
	for (unsigned i = 0; i < 6; i++) {
		q = queue;
		if (i == 0)
			q.desc_gpa = GPA + MEM_BYTES - 16;
		else if (i == 1)
			q.driver_gpa = 0;
		else if (i == 2)
			q.device_gpa = -4ull;
		else if (i == 3)
			q.desc_gpa += 8;
		else if (i == 4)
			q.size = 3;
		else
			q.size = 0;
		ck_assert_int_lt(net_ctrl_start(ctrl, 2, &q, ALL), 0);
		ck_assert(!net_ctrl_runs(ctrl));
	}
	ck_assert_int_eq(net_ctrl_start(ctrl, 2, &queue, ALL), 0);
	ck_assert_uint_eq(SAY(VIRTIO_NET_CTRL_MQ, 0, 2, 0), VIRTIO_NET_OK);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_net_ctrl");
	TCase *tc = tcase_create("net_ctrl");

	tcase_add_loop_test(tc, commands_are_obeyed_in_any_ring_format, 0, ARRAY_SIZE(formats));
	tcase_add_test(tc, a_command_may_come_in_pieces);
	tcase_add_test(tc, pairs_are_checked);
	tcase_add_test(tc, what_needs_no_filter_is_agreed_to);
	tcase_add_test(tc, what_was_not_negotiated_is_refused);
	tcase_add_test(tc, mac_tables_are_agreed_to);
	tcase_add_test(tc, mac_tables_that_do_not_fit_their_command);
	tcase_add_test(tc, short_and_unknown_commands);
	tcase_add_loop_test(tc, chains_that_are_no_commands, 0, ARRAY_SIZE(bad_chains));
	tcase_add_loop_test(tc, a_ring_that_is_wrong_in_itself_stops, 0, 2);
	tcase_add_test(tc, endless_commands_leave_others_their_turn);
	tcase_add_test(tc, nothing_is_touched_while_it_may_not_run);
	tcase_add_test(tc, a_ring_that_is_not_in_ram_is_refused);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
