/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_load.c - any file as a kernel, any size of an initrd, files that shrink between looking and
 * loading: refused with one line, or loaded within RAM and where a kernel may be, every time the same.
 *
 * Input: struct input, and what the kernel's file begins with.
 */
#include "tests/unit/load_rig.h"

#define RAM_BYTES (16 * RIG_MIB)
#define MAX_BYTES (24 * RIG_MIB) /* of a file: more than there is RAM */

struct input {
	uint32_t kernel_tail; /* zeroes behind what the input has */
	uint32_t initrd_bytes; /* 0: none */
	uint32_t cut_kernel, cut_initrd; /* with its flag: to this many bytes, once it is open */
	uint8_t flags; /* FLAG_* */
} __attribute__((packed));

#define FLAG_CUT_KERNEL 1u
#define FLAG_CUT_INITRD 2u
#define FLAG_HIGH_RAM   4u
#define FLAG_LONG_LINE  8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct load_rig rig;
static char long_line[CMDLINE_BYTES + 8];

static void set_up_once(void)
{
	if (rig.reserved)
		return;
	rig_open(&rig, RAM_BYTES);
	assert(fe_memory_add(&rig.ram.mem, RAM_HIGH_BEGIN, 2 * RIG_MIB, false) == 0);
	memset(rig.ram.mem.regions[1].host, RIG_CANARY, 2 * RIG_MIB);
	memset(long_line, 'x', sizeof(long_line) - 1);
}

static void check_line(void)
{
	assert(strlen(rig.error) > 10 && strlen(rig.error) < sizeof(rig.error) - 1);
	assert(!strncmp(rig.error, "--", 2) && !strchr(rig.error, '\n'));
}

static void check_entry(const struct load_entry *entry)
{
	assert(entry->rip >= KERNEL_BEGIN && entry->rip < RAM_BYTES);
	if (entry->mode == LOAD_PVH_32)
		assert(ram_host(&rig.ram, entry->rbx, 56) && !entry->cr3);
	else
		assert(ram_host(&rig.ram, entry->rsi, 4096) &&
		       ram_host(&rig.ram, entry->cr3, 6 * 4096));
	assert(ram_host(&rig.ram, entry->gdt_gpa, entry->gdt_limit + 1u));
}

static int load(struct load_entry *entry)
{
	int ret;

	rig.error[0] = '\0';
	ret = load_kernel(&rig.files, &rig.ram, RIG_RSDP_GPA, entry, rig.error, sizeof(rig.error));
	assert(ret <= 0);
	if (ret < 0)
		check_line();
	else
		check_entry(entry);
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct load_entry first, second;
	struct input in;

	if (size < sizeof(in))
		return 0;
	set_up_once();
	memcpy(&in, data, sizeof(in));
	rig_write(rig.kernel_fd, data + sizeof(in), size - sizeof(in));
	size = size - sizeof(in) + in.kernel_tail % MAX_BYTES;
	assert(!ftruncate(rig.kernel_fd, (off_t)size));
	assert(!ftruncate(rig.initrd_fd, in.initrd_bytes % MAX_BYTES));
	rig.opt.initrd_path = in.initrd_bytes ? rig.initrd_path : NULL;
	rig.opt.cmdline = in.flags & FLAG_LONG_LINE ? long_line : "quiet";
	rig.ram.mem.num_regions = in.flags & FLAG_HIGH_RAM ? 2 : 1;

	if (load_open(&rig.files, &rig.opt, rig.error, sizeof(rig.error)) < 0) {
		check_line();
		return 0;
	}
	if (in.flags & FLAG_CUT_KERNEL)
		assert(!ftruncate(rig.kernel_fd, in.cut_kernel % MAX_BYTES));
	if (in.flags & FLAG_CUT_INITRD)
		assert(!ftruncate(rig.initrd_fd, in.cut_initrd % MAX_BYTES));
	if (load(&first) == 0) {
		assert(load(&second) == 0);
		assert(!memcmp(&first, &second, sizeof(first)));
	}
	load_close(&rig.files);
	assert(rig_unharmed(&rig));
	assert(rig_all_canary(rig.ram.mem.regions[1].host, 2 * RIG_MIB));
	return 0;
}
