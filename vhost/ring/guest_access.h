/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest_access.h - single loads and stores of ring fields that the driver may change at any time.
 * Layer L3. A volatile access is made once, where it stands: the compiler may neither repeat nor
 * split it (contract 4). Rings that a driver misaligns are read all the same.
 */
#ifndef RINGSIDE_RING_GUEST_ACCESS_H
#define RINGSIDE_RING_GUEST_ACCESS_H

#include <endian.h>
#include <stdint.h>

typedef struct {
	uint16_t v;
} __attribute__((packed, may_alias)) guest_u16;

typedef struct {
	uint32_t v;
} __attribute__((packed, may_alias)) guest_u32;

typedef struct {
	uint64_t v;
} __attribute__((packed, may_alias)) guest_u64;

static inline uint16_t guest_load16(const void *p)
{
	return le16toh(((const volatile guest_u16 *)p)->v);
}

static inline uint32_t guest_load32(const void *p)
{
	return le32toh(((const volatile guest_u32 *)p)->v);
}

static inline uint64_t guest_load64(const void *p)
{
	return le64toh(((const volatile guest_u64 *)p)->v);
}

static inline void guest_store16(void *p, uint16_t value)
{
	((volatile guest_u16 *)p)->v = htole16(value);
}

static inline void guest_store32(void *p, uint32_t value)
{
	((volatile guest_u32 *)p)->v = htole32(value);
}

static inline void guest_store64(void *p, uint64_t value)
{
	((volatile guest_u64 *)p)->v = htole64(value);
}

#endif
