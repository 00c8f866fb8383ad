/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_vcpu_crash.c - a guest that cannot go on ends the machine, with one report that tells why.
 * Skipped where there is no /dev/kvm.
 */
#include "tests/unit/kvm_rig.h"

GUEST(triple_fault, 32,
      "mov $0xabcd1234, %eax\n"
      "ud2\n"); /* and there is no IDT */

/* Counts at RESULT, and says so once in a while. */
GUEST(busy, 32,
      "1: incl 0x2000\n"
      "testl $0xff, 0x2000\n"
      "jnz 1b\n"
      "out %al, $0x83\n"
      "jmp 1b\n");

/* What goes to stderr meanwhile; a pipe holds more than a report. */
static struct {
	int saved;
	int pipe[2];
	char said[8192];
} capture;

static void begin_capture(void)
{
	capture.saved = dup(STDERR_FILENO);
	ck_assert_int_eq(pipe2(capture.pipe, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(capture.pipe[1], STDERR_FILENO), 0);
}

static const char *end_capture(void)
{
	ssize_t n = read(capture.pipe[0], capture.said, sizeof(capture.said) - 1);

	dup2(capture.saved, STDERR_FILENO);
	close(capture.saved);
	close(capture.pipe[0]);
	close(capture.pipe[1]);
	capture.said[n > 0 ? n : 0] = '\0';
	return capture.said;
}

static unsigned occurrences(const char *text, const char *what)
{
	unsigned count = 0;

	for (; (text = strstr(text, what)); text++)
		count++;
	return count;
}

START_TEST(a_triple_fault_is_reported_with_the_registers)
{
	const char *said;

	power_on(1);
	begin_capture();
	BOOT(triple_fault);
	wait_until(rig.crashes > 0 && all_stand());
	said = end_capture();
	ck_assert_msg(occurrences(said, "vcpu0: the guest crashed: triple fault") == 1, "%s", said);
	/* Some processors make KVM forget the registers: then it says so. */
	ck_assert_msg(strstr(said, "rax 00000000abcd1234") || strstr(said, "lost"), "%s", said);
	ck_assert_msg(strstr(said, "code: 0f 0b") || strstr(said, "lost"), "%s", said);
	ck_assert_msg(strstr(said, "cr0 ") && strstr(said, "cs "), "%s", said);
	ck_assert_uint_eq(rig.crashes, 1);
	power_off();
}
END_TEST

START_TEST(what_kvm_cannot_emulate_is_reported_once_with_its_bytes)
{
	struct kvm_run *run_page;
	const char *said;

	power_on(1);
	load_at(CODE, guest_busy, guest_busy_end);
	reset_all();
	/* As KVM leaves it; the vCPU has no thread, so this is it. */
	run_page = rig.vm.vcpus[0].run;
	run_page->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run_page->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run_page->emulation_failure.ndata = 3;
	run_page->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run_page->emulation_failure.insn_size = 255; /* more than there are */
	memset(run_page->emulation_failure.insn_bytes, 0xcc, 15);
	begin_capture();
	pthread_mutex_unlock(&rig.vm.lock);
	ck_assert(!vcpu_handle_exit(&rig.vm.vcpus[0]));
	ck_assert(!vcpu_handle_exit(&rig.vm.vcpus[0]));
	pthread_mutex_lock(&rig.vm.lock);
	said = end_capture();
	ck_assert_msg(occurrences(said, "internal error of KVM") == 1, "%s", said);
	ck_assert_msg(strstr(said, "cannot emulate"), "%s", said);
	ck_assert_msg(occurrences(said, "cc") == 15, "%s", said);
	ck_assert_uint_eq(rig.crashes, 1);
	power_off();
}
END_TEST

START_TEST(an_exit_that_nothing_is_known_of_is_a_crash)
{
	static const uint32_t reasons[] = {KVM_EXIT_UNKNOWN, KVM_EXIT_HLT, 47, 48, UINT32_MAX};

	power_on(1);
	load_at(CODE, guest_busy, guest_busy_end);
	reset_all();
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		const char *said;

		rig.vm.wanted_crash = false;
		rig.vm.vcpus[0].run->exit_reason = reasons[i];
		begin_capture();
		pthread_mutex_unlock(&rig.vm.lock);
		ck_assert(!vcpu_handle_exit(&rig.vm.vcpus[0]));
		pthread_mutex_lock(&rig.vm.lock);
		said = end_capture();
		ck_assert_msg(occurrences(said, "the guest crashed") == 1, "%s", said);
		ck_assert_uint_eq(rig.crashes, i + 1);
	}
	power_off();
}
END_TEST

START_TEST(system_events_end_or_reset_the_machine)
{
	struct kvm_run *run_page;

	power_on(1);
	run_page = rig.vm.vcpus[0].run;
	run_page->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	pthread_mutex_unlock(&rig.vm.lock);
	run_page->system_event.type = KVM_SYSTEM_EVENT_RESET;
	ck_assert(vcpu_handle_exit(&rig.vm.vcpus[0]));
	run_page->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	ck_assert(vcpu_handle_exit(&rig.vm.vcpus[0]));
	begin_capture();
	run_page->system_event.type = KVM_SYSTEM_EVENT_CRASH;
	ck_assert(!vcpu_handle_exit(&rig.vm.vcpus[0]));
	end_capture();
	pthread_mutex_lock(&rig.vm.lock);
	ck_assert_uint_eq(rig.resets, 1);
	ck_assert_uint_eq(rig.poweroffs, 1);
	ck_assert_uint_eq(rig.crashes, 1);
	power_off();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_triple_fault_is_reported_with_the_registers,
		what_kvm_cannot_emulate_is_reported_once_with_its_bytes,
		an_exit_that_nothing_is_known_of_is_a_crash,
		system_events_end_or_reset_the_machine,
	};

	return run_kvm_suite("vmm_vcpu_crash", tests, ARRAY_SIZE(tests));
}
