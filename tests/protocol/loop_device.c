/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop_device.c - see loop_device.h. Tests only.
 */
#include "tests/protocol/loop_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TRIES 50

static int try_device(int control, int file, uint32_t block_bytes, char *path, size_t path_bytes)
{
	struct loop_config config = {
		.fd = (uint32_t)file,
		.block_size = block_bytes,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR,
	};
	int number = ioctl(control, LOOP_CTL_GET_FREE), loop, ret;

	if (number < 0)
		return -errno;
	snprintf(path, path_bytes, "/dev/loop%d", number);
	loop = open(path, O_RDWR | O_CLOEXEC);
	if (loop < 0)
		return -errno;
	if (!ioctl(loop, LOOP_CONFIGURE, &config))
		return loop;
	ret = -errno;
	close(loop);
	return ret;
}

int loop_device(const char *file, uint32_t block_bytes, char *path, size_t path_bytes)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd, tries = 0, ret;

	if (control < 0)
		return -errno;
	fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		close(control);
		return ret;
	}
	/* Busy: another program took that one first. */
	do
		ret = try_device(control, fd, block_bytes, path, path_bytes);
	while (ret == -EBUSY && ++tries < TRIES);
	close(fd);
	close(control);
	return ret;
}

bool loop_can(void)
{
	char path[32], name[] = "/var/tmp/ringside-test-loop-XXXXXX";
	int file = mkstemp(name), loop;
	bool can;

	can = file >= 0 && !ftruncate(file, 1 << 20);
	loop = can ? loop_device(name, 512, path, sizeof(path)) : -1;
	unlink(name);
	if (loop >= 0)
		close(loop);
	if (file >= 0)
		close(file);
	return loop >= 0;
}

int64_t disk_flushes(const char *path)
{
	FILE *stats = fopen("/proc/diskstats", "re");
	const char *name = strrchr(path, '/') + 1;
	char line[512];
	int64_t result = -1;

	while (stats && fgets(line, sizeof(line), stats)) {
		long long flushes;
		char device[64];

		/* The 16th number after the name (Documentation/admin-guide/iostats.rst). */
		if (sscanf(line,
			   " %*d %*d %63s %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d "
			   "%*d %lld",
			   device, &flushes) == 2 &&
		    !strcmp(device, name))
			result = flushes;
	}
	if (stats)
		fclose(stats);
	return result;
}
