/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kvm.c - the virtual machine made of /dev/kvm, and what of it a reset puts back; kvm_hv.c has what
 * the board asks of it.
 * VMM, main thread.
 */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vhost/base/log.h"
#include "vmm/memory_map.h"

#define DOCTOR   "; 'ringside-vmm doctor' tells more"
#define MAX_MSRS 4096 /* a kernel that names more is not believed */

#define CPUID_FEATURES         1
#define CPUID_ECX_TSC_DEADLINE (1u << 24)

#define REQUIRED(cap)           \
	{                       \
		cap, #cap, true \
	}
#define OPTIONAL(cap)            \
	{                        \
		cap, #cap, false \
	}

const struct kvm_capability kvm_capabilities[] = {
	REQUIRED(KVM_CAP_IRQCHIP),
	REQUIRED(KVM_CAP_PIT2),
	REQUIRED(KVM_CAP_USER_MEMORY),
	REQUIRED(KVM_CAP_SET_TSS_ADDR),
	REQUIRED(KVM_CAP_SET_IDENTITY_MAP_ADDR),
	REQUIRED(KVM_CAP_IRQ_ROUTING),
	REQUIRED(KVM_CAP_IRQFD),
	REQUIRED(KVM_CAP_IOEVENTFD),
	REQUIRED(KVM_CAP_EXT_CPUID),
	REQUIRED(KVM_CAP_MP_STATE),
	REQUIRED(KVM_CAP_IMMEDIATE_EXIT),
	OPTIONAL(KVM_CAP_IOEVENTFD_ANY_LENGTH),
	OPTIONAL(KVM_CAP_TSC_DEADLINE_TIMER),
	OPTIONAL(KVM_CAP_XSAVE),
	OPTIONAL(KVM_CAP_XCRS),
	OPTIONAL(KVM_CAP_VCPU_EVENTS),
	OPTIONAL(KVM_CAP_DEBUGREGS),
	OPTIONAL(KVM_CAP_NESTED_STATE),
	OPTIONAL(KVM_CAP_KVMCLOCK_CTRL),
	OPTIONAL(KVM_CAP_BINARY_STATS_FD),
};
const size_t kvm_num_capabilities = ARRAY_SIZE(kvm_capabilities);

/* Where the operator's line goes. */
struct failure {
	char *line;
	size_t bytes;
};

/* fail - @what as the line, and the reason behind it. Return: @error, which is negative. */
static int fail(const struct failure *failure, int error, const char *what)
{
	snprintf(failure->line, failure->bytes, "%s: %s" DOCTOR, what, strerror(-error));
	return error;
}

/* call - ioctl(2) that a signal does not end. Return: what it returns, or -errno. */
static int call(int fd, unsigned long request, unsigned long argument)
{
	int ret;

	do
		ret = ioctl(fd, request, argument);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static int call_with(int fd, unsigned long request, const void *argument)
{
	return call(fd, request, (unsigned long)argument);
}

/* --- start --- */

static int open_device(struct kvm *kvm, const struct failure *failure)
{
	kvm->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->fd >= 0)
		return 0;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return fail(failure, -errno,
			    "/dev/kvm is not there: load KVM ('modprobe kvm-intel' or 'modprobe "
			    "kvm-amd'; in a VM, its host must allow nesting)");
	case EACCES:
	case EPERM:
		return fail(failure, -errno,
			    "/dev/kvm may not be opened: join its group ('sudo usermod -aG kvm "
			    "$USER', then log in again)");
	default:
		return fail(failure, -errno, "/dev/kvm");
	}
}

static int check_capabilities(struct kvm *kvm, const struct failure *failure)
{
	int version = call(kvm->fd, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION) {
		snprintf(failure->line, failure->bytes,
			 "/dev/kvm has API version %d, and %d is needed" DOCTOR, version,
			 KVM_API_VERSION);
		return -ENOTSUP;
	}
	for (size_t i = 0; i < kvm_num_capabilities; i++) {
		const struct kvm_capability *cap = &kvm_capabilities[i];

		if (!cap->required ||
		    call(kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)cap->number) > 0)
			continue;
		snprintf(failure->line, failure->bytes,
			 "this kernel's KVM lacks %s, which is needed" DOCTOR, cap->name);
		return -ENOTSUP;
	}
	kvm->any_length = call(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
	kvm->has_stats = call(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD) > 0;
	return 0;
}

/* offer_deadline_timer - kernels before 6.14 leave it out of what they support, as it is part of the
 * local APIC; with one in the kernel, it is there. A guest without it spends a tenth of a second on
 * finding out how fast its timer runs. */
static void offer_deadline_timer(struct kvm *kvm)
{
	if (call(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) <= 0)
		return;
	for (uint32_t i = 0; i < kvm->cpuid->nent; i++)
		if (kvm->cpuid->entries[i].function == CPUID_FEATURES)
			kvm->cpuid->entries[i].ecx |= CPUID_ECX_TSC_DEADLINE;
}

static int read_cpuid(struct kvm *kvm)
{
	int ret;

	kvm->cpuid =
		calloc(1, sizeof(*kvm->cpuid) + KVM_MAX_CPUID * sizeof(kvm->cpuid->entries[0]));
	if (!kvm->cpuid)
		return -ENOMEM;
	kvm->cpuid->nent = KVM_MAX_CPUID;
	ret = call_with(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid);
	if (ret == 0)
		offer_deadline_timer(kvm);
	return ret;
}

static int read_msr_list(struct kvm *kvm)
{
	struct kvm_msr_list count = {.nmsrs = 0};
	int ret = call_with(kvm->fd, KVM_GET_MSR_INDEX_LIST, &count);

	if (ret < 0 && ret != -E2BIG) /* which is how it tells the number */
		return ret;
	if (count.nmsrs > MAX_MSRS)
		return -E2BIG;
	kvm->msrs = calloc(1, sizeof(count) + count.nmsrs * sizeof(count.indices[0]));
	if (!kvm->msrs)
		return -ENOMEM;
	kvm->msrs->nmsrs = count.nmsrs;
	return call_with(kvm->fd, KVM_GET_MSR_INDEX_LIST, kvm->msrs);
}

static int create_vm(struct kvm *kvm, const struct failure *failure)
{
	int ret = call(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (ret < (int)sizeof(struct kvm_run))
		return fail(failure, ret < 0 ? ret : -EINVAL, "KVM_GET_VCPU_MMAP_SIZE");
	kvm->run_bytes = (size_t)ret;
	kvm->vm_fd = call(kvm->fd, KVM_CREATE_VM, 0);
	if (kvm->vm_fd == -EBUSY)
		return fail(failure, -EBUSY,
			    "another hypervisor (VirtualBox, VMware) has the processor's "
			    "virtualisation");
	if (kvm->vm_fd < 0)
		return fail(failure, kvm->vm_fd, "KVM_CREATE_VM");
	return 0;
}

static int add_memory(struct kvm *kvm, const struct ram *ram, const struct failure *failure)
{
	for (unsigned i = 0; i < ram->mem.num_regions; i++) {
		const struct fe_region *region = &ram->mem.regions[i];
		struct kvm_userspace_memory_region slot = {
			.slot = i,
			.guest_phys_addr = region->gpa,
			.memory_size = region->size,
			.userspace_addr = (uintptr_t)region->host,
		};
		int ret = call_with(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot);

		if (ret < 0)
			return fail(failure, ret, "KVM_SET_USER_MEMORY_REGION");
	}
	return 0;
}

static int create_irqchip(struct kvm *kvm, const struct failure *failure)
{
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	uint64_t identity_map = KVM_IDENTITY_MAP;
	int ret;

	ret = call(kvm->vm_fd, KVM_SET_TSS_ADDR, KVM_TSS);
	if (ret < 0)
		return fail(failure, ret, "KVM_SET_TSS_ADDR");
	ret = call_with(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	if (ret < 0)
		return fail(failure, ret, "KVM_SET_IDENTITY_MAP_ADDR");
	ret = call(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0);
	if (ret < 0)
		return fail(failure, ret, "KVM_CREATE_IRQCHIP");
	ret = call_with(kvm->vm_fd, KVM_CREATE_PIT2, &pit);
	if (ret < 0)
		return fail(failure, ret, "KVM_CREATE_PIT2");
	ret = kvm_hv_init(kvm);
	if (ret < 0)
		return fail(failure, ret, "KVM_SET_GSI_ROUTING");
	return 0;
}

static int save_irqchip(struct kvm *kvm, const struct failure *failure)
{
	int ret;

	for (unsigned i = 0; i < ARRAY_SIZE(kvm->irqchips); i++) {
		kvm->irqchips[i].chip_id = i;
		ret = call_with(kvm->vm_fd, KVM_GET_IRQCHIP, &kvm->irqchips[i]);
		if (ret < 0)
			return fail(failure, ret, "KVM_GET_IRQCHIP");
	}
	ret = call_with(kvm->vm_fd, KVM_GET_PIT2, &kvm->pit);
	if (ret < 0)
		return fail(failure, ret, "KVM_GET_PIT2");
	return 0;
}

int kvm_open(struct kvm *kvm, const struct ram *ram, char *error, size_t error_bytes)
{
	const struct failure failure = {error, error_bytes};
	int ret;

	memset(kvm, 0, sizeof(*kvm));
	kvm->fd = kvm->vm_fd = -1;
	ret = open_device(kvm, &failure);
	if (ret == 0)
		ret = check_capabilities(kvm, &failure);
	if (ret < 0)
		return ret;
	ret = read_cpuid(kvm);
	if (ret < 0)
		return fail(&failure, ret, "KVM_GET_SUPPORTED_CPUID");
	ret = read_msr_list(kvm);
	if (ret < 0)
		return fail(&failure, ret, "KVM_GET_MSR_INDEX_LIST");
	ret = create_vm(kvm, &failure);
	/* Memory first: behind the irqchip the kernel would wait several milliseconds for readers of
	 * its tables. */
	if (ret == 0)
		ret = add_memory(kvm, ram, &failure);
	if (ret == 0)
		ret = create_irqchip(kvm, &failure);
	if (ret == 0)
		ret = save_irqchip(kvm, &failure);
	return ret;
}

void kvm_close(struct kvm *kvm)
{
	free(kvm->table);
	free(kvm->cpuid);
	free(kvm->msrs);
	kvm->table = NULL;
	kvm->cpuid = NULL;
	kvm->msrs = NULL;
	close_fd(&kvm->vm_fd);
	close_fd(&kvm->fd);
}

/* --- reset --- */

/* Syscalls: ioctl(request=KVM_SET_IRQCHIP|KVM_SET_PIT2) */
int kvm_reset(struct kvm *kvm)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kvm->irqchips); i++) {
		int ret = call_with(kvm->vm_fd, KVM_SET_IRQCHIP, &kvm->irqchips[i]);

		if (ret < 0)
			return ret;
	}
	return call_with(kvm->vm_fd, KVM_SET_PIT2, &kvm->pit);
}
