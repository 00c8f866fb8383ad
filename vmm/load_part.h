/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_part.h - what load.c and the two formats of kernels share.
 * VMM, main thread.
 */
#ifndef RINGSIDE_VMM_LOAD_PART_H
#define RINGSIDE_VMM_LOAD_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vhost/base/util.h"
#include "vmm/load.h"
#include "vmm/memory_map.h"

#define MIB ((uint64_t)1 << 20)

/* Of the file, looked at to tell what it is; zeroes where the file is shorter. */
#define LOAD_HEAD_BYTES 1024

/* Where in BOOT_INFO what stands. */
#define LOAD_GDT_GPA         BOOT_INFO_BEGIN
#define LOAD_INFO_GPA        (BOOT_INFO_BEGIN + 0x1000) /* boot_params, or start_info and its tables */
#define LOAD_PAGE_TABLES_GPA (BOOT_INFO_BEGIN + 0x2000) /* six pages */

/* One call of load_open() or load_kernel(). */
struct load_job {
	const struct load_files *files;
	const struct ram *ram; /* NULL in load_open(), as are the next two */
	uint64_t rsdp_gpa;
	struct load_entry *entry;
	uint64_t kernel_bytes; /* of the file */
	uint64_t initrd_bytes; /* 0: none */
	_Alignas(8) uint8_t head[LOAD_HEAD_BYTES]; /* of the kernel's file */
	char *error;
	size_t error_bytes;
};

struct load_format {
	/* Is it one at all, by job->head? */
	bool (*matches)(const struct load_job *job);
	/* check what the file alone says, and, where job->ram is there, load it. */
	int (*load)(const struct load_job *job);
};

extern const struct load_format load_bzimage, load_elf;

/* load_fail - the one line: the option as it was given and what is wrong. Return: @ret. */
printf_like(5, 6) int load_fail(const struct load_job *job, int ret, const char *option,
				const char *path, const char *fmt, ...);

#define kernel_fail(job, ret, ...) \
	load_fail(job, ret, "--kernel", (job)->files->opt->kernel_path, __VA_ARGS__)
#define initrd_fail(job, ret, ...) \
	load_fail(job, ret, "--initrd", (job)->files->opt->initrd_path, __VA_ARGS__)

/* load_read - all of [@offset, @offset + @bytes) of the kernel's file. Return: 0 or -errno (told). */
int load_read(const struct load_job *job, uint64_t offset, void *to, uint64_t bytes);

/* load_to_ram - the same to @gpa, and zeroes from there to @gpa + @mem_bytes. All of it is low RAM,
 * as load_check_range() says. Return: 0 or -errno (told). */
int load_to_ram(const struct load_job *job, uint64_t offset, uint64_t bytes, uint64_t gpa,
		uint64_t mem_bytes);

/* load_check_range - may the kernel have [@gpa, @gpa + @bytes)? Return: 0 or -errno (told). */
int load_check_range(const struct load_job *job, uint64_t gpa, uint64_t bytes);

/* load_cmdline - to CMDLINE_BEGIN; @max_bytes: what the kernel takes, without the final zero.
 * Return: 0 or -E2BIG (told). */
int load_cmdline(const struct load_job *job, uint64_t max_bytes);

/* load_initrd - as high as it goes, above @kernel_end and not beyond @last, the highest address
 * allowed. Return: 0 and its place (0 where there is none), or -errno (told). */
int load_initrd(const struct load_job *job, uint64_t kernel_end, uint64_t last, uint64_t *gpa);

/* A line of the memory map, for both protocols. */
struct load_range {
	uint64_t gpa;
	uint64_t bytes;
	uint32_t type; /* as E820 has it */
};

#define LOAD_MAX_RANGES 5
#define LOAD_USABLE     1
#define LOAD_RESERVED   2

/* load_memory_map - what is where. Return: how many of @ranges, which are LOAD_MAX_RANGES. */
unsigned load_memory_map(const struct ram *ram, struct load_range *ranges);

/* load_gdt - flat segments, for 32-bit code or for 64-bit code. */
void load_gdt(const struct load_job *job, bool long_mode);

/* load_guess - what a file may be that is no kernel for us: a noun, or NULL. */
const char *load_guess(const uint8_t *head);

#endif
