/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rig.h - a front-end and an echo back-end facing each other, and the checks every test shares.
 * Tests only. One rig per process: Check forks each test.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_RIG_H
#define RINGSIDE_TESTS_PROTOCOL_RIG_H

#include <check.h>
#include <stdlib.h>

#include "tests/protocol/daemon.h"
#include "tests/protocol/footprint.h"
#include "vhost/frontend/frontend.h"

#define RIG_GPA       0x10000000ull
#define RIG_MEM_BYTES (2u << 20)
#define RIG_RING_SIZE 64
#define ALL_FEATURES  UINT64_MAX

struct rig {
	struct daemon daemon;
	struct echo *echo; /* the first device */
	struct fe fe; /* its front-end */
	struct fe_memory mem;
	struct fe_ring ring[ECHO_MAX_QUEUES];
	struct fe_mem out[ECHO_MAX_QUEUES]; /* of each ring: request of rig_echo, a page */
	struct fe_mem in[ECHO_MAX_QUEUES]; /* and the answer */
	unsigned rounds;
	unsigned connects; /* made to the first device */
	struct held before; /* daemon and memory are there, no connection is */
};

extern struct rig rig;

/* rig_setup, rig_teardown - everything but the connection. @options may be NULL. */
void rig_setup(const struct echo_options *options);
void rig_teardown(void);

/* Fixture forms: with the defaults, and the same with packed rings. */
void rig_default(void);
void rig_packed(void);

/* rig_connect - a raw connection. rig_negotiate - with all features, REPLY_ACK included.
 * rig_ready - with memory, and @num_rings rings started. The _fe forms: for a front-end of the
 * test's own, and either device. */
void rig_connect(void);
void rig_connect_fe(struct fe *fe, const struct echo *echo);
void rig_negotiate(void);
void rig_ready(unsigned num_rings);
void rig_ready_fe(struct fe *fe, const struct echo *echo, unsigned num_rings);

/* rig_submit - make one echo request available and kick. rig_answer - take its answer and
 * compare. rig_silence - there is no answer for a while. rig_echo - submit and answer. */
void rig_submit(unsigned ring);
void rig_answer(unsigned ring);
void rig_silence(unsigned ring);
void rig_echo(unsigned ring);

/* rig_break - the driver of a split ring goes mad: its available index jumps. Kicked by eventfd. */
void rig_break(unsigned ring);

/* rig_hangup - close, and wait until the back-end is done with us. */
void rig_hangup(void);

/* rig_survived - hang up; nothing leaked and nothing spins; the next clean connection works, and
 * leaks nothing. */
void rig_survived(void);

/* rig_others_go_on - the other device answers a front-end, and the first one ours. */
void rig_others_go_on(void);

/* rig_loop_cpu_us - processor time that the loop thread uses in the next 200 ms. */
uint64_t rig_loop_cpu_us(void);

/* rig_closed - the back-end hung up by itself. */
void rig_closed(void);

/* wait_for - poll @condition for up to 5 s. */
#define wait_for(condition)                                                 \
	do {                                                                \
		bool yes_ = (condition);                                    \
		for (unsigned ms_ = 0; !yes_ && ms_ < 5000; ms_++) {        \
			usleep(1000);                                       \
			yes_ = (condition);                                 \
		}                                                           \
		ck_assert_msg(yes_, "still not after 5 s: %s", #condition); \
	} while (0)

/* A message as the test words it: request, payload bytes, then the fields it fills in. */
struct vu_msg request(uint32_t number, uint32_t size);

/* refused - with REPLY_ACK on: sent with NEED_REPLY, answered by an error, session goes on. */
void refused(struct vu_msg msg);

/* accepted - the same, answered by success. */
void accepted(struct vu_msg msg);

/* closes - sent without NEED_REPLY; the back-end hangs up. */
void closes(struct vu_msg msg);

/* all_bytes - are these @bytes all @value? (An assertion for each would take its time.) */
bool all_bytes(const void *from, size_t bytes, uint8_t value);

/* held_now - by this process. */
struct held held_now(void);

int run_suite(Suite *suite);

#endif
