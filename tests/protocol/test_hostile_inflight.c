/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile_inflight.c - hostile inputs 17 to 19: in-flight regions asked for without end, of
 * impossible sizes, of any content, and cut short under running rings; split and packed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/protocol/rig.h"
#include "vhost/ring/inflight.h"

#define QUEUES     2u
#define FILE_BYTES 65536u
#define AREA_BYTES 8192u /* more than enough for a ring of RIG_RING_SIZE */

static bool packed;
static int fd; /* a region of our own making, which nothing seals */
static uint8_t *map;

static void setup(void)
{
	rig_setup(&(struct echo_options){.num_queues = QUEUES, .packed = packed});
	fd = memfd_create("region", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, FILE_BYTES), 0);
	map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	rig.before = held_now();
}

static void setup_split(void)
{
	packed = false;
	setup();
}

static void setup_packed(void)
{
	packed = true;
	setup();
}

static void teardown(void)
{
	rig_teardown();
	munmap(map, FILE_BYTES);
	close_fd(&fd);
}

static struct vu_msg set(struct vu_inflight in, int file)
{
	struct vu_msg msg = request(VU_SET_INFLIGHT_FD, sizeof(in));

	msg.payload.inflight = in;
	msg.fds[0] = file;
	msg.num_fds = 1;
	return msg;
}

/* ours - all of our file's first areas. */
static struct vu_inflight ours(void)
{
	return (struct vu_inflight){
		.mmap_size = QUEUES * AREA_BYTES,
		.num_queues = QUEUES,
		.queue_size = RIG_RING_SIZE,
	};
}

START_TEST(h17_get_inflight_fd_in_a_loop)
{
	struct held with;

	rig_ready(1);
	with = held_now();
	for (unsigned i = 0; i < 200; i++) {
		struct fe_inflight region;

		ck_assert_int_eq(fe_get_inflight(&rig.fe, QUEUES, RIG_RING_SIZE, &region), 0);
		fe_inflight_free(&region);
	}
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert_uint_eq(held_now().fds, with.fds);
	ck_assert_uint_eq(held_now().maps, with.maps);
	rig_echo(0);
	rig_survived();
}
END_TEST

/* The answer is a region of no bytes, and the session goes on. */
START_TEST(h17_regions_that_cannot_be_made)
{
	static const struct {
		uint16_t queues, size;
	} bad[] = {{0, 64},   {QUEUES + 1, 64}, {65535, 64}, {0, 0},        {1, 0},
		   {1, 1025}, {1, 65535},       {65535, 0},  {32768, 32768}};
	struct fe_inflight region;

	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(fe_get_inflight(&rig.fe, bad[i].queues, bad[i].size, &region),
				 -EREMOTEIO);
		rig_echo(0);
	}
	ck_assert_int_eq(fe_get_inflight(&rig.fe, 1, 63, &region), packed ? 0 : -EREMOTEIO);
	fe_inflight_free(&region);
	rig_survived();
}
END_TEST

START_TEST(h17_an_fd_with_the_question)
{
	struct vu_msg msg = request(VU_GET_INFLIGHT_FD, sizeof(struct vu_inflight));

	rig_ready(1);
	msg.payload.inflight = ours();
	msg.fds[0] = fd;
	msg.num_fds = 1;
	closes(msg);
	rig_survived();
}
END_TEST

START_TEST(h18_regions_of_impossible_sizes)
{
	const uint64_t least = vq_inflight_bytes(packed, RIG_RING_SIZE);
	const struct vu_inflight bad[] = {
		{.mmap_size = 8192, .num_queues = 0, .queue_size = 64},
		{.mmap_size = 65535 * 8192ull, .num_queues = 65535, .queue_size = 64},
		{.mmap_size = 3 * 8192, .num_queues = QUEUES + 1, .queue_size = 64},
		{.mmap_size = 64, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 0, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 0, .num_queues = 0, .queue_size = 0},
		{.mmap_size = least - 8, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 2 * least - 16, .num_queues = 2, .queue_size = 64},
		{.mmap_size = 8192, .num_queues = 1, .queue_size = 0},
		{.mmap_size = 8192, .num_queues = 1, .queue_size = 65535},
		{.mmap_size = 16385, .num_queues = 2, .queue_size = 64},
		{.mmap_size = 16388, .num_queues = 2, .queue_size = 64},
		{.mmap_size = 8191, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 8192, .mmap_offset = 4, .num_queues = 1, .queue_size = 64},
		{.mmap_size = FILE_BYTES + 8, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 8192, .mmap_offset = FILE_BYTES, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 8192, .mmap_offset = 57352, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 8192,
		 .mmap_offset = UINT64_MAX - 7,
		 .num_queues = 1,
		 .queue_size = 64},
		{.mmap_size = UINT64_MAX - 7, .num_queues = 1, .queue_size = 64},
		{.mmap_size = UINT64_MAX - 7, .mmap_offset = 8, .num_queues = 1, .queue_size = 64},
		{.mmap_size = 1ull << 63,
		 .mmap_offset = 1ull << 63,
		 .num_queues = 1,
		 .queue_size = 64},
		{.mmap_size = 1ull << 62, .num_queues = 2, .queue_size = 64},
	};

	rig_ready(0);
	accepted(set(ours(), fd));
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(set(bad[i], fd));
		rig_echo(0); /* with the region before */
	}
	ck_assert_uint_ne(((struct inflight_split *)map)->version, 0);
	rig_survived();
}
END_TEST

START_TEST(h18_fds_that_are_no_region)
{
	int pipes[2];
	int files[5] = {open("/tmp", O_RDONLY | O_DIRECTORY), open("/dev/null", O_RDWR),
			open("/proc/self/exe", O_RDONLY), rig.ring[0].kick_fd};
	struct vu_msg none = set(ours(), fd);

	ck_assert_int_eq(pipe(pipes), 0);
	files[4] = pipes[0];
	rig.before = held_now();
	rig_ready(1);
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		refused(set(ours(), files[i]));
	none.num_fds = 0;
	refused(none);
	none.num_fds = 2;
	none.fds[1] = fd;
	refused(none);
	rig_echo(0);
	rig_survived();
	for (unsigned i = 0; i < 3; i++)
		close(files[i]);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(h18_messages_of_other_lengths)
{
	static const uint32_t numbers[] = {VU_GET_INFLIGHT_FD, VU_SET_INFLIGHT_FD};
	static const uint32_t sizes[] = {0, 8, 19, 25, 32};

	for (unsigned n = 0; n < ARRAY_SIZE(numbers); n++) {
		for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct vu_msg msg = set(ours(), fd);

			msg.hdr.request = numbers[n];
			msg.hdr.size = sizes[i];
			msg.num_fds = n;
			rig_ready(1);
			closes(msg);
			rig_survived();
		}
	}
}
END_TEST

START_TEST(h18_messages_without_the_feature)
{
	for (unsigned i = 0; i < 2; i++) {
		struct vu_msg msg = set(ours(), fd);

		msg.hdr.request = i ? VU_SET_INFLIGHT_FD : VU_GET_INFLIGHT_FD;
		msg.num_fds = i;
		rig_connect();
		ck_assert_int_eq(fe_negotiate(&rig.fe, ALL_FEATURES,
					      ALL_FEATURES & ~VU_BIT(VU_PF_INFLIGHT_SHMFD)),
				 0);
		closes(msg);
		rig_survived();
	}
}
END_TEST

/* Areas that suit the region's queue size, and a ring that is larger. */
START_TEST(h18_an_area_too_small_for_its_ring)
{
	struct vu_inflight in = ours();

	in.queue_size = 8;
	in.mmap_size = QUEUES * vq_inflight_bytes(packed, 8);
	rig_ready(0);
	accepted(set(in, fd));
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_submit(0);
	rig_silence(0);
	accepted(set(ours(), fd)); /* it starts with the next, which holds it */
	rig_answer(0);
	rig_survived();
}
END_TEST

/* A ring that ran with its area, and grew too large for it, is asked for its base. */
START_TEST(h18_a_ring_that_outgrew_its_area)
{
	struct vu_inflight in = ours();
	struct vu_msg num = request(VU_SET_VRING_NUM, sizeof(num.payload.state));
	uint32_t base;

	in.num_queues = 1;
	in.mmap_size = vq_inflight_bytes(packed, RIG_RING_SIZE);
	num.payload.state.num = 1024;
	memset(map + in.mmap_size, 0x5a, FILE_BYTES - in.mmap_size);
	rig_ready(0);
	accepted(set(in, fd));
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_echo(0);
	accepted(num);
	ck_assert_int_eq(fe_get_vring_base(&rig.fe, 0, &base), 0);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	ck_assert(all_bytes(map, in.mmap_size, 0));
	ck_assert(all_bytes(map + in.mmap_size, FILE_BYTES - in.mmap_size, 0x5a));
	rig_hangup();
	fe_ring_reset(&rig.ring[0]);
	rig_survived();
}
END_TEST

/* A region can be as large as a sparse file: what is cleared is what rings can use of it. */
START_TEST(h18_a_huge_region_is_reset)
{
	struct vu_inflight in = ours();
	struct stat st;

	ck_assert_int_eq(ftruncate(fd, QUEUES * (64l << 20)), 0);
	in.mmap_size = QUEUES * (64ull << 20);
	rig_ready(0);
	accepted(set(in, fd));
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	rig_echo(0);
	ck_assert_int_eq(fe_reset_device(&rig.fe), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_le(st.st_blocks * 512, 1 << 20);
	rig_hangup();
	fe_ring_reset(&rig.ring[0]);
	rig_survived();
}
END_TEST

/* --- hostile input 19: contents --- */

static uint32_t seed;

static uint32_t random_u32(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 3;
}

/* try_region - whatever is in it: started with requests waiting, the daemon answers afterwards.
 * Nothing outside the areas is written. */
static void try_region(void)
{
	memset(map + QUEUES * AREA_BYTES, 0x5a, FILE_BYTES - QUEUES * AREA_BYTES);
	rig_ready(0);
	accepted(set(ours(), fd));
	rig_submit(0);
	rig_submit(0);
	fe_ring_start(&rig.fe, 0, &rig.ring[0]);
	usleep(2000);
	ck_assert_int_eq(fe_sync(&rig.fe), 0);
	/* And taken back again: it drains. */
	ck_assert_int_eq(fe_set_vring_enable(&rig.fe, 0, false), 0);
	ck_assert(all_bytes(map + QUEUES * AREA_BYTES, FILE_BYTES - QUEUES * AREA_BYTES, 0x5a));
	rig_hangup();
	fe_ring_reset(&rig.ring[0]);
}

/* An area in which @num chains of one descriptor are in flight, as it should be. */
static struct inflight_split *split_area(unsigned num)
{
	struct inflight_split *area = (void *)map;

	memset(area, 0, AREA_BYTES);
	area->version = 1;
	area->desc_num = RIG_RING_SIZE;
	for (unsigned i = 0; i < num; i++) {
		area->desc[i].inflight = 1;
		area->desc[i].counter = i + 1;
	}
	return area;
}

static struct inflight_packed *packed_area(unsigned num)
{
	struct inflight_packed *area = (void *)map;

	memset(area, 0, AREA_BYTES);
	area->version = 1;
	area->desc_num = RIG_RING_SIZE;
	area->used_wrap = area->old_used_wrap = 1;
	area->free_head = area->old_free_head = (uint16_t)num;
	for (unsigned i = 0; i < RIG_RING_SIZE; i++)
		area->desc[i].next = (uint16_t)(i + 1);
	for (unsigned i = 0; i < num; i++) {
		area->desc[i].inflight = 1;
		area->desc[i].counter = i + 1;
		area->desc[i].last = (uint16_t)i;
		area->desc[i].num = 1;
		area->desc[i].id = (uint16_t)i;
		area->desc[i].addr = rig.in[0].gpa;
		area->desc[i].len = 16;
		area->desc[i].flags = VRING_DESC_F_WRITE;
	}
	return area;
}

static const uint16_t odd[] = {0, 1, 2, 63, 64, 65, 127, 1024, 32767, 32768, 65534, 65535};

/* The fields of the header, each with each odd value; both begin alike. */
START_TEST(h19_headers)
{
	for (unsigned word = 4; word < (packed ? 11 : 8); word++) {
		for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
			if (packed)
				packed_area(2);
			else
				split_area(2);
			((uint16_t *)map)[word] = odd[i];
			try_region();
		}
	}
	rig_survived();
}
END_TEST

START_TEST(h19_lists_that_go_round)
{
	if (packed) {
		struct inflight_packed *area = packed_area(3);

		for (unsigned i = 0; i < RIG_RING_SIZE; i++)
			area->desc[i].next = (uint16_t)(i ^ 1);
		try_region();
		area = packed_area(0);
		area->free_head = area->old_free_head = 5;
		area->desc[0].counter = 1;
		for (unsigned i = 0; i < RIG_RING_SIZE; i++)
			area->desc[i].next = 5;
		try_region();
		area = packed_area(1); /* a chain longer than its list, and one of no length */
		area->desc[0].num = 10;
		area->desc[0].next = 0;
		try_region();
		area = packed_area(1);
		area->desc[0].num = 0;
		try_region();
		area = packed_area(1);
		area->desc[0].num = 65535;
		try_region();
	} else {
		struct inflight_split *area = split_area(2);

		for (unsigned i = 0; i < RIG_RING_SIZE; i++)
			area->desc[i].next = (uint16_t)i;
		area->used_idx = 40000; /* the used ring says 0: a batch is half done */
		try_region();
		area = split_area(2);
		for (unsigned i = 0; i < RIG_RING_SIZE; i++)
			area->desc[i].next = (uint16_t)(i + 1);
		area->last_batch_head = 1;
		area->used_idx = 65535;
		try_region();
	}
	rig_survived();
}
END_TEST

START_TEST(h19_counters_and_marks)
{
	static const uint64_t counters[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, 1ull << 63};
	static const uint8_t marks[] = {0, 1, 2, 127, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(counters); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(marks); k++) {
			for (unsigned n = 0; n < RIG_RING_SIZE; n++) {
				if (packed) {
					struct inflight_packed *area =
						n ? (void *)map : packed_area(RIG_RING_SIZE);

					area->desc[n].counter = counters[i];
					area->desc[n].inflight = marks[k];
				} else {
					struct inflight_split *area =
						n ? (void *)map : split_area(RIG_RING_SIZE);

					area->desc[n].counter = counters[i];
					area->desc[n].inflight = marks[k];
				}
			}
			try_region();
		}
	}
	rig_survived();
}
END_TEST

/* Packed: the copy of a descriptor is the only one that is left, and anything may stand in it. */
START_TEST(h19_copies_of_descriptors)
{
	static const uint64_t addresses[] = {0, RIG_GPA, RIG_GPA + RIG_MEM_BYTES - 1, UINT64_MAX};
	static const uint32_t lengths[] = {0, 1, RIG_MEM_BYTES, UINT32_MAX};

	if (!packed)
		return; /* split descriptors stay in the ring */
	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		for (unsigned k = 0; k < 4; k++) {
			struct inflight_packed *area = packed_area(4);

			area->desc[k].id = odd[i];
			area->desc[k].flags = odd[(i * 5 + k) % ARRAY_SIZE(odd)];
			area->desc[k].addr = addresses[k];
			area->desc[k].len = lengths[i % 4];
			area->desc[k].last = odd[(i + k) % ARRAY_SIZE(odd)];
			if (i & 1)
				area->desc[k].last = (uint16_t)k;
			try_region();
		}
	}
	rig_survived();
}
END_TEST

START_TEST(h19_random_words_in_a_region_that_makes_sense)
{
	for (unsigned round = 1; round < 40; round++) {
		unsigned words;

		seed = round;
		words = 1 + random_u32() % 8;
		if (packed)
			packed_area(random_u32() % 8);
		else
			split_area(random_u32() % 8);
		for (unsigned i = 0; i < words; i++) {
			uint32_t at = random_u32() % (random_u32() & 1 ? 16 : 1000);

			((uint16_t *)map)[4 + at] =
				random_u32() & 1 ? (uint16_t)(random_u32() % (RIG_RING_SIZE + 2))
						 : (uint16_t)random_u32();
		}
		try_region();
	}
	rig_survived();
}
END_TEST

START_TEST(h19_noise)
{
	for (unsigned round = 1; round < 15; round++) {
		seed = round;
		for (unsigned i = 0; i < AREA_BYTES; i++)
			map[i] = (uint8_t)random_u32();
		((struct inflight_split *)map)->version = 1;
		((struct inflight_split *)map)->desc_num = RIG_RING_SIZE;
		try_region();
	}
	memset(map, 0xff, AREA_BYTES);
	try_region();
	rig_survived();
}
END_TEST

/* The other process goes on writing to the region while the rings run. */
START_TEST(h19_a_region_that_changes_under_a_running_ring)
{
	rig_ready(0);
	memset(map, 0, QUEUES * AREA_BYTES);
	accepted(set(ours(), fd));
	ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
	for (unsigned round = 1; round < 300; round++) {
		seed = round;
		for (unsigned i = 0; i < 2000; i++)
			__atomic_store_n(&map[i], (uint8_t)random_u32(), __ATOMIC_RELAXED);
		rig_echo(0); /* it is only ever written by the device */
	}
	rig_survived();
}
END_TEST

/* The region lies on the ring itself. */
START_TEST(h19_a_region_that_is_guest_memory)
{
	for (unsigned i = 0; i < 4; i++) {
		struct vu_inflight in = ours();

		in.mmap_offset = i * 136;
		rig_ready(0);
		accepted(set(in, rig.mem.regions[0].fd));
		rig_submit(0);
		fe_ring_start(&rig.fe, 0, &rig.ring[0]);
		usleep(20000);
		ck_assert_int_eq(fe_sync(&rig.fe), 0);
		rig_hangup();
		memset(rig.mem.regions[0].host, 0, RIG_MEM_BYTES);
		fe_ring_reset(&rig.ring[0]);
	}
	rig_survived();
}
END_TEST

static void cut(void)
{
	ck_assert_int_eq(ftruncate(fd, 0), 0);
}

static void mend(void)
{
	ck_assert_int_eq(ftruncate(fd, FILE_BYTES), 0);
}

START_TEST(h19_a_region_truncated_while_requests_run)
{
	struct fe other;

	rig_connect_fe(&other, &rig.daemon.echo[1]);
	for (unsigned i = 0; i < 3; i++) {
		rig_ready(0);
		accepted(set(ours(), fd));
		ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
		rig_echo(0);
		if (i == 2) { /* in flight already: the end of the request meets it */
			unsigned popped = echo_count(rig.echo, popped);

			echo_hold(rig.echo, true);
			rig_submit(0);
			wait_for(echo_count(rig.echo, popped) == popped + 1);
			cut();
			echo_hold(rig.echo, false);
		} else {
			cut();
			rig_submit(0);
		}
		rig_closed();
		ck_assert_int_eq(fe_sync(&other), 0);
		rig_hangup();
		mend();
		fe_ring_reset(&rig.ring[0]);
	}
	fe_close(&other);
	rig_survived();
}
END_TEST

/* The control thread meets it too: in a recovery, in a stop, in a reset. */
START_TEST(h19_a_region_truncated_before_a_ring_starts_or_stops)
{
	for (unsigned i = 0; i < 3; i++) {
		uint32_t base;

		rig_ready(0);
		accepted(set(ours(), fd));
		if (i)
			ck_assert_int_eq(fe_ring_start(&rig.fe, 0, &rig.ring[0]), 0);
		if (i)
			rig_echo(0);
		cut();
		if (i == 0)
			fe_ring_start(&rig.fe, 0, &rig.ring[0]); /* however far it comes */
		else if (i == 1)
			fe_get_vring_base(&rig.fe, 0, &base);
		else
			fe_reset_device(&rig.fe);
		rig_closed();
		rig_hangup();
		mend();
		fe_ring_reset(&rig.ring[0]);
	}
	rig_survived();
}
END_TEST

static void add_tests(Suite *suite, const char *name, void (*fixture)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, fixture, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, h17_get_inflight_fd_in_a_loop);
	tcase_add_test(tc, h17_regions_that_cannot_be_made);
	tcase_add_test(tc, h17_an_fd_with_the_question);
	tcase_add_test(tc, h18_regions_of_impossible_sizes);
	tcase_add_test(tc, h18_fds_that_are_no_region);
	tcase_add_test(tc, h18_messages_of_other_lengths);
	tcase_add_test(tc, h18_messages_without_the_feature);
	tcase_add_test(tc, h18_an_area_too_small_for_its_ring);
	tcase_add_test(tc, h18_a_ring_that_outgrew_its_area);
	tcase_add_test(tc, h18_a_huge_region_is_reset);
	tcase_add_test(tc, h19_headers);
	tcase_add_test(tc, h19_lists_that_go_round);
	tcase_add_test(tc, h19_counters_and_marks);
	tcase_add_test(tc, h19_copies_of_descriptors);
	tcase_add_test(tc, h19_random_words_in_a_region_that_makes_sense);
	tcase_add_test(tc, h19_noise);
	tcase_add_test(tc, h19_a_region_that_changes_under_a_running_ring);
	tcase_add_test(tc, h19_a_region_that_is_guest_memory);
	tcase_add_test(tc, h19_a_region_truncated_while_requests_run);
	tcase_add_test(tc, h19_a_region_truncated_before_a_ring_starts_or_stops);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("hostile_inflight");

	add_tests(suite, "split", setup_split);
	add_tests(suite, "packed", setup_packed);
	return run_suite(suite);
}
