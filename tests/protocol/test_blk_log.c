/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_blk_log.c - the guest of a disk is migrated while it reads and writes: every page of its
 * memory that the daemon changes is in the dirty log, and no page that it was not told to write.
 * The front-end against the real daemon.
 */
#include "tests/protocol/blk_driver.h"
#include "tests/protocol/dirty_log.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (64u << 20)
#define LOG_BYTES   ((DISK_GPA + DISK_MEM_BYTES) / LOG_PAGE / 8)
#define PIECE       (100u << 10) /* of one request; they lie SPAN apart */
#define SPAN        (256u << 10)
#define REQUESTS    30u
#define LOG_ALL     VU_BIT(VU_F_LOG_ALL)

static struct disk disk;
static struct dirty_log log_;
static uint8_t before[DISK_MEM_BYTES];

static const char *const images[] = {
	"--blk-file=" IMAGE,
	"--blk-file=" IMAGE " --direct=off",
	"--blk-file=ram:64M",
};

/* Each with a split and with a packed ring. */
#define VARIANTS (2 * (int)ARRAY_SIZE(images))

static void open_disk(int variant)
{
	make_image(IMAGE, IMAGE_BYTES);
	blkd_start(images[variant / 2]);
	if (variant % 2)
		disk_open_packed(&disk, BLKD_SOCKET, 0);
	else
		disk_open(&disk, BLKD_SOCKET, 0);
	dirty_log_make(&log_, 4096, LOG_BYTES);
}

static void close_disk(void)
{
	ck_assert(dirty_log_fenced(&log_));
	dirty_log_free(&log_);
	disk_close(&disk);
	blkd_stop();
}

static const uint8_t *used_part(void)
{
	return disk.ring.packed ? (uint8_t *)disk.ring.device_event : (uint8_t *)disk.ring.used;
}

static uint64_t gpa_of(const uint8_t *host)
{
	return DISK_GPA + (uint64_t)(host - disk.ram);
}

static void set_log(bool on)
{
	struct vu_vring_addr addr = fe_ring_wire_addr(&disk.ring, 0);
	uint64_t features = disk.fe.features & ~LOG_ALL;

	addr.flags = on ? VU_VRING_F_LOG : 0;
	addr.log_gpa = gpa_of(used_part());
	ck_assert_int_eq(fe_set_features(&disk.fe, on ? features | LOG_ALL : features), 0);
	ck_assert_int_eq(fe_set_vring_addr(&disk.fe, 0, &addr), 0);
}

/* Where request @i has its data; every third is not aligned, so that direct I/O bounces. */
static uint32_t place(unsigned i)
{
	return i * SPAN + (i % 3 ? 0 : 512);
}

static bool reads(unsigned i)
{
	return i % 4 != 1;
}

static void submit(unsigned i, uint64_t sector)
{
	struct fe_buf bufs[2] = {disk_buf(&disk, place(i), 4608),
				 disk_buf(&disk, place(i) + 4608, PIECE - 4608)};

	disk_submit(&disk, i, reads(i) ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
		    sector + i * (PIECE / SECTOR), bufs, 2, reads(i));
}

static void run(uint64_t sector)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		submit(i, sector);
	for (unsigned i = 0; i < REQUESTS; i++)
		ck_assert_uint_eq(disk_wait(&disk, i), VIRTIO_BLK_S_OK);
}

/* fill - all sectors that are read hold something, and all memory that they go to does not. */
static void fill(void)
{
	const unsigned pieces = REQUESTS * PIECE / (1u << 20) + 1;

	for (unsigned i = 0; i < pieces; i++) {
		disk_fill(&disk, i + 1, 1u << 20);
		ck_assert_uint_eq(disk_write(&disk, i * ((1u << 20) / SECTOR), 1u << 20),
				  VIRTIO_BLK_S_OK);
	}
	memset(disk.data, 0, DISK_DATA_BYTES);
}

static bool touches(uint64_t gpa, uint64_t bytes, uint64_t page_gpa)
{
	return gpa < page_gpa + LOG_PAGE && page_gpa < gpa + bytes;
}

/* may_write - is there anything in this page that was the device's to write? */
static bool may_write(uint64_t page_gpa)
{
	const struct fe_ring *ring = &disk.ring;

	for (unsigned i = 0; i < REQUESTS; i++) {
		if (reads(i) && touches(disk.data_mem.gpa + place(i), PIECE, page_gpa))
			return true;
		if (touches(gpa_of(&disk.slot[i].status), 1, page_gpa))
			return true;
	}
	if (ring->packed)
		return touches(gpa_of((uint8_t *)ring->slots), ring->size * 16u, page_gpa) ||
		       touches(gpa_of((uint8_t *)ring->device_event), 4, page_gpa);
	return touches(gpa_of((uint8_t *)ring->used), 6 + ring->size * 8u, page_gpa);
}

/* A page that only the driver writes differs too, so what it has nothing to do with is left out. */
static bool all_marked(void)
{
	for (uint64_t at = 0; at < DISK_MEM_BYTES; at += LOG_PAGE) {
		if (may_write(DISK_GPA + at) && !dirty_log_has(&log_, DISK_GPA + at) &&
		    memcmp(before + at, disk.ram + at, LOG_PAGE))
			return false;
	}
	return true;
}

static void none_too_many(void)
{
	unsigned marked = 0;

	for (uint64_t at = 0; at < DISK_MEM_BYTES; at += LOG_PAGE) {
		bool is = dirty_log_has(&log_, DISK_GPA + at);

		marked += is;
		if (is && !may_write(DISK_GPA + at))
			ck_abort_msg("page at offset 0x%llx is marked", (unsigned long long)at);
	}
	ck_assert_uint_eq(dirty_log_count(&log_), marked);
	ck_assert_uint_gt(marked, REQUESTS / 2 * (PIECE / LOG_PAGE));
}

START_TEST(every_page_that_changes_is_logged)
{
	open_disk(_i);
	fill();
	ck_assert_int_eq(dirty_log_use(&disk.fe, &log_), 0);
	set_log(true);
	for (unsigned round = 0; round < 4; round++) {
		memset(disk.data, 0, DISK_DATA_BYTES);
		memcpy(before, disk.ram, sizeof(before));
		dirty_log_clear(&log_);
		run(0);
		/* The ring's own pages are marked just after the driver can see the end. */
		wait_for(all_marked());
		none_too_many();
	}
	set_log(false);
	dirty_log_clear(&log_);
	run(0);
	ck_assert_uint_eq(dirty_log_count(&log_), 0);
	close_disk();
}
END_TEST

/* QEMU switches it on and off under a guest that goes on. */
START_TEST(a_migration_begins_and_ends_with_requests_in_flight)
{
	open_disk(_i);
	fill();
	for (unsigned round = 0; round < 20; round++) {
		memset(disk.data, 0, DISK_DATA_BYTES);
		for (unsigned i = 0; i < REQUESTS; i++)
			submit(i, 0);
		ck_assert_int_eq(dirty_log_use(&disk.fe, &log_), 0);
		set_log(round % 2);
		for (unsigned i = 0; i < REQUESTS; i++)
			ck_assert_uint_eq(disk_wait(&disk, i), VIRTIO_BLK_S_OK);
	}
	close_disk();
}
END_TEST

/* A request that fails is told of by its status byte, and that is written too. */
START_TEST(the_status_of_a_failed_request_is_logged)
{
	struct fe_buf buf;

	open_disk(_i);
	buf = disk_buf(&disk, 0, 4096);
	ck_assert_int_eq(dirty_log_use(&disk.fe, &log_), 0);
	set_log(true);
	dirty_log_clear(&log_);
	ck_assert_uint_eq(disk_do(&disk, VIRTIO_BLK_T_IN, IMAGE_BYTES / SECTOR, &buf, 1, true),
			  VIRTIO_BLK_S_IOERR);
	ck_assert(dirty_log_has(&log_, gpa_of(&disk.slot[0].status)));
	dirty_log_clear(&log_);
	ck_assert_uint_eq(disk_do(&disk, 77, 0, &buf, 1, true), VIRTIO_BLK_S_UNSUPP);
	ck_assert(dirty_log_has(&log_, gpa_of(&disk.slot[0].status)));
	close_disk();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("blk_log");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, every_page_that_changes_is_logged, 0, VARIANTS);
	tcase_add_loop_test(tc, a_migration_begins_and_ends_with_requests_in_flight, 0, VARIANTS);
	tcase_add_loop_test(tc, the_status_of_a_failed_request_is_logged, 0, VARIANTS);
	suite_add_tcase(suite, tc);
	return run_in_scratch(suite);
}
