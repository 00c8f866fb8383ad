/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor_guest.c - see doctor_guest.h. VMM, main thread.
 *
 * A guest begins in 64-bit mode with the first 2 MiB mapped, needs no interrupt controller, and ends
 * with an OUT of PASSED. Intel SDM vol. 3A chapters 2 to 6.
 */
#include "vmm/doctor_guest.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "vhost/base/clock.h"
#include "vhost/base/util.h"
#include "vmm/kvm.h"
#include "vmm/memory_map.h"

#define TIME_LIMIT_S 5
#define PASSED       0x2a
#define PORT         0xf4

/* Guest-physical addresses. */
#define GUEST_BYTES  0x10000
#define GDT          0x1000
#define PML4         0x2000
#define PDPT         0x3000
#define PD           0x4000
#define IDT          0x5000
#define STACK_TOP    0x8000
#define CODE         0x8000
#define INT3_HANDLER 0x8800
#define SCRATCH      0x9000
#define TSS          0xa000

#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18
#define TSS_SELECTOR  0x20

#define CR0_PE         (1u << 0)
#define CR0_MP         (1u << 1)
#define CR0_ET         (1u << 4)
#define CR0_NE         (1u << 5)
#define CR0_PG         (1u << 31)
#define CR4_PAE        (1u << 5)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_OSXSAVE    (1u << 18)
#define EFER_LME       (1u << 8)
#define EFER_LMA       (1u << 10)

#define LEAF1_XSAVE (1u << 26) /* ECX */

/* --- what they do --- */

#define TEXT(x)  #x
#define VALUE(x) TEXT(x)

#define GUEST_CODE(name, text)                                                          \
	extern const uint8_t name[], name##_end[];                                      \
	asm(".pushsection .rodata, \"a\"\n"                                             \
	    ".globl " #name "\n.hidden " #name "\n"                                     \
	    ".globl " #name "_end\n.hidden " #name "_end\n" #name ":\n" text "\n" #name \
	    "_end:\n.popsection\n")

#define OUT "out %al, $" VALUE(PORT) "\n hlt\n"

GUEST_CODE(probe_first, "mov $" VALUE(PASSED) ", %al\n" OUT);
GUEST_CODE(probe_speed,
	   "mov $(" VALUE(PROBE_SPEED_INSTRUCTIONS) " / 2), %ecx\n"
						    "1: dec %ecx\n"
						    "jnz 1b\n"
						    "mov $" VALUE(PASSED) ", %al\n" OUT);
GUEST_CODE(probe_int3, "xor %ebx, %ebx\n"
		       "int3\n"
		       "mov %bl, %al\n" OUT);
GUEST_CODE(probe_int3_handler, "mov $" VALUE(PASSED) ", %bl\n"
						     "iretq\n");
GUEST_CODE(probe_cmpxchg16b, "xor %eax, %eax\n"
			     "xor %edx, %edx\n"
			     "xor %ecx, %ecx\n"
			     "mov $" VALUE(PASSED) ", %ebx\n"
						   "mov $" VALUE(SCRATCH) ", %esi\n"
									  "lock cmpxchg16b (%rsi)\n"
									  "mov (%rsi), %al\n" OUT);
/* x87 and SSE state, as every kernel begins with; then out of memory what went in. */
GUEST_CODE(probe_xsave, "xor %ecx, %ecx\n"
			"xor %edx, %edx\n"
			"mov $3, %eax\n"
			"xsetbv\n"
			"xgetbv\n"
			"cmp $3, %eax\n"
			"jne 1f\n"
			"mov $" VALUE(SCRATCH) ", %esi\n"
					       "xsave (%rsi)\n"
					       "xrstor (%rsi)\n"
					       "mov $" VALUE(PASSED) ", %al\n"
								     "1: " OUT);
GUEST_CODE(probe_sse, "mov $(" VALUE(PASSED) " / 2), %eax\n"
					     "movd %eax, %xmm0\n"
					     "paddd %xmm0, %xmm0\n"
					     "movd %xmm0, %eax\n" OUT);

static const struct {
	const char *name;
	const uint8_t *code, *end;
	uint32_t cr4;
} probes[PROBE_NUM] = {
	[PROBE_FIRST] = {"first instruction", probe_first, probe_first_end, 0},
	[PROBE_SPEED] = {"loop", probe_speed, probe_speed_end, 0},
	[PROBE_INT3] = {"int3", probe_int3, probe_int3_end, 0},
	[PROBE_CMPXCHG16B] = {"cmpxchg16b", probe_cmpxchg16b, probe_cmpxchg16b_end, 0},
	[PROBE_XSAVE] = {"XSAVE", probe_xsave, probe_xsave_end, CR4_OSXSAVE},
	[PROBE_SSE] = {"SSE", probe_sse, probe_sse_end, 0},
};

const char *doctor_probe_name(enum doctor_probe probe)
{
	return probes[probe].name;
}

/* --- the machine they run on --- */

struct guest {
	int vm_fd, vcpu_fd;
	uint8_t *ram;
	struct kvm_run *run;
	size_t run_bytes;
	struct kvm_cpuid2 *cpuid;
};

/* failed - @what, which set errno, as the reason. Return: false. */
static bool failed(struct probe_result *result, const char *what)
{
	snprintf(result->why, sizeof(result->why), "%s: %s", what, strerror(errno));
	return false;
}

static bool create_vm(struct guest *guest, int kvm_fd, struct probe_result *result)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_BYTES};
	uint64_t identity_map = KVM_IDENTITY_MAP;

	guest->vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (guest->vm_fd < 0)
		return failed(result, "KVM_CREATE_VM");
	if (ioctl(guest->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(guest->vm_fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS) < 0)
		return failed(result, "KVM_SET_TSS_ADDR");
	guest->ram =
		mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guest->ram == MAP_FAILED)
		return failed(result, "memory for the guest");
	region.userspace_addr = (uintptr_t)guest->ram;
	if (ioctl(guest->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return failed(result, "KVM_SET_USER_MEMORY_REGION");
	return true;
}

static bool create_vcpu(struct guest *guest, int kvm_fd, struct probe_result *result)
{
	int bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	guest->vcpu_fd = ioctl(guest->vm_fd, KVM_CREATE_VCPU, 0);
	if (guest->vcpu_fd < 0)
		return failed(result, "KVM_CREATE_VCPU");
	if (bytes < (int)sizeof(*guest->run))
		return failed(result, "KVM_GET_VCPU_MMAP_SIZE");
	guest->run_bytes = (size_t)bytes;
	guest->run =
		mmap(NULL, guest->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu_fd, 0);
	if (guest->run == MAP_FAILED)
		return failed(result, "the vCPU's page");
	guest->cpuid->nent = KVM_MAX_CPUID;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, guest->cpuid) < 0 ||
	    ioctl(guest->vcpu_fd, KVM_SET_CPUID2, guest->cpuid) < 0)
		return failed(result, "CPUID");
	return true;
}

static bool has_xsave(const struct kvm_cpuid2 *cpuid)
{
	for (uint32_t i = 0; i < cpuid->nent && i < KVM_MAX_CPUID; i++)
		if (cpuid->entries[i].function == 1)
			return cpuid->entries[i].ecx & LEAF1_XSAVE;
	return false;
}

static void write64(struct guest *guest, uint32_t gpa, uint64_t value)
{
	memcpy(guest->ram + gpa, &value, sizeof(value));
}

/* write_tables - GDT, identity map of one 2 MiB page, an IDT with the gate of int3. */
static void write_tables(struct guest *guest)
{
	const uint64_t present_writable = 3, large = 1u << 7;

	write64(guest, GDT + CODE_SELECTOR, 0x00af9b000000ffff);
	write64(guest, GDT + DATA_SELECTOR, 0x00cf93000000ffff);
	write64(guest, PML4, PDPT | present_writable);
	write64(guest, PDPT, PD | present_writable);
	write64(guest, PD, present_writable | large);
	write64(guest, IDT + 3 * 16, 0x8e00ull << 32 | CODE_SELECTOR << 16 | INT3_HANDLER);
}

static void write_code(struct guest *guest, enum doctor_probe probe)
{
	memcpy(guest->ram + CODE, probes[probe].code,
	       (size_t)(probes[probe].end - probes[probe].code));
	memcpy(guest->ram + INT3_HANDLER, probe_int3_handler,
	       (size_t)(probe_int3_handler_end - probe_int3_handler));
}

static bool set_registers(struct guest *guest, uint32_t cr4, struct probe_result *result)
{
	struct kvm_regs regs = {.rip = CODE, .rsp = STACK_TOP, .rflags = 2};
	struct kvm_segment code = {.limit = 0xffffffff,
				   .selector = CODE_SELECTOR,
				   .type = 11,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.limit = 0xffffffff,
				   .selector = DATA_SELECTOR,
				   .type = 3,
				   .present = 1,
				   .db = 1,
				   .s = 1,
				   .g = 1};
	struct kvm_sregs sregs;

	if (ioctl(guest->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return failed(result, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = (struct kvm_segment){
		.base = TSS, .limit = 0x67, .selector = TSS_SELECTOR, .type = 11, .present = 1};
	sregs.gdt = (struct kvm_dtable){.base = GDT, .limit = TSS_SELECTOR + 15};
	sregs.idt = (struct kvm_dtable){.base = IDT, .limit = 4 * 16 - 1};
	sregs.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_PG;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | cr4;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(guest->vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return failed(result, "KVM_SET_SREGS");
	if (ioctl(guest->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return failed(result, "KVM_SET_REGS");
	return true;
}

static void destroy(struct guest *guest)
{
	if (guest->run != MAP_FAILED)
		munmap(guest->run, guest->run_bytes);
	if (guest->ram != MAP_FAILED)
		munmap(guest->ram, GUEST_BYTES);
	close_fd(&guest->vcpu_fd);
	close_fd(&guest->vm_fd);
	free(guest->cpuid);
}

/* --- a run --- */

/* The page of the vCPU that runs, for the handler. */
static struct kvm_run *running;

static void on_alarm(int signal_number)
{
	(void)signal_number;
	if (running)
		running->immediate_exit = 1; /* also where the signal came before the run */
}

/* set_alarm - in @seconds, or never (0). */
static void set_alarm(struct kvm_run *run, time_t seconds)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {.it_value.tv_sec = seconds};

	running = run;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* judge - what the exit says. Return: did the guest do what it should? */
static bool judge(const struct kvm_run *run, struct probe_result *result)
{
	const uint8_t *data = (const uint8_t *)run + run->io.data_offset;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT && *data == PASSED)
			return true;
		snprintf(result->why, sizeof(result->why), "wrong result");
		return false;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(result->why, sizeof(result->why), "KVM_EXIT_INTERNAL_ERROR, suberror %u%s",
			 run->internal.suberror,
			 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION
				 ? ": cannot be emulated"
				 : "");
		return false;
	case KVM_EXIT_SHUTDOWN:
		snprintf(result->why, sizeof(result->why), "triple fault");
		return false;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(result->why, sizeof(result->why), "the CPU refuses to enter it (0x%llx)",
			 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		return false;
	default:
		snprintf(result->why, sizeof(result->why), "KVM exit reason %u", run->exit_reason);
		return false;
	}
}

static bool run_guest(struct guest *guest, struct probe_result *result)
{
	uint64_t begin_ns = clock_ns();
	int ret;

	set_alarm(guest->run, TIME_LIMIT_S);
	do
		ret = ioctl(guest->vcpu_fd, KVM_RUN, 0);
	while (ret < 0 && errno == EINTR && !guest->run->immediate_exit);
	result->run_ns = clock_ns() - begin_ns;
	if (ret < 0 && errno == EINTR)
		snprintf(result->why, sizeof(result->why), "no end within %d s", TIME_LIMIT_S);
	else if (ret < 0)
		failed(result, "KVM_RUN");
	set_alarm(NULL, 0);
	return ret == 0 && judge(guest->run, result);
}

void doctor_probe_run(int kvm_fd, enum doctor_probe probe, struct probe_result *result)
{
	struct guest guest = {.vm_fd = -1, .vcpu_fd = -1, .ram = MAP_FAILED, .run = MAP_FAILED};
	uint64_t begin_ns = clock_ns();
	bool ready;

	*result = (struct probe_result){0};
	guest.cpuid =
		calloc(1, sizeof(*guest.cpuid) + KVM_MAX_CPUID * sizeof(guest.cpuid->entries[0]));
	if (!guest.cpuid) {
		failed(result, "CPUID");
		return;
	}
	ready = create_vm(&guest, kvm_fd, result) && create_vcpu(&guest, kvm_fd, result);
	if (ready && probe == PROBE_XSAVE && !has_xsave(guest.cpuid)) {
		result->absent = true;
		ready = false;
	}
	if (ready) {
		write_tables(&guest);
		write_code(&guest, probe);
		ready = set_registers(&guest, probes[probe].cr4, result);
	}
	result->setup_ns = clock_ns() - begin_ns;
	if (ready)
		result->ran = run_guest(&guest, result);
	destroy(&guest);
}
