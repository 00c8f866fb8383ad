/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_kvm.c - what the board asks of KVM is done, a reset reaches its interrupt controllers,
 * and what stands in the way of a start is said. Skipped where there is no /dev/kvm.
 */
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "tests/unit/kvm_rig.h"
#include "vhost/base/eventfd.h"

GUEST(notifies, 32,
      "movw $3, 0xd0000800\n"
      "movl $4, 0xd0000800\n"
      "out %al, $0x81\n"
      "1: jmp 1b\n");

/* --- eventfds and interrupts --- */

START_TEST(a_notification_goes_to_its_eventfd_and_not_to_the_board)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct hv *hv;
	uint64_t count;

	power_on(1);
	hv = &rig.vm.kvm.hv;
	/* Where KVM has no eventfd for any length, the drivers' 2 bytes it is. */
	ck_assert_int_eq(hv->ops->ioeventfd_add(hv, MMIO + 0x800, 0, fd), 0);
	ck_assert_int_eq(hv->ops->ioeventfd_add(hv, MMIO + 0x800, 0, fd), -EEXIST);
	BOOT(notifies);
	wait_until(rig.num_done == 1);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), sizeof(count));
	ck_assert_uint_eq(count, rig.vm.kvm.any_length ? 2 : 1);
	ck_assert_uint_eq(rig.num_logged, rig.vm.kvm.any_length ? 0 : 1);
	stop();
	hv->ops->ioeventfd_del(hv, MMIO + 0x800, 0, fd);
	hv->ops->ioeventfd_del(hv, MMIO + 0x800, 0, fd); /* harmless */
	reset_all();
	rig.num_logged = 0;
	run();
	wait_until(rig.num_done == 2);
	ck_assert_int_eq(read(fd, &count, sizeof(count)), -1);
	ck_assert_uint_eq(rig.num_logged, 2);
	check_access(0, true, 0x800, 2, 3);
	check_access(1, true, 0x800, 4, 4);
	power_off();
	close(fd);
}
END_TEST

/* enable_lapic - as an operating system does; without, it takes no interrupts. */
static void enable_lapic(void)
{
	const uint32_t enabled = 0x1ff;
	struct kvm_lapic_state lapic;

	ck_assert_int_eq(ioctl(rig.vm.vcpus[0].fd, KVM_GET_LAPIC, &lapic), 0);
	memcpy(lapic.regs + 0xf0, &enabled, sizeof(enabled));
	ck_assert_int_eq(ioctl(rig.vm.vcpus[0].fd, KVM_SET_LAPIC, &lapic), 0);
}

/* pending - does interrupt @vector wait at the local APIC, within a second? KVM may take its time. */
static bool pending(unsigned vector)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (lapic_register(0, 0x200 + vector / 32 * 0x10) >> vector % 32 & 1)
			return true;
		usleep(1000);
	}
	return false;
}

static bool not_pending(unsigned vector)
{
	usleep(20000);
	return !(lapic_register(0, 0x200 + vector / 32 * 0x10) >> vector % 32 & 1);
}

START_TEST(msi_routes_lead_where_they_were_last_set_to)
{
	const uint64_t one = 1;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct hv *hv;

	power_on(1);
	enable_lapic();
	hv = &rig.vm.kvm.hv;
	ck_assert_int_eq(hv->ops->msi_route(hv, HV_ISA_GSIS, LAPIC_BASE, 0x41), 0);
	ck_assert_int_eq(hv->ops->msi_route(hv, HV_MAX_GSIS - 1, LAPIC_BASE, 0x62), 0);
	ck_assert_int_eq(hv->ops->irqfd_add(hv, HV_ISA_GSIS, fd), 0);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert(pending(0x41));
	ck_assert(not_pending(0x62));
	ck_assert_int_eq(hv->ops->msi_route(hv, HV_ISA_GSIS, LAPIC_BASE, 0x73), 0);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert(pending(0x73));
	hv->ops->irqfd_del(hv, HV_ISA_GSIS, fd);
	hv->ops->irqfd_del(hv, HV_ISA_GSIS, fd); /* harmless */
	ck_assert_int_eq(hv->ops->irqfd_add(hv, HV_MAX_GSIS - 1, fd), 0);
	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
	ck_assert(pending(0x62));
	/* Not numbers of MSI routes. */
	ck_assert_int_eq(hv->ops->msi_route(hv, HV_ISA_GSIS - 1, LAPIC_BASE, 0x41), -EINVAL);
	ck_assert_int_eq(hv->ops->msi_route(hv, HV_MAX_GSIS, LAPIC_BASE, 0x41), -EINVAL);
	ck_assert_int_eq(hv->ops->msi_route(hv, UINT32_MAX, LAPIC_BASE, 0x41), -EINVAL);
	power_off();
	close(fd);
}
END_TEST

START_TEST(all_msi_routes_at_once_have_room)
{
	struct hv *hv;

	power_on(1);
	hv = &rig.vm.kvm.hv;
	for (unsigned gsi = HV_ISA_GSIS; gsi < HV_MAX_GSIS; gsi++)
		ck_assert_int_eq(hv->ops->msi_route(hv, gsi, LAPIC_BASE, 0x40 + gsi % 64), 0);
	power_off();
}
END_TEST

START_TEST(a_signal_from_before_the_irqfd_is_one_interrupt_and_is_used_up)
{
	const uint64_t three = 3;
	int fd = eventfd(0, EFD_CLOEXEC); /* one that blocks: nobody may wait on it */
	struct hv *hv;

	power_on(1);
	enable_lapic();
	hv = &rig.vm.kvm.hv;
	ck_assert_int_eq(hv->ops->msi_route(hv, 30, LAPIC_BASE, 0x41), 0);
	ck_assert_int_eq(write(fd, &three, sizeof(three)), sizeof(three));
	ck_assert_int_eq(hv->ops->irqfd_add(hv, 30, fd), 0);
	ck_assert(pending(0x41));
	hv->ops->irqfd_del(hv, 30, fd);
	ck_assert(!eventfd_drain(fd));
	/* And without one there is none. */
	ck_assert_int_eq(hv->ops->msi_route(hv, 31, LAPIC_BASE, 0x52), 0);
	ck_assert_int_eq(hv->ops->irqfd_add(hv, 31, fd), 0);
	ck_assert(not_pending(0x52));
	power_off();
	close(fd);
}
END_TEST

START_TEST(lines_reach_pic_and_ioapic)
{
	struct kvm_irqchip pic = {.chip_id = KVM_IRQCHIP_PIC_SLAVE};
	struct kvm_irqchip ioapic = {.chip_id = KVM_IRQCHIP_IOAPIC};
	struct hv *hv;

	power_on(1);
	hv = &rig.vm.kvm.hv;
	hv->ops->irq_line(hv, 11, true);
	hv->ops->irq_line(hv, 0, true);
	hv->ops->irq_line(hv, 20, true);
	ck_assert_int_eq(ioctl(rig.vm.kvm.vm_fd, KVM_GET_IRQCHIP, &pic), 0);
	ck_assert_int_eq(ioctl(rig.vm.kvm.vm_fd, KVM_GET_IRQCHIP, &ioapic), 0);
	ck_assert_uint_eq(pic.chip.pic.irr, 1 << 3);
	/* The timer is on pin 2, as the ACPI tables say. */
	ck_assert_uint_eq(ioapic.chip.ioapic.irr, 1u << 11 | 1u << 2 | 1u << 20);
	power_off();
}
END_TEST

START_TEST(interrupt_controllers_are_reset)
{
	struct kvm_irqchip before = {.chip_id = KVM_IRQCHIP_PIC_MASTER};
	struct kvm_irqchip after = before;

	power_on(1);
	rig.vm.kvm.hv.ops->irq_line(&rig.vm.kvm.hv, 5, true);
	ck_assert_int_eq(ioctl(rig.vm.kvm.vm_fd, KVM_GET_IRQCHIP, &before), 0);
	ck_assert_uint_eq(before.chip.pic.irr, 1 << 5);
	rig.vm.kvm.hv.ops->irq_line(&rig.vm.kvm.hv, 5, false);
	ck_assert_int_eq(kvm_reset(&rig.vm.kvm), 0);
	ck_assert_int_eq(ioctl(rig.vm.kvm.vm_fd, KVM_GET_IRQCHIP, &after), 0);
	ck_assert_uint_eq(after.chip.pic.irr, 0);
	ck_assert_uint_eq(after.chip.pic.last_irr, 0);
	power_off();
}
END_TEST

/* --- start --- */

static void check_open(int error, const char *advice)
{
	struct ram ram = {.size = 0};
	struct kvm kvm;
	char line[512];

	ck_assert_int_eq(kvm_open(&kvm, &ram, line, sizeof(line)), error);
	ck_assert_msg(strstr(line, advice) && strstr(line, "ringside-vmm doctor"), "%s", line);
	kvm_close(&kvm);
}

START_TEST(what_stands_in_the_way_of_kvm_is_said)
{
	char dir[] = "/tmp/ringside-kvm-XXXXXX";
	int root = open("/", O_PATH | O_CLOEXEC);

	if (geteuid() != 0)
		return; /* only root can take the device away */
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chroot(dir), 0);
	ck_assert_int_eq(chdir("/"), 0);
	check_open(-ENOENT, "modprobe");
	ck_assert_int_eq(mkdir("/dev", 0755), 0);
	ck_assert_int_eq(close(creat("/dev/kvm", 0)), 0);
	check_open(-ENOTSUP, "API version"); /* a mere file */
	ck_assert_int_eq(seteuid(65534), 0);
	check_open(-EACCES, "usermod -aG kvm");
	ck_assert_int_eq(seteuid(0), 0);
	prctl(PR_SET_DUMPABLE, 1); /* as before, which the leak sanitizer needs */
	ck_assert_int_eq(unlink("/dev/kvm"), 0);
	ck_assert_int_eq(rmdir("/dev"), 0);
	ck_assert_int_eq(fchdir(root), 0);
	ck_assert_int_eq(chroot("."), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	close(root);
}
END_TEST

START_TEST(memory_kvm_will_not_take_is_said_and_nothing_stays)
{
	unsigned fds = open_fds();
	struct fe_region region = {.gpa = 0x800, .size = 0x1000}; /* not whole pages */
	struct ram ram = {.mem = {.num_regions = 1, .regions = &region}};
	struct kvm kvm;
	char error[512];

	ck_assert_int_eq(kvm_open(&kvm, &ram, error, sizeof(error)), -EINVAL);
	ck_assert_msg(strstr(error, "KVM_SET_USER_MEMORY_REGION"), "%s", error);
	kvm_close(&kvm);
	kvm_close(&kvm); /* harmless */
	ck_assert_uint_eq(open_fds(), fds);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_notification_goes_to_its_eventfd_and_not_to_the_board,
		msi_routes_lead_where_they_were_last_set_to,
		all_msi_routes_at_once_have_room,
		a_signal_from_before_the_irqfd_is_one_interrupt_and_is_used_up,
		lines_reach_pic_and_ioapic,
		interrupt_controllers_are_reset,
		what_stands_in_the_way_of_kvm_is_said,
		memory_kvm_will_not_take_is_said_and_nothing_stays,
	};

	return run_kvm_suite("vmm_kvm", tests, ARRAY_SIZE(tests));
}
