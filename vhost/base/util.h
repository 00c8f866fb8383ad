/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * util.h - the handful of macros every file uses.
 * Layer L0. Safe from any thread.
 */
#ifndef RINGSIDE_BASE_UTIL_H
#define RINGSIDE_BASE_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#ifndef container_of /* DPDK has one, too */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* The unit in which two CPUs share memory; what one thread writes and another reads is kept
 * this far apart from everything else. */
#define CACHELINE_BYTES   64
#define cacheline_aligned __attribute__((aligned(CACHELINE_BYTES)))

#define printf_like(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

/* Checked arithmetic on untrusted numbers: true when the result does not fit *out. */
#define add_overflows(a, b, out) __builtin_add_overflow((a), (b), (out))
#define mul_overflows(a, b, out) __builtin_mul_overflow((a), (b), (out))

/* min and max evaluate each argument once; both must have the same type. */
#define min_of(a, b)                    \
	({                              \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		(void)(&a_ == &b_);     \
		a_ < b_ ? a_ : b_;      \
	})
#define max_of(a, b)                    \
	({                              \
		__typeof__(a) a_ = (a); \
		__typeof__(b) b_ = (b); \
		(void)(&a_ == &b_);     \
		a_ > b_ ? a_ : b_;      \
	})

static inline uint64_t align_down(uint64_t value, uint64_t power_of_two)
{
	return value & ~(power_of_two - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

/* close_fd - close *fd if it is open and mark it closed (-1). Keeps errno. */
void close_fd(int *fd);

/* stat_fd - fstat(2) by the system call of that name, which no path can be given to (see sandbox.h).
 * Return: 0, or -1 with errno. */
int stat_fd(int fd, struct stat *st);

/* auto_close int fd = ...: closed when the scope ends unless set to -1 (moved out). */
#define auto_close __attribute__((cleanup(close_fd)))

#endif
