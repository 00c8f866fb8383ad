/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_vcpu.c - a guest's accesses reach the board, and a vCPU stops when it is told to, with
 * nothing half done. Skipped where there is no /dev/kvm.
 */
#include <sched.h>

#include "tests/unit/kvm_rig.h"
#include "vhost/base/sandbox.h"

GUEST(ports, 32,
      "mov $0x500, %dx\n"
      "mov $0x12, %al\n out %al, %dx\n"
      "mov $0x3456, %ax\n out %ax, %dx\n"
      "mov $0x789abcde, %eax\n out %eax, %dx\n"
      "xor %eax, %eax\n in %dx, %al\n mov %eax, 0x2000\n"
      "xor %eax, %eax\n in %dx, %ax\n mov %eax, 0x2004\n"
      "in %dx, %eax\n mov %eax, 0x2008\n"
      "cld\n"
      "mov $0x3000, %esi\n mov $4, %ecx\n rep outsb\n"
      "mov $0x3010, %edi\n mov $3, %ecx\n rep insl\n"
      "out %al, $0x81\n"
      "1: jmp 1b\n");

GUEST(mmio, 32,
      "mov $0xd0000000, %ebx\n"
      "movb $0x12, (%ebx)\n"
      "movw $0x3456, 2(%ebx)\n"
      "movl $0x789abcde, 4(%ebx)\n"
      "xor %eax, %eax\n movb 9(%ebx), %al\n mov %eax, 0x2000\n"
      "xor %eax, %eax\n movw 10(%ebx), %ax\n mov %eax, 0x2004\n"
      "movl 13(%ebx), %eax\n mov %eax, 0x2008\n"
      "out %al, $0x81\n"
      "1: jmp 1b\n");

/* Counts at RESULT, and says so once in a while. */
GUEST(busy, 32,
      "1: incl 0x2000\n"
      "testl $0xff, 0x2000\n"
      "jnz 1b\n"
      "out %al, $0x83\n"
      "jmp 1b\n");

GUEST(halted, 32,
      "out %al, $0x81\n"
      "1: hlt\n"
      "jmp 1b\n");

/* The port stops the machine; what was read has to be in EAX, and the next instruction not run. */
GUEST(stops, 32,
      "mov $0x1111, %eax\n"
      "in $0x82, %al\n"
      "movl $1, 0x2000\n"
      "out %al, $0x81\n"
      "1: jmp 1b\n");

GUEST(mmio_stops, 32,
      "mov 0xd0000ff0, %eax\n"
      "movl $1, 0x2000\n"
      "out %al, $0x81\n"
      "1: jmp 1b\n");

/* --- accesses --- */

START_TEST(port_accesses_reach_the_board_strings_element_by_element)
{
	power_on(1);
	memcpy(host(STRING, 4), "abcd", 4);
	BOOT(ports);
	wait_until(rig.num_done == 1);
	check_access(0, true, 0, 1, 0x12);
	check_access(1, true, 0, 2, 0x3456);
	check_access(2, true, 0, 4, 0x789abcde);
	check_access(3, false, 0, 1, 0);
	check_access(4, false, 0, 2, 0);
	check_access(5, false, 0, 4, 0);
	for (unsigned i = 0; i < 4; i++)
		check_access(6 + i, true, 0, 1, (uint64_t)('a' + i));
	for (unsigned i = 0; i < 3; i++)
		check_access(10 + i, false, 0, 4, 0);
	ck_assert_uint_eq(rig.num_logged, 13);
	ck_assert_uint_eq(word_at(RESULT), 0x81);
	ck_assert_uint_eq(word_at(RESULT + 4), 0x9082);
	ck_assert_uint_eq(word_at(RESULT + 8), 0xb0a09084);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(word_at(STRING + 0x10 + 4 * i), 0xb0a09084);
	power_off();
}
END_TEST

START_TEST(memory_accesses_reach_the_board)
{
	power_on(1);
	BOOT(mmio);
	wait_until(rig.num_done == 1);
	check_access(0, true, 0, 1, 0x12);
	check_access(1, true, 2, 2, 0x3456);
	check_access(2, true, 4, 4, 0x789abcde);
	check_access(3, false, 9, 1, 0);
	check_access(4, false, 10, 2, 0);
	check_access(5, false, 13, 4, 0);
	ck_assert_uint_eq(word_at(RESULT), 0x81);
	ck_assert_uint_eq(word_at(RESULT + 4), 0x9082);
	ck_assert_uint_eq(word_at(RESULT + 8), 0xb0a09084);
	power_off();
}
END_TEST

/* --- stop and go --- */

START_TEST(a_busy_vcpu_stops_and_goes_on_where_it_was)
{
	power_on(1);
	BOOT(busy);
	for (unsigned i = 0; i < 300; i++) {
		unsigned pulses = rig.num_pulses;
		uint32_t count;

		/* Sometimes in the guest, sometimes on the way in or out. */
		if (i % 3)
			wait_until(rig.num_pulses > pulses);
		stop();
		count = word_at(RESULT);
		ck_assert_int_eq(usleep(100), 0);
		ck_assert_uint_eq(word_at(RESULT), count);
		run();
	}
	power_off();
}
END_TEST

START_TEST(a_halted_vcpu_stops)
{
	power_on(1);
	BOOT(halted);
	wait_until(rig.num_done == 1);
	for (unsigned i = 0; i < 20; i++) {
		stop();
		run();
	}
	ck_assert_uint_eq(rig.num_done, 1);
	power_off();
}
END_TEST

START_TEST(a_vcpu_that_was_never_started_by_another_stops)
{
	power_on(3);
	BOOT(busy);
	for (unsigned i = 0; i < 100; i++) {
		stop();
		run();
	}
	wait_until(rig.num_pulses > 2);
	stop();
	for (unsigned i = 1; i < 3; i++) {
		struct kvm_mp_state state;

		ck_assert_int_eq(ioctl(rig.vm.vcpus[i].fd, KVM_GET_MP_STATE, &state), 0);
		ck_assert_uint_eq(state.mp_state, KVM_MP_STATE_UNINITIALIZED);
	}
	power_off();
}
END_TEST

/* A port's read that stops the machine: a reset would else be followed by the rest of the access. */
START_TEST(an_access_is_completed_before_the_vcpu_stands)
{
	power_on(1);
	BOOT(stops);
	wait_until(rig.num_logged == 1 && all_stand());
	ck_assert_uint_eq(registers(0).rax, 0x1166);
	ck_assert_uint_eq(registers(0).rip, CODE + 7); /* mov 5, in 2 */
	ck_assert_uint_eq(word_at(RESULT), 0);
	run();
	wait_until(rig.num_done == 1);
	ck_assert_uint_eq(word_at(RESULT), 1);
	power_off();
}
END_TEST

START_TEST(a_memory_access_is_completed_before_the_vcpu_stands)
{
	power_on(1);
	BOOT(mmio_stops);
	wait_until(rig.num_logged == 1 && all_stand());
	ck_assert_uint_eq(registers(0).rax, 0x99887766);
	ck_assert_uint_eq(registers(0).rip, CODE + 5);
	ck_assert_uint_eq(word_at(RESULT), 0);
	/* Nothing of it comes up in the next life. */
	reset_all();
	ck_assert_uint_eq(registers(0).rax, 0);
	run();
	wait_until(rig.num_logged == 2 && all_stand());
	ck_assert_uint_eq(registers(0).rip, CODE + 5);
	power_off();
}
END_TEST

static unsigned threads_named(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		char path[300], comm[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(comm, sizeof(comm), file))
			comm[strcspn(comm, "\n")] = '\0';
		fclose(file);
		count += strcmp(comm, name) == 0;
	}
	closedir(dir);
	return count;
}

START_TEST(threads_have_names_and_places_and_end)
{
	unsigned fds = open_fds();
	cpu_set_t cpus;
	int last = 0;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			last = cpu;
	power_on(2);
	rig.vm.vcpus[1].cpu = last;
	BOOT(busy);
	ck_assert_int_eq(pthread_getaffinity_np(rig.vm.vcpus[1].thread, sizeof(cpus), &cpus), 0);
	ck_assert(CPU_COUNT(&cpus) == 1 && CPU_ISSET(last, &cpus));
	ck_assert_uint_eq(threads_named("vcpu0"), 1);
	ck_assert_uint_eq(threads_named("vcpu1"), 1);
	wait_until(rig.num_pulses > 2);
	power_off();
	ck_assert_uint_eq(threads_named("vcpu0"), 0);
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

START_TEST(a_thread_without_its_sandbox_does_not_start)
{
	static const struct sandbox_rule no_call = {.call = -1};
	static const struct sandbox_filter filter = {&no_call, 1};

	power_on(1);
	rig.vm.vcpu_filter = &filter;
	ck_assert_int_lt(vcpu_start(&rig.vm.vcpus[0]), 0);
	ck_assert_int_eq(rig.vm.vcpus[0].state, VCPU_ENDED);
	power_off();
}
END_TEST

START_TEST(a_machine_that_never_ran_is_taken_apart)
{
	unsigned fds = open_fds();

	power_on(2);
	power_off();
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

/* --- statistics --- */

static json_int_t counter(const json_t *stats, const char *group, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(stats, group), name));
}

START_TEST(exits_are_counted_by_reason)
{
	json_t *stats;

	power_on(1);
	BOOT(mmio);
	wait_until(rig.num_done == 1);
	stop();
	stats = vcpu_stats(&rig.vm.vcpus[0]);
	ck_assert_ptr_nonnull(stats);
	ck_assert_int_eq(counter(stats, "exits", "mmio"), 6);
	ck_assert_int_eq(counter(stats, "exits", "io"), 1);
	ck_assert_int_ge(counter(stats, "exits", "intr"), 1);
	if (rig.vm.kvm.has_stats)
		ck_assert_int_ge(counter(stats, "kernel", "exits"), 1);
	json_decref(stats);
	power_off();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		port_accesses_reach_the_board_strings_element_by_element,
		memory_accesses_reach_the_board,
		a_busy_vcpu_stops_and_goes_on_where_it_was,
		a_halted_vcpu_stops,
		a_vcpu_that_was_never_started_by_another_stops,
		an_access_is_completed_before_the_vcpu_stands,
		a_memory_access_is_completed_before_the_vcpu_stands,
		threads_have_names_and_places_and_end,
		a_thread_without_its_sandbox_does_not_start,
		a_machine_that_never_ran_is_taken_apart,
		exits_are_counted_by_reason,
	};

	return run_kvm_suite("vmm_vcpu", tests, ARRAY_SIZE(tests));
}
