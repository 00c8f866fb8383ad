/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fe_ring.c - the driver's ring lays chains down as the specification has them, shows them
 * when told, kicks and sleeps only as needed, and believes nothing a device writes. Tests
 * frontend/ring and frontend/memory.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "tests/unit/support.h"
#include "vhost/base/clock.h"
#include "vhost/frontend/ring.h"

#define RAM_GPA   0x40000000ull
#define RAM_BYTES (1u << 20)

static struct fe_memory mem;
static struct fe_ring ring;

static void make_ring(struct fe_ring_options options)
{
	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, RAM_GPA, RAM_BYTES, false), 0);
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), 0);
}

static void drop_ring(void)
{
	fe_ring_free(&ring);
	fe_memory_free(&mem);
}

/* A device of three lines: use entry @n as the next one. */
static void device_uses(uint32_t id, uint32_t len)
{
	uint16_t idx = ring.used->idx;

	ring.used->ring[idx & ring.mask] = (struct vring_used_elem){.id = id, .len = len};
	__atomic_store_n(&ring.used->idx, (uint16_t)(idx + 1), __ATOMIC_RELEASE);
}

static unsigned prepare3(void)
{
	struct fe_buf bufs[] = {{RAM_GPA, 16}, {RAM_GPA + 4096, 4096}, {RAM_GPA + 64, 1}};
	int head = fe_ring_prepare(&ring, bufs, 1, 2);

	ck_assert_int_ge(head, 0);
	return (unsigned)head;
}

static uint64_t read_kicks(void)
{
	uint64_t count = 0;

	if (read(ring.kick_fd, &count, sizeof(count)) < 0)
		ck_assert_int_eq(errno, EAGAIN);
	return count;
}

START_TEST(sizes_that_are_no_ring_are_refused)
{
	static const uint16_t sizes[] = {0, 3, 100, 65535};
	struct fe_ring_options options = {0};
	unsigned i;

	fe_memory_init(&mem);
	ck_assert_int_eq(fe_memory_add(&mem, RAM_GPA, RAM_BYTES, false), 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		options.size = sizes[i];
		ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), -EINVAL);
	}
	options.size = 32768; /* more than the memory holds */
	options.indirect = 32;
	ck_assert_int_eq(fe_ring_init(&ring, &mem, &options), -ENOSPC);
	fe_memory_free(&mem);
}
END_TEST

START_TEST(event_words_stand_behind_the_rings)
{
	struct vu_vring_addr addr;

	make_ring((struct fe_ring_options){.size = 8});
	addr = fe_ring_wire_addr(&ring, 3);
	ck_assert_uint_eq(addr.index, 3);
	ck_assert_uint_eq(addr.desc_uva % 16, 0);
	ck_assert_uint_eq((uintptr_t)ring.used_event, addr.avail_uva + 4 + 8 * 2);
	ck_assert_uint_eq((uintptr_t)ring.avail_event, addr.used_uva + 4 + 8 * 8);
	drop_ring();
}
END_TEST

START_TEST(a_direct_chain_is_linked_and_published_at_once)
{
	unsigned head;
	struct vring_desc *d;

	make_ring((struct fe_ring_options){.size = 8});
	head = prepare3();
	d = &ring.desc[head];
	ck_assert_uint_eq(d->addr, RAM_GPA);
	ck_assert_uint_eq(d->flags, VRING_DESC_F_NEXT);
	d = &ring.desc[d->next];
	ck_assert_uint_eq(d->len, 4096);
	ck_assert_uint_eq(d->flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	d = &ring.desc[d->next];
	ck_assert_uint_eq(d->addr, RAM_GPA + 64);
	ck_assert_uint_eq(d->flags, VRING_DESC_F_WRITE);

	fe_ring_submit(&ring, head);
	ck_assert_uint_eq(ring.avail->idx, 0);
	fe_ring_publish(&ring);
	ck_assert_uint_eq(ring.avail->idx, 1);
	ck_assert_uint_eq(ring.avail->ring[0], head);
	ck_assert_uint_eq(fe_ring_in_flight(&ring), 1);
	drop_ring();
}
END_TEST

START_TEST(an_indirect_chain_takes_one_descriptor)
{
	struct fe_buf four[4] = {{RAM_GPA, 1}, {RAM_GPA, 1}, {RAM_GPA, 1}, {RAM_GPA, 1}};
	struct vring_desc *table;
	unsigned head, i;

	make_ring((struct fe_ring_options){.size = 8, .indirect = 3});
	head = prepare3();
	ck_assert_uint_eq(ring.desc[head].flags, VRING_DESC_F_INDIRECT);
	ck_assert_uint_eq(ring.desc[head].len, 3 * 16);
	table = fe_memory_host(&mem, ring.desc[head].addr, 3 * 16);
	ck_assert_ptr_nonnull(table);
	ck_assert_uint_eq(table[0].flags, VRING_DESC_F_NEXT);
	ck_assert_uint_eq(table[1].flags, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	ck_assert_uint_eq(table[1].next, 2);
	ck_assert_uint_eq(table[2].flags, VRING_DESC_F_WRITE);
	ck_assert_int_eq(fe_ring_prepare(&ring, four, 4, 0), -E2BIG);
	for (i = 1; i < 8; i++)
		prepare3();
	ck_assert_int_eq(fe_ring_prepare(&ring, four, 1, 0), -ENOSPC);
	drop_ring();
}
END_TEST

START_TEST(descriptors_come_back)
{
	struct fe_buf buf = {RAM_GPA, 1};
	unsigned first, second;

	make_ring((struct fe_ring_options){.size = 8});
	first = prepare3();
	second = prepare3();
	ck_assert_int_eq(fe_ring_prepare(&ring, (struct fe_buf[3]){buf, buf, buf}, 3, 0), -ENOSPC);
	ck_assert_int_eq(fe_ring_prepare(&ring, NULL, 0, 0), -EINVAL);
	fe_ring_release(&ring, first);
	first = prepare3();
	ck_assert_uint_ne(first, second);
	fe_ring_release(&ring, second);
	fe_ring_release(&ring, first);
	ck_assert_uint_eq(ring.num_free, 8);
	drop_ring();
}
END_TEST

START_TEST(a_changed_buffer_changes_direction_and_limit)
{
	struct fe_used used;
	unsigned head, indirect = (unsigned)_i;

	make_ring((struct fe_ring_options){.size = 8, .indirect = (uint16_t)(indirect ? 3 : 0)});
	head = prepare3();
	fe_ring_change(&ring, head, 1, (struct fe_buf){RAM_GPA + 8192, 512}, false);
	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	device_uses(head, 1);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), 1);

	fe_ring_change(&ring, head, 1, (struct fe_buf){RAM_GPA + 8192, 512}, true);
	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	device_uses(head, 513);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), 1);

	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	device_uses(head, 514);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), -EPROTO);
	drop_ring();
}
END_TEST

/* What a device must not do; each breaks the ring for good. */
START_TEST(a_lying_device_breaks_the_ring)
{
	struct fe_used used[8];
	unsigned head, idle;

	make_ring((struct fe_ring_options){.size = 8});
	head = prepare3();
	idle = prepare3();
	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	switch (_i) {
	case 0:
		device_uses(8, 0);
		break;
	case 1:
		device_uses(UINT32_MAX, 0);
		break;
	case 2:
		device_uses(idle, 0);
		break;
	case 3:
		device_uses(head + 1, 0); /* in the middle of a chain */
		break;
	case 4:
		device_uses(head, 4098);
		break;
	case 5:
		device_uses(head, 1);
		device_uses(head, 1);
		break;
	case 6:
		ring.used->idx = 0x8000;
		break;
	case 7:
		ring.used->idx = UINT16_MAX;
		break;
	}
	ck_assert_int_eq(fe_ring_poll(&ring, used, 8), -EPROTO);
	ck_assert_ptr_nonnull(ring.why);
	ck_assert_int_eq(fe_ring_poll(&ring, used, 8), -EPROTO);
	drop_ring();
}
END_TEST

START_TEST(what_was_staged_but_not_shown_cannot_be_used)
{
	struct fe_used used;
	unsigned head;

	make_ring((struct fe_ring_options){.size = 8});
	head = prepare3();
	fe_ring_submit(&ring, head);
	device_uses(head, 1);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), -EPROTO);
	drop_ring();
}
END_TEST

/* Many turns of the ring and of the 16-bit indices, in bursts, used out of order. */
START_TEST(indices_wrap)
{
	struct fe_buf buf = {RAM_GPA, 8};
	struct fe_used used[4];
	unsigned turn, i;

	make_ring((struct fe_ring_options){.size = 4, .event_idx = _i & 1});
	for (turn = 0; turn < 40000; turn++) {
		unsigned n = 1 + turn % 4;
		int heads[4];

		for (i = 0; i < n; i++) {
			heads[i] = fe_ring_add(&ring, &buf, 0, 1);
			ck_assert_int_ge(heads[i], 0);
		}
		fe_ring_publish(&ring);
		fe_ring_kick(&ring);
		for (i = n; i-- > 0;)
			device_uses((uint32_t)heads[i], 8);
		ck_assert_int_eq(fe_ring_poll(&ring, used, 4), (int)n);
		for (i = 0; i < n; i++)
			ck_assert_uint_eq(used[i].head, (uint32_t)heads[n - 1 - i]);
		ck_assert_uint_eq(ring.num_free, 4);
		ck_assert_int_eq(fe_ring_poll(&ring, used, 4), 0);
	}
	drop_ring();
}
END_TEST

START_TEST(a_small_burst_leaves_the_rest_for_the_next)
{
	struct fe_buf buf = {RAM_GPA, 8};
	struct fe_used used[2];
	int heads[3], i;

	make_ring((struct fe_ring_options){.size = 4});
	for (i = 0; i < 3; i++)
		heads[i] = fe_ring_add(&ring, &buf, 1, 0);
	fe_ring_publish(&ring);
	for (i = 0; i < 3; i++)
		device_uses((uint32_t)heads[i], 0);
	ck_assert_int_eq(fe_ring_poll(&ring, used, 2), 2);
	ck_assert_uint_eq(fe_ring_in_flight(&ring), 1);
	ck_assert_int_eq(fe_ring_poll(&ring, used, 2), 1);
	ck_assert_uint_eq(used[0].head, (uint32_t)heads[2]);
	drop_ring();
}
END_TEST

START_TEST(kicks_follow_the_flag)
{
	unsigned head;

	make_ring((struct fe_ring_options){.size = 8});
	head = prepare3();
	fe_ring_kick(&ring);
	ck_assert_uint_eq(read_kicks(), 0); /* nothing published */
	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	fe_ring_kick(&ring);
	fe_ring_kick(&ring);
	ck_assert_uint_eq(read_kicks(), 1);
	ring.used->flags = VRING_USED_F_NO_NOTIFY;
	fe_ring_submit(&ring, prepare3());
	fe_ring_publish(&ring);
	fe_ring_kick(&ring);
	ck_assert_uint_eq(read_kicks(), 0);
	drop_ring();
}
END_TEST

/* virtio 2.7.10: kick when the published range passes the event, whatever the index is. */
START_TEST(kicks_follow_the_event_index)
{
	static const uint16_t starts[] = {0, 100, 65533};
	struct fe_used used[4];
	unsigned i;
	int event;

	make_ring((struct fe_ring_options){.size = 4, .event_idx = true});
	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		for (event = -2; event < 6; event++) {
			uint16_t start = starts[i];
			unsigned k;
			int heads[3];

			ring.staged = ring.published = ring.kicked = start;
			ring.last_used = ring.used_idx = start;
			ring.used->idx = start;
			*ring.avail_event = (uint16_t)(start + event);
			for (k = 0; k < 3; k++)
				heads[k] = fe_ring_add(&ring, &(struct fe_buf){RAM_GPA, 1}, 1, 0);
			fe_ring_publish(&ring);
			fe_ring_kick(&ring);
			ck_assert_uint_eq(read_kicks(), event >= 0 && event < 3);
			for (k = 0; k < 3; k++)
				device_uses((uint32_t)heads[k], 0);
			ck_assert_int_eq(fe_ring_poll(&ring, used, 4), 3);
		}
	}
	drop_ring();
}
END_TEST

START_TEST(interrupts_are_asked_for_only_while_wanted)
{
	unsigned head;

	make_ring((struct fe_ring_options){.size = 8, .event_idx = _i & 1});
	head = prepare3();
	if (_i & 1)
		ck_assert_uint_eq(*ring.used_event, UINT16_MAX);
	else
		ck_assert_uint_eq(ring.avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
	ck_assert(fe_ring_interrupts_on(&ring));
	ck_assert_uint_eq(*ring.used_event, 0);
	ck_assert_uint_eq(ring.avail->flags, 0);
	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	device_uses(head, 1);
	ck_assert(!fe_ring_interrupts_on(&ring)); /* used meanwhile: do not sleep */
	drop_ring();
}
END_TEST

static void *use_later(void *arg)
{
	uint64_t one = 1;

	usleep(20000);
	device_uses(*(unsigned *)arg, 1);
	ck_assert_int_eq(write(ring.call_fd, &one, sizeof(one)), sizeof(one));
	return NULL;
}

START_TEST(waiting_ends_with_a_used_chain_or_in_time)
{
	uint64_t start, one = 1;
	struct fe_used used;
	pthread_t thread;
	unsigned head;

	make_ring((struct fe_ring_options){.size = 8, .event_idx = true});
	head = prepare3();
	/* A left-over interrupt is not a used chain. */
	ck_assert_int_eq(write(ring.call_fd, &one, sizeof(one)), sizeof(one));
	start = clock_ns();
	ck_assert_int_eq(fe_ring_wait(&ring, 30), -ETIMEDOUT);
	ck_assert_uint_ge(clock_ns() - start, 29000000);

	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	ck_assert_int_eq(pthread_create(&thread, NULL, use_later, &head), 0);
	ck_assert_int_eq(fe_ring_wait(&ring, 5000), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(fe_ring_poll(&ring, &used, 1), 1);
	drop_ring();
}
END_TEST

START_TEST(reset_forgets_what_was_in_flight)
{
	struct fe_buf buf = {RAM_GPA, 8};
	unsigned head;

	make_ring((struct fe_ring_options){.size = 8});
	head = prepare3();
	fe_ring_submit(&ring, head);
	ck_assert_int_ge(fe_ring_add(&ring, &buf, 1, 0), 0);
	fe_ring_publish(&ring);
	fe_ring_break(&ring, "for this test");
	fe_ring_reset(&ring);
	ck_assert_uint_eq(ring.num_free, 5); /* the prepared chain stays */
	ck_assert_uint_eq(fe_ring_base(&ring), 0);
	ck_assert_uint_eq(ring.avail->idx, 0);
	fe_ring_submit(&ring, head);
	fe_ring_publish(&ring);
	ck_assert_uint_eq(ring.avail->idx, 1);
	drop_ring();
}
END_TEST

START_TEST(nothing_stays_open)
{
	unsigned fds = open_fds();

	make_ring((struct fe_ring_options){.size = 8, .indirect = 4});
	ck_assert_uint_eq(open_fds(), fds + 4); /* memory, kick, call, err */
	fe_ring_free(&ring);
	drop_ring(); /* freeing twice is harmless */
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fe_ring");
	TCase *tc = tcase_create("driver");

	tcase_add_test(tc, sizes_that_are_no_ring_are_refused);
	tcase_add_test(tc, event_words_stand_behind_the_rings);
	tcase_add_test(tc, a_direct_chain_is_linked_and_published_at_once);
	tcase_add_test(tc, an_indirect_chain_takes_one_descriptor);
	tcase_add_test(tc, descriptors_come_back);
	tcase_add_loop_test(tc, a_changed_buffer_changes_direction_and_limit, 0, 2);
	tcase_add_loop_test(tc, a_lying_device_breaks_the_ring, 0, 8);
	tcase_add_test(tc, what_was_staged_but_not_shown_cannot_be_used);
	tcase_add_loop_test(tc, indices_wrap, 0, 2);
	tcase_add_test(tc, a_small_burst_leaves_the_rest_for_the_next);
	tcase_add_test(tc, kicks_follow_the_flag);
	tcase_add_test(tc, kicks_follow_the_event_index);
	tcase_add_loop_test(tc, interrupts_are_asked_for_only_while_wanted, 0, 2);
	tcase_add_test(tc, waiting_ends_with_a_used_chain_or_in_time);
	tcase_add_test(tc, reset_forgets_what_was_in_flight);
	tcase_add_test(tc, nothing_stays_open);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
