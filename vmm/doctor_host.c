/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor_host.c - rows about memory, the sandbox and what the back-ends use. VMM, main thread.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/doctor_part.h"

#define NODES          "/sys/devices/system/node"
#define HUGEPAGES      "/sys/kernel/mm/hugepages"
#define DISABLED       "/proc/sys/kernel/io_uring_disabled"
#define LITTLE_MEMLOCK (8ull << 20) /* the usual limit */
#define LITTLE_RAM_MIB 512 /* a VM's by default */

/* read_kib - the number behind @name, such as "MemFree:", in @path. Return: false without one. */
static bool read_kib(const char *path, const char *name, unsigned long long *kib)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		const char *at = strstr(line, name); /* a node's lines begin with the node */

		found = at && sscanf(at + strlen(name), "%llu", kib) == 1;
	}
	if (file)
		fclose(file);
	return found;
}

/* --- memory --- */

void doctor_memfd(struct doctor *doctor, struct doctor_row *row)
{
	auto_close int fd = memfd_create("ringside-doctor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)doctor;
	if (fd >= 0 && ftruncate(fd, 4096) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
		doctor_found(row, DOCTOR_OK, "guest memory can be shared and sealed");
		return;
	}
	doctor_found(row, DOCTOR_FAILURE, "guest memory cannot be shared: %s", strerror(errno));
	doctor_hint(row, "a kernel with CONFIG_MEMFD_CREATE");
}

void doctor_memory(struct doctor *doctor, struct doctor_row *row)
{
	unsigned long long total = 0, available = 0;

	(void)doctor;
	if (!read_kib("/proc/meminfo", "MemTotal:", &total) ||
	    !read_kib("/proc/meminfo", "MemAvailable:", &available)) {
		doctor_found(row, DOCTOR_WARNING, "/proc/meminfo cannot be read");
		doctor_hint(row, "sudo mount -t proc proc /proc");
		return;
	}
	doctor_found(row, available / 1024 < LITTLE_RAM_MIB ? DOCTOR_WARNING : DOCTOR_OK,
		     "%llu MiB available of %llu", available / 1024, total / 1024);
	if (row->status == DOCTOR_WARNING)
		doctor_hint(row, "ringside-vmm run --memory=%lluM, or end something",
			    available / 2048 ? available / 2048 : 1);
}

/* read_hugepages - of the size that @name, "hugepages-2048kB", says. */
static bool read_hugepages(const char *name, unsigned long long *kib, unsigned *total,
			   unsigned *free_pages)
{
	char path[512], line[32];

	if (sscanf(name, "hugepages-%llukB", kib) != 1)
		return false;
	snprintf(path, sizeof(path), HUGEPAGES "/%s/nr_hugepages", name);
	if (!doctor_read_line(path, line, sizeof(line)))
		return false;
	*total = (unsigned)atoi(line);
	snprintf(path, sizeof(path), HUGEPAGES "/%s/free_hugepages", name);
	*free_pages = doctor_read_line(path, line, sizeof(line)) ? (unsigned)atoi(line) : 0;
	return true;
}

void doctor_hugepages(struct doctor *doctor, struct doctor_row *row)
{
	DIR *dir = opendir(HUGEPAGES);
	struct dirent *entry;
	char list[256] = "";
	size_t used = 0;
	unsigned free_of_2m = 0;

	(void)doctor;
	while (dir && (entry = readdir(dir)) && used < sizeof(list)) {
		unsigned long long kib;
		unsigned total, free_pages;

		if (!read_hugepages(entry->d_name, &kib, &total, &free_pages))
			continue;
		if (kib == 2048)
			free_of_2m = free_pages;
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 "%s%u of %u free of %llu MiB", used ? ", " : "",
					 free_pages, total, kib / 1024);
	}
	if (dir)
		closedir(dir);
	doctor_found(row, free_of_2m ? DOCTOR_OK : DOCTOR_WARNING, "%s",
		     used ? list : "this kernel has none");
	if (!free_of_2m)
		doctor_hint(row, "for --memory=512M,hugepages=on: echo 256 | sudo tee "
				 "/proc/sys/vm/nr_hugepages");
}

static bool is_node(const char *name)
{
	return !strncmp(name, "node", 4) && isdigit((unsigned char)name[4]);
}

void doctor_numa(struct doctor *doctor, struct doctor_row *row)
{
	DIR *dir = opendir(NODES);
	struct dirent *entry;
	char list[400] = "";
	size_t used = 0;
	unsigned nodes = 0;

	(void)doctor;
	while (dir && (entry = readdir(dir))) {
		unsigned long long total = 0, available = 0;
		char path[512];

		if (!is_node(entry->d_name))
			continue;
		nodes++;
		snprintf(path, sizeof(path), NODES "/%s/meminfo", entry->d_name);
		read_kib(path, "MemTotal:", &total);
		read_kib(path, "MemFree:", &available);
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used,
						 "%s%s: %llu MiB free of %llu", used ? ", " : "",
						 entry->d_name, available / 1024, total / 1024);
	}
	if (dir)
		closedir(dir);
	doctor_found(row, DOCTOR_OK, "%s", nodes ? list : "this kernel knows of no nodes");
	if (nodes > 1)
		doctor_hint(row, "keep a VM on one: --memory=SIZE,numa-node=N --cpus=LIST (lscpu "
				 "tells which CPUs)");
}

void doctor_memlock(struct doctor *doctor, struct doctor_row *row)
{
	struct rlimit limit;

	(void)doctor;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY) {
		doctor_found(row, DOCTOR_OK, "without limit");
		return;
	}
	doctor_found(row, limit.rlim_cur < LITTLE_MEMLOCK ? DOCTOR_WARNING : DOCTOR_OK,
		     "at most %llu KiB; DPDK on a card needs more, the rest does not",
		     (unsigned long long)limit.rlim_cur / 1024);
	doctor_hint(row, "ulimit -l unlimited, where the hard limit has it; else "
			 "/etc/security/limits.conf, or LimitMEMLOCK= of a service");
}

/* --- kernel interfaces --- */

void doctor_seccomp(struct doctor *doctor, struct doctor_row *row)
{
	uint32_t trap = SECCOMP_RET_TRAP;

	(void)doctor;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap) == 0) {
		doctor_found(row, DOCTOR_OK, "filters can be set");
		return;
	}
	doctor_found(row, DOCTOR_WARNING, "no filters: %s", strerror(errno));
	doctor_hint(row, "a kernel with CONFIG_SECCOMP_FILTER; else --no-sandbox");
}

/* try_ring - by the system call itself, as liburing is for blk/ alone. Return: 0 or -errno. */
static int try_ring(unsigned flags)
{
	struct io_uring_params params = {.flags = flags};
	int fd = (int)syscall(SYS_io_uring_setup, 8, &params);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void io_uring_missing(struct doctor_row *row, int err)
{
	char disabled[16] = "0";

	doctor_found(row, DOCTOR_WARNING, "cannot be set up: %s; ringside-blk needs it",
		     strerror(err));
	if (doctor_read_line(DISABLED, disabled, sizeof(disabled)) && disabled[0] != '0')
		doctor_hint(row, "sudo sysctl kernel.io_uring_disabled=0 (it is %s)", disabled);
	else if (err == EPERM)
		doctor_hint(row, "a seccomp filter is in the way; in a container: "
				 "--security-opt seccomp=unconfined");
	else if (err == ENOMEM)
		doctor_hint(row, "ulimit -l unlimited");
	else
		doctor_hint(row, "a kernel with CONFIG_IO_URING");
}

/* What ringside-blk asks for, best first. */
void doctor_io_uring(struct doctor *doctor, struct doctor_row *row)
{
	int ret = try_ring(0);

	(void)doctor;
	if (ret < 0)
		io_uring_missing(row, -ret);
	else if (try_ring(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			  IORING_SETUP_TASKRUN_FLAG) == 0)
		doctor_found(row, DOCTOR_OK, "single issuer, deferred task work");
	else if (try_ring(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG) == 0)
		doctor_found(row, DOCTOR_OK, "cooperative task work; deferred from Linux 6.1 on");
	else
		doctor_found(row, DOCTOR_WARNING, "without what came with Linux 5.19: slower");
}
