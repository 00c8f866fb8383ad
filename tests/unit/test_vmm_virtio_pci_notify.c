/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_virtio_pci_notify.c - kicks reach the kick fd, by ioeventfd or the slow way, and call fds
 * reach the guest, by MSI-X or INTx. Tests vmm/virtio_pci with a stand-in device.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>

#include "tests/unit/vmm_virtio_rig.h"

static struct virtio_queue *queue(unsigned index)
{
	return &toy.dev.queues[index];
}

static uint64_t notify_gpa(unsigned index)
{
	return bar_base(0) + AT_NOTIFY + 4 * index;
}

static void set_vector(unsigned index, unsigned vector)
{
	select_queue(index);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
}

static unsigned vector_of(unsigned index)
{
	select_queue(index);
	return (unsigned)get(VIRTIO_PCI_COMMON_Q_MSIX, 2);
}

static unsigned isr(void)
{
	return (unsigned)get(AT_ISR, 1);
}

/* --- kicks --- */

START_TEST(enabled_queues_have_ioeventfds_where_the_bar_is)
{
	negotiate(FEATURES);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	enable_queue(2);
	ck_assert_uint_eq(rec.num_ioeventfds, 1);
	enable_queue(0);
	ck_assert_int_eq(recorder_kick_fd(&rec, notify_gpa(0)), queue(0)->kick_fd);
	ck_assert_int_eq(recorder_kick_fd(&rec, notify_gpa(1)), -1);
	ck_assert_int_eq(recorder_kick_fd(&rec, notify_gpa(2)), queue(2)->kick_fd);
	config_put(PCI_BASE_ADDRESS_0, 4, 0xd0000000);
	ck_assert_uint_eq(rec.num_ioeventfds, 2);
	ck_assert_int_eq(recorder_kick_fd(&rec, 0xd0003000), queue(0)->kick_fd);
	config_put(PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(rec.num_ioeventfds, 2);
	set_status(0);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
}
END_TEST

START_TEST(ioeventfds_take_any_size_or_two_bytes)
{
	negotiate(FEATURES);
	enable_queue(0);
	ck_assert_uint_eq(rec.ioeventfds[0].bytes, 0);
	set_status(0);
	rec.no_any_length = true;
	negotiate(FEATURES);
	enable_queue(0);
	ck_assert_uint_eq(rec.num_ioeventfds, 1);
	ck_assert_uint_eq(rec.ioeventfds[0].bytes, 2);
}
END_TEST

START_TEST(a_kick_without_an_ioeventfd_takes_the_slow_way)
{
	rec.ioeventfd_error = -ENOSPC;
	drive();
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	put(AT_NOTIFY + 4, 2, 1);
	ck_assert_uint_eq(counter(queue(1)->kick_fd), 1);
	put(AT_NOTIFY + 4, 4, 1); /* of any size */
	put(AT_NOTIFY + 4, 1, 0);
	ck_assert_uint_eq(counter(queue(1)->kick_fd), 2);
	ck_assert_uint_eq(queue(1)->kicks, 3);
	ck_assert_uint_eq(counter(queue(0)->kick_fd), 0);
	rec.ioeventfd_error = 0;
	config_put(PCI_COMMAND, 2, 0);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(rec.num_ioeventfds, QUEUES);
}
END_TEST

START_TEST(kicks_are_counted_when_asked)
{
	drive();
	virtio_pci_count_kicks(vpci, true);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	for (unsigned i = 0; i < 7; i++)
		put(AT_NOTIFY, 2, 0);
	ck_assert_uint_eq(queue(0)->kicks, 7);
	ck_assert_uint_eq(counter(queue(0)->kick_fd), 7);
	virtio_pci_count_kicks(vpci, false);
	ck_assert_uint_eq(rec.num_ioeventfds, QUEUES);
}
END_TEST

START_TEST(kicks_of_no_queue_go_nowhere)
{
	negotiate(FEATURES);
	enable_queue(1);
	for (unsigned offset = 0; offset < 0x1000; offset++)
		if (offset != 4)
			put(AT_NOTIFY + offset, 1 + offset % 8, 1);
	for (unsigned i = 0; i < QUEUES; i++) {
		ck_assert_uint_eq(queue(i)->kicks, 0);
		ck_assert_uint_eq(counter(queue(i)->kick_fd), 0);
	}
}
END_TEST

/* A back-end can fill the counter that it shares, and make writes to it wait. */
START_TEST(a_full_kick_counter_holds_nobody_up)
{
	rec.ioeventfd_error = -ENOSPC;
	drive();
	ck_assert_int_eq(eventfd_write(queue(0)->kick_fd, UINT64_MAX - 1), 0);
	ck_assert_int_eq(fcntl(queue(0)->kick_fd, F_SETFL, 0), 0);
	put(AT_NOTIFY, 2, 0);
	ck_assert_uint_eq(queue(0)->kicks, 1);
}
END_TEST

START_TEST(reset_forgets_signals)
{
	drive();
	signal_fd(queue(0)->kick_fd);
	signal_fd(queue(0)->call_fd);
	set_status(0);
	ck_assert_uint_eq(counter(queue(0)->kick_fd), 0);
	ck_assert_uint_eq(counter(queue(0)->call_fd), 0);
}
END_TEST

/* --- MSI-X --- */

START_TEST(each_queue_and_the_config_have_a_vector)
{
	enable_msix();
	for (unsigned i = 0; i < QUEUES; i++) {
		set_vector(i, i + 1);
		ck_assert_uint_eq(vector_of(i), i + 1);
	}
	put(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), 0);
	drive();
	ck_assert_uint_eq(rec.num_irqfds, QUEUES + 1);
	run_loop();
	for (unsigned i = 0; i < QUEUES; i++) {
		ck_assert_uint_ne(recorder_gsi_of(&rec, queue(i)->call_fd), 0);
		signal_fd(queue(i)->call_fd);
	}
	run_loop();
	for (unsigned i = 0; i < QUEUES; i++) /* nobody but the irqfd reads it */
		ck_assert_uint_eq(counter(queue(i)->call_fd), 1);
	ck_assert_uint_eq(isr(), 0);
	ck_assert(!line());
	set_status(0);
	ck_assert_uint_eq(rec.num_irqfds, 0);
	ck_assert_uint_eq(vector_of(1), MSIX_NO_VECTOR);
}
END_TEST

START_TEST(vector_out_of_range)
{
	static const uint16_t vectors[] = {QUEUES + 1, 255, 256, 0x7ff, 0xfffe};

	enable_msix();
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		set_vector(0, 0);
		set_vector(0, vectors[i]);
		ck_assert_uint_eq(vector_of(0), MSIX_NO_VECTOR);
		put(VIRTIO_PCI_COMMON_MSIX, 2, vectors[i]);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), MSIX_NO_VECTOR);
	}
	ck_assert_uint_eq(rec.num_irqfds, 0);
	rec.irqfd_error = -ENOMEM; /* one that is not to be had reads the same */
	set_vector(0, 1);
	ck_assert_uint_eq(vector_of(0), MSIX_NO_VECTOR);
}
END_TEST

START_TEST(a_queue_without_a_vector_interrupts_nobody)
{
	enable_msix();
	drive();
	run_loop();
	signal_fd(queue(0)->call_fd);
	run_loop();
	ck_assert_uint_eq(isr(), 0);
	ck_assert(!line());
	ck_assert_uint_eq(rec.num_irqfds, 0);
	ck_assert_uint_eq(counter(queue(0)->call_fd), 1);
}
END_TEST

/* --- INTx --- */

START_TEST(without_msix_a_call_raises_the_line_until_isr_is_read)
{
	drive();
	run_loop();
	ck_assert(!line());
	signal_fd(queue(1)->call_fd);
	run_loop();
	ck_assert(line());
	ck_assert_uint_eq(counter(queue(1)->call_fd), 0);
	ck_assert_uint_eq(config_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	ck_assert_uint_eq(get(AT_ISR + 1, 4), 0); /* not that register */
	ck_assert(line());
	ck_assert_uint_eq(get(AT_ISR, 4), 1);
	ck_assert(!line());
	ck_assert_uint_eq(isr(), 0);
	signal_fd(queue(0)->call_fd);
	signal_fd(queue(2)->call_fd);
	run_loop();
	ck_assert_uint_eq(isr(), 1);
}
END_TEST

START_TEST(no_call_is_heard_before_driver_ok_and_after_reset)
{
	negotiate(FEATURES);
	enable_queue(0);
	signal_fd(queue(0)->call_fd);
	run_loop();
	ck_assert_uint_eq(isr(), 0);
	set_status(ALL_SET);
	run_loop();
	ck_assert_uint_eq(isr(), 1); /* but kept */
	signal_fd(queue(1)->call_fd);
	run_loop();
	ck_assert_uint_eq(isr(), 0); /* not enabled */
	signal_fd(queue(0)->call_fd);
	run_loop();
	set_status(0);
	ck_assert(!line());
	ck_assert_uint_eq(isr(), 0);
	run_loop();
	signal_fd(queue(0)->call_fd);
	run_loop();
	ck_assert_uint_eq(isr(), 0);
}
END_TEST

/* The loop still watches while the mail that ends it is under way, and comes to the call first. */
START_TEST(no_signal_is_lost_between_intx_and_msix)
{
	drive();
	run_loop();
	set_vector(0, 1);
	signal_fd(queue(0)->call_fd);
	enable_msix();
	run_loop();
	ck_assert_uint_eq(isr(), 0);
	ck_assert_uint_eq(counter(queue(0)->call_fd), 1); /* for the irqfd */
	config_put(find_cap(PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS, 2, 0);
	signal_fd(queue(0)->call_fd);
	ck_assert_uint_eq(rec.num_irqfds, 0);
	run_loop();
	ck_assert_uint_eq(isr(), 1);
}
END_TEST

START_TEST(the_line_is_low_while_msix_is_enabled)
{
	drive();
	run_loop();
	signal_fd(queue(0)->call_fd);
	run_loop();
	ck_assert(line());
	enable_msix();
	ck_assert(!line());
	config_put(find_cap(PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS, 2, 0);
	ck_assert(line());
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	ck_assert(!line());
	ck_assert_uint_eq(isr(), 1);
}
END_TEST

/* --- configuration changes --- */

START_TEST(config_interrupt_by_intx)
{
	drive();
	toy.dev.transport->config_changed(&toy.dev);
	ck_assert(line());
	signal_fd(queue(0)->call_fd);
	run_loop();
	ck_assert_uint_eq(isr(), 3);
	ck_assert(!line());
	ck_assert_uint_eq(toy.dev.config_interrupts, 1);
}
END_TEST

START_TEST(config_interrupt_by_msix)
{
	int fd;

	enable_msix();
	put(VIRTIO_PCI_COMMON_MSIX, 2, 2);
	drive();
	ck_assert_uint_eq(rec.num_irqfds, 1);
	fd = rec.irqfds[0].fd;
	ck_assert_uint_eq(counter(fd), 0);
	toy.dev.transport->config_changed(&toy.dev);
	ck_assert_uint_eq(counter(fd), 1);
	ck_assert(!line());
	ck_assert_uint_eq(isr(), 2); /* in any case, 4.1.4.5.1 */
	put(VIRTIO_PCI_COMMON_MSIX, 2, MSIX_NO_VECTOR);
	toy.dev.transport->config_changed(&toy.dev);
	ck_assert_uint_eq(counter(fd), 0);
	/* What is pending for a vector is not for the next. */
	bus_write(&bus, BUS_MMIO, bar_base(1) + 16 * 2 + 12, 4, 1);
	put(VIRTIO_PCI_COMMON_MSIX, 2, 2);
	toy.dev.transport->config_changed(&toy.dev);
	ck_assert_uint_eq(bus_read(&bus, BUS_MMIO, bar_base(1) + 4096, 8), 1 << 2);
	put(VIRTIO_PCI_COMMON_MSIX, 2, MSIX_NO_VECTOR);
	put(VIRTIO_PCI_COMMON_MSIX, 2, 3);
	ck_assert_uint_eq(counter(fd), 0);
}
END_TEST

START_TEST(a_config_change_before_driver_ok_is_told_with_it)
{
	toy.dev.transport->config_changed(&toy.dev);
	negotiate(FEATURES);
	toy.dev.transport->config_changed(&toy.dev);
	ck_assert_uint_eq(isr(), 0);
	set_status(ALL_SET);
	ck_assert_uint_eq(isr(), 2);
	ck_assert_uint_eq(toy.dev.config_interrupts, 1);
	set_status(0);
	negotiate(FEATURES);
	toy.dev.transport->config_changed(&toy.dev);
	set_status(0); /* the next driver reads it anew */
	drive();
	ck_assert_uint_eq(isr(), 0);
}
END_TEST

START_TEST(needs_reset_is_told_once)
{
	unsigned generation;

	drive();
	generation = (unsigned)get(VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	toy.dev.transport->needs_reset(&toy.dev);
	ck_assert_uint_eq(status(), ALL_SET | NEEDS_RESET);
	ck_assert_uint_eq(isr(), 2);
	toy.dev.transport->needs_reset(&toy.dev);
	ck_assert_uint_eq(isr(), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
	set_status(ALL_SET); /* a driver cannot take it back */
	ck_assert_uint_eq(status(), ALL_SET | NEEDS_RESET);
	toy.slow = true;
	set_status(0);
	toy.dev.transport->config_changed(&toy.dev);
	toy.dev.transport->needs_reset(&toy.dev);
	ck_assert_uint_eq(isr(), 0);
	toy.dev.transport->reset_done(&toy.dev);
	ck_assert_uint_eq(status(), 0);
}
END_TEST

/* --- the end --- */

START_TEST(mail_under_way_is_taken_back_at_the_end)
{
	drive(); /* the watches are wanted; the loop has not run: see the teardown */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_virtio_pci_notify");
	TCase *tc = tcase_create("notify");

	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, enabled_queues_have_ioeventfds_where_the_bar_is);
	tcase_add_test(tc, ioeventfds_take_any_size_or_two_bytes);
	tcase_add_test(tc, a_kick_without_an_ioeventfd_takes_the_slow_way);
	tcase_add_test(tc, kicks_are_counted_when_asked);
	tcase_add_test(tc, kicks_of_no_queue_go_nowhere);
	tcase_add_test(tc, a_full_kick_counter_holds_nobody_up);
	tcase_add_test(tc, reset_forgets_signals);
	tcase_add_test(tc, each_queue_and_the_config_have_a_vector);
	tcase_add_test(tc, vector_out_of_range);
	tcase_add_test(tc, a_queue_without_a_vector_interrupts_nobody);
	tcase_add_test(tc, without_msix_a_call_raises_the_line_until_isr_is_read);
	tcase_add_test(tc, no_call_is_heard_before_driver_ok_and_after_reset);
	tcase_add_test(tc, no_signal_is_lost_between_intx_and_msix);
	tcase_add_test(tc, the_line_is_low_while_msix_is_enabled);
	tcase_add_test(tc, config_interrupt_by_intx);
	tcase_add_test(tc, config_interrupt_by_msix);
	tcase_add_test(tc, a_config_change_before_driver_ok_is_told_with_it);
	tcase_add_test(tc, needs_reset_is_told_once);
	tcase_add_test(tc, mail_under_way_is_taken_back_at_the_end);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
