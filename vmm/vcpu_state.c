/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu_state.c - a vCPU's registers at power-on, and how they are put back for a reset in place.
 * VMM, main thread; the vCPU is stopped.
 *
 * KVM has no call that resets a vCPU. So all that can be read of a new one is kept, and written back.
 * What this kernel or processor does not have is left out; what a guest cannot do without is not.
 * The time stamp counter goes on counting: if every vCPU's were set, one after another, they would
 * differ. Only its offset, which a guest may change, is put back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vhost/base/log.h"
#include "vmm/vcpu_part.h"
#include "vmm/vm.h"

#define MSR_TSC            0x10
#define MSR_MISC_ENABLE    0x1a0
#define MISC_FAST_STRINGS  (1u << 0)
#define MSR_MTRR_PHYS_BASE 0x200 /* eight pairs of base and mask */
#define MSR_MTRR_PHYS_END  0x210
#define MSR_MTRR_DEF_TYPE  0x2ff
#define MTRR_ENABLED       (1u << 11)
#define MTRR_WRITE_BACK    6
#define MSR_HYPERV         0x40000000u /* not offered, and some of them act when written */
#define MSR_HYPERV_END     0x40001000u

#define APIC_LVT_LINT0   0x350
#define APIC_LVT_LINT1   0x360
#define APIC_MODE_EXTINT (7u << 8)
#define APIC_MODE_NMI    (4u << 8)

#define EFLAGS_FIXED 2
#define CR0_PE       (1u << 0)
#define CR0_ET       (1u << 4)
#define CR0_NE       (1u << 5)
#define CR0_WP       (1u << 16)
#define CR0_PG       (1u << 31)
#define CR4_PAE      (1u << 5)
#define EFER_LME     (1u << 8)
#define EFER_LMA     (1u << 10)

#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18
#define TSS_SELECTOR  0x20
#define TSS_LIMIT     0x67

/* Beside what KVM lists: kernels before 6.4 forget these. */
static const uint32_t more_msrs[] = {
	0x250, 0x258, 0x259, /* MTRR, fixed ranges */
	0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f, MSR_MTRR_DEF_TYPE,
};

enum part {
	PART_MP_STATE,
	PART_REGS,
	PART_SREGS,
	PART_FPU,
	PART_XSAVE,
	PART_XCRS,
	PART_DEBUGREGS,
	PART_LAPIC,
	PART_EVENTS,
	NUM_PARTS
};

struct vcpu_saved {
	bool has[NUM_PARTS];
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	bool has_tsc_offset;
	uint64_t tsc_offset;
	struct kvm_msrs *msrs;
	struct kvm_nested_state *nested; /* NULL: not to be had */
	struct kvm_xsave
		xsave; /* last: it has an array of any length, empty for the CPUID we give */
};

/* In the order in which they are written: the local APIC's mode is in the system registers, its
 * contents in its own; events come last, as the others may raise some. */
static const struct {
	const char *name;
	unsigned long get, set;
	size_t offset;
	bool required;
} parts[NUM_PARTS] = {
	[PART_MP_STATE] = {"MP_STATE", KVM_GET_MP_STATE, KVM_SET_MP_STATE,
			   offsetof(struct vcpu_saved, mp_state), true},
	[PART_REGS] = {"REGS", KVM_GET_REGS, KVM_SET_REGS, offsetof(struct vcpu_saved, regs), true},
	[PART_SREGS] = {"SREGS", KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct vcpu_saved, sregs),
			true},
	[PART_FPU] = {"FPU", KVM_GET_FPU, KVM_SET_FPU, offsetof(struct vcpu_saved, fpu), false},
	[PART_XSAVE] = {"XSAVE", KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct vcpu_saved, xsave),
			false},
	[PART_XCRS] = {"XCRS", KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct vcpu_saved, xcrs),
		       false},
	[PART_DEBUGREGS] = {"DEBUGREGS", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
			    offsetof(struct vcpu_saved, debugregs), false},
	[PART_LAPIC] = {"LAPIC", KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct vcpu_saved, lapic),
			true},
	[PART_EVENTS] = {"VCPU_EVENTS", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
			 offsetof(struct vcpu_saved, events), false},
};

/* refused - of a call that failed. Return: the error if it is @required, else 0. */
static int refused(const struct vcpu *vcpu, const char *call, const char *name, bool required)
{
	int error = -errno;

	if (required)
		log_error(vcpu_name(vcpu).text, "%s_%s: %s", call, name, strerror(-error));
	else
		log_debug(vcpu_name(vcpu).text, "%s_%s: %s", call, name, strerror(-error));
	return required ? error : 0;
}

/* --- model-specific registers --- */

/* one_msr - Return: done? */
static bool one_msr(const struct vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
	union {
		struct kvm_msrs msrs;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = {.msrs.nmsrs = 1};
	bool done;

	memcpy(one.msrs.entries, entry, sizeof(*entry));
	done = ioctl(vcpu->fd, request, &one) == 1;
	memcpy(entry, one.msrs.entries, sizeof(*entry));
	if (!done)
		log_debug(vcpu_name(vcpu).text, "MSR %#x stays as it is", entry->index);
	return done;
}

static bool wanted_msr(uint32_t index)
{
	return index != MSR_TSC && !(index >= MSR_HYPERV && index < MSR_HYPERV_END);
}

static void add_msr(struct kvm_msrs *msrs, uint32_t index)
{
	msrs->entries[msrs->nmsrs++] = (struct kvm_msr_entry){.index = index};
}

/* transfer - read or write them all. KVM stops at the first it will not, and says how far it came:
 * that one is left out for good, and on it goes behind it. */
static void transfer(const struct vcpu *vcpu, unsigned long request, struct kvm_msrs *msrs)
{
	struct kvm_msrs *rest = malloc(sizeof(*rest) + msrs->nmsrs * sizeof(rest->entries[0]));
	uint32_t done = 0;

	if (!rest) {
		log_warn(vcpu_name(vcpu).text, "no memory for its MSRs: they stay as they are");
		return;
	}
	while (done < msrs->nmsrs) {
		uint32_t left = msrs->nmsrs - done;
		int n;

		*rest = (struct kvm_msrs){.nmsrs = left};
		memcpy(rest->entries, msrs->entries + done, left * sizeof(rest->entries[0]));
		n = ioctl(vcpu->fd, request, rest);
		if (n < 0 || (uint32_t)n > left)
			n = 0;
		memcpy(msrs->entries + done, rest->entries, (size_t)n * sizeof(rest->entries[0]));
		done += (uint32_t)n;
		if (done == msrs->nmsrs)
			break;
		log_debug(vcpu_name(vcpu).text, "MSR %#x is left out of a reset",
			  msrs->entries[done].index);
		msrs->nmsrs--;
		memmove(msrs->entries + done, msrs->entries + done + 1,
			(msrs->nmsrs - done) * sizeof(msrs->entries[0]));
	}
	free(rest);
}

static int save_msrs(struct vcpu *vcpu)
{
	const struct kvm_msr_list *list = vcpu->vm->kvm.msrs;
	size_t max = list->nmsrs + ARRAY_SIZE(more_msrs) + MSR_MTRR_PHYS_END - MSR_MTRR_PHYS_BASE;
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + max * sizeof(msrs->entries[0]));

	if (!msrs)
		return -ENOMEM;
	vcpu->saved->msrs = msrs;
	for (uint32_t i = 0; i < list->nmsrs; i++)
		if (wanted_msr(list->indices[i]))
			add_msr(msrs, list->indices[i]);
	for (size_t i = 0; i < ARRAY_SIZE(more_msrs); i++)
		add_msr(msrs, more_msrs[i]);
	for (uint32_t index = MSR_MTRR_PHYS_BASE; index < MSR_MTRR_PHYS_END; index++)
		add_msr(msrs, index);
	transfer(vcpu, KVM_GET_MSRS, msrs);
	return 0;
}

/* --- at power-on --- */

/* set_firmware_state - what firmware would leave behind, and kernels without firmware expect. */
static int set_firmware_state(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	const uint32_t lint0 = APIC_MODE_EXTINT, lint1 = APIC_MODE_NMI;
	struct kvm_msr_entry mtrr = {.index = MSR_MTRR_DEF_TYPE,
				     .data = MTRR_ENABLED | MTRR_WRITE_BACK};
	struct kvm_msr_entry misc = {.index = MSR_MISC_ENABLE};

	one_msr(vcpu, KVM_SET_MSRS, &mtrr);
	if (one_msr(vcpu, KVM_GET_MSRS, &misc) && !(misc.data & MISC_FAST_STRINGS)) {
		misc.data |= MISC_FAST_STRINGS;
		one_msr(vcpu, KVM_SET_MSRS, &misc);
	}
	if (vcpu->index > 0)
		return 0;
	/* The PIC's interrupts come in by the first processor. */
	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return refused(vcpu, "KVM_GET", "LAPIC", true);
	memcpy(lapic.regs + APIC_LVT_LINT0, &lint0, sizeof(lint0));
	memcpy(lapic.regs + APIC_LVT_LINT1, &lint1, sizeof(lint1));
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic) < 0)
		return refused(vcpu, "KVM_SET", "LAPIC", true);
	return 0;
}

/* tsc_offset - read or write it. Syscalls: ioctl(request=KVM_SET_DEVICE_ATTR) */
static bool tsc_offset(struct vcpu *vcpu, unsigned long request)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&vcpu->saved->tsc_offset,
	};

	return ioctl(vcpu->fd, request, &attr) == 0;
}

static int save_nested(struct vcpu *vcpu)
{
	int bytes = ioctl(vcpu->vm->kvm.fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE);
	struct kvm_nested_state *nested;

	if (bytes < (int)sizeof(*nested))
		return 0;
	nested = calloc(1, (size_t)bytes);
	if (!nested)
		return -ENOMEM;
	nested->size = (uint32_t)bytes;
	if (ioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested) == 0) {
		vcpu->saved->nested = nested;
		return 0;
	}
	free(nested);
	return refused(vcpu, "KVM_GET", "NESTED_STATE", false);
}

int vcpu_save(struct vcpu *vcpu)
{
	struct vcpu_saved *saved = calloc(1, sizeof(*saved));
	int ret;

	if (!saved)
		return -ENOMEM;
	vcpu->saved = saved;
	ret = set_firmware_state(vcpu);
	for (unsigned i = 0; ret == 0 && i < NUM_PARTS; i++) {
		saved->has[i] = ioctl(vcpu->fd, parts[i].get, (char *)saved + parts[i].offset) == 0;
		if (!saved->has[i])
			ret = refused(vcpu, "KVM_GET", parts[i].name, parts[i].required);
	}
	if (ret == 0)
		ret = save_nested(vcpu);
	saved->has_tsc_offset = ret == 0 && tsc_offset(vcpu, KVM_GET_DEVICE_ATTR);
	return ret ? ret : save_msrs(vcpu);
}

void vcpu_saved_free(struct vcpu_saved *saved)
{
	if (!saved)
		return;
	free(saved->msrs);
	free(saved->nested);
	free(saved);
}

/* --- reset --- */

static struct kvm_segment segment(uint16_t selector, unsigned type)
{
	return (struct kvm_segment){
		.selector = selector,
		.limit = 0xffffffff,
		.type = (uint8_t)type,
		.present = 1,
		.s = 1,
		.db = 1,
		.g = 1,
	};
}

/* set_entry - where the first vCPU begins: flat segments, interrupts off. */
static void set_entry(struct kvm_regs *regs, struct kvm_sregs *sregs,
		      const struct load_entry *entry)
{
	struct kvm_segment data = segment(DATA_SELECTOR, 3); /* read, write, accessed */

	*regs = (struct kvm_regs){
		.rip = entry->rip,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rflags = EFLAGS_FIXED,
	};
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cs = segment(CODE_SELECTOR, 11); /* execute, read, accessed */
	sregs->tr = (struct kvm_segment){
		.selector = TSS_SELECTOR,
		.limit = TSS_LIMIT,
		.type = 11, /* busy */
		.present = 1,
	};
	sregs->gdt = (struct kvm_dtable){.base = entry->gdt_gpa, .limit = entry->gdt_limit};
	sregs->idt = (struct kvm_dtable){.base = 0, .limit = 0};
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
	if (entry->mode == LOAD_LINUX_64) {
		sregs->cs.db = 0;
		sregs->cs.l = 1;
		sregs->cr0 |= CR0_NE | CR0_WP | CR0_PG;
		sregs->cr3 = entry->cr3;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
}

/* Syscalls: ioctl(request=KVM_SET_MP_STATE|KVM_SET_REGS|KVM_SET_SREGS|KVM_SET_FPU),
 *	ioctl(request=KVM_SET_XSAVE|KVM_SET_XCRS|KVM_SET_DEBUGREGS|KVM_SET_LAPIC),
 *	ioctl(request=KVM_SET_VCPU_EVENTS|KVM_SET_MSRS) */
static int put_back(struct vcpu *vcpu, const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	struct vcpu_saved *saved = vcpu->saved;

	for (unsigned i = 0; i < NUM_PARTS; i++) {
		const void *from = (char *)saved + parts[i].offset;
		int ret;

		if (i == PART_REGS)
			from = regs;
		else if (i == PART_SREGS)
			from = sregs;
		else if (i == PART_EVENTS) /* a timer's MSR belongs to the local APIC */
			transfer(vcpu, KVM_SET_MSRS, saved->msrs);
		if (!saved->has[i] || ioctl(vcpu->fd, parts[i].set, from) == 0)
			continue;
		ret = refused(vcpu, "KVM_SET", parts[i].name, parts[i].required);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Syscalls: ioctl(request=KVM_SET_NESTED_STATE): a guest that had guests is one without */
int vcpu_reset(struct vcpu *vcpu, const struct load_entry *entry)
{
	struct vcpu_saved *saved = vcpu->saved;
	struct kvm_sregs sregs = saved->sregs;
	struct kvm_regs regs = saved->regs;

	if (vcpu->index == 0)
		set_entry(&regs, &sregs, entry);
	if (saved->nested && ioctl(vcpu->fd, KVM_SET_NESTED_STATE, saved->nested) < 0)
		refused(vcpu, "KVM_SET", "NESTED_STATE", false);
	if (saved->has_tsc_offset)
		tsc_offset(vcpu, KVM_SET_DEVICE_ATTR);
	return put_back(vcpu, &regs, &sregs);
}
