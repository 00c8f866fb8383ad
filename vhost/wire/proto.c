/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * proto.c - names of requests and protocol features.
 * Layer L1. Constant data; any thread.
 */
#include "vhost/wire/proto.h"

#include "vhost/base/util.h"

static const char *const request_names[] = {
	[VU_GET_FEATURES] = "GET_FEATURES",
	[VU_SET_FEATURES] = "SET_FEATURES",
	[VU_SET_OWNER] = "SET_OWNER",
	[VU_RESET_OWNER] = "RESET_OWNER",
	[VU_SET_MEM_TABLE] = "SET_MEM_TABLE",
	[VU_SET_LOG_BASE] = "SET_LOG_BASE",
	[VU_SET_LOG_FD] = "SET_LOG_FD",
	[VU_SET_VRING_NUM] = "SET_VRING_NUM",
	[VU_SET_VRING_ADDR] = "SET_VRING_ADDR",
	[VU_SET_VRING_BASE] = "SET_VRING_BASE",
	[VU_GET_VRING_BASE] = "GET_VRING_BASE",
	[VU_SET_VRING_KICK] = "SET_VRING_KICK",
	[VU_SET_VRING_CALL] = "SET_VRING_CALL",
	[VU_SET_VRING_ERR] = "SET_VRING_ERR",
	[VU_GET_PROTOCOL_FEATURES] = "GET_PROTOCOL_FEATURES",
	[VU_SET_PROTOCOL_FEATURES] = "SET_PROTOCOL_FEATURES",
	[VU_GET_QUEUE_NUM] = "GET_QUEUE_NUM",
	[VU_SET_VRING_ENABLE] = "SET_VRING_ENABLE",
	[VU_SEND_RARP] = "SEND_RARP",
	[VU_NET_SET_MTU] = "NET_SET_MTU",
	[VU_SET_BACKEND_REQ_FD] = "SET_BACKEND_REQ_FD",
	[VU_IOTLB_MSG] = "IOTLB_MSG",
	[VU_SET_VRING_ENDIAN] = "SET_VRING_ENDIAN",
	[VU_GET_CONFIG] = "GET_CONFIG",
	[VU_SET_CONFIG] = "SET_CONFIG",
	[VU_CREATE_CRYPTO_SESSION] = "CREATE_CRYPTO_SESSION",
	[VU_CLOSE_CRYPTO_SESSION] = "CLOSE_CRYPTO_SESSION",
	[VU_POSTCOPY_ADVISE] = "POSTCOPY_ADVISE",
	[VU_POSTCOPY_LISTEN] = "POSTCOPY_LISTEN",
	[VU_POSTCOPY_END] = "POSTCOPY_END",
	[VU_GET_INFLIGHT_FD] = "GET_INFLIGHT_FD",
	[VU_SET_INFLIGHT_FD] = "SET_INFLIGHT_FD",
	[VU_GPU_SET_SOCKET] = "GPU_SET_SOCKET",
	[VU_RESET_DEVICE] = "RESET_DEVICE",
	[VU_VRING_KICK] = "VRING_KICK",
	[VU_GET_MAX_MEM_SLOTS] = "GET_MAX_MEM_SLOTS",
	[VU_ADD_MEM_REG] = "ADD_MEM_REG",
	[VU_REM_MEM_REG] = "REM_MEM_REG",
	[VU_SET_STATUS] = "SET_STATUS",
	[VU_GET_STATUS] = "GET_STATUS",
	[VU_GET_SHARED_OBJECT] = "GET_SHARED_OBJECT",
	[VU_SET_DEVICE_STATE_FD] = "SET_DEVICE_STATE_FD",
	[VU_CHECK_DEVICE_STATE] = "CHECK_DEVICE_STATE",
};
static_assert(ARRAY_SIZE(request_names) == VU_REQUEST_END, "a name for every request");

static const char *const backend_request_names[] = {
	[VU_BACKEND_IOTLB_MSG] = "IOTLB_MSG",         [VU_BACKEND_CONFIG_CHANGE] = "CONFIG_CHANGE",
	[VU_BACKEND_HOST_NOTIFIER] = "HOST_NOTIFIER", [VU_BACKEND_VRING_CALL] = "VRING_CALL",
	[VU_BACKEND_VRING_ERR] = "VRING_ERR",
};
static_assert(ARRAY_SIZE(backend_request_names) == VU_BACKEND_REQUEST_END,
	      "a name for every back-end request");

static const char *const protocol_feature_names[] = {
	[VU_PF_MQ] = "MQ",
	[VU_PF_LOG_SHMFD] = "LOG_SHMFD",
	[VU_PF_RARP] = "RARP",
	[VU_PF_REPLY_ACK] = "REPLY_ACK",
	[VU_PF_MTU] = "MTU",
	[VU_PF_BACKEND_REQ] = "BACKEND_REQ",
	[VU_PF_CROSS_ENDIAN] = "CROSS_ENDIAN",
	[VU_PF_CRYPTO_SESSION] = "CRYPTO_SESSION",
	[VU_PF_PAGEFAULT] = "PAGEFAULT",
	[VU_PF_CONFIG] = "CONFIG",
	[VU_PF_BACKEND_SEND_FD] = "BACKEND_SEND_FD",
	[VU_PF_HOST_NOTIFIER] = "HOST_NOTIFIER",
	[VU_PF_INFLIGHT_SHMFD] = "INFLIGHT_SHMFD",
	[VU_PF_RESET_DEVICE] = "RESET_DEVICE",
	[VU_PF_INBAND_NOTIFICATIONS] = "INBAND_NOTIFICATIONS",
	[VU_PF_CONFIGURE_MEM_SLOTS] = "CONFIGURE_MEM_SLOTS",
	[VU_PF_STATUS] = "STATUS",
	[VU_PF_XEN_MMAP] = "XEN_MMAP",
	[VU_PF_SHARED_OBJECT] = "SHARED_OBJECT",
	[VU_PF_DEVICE_STATE] = "DEVICE_STATE",
};
static_assert(ARRAY_SIZE(protocol_feature_names) == VU_PF_END, "a name for every feature");

static const char *name_of(const char *const *names, unsigned count, unsigned i)
{
	return i < count && names[i] ? names[i] : "unknown";
}

const char *vu_request_name(uint32_t request)
{
	return name_of(request_names, ARRAY_SIZE(request_names), request);
}

const char *vu_backend_request_name(uint32_t request)
{
	return name_of(backend_request_names, ARRAY_SIZE(backend_request_names), request);
}

const char *vu_protocol_feature_name(unsigned bit)
{
	return name_of(protocol_feature_names, ARRAY_SIZE(protocol_feature_names), bit);
}
