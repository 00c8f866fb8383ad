/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop_device.h - a block device over a file, gone when its last user closes it.
 * Tests only; needs root and loop devices.
 */
#ifndef RINGSIDE_TESTS_PROTOCOL_LOOP_DEVICE_H
#define RINGSIDE_TESTS_PROTOCOL_LOOP_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* loop_device - make one over @file with logical blocks of @block_bytes; its path goes to @path.
 * It has a volatile write cache, as disks do. Return: an fd that keeps it, or -errno. */
int loop_device(const char *file, uint32_t block_bytes, char *path, size_t path_bytes);

/* loop_can - are there loop devices for us? */
bool loop_can(void);

/* disk_flushes - flushes the block device @path has been asked for (/proc/diskstats), or -1. */
int64_t disk_flushes(const char *path);

#endif
