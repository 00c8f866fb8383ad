/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.c - the files opened, told apart, and what the two formats have in common.
 * VMM, main thread.
 */
#include "vmm/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/load_part.h"

#define PIECE_BYTES (8 * MIB)
#define PAGE_BYTES  4096ull

#define WHAT_IT_SHOULD_BE \
	"a kernel is a bzImage (vmlinuz) or an x86 ELF file with a PVH entry (vmlinux)"

int load_fail(const struct load_job *job, int ret, const char *option, const char *path,
	      const char *fmt, ...)
{
	char why[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	snprintf(job->error, job->error_bytes, "%s=%.300s: %s", option, path, why);
	return ret;
}

/* --- reading --- */

/* read_file - in pieces, so that a signal that ends us is not kept waiting.
 * Syscalls: pread64
 * Return: 0, -ENODATA (it ends before), -errno. */
static int read_file(int fd, uint64_t offset, uint8_t *to, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = pread(fd, to, min_of(bytes, PIECE_BYTES), (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		to += n;
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

/* copy_file - into RAM without touching our own mapping of it: a page fault for each page takes
 * longer than all the rest (33 MiB of kernel: 60 ms against 20).
 * Syscalls: lseek, sendfile
 * Return: as read_file(). */
static int copy_file(int fd, uint64_t offset, const struct ram *ram, uint64_t gpa, uint64_t bytes)
{
	const struct fe_region *low = &ram->mem.regions[0];
	off_t at = (off_t)offset;

	if (lseek(low->fd, (off_t)(gpa - low->gpa), SEEK_SET) < 0)
		return -errno;
	while (bytes) {
		ssize_t n = sendfile(low->fd, fd, &at, min_of(bytes, PIECE_BYTES));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL) /* huge pages cannot be written to */
			return read_file(fd, (uint64_t)at, ram_host(ram, gpa, bytes), bytes);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		gpa += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

static const char *read_trouble(int ret)
{
	switch (ret) {
	case -ENODATA:
		return "it became shorter while it was read";
	case -EFAULT:
	case -ENOSPC:
		return "there is no memory left to load it";
	default:
		return strerror(-ret);
	}
}

int load_read(const struct load_job *job, uint64_t offset, void *to, uint64_t bytes)
{
	int ret = read_file(job->files->kernel_fd, offset, to, bytes);

	return ret ? kernel_fail(job, ret, "%s", read_trouble(ret)) : 0;
}

/* zero_ram - write only to pages that are there: of fresh memory there are none, and a large .bss
 * would make them for nothing. What lseek(2) does not know (huge pages) counts as there.
 * Syscalls: lseek */
static void zero_ram(const struct ram *ram, uint64_t gpa, uint64_t bytes)
{
	const struct fe_region *low = &ram->mem.regions[0];
	uint64_t at = gpa - low->gpa, end = at + bytes;

	while (at < end) {
		off_t data = lseek(low->fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return; /* none from here to the end */
		if (data < 0)
			data = (off_t)at;
		hole = lseek(low->fd, data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > end)
			hole = (off_t)end;
		if ((uint64_t)data < end)
			memset(low->host + data, 0, (size_t)(hole - data));
		at = (uint64_t)hole;
	}
}

int load_to_ram(const struct load_job *job, uint64_t offset, uint64_t bytes, uint64_t gpa,
		uint64_t mem_bytes)
{
	int ret = copy_file(job->files->kernel_fd, offset, job->ram, gpa, bytes);

	if (ret < 0)
		return kernel_fail(job, ret, "%s", read_trouble(ret));
	zero_ram(job->ram, gpa + bytes, mem_bytes - bytes);
	return 0;
}

/* --- places --- */

static uint64_t low_end(const struct ram *ram)
{
	return ram->mem.regions[0].size; /* begins at 0 */
}

/* advice - what to do about a need for RAM up to @end. */
static const char *advice(uint64_t end, char *text, size_t text_bytes)
{
	if (end > RAM_LOW_END)
		return "more cannot be had below 4 GiB";
	snprintf(text, text_bytes, "--memory=%" PRIu64 "M would do", align_up(end, MIB) / MIB);
	return text;
}

int load_check_range(const struct load_job *job, uint64_t gpa, uint64_t bytes)
{
	uint64_t end = low_end(job->ram), needed;
	char text[64];

	if (gpa < KERNEL_BEGIN)
		return kernel_fail(job, -ENOEXEC,
				   "it wants to be at address 0x%" PRIx64
				   "; what lies below 1 MiB is not the kernel's",
				   gpa);
	if (add_overflows(gpa, bytes, &needed))
		needed = UINT64_MAX;
	if (needed > end)
		return kernel_fail(job, -E2BIG,
				   "it needs memory up to 0x%" PRIx64 ", and RAM ends at 0x%" PRIx64
				   "; %s",
				   needed, end, advice(needed, text, sizeof(text)));
	return 0;
}

int load_cmdline(const struct load_job *job, uint64_t max_bytes)
{
	const char *cmdline = job->files->opt->cmdline;
	size_t bytes = strlen(cmdline);

	max_bytes = min_of(max_bytes, (uint64_t)CMDLINE_BYTES - 1);
	if (bytes > max_bytes) {
		snprintf(job->error, job->error_bytes,
			 "--cmdline=%.60s...: it has %zu bytes, and this kernel takes at most "
			 "%" PRIu64,
			 cmdline, bytes, max_bytes);
		return -E2BIG;
	}
	if (job->ram)
		memcpy(ram_host(job->ram, CMDLINE_BEGIN, CMDLINE_BYTES), cmdline, bytes + 1);
	return 0;
}

int load_initrd(const struct load_job *job, uint64_t kernel_end, uint64_t last, uint64_t *gpa)
{
	uint64_t begin = align_up(kernel_end, PAGE_BYTES), end = low_end(job->ram);
	uint64_t bytes = job->initrd_bytes;
	char text[64];
	int ret;

	*gpa = 0;
	if (!bytes)
		return 0;
	if (last < end)
		end = last + 1;
	if (end < begin || bytes > end - begin)
		return initrd_fail(job, -E2BIG,
				   "it has %" PRIu64
				   " KiB, and between the kernel's end at 0x%" PRIx64
				   " and 0x%" PRIx64 " there is no room for it; %s",
				   bytes / 1024 + (bytes % 1024 != 0), begin, end,
				   end < low_end(job->ram)
					   ? "this kernel takes none above"
					   : advice(bytes > RAM_LOW_END ? bytes : begin + bytes,
						    text, sizeof(text)));
	*gpa = align_down(end - bytes, PAGE_BYTES);
	ret = copy_file(job->files->initrd_fd, 0, job->ram, *gpa, bytes);
	return ret ? initrd_fail(job, ret, "%s", read_trouble(ret)) : 0;
}

unsigned load_memory_map(const struct ram *ram, struct load_range *ranges)
{
	unsigned n = 0;

	ranges[n++] = (struct load_range){0, LOW_RAM_END, LOAD_USABLE};
	ranges[n++] = (struct load_range){LOW_RAM_END, KERNEL_BEGIN - LOW_RAM_END, LOAD_RESERVED};
	ranges[n++] = (struct load_range){KERNEL_BEGIN, low_end(ram) - KERNEL_BEGIN, LOAD_USABLE};
	/* Linux uses ECAM only where the map has it reserved. */
	ranges[n++] = (struct load_range){PCI_ECAM_BEGIN, PCI_ECAM_BYTES, LOAD_RESERVED};
	if (ram->mem.num_regions > 1)
		ranges[n++] = (struct load_range){ram->mem.regions[1].gpa, ram->mem.regions[1].size,
						  LOAD_USABLE};
	return n;
}

void load_gdt(const struct load_job *job, bool long_mode)
{
	/* Base 0, limit 4 GiB, accessed; a TSS of 0x68 bytes, busy, of which nobody uses anything. */
	const uint64_t gdt[] = {
		0,
		0,
		long_mode ? 0x00af9b000000ffff : 0x00cf9b000000ffff,
		0x00cf93000000ffff,
		0x00008b0000000067,
		0 /* the upper half of a 64-bit TSS */
	};

	memcpy(ram_host(job->ram, LOAD_GDT_GPA, sizeof(gdt)), gdt, sizeof(gdt));
	job->entry->gdt_gpa = LOAD_GDT_GPA;
	job->entry->gdt_limit = sizeof(gdt) - 1;
}

/* --- files --- */

/* open_file - for good; a pipe or a terminal that nobody writes to is not waited for. */
static int open_file(const struct load_job *job, const char *option, const char *path, int *fd)
{
	struct stat st;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0 || fstat(*fd, &st))
		return load_fail(job, -errno, option, path, "%s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return load_fail(job, -EISDIR, option, path, "a directory, not a file");
	if (!S_ISREG(st.st_mode))
		return load_fail(job, -EINVAL, option, path, "not a regular file");
	return 0;
}

/* load_any - look at the files as they are now, and load them where there is RAM. */
static int load_any(struct load_job *job)
{
	static const struct load_format *const formats[] = {&load_bzimage, &load_elf};
	struct stat st;
	const char *guess;
	int ret;

	if (stat_fd(job->files->kernel_fd, &st))
		return kernel_fail(job, -errno, "%s", strerror(errno));
	job->kernel_bytes = (uint64_t)st.st_size;
	if (!job->kernel_bytes)
		return kernel_fail(job, -ENODATA, "the file is empty");
	if (job->files->initrd_fd >= 0) {
		if (stat_fd(job->files->initrd_fd, &st))
			return initrd_fail(job, -errno, "%s", strerror(errno));
		job->initrd_bytes = (uint64_t)st.st_size;
		if (!job->initrd_bytes)
			return initrd_fail(job, -ENODATA, "the file is empty");
	}
	ret = load_read(job, 0, job->head, min_of(job->kernel_bytes, (uint64_t)LOAD_HEAD_BYTES));
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i]->matches(job))
			return formats[i]->load(job);
	guess = load_guess(job->head);
	return kernel_fail(job, -ENOEXEC, "%s%s; " WHAT_IT_SHOULD_BE,
			   guess ? "this is " : "not a kernel", guess ? guess : "");
}

int load_open(struct load_files *files, const struct load_options *opt, char *error,
	      size_t error_bytes)
{
	struct load_job job = {.files = files, .error = error, .error_bytes = error_bytes};
	int ret;

	*files = (struct load_files){.opt = opt, .kernel_fd = -1, .initrd_fd = -1};
	ret = open_file(&job, "--kernel", opt->kernel_path, &files->kernel_fd);
	if (ret == 0 && opt->initrd_path)
		ret = open_file(&job, "--initrd", opt->initrd_path, &files->initrd_fd);
	if (ret == 0)
		ret = load_any(&job);
	if (ret < 0)
		load_close(files);
	return ret;
}

void load_close(struct load_files *files)
{
	close_fd(&files->kernel_fd);
	close_fd(&files->initrd_fd);
}

int load_kernel(const struct load_files *files, const struct ram *ram, uint64_t rsdp_gpa,
		struct load_entry *entry, char *error, size_t error_bytes)
{
	struct load_job job = {
		.files = files,
		.ram = ram,
		.rsdp_gpa = rsdp_gpa,
		.entry = entry,
		.error = error,
		.error_bytes = error_bytes,
	};

	memset(entry, 0, sizeof(*entry));
	return load_any(&job);
}
