/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_vcpu_reset.c - a vCPU begins as the boot protocol says, and a reset wipes what a guest
 * left. Skipped where there is no /dev/kvm.
 */
#include "tests/unit/kvm_rig.h"

/* Leaves traces everywhere a reset has to wipe. */
GUEST(traces, 32,
      "mov $0x174, %ecx\n mov $0x5a, %eax\n xor %edx, %edx\n wrmsr\n"
      "mov $0x77, %eax\n mov %eax, %cr2\n"
      "movl $0x0b, 0xfee003e0\n" /* the local APIC's timer divides by 1 */
      "mov $0x1234, %esi\n mov $0x5678, %ebp\n"
      "out %al, $0x81\n"
      "1: jmp 1b\n");

GUEST(starts_other, 32,
      "movl $0x000c4500, 0xfee00300\n" /* INIT to all others */
      "movl $0x000c4608, 0xfee00300\n" /* SIPI */
      "1: jmp 1b\n");

GUEST(other, 16, "out %al, $0x81\n 1: jmp 1b\n");

#define TEST_MSR 0x174 /* SYSENTER_CS */

START_TEST(the_first_vcpu_begins_as_pvh_says)
{
	struct kvm_sregs s;

	power_on(1);
	reset_all();
	s = system_registers(0);
	ck_assert_uint_eq(registers(0).rip, CODE);
	ck_assert_uint_eq(registers(0).rbx, 0xb0b);
	ck_assert_uint_eq(registers(0).rflags, 2);
	ck_assert_uint_eq(s.cr0 & 0x80000001, 1); /* protected mode, no paging */
	ck_assert_uint_eq(s.cr4, 0);
	ck_assert_uint_eq(s.efer, 0);
	ck_assert(s.cs.base == 0 && s.cs.limit == 0xffffffff && s.cs.db && !s.cs.l);
	ck_assert(s.ds.base == 0 && s.ds.limit == 0xffffffff);
	ck_assert(s.tr.base == 0 && s.tr.limit == 0x67);
	ck_assert_uint_eq(s.gdt.base, BOOT_INFO_BEGIN);
	power_off();
}
END_TEST

START_TEST(the_first_vcpu_begins_as_linux_says)
{
	struct load_entry entry = {.mode = LOAD_LINUX_64,
				   .rip = CODE + 0x200,
				   .rsi = 0x7000,
				   .cr3 = 0x9000,
				   .gdt_gpa = BOOT_INFO_BEGIN,
				   .gdt_limit = 0x27};
	struct kvm_sregs s;

	power_on(1);
	ck_assert_int_eq(vcpu_reset(&rig.vm.vcpus[0], &entry), 0);
	s = system_registers(0);
	ck_assert_uint_eq(registers(0).rip, CODE + 0x200);
	ck_assert_uint_eq(registers(0).rsi, 0x7000);
	ck_assert_uint_eq(s.cr3, 0x9000);
	ck_assert_uint_eq(s.cr0 & 0x80000001, 0x80000001);
	ck_assert_uint_eq(s.cr4, 0x20); /* PAE */
	ck_assert_uint_eq(s.efer, 0x500); /* LME, LMA */
	ck_assert_uint_eq(s.cs.selector, 0x10);
	ck_assert(s.cs.l && !s.cs.db);
	ck_assert_uint_eq(s.ds.selector, 0x18);
	ck_assert_uint_eq(s.ss.selector, 0x18);
	power_off();
}
END_TEST

static uint64_t test_msr(void)
{
	union {
		struct kvm_msrs msrs;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} one = {.msrs.nmsrs = 1};
	struct kvm_msr_entry entry = {.index = TEST_MSR};

	memcpy(one.msrs.entries, &entry, sizeof(entry));
	ck_assert_int_eq(ioctl(rig.vm.vcpus[0].fd, KVM_GET_MSRS, &one), 1);
	return one.msrs.entries[0].data;
}

START_TEST(a_reset_wipes_what_the_guest_left)
{
	power_on(1);
	BOOT(traces);
	for (unsigned life = 1; life <= 3; life++) {
		wait_until(rig.num_done == life);
		stop();
		ck_assert_uint_eq(test_msr(), 0x5a);
		ck_assert_uint_eq(system_registers(0).cr2, 0x77);
		ck_assert_uint_eq(lapic_register(0, 0x3e0), 0xb);
		ck_assert_uint_eq(registers(0).rbp, 0x5678);
		reset_all();
		ck_assert_uint_eq(test_msr(), 0);
		ck_assert_uint_eq(system_registers(0).cr2, 0);
		ck_assert_uint_eq(lapic_register(0, 0x3e0), 0);
		ck_assert_uint_eq(registers(0).rbp, 0);
		ck_assert_uint_eq(registers(0).rsi, 0);
		run();
	}
	power_off();
}
END_TEST

START_TEST(the_first_vcpu_takes_the_pics_interrupts)
{
	power_on(2);
	reset_all();
	ck_assert_uint_eq(lapic_register(0, 0x350), 0x700); /* LINT0: ExtINT, not masked */
	ck_assert_uint_eq(lapic_register(0, 0x360), 0x400); /* LINT1: NMI */
	ck_assert_uint_eq(lapic_register(1, 0x350), 0x10000);
	ck_assert_uint_eq(lapic_register(1, 0x20), 1u << 24); /* its ID */
	power_off();
}
END_TEST

START_TEST(other_vcpus_wait_for_the_first_in_every_life)
{
	power_on(2);
	load_at(AP_CODE, guest_other, guest_other_end);
	BOOT(starts_other);
	for (unsigned life = 1; life <= 5; life++) {
		struct kvm_mp_state state;

		wait_until(rig.num_done == life);
		stop();
		ck_assert_int_eq(ioctl(rig.vm.vcpus[1].fd, KVM_GET_MP_STATE, &state), 0);
		ck_assert_uint_eq(state.mp_state, KVM_MP_STATE_RUNNABLE);
		reset_all();
		ck_assert_int_eq(ioctl(rig.vm.vcpus[1].fd, KVM_GET_MP_STATE, &state), 0);
		ck_assert_uint_eq(state.mp_state, KVM_MP_STATE_UNINITIALIZED);
		ck_assert_uint_eq(registers(1).rip, 0xfff0);
		ck_assert_uint_eq(system_registers(1).cs.base, 0xffff0000);
		run();
	}
	power_off();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		the_first_vcpu_begins_as_pvh_says,
		the_first_vcpu_begins_as_linux_says,
		a_reset_wipes_what_the_guest_left,
		the_first_vcpu_takes_the_pics_interrupts,
		other_vcpus_wait_for_the_first_in_every_life,
	};

	return run_kvm_suite("vmm_vcpu_reset", tests, ARRAY_SIZE(tests));
}
