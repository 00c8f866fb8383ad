/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * proto.h - the vhost-user protocol as it is on the wire: requests, feature bits, payloads.
 * Layer L1. Definitions only. Governing text: QEMU docs/interop/vhost-user.rst.
 */
#ifndef RINGSIDE_WIRE_PROTO_H
#define RINGSIDE_WIRE_PROTO_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* Limits of ours, all within what the protocol allows. */
#define VU_MAX_PAYLOAD     4096 /* bytes after the header */
#define VU_MAX_FDS         32 /* with one message */
#define VU_MAX_TABLE_SLOTS 32 /* regions in one SET_MEM_TABLE */
#define VU_MAX_MEM_SLOTS   509 /* regions with CONFIGURE_MEM_SLOTS */
#define VU_MAX_RINGS       256
#define VU_MAX_RING_SIZE   32768
#define VU_MAX_CONFIG      256 /* bytes of device configuration space */

/* Requests from the front-end. */
enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_RESET_OWNER = 4,
	VU_SET_MEM_TABLE = 5,
	VU_SET_LOG_BASE = 6,
	VU_SET_LOG_FD = 7,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_SET_VRING_ERR = 14,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SEND_RARP = 19,
	VU_NET_SET_MTU = 20,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_IOTLB_MSG = 22,
	VU_SET_VRING_ENDIAN = 23,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_CREATE_CRYPTO_SESSION = 26,
	VU_CLOSE_CRYPTO_SESSION = 27,
	VU_POSTCOPY_ADVISE = 28,
	VU_POSTCOPY_LISTEN = 29,
	VU_POSTCOPY_END = 30,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_GPU_SET_SOCKET = 33,
	VU_RESET_DEVICE = 34,
	VU_VRING_KICK = 35,
	VU_GET_MAX_MEM_SLOTS = 36,
	VU_ADD_MEM_REG = 37,
	VU_REM_MEM_REG = 38,
	VU_SET_STATUS = 39,
	VU_GET_STATUS = 40,
	VU_GET_SHARED_OBJECT = 41,
	VU_SET_DEVICE_STATE_FD = 42,
	VU_CHECK_DEVICE_STATE = 43,
	VU_REQUEST_END /* one past the last */
};

/* Requests from the back-end, on the channel of SET_BACKEND_REQ_FD. */
enum vu_backend_request {
	VU_BACKEND_IOTLB_MSG = 1,
	VU_BACKEND_CONFIG_CHANGE = 2,
	VU_BACKEND_HOST_NOTIFIER = 3,
	VU_BACKEND_VRING_CALL = 4,
	VU_BACKEND_VRING_ERR = 5,
	VU_BACKEND_REQUEST_END
};

/* Header flags. */
#define VU_VERSION_MASK    0x3u
#define VU_VERSION         0x1u
#define VU_FLAG_REPLY      0x4u
#define VU_FLAG_NEED_REPLY 0x8u

/* Feature bit 30 of GET/SET_FEATURES; the other transport bits come from <linux/virtio_*.h>. */
#define VU_F_PROTOCOL_FEATURES 30
#define VU_F_LOG_ALL           26

enum vu_protocol_feature {
	VU_PF_MQ = 0,
	VU_PF_LOG_SHMFD = 1,
	VU_PF_RARP = 2,
	VU_PF_REPLY_ACK = 3,
	VU_PF_MTU = 4,
	VU_PF_BACKEND_REQ = 5,
	VU_PF_CROSS_ENDIAN = 6,
	VU_PF_CRYPTO_SESSION = 7,
	VU_PF_PAGEFAULT = 8,
	VU_PF_CONFIG = 9,
	VU_PF_BACKEND_SEND_FD = 10,
	VU_PF_HOST_NOTIFIER = 11,
	VU_PF_INFLIGHT_SHMFD = 12,
	VU_PF_RESET_DEVICE = 13,
	VU_PF_INBAND_NOTIFICATIONS = 14,
	VU_PF_CONFIGURE_MEM_SLOTS = 15,
	VU_PF_STATUS = 16,
	VU_PF_XEN_MMAP = 17,
	VU_PF_SHARED_OBJECT = 18,
	VU_PF_DEVICE_STATE = 19,
	VU_PF_END
};

#define VU_BIT(n) (1ull << (n))

struct vu_header {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* bytes of payload that follow */
};
static_assert(sizeof(struct vu_header) == 12, "wire header");

/* SET_VRING_NUM, _BASE, _ENABLE, _ENDIAN, GET_VRING_BASE, VRING_KICK. */
struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};
static_assert(sizeof(struct vu_vring_state) == 8, "wire vring state");

/* SET_VRING_ADDR: ring addresses are front-end virtual (uva), the log address is guest physical. */
#define VU_VRING_F_LOG 1u /* writes to the ring are to be logged; its used part is at log_gpa */
struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc_uva;
	uint64_t used_uva;
	uint64_t avail_uva;
	uint64_t log_gpa;
};
static_assert(sizeof(struct vu_vring_addr) == 40, "wire vring addr");

struct vu_region {
	uint64_t gpa;
	uint64_t size;
	uint64_t uva;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vu_region) == 32, "wire region");

struct vu_mem_table {
	uint32_t num_regions;
	uint32_t padding;
	struct vu_region regions[VU_MAX_TABLE_SLOTS];
};
static_assert(offsetof(struct vu_mem_table, regions) == 8, "wire memory table");

struct vu_single_region {
	uint64_t padding;
	struct vu_region region;
};
static_assert(sizeof(struct vu_single_region) == 40, "wire single region");

struct vu_log {
	uint64_t mmap_size;
	uint64_t mmap_offset;
};
static_assert(sizeof(struct vu_log) == 16, "wire log");

struct vu_config {
	uint32_t offset;
	uint32_t size;
	uint32_t flags;
	uint8_t data[VU_MAX_CONFIG];
};
#define VU_CONFIG_HEADER_BYTES 12
static_assert(offsetof(struct vu_config, data) == VU_CONFIG_HEADER_BYTES, "wire config");

/* 20 bytes of fields, sent as 24. */
struct vu_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t num_queues;
	uint16_t queue_size;
	uint32_t padding;
};
static_assert(sizeof(struct vu_inflight) == 24, "wire inflight");

/* 26 bytes of fields, sent as 32. */
struct vu_iotlb {
	uint64_t iova;
	uint64_t size;
	uint64_t uva;
	uint8_t perm;
	uint8_t type;
	uint8_t padding[6];
};
static_assert(sizeof(struct vu_iotlb) == 32, "wire iotlb");

struct vu_device_state {
	uint32_t direction; /* 0 save, 1 load */
	uint32_t phase; /* 0 stopped */
};
static_assert(sizeof(struct vu_device_state) == 8, "wire device state");

/* Back-end channel: HOST_NOTIFIER. */
struct vu_vring_area {
	uint64_t index;
	uint64_t size;
	uint64_t offset;
};
static_assert(sizeof(struct vu_vring_area) == 24, "wire vring area");

/* u64 of SET_VRING_KICK, _CALL, _ERR (and bit 8 of the device state reply). */
#define VU_VRING_INDEX_MASK 0xffu
#define VU_VRING_NO_FD      0x100u

union vu_payload {
	uint8_t bytes[VU_MAX_PAYLOAD];
	uint64_t u64;
	uint8_t uuid[16];
	struct vu_vring_state state;
	struct vu_vring_addr addr;
	struct vu_mem_table mem;
	struct vu_single_region region;
	struct vu_log log;
	struct vu_config config;
	struct vu_inflight inflight;
	struct vu_iotlb iotlb;
	struct vu_device_state device_state;
	struct vu_vring_area area;
};

/* vu_request_name, vu_backend_request_name, vu_protocol_feature_name - for log lines and
 * --help; "unknown" beyond the last. Any thread. */
const char *vu_request_name(uint32_t request);
const char *vu_backend_request_name(uint32_t request);
const char *vu_protocol_feature_name(unsigned bit);

#endif
