/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_hostile_wire.c - see blk_hostile_wire.h.
 * Tests only.
 */
#include "tests/protocol/blk_hostile_wire.h"

#include <errno.h>

struct vu_msg request(uint32_t number, uint32_t size)
{
	struct vu_msg msg;

	vu_msg_init(&msg, number);
	msg.hdr.size = size;
	return msg;
}

struct vu_msg with_fd(struct vu_msg msg, int fd)
{
	msg.fds[msg.num_fds++] = fd;
	return msg;
}

struct vu_msg state(uint32_t number, uint32_t index, uint32_t num)
{
	struct vu_msg msg = request(number, sizeof(msg.payload.state));

	msg.payload.state.index = index;
	msg.payload.state.num = num;
	return msg;
}

void served(void)
{
	ck_assert_uint_eq(disk_read(&disk, 0, 4096), VIRTIO_BLK_S_OK);
}

void refused(struct vu_msg msg)
{
	ck_assert_int_eq(fe_request(&disk.fe, &msg), -EREMOTEIO);
	served();
}

void accepted(struct vu_msg msg)
{
	ck_assert_int_eq(fe_request(&disk.fe, &msg), 0);
}

void closed(void)
{
	ck_assert_int_eq(fe_await_close(&disk.fe, 5000), 0);
	meanwhile();
}

void closes(bool packed, struct vu_msg msg)
{
	guest(packed);
	served();
	ck_assert_int_eq(fe_send(&disk.fe, &msg), 0);
	closed();
	leave();
}

void end(bool packed)
{
	guest(packed);
	survived();
}

struct vu_msg slot(uint64_t gpa, uint64_t size, uint64_t uva, uint64_t offset, int fd)
{
	struct vu_msg msg = request(VU_ADD_MEM_REG, sizeof(msg.payload.region));

	msg.payload.region.region = (struct vu_region){gpa, size, uva, offset};
	return with_fd(msg, fd);
}
