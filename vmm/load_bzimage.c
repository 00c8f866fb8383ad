/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_bzimage.c - bzImage kernels, entered in 64-bit mode behind the real-mode part.
 * VMM, main thread. Linux Documentation/arch/x86/boot.rst, "64-bit Boot Protocol", and zero-page.rst.
 */
#include <asm/bootparam.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vmm/load_part.h"

#define HEADER_OFFSET     0x1f1
#define HEADER_MAGIC      0x53726448 /* "HdrS" */
#define HEADER_MAX_END    0x290 /* here other fields of boot_params begin */
#define JUMP_OFFSET       0x201 /* of a jump over the header: its length is the header's */
#define BOOT_FLAG         0xaa55
#define MIN_VERSION       0x20c
#define SECTOR_BYTES      512
#define ENTRY_64_OFFSET   0x200
#define LOADER_UNASSIGNED 0xff
#define HEAP_END          0xfe00
#define PAGE_TABLE_BYTES  4096
#define LARGE_PAGE_BYTES  (2 * MIB)
#define PTE_TABLE         0x23 /* present, writable, accessed */
#define PTE_LARGE         0xe3 /* and dirty, large */

static_assert(offsetof(struct boot_params, hdr) == HEADER_OFFSET, "setup_header");
static_assert(offsetof(struct boot_params, edd_mbr_sig_buffer) == HEADER_MAX_END, "its end");
static_assert(sizeof(struct boot_params) <= LOAD_PAGE_TABLES_GPA - LOAD_INFO_GPA, "one page");
static_assert(LOAD_PAGE_TABLES_GPA + 6 * PAGE_TABLE_BYTES <= BOOT_INFO_END, "tables");
static_assert(HEADER_MAX_END <= LOAD_HEAD_BYTES, "the header is in the head");

/* What is made of the header. */
struct bzimage {
	struct setup_header hdr;
	size_t hdr_bytes; /* in the file; more than sizeof(hdr) in a newer kernel */
	uint64_t offset; /* of the part in protected mode */
	uint64_t bytes;
	uint64_t gpa; /* where it goes */
	uint64_t mem_bytes; /* what it needs from there until it has a memory map */
};

static bool bzimage_matches(const struct load_job *job)
{
	const struct setup_header *hdr = (const void *)(job->head + HEADER_OFFSET);

	return hdr->header == HEADER_MAGIC && hdr->boot_flag == BOOT_FLAG;
}

/* read_header - is it a kernel for us? job->head has zeroes where the file is shorter. */
static int read_header(const struct load_job *job, struct bzimage *image)
{
	const struct setup_header *raw = (const void *)(job->head + HEADER_OFFSET);
	size_t end = JUMP_OFFSET + 1 + job->head[JUMP_OFFSET];
	struct setup_header *hdr = &image->hdr;

	if (raw->version < MIN_VERSION)
		return kernel_fail(job, -ENOEXEC,
				   "boot protocol %u.%02u; expected 2.12 or later (Linux 3.8)",
				   raw->version >> 8, raw->version & 0xff);
	end = min_of(end, (size_t)HEADER_MAX_END);
	image->hdr_bytes = end - HEADER_OFFSET;
	memcpy(hdr, raw, min_of(image->hdr_bytes, sizeof(*hdr)));
	if (image->hdr_bytes < offsetof(struct setup_header, handover_offset))
		return kernel_fail(job, -ENOEXEC,
				   "its header makes no sense: %zu bytes of it for boot protocol "
				   "%u.%02u",
				   image->hdr_bytes, raw->version >> 8, raw->version & 0xff);
	if (!(hdr->loadflags & LOADED_HIGH))
		return kernel_fail(job, -ENOEXEC,
				   "a zImage, which is loaded below 1 MiB; expected "
				   "a bzImage");
	if (!(hdr->xloadflags & XLF_KERNEL_64))
		return kernel_fail(job, -ENOEXEC, "a 32-bit kernel; expected one for x86-64");
	return 0;
}

/* place - the part in protected mode: where it is in the file, and where it goes. */
static int place(const struct load_job *job, struct bzimage *image)
{
	const struct setup_header *hdr = &image->hdr;
	uint64_t told = (uint64_t)hdr->syssize * 16, align = hdr->kernel_alignment;

	image->offset = ((hdr->setup_sects ? hdr->setup_sects : 4u) + 1) * SECTOR_BYTES;
	if (image->offset >= job->kernel_bytes ||
	    told > align_up(job->kernel_bytes - image->offset, 16))
		return kernel_fail(job, -ENOEXEC,
				   "the file is cut short: %" PRIu64 " bytes, and its header tells "
				   "of %" PRIu64,
				   job->kernel_bytes, image->offset + told);
	/* Behind it there may be a signature. */
	image->bytes = job->kernel_bytes - image->offset;
	if (told)
		image->bytes = min_of(image->bytes, told);
	if (image->bytes <= ENTRY_64_OFFSET)
		return kernel_fail(job, -ENOEXEC,
				   "its header makes no sense: %" PRIu64 " bytes of code",
				   image->bytes);
	image->mem_bytes = max_of((uint64_t)hdr->init_size, image->bytes);
	image->gpa = hdr->pref_address;
	if (!hdr->relocatable_kernel)
		return 0;
	/* Linux unpacks itself to its preferred address or above, wherever it is loaded: below it
	 * there is nothing to be gained. */
	if (!align || align & (align - 1))
		return kernel_fail(job, -ENOEXEC,
				   "its header makes no sense: kernel_alignment 0x%" PRIx64, align);
	image->gpa = align_up(max_of(image->gpa, (uint64_t)KERNEL_BEGIN), align);
	return 0;
}

/* map_identity - the first 4 GiB, by pages of 2 MiB. Return: CR3. */
static uint64_t map_identity(const struct ram *ram)
{
	uint64_t *top = ram_host(ram, LOAD_PAGE_TABLES_GPA, 6 * PAGE_TABLE_BYTES);
	uint64_t *directories = top + 512, *pages = top + 1024;

	memset(top, 0, 2 * PAGE_TABLE_BYTES);
	top[0] = (LOAD_PAGE_TABLES_GPA + PAGE_TABLE_BYTES) | PTE_TABLE;
	for (unsigned i = 0; i < 4; i++)
		directories[i] = (LOAD_PAGE_TABLES_GPA + (2 + i) * PAGE_TABLE_BYTES) | PTE_TABLE;
	for (unsigned i = 0; i < 4 * 512; i++)
		pages[i] = i * LARGE_PAGE_BYTES | PTE_LARGE;
	return LOAD_PAGE_TABLES_GPA;
}

/* write_params - the header as the kernel has it, and what a loader fills in. */
static void write_params(const struct load_job *job, const struct bzimage *image,
			 uint64_t initrd_gpa)
{
	struct boot_params *params = ram_host(job->ram, LOAD_INFO_GPA, sizeof(*params));
	struct setup_header *hdr = &params->hdr;
	struct load_range ranges[LOAD_MAX_RANGES];

	memset(params, 0, sizeof(*params));
	memcpy((uint8_t *)params + HEADER_OFFSET, job->head + HEADER_OFFSET, image->hdr_bytes);
	hdr->type_of_loader = LOADER_UNASSIGNED;
	hdr->loadflags |= CAN_USE_HEAP;
	hdr->heap_end_ptr = HEAP_END;
	hdr->code32_start = (uint32_t)image->gpa;
	hdr->cmd_line_ptr = CMDLINE_BEGIN;
	hdr->ramdisk_image = (uint32_t)initrd_gpa;
	hdr->ramdisk_size = (uint32_t)job->initrd_bytes;
	hdr->setup_data = 0;
	params->acpi_rsdp_addr = job->rsdp_gpa;
	params->e820_entries = (uint8_t)load_memory_map(job->ram, ranges);
	for (unsigned i = 0; i < params->e820_entries; i++)
		params->e820_table[i] =
			(struct boot_e820_entry){ranges[i].gpa, ranges[i].bytes, ranges[i].type};
}

static int bzimage_load(const struct load_job *job)
{
	struct bzimage image = {.offset = 0};
	uint64_t initrd_gpa;
	int ret = read_header(job, &image);

	if (ret == 0)
		ret = place(job, &image);
	if (ret == 0)
		ret = load_cmdline(job, image.hdr.cmdline_size);
	if (ret < 0 || !job->ram)
		return ret;
	ret = load_check_range(job, image.gpa, image.mem_bytes);
	if (ret == 0)
		ret = load_to_ram(job, image.offset, image.bytes, image.gpa, image.bytes);
	if (ret == 0)
		ret = load_initrd(job, image.gpa + image.mem_bytes, image.hdr.initrd_addr_max,
				  &initrd_gpa);
	if (ret < 0)
		return ret;
	write_params(job, &image, initrd_gpa);
	load_gdt(job, true);
	job->entry->mode = LOAD_LINUX_64;
	job->entry->rip = image.gpa + ENTRY_64_OFFSET;
	job->entry->rsi = LOAD_INFO_GPA;
	job->entry->cr3 = map_identity(job->ram);
	return 0;
}

const struct load_format load_bzimage = {bzimage_matches, bzimage_load};
