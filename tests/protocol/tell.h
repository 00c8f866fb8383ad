/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tell.h - messages as a front-end words them, sent one by one on the rig's connection, for tests
 * of what this or that front-end really sends, in its order.
 * Tests only.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_TELL_H
#define RINGSIDE_TESTS_PROTOCOL_TELL_H

#include "tests/protocol/rig.h"

#define RING_FEATURES                                                  \
	(VU_BIT(VIRTIO_F_VERSION_1) | VU_BIT(VU_F_PROTOCOL_FEATURES) | \
	 VU_BIT(VIRTIO_RING_F_EVENT_IDX) | VU_BIT(VIRTIO_RING_F_INDIRECT_DESC))

/* tell - a message without NEED_REPLY; the others word one. tell_fd: -1 says "no fd". */
void tell(struct vu_msg msg);
void tell_u64(uint32_t number, uint64_t value);
void tell_state(uint32_t number, uint32_t index, uint32_t num);
void tell_fd(uint32_t number, uint32_t index, int fd);
void tell_addr(uint32_t index);

/* mem_table - SET_MEM_TABLE of the rig's one region, with its fd. */
struct vu_msg mem_table(void);

/* tell_acked - with NEED_REPLY; the answer is success. */
void tell_acked(struct vu_msg msg);

/* ask_u64, ask_base - a message that has a reply of its own. Return: what it says. */
uint64_t ask_u64(uint32_t number);
uint32_t ask_base(uint32_t index);

/* ask_config - @size bytes from the start come, however few there are. */
void ask_config(uint32_t size);

#endif
