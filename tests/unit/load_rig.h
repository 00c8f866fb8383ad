/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_rig.h - kernels made to order, and guest RAM with guards around it, for the loader's tests and
 * its fuzzer. Tests only. One thread.
 */
#ifndef RINGSIDE_TESTS_UNIT_LOAD_RIG_H
#define RINGSIDE_TESTS_UNIT_LOAD_RIG_H

#include <asm/bootparam.h>
#include <assert.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/base/util.h"
#include "vmm/load.h"
#include "vmm/memory_map.h"

#define RIG_MIB         (1ull << 20)
#define RIG_GUARD_BYTES (64 * RIG_MIB)
#define RIG_RSDP_GPA    ACPI_BEGIN
#define RIG_CANARY      0x5a

struct load_rig {
	struct ram ram;
	uint8_t *reserved; /* the RAM's mapping, and unmapped memory before and behind it */
	int kernel_fd, initrd_fd;
	char kernel_path[64], initrd_path[64];
	struct load_options opt;
	struct load_files files;
	struct load_entry entry;
	char error[512];
};

static inline int rig_file(char *path, size_t path_bytes)
{
	int fd = memfd_create("load-rig", MFD_CLOEXEC);

	assert(fd >= 0);
	snprintf(path, path_bytes, "/proc/self/fd/%d", fd);
	return fd;
}

/* rig_open - low RAM of @low_bytes (nothing of it is there before it is used), without high RAM. What
 * the loader may not write has a canary, and what it writes is not zero before. */
static inline void rig_open(struct load_rig *rig, uint64_t low_bytes)
{
	struct fe_region *r;

	memset(rig, 0, sizeof(*rig));
	assert(fe_memory_add(&rig->ram.mem, 0, low_bytes, false) == 0);
	r = &rig->ram.mem.regions[0];
	munmap(r->host, r->size);
	rig->reserved = mmap(NULL, low_bytes + 2 * RIG_GUARD_BYTES, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert(rig->reserved != MAP_FAILED);
	r->host = mmap(rig->reserved + RIG_GUARD_BYTES, low_bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, r->fd, 0);
	assert(r->host != MAP_FAILED);
	rig->ram.size = low_bytes;
	memset(r->host, RIG_CANARY, KERNEL_BEGIN);
	rig->kernel_fd = rig_file(rig->kernel_path, sizeof(rig->kernel_path));
	rig->initrd_fd = rig_file(rig->initrd_path, sizeof(rig->initrd_path));
	rig->opt =
		(struct load_options){.kernel_path = rig->kernel_path, .cmdline = "console=ttyS0"};
	rig->files = (struct load_files){.kernel_fd = -1, .initrd_fd = -1};
}

static inline void rig_close(struct load_rig *rig)
{
	load_close(&rig->files);
	close_fd(&rig->kernel_fd);
	close_fd(&rig->initrd_fd);
	ram_free(&rig->ram);
	munmap(rig->reserved, RIG_GUARD_BYTES); /* what is behind stays: the RAM's size is gone */
}

static inline void rig_write(int fd, const void *data, size_t bytes)
{
	assert(ftruncate(fd, 0) == 0);
	assert(pwrite(fd, data, bytes, 0) == (ssize_t)bytes);
}

static inline bool rig_all_canary(const uint8_t *from, uint64_t bytes)
{
	return from[0] == RIG_CANARY && !memcmp(from, from + 1, bytes - 1);
}

/* rig_unharmed - the loader has written nothing below 1 MiB but where it may. */
static inline bool rig_unharmed(const struct load_rig *rig)
{
	const uint8_t *low = rig->ram.mem.regions[0].host;
	uint64_t end = CMDLINE_BEGIN + CMDLINE_BYTES;

	return rig_all_canary(low, BOOT_INFO_BEGIN) &&
	       rig_all_canary(low + end, KERNEL_BEGIN - end);
}

/* rig_load - as at start, the files being what they are. Return: of the call that failed, else 0. */
static inline int rig_load(struct load_rig *rig)
{
	int ret;

	load_close(&rig->files);
	rig->error[0] = '\0';
	ret = load_open(&rig->files, &rig->opt, rig->error, sizeof(rig->error));
	if (ret == 0)
		ret = load_kernel(&rig->files, &rig->ram, RIG_RSDP_GPA, &rig->entry, rig->error,
				  sizeof(rig->error));
	return ret;
}

static inline int rig_load_kernel(struct load_rig *rig, const void *image, size_t bytes)
{
	rig_write(rig->kernel_fd, image, bytes);
	return rig_load(rig);
}

static inline void *rig_at(const struct load_rig *rig, uint64_t gpa)
{
	return ram_host(&rig->ram, gpa, 1);
}

/* --- an ELF kernel: two segments and a note --- */

#define ELF_BYTES       0x3000u
#define ELF_TEXT_OFFSET 0x1000u
#define ELF_TEXT_GPA    0x100000u
#define ELF_TEXT_BYTES  0x1234u
#define ELF_DATA_OFFSET 0x2800u
#define ELF_DATA_GPA    0x400000u
#define ELF_DATA_BYTES  0x7ffu
#define ELF_DATA_MEM    0x12345u /* .bss behind it */
#define ELF_NOTE_OFFSET 0x800u
#define ELF_ENTRY       (ELF_TEXT_GPA + 0x40)

struct elf_image {
	_Alignas(8) uint8_t bytes[ELF_BYTES];
	bool is_64;
};

/* The note: another one first, with a name and a description whose lengths are no multiple of 4. */
struct elf_notes {
	Elf32_Nhdr first;
	char first_name[8];
	char first_desc[4];
	Elf32_Nhdr entry;
	char entry_name[4];
	uint64_t entry_desc __attribute__((packed));
};

static inline Elf64_Ehdr *elf_header_64(struct elf_image *image)
{
	return (void *)image->bytes;
}

static inline Elf32_Ehdr *elf_header_32(struct elf_image *image)
{
	return (void *)image->bytes;
}

static inline Elf64_Phdr *elf_segment_64(struct elf_image *image, unsigned index)
{
	return (Elf64_Phdr *)(image->bytes + sizeof(Elf64_Ehdr)) + index;
}

static inline Elf32_Phdr *elf_segment_32(struct elf_image *image, unsigned index)
{
	return (Elf32_Phdr *)(image->bytes + sizeof(Elf32_Ehdr)) + index;
}

static inline struct elf_notes *elf_notes(struct elf_image *image)
{
	return (void *)(image->bytes + ELF_NOTE_OFFSET);
}

static inline void elf_add(struct elf_image *image, unsigned index, uint32_t type, uint32_t offset,
			   uint32_t gpa, uint32_t file_bytes, uint32_t mem_bytes)
{
	if (image->is_64)
		*elf_segment_64(image, index) = (Elf64_Phdr){.p_type = type,
							     .p_offset = offset,
							     .p_vaddr = 0xffffffff80000000 + gpa,
							     .p_paddr = gpa,
							     .p_filesz = file_bytes,
							     .p_memsz = mem_bytes,
							     .p_align = 4};
	else
		*elf_segment_32(image, index) = (Elf32_Phdr){.p_type = type,
							     .p_offset = offset,
							     .p_vaddr = 0xc0000000 + gpa,
							     .p_paddr = gpa,
							     .p_filesz = file_bytes,
							     .p_memsz = mem_bytes,
							     .p_align = 4};
}

/* elf_make - one that loads. Its content is a pattern of bytes that are not zero. */
static inline void elf_make(struct elf_image *image, bool is_64)
{
	struct elf_notes notes = {
		.first = {5, 3, 6},
		.first_name = "name",
		.entry = {4, 8, 18},
		.entry_name = "Xen",
		.entry_desc = ELF_ENTRY,
	};

	image->is_64 = is_64;
	for (unsigned i = 0; i < ELF_BYTES; i++)
		image->bytes[i] = (uint8_t)(i % 255 + 1);
	if (is_64)
		*elf_header_64(image) = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64,
								 ELFDATA2LSB, EV_CURRENT},
						     .e_type = ET_EXEC,
						     .e_machine = EM_X86_64,
						     .e_version = EV_CURRENT,
						     .e_phoff = sizeof(Elf64_Ehdr),
						     .e_ehsize = sizeof(Elf64_Ehdr),
						     .e_phentsize = sizeof(Elf64_Phdr),
						     .e_phnum = 3};
	else
		*elf_header_32(image) = (Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32,
								 ELFDATA2LSB, EV_CURRENT},
						     .e_type = ET_EXEC,
						     .e_machine = EM_386,
						     .e_version = EV_CURRENT,
						     .e_phoff = sizeof(Elf32_Ehdr),
						     .e_ehsize = sizeof(Elf32_Ehdr),
						     .e_phentsize = sizeof(Elf32_Phdr),
						     .e_phnum = 3};
	elf_add(image, 0, PT_LOAD, ELF_TEXT_OFFSET, ELF_TEXT_GPA, ELF_TEXT_BYTES, ELF_TEXT_BYTES);
	elf_add(image, 1, PT_LOAD, ELF_DATA_OFFSET, ELF_DATA_GPA, ELF_DATA_BYTES, ELF_DATA_MEM);
	elf_add(image, 2, PT_NOTE, ELF_NOTE_OFFSET, 0, sizeof(notes), sizeof(notes));
	memcpy(elf_notes(image), &notes, sizeof(notes));
}

/* --- a bzImage --- */

#define BZ_SETUP_SECTS 3u
#define BZ_OFFSET      ((BZ_SETUP_SECTS + 1) * 512)
#define BZ_CODE_BYTES  0x2340u
#define BZ_BYTES       (BZ_OFFSET + BZ_CODE_BYTES)
#define BZ_GPA         0x400000u
#define BZ_INIT_SIZE   0x300000u
#define BZ_CMDLINE_MAX 2047u

struct bz_image {
	uint8_t bytes[BZ_BYTES];
};

static inline struct setup_header *bz_header(struct bz_image *image)
{
	return (void *)(image->bytes + offsetof(struct boot_params, hdr));
}

static inline void bz_make(struct bz_image *image)
{
	for (unsigned i = 0; i < BZ_BYTES; i++)
		image->bytes[i] = (uint8_t)(i % 255 + 1);
	*bz_header(image) = (struct setup_header){
		.setup_sects = BZ_SETUP_SECTS,
		.syssize = BZ_CODE_BYTES / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* to 0x26c, where the header ends */
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
		.cmdline_size = BZ_CMDLINE_MAX,
		.setup_data = 0x1234567,
		.pref_address = BZ_GPA,
		.init_size = BZ_INIT_SIZE,
	};
}

#endif
