/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load.h - put a kernel, its initrd and its command line into guest RAM, and say where to begin.
 * VMM, main thread. bzImage: Linux Documentation/arch/x86/boot.rst (64-bit entry); ELF: the PVH boot
 * protocol (Xen docs/misc/pvh.pandoc, start_info.h).
 */
#ifndef RINGSIDE_VMM_LOAD_H
#define RINGSIDE_VMM_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/ram.h"

struct load_options {
	const char *kernel_path;
	const char *initrd_path; /* NULL: none */
	const char *cmdline; /* "" for none */
};

/* The files, open: a reset loads them again, and by then no path can be opened. */
struct load_files {
	const struct load_options *opt;
	int kernel_fd;
	int initrd_fd; /* -1: none */
};

/* How the first vCPU begins. */
struct load_entry {
	enum { LOAD_PVH_32, LOAD_LINUX_64 } mode; /* protected mode without paging; long mode */
	uint64_t rip;
	uint64_t rbx; /* PVH: start_info */
	uint64_t rsi; /* Linux: boot_params */
	uint64_t cr3; /* Linux: identity map of the first 4 GiB at least */
	uint64_t gdt_gpa; /* 8-byte entries: null, null, code at 0x10, data at 0x18, TSS at 0x20 */
	uint16_t gdt_limit;
};

/* load_open - open the files and see whether they are what they should be, before anything costs
 * time. Return: 0, or -errno with the one line for the operator in @error. */
int load_open(struct load_files *files, const struct load_options *opt, char *error,
	      size_t error_bytes);
void load_close(struct load_files *files);

/*
 * load_kernel - copy everything into @ram: kernel, initrd as high as it may lie below RAM_LOW_END,
 * command line, memory map, and what the entry needs. @rsdp_gpa: where the ACPI tables begin.
 * Nothing of the files is trusted: every size and address is checked against file and RAM.
 * Return: 0, or -errno with the one line for the operator in @error.
 */
int load_kernel(const struct load_files *files, const struct ram *ram, uint64_t rsdp_gpa,
		struct load_entry *entry, char *error, size_t error_bytes);

#endif
