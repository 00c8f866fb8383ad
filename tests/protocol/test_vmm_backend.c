/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_backend.c - the VMM's half of a disk against the real ringside-blk: found, served, stopped,
 * lost and found again, with requests on the way. Tests vmm/vhost_user*.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <signal.h>
#include <string.h>

#include "tests/protocol/vmm_rig.h"

#define IMAGE       "disk.img"
#define IMAGE_BYTES (16u << 20)
#define OPTIONS     "--blk-file=" IMAGE " --num-queues=4"
#define WCE_AT      offsetof(struct virtio_blk_config, wce)

static bool packed;

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	rig_begin();
	make_image(IMAGE, IMAGE_BYTES);
}

static void open_disk(void)
{
	blkd_start(OPTIONS);
	rig_open(packed);
}

static uint64_t capacity(void)
{
	uint64_t sectors;

	memcpy(&sectors, rig.dev->config, sizeof(sectors));
	return le64toh(sectors);
}

/* works - a write comes back. */
static void works(uint32_t seed)
{
	disk_fill(&rig.disk, seed, 65536);
	ck_assert_uint_eq(disk_write(&rig.disk, seed % 1000 * 8, 65536), VIRTIO_BLK_S_OK);
	memset(rig.disk.data, 0, 65536);
	ck_assert_uint_eq(disk_read(&rig.disk, seed % 1000 * 8, 65536), VIRTIO_BLK_S_OK);
	ck_assert(disk_filled(&rig.disk, seed, 65536));
}

/* lose - the daemon dies; the next is looked for soon, however often that happens. */
static void lose(void)
{
	rig.vu->backoff_ms = 10;
	blkd_kill();
	rig_until(rig.vu->state == VHOST_USER_LOST);
}

static void done(void)
{
	rig_close();
	if (blkd_pid())
		blkd_stop();
}

/* --- the first connection --- */

START_TEST(a_disk_is_found_served_reset_and_served_again)
{
	packed = _i;
	rig.num_vcpus = 2;
	open_disk();
	ck_assert_uint_eq(rig.vu->state, VHOST_USER_READY);
	ck_assert_uint_eq(rig.dev->num_queues, 2); /* as many as vCPUs */
	ck_assert_uint_eq(rig.dev->config[offsetof(struct virtio_blk_config, num_queues)], 2);
	ck_assert_uint_eq(capacity(), IMAGE_BYTES / SECTOR);
	ck_assert(rig.dev->features & VU_BIT(VIRTIO_F_VERSION_1));
	ck_assert(rig.dev->features & VU_BIT(VIRTIO_F_RING_RESET));
	ck_assert(!(rig.dev->features & VU_BIT(VU_F_PROTOCOL_FEATURES)));
	ck_assert(!(rig.dev->features & VU_BIT(VU_F_LOG_ALL)));
	ck_assert_uint_eq(rig.dev->features >> VIRTIO_F_RING_PACKED & 1, packed);
	rig.dev->ops->reset(rig.dev); /* as drivers begin */
	ck_assert_uint_eq(rig.resets, 1); /* nothing to wait for */
	for (unsigned i = 0; i < 3; i++) {
		rig_running(0, 2);
		ck_assert(!vhost_user_idle(rig.vu));
		works(i);
		rig_reset();
		ck_assert_uint_eq(rig.vu->state, VHOST_USER_READY);
		ck_assert_uint_eq(rig.vu->inflight.mmap_size, 0);
	}
	ck_assert_uint_eq(rig.needs_resets, 0);
	ck_assert_uint_eq(rig.config_changes, 0);
	done();
}
END_TEST

START_TEST(nobody_there_is_said_in_one_line)
{
	uint64_t start = clock_ns();

	rig.opt.wait_s = 0;
	rig_create(VIRTIO_ID_BLOCK, 0);
	ck_assert_int_eq(rig_connect(), -ENOENT);
	ck_assert_uint_lt(clock_ns() - start, 1000000000);
	ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu), BLKD_SOCKET));
	ck_assert_ptr_nonnull(
		strstr(vhost_user_reason(rig.vu), "ringside-blk --socket-path=" BLKD_SOCKET));
	done();
}
END_TEST

START_TEST(a_path_that_is_no_socket_is_not_waited_for)
{
	uint64_t start = clock_ns();

	rig.opt.wait_s = 60;
	rig.opt.socket_path = "disk.img/x";
	rig_create(VIRTIO_ID_BLOCK, 0);
	ck_assert_int_eq(rig_connect(), -ENOTDIR);
	ck_assert_uint_lt(clock_ns() - start, 1000000000);
	done();
}
END_TEST

static void start_late(struct loop_timer *timer)
{
	(void)timer;
	blkd_start(OPTIONS);
}

START_TEST(a_back_end_that_starts_later_is_waited_for)
{
	struct loop_timer timer = {0};

	rig.opt.wait_s = 10;
	rig_create(VIRTIO_ID_BLOCK, VU_BIT(VIRTIO_RING_F_EVENT_IDX));
	loop_timer_set(rig.loop, &timer, 300, start_late);
	ck_assert_int_eq(rig_connect(), 0);
	rig_running(0, 1);
	works(1);
	done();
}
END_TEST

START_TEST(one_that_serves_another_is_told)
{
	struct disk other;

	blkd_start(OPTIONS);
	disk_open(&other, BLKD_SOCKET, 0);
	rig.opt.wait_s = 0;
	rig_create(VIRTIO_ID_BLOCK, 0);
	rig.vu->pipe.timeout_ms = 200;
	ck_assert_int_eq(rig_connect(), -ECONNRESET);
	ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu), "has not answered GET_FEATURES"));
	ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu), "another front-end"));
	disk_close(&other);
	done();
}
END_TEST

START_TEST(there_are_no_more_queues_than_the_back_end_has)
{
	rig.opt.queues = 8;
	open_disk();
	ck_assert_uint_eq(rig.dev->num_queues, 4);
	rig_running(0, 4);
	works(1);
	done();
}
END_TEST

/* --- the driver --- */

START_TEST(a_queue_is_reset_and_served_again)
{
	packed = _i;
	rig.opt.queues = 2;
	open_disk();
	rig_running(0, 2);
	for (unsigned i = 0; i < 3; i++) {
		works(i);
		rig.dev->queues[0].resetting = true;
		rig.dev->ops->queue_reset(rig.dev, 0);
		rig_until(rig.queue_resets == i + 1);
		ck_assert_uint_eq(rig.vu->rings[0].state, RING_OFF);
		ck_assert_uint_eq(rig.vu->rings[1].state, RING_ON);
		fe_ring_reset(&rig.disk.ring);
		rig_set_up(0);
		rig.dev->ops->queue_enable(rig.dev, 0);
		rig_until(rig.vu->rings[0].state == RING_ON);
	}
	works(9);
	ck_assert_uint_eq(rig.needs_resets, 0);
	done();
}
END_TEST

#define AT_END 1 /* the last bytes of RAM: it begins there, and does not end there */

static const struct {
	const char *what;
	uint64_t desc, driver, device; /* added */
	uint16_t size;
} wrong_rings[] = {
	{"descriptors over the end of RAM", AT_END, 0, 0, 0},
	{"avail ring over the end of RAM", 0, AT_END, 0, 0},
	{"used ring over the end of RAM", 0, 0, AT_END, 0},
	{"descriptors outside RAM", 1ull << 40, 0, 0, 0},
	{"avail ring outside RAM", 0, 1ull << 40, 0, 0},
	{"used ring outside RAM", 0, 0, 1ull << 40, 0},
	{"descriptors that wrap", -DISK_GPA - 16, 0, 0, 0},
	{"misaligned descriptors", 8, 0, 0, 0},
	{"misaligned avail ring", 0, 3, 0, 0},
	{"misaligned used ring", 0, 0, 2, 0},
	{"no size", 0, 0, 0, 1},
	{"size not a power of two", 0, 0, 0, 100},
	{"size beyond what was offered", 0, 0, 0, 1024},
};

static void move(uint64_t *gpa, uint64_t by)
{
	const struct fe_region *r = &rig.disk.mem.regions[0];

	*gpa = by == AT_END ? r->gpa + r->size - 16 : *gpa + by;
}

START_TEST(vmm_side_rings_that_are_not_in_ram_need_a_reset)
{
	struct virtio_queue *q;

	open_disk();
	q = &rig.dev->queues[0];
	rig_set_up(0);
	rig.dev->driver_features = rig.dev->features;
	move(&q->desc_gpa, wrong_rings[_i].desc);
	move(&q->driver_gpa, wrong_rings[_i].driver);
	move(&q->device_gpa, wrong_rings[_i].device);
	if (wrong_rings[_i].size)
		q->size = wrong_rings[_i].size == 1 ? 0 : wrong_rings[_i].size;
	rig.dev->ops->start(rig.dev);
	rig_until(rig.needs_resets == 1);
	ck_assert_ptr_nonnull(strstr(rig.vu->reason, "queue 0 has")); /* seen on this side */
	rig_turn(20);
	ck_assert(vhost_user_idle(rig.vu));
	ck_assert_uint_eq(rig.needs_resets, 1);
	rig_reset();
	rig_running(0, 1);
	works(1);
	done();
}
END_TEST

/* A driver that does not wait for anything, as fast as it can. */
START_TEST(vmm_side_starts_and_resets_in_any_order)
{
	unsigned before;

	rig.opt.queues = 4;
	open_disk();
	for (unsigned i = 0; i < 200; i++) {
		rig_driver_ok(0, 1 + i % 4);
		if (i % 3)
			rig_turn(i % 3 - 1);
		if (i % 5 == 0 && rig.dev->queues[0].enabled) {
			rig.dev->queues[0].resetting = true;
			rig.dev->ops->queue_reset(rig.dev, 0);
		}
		before = rig.resets;
		rig.dev->ops->reset(rig.dev);
		rig_until(rig.resets == before + 1);
		ck_assert(vhost_user_idle(rig.vu));
	}
	ck_assert_uint_eq(rig.vu->connections, 1);
	for (unsigned i = 0; i < RIG_MAX_RINGS; i++)
		fe_ring_reset(rig_ring(i));
	rig_running(0, 1);
	works(1);
	done();
}
END_TEST

START_TEST(the_cache_mode_is_the_drivers_and_nothing_else_is)
{
	const uint8_t off = 0, junk[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	open_disk();
	ck_assert_uint_eq(rig.dev->config[WCE_AT], 1);
	rig_running(0, 1);
	rig.dev->ops->config_written(rig.dev, 0, 8, junk);
	rig.dev->ops->config_written(rig.dev, WCE_AT - 1, 4, junk);
	rig.dev->ops->config_written(rig.dev, 255, 8, junk);
	rig.dev->ops->config_written(rig.dev, ~0u - 3, 8, junk);
	rig_turn(10);
	ck_assert_uint_eq(capacity(), IMAGE_BYTES / SECTOR);
	ck_assert_uint_eq(rig.dev->config[WCE_AT], 1);
	rig.dev->ops->config_written(rig.dev, WCE_AT, 1, &off);
	ck_assert_uint_eq(rig.dev->config[WCE_AT], 0); /* read back at once */
	rig_until(blkd_logged("cache mode is now writethrough"));
	/* The next daemon begins in another mode, and is told. */
	lose();
	blkd_start(OPTIONS);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	rig_until(blkd_logged("cache mode is now writethrough"));
	ck_assert_uint_eq(rig.dev->config[WCE_AT], 0);
	works(1);
	/* After a reset it is as it was. */
	rig_reset();
	ck_assert_uint_eq(rig.dev->config[WCE_AT], 1);
	done();
}
END_TEST

START_TEST(a_grown_disk_is_a_config_change)
{
	open_disk();
	rig_running(0, 1);
	ck_assert_int_eq(truncate(IMAGE, 2 * IMAGE_BYTES), 0);
	json_decref(blkd_call("resize"));
	rig_until(rig.config_changes == 1);
	ck_assert_uint_eq(capacity(), 2 * IMAGE_BYTES / SECTOR);
	ck_assert_uint_eq(rig.dev->config[offsetof(struct virtio_blk_config, num_queues)], 1);
	done();
}
END_TEST

/* Before it has its place on the bus, while the machine waits for other back-ends; and when the bus
 * is gone, with a queue's reset still under way. */
START_TEST(vmm_side_a_back_end_has_news_and_there_is_no_bus)
{
	const struct virtio_transport_ops *transport;

	open_disk();
	transport = rig.dev->transport;
	rig.dev->transport = NULL;
	ck_assert_int_eq(truncate(IMAGE, 2 * IMAGE_BYTES), 0);
	json_decref(blkd_call("resize"));
	rig_until(capacity() == 2 * IMAGE_BYTES / SECTOR);
	rig.dev->transport = transport;
	ck_assert_uint_eq(rig.config_changes, 0);
	rig_running(0, 1);
	works(1);
	blkd_signal(SIGSTOP);
	rig.dev->queues[0].resetting = true;
	rig.dev->ops->queue_reset(rig.dev, 0);
	rig_until(rig.vu->rings[0].state == RING_STOPPING);
	rig.dev->transport = NULL;
	rig_close();
	blkd_signal(SIGCONT);
	blkd_stop();
}
END_TEST

/* --- another back-end in its place --- */

/* submit - requests that write, each with a pattern of its own. */
static void submit_writes(unsigned num, uint32_t seed)
{
	for (unsigned i = 0; i < num; i++) {
		struct fe_buf data = disk_buf(&rig.disk, i * 65536, 65536);

		pattern(rig.disk.data + (size_t)i * 65536, seed + i, 65536);
		disk_submit(&rig.disk, i, VIRTIO_BLK_T_OUT, i * 128, &data, 1, false);
	}
}

static void writes_are_there(unsigned num, uint32_t seed)
{
	static uint8_t got[65536], expected[65536];

	for (unsigned i = 0; i < num; i++) {
		ck_assert_uint_eq(disk_wait(&rig.disk, i), VIRTIO_BLK_S_OK);
		pattern(expected, seed + i, sizeof(expected));
		image_read(IMAGE, i * 65536, got, sizeof(got));
		ck_assert(!memcmp(got, expected, sizeof(got)));
	}
	ck_assert_uint_eq(fe_ring_in_flight(&rig.disk.ring), 0);
}

START_TEST(requests_on_the_way_are_served_once_by_the_next_back_end)
{
	const unsigned num = 24;

	packed = _i;
	open_disk();
	rig_running(0, 1);
	ck_assert_uint_gt(rig.vu->inflight.mmap_size, 0);
	for (unsigned kill = 0; kill < 12; kill++) {
		submit_writes(num, kill * 100);
		usleep(kill * 150);
		lose();
		ck_assert(vhost_user_idle(rig.vu));
		blkd_start(OPTIONS);
		rig_until(rig.vu->state == VHOST_USER_RUNNING);
		writes_are_there(num, kill * 100);
	}
	ck_assert_uint_eq(rig.vu->connections, 13);
	ck_assert_uint_eq(rig.needs_resets, 0);
	ck_assert_uint_eq(rig.config_changes, 0);
	done();
}
END_TEST

START_TEST(requests_made_while_nobody_is_there_wait)
{
	packed = _i;
	open_disk();
	rig_running(0, 1);
	lose();
	submit_writes(8, 7);
	rig_turn(300);
	ck_assert_uint_eq(rig.vu->state, VHOST_USER_LOST);
	blkd_start(OPTIONS);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	writes_are_there(8, 7);
	done();
}
END_TEST

START_TEST(a_device_can_be_reset_while_nobody_is_there)
{
	packed = _i;
	open_disk();
	rig_running(0, 1);
	lose();
	submit_writes(4, 1);
	rig.dev->ops->reset(rig.dev);
	ck_assert_uint_eq(rig.resets, 1);
	fe_ring_reset(&rig.disk.ring);
	rig_driver_ok(0, 1); /* and started */
	rig_turn(50);
	blkd_start(OPTIONS);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	works(3);
	done();
}
END_TEST

START_TEST(a_queue_can_be_reset_while_nobody_is_there)
{
	packed = _i;
	open_disk();
	rig_running(0, 1);
	blkd_signal(SIGSTOP); /* it has taken none, or some */
	submit_writes(4, 1);
	lose();
	rig.dev->queues[0].resetting = true;
	rig.dev->ops->queue_reset(rig.dev, 0);
	rig_until(rig.queue_resets == 1);
	fe_ring_reset(&rig.disk.ring);
	rig_set_up(0);
	rig.dev->ops->queue_enable(rig.dev, 0);
	blkd_start(OPTIONS);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	works(3);
	done();
}
END_TEST

/* The next one may have another image, which the guest learns of. */
START_TEST(a_disk_that_comes_back_larger_is_a_config_change)
{
	open_disk();
	rig_running(0, 1);
	blkd_stop();
	rig_until(rig.vu->state == VHOST_USER_LOST);
	ck_assert_int_eq(truncate(IMAGE, 2 * IMAGE_BYTES), 0);
	blkd_start(OPTIONS);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(rig.config_changes, 1);
	ck_assert_uint_eq(capacity(), 2 * IMAGE_BYTES / SECTOR);
	works(1);
	done();
}
END_TEST

static const struct {
	const char *options, *reason;
} lesser[] = {
	{"--blk-file=" IMAGE " --num-queues=4 --read-only", "VIRTIO_BLK_F_RO"},
	{"--blk-file=" IMAGE " --num-queues=1", "fewer queues (1) than the guest was told of (4)"},
};

START_TEST(vmm_side_a_back_end_that_can_do_less_is_refused)
{
	rig.num_vcpus = 4;
	open_disk();
	rig_running(0, 1);
	blkd_stop();
	submit_writes(4, 5);
	rig_until(rig.vu->state == VHOST_USER_LOST);
	blkd_start(lesser[_i].options);
	rig_until(rig.vu->state == VHOST_USER_REFUSED);
	ck_assert_ptr_nonnull(strstr(rig.vu->reason, lesser[_i].reason));
	ck_assert(vhost_user_idle(rig.vu));
	blkd_stop();
	rig_turn(500);
	ck_assert_uint_eq(rig.vu->state, VHOST_USER_REFUSED); /* that one is gone says less */
	blkd_start(OPTIONS);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	writes_are_there(4, 5);
	ck_assert_uint_eq(rig.needs_resets, 0);
	done();
}
END_TEST

/* It lives, and says nothing: the guest goes on, and so does the device when it wakes up. */
START_TEST(vmm_side_a_back_end_that_hangs_holds_up_its_device_only)
{
	uint64_t start;

	open_disk();
	rig_running(0, 1);
	rig.vu->pipe.timeout_ms = rig.vu->pipe.stop_timeout_ms = 200;
	blkd_signal(SIGSTOP);
	start = clock_ns();
	rig.dev->ops->reset(rig.dev);
	ck_assert_uint_lt(clock_ns() - start, 50000000);
	ck_assert_uint_eq(rig.resets, 0); /* it may be at work */
	rig_until(rig.resets == 1);
	ck_assert_uint_eq(rig.vu->state, VHOST_USER_LOST);
	fe_ring_reset(&rig.disk.ring);
	rig_driver_ok(0, 1);
	rig_turn(500);
	blkd_signal(SIGCONT);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	works(1);
	done();
}
END_TEST

/* What it had taken it may still answer, into rings that are new by then: that is found, and another
 * reset helps. */
START_TEST(vmm_side_a_back_end_that_wakes_up_after_a_reset)
{
	open_disk();
	rig_running(0, 1);
	rig.vu->pipe.timeout_ms = rig.vu->pipe.stop_timeout_ms = 200;
	blkd_signal(SIGSTOP);
	submit_writes(4, 5);
	rig_reset();
	rig_driver_ok(0, 1);
	rig_turn(100);
	blkd_signal(SIGCONT);
	rig_until(rig.vu->connections == 2);
	rig_turn(20);
	rig_reset();
	rig_running(0, 1);
	works(1);
	done();
}
END_TEST

START_TEST(a_report_says_what_there_is)
{
	json_t *report, *queue;

	rig.opt.queues = 2;
	open_disk();
	rig_running(0, 2);
	rig_turn(1100);
	rig.dev->queues[1].kicks = 7;
	report = vhost_user_report(rig.vu);
	ck_assert_ptr_nonnull(report);
	ck_assert_str_eq(json_string_value(json_object_get(report, "state")), "running");
	ck_assert_str_eq(json_string_value(json_object_get(report, "socket")), BLKD_SOCKET);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "connections")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(report, "connected-s")), 1);
	ck_assert_int_gt(json_integer_value(json_object_get(report, "in-flight-bytes")), 0);
	ck_assert_uint_eq(json_array_size(json_object_get(report, "queues")), 2);
	queue = json_array_get(json_object_get(report, "queues"), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(queue, "kicks")), 7);
	ck_assert_int_eq(json_integer_value(json_object_get(queue, "size")), DISK_RING_SIZE);
	json_decref(report);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_backend");
	TCase *tc = tcase_create("backend");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, a_disk_is_found_served_reset_and_served_again, 0, 2);
	tcase_add_test(tc, nobody_there_is_said_in_one_line);
	tcase_add_test(tc, a_path_that_is_no_socket_is_not_waited_for);
	tcase_add_test(tc, a_back_end_that_starts_later_is_waited_for);
	tcase_add_test(tc, one_that_serves_another_is_told);
	tcase_add_test(tc, there_are_no_more_queues_than_the_back_end_has);
	tcase_add_loop_test(tc, a_queue_is_reset_and_served_again, 0, 2);
	tcase_add_loop_test(tc, vmm_side_rings_that_are_not_in_ram_need_a_reset, 0,
			    ARRAY_SIZE(wrong_rings));
	tcase_add_test(tc, vmm_side_starts_and_resets_in_any_order);
	tcase_add_test(tc, the_cache_mode_is_the_drivers_and_nothing_else_is);
	tcase_add_test(tc, a_grown_disk_is_a_config_change);
	tcase_add_test(tc, vmm_side_a_back_end_has_news_and_there_is_no_bus);
	tcase_add_loop_test(tc, requests_on_the_way_are_served_once_by_the_next_back_end, 0, 2);
	tcase_add_loop_test(tc, requests_made_while_nobody_is_there_wait, 0, 2);
	tcase_add_loop_test(tc, a_device_can_be_reset_while_nobody_is_there, 0, 2);
	tcase_add_loop_test(tc, a_queue_can_be_reset_while_nobody_is_there, 0, 2);
	tcase_add_test(tc, a_disk_that_comes_back_larger_is_a_config_change);
	tcase_add_loop_test(tc, vmm_side_a_back_end_that_can_do_less_is_refused, 0,
			    ARRAY_SIZE(lesser));
	tcase_add_test(tc, vmm_side_a_back_end_that_hangs_holds_up_its_device_only);
	tcase_add_test(tc, vmm_side_a_back_end_that_wakes_up_after_a_reset);
	tcase_add_test(tc, a_report_says_what_there_is);
	suite_add_tcase(suite, tc);
	return run_in_scratch(suite);
}
