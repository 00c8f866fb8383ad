/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kvm_rig.h - a machine under real KVM with a few instructions as its guest, and the test in the
 * place of the main thread: it holds the board lock, and vm_want_*() below leave word for it.
 * Tests only. The devices run on the vCPUs' threads, as all devices do.
 */
#ifndef RINGSIDE_TESTS_UNIT_KVM_RIG_H
#define RINGSIDE_TESTS_UNIT_KVM_RIG_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <time.h>

#include "tests/unit/support.h"
#include "vhost/base/util.h"
#include "vmm/memory_map.h"
#include "vmm/vcpu_part.h"
#include "vmm/vm.h"

#define RAM_BYTES    0x200000ull
#define CODE         0x100000ull
#define AP_CODE      0x8000ull /* SIPI vector 8 */
#define RESULT       0x2000ull /* where guests put what they read */
#define STRING       0x3000ull
#define MMIO         0xd0000000ull
#define MMIO_BYTES   0x1000
#define PORTS        0x500 /* 8 of them, which say what they are asked */
#define PORT_DONE    0x81
#define PORT_STOP    0x82 /* reading it stops the machine */
#define PORT_PULSE   0x83
#define PATIENCE_S   30
#define MAX_ACCESSES 64
#define SKIPPED      77 /* for meson */

/* GUEST - machine code, from where it is entered to its end; for BOOT(). */
#define GUEST(name, bits, text)                                                                  \
	extern const uint8_t guest_##name[], guest_##name##_end[];                               \
	__asm__(".pushsection .rodata\n.code" #bits "\nguest_" #name ":\n" text "\nguest_" #name \
		"_end:\n.code64\n.popsection")

struct access {
	enum bus_space space;
	bool write;
	uint64_t offset;
	unsigned bytes;
	uint64_t value;
};

static struct {
	struct vm vm;
	struct bus_range ports, done, stop, pulse, mmio;
	struct access log[MAX_ACCESSES];
	unsigned num_logged;
	unsigned num_done, num_pulses;
	unsigned resets, poweroffs, crashes;
} rig;

/* What vm_life.c does, for a main thread that is the test. */
static inline void take_out(struct vm *vm)
{
	vm->vcpus_may_run = false;
	for (unsigned i = 0; i < vm->num_vcpus; i++)
		if (vm->vcpus[i].state == VCPU_RUNNING)
			vcpu_kick(&vm->vcpus[i]);
	pthread_cond_broadcast(&vm->vcpus_moved);
}

void vm_want_reset(struct vm *vm, const char *how)
{
	(void)how;
	rig.resets++;
	take_out(vm);
}

void vm_want_poweroff(struct vm *vm)
{
	rig.poweroffs++;
	take_out(vm);
}

void vm_want_crash(struct vm *vm)
{
	vm->wanted_crash = true;
	rig.crashes++;
	take_out(vm);
}

static inline void note(enum bus_space space, bool write, uint64_t offset, unsigned bytes,
			uint64_t value)
{
	if (rig.num_logged < MAX_ACCESSES)
		rig.log[rig.num_logged++] = (struct access){space, write, offset, bytes, value};
}

static inline uint64_t device_read(void *dev, uint64_t offset, unsigned bytes)
{
	const struct bus_range *range = dev;

	note(range->space, false, offset, bytes, 0);
	if (range == &rig.stop || (range == &rig.mmio && offset == 0xff0)) {
		take_out(&rig.vm);
		return 0x99887766;
	}
	return 0xf0e0d0c0b0a09080 + bytes;
}

static inline void device_write(void *dev, uint64_t offset, unsigned bytes, uint64_t value)
{
	const struct bus_range *range = dev;

	if (range == &rig.done)
		rig.num_done++;
	else if (range == &rig.pulse)
		rig.num_pulses++;
	else
		note(range->space, true, offset, bytes, value);
	pthread_cond_broadcast(&rig.vm.vcpus_moved);
}

static const struct bus_handler device = {.read = device_read, .write = device_write};

static inline void claim(struct bus_range *range, enum bus_space space, uint64_t base,
			 uint64_t size)
{
	ck_assert_int_eq(bus_add(&rig.vm.board.bus, range, space, base, size, &device, range), 0);
}

static inline void *host(uint64_t gpa, uint64_t bytes)
{
	void *at = ram_host(&rig.vm.ram, gpa, bytes);

	ck_assert_ptr_nonnull(at);
	return at;
}

static inline uint32_t word_at(uint64_t gpa)
{
	return __atomic_load_n((uint32_t *)host(gpa, 4), __ATOMIC_RELAXED);
}

static inline void load_at(uint64_t gpa, const uint8_t *begin, const uint8_t *end)
{
	memcpy(host(gpa, (uint64_t)(end - begin)), begin, (size_t)(end - begin));
}

static inline void power_on(unsigned num_vcpus)
{
	struct topology topology = {num_vcpus, 1, num_vcpus, 1};
	struct vm *vm = &rig.vm;
	char error[512];

	memset(&rig, 0, sizeof(rig));
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->vcpus_moved, NULL);
	pthread_mutex_lock(&vm->lock);
	fe_memory_init(&vm->ram.mem);
	ck_assert_int_eq(fe_memory_add(&vm->ram.mem, 0, RAM_BYTES, false), 0);
	vm->ram.size = RAM_BYTES;
	ck_assert_msg(kvm_open(&vm->kvm, &vm->ram, error, sizeof(error)) == 0, "%s", error);
	bus_init(&vm->board.bus);
	claim(&rig.ports, BUS_PIO, PORTS, 8);
	claim(&rig.done, BUS_PIO, PORT_DONE, 1);
	claim(&rig.stop, BUS_PIO, PORT_STOP, 1);
	claim(&rig.pulse, BUS_PIO, PORT_PULSE, 1);
	claim(&rig.mmio, BUS_MMIO, MMIO, MMIO_BYTES);
	vm->vcpus = calloc(num_vcpus, sizeof(*vm->vcpus));
	ck_assert_ptr_nonnull(vm->vcpus);
	for (unsigned i = 0; i < num_vcpus; i++) {
		ck_assert_int_eq(vcpu_create(&vm->vcpus[i], vm, i, &topology), 0);
		vm->num_vcpus++;
	}
}

static inline void reset_all(void)
{
	struct load_entry entry = {
		.mode = LOAD_PVH_32, .rip = CODE, .rbx = 0xb0b, .gdt_limit = 0x27};

	entry.gdt_gpa = BOOT_INFO_BEGIN;
	for (unsigned i = 0; i < rig.vm.num_vcpus; i++)
		ck_assert_int_eq(vcpu_reset(&rig.vm.vcpus[i], &entry), 0);
}

static inline void run(void)
{
	rig.vm.vcpus_may_run = true;
	pthread_cond_broadcast(&rig.vm.vcpus_moved);
}

static inline void boot(const uint8_t *begin, const uint8_t *end)
{
	load_at(CODE, begin, end);
	reset_all();
	for (unsigned i = 0; i < rig.vm.num_vcpus; i++)
		ck_assert_int_eq(vcpu_start(&rig.vm.vcpus[i]), 0);
	run();
}

#define BOOT(name) boot(guest_##name, guest_##name##_end)

/* wait_until - something is signalled that may make @condition true. */
#define wait_until(condition)                                                                   \
	do {                                                                                    \
		struct timespec due_;                                                           \
                                                                                                \
		clock_gettime(CLOCK_REALTIME, &due_);                                           \
		due_.tv_sec += PATIENCE_S;                                                      \
		while (!(condition))                                                            \
			ck_assert_msg(pthread_cond_timedwait(&rig.vm.vcpus_moved, &rig.vm.lock, \
							     &due_) == 0,                       \
				      "in vain: " #condition);                                  \
	} while (0)

static inline bool all_stand(void)
{
	for (unsigned i = 0; i < rig.vm.num_vcpus; i++)
		if (rig.vm.vcpus[i].state == VCPU_RUNNING)
			return false;
	return true;
}

static inline void stop(void)
{
	take_out(&rig.vm);
	wait_until(all_stand());
}

static inline void power_off(void)
{
	struct vm *vm = &rig.vm;

	vm->vcpus_end = true;
	take_out(vm);
	pthread_mutex_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->num_vcpus; i++)
		vcpu_destroy(&vm->vcpus[i]);
	free(vm->vcpus);
	kvm_close(&vm->kvm);
	fe_memory_free(&vm->ram.mem);
}

static inline struct kvm_regs registers(unsigned index)
{
	struct kvm_regs regs;

	ck_assert_int_eq(ioctl(rig.vm.vcpus[index].fd, KVM_GET_REGS, &regs), 0);
	return regs;
}

static inline struct kvm_sregs system_registers(unsigned index)
{
	struct kvm_sregs sregs;

	ck_assert_int_eq(ioctl(rig.vm.vcpus[index].fd, KVM_GET_SREGS, &sregs), 0);
	return sregs;
}

static inline void check_access(unsigned i, bool write, uint64_t offset, unsigned bytes,
				uint64_t value)
{
	ck_assert_uint_lt(i, rig.num_logged);
	ck_assert_uint_eq(rig.log[i].write, write);
	ck_assert_uint_eq(rig.log[i].offset, offset);
	ck_assert_uint_eq(rig.log[i].bytes, bytes);
	ck_assert_uint_eq(rig.log[i].value, value);
}

static inline uint32_t lapic_register(unsigned index, unsigned offset)
{
	struct kvm_lapic_state lapic;
	uint32_t value;

	ck_assert_int_eq(ioctl(rig.vm.vcpus[index].fd, KVM_GET_LAPIC, &lapic), 0);
	memcpy(&value, lapic.regs + offset, sizeof(value));
	return value;
}

/* run_kvm_suite - the whole main() of a test; skipped where there is no KVM. */
static inline int run_kvm_suite(const char *name, const TTest *const *tests, size_t num_tests)
{
	Suite *suite;
	TCase *tc;
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("skipped: /dev/kvm: %s\n", strerror(errno));
		return SKIPPED;
	}
	close(fd);
	suite = suite_create(name);
	tc = tcase_create(name);
	for (size_t i = 0; i < num_tests; i++)
		tcase_add_test(tc, tests[i]);
	tcase_set_timeout(tc, 2 * PATIENCE_S);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}

#endif
