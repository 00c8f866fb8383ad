/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_hostile.c - back-ends that hang, hang up, or say what makes no sense, at each message of a
 * connection's life: the device is lost and found again, resets come to an end, nothing leaks. Tests
 * vmm/vhost_user*. The back-end is a script (vmm_script.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/protocol/vmm_rig.h"
#include "tests/protocol/vmm_script.h"
#include "vhost/base/eventfd.h"

#define TIMEOUT_MS 250 /* of what may hang; the machine may be busy */

/* A connection: 7 messages until the device is known, 11 until its ring runs, 4 at a reset. */
#define HELLO_END 7u
#define START_END 18u
#define RESET_END 22u

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	rig_begin();
	script_init();
	rig.opt.socket_path = SCRIPT_SOCKET;
	rig.opt.wait_s = 0;
}

static void create(void)
{
	script_start();
	rig_create(VIRTIO_ID_BLOCK, VU_BIT(VIRTIO_RING_F_EVENT_IDX) |
					    (rig.opt.packed ? VU_BIT(VIRTIO_F_RING_PACKED) : 0));
}

static void hurry(void)
{
	rig.vu->pipe.timeout_ms = rig.vu->pipe.stop_timeout_ms = TIMEOUT_MS;
}

static int connect_first(void)
{
	int ret;

	create();
	if (script.connection == 0 && !script.request && script.message < HELLO_END)
		hurry();
	ret = rig_connect();
	hurry();
	rig.vu->backoff_ms = 5;
	return ret;
}

static void done(void)
{
	script_stop();
	rig_close();
}

/* goes_on - the device comes to work again, perhaps after a reset. */
static void goes_on(void)
{
	rig_until(rig.vu->state == VHOST_USER_RUNNING || rig.needs_resets);
	rig_reset();
	rig.needs_resets = 0;
	rig.dev->status = 0;
	rig_running(0, 1);
	rig_until(script_count(enabled[0]));
	ck_assert_uint_eq(rig.needs_resets, 0);
}

/* --- a message that is not answered as it should be --- */

START_TEST(vmm_side_a_first_connection_that_goes_wrong)
{
	bool may_do;

	script.connection = 0;
	script.message = (unsigned)_i / SCRIPT_BENDS;
	script.act = (enum script_act)((unsigned)_i % SCRIPT_BENDS);
	/* What was said once too often is noticed later, and not all refusals matter. */
	may_do = script.act == SCRIPT_TWICE || script.act == SCRIPT_REFUSE;
	if (connect_first() < 0) {
		ck_assert_uint_eq(script_count(acted), 1);
		ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu), SCRIPT_SOCKET));
		ck_assert(vhost_user_idle(rig.vu));
		rig_turn(20);
	} else {
		ck_assert(may_do);
		rig_driver_ok(0, 1);
		goes_on();
	}
	done();
}
END_TEST

START_TEST(vmm_side_a_start_or_reset_that_goes_wrong)
{
	script.connection = 0;
	script.message = HELLO_END + (unsigned)_i / SCRIPT_BENDS;
	script.act = (enum script_act)((unsigned)_i % SCRIPT_BENDS);
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(0, 1);
	goes_on();
	ck_assert_uint_eq(script_count(acted), 1);
	rig_turn(2); /* what was said twice is noticed now */
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	rig_reset();
	done();
}
END_TEST

/* --- a reply of the right size that lies --- */

static void base_of_another(struct vu_msg *reply)
{
	reply->payload.state.index ^= 1;
}

static void config_of_elsewhere(struct vu_msg *reply)
{
	reply->payload.config.offset = 4;
}

static void config_of_another_size(struct vu_msg *reply)
{
	reply->payload.config.size = 8;
}

static void region_without_queues(struct vu_msg *reply)
{
	reply->payload.inflight.num_queues = 0;
}

static void region_of_other_queues(struct vu_msg *reply)
{
	reply->payload.inflight.queue_size ^= 64;
}

static void region_of_odd_areas(struct vu_msg *reply)
{
	reply->payload.inflight.mmap_size++;
}

static void region_that_wraps(struct vu_msg *reply)
{
	reply->payload.inflight.mmap_offset = UINT64_MAX - 8;
}

static void region_beyond_any_need(struct vu_msg *reply)
{
	reply->payload.inflight.mmap_size = 1ull << 60;
}

static void region_without_file(struct vu_msg *reply)
{
	vu_msg_close_fds(reply);
}

static const struct {
	uint32_t request;
	void (*bend)(struct vu_msg *reply);
} lies[] = {
	{VU_GET_VRING_BASE, base_of_another},         {VU_GET_INFLIGHT_FD, region_without_queues},
	{VU_GET_INFLIGHT_FD, region_of_other_queues}, {VU_GET_INFLIGHT_FD, region_of_odd_areas},
	{VU_GET_INFLIGHT_FD, region_that_wraps},      {VU_GET_INFLIGHT_FD, region_beyond_any_need},
	{VU_GET_INFLIGHT_FD, region_without_file},
};

START_TEST(vmm_side_a_lie_ends_the_connection)
{
	script.connection = 0;
	script.request = lies[_i].request;
	script.act = SCRIPT_BENDS;
	script.bend = lies[_i].bend;
	rig.opt.queues = 2;
	ck_assert_int_eq(connect_first(), 0);
	rig_driver_ok(0, 1);
	goes_on();
	ck_assert_uint_eq(script_count(acted), 1);
	ck_assert_uint_eq(script_count(connections), 2);
	done();
}
END_TEST

START_TEST(vmm_side_a_configuration_that_was_not_asked_for)
{
	script.connection = 0;
	script.request = VU_GET_CONFIG;
	script.act = SCRIPT_BENDS;
	script.bend = _i ? config_of_elsewhere : config_of_another_size;
	ck_assert_int_eq(connect_first(), -ECONNRESET);
	done();
}
END_TEST

static void region_of_nothing(struct vu_msg *reply)
{
	reply->payload.inflight.mmap_size = 0;
}

START_TEST(a_back_end_without_a_region_is_served_without)
{
	script.connection = 0;
	script.request = VU_GET_INFLIGHT_FD;
	script.act = SCRIPT_BENDS;
	script.bend = region_of_nothing;
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	ck_assert_int_eq(rig.vu->inflight_fd, -1);
	rig_reset();
	done();
}
END_TEST

/* --- numbers at the edges --- */

static const struct {
	uint64_t without, with; /* features */
	uint64_t without_protocol, queue_num;
	const char *reason;
} unfit[] = {
	{VU_BIT(VIRTIO_F_VERSION_1), 0, 0, 2, "VIRTIO_F_VERSION_1"},
	{VU_BIT(VU_F_PROTOCOL_FEATURES), 0, 0, 2, "no disk"},
	{0, 0, VU_BIT(VU_PF_CONFIG), 2, "no disk"},
	{0, 0, 0, 0, "no queues"},
	{~0ull, 0, 0, 2, "VIRTIO_F_VERSION_1"},
};

START_TEST(vmm_side_one_that_is_not_fit_is_told_so_at_once)
{
	script.features &= ~unfit[_i].without;
	script.features |= unfit[_i].with;
	script.protocol &= ~unfit[_i].without_protocol;
	script.queue_num = unfit[_i].queue_num;
	rig.opt.wait_s = 60; /* not waited for: it would not get better */
	ck_assert_int_eq(connect_first(), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(vhost_user_reason(rig.vu), unfit[_i].reason));
	ck_assert_uint_eq(rig.vu->state, VHOST_USER_REFUSED);
	done();
}
END_TEST

START_TEST(vmm_side_more_than_there_can_be_is_cut_down)
{
	const uint64_t forbidden = VU_BIT(VIRTIO_F_ACCESS_PLATFORM) | VU_BIT(VIRTIO_F_SR_IOV) |
				   VU_BIT(38) | VU_BIT(39) | VU_BIT(41) | VU_BIT(VU_F_LOG_ALL) |
				   VU_BIT(VU_F_PROTOCOL_FEATURES) | VU_BIT(VIRTIO_F_RING_PACKED);

	script.features = ~0ull;
	script.protocol = ~0ull;
	script.queue_num = UINT64_MAX;
	rig.opt.queues = 1;
	ck_assert_int_eq(connect_first(), 0);
	ck_assert_uint_eq(rig.dev->features & forbidden, 0);
	ck_assert_uint_eq(rig.dev->num_queues, 1);
	rig_running(0, 1);
	/* Nothing is said to be wanted that was not. */
	ck_assert_uint_eq(script_count(features_set),
			  (rig.dev->driver_features | VU_BIT(VU_F_PROTOCOL_FEATURES)));
	rig_reset();
	done();
}
END_TEST

/* --- what comes without having been asked for --- */

START_TEST(vmm_side_a_ring_error_needs_one_reset)
{
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	for (unsigned i = 0; i < 100; i++) {
		eventfd_signal(script_count(err_fd));
		if (i % 10 == 0)
			rig_turn(1);
	}
	rig_until(vhost_user_idle(rig.vu));
	ck_assert_uint_eq(rig.needs_resets, 1);
	rig_reset();
	rig_running(0, 1);
	rig_turn(20);
	ck_assert_uint_eq(rig.needs_resets, 1); /* old signals do not count */
	done();
}
END_TEST

START_TEST(vmm_side_a_ring_error_of_one_that_was_lost_is_not_the_next_ones)
{
	int old;

	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	old = dup(script_count(err_fd));
	ck_assert_int_ge(old, 0);
	script_drop();
	rig_until(rig.vu->connections == 2 && rig.vu->state == VHOST_USER_RUNNING);
	eventfd_signal(old);
	rig_turn(20);
	ck_assert_uint_eq(rig.needs_resets, 0);
	close_fd(&old);
	done();
}
END_TEST

static void change(void)
{
	struct vu_msg msg;

	vu_msg_init(&msg, VU_BACKEND_CONFIG_CHANGE);
	if (vu_send(script_count(channel), &msg) < 0)
		return; /* full, or closed */
}

START_TEST(vmm_side_changes_without_end_hold_nobody_up)
{
	uint64_t sectors;

	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	ck_assert_int_eq(fcntl(script_count(channel), F_SETFL, O_NONBLOCK), 0);
	for (unsigned i = 0; i < 300; i++) {
		for (unsigned n = 0; n < 50; n++)
			change();
		rig_turn(0);
	}
	ck_assert_uint_eq(rig.config_changes, 0); /* it was always the same */
	sectors = 4096;
	memcpy(script.config, &sectors, sizeof(sectors));
	for (unsigned n = 0; n < 5000; n++)
		change();
	rig_until(rig.config_changes == 1);
	ck_assert(!memcmp(rig.dev->config, &sectors, sizeof(sectors)));
	rig_reset(); /* while more come in */
	rig_running(0, 1);
	done();
}
END_TEST

/* Other back-ends are still waited for: the device is on no bus yet. */
START_TEST(vmm_side_changes_before_the_guest_is_there)
{
	const struct virtio_transport_ops *transport;
	uint64_t sectors = 4096;

	ck_assert_int_eq(connect_first(), 0);
	transport = rig.dev->transport;
	rig.dev->transport = NULL;
	memcpy(script.config, &sectors, sizeof(sectors));
	change();
	rig_until(!memcmp(rig.dev->config, &sectors, sizeof(sectors)));
	sectors = 2048;
	memcpy(script.config, &sectors, sizeof(sectors));
	script_drop();
	rig_until(!memcmp(rig.dev->config, &sectors, sizeof(sectors)));
	rig.dev->transport = transport;
	rig_running(0, 1);
	done();
}
END_TEST

START_TEST(vmm_side_one_that_comes_and_goes_is_met_ever_less_often)
{
	uint64_t start;
	unsigned connections;

	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	rig.vu->backoff_ms = 100;
	start = clock_ns();
	while (clock_ns() - start < 1500000000) {
		script_drop();
		rig_turn(1);
	}
	connections = script_count(connections);
	ck_assert_uint_ge(connections, 3);
	ck_assert_uint_le(connections, 7);
	done();
}
END_TEST

/* --- another in its place, when there is no in-flight region --- */

static void submit_one(unsigned slot)
{
	struct fe_buf data = disk_buf(&rig.disk, 0, 512);

	disk_submit(&rig.disk, slot, VIRTIO_BLK_T_OUT, 0, &data, 1, false);
}

static void lose(void)
{
	unsigned before = rig.vu->connections;

	rig.vu->backoff_ms = 5;
	script_drop();
	rig_until(rig.vu->connections == before + 1);
}

START_TEST(without_a_region_a_ring_at_rest_goes_on_where_it_was)
{
	script.protocol &= ~VU_BIT(VU_PF_INFLIGHT_SHMFD);
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	/* As if three requests had been served. */
	rig.disk.ring.avail->idx = htole16(3);
	rig.disk.ring.used->idx = htole16(3);
	ck_assert(eventfd_drain(script_count(kick_fd)) || true);
	lose();
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(script_count(bases[0]), 3);
	ck_assert(eventfd_drain(script_count(kick_fd))); /* both are told once more */
	ck_assert(eventfd_drain(script_count(call_fd)));
	ck_assert_uint_eq(rig.needs_resets, 0);
	done();
}
END_TEST

START_TEST(without_a_region_requests_on_the_way_need_a_reset)
{
	script.protocol &= ~VU_BIT(VU_PF_INFLIGHT_SHMFD);
	script.features |= VU_BIT(VIRTIO_F_IN_ORDER);
	ck_assert_int_eq(connect_first(), 0);
	rig_running(_i ? 0 : VU_BIT(VIRTIO_F_IN_ORDER), 1);
	submit_one(0);
	lose();
	if (_i) { /* used in order: what is not used was not done */
		rig_until(rig.vu->state == VHOST_USER_RUNNING);
		ck_assert_uint_eq(script_count(bases[0]), 0);
		rig_turn(20);
		ck_assert_uint_eq(rig.needs_resets, 0);
	} else {
		rig_until(rig.needs_resets == 1);
		ck_assert_ptr_nonnull(strstr(rig.vu->reason, "no in-flight region"));
		goes_on();
	}
	done();
}
END_TEST

START_TEST(without_a_region_a_packed_ring_needs_a_reset)
{
	script.features |= VU_BIT(VIRTIO_F_RING_PACKED);
	script.protocol &= ~VU_BIT(VU_PF_INFLIGHT_SHMFD);
	rig.opt.packed = true;
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	ck_assert_uint_eq(script_count(bases[0]), 0x80008000);
	lose();
	rig_until(rig.needs_resets == 1);
	goes_on();
	done();
}
END_TEST

/* What one back-end noted says nothing of what another did, which had no region, after it. */
START_TEST(vmm_side_a_region_does_not_outlive_a_back_end_without_one)
{
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	script.protocol &= ~VU_BIT(VU_PF_INFLIGHT_SHMFD);
	lose();
	rig_until(rig.vu->state == VHOST_USER_RUNNING); /* nothing was on the way */
	submit_one(0);
	script.protocol |= VU_BIT(VU_PF_INFLIGHT_SHMFD);
	lose();
	rig_until(rig.needs_resets == 1);
	ck_assert_ptr_nonnull(strstr(rig.vu->reason, "no in-flight region"));
	goes_on();
	ck_assert_int_ge(rig.vu->inflight_fd, 0);
	done();
}
END_TEST

/* The file was made by the back-end, which can do with it what it likes. */
START_TEST(vmm_side_a_region_cut_short_or_replaced)
{
	int fd;

	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	if (_i == 0) {
		ck_assert_int_eq(ftruncate(rig.vu->inflight_fd, 0), 0);
	} else {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		ck_assert_int_ge(dup3(fd, rig.vu->inflight_fd, O_CLOEXEC), 0);
		close_fd(&fd);
	}
	lose();
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	rig.dev->queues[0].resetting = true;
	rig.dev->ops->queue_reset(rig.dev, 0);
	rig_until(rig.queue_resets == 1);
	ck_assert_int_eq(rig.vu->inflight_fd >= 0, _i == 0);
	rig_set_up(0);
	rig.dev->ops->queue_enable(rig.dev, 0);
	rig_until(rig.vu->rings[0].state == RING_ON);
	rig_reset();
	done();
}
END_TEST

/* A device of which nothing is known but its sizes: the back-end decides what may be written. */
START_TEST(vmm_side_writes_to_a_space_of_any_device_stay_within_it)
{
	static const struct {
		unsigned offset, bytes;
	} beyond[] = {{0, 17},  {0, 256}, {15, 2},      {16, 1},
		      {255, 1}, {~0u, 1}, {~0u - 3, 8}, {8, 12}};
	uint8_t data[256];

	memset(data, 0xee, sizeof(data));
	script.features = VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VU_F_PROTOCOL_FEATURES);
	rig.opt.queues = 2;
	rig.opt.config_bytes = 16;
	script_start();
	rig_create(VIRTIO_ID_RNG, 0);
	ck_assert_int_eq(rig_connect(), 0);
	ck_assert_uint_eq(rig.dev->num_queues, 2);
	ck_assert_uint_eq(rig.dev->config_bytes, 16);
	rig_running(0, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++)
		rig.dev->ops->config_written(rig.dev, beyond[i].offset, beyond[i].bytes, data);
	rig_turn(5);
	ck_assert_uint_eq(script_count(configs_set), 0);
	for (unsigned i = 8; i < VIRTIO_CONFIG_BYTES; i++)
		ck_assert_uint_eq(rig.dev->config[i], 0);
	rig.dev->ops->config_written(rig.dev, 4, 4, data);
	rig_until(script_count(configs_set) == 1);
	ck_assert(!memcmp(script.written + 4, data, 4));
	ck_assert_uint_eq(script.written[3] + script.written[8], 0);
	ck_assert(!memcmp(rig.dev->config + 4, data, 4));
	rig_reset();
	done();
}
END_TEST

START_TEST(what_the_driver_wrote_is_told_to_the_next)
{
	const uint8_t off = 0;

	script.features |= VU_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	script.config[32] = script.written[32] = 1;
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	rig.dev->ops->config_written(rig.dev, 32, 1, &off);
	rig_until(script_count(configs_set) == 1);
	ck_assert_uint_eq(script.written[32], 0);
	lose(); /* this one says 1 again */
	rig_until(script_count(configs_set) == 2);
	ck_assert_uint_eq(rig.dev->config[32], 0);
	ck_assert_uint_eq(rig.config_changes, 0);
	done();
}
END_TEST

/* A reset that has to wait for nobody undoes it, too: before DRIVER_OK, or without a connection. */
START_TEST(what_the_driver_wrote_ends_with_it)
{
	const uint8_t off = 0;

	script.features |= VU_BIT(VIRTIO_BLK_F_CONFIG_WCE);
	script.config[32] = script.written[32] = 1;
	ck_assert_int_eq(connect_first(), 0);
	if (_i)
		rig_running(0, 1);
	rig.dev->driver_features = rig.dev->features;
	rig.dev->ops->config_written(rig.dev, 32, 1, &off);
	rig_turn(5);
	ck_assert_uint_eq(script_count(configs_set), _i); /* not before it has features */
	if (_i) {
		rig.vu->backoff_ms = 100;
		script_drop();
		rig_until(rig.vu->state == VHOST_USER_LOST);
	}
	rig_reset();
	ck_assert_uint_eq(rig.dev->config[32], 1);
	rig_running(0, 1);
	ck_assert_uint_eq(rig.dev->config[32], 1);
	ck_assert_uint_eq(script_count(configs_set), _i); /* a new one was told of nothing */
	ck_assert_uint_eq(script.written[32], _i ? 0 : 1);
	done();
}
END_TEST

/* That it cannot be written to is offered as a feature, and is less. */
START_TEST(vmm_side_a_disk_that_comes_back_read_only_is_refused)
{
	ck_assert_int_eq(connect_first(), 0);
	rig_running(0, 1);
	script.features |= VU_BIT(VIRTIO_BLK_F_RO);
	script_drop();
	rig_until(rig.vu->state == VHOST_USER_REFUSED);
	ck_assert_ptr_nonnull(strstr(rig.vu->reason, "VIRTIO_BLK_F_RO"));
	script.features &= ~VU_BIT(VIRTIO_BLK_F_RO);
	rig_until(rig.vu->state == VHOST_USER_RUNNING);
	ck_assert_uint_eq(rig.needs_resets, 0);
	done();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_hostile");
	TCase *tc = tcase_create("hostile");

	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, vmm_side_a_first_connection_that_goes_wrong, 0,
			    HELLO_END * SCRIPT_BENDS);
	tcase_add_loop_test(tc, vmm_side_a_start_or_reset_that_goes_wrong, 0,
			    (RESET_END - HELLO_END) * SCRIPT_BENDS);
	tcase_add_loop_test(tc, vmm_side_a_lie_ends_the_connection, 0, ARRAY_SIZE(lies));
	tcase_add_loop_test(tc, vmm_side_a_configuration_that_was_not_asked_for, 0, 2);
	tcase_add_test(tc, a_back_end_without_a_region_is_served_without);
	tcase_add_loop_test(tc, vmm_side_one_that_is_not_fit_is_told_so_at_once, 0,
			    ARRAY_SIZE(unfit));
	tcase_add_test(tc, vmm_side_more_than_there_can_be_is_cut_down);
	tcase_add_test(tc, vmm_side_a_ring_error_needs_one_reset);
	tcase_add_test(tc, vmm_side_a_ring_error_of_one_that_was_lost_is_not_the_next_ones);
	tcase_add_test(tc, vmm_side_changes_without_end_hold_nobody_up);
	tcase_add_test(tc, vmm_side_changes_before_the_guest_is_there);
	tcase_add_test(tc, vmm_side_one_that_comes_and_goes_is_met_ever_less_often);
	tcase_add_test(tc, without_a_region_a_ring_at_rest_goes_on_where_it_was);
	tcase_add_loop_test(tc, without_a_region_requests_on_the_way_need_a_reset, 0, 2);
	tcase_add_test(tc, without_a_region_a_packed_ring_needs_a_reset);
	tcase_add_test(tc, vmm_side_a_region_does_not_outlive_a_back_end_without_one);
	tcase_add_loop_test(tc, vmm_side_a_region_cut_short_or_replaced, 0, 2);
	tcase_add_test(tc, vmm_side_writes_to_a_space_of_any_device_stay_within_it);
	tcase_add_test(tc, what_the_driver_wrote_is_told_to_the_next);
	tcase_add_loop_test(tc, what_the_driver_wrote_ends_with_it, 0, 2);
	tcase_add_test(tc, vmm_side_a_disk_that_comes_back_read_only_is_refused);
	suite_add_tcase(suite, tc);
	return run_in_scratch(suite);
}
