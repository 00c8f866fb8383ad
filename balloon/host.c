/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host.c - the host's memory and its pressure, as /proc tells them.
 * Layer L5, control thread.
 */
#include "balloon/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/base/util.h"

#define FILE_BYTES 8192 /* meminfo has about 1500; the two lines looked for are its first */

int bal_host_open(struct bal_host_files *files)
{
	*files = (struct bal_host_files){.pressure_fd = -1};
	files->meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (files->meminfo_fd < 0) {
		files->meminfo_fd = -errno;
		return files->meminfo_fd;
	}
	files->pressure_fd = open("/proc/pressure/memory", O_RDONLY | O_CLOEXEC);
	return 0;
}

void bal_host_close(struct bal_host_files *files)
{
	close_fd(&files->meminfo_fd);
	close_fd(&files->pressure_fd);
}

/* What stands behind @key at the start of a line, or NULL. */
static const char *line_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && strncmp(text, key, len)) {
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return text ? text + len : NULL;
}

/* Digits at *@cursor, which is moved behind them. Return: 0 or -EBADMSG. */
static int take_number(const char **cursor, uint64_t *out)
{
	char *end;

	if (**cursor < '0' || **cursor > '9')
		return -EBADMSG;
	errno = 0;
	*out = strtoull(*cursor, &end, 10);
	*cursor = end;
	return errno ? -EBADMSG : 0;
}

static int kib_of(const char *text, const char *key, uint64_t *bytes)
{
	const char *value = line_of(text, key);
	uint64_t kib;

	if (!value)
		return -EBADMSG;
	value += strspn(value, " ");
	if (take_number(&value, &kib) || strncmp(value, " kB\n", 4) ||
	    mul_overflows(kib, 1024u, bytes))
		return -EBADMSG;
	return 0;
}

int bal_host_parse_meminfo(const char *text, struct bal_host *host)
{
	uint64_t total, available;

	if (kib_of(text, "MemTotal:", &total) || kib_of(text, "MemAvailable:", &available) ||
	    !total || available > total)
		return -EBADMSG;
	host->total_bytes = total;
	host->available_bytes = available;
	return 0;
}

/* "some avg10=1.23 avg60=...": percent of the last ten seconds, with two digits after the point. */
int bal_host_parse_pressure(const char *text, struct bal_host *host)
{
	const char *value = line_of(text, "some avg10=");
	uint64_t percent;

	if (!value || take_number(&value, &percent) || percent > 100)
		return -EBADMSG;
	if (value[0] != '.' || value[1] < '0' || value[1] > '9')
		return -EBADMSG;
	host->pressure_permille = (uint32_t)percent * 10 + (uint32_t)(value[1] - '0');
	return 0;
}

/* Syscalls: pread64 */
static int read_text(int fd, char text[FILE_BYTES])
{
	ssize_t len;

	do {
		len = pread(fd, text, FILE_BYTES - 1, 0);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	text[len] = '\0';
	return 0;
}

int bal_host_read(const struct bal_host_files *files, struct bal_host *host)
{
	char text[FILE_BYTES];
	int err;

	*host = (struct bal_host){0};
	err = read_text(files->meminfo_fd, text);
	if (!err)
		err = bal_host_parse_meminfo(text, host);
	if (err || files->pressure_fd < 0)
		return err;
	/* Some kernels have the file and refuse to read it (psi=0): then there is no PSI either. */
	if (read_text(files->pressure_fd, text))
		return 0;
	return bal_host_parse_pressure(text, host);
}
