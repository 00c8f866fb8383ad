/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpu_crash.c - what there is to say when a guest cannot go on: why, and where it stood.
 * VMM, the vCPU's thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vhost/base/log.h"
#include "vmm/vcpu_part.h"
#include "vmm/vm.h"

#define PAGE_BYTES    4096
#define SHOWN_BYTES   16 /* of code at the instruction pointer */
#define HEX_BYTES(n)  (3 * (n) + 1)
#define VALUE(x)      ((unsigned long long)(x))
#define RESET_CS_BASE 0xffff0000u
#define RESET_POINTER 0xfff0u

/* In words, so that nobody has to look the numbers up. */
static const char *const reasons[] = {
	[KVM_EXIT_UNKNOWN] = "KVM does not know why it left the guest",
	[KVM_EXIT_EXCEPTION] = "an exception that KVM does not handle",
	[KVM_EXIT_HYPERCALL] = "a hypercall that this machine has not",
	[KVM_EXIT_DEBUG] = "a debug event nobody asked for",
	[KVM_EXIT_HLT] = "HLT, and KVM will not wait for an interrupt",
	[KVM_EXIT_SHUTDOWN] =
		"triple fault: an exception while it was being told of a double fault",
	[KVM_EXIT_FAIL_ENTRY] = "the processor refuses to enter the guest",
	[KVM_EXIT_INTERNAL_ERROR] = "internal error of KVM",
	[KVM_EXIT_SYSTEM_EVENT] = "a system event",
};

static const char *const internal_errors[] = {
	[KVM_INTERNAL_ERROR_EMULATION] = "it cannot emulate the instruction",
	[KVM_INTERNAL_ERROR_SIMUL_EX] = "two exceptions at once",
	[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an exit while an event was being delivered",
	[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit it does not expect",
};

static const char *word(const char *const *words, size_t num_words, uint32_t number)
{
	return number < num_words && words[number] ? words[number] : "of a kind not known here";
}

/* print_hex - @text has room for HEX_BYTES(@count). */
static void print_hex(char *text, const uint8_t *bytes, unsigned count)
{
	*text = '\0';
	for (unsigned i = 0; i < count; i++)
		text += sprintf(text, "%s%02x", i ? " " : "", bytes[i]);
}

/* --- why --- */

static void report_internal_error(const char *name, const struct kvm_run *run)
{
	const uint64_t told = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	char hex[HEX_BYTES(sizeof(run->emulation_failure.insn_bytes))];
	unsigned count;

	log_error(name, "suberror %u: %s", run->internal.suberror,
		  word(internal_errors, ARRAY_SIZE(internal_errors), run->internal.suberror));
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && run->internal.ndata >= 3 &&
	    run->emulation_failure.flags & told) {
		count = min_of((unsigned)run->emulation_failure.insn_size,
			       (unsigned)sizeof(run->emulation_failure.insn_bytes));
		print_hex(hex, run->emulation_failure.insn_bytes, count);
		log_error(name, "instruction: %s", hex);
		return;
	}
	count = min_of(run->internal.ndata, (uint32_t)ARRAY_SIZE(run->internal.data));
	for (unsigned i = 0; i < count; i++)
		log_error(name, "data[%u] %#llx", i, VALUE(run->internal.data[i]));
}

static void report_reason(const char *name, const struct kvm_run *run, int error)
{
	uint32_t reason = run->exit_reason;

	if (error) {
		log_error(name, "the guest crashed: KVM_RUN: %s", strerror(-error));
		return;
	}
	log_error(name, "the guest crashed: %s (exit reason %u)",
		  word(reasons, ARRAY_SIZE(reasons), reason), reason);
	if (reason == KVM_EXIT_INTERNAL_ERROR)
		report_internal_error(name, run);
	else if (reason == KVM_EXIT_FAIL_ENTRY)
		log_error(name, "hardware entry failure reason %#llx, on CPU %u",
			  VALUE(run->fail_entry.hardware_entry_failure_reason),
			  run->fail_entry.cpu);
	else if (reason == KVM_EXIT_SYSTEM_EVENT)
		log_error(name, "type %u", run->system_event.type);
	else if (reason == KVM_EXIT_UNKNOWN)
		log_error(name, "hardware exit reason %#llx", VALUE(run->hw.hardware_exit_reason));
}

/* --- where --- */

static void show_registers(const char *name, const struct kvm_regs *r)
{
	log_error(name, "rip %016llx rflags %08llx", r->rip, r->rflags);
	log_error(name, "rax %016llx rbx %016llx rcx %016llx rdx %016llx", r->rax, r->rbx, r->rcx,
		  r->rdx);
	log_error(name, "rsi %016llx rdi %016llx rbp %016llx rsp %016llx", r->rsi, r->rdi, r->rbp,
		  r->rsp);
	log_error(name, "r8  %016llx r9  %016llx r10 %016llx r11 %016llx", r->r8, r->r9, r->r10,
		  r->r11);
	log_error(name, "r12 %016llx r13 %016llx r14 %016llx r15 %016llx", r->r12, r->r13, r->r14,
		  r->r15);
}

static void show_segment(const char *name, const char *which, const struct kvm_segment *s)
{
	log_error(name, "%s %04x base %016llx limit %08x type %x s %u dpl %u p %u db %u l %u g %u",
		  which, s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->db,
		  s->l, s->g);
}

static void show_system_registers(const char *name, const struct kvm_sregs *s)
{
	log_error(name, "cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx cr8 %llx efer %llx", s->cr0,
		  s->cr2, s->cr3, s->cr4, s->cr8, s->efer);
	show_segment(name, "cs ", &s->cs);
	show_segment(name, "ds ", &s->ds);
	show_segment(name, "es ", &s->es);
	show_segment(name, "fs ", &s->fs);
	show_segment(name, "gs ", &s->gs);
	show_segment(name, "ss ", &s->ss);
	show_segment(name, "tr ", &s->tr);
	show_segment(name, "ldt", &s->ldt);
	log_error(name, "gdt base %016llx limit %04x, idt base %016llx limit %04x", s->gdt.base,
		  s->gdt.limit, s->idt.base, s->idt.limit);
}

/* show_code - at the instruction pointer, up to the end of its page.
 * Syscalls: ioctl(request=KVM_TRANSLATE)
 * Syscalls (vcpu): ioctl(request=KVM_TRANSLATE) */
static void show_code(struct vcpu *vcpu, const char *name, uint64_t linear)
{
	struct kvm_translation page = {.linear_address = linear};
	char hex[HEX_BYTES(SHOWN_BYTES)];
	uint8_t bytes[SHOWN_BYTES];
	const void *host = NULL;
	uint64_t left;

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &page) < 0)
		return;
	left = min_of((uint64_t)SHOWN_BYTES, PAGE_BYTES - linear % PAGE_BYTES);
	if (page.valid)
		host = ram_host(&vcpu->vm->ram, page.physical_address, left);
	if (!host) {
		log_error(name, "code: none at rip");
		return;
	}
	memcpy(bytes, host, left);
	print_hex(hex, bytes, (unsigned)left);
	log_error(name, "code: %s", hex);
}

/* Syscalls: ioctl(request=KVM_GET_REGS|KVM_GET_SREGS)
 * Syscalls (vcpu): ioctl(request=KVM_GET_REGS|KVM_GET_SREGS) */
void vcpu_describe(struct vcpu *vcpu)
{
	struct vcpu_name name = vcpu_name(vcpu);
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		log_error(name.text, "registers: %s", strerror(errno));
		return;
	}
	if (regs.rip == RESET_POINTER && sregs.cs.base == RESET_CS_BASE)
		log_error(name.text, "registers: as after a reset; KVM has lost the guest's");
	show_registers(name.text, &regs);
	show_system_registers(name.text, &sregs);
	show_code(vcpu, name.text, sregs.cs.base + regs.rip);
}

void vcpu_crash(struct vcpu *vcpu, int error)
{
	struct vcpu_name name = vcpu_name(vcpu);
	struct vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->lock);
	if (!vm->wanted_crash) {
		report_reason(name.text, vcpu->run, error);
		vcpu_describe(vcpu);
		vm_want_crash(vm);
	}
	pthread_mutex_unlock(&vm->lock);
}
