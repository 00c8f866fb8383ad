/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * load_elf.c - ELF kernels that are entered by PVH: 32-bit protected mode, without paging.
 * VMM, main thread. Xen docs/misc/pvh.pandoc, public/elfnote.h, public/arch-x86/hvm/start_info.h.
 */
#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vmm/load_part.h"

#define NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define MAX_SEGMENTS      128 /* Linux has five */
#define MAX_NOTES         1024 /* in all of them; Linux has nineteen */
#define LINUX_CMDLINE_MAX 2047 /* what Linux takes by PVH; it drops the rest and says nothing */

#define START_MAGIC 0x336ec578

struct start_info { /* struct hvm_start_info, version 1 */
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t num_modules;
	uint64_t modules_gpa;
	uint64_t cmdline_gpa;
	uint64_t rsdp_gpa;
	uint64_t memory_map_gpa;
	uint32_t memory_map_entries;
	uint32_t reserved;
};
static_assert(sizeof(struct start_info) == 56, "hvm_start_info");

struct start_module { /* struct hvm_modlist_entry */
	uint64_t gpa;
	uint64_t bytes;
	uint64_t cmdline_gpa;
	uint64_t reserved;
};
static_assert(sizeof(struct start_module) == 32, "hvm_modlist_entry");

struct start_range { /* struct hvm_memmap_table_entry */
	uint64_t gpa;
	uint64_t bytes;
	uint32_t type;
	uint32_t reserved;
};
static_assert(sizeof(struct start_range) == 24, "hvm_memmap_table_entry");

/* All that PVH is told, in one page. */
struct start_page {
	struct start_info info;
	struct start_module initrd;
	struct start_range memory_map[LOAD_MAX_RANGES];
};
static_assert(sizeof(struct start_page) <= LOAD_PAGE_TABLES_GPA - LOAD_INFO_GPA, "one page");

/* A program header of either class. */
struct segment {
	uint32_t type;
	uint64_t offset;
	uint64_t gpa;
	uint64_t file_bytes;
	uint64_t mem_bytes;
	uint64_t align;
};

struct elf {
	const struct load_job *job;
	bool is_64;
	uint64_t headers_offset;
	unsigned num_headers;
	unsigned num_notes;
	bool has_entry;
	uint64_t entry;
	/* What takes memory. Read once: the file may change meanwhile. */
	unsigned num_loads;
	struct segment loads[MAX_SEGMENTS];
	uint64_t end; /* of the highest */
};

static bool elf_matches(const struct load_job *job)
{
	return !memcmp(job->head, ELFMAG, SELFMAG);
}

/* --- headers --- */

static const char *machine_name(unsigned machine)
{
	switch (machine) {
	case EM_AARCH64:
		return "arm64";
	case EM_ARM:
		return "arm";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390";
	case EM_MIPS:
		return "MIPS";
	case 258:
		return "LoongArch";
	default:
		return "another CPU";
	}
}

/* read_header - the ELF header is at the head of the file; both classes begin alike. */
static int read_header(struct elf *elf)
{
	const struct load_job *job = elf->job;
	const Elf64_Ehdr *h64 = (const void *)job->head;
	const Elf32_Ehdr *h32 = (const void *)job->head;
	unsigned header_bytes;

	elf->is_64 = h64->e_ident[EI_CLASS] == ELFCLASS64;
	if (job->kernel_bytes < (elf->is_64 ? sizeof(*h64) : sizeof(*h32)) ||
	    (!elf->is_64 && h64->e_ident[EI_CLASS] != ELFCLASS32) ||
	    (h64->e_ident[EI_DATA] != ELFDATA2LSB && h64->e_ident[EI_DATA] != ELFDATA2MSB))
		return kernel_fail(job, -ENOEXEC, "the ELF header makes no sense");
	if (h64->e_ident[EI_DATA] == ELFDATA2MSB)
		return kernel_fail(job, -ENOEXEC, "this is big-endian; expected a kernel for x86");
	if (h64->e_machine != EM_X86_64 && h64->e_machine != EM_386)
		return kernel_fail(job, -ENOEXEC, "this is for %s; expected a kernel for x86",
				   machine_name(h64->e_machine));
	if (h64->e_type != ET_EXEC && h64->e_type != ET_DYN)
		return kernel_fail(job, -ENOEXEC,
				   "this is %s; expected a kernel, such as a vmlinux",
				   h64->e_type == ET_REL    ? "an object file or a kernel module"
				   : h64->e_type == ET_CORE ? "a core dump"
							    : "no ELF executable");
	elf->headers_offset = elf->is_64 ? h64->e_phoff : h32->e_phoff;
	elf->num_headers = elf->is_64 ? h64->e_phnum : h32->e_phnum;
	header_bytes = elf->is_64 ? h64->e_phentsize : h32->e_phentsize;
	if (header_bytes != (elf->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) ||
	    !elf->num_headers || elf->num_headers > MAX_SEGMENTS)
		return kernel_fail(job, -ENOEXEC,
				   "the ELF header makes no sense: %u program headers of %u bytes",
				   elf->num_headers, header_bytes);
	return 0;
}

/* in_file - is [@offset, @offset + @bytes) within the file? */
static bool in_file(const struct elf *elf, uint64_t offset, uint64_t bytes)
{
	return offset <= elf->job->kernel_bytes && bytes <= elf->job->kernel_bytes - offset;
}

static int read_segment(const struct elf *elf, unsigned index, struct segment *segment)
{
	uint64_t bytes = elf->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), offset;
	union {
		Elf64_Phdr h64;
		Elf32_Phdr h32;
	} raw;
	int ret;

	if (add_overflows(elf->headers_offset, index * bytes, &offset) ||
	    !in_file(elf, offset, bytes))
		return kernel_fail(elf->job, -ENOEXEC,
				   "the file is cut short: program header %u is not in it", index);
	ret = load_read(elf->job, offset, &raw, bytes);
	if (ret < 0)
		return ret;
	if (elf->is_64)
		*segment = (struct segment){raw.h64.p_type,   raw.h64.p_offset, raw.h64.p_paddr,
					    raw.h64.p_filesz, raw.h64.p_memsz,  raw.h64.p_align};
	else
		*segment = (struct segment){raw.h32.p_type,   raw.h32.p_offset, raw.h32.p_paddr,
					    raw.h32.p_filesz, raw.h32.p_memsz,  raw.h32.p_align};
	if (!in_file(elf, segment->offset, segment->file_bytes))
		return kernel_fail(elf->job, -ENOEXEC,
				   "the file is cut short: segment %u has %" PRIu64
				   " bytes at offset %" PRIu64 ", the file has %" PRIu64,
				   index, segment->file_bytes, segment->offset,
				   elf->job->kernel_bytes);
	return 0;
}

/* --- the note --- */

/* read_entry - of a note's @bytes at @offset: 4 in some kernels, 8 in Linux. */
static int read_entry(struct elf *elf, uint64_t offset, uint64_t bytes)
{
	uint64_t value = 0;
	int ret;

	if (bytes != 4 && bytes != 8)
		return kernel_fail(elf->job, -ENOEXEC,
				   "the PVH entry has %" PRIu64 " bytes; expected 4 or 8", bytes);
	ret = load_read(elf->job, offset, &value, bytes);
	if (ret < 0)
		return ret;
	if (value > UINT32_MAX)
		return kernel_fail(elf->job, -ENOEXEC,
				   "the PVH entry is at 0x%" PRIx64 ", which is not below 4 GiB",
				   value);
	elf->entry = value;
	elf->has_entry = true;
	return 0;
}

/* read_notes - all of one segment. @at and @end are within the file, so no sum below overflows. */
static int read_notes(struct elf *elf, const struct segment *segment)
{
	uint64_t at = segment->offset, end = at + segment->file_bytes;
	uint64_t align = segment->align == 8 ? 8 : 4;

	while (end - at >= sizeof(Elf32_Nhdr)) {
		Elf32_Nhdr note;
		char name[4] = "";
		uint64_t name_at = at + sizeof(note), desc_at;
		int ret;

		if (elf->num_notes++ == MAX_NOTES)
			return kernel_fail(elf->job, -ENOEXEC, "it has more than %d notes",
					   MAX_NOTES);
		ret = load_read(elf->job, at, &note, sizeof(note));
		if (ret < 0)
			return ret;
		desc_at = at + align_up(sizeof(note) + (uint64_t)note.n_namesz, align);
		if (desc_at > end || note.n_descsz > end - desc_at)
			return kernel_fail(elf->job, -ENOEXEC,
					   "a note in it ends beyond its segment");
		if (note.n_namesz == sizeof(name))
			ret = load_read(elf->job, name_at, name, sizeof(name));
		if (ret == 0 && note.n_type == NOTE_PHYS32_ENTRY &&
		    !memcmp(name, "Xen", sizeof(name)))
			ret = read_entry(elf, desc_at, note.n_descsz);
		if (ret < 0)
			return ret;
		at = desc_at + align_up(note.n_descsz, align);
		if (at > end)
			break;
	}
	return 0;
}

/* --- the segments --- */

static int add_load(struct elf *elf, const struct segment *segment, unsigned index)
{
	uint64_t end;

	if (segment->file_bytes > segment->mem_bytes ||
	    add_overflows(segment->gpa, segment->mem_bytes, &end))
		return kernel_fail(elf->job, -ENOEXEC,
				   "segment %u makes no sense: %" PRIu64
				   " bytes of file in %" PRIu64 " of memory at 0x%" PRIx64,
				   index, segment->file_bytes, segment->mem_bytes, segment->gpa);
	if (!segment->mem_bytes)
		return 0;
	if (segment->gpa < KERNEL_BEGIN)
		return kernel_fail(elf->job, -ENOEXEC,
				   "segment %u wants to be at address 0x%" PRIx64
				   "; what lies below 1 MiB is not the kernel's",
				   index, segment->gpa);
	elf->end = max_of(elf->end, end);
	elf->loads[elf->num_loads++] = *segment;
	return 0;
}

static int check_entry(const struct elf *elf)
{
	if (!elf->has_entry)
		return kernel_fail(elf->job, -ENOEXEC,
				   "no PVH entry in it (Linux has one with CONFIG_PVH); a bzImage "
				   "of the same kernel does without");
	if (!elf->num_loads)
		return kernel_fail(elf->job, -ENOEXEC, "it has nothing to load");
	for (unsigned i = 0; i < elf->num_loads; i++)
		if (elf->entry - elf->loads[i].gpa < elf->loads[i].mem_bytes)
			return 0;
	return kernel_fail(elf->job, -ENOEXEC,
			   "the PVH entry, 0x%" PRIx64 ", is in none of its segments", elf->entry);
}

/* read_segments - all checks but those against RAM. */
static int read_segments(struct elf *elf)
{
	struct segment segment;
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < elf->num_headers; i++) {
		ret = read_segment(elf, i, &segment);
		if (ret < 0)
			break;
		if (segment.type == PT_INTERP)
			return kernel_fail(elf->job, -ENOEXEC,
					   "this is a program; expected a kernel, such as a "
					   "vmlinux");
		if (segment.type == PT_NOTE)
			ret = read_notes(elf, &segment);
		else if (segment.type == PT_LOAD)
			ret = add_load(elf, &segment, i);
	}
	return ret ? ret : check_entry(elf);
}

/* load_segments - they all lie between the 1 MiB of add_load() and elf->end. */
static int load_segments(const struct elf *elf)
{
	int ret = load_check_range(elf->job, KERNEL_BEGIN, elf->end - KERNEL_BEGIN);

	for (unsigned i = 0; ret == 0 && i < elf->num_loads; i++) {
		const struct segment *segment = &elf->loads[i];

		ret = load_to_ram(elf->job, segment->offset, segment->file_bytes, segment->gpa,
				  segment->mem_bytes);
	}
	return ret;
}

/* --- what the kernel is told --- */

static void write_start_page(const struct elf *elf, uint64_t initrd_gpa)
{
	const struct load_job *job = elf->job;
	struct load_range ranges[LOAD_MAX_RANGES];
	unsigned num_ranges = load_memory_map(job->ram, ranges);
	struct start_page page = {
		.info =
			{
				.magic = START_MAGIC,
				.version = 1,
				.cmdline_gpa = CMDLINE_BEGIN,
				.rsdp_gpa = job->rsdp_gpa,
				.memory_map_gpa =
					LOAD_INFO_GPA + offsetof(struct start_page, memory_map),
				.memory_map_entries = num_ranges,
			},
	};

	for (unsigned i = 0; i < num_ranges; i++)
		page.memory_map[i] = (struct start_range){.gpa = ranges[i].gpa,
							  .bytes = ranges[i].bytes,
							  .type = ranges[i].type};
	if (job->initrd_bytes) {
		page.info.num_modules = 1;
		page.info.modules_gpa = LOAD_INFO_GPA + offsetof(struct start_page, initrd);
		page.initrd.gpa = initrd_gpa;
		page.initrd.bytes = job->initrd_bytes;
	}
	memcpy(ram_host(job->ram, LOAD_INFO_GPA, sizeof(page)), &page, sizeof(page));
}

static int elf_load(const struct load_job *job)
{
	struct elf elf = {.job = job};
	uint64_t initrd_gpa;
	int ret = read_header(&elf);

	if (ret == 0)
		ret = read_segments(&elf);
	if (ret == 0)
		ret = load_cmdline(job, UINT64_MAX);
	if (ret < 0 || !job->ram)
		return ret;
	if (strlen(job->files->opt->cmdline) > LINUX_CMDLINE_MAX)
		log_warn("vm",
			 "--cmdline is longer than the %d bytes that Linux takes from an ELF "
			 "file",
			 LINUX_CMDLINE_MAX);
	ret = load_segments(&elf);
	if (ret == 0)
		ret = load_initrd(job, elf.end, UINT64_MAX, &initrd_gpa);
	if (ret < 0)
		return ret;
	write_start_page(&elf, initrd_gpa);
	load_gdt(job, false);
	job->entry->mode = LOAD_PVH_32;
	job->entry->rip = elf.entry;
	job->entry->rbx = LOAD_INFO_GPA;
	return 0;
}

const struct load_format load_elf = {elf_matches, elf_load};
