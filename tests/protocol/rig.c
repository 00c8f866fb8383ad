/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.c - set-up, one echo round trip, and what must be true after every attack.
 * Tests only.
 */
#include "tests/protocol/rig.h"

#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define ECHO_BYTES 1500

struct rig rig;

struct held held_now(void)
{
	return held_by(getpid());
}

void rig_setup(const struct echo_options *options)
{
	struct fe_ring_options ring = {
		.size = options && options->ring_size ? options->ring_size : RIG_RING_SIZE,
		.packed = options && options->packed,
		.event_idx = true,
	};

	memset(&rig, 0, sizeof(rig));
	log_set_level(getenv("RIG_LOG") ? getenv("RIG_LOG") : "error");
	daemon_start(&rig.daemon, options);
	rig.echo = &rig.daemon.echo[0];
	rig.fe.sock = rig.fe.channel_fd = -1;
	fe_memory_init(&rig.mem);
	ck_assert_int_eq(fe_memory_add(&rig.mem, RIG_GPA, RIG_MEM_BYTES, false), 0);
	for (unsigned i = 0; i < ECHO_MAX_QUEUES; i++) {
		ck_assert_int_eq(fe_ring_init(&rig.ring[i], &rig.mem, &ring), 0);
		ck_assert_int_eq(fe_alloc(&rig.mem, 4096, 4096, &rig.out[i]), 0);
		ck_assert_int_eq(fe_alloc(&rig.mem, 4096, 4096, &rig.in[i]), 0);
	}
	rig.before = held_now();
}

void rig_default(void)
{
	rig_setup(NULL);
}

void rig_packed(void)
{
	rig_setup(&(struct echo_options){.packed = true});
}

void rig_teardown(void)
{
	fe_close(&rig.fe);
	daemon_stop(&rig.daemon);
	for (unsigned i = 0; i < ECHO_MAX_QUEUES; i++)
		fe_ring_free(&rig.ring[i]);
	fe_memory_free(&rig.mem);
}

void rig_connect_fe(struct fe *fe, const struct echo *echo)
{
	ck_assert_int_eq(fe_connect(fe, echo->path), 0);
	if (echo == rig.echo)
		rig.connects++;
}

void rig_connect(void)
{
	rig_connect_fe(&rig.fe, rig.echo);
}

void rig_negotiate(void)
{
	rig_connect();
	ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES, ALL_FEATURES), 0);
	ck_assert(fe_has(&rig.fe, VU_PF_REPLY_ACK));
}

void rig_ready_fe(struct fe *fe, const struct echo *echo, unsigned num_rings)
{
	rig_connect_fe(fe, echo);
	ck_assert_int_eq(fe_negotiate(fe, ALL_FEATURES, ALL_FEATURES), 0);
	ck_assert_int_eq(fe_set_mem_table(fe, &rig.mem), 0);
	for (unsigned i = 0; i < num_rings; i++)
		ck_assert_int_eq(fe_ring_start(fe, i, &rig.ring[i]), 0);
}

void rig_ready(unsigned num_rings)
{
	rig_ready_fe(&rig.fe, rig.echo, num_rings);
}

void rig_submit(unsigned ring)
{
	struct fe_buf bufs[2] = {
		{.gpa = rig.out[ring].gpa, .len = ECHO_BYTES},
		{.gpa = rig.in[ring].gpa, .len = ECHO_BYTES},
	};

	rig.rounds++;
	for (unsigned i = 0; i < ECHO_BYTES; i++)
		rig.out[ring].host[i] = (uint8_t)(i * 7 + rig.rounds);
	memset(rig.in[ring].host, 0, ECHO_BYTES);
	ck_assert_int_ge(fe_ring_add(&rig.ring[ring], bufs, 1, 1), 0);
	fe_ring_publish(&rig.ring[ring]);
	fe_ring_kick(&rig.ring[ring]);
}

void rig_answer(unsigned ring)
{
	struct fe_used used = {0};

	ck_assert_int_eq(fe_ring_wait(&rig.ring[ring], 5000), 0);
	ck_assert_int_eq(fe_ring_poll(&rig.ring[ring], &used, 1), 1);
	ck_assert_uint_eq(used.len, ECHO_BYTES);
	ck_assert_mem_eq(rig.in[ring].host, rig.out[ring].host, ECHO_BYTES);
}

void rig_silence(unsigned ring)
{
	ck_assert_int_eq(fe_ring_wait(&rig.ring[ring], 50), -ETIMEDOUT);
}

void rig_echo(unsigned ring)
{
	rig_submit(ring);
	rig_answer(ring);
}

void rig_break(unsigned ring)
{
	struct fe_ring *r = &rig.ring[ring];

	fe_store16(&r->avail->idx, (uint16_t)(r->published + r->size + 1));
	fe_ring_notify(r);
}

void rig_hangup(void)
{
	fe_close(&rig.fe);
	wait_for(echo_count(rig.echo, disconnects) == rig.connects);
}

/* The back-end closes its end a moment after it has let go of the session. */
static void nothing_leaked(void)
{
	held_back(getpid(), rig.before);
}

void rig_survived(void)
{
	rig_hangup();
	nothing_leaked();
	comes_to_rest(getpid());
	for (unsigned i = 0; i < ECHO_MAX_QUEUES; i++)
		fe_ring_reset(&rig.ring[i]);
	rig_ready(1);
	rig_echo(0);
	rig_hangup();
	nothing_leaked();
}

void rig_closed(void)
{
	ck_assert_int_eq(fe_await_close(&rig.fe, 5000), 0);
}

void rig_others_go_on(void)
{
	struct fe other;

	ck_assert_int_eq(fe_connect(&other, rig.daemon.echo[1].path), 0);
	ck_assert_int_eq(fe_sync(&other), 0);
	fe_close(&other);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
}

uint64_t rig_loop_cpu_us(void)
{
	struct timespec from, to;
	clockid_t clock;

	ck_assert_int_eq(pthread_getcpuclockid(rig.daemon.thread, &clock), 0);
	clock_gettime(clock, &from);
	usleep(200000);
	clock_gettime(clock, &to);
	return (uint64_t)((to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
}

struct vu_msg request(uint32_t number, uint32_t size)
{
	struct vu_msg msg;

	vu_msg_init(&msg, number);
	msg.hdr.size = size;
	return msg;
}

static int sent_for_ack(struct vu_msg msg)
{
	ck_assert(fe_has(&rig.fe, VU_PF_REPLY_ACK));
	return fe_request(&rig.fe, &msg);
}

void refused(struct vu_msg msg)
{
	ck_assert_int_eq(sent_for_ack(msg), -EREMOTEIO);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
}

void accepted(struct vu_msg msg)
{
	ck_assert_int_eq(sent_for_ack(msg), 0);
}

void closes(struct vu_msg msg)
{
	ck_assert_int_eq(fe_send(&rig.fe, &msg), 0);
	rig_closed();
}

bool all_bytes(const void *from, size_t bytes, uint8_t value)
{
	for (size_t i = 0; i < bytes; i++) {
		if (((const uint8_t *)from)[i] != value)
			return false;
	}
	return true;
}

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
