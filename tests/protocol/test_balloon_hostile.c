/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_balloon_hostile.c - what a guest may do wrong with a balloon of its own, and a front-end with the
 * memory behind it, as the real daemon meets it in its sandbox, with another guest at work on another
 * socket. What any device is to survive is in test_blk_hostile_*.c. _i: 1 is with packed rings.
 * The front-end against the real daemon.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/protocol/balloon_rig.h"
#include "tests/protocol/footprint.h"

#define VMS       "--vm=name=a,socket=a.sock,stats-interval=0 --vm=name=b,socket=b.sock"
#define FIRST_PFN ((uint32_t)(GUEST_GPA / PAGE_BYTES))
#define FLOOD     24 /* chains */
#define BUSY_MS   500 /* the other guest waits for no more than that; the machine may be slow */

static struct balloon guest, other;
static struct held held; /* by the daemon while only the good guest is there */

/* --- the two guests --- */

static void meanwhile(void)
{
	static unsigned at;
	unsigned pages[] = {at++ % GUEST_PAGES};

	balloon_inflate(&other, pages, 1);
	balloon_deflate(&other, pages, 1);
}

static void guest_comes(int packed)
{
	balloon_open(&guest, "a.sock",
		     &(struct guest_options){.packed = packed, .guard_pages = 16});
}

/* well_behaved - what a good guest does in a life. */
static void well_behaved(bool packed)
{
	unsigned pages[] = {3, 900, 4, 5};

	guest_comes(packed);
	balloon_inflate(&guest, pages, 4);
	balloon_settles(&guest);
	balloon_deflate(&guest, pages, 4);
	balloon_report(&guest, 50, 50);
	balloon_gone(&guest, 50, 50, true);
	balloon_settles(&guest);
	balloon_stop_rings(&guest);
	balloon_close(&guest);
}

static void start(void)
{
	blkd_start(VMS);
	balloon_open(&other, "b.sock", &(struct guest_options){.guard_pages = 16});
	meanwhile();
	held = held_by(blkd_pid());
	well_behaved(true);
	held.heap_bytes = held_by(blkd_pid()).heap_bytes;
	held_back(blkd_pid(), held);
}

/* The bad guest leaves; then all is as if it had never been there. */
static void stop(void)
{
	meanwhile();
	comes_to_rest(blkd_pid());
	if (guest.pages)
		balloon_close(&guest);
	held_back(blkd_pid(), held);
	comes_to_rest(blkd_pid());
	balloon_stays(&other);
	well_behaved(false);
	held_back(blkd_pid(), held);
	balloon_close(&other);
	blkd_stop();
}

/* works - the bad guest's balloon does, and what should be there of its memory is. */
static void works(void)
{
	unsigned pages[] = {77, 78};

	balloon_stays(&guest);
	balloon_inflate(&guest, pages, 2);
	balloon_settles(&guest);
	balloon_deflate(&guest, pages, 2);
	balloon_stays(&guest);
	meanwhile();
}

static int64_t skipped(const char *why)
{
	char keys[64];

	snprintf(keys, sizeof(keys), "counters/skipped/%s", why);
	return balloon_number(0, keys);
}

/* --- page numbers --- */

START_TEST(h46_pages_outside_of_memory)
{
	uint32_t end, pfns[64], num = 0;
	int64_t before;

	guest_comes(_i);
	end = (uint32_t)(FIRST_PFN + guest.told_bytes / PAGE_BYTES);
	for (unsigned i = 0; i < 16; i++) {
		pfns[num++] = i;
		pfns[num++] = UINT32_MAX - i;
		pfns[num++] = FIRST_PFN - 1 - i; /* in the file, but not the guest's */
		pfns[num++] = end + i;
	}
	before = skipped("unmapped");
	balloon_say(&guest, BAL_INFLATE, pfns, num);
	ck_assert_int_eq(skipped("unmapped"), before + num);
	balloon_say(&guest, BAL_DEFLATE, pfns, num);
	works();
}
END_TEST

/* add_pages - those of [at, at + bytes), which are in guest memory. */
static unsigned add_pages(uint32_t *pfns, const void *at, size_t bytes)
{
	uint64_t first = (uint64_t)((const uint8_t *)at - guest.mem.regions[0].host);
	unsigned num = 0;

	for (uint64_t page = first / PAGE_BYTES; page <= (first + bytes - 1) / PAGE_BYTES; page++)
		pfns[num++] = (uint32_t)(guest.mem.regions[0].gpa / PAGE_BYTES + page);
	return num;
}

/* pages_of_rings - all of them. */
static unsigned pages_of_rings(uint32_t *pfns)
{
	unsigned num = 0;

	for (unsigned role = 0; role < BAL_MAX_QUEUES; role++) {
		const struct fe_ring *ring = &guest.ring[role];

		if (!(guest.roles & 1u << role))
			continue;
		if (ring->packed) {
			num += add_pages(pfns + num, ring->slots, 16 * BALLOON_RING);
			num += add_pages(pfns + num, ring->driver_event, 4);
			num += add_pages(pfns + num, ring->device_event, 4);
		} else {
			num += add_pages(pfns + num, ring->desc, 16 * BALLOON_RING);
			num += add_pages(pfns + num, ring->avail, 6 + 2 * BALLOON_RING);
			num += add_pages(pfns + num, ring->used, 6 + 8 * BALLOON_RING);
		}
	}
	return num;
}

START_TEST(h46_the_rings_own_pages)
{
	uint32_t pfns[64];
	unsigned num;
	int64_t before;

	guest_comes(_i);
	num = pages_of_rings(pfns);
	before = skipped("hazard");
	balloon_say(&guest, BAL_INFLATE, pfns, num);
	ck_assert_int_eq(skipped("hazard"), before + num);
	for (unsigned i = 0; i < num; i++) {
		struct fe_buf buf = {(uint64_t)pfns[i] * PAGE_BYTES, PAGE_BYTES};

		balloon_chain(&guest, BAL_REPORTING, &buf, 0, 1);
	}
	ck_assert_int_eq(skipped("hazard"), before + 2 * num);
	works();
}
END_TEST

START_TEST(h46_buffers_of_odd_length_or_direction)
{
	static const uint32_t lengths[] = {1, 2, 3, 5, 7, 4097};
	uint32_t *pfns;

	guest_comes(_i);
	pfns = (uint32_t *)(void *)guest.misc.host;
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (unsigned role = BAL_INFLATE; role <= BAL_DEFLATE; role++) {
			struct fe_buf bufs[2] = {{guest.misc.gpa, lengths[i]},
						 {guest.misc.gpa + 16384, 64}};

			memset(guest.misc.host, 0xff, 32768); /* no page has that number */
			balloon_chain(&guest, (enum bal_role)role, bufs, 1, 0);
			balloon_chain(&guest, (enum bal_role)role, bufs, 0, 1);
			balloon_chain(&guest, (enum bal_role)role, bufs, 1, 1);
		}
	}
	/* Page numbers in a buffer that is for us to write are none. */
	pfns[0] = htole32(guest.pages[0].pfn);
	balloon_chain(&guest, BAL_INFLATE, &(struct fe_buf){guest.misc.gpa, 4}, 0, 1);
	ck_assert_uint_eq(pfns[0], htole32(guest.pages[0].pfn));
	ck_assert_int_gt(skipped("length"), 0);
	ck_assert_int_gt(skipped("direction"), 0);
	works();
}
END_TEST

START_TEST(h46_more_page_numbers_than_a_chain_may_have)
{
	uint32_t *pfns = calloc(MAX_PFNS, sizeof(*pfns));
	int64_t before;

	ck_assert_ptr_nonnull(pfns);
	guest_comes(_i);
	for (unsigned i = 0; i < MAX_PFNS; i++)
		pfns[i] = guest.pages[i % 100].pfn;
	before = skipped("limit");
	balloon_say(&guest, BAL_INFLATE, pfns, MAX_PFNS);
	ck_assert_int_gt(skipped("limit"), before);
	balloon_say(&guest, BAL_DEFLATE, pfns, 100);
	for (unsigned i = 0; i < 100; i++)
		balloon_write(&guest, i);
	works();
	free(pfns);
}
END_TEST

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A MiB of page numbers over and over: chains of buffers that are all the same, without a pause. */
START_TEST(h40_floods_of_aliased_buffers_keep_nobody_waiting)
{
	struct fe_buf bufs[32];
	uint32_t *pfns;

	guest_comes(_i);
	pfns = (uint32_t *)(void *)guest.pfns.host;
	for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = (struct fe_buf){guest.pfns.gpa, 1 << 20};
	for (unsigned i = 0; i < 1 << 18; i++)
		pfns[i] = htole32(guest.pages[i % 2 ? 0 : 500].pfn);
	for (unsigned i = 0; i < FLOOD; i++)
		balloon_submit(&guest, BAL_INFLATE, bufs, ARRAY_SIZE(bufs), 0);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t then = now_ms();

		meanwhile();
		ck_assert_uint_lt(now_ms() - then, BUSY_MS);
	}
	for (unsigned i = 0; i < FLOOD; i++)
		balloon_wait(&guest, BAL_INFLATE);
	balloon_gone(&guest, 0, 1, true);
	balloon_gone(&guest, 500, 1, true);
	works();
}
END_TEST

/* Whatever is in the buffers of whatever direction, on every queue. */
START_TEST(h46_noise_on_every_queue)
{
	unsigned seed = 17;

	guest_comes(_i);
	for (unsigned round = 0; round < 300; round++) {
		enum bal_role role = (enum bal_role)(round % BAL_MAX_QUEUES);
		struct fe_buf bufs[6];

		if (!(guest.roles & 1u << role))
			continue;
		for (unsigned i = 0; i < 65536; i += 97) {
			seed = seed * 1103515245 + 12345;
			guest.misc.host[i] = (uint8_t)(seed >> 16);
		}
		for (unsigned i = 0; i < ARRAY_SIZE(bufs); i++) {
			seed = seed * 1103515245 + 12345;
			bufs[i].len = 1 + (seed >> 8) % 9000;
			bufs[i].gpa = guest.misc.gpa + (seed >> 4) % 50000;
		}
		balloon_submit(&guest, role, bufs, seed % 4, 1 + (seed >> 5) % 3);
		if (role != BAL_STATS || round >= 2 * BAL_MAX_QUEUES)
			balloon_wait(&guest, role);
	}
	/* Reports named pages of the work area, which come back as they are touched. */
	for (unsigned i = 0; i < WORK_PAGES; i++)
		*(volatile uint8_t *)(guest.mem.regions[0].host + (16ull + i) * PAGE_BYTES) |= 0;
	works();
}
END_TEST

/* --- reports --- */

START_TEST(h46_a_report_of_all_memory_and_more)
{
	struct fe_buf all = {GUEST_GPA, 0}, beyond, outside = {1 << 20, 4096};

	guest_comes(_i);
	all.len = (uint32_t)guest.told_bytes;
	beyond = (struct fe_buf){GUEST_GPA, all.len + 4096};
	balloon_chain(&guest, BAL_REPORTING, &beyond, 0, 1);
	balloon_chain(&guest, BAL_REPORTING, &outside, 0, 1);
	balloon_stays(&guest);
	/* Readable: it is no report. */
	balloon_chain(&guest, BAL_REPORTING, &all, 1, 0);
	balloon_stays(&guest);
	/* All of it: but the rings go on. */
	balloon_chain(&guest, BAL_REPORTING, &all, 0, 1);
	balloon_gone(&guest, 0, GUEST_PAGES, true);
	for (unsigned i = 0; i < WORK_PAGES; i++)
		*(volatile uint8_t *)(guest.mem.regions[0].host + (16ull + i) * PAGE_BYTES) |= 0;
	balloon_stays(&guest);
	for (unsigned i = 0; i < GUEST_PAGES; i++)
		balloon_write(&guest, i);
	balloon_gone(&guest, 0, GUEST_PAGES, false);
	works();
}
END_TEST

/* --- statistics --- */

START_TEST(h46_statistics_that_make_no_sense)
{
	unsigned seed = 5;

	guest_comes(_i);
	for (unsigned round = 0; round < 200; round++) {
		struct fe_buf buf = {guest.misc.gpa, 1 + round * 300};
		bool in = round % 7 == 0;

		for (unsigned i = 0; i < 4096; i++) {
			seed = seed * 1103515245 + 12345;
			guest.misc.host[i] = (uint8_t)(seed >> 16 & (round & 1 ? 0xff : 0x0f));
		}
		balloon_submit(&guest, BAL_STATS, &buf, !in, in);
		if (round)
			balloon_wait(&guest, BAL_STATS);
	}
	ck_assert_int_gt(balloon_number(0, "counters/stats_bad"), 0);
	works();
}
END_TEST

/* --- configuration --- */

START_TEST(h20_fields_that_are_not_the_drivers)
{
	uint8_t bytes[32] = {0};

	guest_comes(_i);
	/* num_pages, the hint's command, and either with a neighbour. */
	memset(bytes, 0x5a, sizeof(bytes));
	for (uint32_t offset = 0; offset < 20; offset++) {
		for (uint32_t size = 1; size <= 20; size++) {
			bool ours =
				(offset >= CONFIG_ACTUAL && offset + size <= CONFIG_ACTUAL + 4) ||
				(offset >= CONFIG_POISON && offset + size <= CONFIG_POISON + 4);

			ck_assert_int_eq(fe_set_config(&guest.fe, offset, size, 0, bytes),
					 ours ? 0 : -EREMOTEIO);
		}
	}
	ck_assert_uint_eq(balloon_word(&guest, 0), 0);
	ck_assert_uint_eq(balloon_word(&guest, 8), 0);
	/* The whole space with what is in it, and the two fields as they may be. */
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_POISON, 0), 0);
	ck_assert_int_eq(balloon_set_word(&guest, CONFIG_ACTUAL, UINT32_MAX), 0);
	ck_assert_int_eq(balloon_number(0, "actual_bytes"), 0);
	memset(bytes, 0, 16);
	ck_assert_int_eq(fe_set_config(&guest.fe, 0, 16, 0, bytes), 0);
	ck_assert_int_eq(balloon_number(0, "actual_bytes"), balloon_number(0, "memory_bytes"));
	works();
}
END_TEST

START_TEST(h23_changes_that_nobody_hears)
{
	struct guest_options opt = {.packed = _i, .guard_pages = 16, .spare_mib = 200};

	balloon_open(&guest, "a.sock", &opt);
	ck_assert_int_eq(fe_open_channel(&guest.fe, NULL, NULL), 0);
	for (unsigned i = 0; i < 40; i++)
		ck_assert(balloon_ask(i & 1 ? "balloon.set vm=a target=all"
					    : "balloon.set vm=a target=100M"));
	works();
}
END_TEST

/* --- the memory behind it --- */

/* on_file - lay the guest out in @fd instead of in a sealed memory file. */
static void on_file(int packed, int fd)
{
	struct fe_region *region;

	balloon_lay_out(&guest, &(struct guest_options){.packed = packed, .guard_pages = 16});
	region = &guest.mem.regions[0];
	for (uint64_t at = 0; at < region->size; at += PAGE_BYTES)
		ck_assert_int_eq(pwrite(fd, region->host + at, PAGE_BYTES, (off_t)at), PAGE_BYTES);
	ck_assert_ptr_eq(mmap(region->host, region->size, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, 0),
			 region->host);
	close_fd(&region->fd);
	region->fd = fd;
	balloon_connect(&guest, "a.sock");
	balloon_share(&guest);
	balloon_start_rings(&guest);
}

/* nothing_given_back - pages in the balloon stay where they are, and that is said and counted. */
static void nothing_given_back(const char *line)
{
	uint32_t pfns[] = {guest.pages[0].pfn, guest.pages[1].pfn};
	int64_t errors = balloon_number(0, "counters/discard_errors");

	balloon_say(&guest, BAL_INFLATE, pfns, 2);
	balloon_report(&guest, 10, 10);
	balloon_stays(&guest);
	ck_assert_int_eq(balloon_number(0, "counters/discard_errors"), errors + 2);
	ck_assert(blkd_logged(line));
	meanwhile();
}

START_TEST(h46_a_file_sealed_against_writing)
{
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	on_file(_i, fd);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	nothing_given_back("is sealed, so none of it can be given back");
}
END_TEST

/* A file system without fallocate(2), mounted where nobody else sees it. */
START_TEST(h46_a_file_system_without_holes)
{
	int fd;

	ck_assert_int_eq(mkdir("ramfs", 0700), 0);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("ramfs", "ramfs", "ramfs", 0, NULL)) {
		perror("# not tried: a ramfs");
		rmdir("ramfs");
		return;
	}
	fd = open("ramfs/memory", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	guest.pages = NULL;
	on_file(_i, fd);
	nothing_given_back("has no holes, so none of it can be given back");
	ck_assert_int_eq(unlink("ramfs/memory"), 0);
	balloon_close(&guest);
	ck_assert_int_eq(umount2("ramfs", MNT_DETACH), 0);
	rmdir("ramfs");
}
END_TEST

START_TEST(h09_memory_that_may_only_be_read)
{
	struct vu_msg msg;
	char path[64];
	int fd;

	guest_comes(_i);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", guest.mem.regions[0].fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	vu_msg_init(&msg, VU_ADD_MEM_REG);
	msg.hdr.size = sizeof(msg.payload.region);
	msg.payload.region.region = (struct vu_region){
		.gpa = 1ull << 40,
		.size = PAGE_BYTES,
		.uva = 1ull << 40,
	};
	msg.fds[0] = fd;
	msg.num_fds = 1;
	ck_assert_int_eq(fe_request(&guest.fe, &msg), -EREMOTEIO);
	close(fd);
	works();
}
END_TEST

/* cut - the guest's file has @pages left of it. */
static void cut(unsigned pages)
{
	ck_assert_int_eq(ftruncate(guest.mem.regions[0].fd, (off_t)pages * PAGE_BYTES), 0);
}

/* The rings, the page numbers, and the pages they name vanish, one after another or all at once. */
START_TEST(h08_memory_that_is_cut_off)
{
	uint32_t *pfns;

	for (unsigned round = 0; round < 3; round++) {
		struct fe_buf buf;
		int fd = memfd_create("shrinks", MFD_CLOEXEC);
		unsigned left = round == 0 ? 0 : 16 + WORK_PAGES;

		on_file(_i, fd);
		pfns = (uint32_t *)(void *)guest.pfns.host;
		for (unsigned i = 0; i < GUEST_PAGES; i++)
			pfns[i] = htole32(guest.pages[i].pfn);
		buf = (struct fe_buf){guest.pfns.gpa, 4 * GUEST_PAGES};
		if (round == 2) /* the numbers lie in what is cut off */
			buf.gpa = (uint64_t)guest.pages[3].pfn * PAGE_BYTES;
		cut(left);
		if (left)
			balloon_submit(&guest, BAL_INFLATE, &buf, 1, 0);
		else
			fe_ring_notify(&guest.ring[BAL_INFLATE]);
		if (round != 1) {
			ck_assert_int_eq(fe_await_close(&guest.fe, 5000), 0);
		} else {
			balloon_wait(&guest, BAL_INFLATE); /* what is not there can be punched */
			ck_assert_int_eq(fe_sync(&guest.fe), 0);
		}
		meanwhile();
		cut((unsigned)(guest.mem.regions[0].size / PAGE_BYTES));
		balloon_close(&guest);
	}
}
END_TEST

/* The file twice in guest memory: pages of rings have another number besides, which nobody can know. */
START_TEST(h48_rings_under_another_address)
{
	struct vu_region alias;
	struct vu_msg msg;
	uint32_t pfns[64];
	unsigned num;

	guest_comes(_i);
	balloon_stop_rings(&guest);
	alias = balloon_region(&guest, 0);
	alias.gpa += 1ull << 33;
	alias.uva += 1ull << 44;
	vu_msg_init(&msg, VU_ADD_MEM_REG);
	msg.hdr.size = sizeof(msg.payload.region);
	msg.payload.region.region = alias;
	msg.fds[0] = guest.mem.regions[0].fd;
	msg.num_fds = 1;
	ck_assert_int_eq(fe_request(&guest.fe, &msg), 0);
	balloon_start_rings(&guest);
	num = pages_of_rings(pfns);
	for (unsigned i = 0; i < num; i++)
		pfns[i] += (1u << 21);
	memcpy(guest.pfns.host, pfns, num * 4);
	balloon_submit(&guest, BAL_INFLATE, &(struct fe_buf){guest.pfns.gpa, num * 4}, 1, 0);
	usleep(20000);
	for (unsigned role = 0; role < BAL_MAX_QUEUES; role++) {
		if (guest.roles & 1u << role)
			fe_ring_notify(&guest.ring[role]);
	}
	meanwhile();
}
END_TEST

/* All queues in the same memory. */
START_TEST(h48_rings_that_are_one)
{
	uint32_t pfn;

	balloon_lay_out(&guest, &(struct guest_options){.packed = _i, .guard_pages = 16});
	balloon_connect(&guest, "a.sock");
	balloon_share(&guest);
	pfn = guest.pages[9].pfn;
	memcpy(guest.pfns.host, &pfn, sizeof(pfn));
	for (unsigned role = 0; role < BAL_MAX_QUEUES; role++) {
		struct vu_vring_addr addr = fe_ring_wire_addr(&guest.ring[0], guest.number[role]);

		if (!(guest.roles & 1u << role))
			continue;
		ck_assert_int_eq(fe_ring_start(&guest.fe, guest.number[role], &guest.ring[role]),
				 0);
		ck_assert_int_eq(fe_set_vring_addr(&guest.fe, guest.number[role], &addr), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		balloon_submit(&guest, BAL_INFLATE, &(struct fe_buf){guest.pfns.gpa, 4}, 1, 0);
		for (unsigned role = 0; role < BAL_MAX_QUEUES; role++)
			fe_ring_notify(&guest.ring[role]);
		meanwhile();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balloon_hostile");
	TCase *tcase = tcase_create("all");
	const TTest *const tests[] = {
		h46_pages_outside_of_memory,
		h46_the_rings_own_pages,
		h46_buffers_of_odd_length_or_direction,
		h46_more_page_numbers_than_a_chain_may_have,
		h40_floods_of_aliased_buffers_keep_nobody_waiting,
		h46_noise_on_every_queue,
		h46_a_report_of_all_memory_and_more,
		h46_statistics_that_make_no_sense,
		h20_fields_that_are_not_the_drivers,
		h23_changes_that_nobody_hears,
		h46_a_file_sealed_against_writing,
		h46_a_file_system_without_holes,
		h09_memory_that_may_only_be_read,
		h08_memory_that_is_cut_off,
		h48_rings_under_another_address,
		h48_rings_that_are_one,
	};

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_set_timeout(tcase, 30);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_loop_test(tcase, tests[i], 0, 2);
	suite_add_tcase(suite, tcase);
	return run_balloon_suite(suite);
}
