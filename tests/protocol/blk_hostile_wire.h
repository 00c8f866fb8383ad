/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_hostile_wire.h - messages of a bad guest's front-end, and what they get.
 * Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_BLK_HOSTILE_WIRE_H
#define RINGSIDE_TESTS_PROTOCOL_BLK_HOSTILE_WIRE_H

#include "tests/protocol/blk_hostile_rig.h"

/* What is nowhere near the guest's memory. */
#define FAR (1ull << 40)

/* A message as the test words it: request and payload bytes; a ring's state; a memory slot. */
struct vu_msg request(uint32_t number, uint32_t size);
struct vu_msg state(uint32_t number, uint32_t index, uint32_t num);
struct vu_msg slot(uint64_t gpa, uint64_t size, uint64_t uva, uint64_t offset, int fd);

/* with_fd - @msg with one fd more, which stays the caller's. */
struct vu_msg with_fd(struct vu_msg msg, int fd);

/* served - the bad guest's disk is. */
void served(void);

/* refused - answered by an error, and the disk goes on. accepted - by success. */
void refused(struct vu_msg msg);
void accepted(struct vu_msg msg);

/* closed - the daemon hung up on the bad guest. closes - on a visit of its own: it does for this. */
void closed(void);
void closes(bool packed, struct vu_msg msg);

/* end - survived(), when the bad guest has left. */
void end(bool packed);

#endif
