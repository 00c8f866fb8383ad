/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_virtio_pci.c - registers of the virtio-pci transport, as a driver uses and misuses them.
 * Tests vmm/virtio_pci with a stand-in device; kicks and interrupts are in
 * test_vmm_virtio_pci_notify.c.
 */
#include "tests/unit/vmm_virtio_rig.h"

/* --- what the function looks like --- */

START_TEST(ids)
{
	ck_assert_uint_eq(config_get(0, 4), 0x10421af4);
	ck_assert_uint_eq(config_get(PCI_CLASS_REVISION, 4), 0x01000001);
	ck_assert_uint_eq(config_get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
}
END_TEST

static void check_part(uint8_t type, uint32_t offset, uint32_t bytes, unsigned cap_len)
{
	unsigned cap = find_cap(PCI_CAP_ID_VNDR, type);

	ck_assert_uint_ne(cap, 0);
	ck_assert_uint_eq(config_get(cap + VIRTIO_PCI_CAP_LEN, 1), cap_len);
	ck_assert_uint_eq(config_get(cap + VIRTIO_PCI_CAP_BAR, 1), 0);
	ck_assert_uint_eq(config_get(cap + VIRTIO_PCI_CAP_OFFSET, 4), offset);
	ck_assert_uint_eq(config_get(cap + VIRTIO_PCI_CAP_LENGTH, 4), bytes);
}

START_TEST(capabilities)
{
	unsigned notify;

	check_part(VIRTIO_PCI_CAP_COMMON_CFG, 0, 64, 16);
	check_part(VIRTIO_PCI_CAP_ISR_CFG, AT_ISR, 1, 16);
	check_part(VIRTIO_PCI_CAP_DEVICE_CFG, AT_DEVICE, CONFIG, 16);
	check_part(VIRTIO_PCI_CAP_NOTIFY_CFG, AT_NOTIFY, 4 * QUEUES, 20);
	notify = find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_NOTIFY_CFG);
	ck_assert_uint_eq(config_get(notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4), 4);
	ck_assert_uint_ne(find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG), 0);
	ck_assert_uint_eq(config_get(find_cap(PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS, 2), QUEUES);
}
END_TEST

START_TEST(fresh_registers)
{
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), MSIX_NO_VECTOR);
	for (unsigned i = 0; i < QUEUES; i++) {
		select_queue(i);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), MAX_SIZE);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), MSIX_NO_VECTOR);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_NOFF, 2), i);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_NDATA, 8), 0);
	}
}
END_TEST

/* --- features and status --- */

START_TEST(features_are_offered_by_halves_and_nothing_beyond)
{
	static const uint32_t selects[] = {0, 1, 2, 3, 31, 0x7fffffff, 0x80000000, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(selects); i++) {
		put(VIRTIO_PCI_COMMON_DFSELECT, 4, selects[i]);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DFSELECT, 4), selects[i]);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DF, 4),
				  i < 2 ? FEATURES >> 32 * i & 0xffffffff : 0);
	}
	put(VIRTIO_PCI_COMMON_DF, 4, 0); /* read-only */
	put(VIRTIO_PCI_COMMON_DFSELECT, 4, 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_DF, 4), FEATURES & 0xffffffff);
}
END_TEST

START_TEST(a_driver_goes_all_the_way)
{
	drive();
	ck_assert_uint_eq(toy.starts, 1);
	ck_assert_uint_eq(toy.dev.driver_features, FEATURES);
	for (unsigned i = 0; i < QUEUES; i++) {
		ck_assert(toy.dev.queues[i].enabled);
		ck_assert_uint_eq(toy.dev.queues[i].size, MAX_SIZE);
		ck_assert_uint_eq(toy.dev.queues[i].desc_gpa, 0x100000 + i * 0x10000);
		ck_assert_uint_eq(toy.dev.queues[i].driver_gpa, 0x104000 + i * 0x10000);
		ck_assert_uint_eq(toy.dev.queues[i].device_gpa, 0x108000 + i * 0x10000);
	}
	set_status(ALL_SET);
	ck_assert_uint_eq(toy.starts, 1);
}
END_TEST

START_TEST(features_that_were_not_offered)
{
	negotiate(FEATURES | 1 << 10);
	ck_assert_uint_eq(status(), ACK | DRIVER);
	accept_features(FEATURES); /* thought better of it */
	set_status(ACK | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK);
}
END_TEST

START_TEST(features_without_version_1)
{
	negotiate(1 << 9);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

START_TEST(features_beyond_bit_63)
{
	put(VIRTIO_PCI_COMMON_GFSELECT, 4, 2);
	put(VIRTIO_PCI_COMMON_GF, 4, 0); /* what a driver that knows of them writes */
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_GF, 4), 0);
	negotiate(FEATURES);
	ck_assert_uint_eq(status(), ACK | DRIVER | FEATURES_OK);
	set_status(0);
	put(VIRTIO_PCI_COMMON_GFSELECT, 4, 3);
	put(VIRTIO_PCI_COMMON_GF, 4, 1);
	negotiate(FEATURES);
	ck_assert_uint_eq(status(), ACK | DRIVER);
}
END_TEST

START_TEST(features_are_final_once_they_are_ok)
{
	negotiate(FEATURES & ~(1ull << 9));
	accept_features(FEATURES | 1 << 10);
	ck_assert_uint_eq(toy.dev.driver_features, FEATURES & ~(1ull << 9));
}
END_TEST

START_TEST(driver_ok_without_features_ok)
{
	set_status(ACK | DRIVER | DRIVER_OK);
	ck_assert_uint_eq(status(), ACK | DRIVER);
	ck_assert_uint_eq(toy.starts, 0);
	set_status(DRIVER_OK);
	set_status(0xff & ~FEATURES_OK);
	ck_assert_uint_eq(toy.starts, 0);
	set_status(0xff); /* FEATURES_OK does not fit either */
	ck_assert_uint_eq(status() & (FEATURES_OK | DRIVER_OK), 0);
	ck_assert_uint_eq(toy.starts, 0);
}
END_TEST

/* Whatever is written: bits of the device's own are not the driver's, and none is taken back. */
START_TEST(status_nonsense)
{
	for (unsigned value = 1; value < 256; value++) {
		unsigned before = status(), after;

		set_status(value);
		after = status();
		ck_assert_uint_eq(after & before, before);
		ck_assert_uint_eq(after & ~(before | value), 0);
		ck_assert_uint_eq(after & (NEEDS_RESET | 0x30 | DRIVER_OK), 0);
	}
	set_status(0);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(toy.resets, 1);
}
END_TEST

START_TEST(all_of_the_status_at_once)
{
	accept_features(FEATURES);
	set_status(ALL_SET);
	ck_assert_uint_eq(status(), ALL_SET);
	ck_assert_uint_eq(toy.starts, 1);
}
END_TEST

/* --- queues --- */

START_TEST(queue_index_out_of_range)
{
	static const uint16_t indexes[] = {QUEUES, QUEUES + 1, 127, 128, 255, 0x7fff, 0xffff};

	negotiate(FEATURES);
	for (unsigned i = 0; i < ARRAY_SIZE(indexes); i++) {
		enable_queue(indexes[i]);
		put(VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
		put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), indexes[i]);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), MSIX_NO_VECTOR);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
		put(AT_NOTIFY + 4 * indexes[i], 2, indexes[i]);
	}
	for (unsigned i = 0; i < QUEUES; i++)
		ck_assert(!toy.dev.queues[i].enabled);
}
END_TEST

START_TEST(queue_sizes_of_split_rings)
{
	static const struct {
		uint16_t written, read;
	} sizes[] = {
		{128, 128},
		{0, 128},
		{3, 128},
		{MAX_SIZE, MAX_SIZE},
		{2 * MAX_SIZE, MAX_SIZE},
		{1, 1},
		{65535, 1},
		{32768, 1},
		{255, 1},
	};

	negotiate(FEATURES & ~(1ull << VIRTIO_F_RING_PACKED));
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		put(VIRTIO_PCI_COMMON_Q_SIZE, 2, sizes[i].written);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), sizes[i].read);
	}
}
END_TEST

START_TEST(queue_sizes_of_packed_rings)
{
	static const struct {
		uint16_t written, read;
	} sizes[] = {{3, 3}, {0, 3}, {255, 255}, {257, 255}, {65535, 255}, {1, 1}};

	negotiate(FEATURES);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		put(VIRTIO_PCI_COMMON_Q_SIZE, 2, sizes[i].written);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), sizes[i].read);
	}
}
END_TEST

/* The size was written while the driver still wanted packed rings. */
START_TEST(queue_size_that_fits_no_more_is_not_enabled)
{
	set_status(ACK | DRIVER);
	accept_features(FEATURES);
	select_queue(0);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 2, 3);
	negotiate(FEATURES & ~(1ull << VIRTIO_F_RING_PACKED));
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 3);
	enable_queue(0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	enable_queue(0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}
END_TEST

START_TEST(addresses_by_halves_bytes_and_wholes)
{
	select_queue(1);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x89abcdef);
	put(VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x01234567);
	ck_assert_uint_eq(toy.dev.queues[1].desc_gpa, 0x0123456789abcdefull);
	put(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, 0xfedcba9876543210ull);
	ck_assert_uint_eq(toy.dev.queues[1].driver_gpa, 0xfedcba9876543210ull);
	for (unsigned i = 0; i < 8; i++)
		put(VIRTIO_PCI_COMMON_Q_USEDLO + i, 1, 0x10 + i);
	ck_assert_uint_eq(toy.dev.queues[1].device_gpa, 0x1716151413121110ull);
	/* One write over the end of one field and the beginning of the next. */
	put(VIRTIO_PCI_COMMON_Q_DESCHI, 8, 0xaaaaaaaabbbbbbbbull);
	ck_assert_uint_eq(toy.dev.queues[1].desc_gpa, 0xbbbbbbbb89abcdefull);
	ck_assert_uint_eq(toy.dev.queues[1].driver_gpa, 0xfedcba98aaaaaaaaull);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO + 3, 7), 0xaaaabbbbbbbb89ull);
}
END_TEST

START_TEST(enable_takes_only_1_and_final_features)
{
	enable_queue(0); /* before FEATURES_OK */
	ck_assert(!toy.dev.queues[0].enabled);
	negotiate(FEATURES);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0xffff);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0x101);
	ck_assert(!toy.dev.queues[0].enabled);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 1, 1); /* half of it is enough: the other is 0 */
	ck_assert(toy.dev.queues[0].enabled);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0); /* a driver cannot take it back */
	ck_assert(toy.dev.queues[0].enabled);
}
END_TEST

START_TEST(double_enable)
{
	drive();
	select_queue(1);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	ck_assert_uint_eq(toy.queue_enables, 0);
	ck_assert_uint_eq(rec.num_ioeventfds, QUEUES);
}
END_TEST

START_TEST(an_enabled_queue_cannot_be_changed)
{
	negotiate(FEATURES);
	enable_queue(1);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 2, 16);
	put(VIRTIO_PCI_COMMON_Q_DESCLO, 8, ~0ull);
	put(VIRTIO_PCI_COMMON_Q_AVAILLO, 8, ~0ull);
	put(VIRTIO_PCI_COMMON_Q_USEDLO, 8, ~0ull);
	ck_assert_uint_eq(toy.dev.queues[1].size, MAX_SIZE);
	ck_assert_uint_eq(toy.dev.queues[1].desc_gpa, 0x110000);
	ck_assert_uint_eq(toy.dev.queues[1].driver_gpa, 0x114000);
	ck_assert_uint_eq(toy.dev.queues[1].device_gpa, 0x118000);
}
END_TEST

START_TEST(a_queue_enabled_late_is_told)
{
	negotiate(FEATURES);
	enable_queue(0);
	set_status(ALL_SET);
	enable_queue(2);
	ck_assert_uint_eq(toy.queue_enables, 1);
	ck_assert_uint_eq(toy.last_queue, 2);
}
END_TEST

/* --- queue reset --- */

START_TEST(queue_reset)
{
	drive();
	toy.slow = true;
	select_queue(1);
	put(VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	ck_assert_uint_eq(toy.queue_resets, 1);
	ck_assert_uint_eq(toy.last_queue, 1);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_RESET, 2), 1);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1); /* again, meanwhile */
	put(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 2, 2);
	ck_assert_uint_eq(toy.queue_resets, 1);
	ck_assert_uint_eq(toy.queue_enables, 0);
	toy.dev.transport->queue_reset_done(&toy.dev, 1);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), MAX_SIZE);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), MSIX_NO_VECTOR);
	ck_assert_uint_eq(rec.num_ioeventfds, QUEUES - 1);
	ck_assert(toy.dev.queues[0].enabled);
	put(VIRTIO_PCI_COMMON_Q_SIZE, 2, 64);
	enable_queue(1);
	ck_assert_uint_eq(toy.queue_enables, 1);
	ck_assert_uint_eq(toy.dev.queues[1].size, 64);
	ck_assert_uint_eq(rec.num_ioeventfds, QUEUES);
	toy.dev.transport->queue_reset_done(&toy.dev, 1); /* nobody asked */
	ck_assert(toy.dev.queues[1].enabled);
}
END_TEST

START_TEST(queue_reset_that_may_not_be)
{
	negotiate(FEATURES & ~(1ull << VIRTIO_F_RING_RESET));
	enable_queue(0);
	set_status(ALL_SET);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	ck_assert_uint_eq(toy.queue_resets, 0);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	set_status(0);
	negotiate(FEATURES);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1); /* not enabled */
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	enable_queue(0);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 2);
	ck_assert(toy.dev.queues[0].enabled);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1); /* before DRIVER_OK: no business of the device */
	ck_assert(!toy.dev.queues[0].enabled);
	ck_assert_uint_eq(toy.queue_resets, 0);
}
END_TEST

/* --- device reset --- */

START_TEST(reset_reads_the_old_status_until_it_is_done)
{
	drive();
	toy.slow = true;
	set_status(0);
	ck_assert_uint_eq(toy.resets, 1);
	ck_assert_uint_eq(status(), ALL_SET);
	toy.dev.transport->reset_done(&toy.dev);
	ck_assert_uint_eq(status(), 0);
	ck_assert_uint_eq(toy.dev.driver_features, 0);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		ck_assert(!toy.dev.queues[i].enabled);
		ck_assert_uint_eq(toy.dev.queues[i].desc_gpa, 0);
		ck_assert_uint_eq(toy.dev.queues[i].size, MAX_SIZE);
	}
	toy.slow = false;
	drive();
	ck_assert_uint_eq(toy.starts, 2);
	toy.dev.transport->reset_done(&toy.dev); /* nobody asked */
	ck_assert_uint_eq(status(), ALL_SET);
}
END_TEST

START_TEST(reset_during_reset)
{
	drive();
	toy.slow = true;
	set_status(0);
	set_status(0);
	set_status(ACK);
	set_status(ALL_SET);
	put(VIRTIO_PCI_COMMON_GF, 4, 0);
	enable_queue(0);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	put(AT_DEVICE, 4, 0);
	virtio_pci_reset(vpci);
	ck_assert_uint_eq(toy.resets, 1);
	ck_assert_uint_eq(toy.queue_resets, 0);
	ck_assert_uint_eq(toy.queue_enables, 0);
	ck_assert_uint_eq(toy.config_writes, 0);
	ck_assert_uint_eq(toy.dev.driver_features, FEATURES);
	ck_assert_uint_eq(toy.dev.status, ALL_SET);
	toy.dev.transport->reset_done(&toy.dev);
	ck_assert_uint_eq(toy.dev.status, 0);
}
END_TEST

START_TEST(reset_while_a_queue_is_being_reset)
{
	drive();
	toy.slow = true;
	select_queue(2);
	put(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	set_status(0);
	toy.dev.transport->queue_reset_done(&toy.dev, 2);
	ck_assert_uint_eq(status(), ALL_SET);
	toy.dev.transport->reset_done(&toy.dev);
	toy.dev.transport->queue_reset_done(&toy.dev, 2);
	ck_assert_uint_eq(status(), 0);
	select_queue(2);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
}
END_TEST

START_TEST(machine_reset)
{
	drive();
	enable_msix();
	put(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	toy.slow = true;
	virtio_pci_reset(vpci);
	ck_assert_uint_eq(toy.dev.status, ALL_SET);
	ck_assert_uint_eq(rec.num_irqfds, 0);
	toy.dev.transport->reset_done(&toy.dev);
	ck_assert_uint_eq(toy.dev.status, 0);
	pci_reset(&root);
	ck_assert_uint_eq(rec.num_ioeventfds, 0);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	toy.slow = false;
	drive();
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_MSIX, 2), MSIX_NO_VECTOR);
}
END_TEST

/* --- device configuration --- */

START_TEST(device_config_reads)
{
	ck_assert_uint_eq(get(AT_DEVICE, 8), 0x0807060504030201ull);
	ck_assert_uint_eq(get(AT_DEVICE + 3, 2), 0x0504);
	ck_assert_uint_eq(get(AT_DEVICE + CONFIG - 2, 4), 0x1817);
	ck_assert_uint_eq(get(AT_DEVICE + CONFIG, 8), 0);
	ck_assert_uint_eq(get(AT_DEVICE + VIRTIO_CONFIG_BYTES - 1, 8), 0);
	ck_assert_uint_eq(get(AT_NOTIFY - 1, 8), 0);
}
END_TEST

START_TEST(device_config_writes)
{
	put(AT_DEVICE, 4, 0); /* before FEATURES_OK */
	ck_assert_uint_eq(toy.config_writes, 0);
	negotiate(FEATURES);
	put(AT_DEVICE + 4, 4, 0x11223344);
	ck_assert_uint_eq(toy.config_writes, 1);
	ck_assert_uint_eq(toy.last_offset, 4);
	ck_assert_uint_eq(toy.last_bytes, 4);
	ck_assert_uint_eq(toy.last_data[0], 0x44);
	ck_assert_uint_eq(get(AT_DEVICE + 4, 4), 0x08070605); /* the device decides */
	put(AT_DEVICE + CONFIG - 1, 8, ~0ull);
	ck_assert_uint_eq(toy.last_bytes, 1);
	put(AT_DEVICE + CONFIG, 4, 0);
	ck_assert_uint_eq(toy.config_writes, 2);
}
END_TEST

START_TEST(generation_changes_with_the_config_and_only_then)
{
	unsigned before = (unsigned)get(VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	drive();
	put(AT_DEVICE, 4, 1);
	put(VIRTIO_PCI_COMMON_CFGGENERATION, 1, 99);
	ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), before);
	for (unsigned i = 1; i < 600; i++) {
		toy.dev.transport->config_changed(&toy.dev);
		ck_assert_uint_eq(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), (before + i) & 0xff);
	}
}
END_TEST

/* --- the window in configuration space --- */

static unsigned window;

static void aim(unsigned bar, uint32_t offset, uint32_t bytes)
{
	window = find_cap(PCI_CAP_ID_VNDR, VIRTIO_PCI_CAP_PCI_CFG);
	config_put(window + VIRTIO_PCI_CAP_BAR, 1, bar);
	config_put(window + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	config_put(window + VIRTIO_PCI_CAP_LENGTH, 4, bytes);
}

START_TEST(window_reads_and_writes_registers)
{
	config_put(PCI_COMMAND, 2, 0); /* it needs no BAR to be mapped */
	aim(0, VIRTIO_PCI_COMMON_NUMQ, 2);
	ck_assert_uint_eq(config_get(window + 16, 4), QUEUES);
	aim(0, VIRTIO_PCI_COMMON_STATUS, 1);
	config_put(window + 16, 4, 0xffffff01); /* of which one byte counts */
	ck_assert_uint_eq(config_get(window + 16, 4), ACK);
	ck_assert_uint_eq(toy.dev.status, ACK);
	config_put(window + 16, 1, ACK | DRIVER);
	ck_assert_uint_eq(toy.dev.status, ACK | DRIVER);
	aim(1, 12, 4); /* the MSI-X table, too */
	ck_assert_uint_eq(config_get(window + 16, 4), 1);
	aim(0, AT_DEVICE + 4, 4);
	ck_assert_uint_eq(config_get(window + 16, 4), 0x08070605);
	ck_assert_uint_eq(config_get(window + 16 + 1, 2), 0x0706);
}
END_TEST

/* Nothing outside a BAR answers, whatever the guest aims at. */
START_TEST(window_abuse)
{
	static const uint32_t offsets[] = {0,          1,          2,          3,
					   0x3fff,     0x3ffe,     0x3ffd,     0x3ffc,
					   0x4000,     0x7fffffff, 0x80000000, 0xfffffffc,
					   0xfffffffe, 0xffffffff, 0x1fff};
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 5, 8, 16, 0x80, 0x10000, 0xffffffff};

	for (unsigned bar = 0; bar < 256; bar++) {
		for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
			for (unsigned j = 0; j < ARRAY_SIZE(lengths); j++) {
				uint32_t n = lengths[j], size = bar == 0 ? 0x4000 : 0x2000;
				bool valid = bar < 2 && (n == 1 || n == 2 || n == 4) &&
					     offsets[i] % n == 0 && offsets[i] < size &&
					     n <= size - offsets[i];

				aim(bar, offsets[i], n);
				if (valid && bar == 0)
					continue; /* may well change something: see above */
				config_put(window + 16, 4, 0x12345678);
				if (!valid)
					ck_assert_uint_eq(config_get(window + 16, 4), 0xffffffff);
			}
		}
	}
	ck_assert_uint_eq(toy.dev.status, 0);
}
END_TEST

/* --- any access --- */

START_TEST(unaligned_and_8_byte_reads_show_the_same_bytes)
{
	uint8_t bytes[80] = {0};

	drive();
	select_queue(1);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)get(i, 1);
	for (unsigned offset = 0; offset < sizeof(bytes) - 8; offset++) {
		for (unsigned n = 1; n <= 8; n++) {
			uint64_t value = get(offset, n);

			ck_assert_int_eq(memcmp(&value, bytes + offset, n), 0);
		}
	}
}
END_TEST

START_TEST(any_storm_of_accesses_is_survived)
{
	uint64_t random = 3;

	for (unsigned i = 0; i < 60000; i++) {
		random = random * 6364136223846793005ull + 1442695040888963407ull;
		unsigned low = (unsigned)(random >> 36), bytes = 1 + low % 8, at = low >> 4;
		uint64_t value = low & 8 ? random : random >> 62;

		switch (random >> 33 & 7) {
		case 0:
			config_put(at % PCI_CONFIG_BYTES, bytes, random);
			break;
		case 1:
			config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | (value & 4));
			config_put(PCI_BASE_ADDRESS_0, 8, 0xc0010000c0000000ull);
			break;
		case 2:
			put(at % 0x4000, bytes, value);
			break;
		case 3:
			get(at % 0x4000, bytes);
			break;
		case 4:
			bus_write(&bus, BUS_MMIO, bar_base(1) + at % 64, bytes, value);
			break;
		case 5:
			set_status(at & 1 ? 0 : 0xf);
			accept_features(FEATURES);
			break;
		default:
			put(at % 64, bytes, value);
		}
		if (i % 512 == 0)
			run_loop();
	}
	toy.dev.transport->reset_done(&toy.dev);
}
END_TEST

START_TEST(what_cannot_be_made_leaves_nothing)
{
	struct virtio_pci *more[PCI_NUM_SLOTS];
	static struct stand_in toys[PCI_NUM_SLOTS];
	unsigned made = 0, fds;
	int ret;

	for (;; made++) {
		toys[made].dev = toy.dev;
		toys[made].dev.config_bytes = 0;
		fds = open_fds();
		ret = virtio_pci_create(&more[made], &root, &gsis, loop, &toys[made].dev);
		if (ret < 0)
			break;
	}
	ck_assert_int_eq(ret, -ENOSPC);
	ck_assert_uint_eq(made, PCI_NUM_SLOTS - 2);
	ck_assert_uint_eq(open_fds(), fds);
	while (made-- > 0)
		virtio_pci_destroy(more[made]);
	virtio_pci_destroy(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_virtio_pci");
	TCase *tc = tcase_create("virtio_pci");

	tcase_add_checked_fixture(tc, rig_setup, rig_teardown);
	tcase_add_test(tc, ids);
	tcase_add_test(tc, capabilities);
	tcase_add_test(tc, fresh_registers);
	tcase_add_test(tc, features_are_offered_by_halves_and_nothing_beyond);
	tcase_add_test(tc, a_driver_goes_all_the_way);
	tcase_add_test(tc, features_that_were_not_offered);
	tcase_add_test(tc, features_without_version_1);
	tcase_add_test(tc, features_beyond_bit_63);
	tcase_add_test(tc, features_are_final_once_they_are_ok);
	tcase_add_test(tc, driver_ok_without_features_ok);
	tcase_add_test(tc, status_nonsense);
	tcase_add_test(tc, all_of_the_status_at_once);
	tcase_add_test(tc, queue_index_out_of_range);
	tcase_add_test(tc, queue_sizes_of_split_rings);
	tcase_add_test(tc, queue_sizes_of_packed_rings);
	tcase_add_test(tc, queue_size_that_fits_no_more_is_not_enabled);
	tcase_add_test(tc, addresses_by_halves_bytes_and_wholes);
	tcase_add_test(tc, enable_takes_only_1_and_final_features);
	tcase_add_test(tc, double_enable);
	tcase_add_test(tc, an_enabled_queue_cannot_be_changed);
	tcase_add_test(tc, a_queue_enabled_late_is_told);
	tcase_add_test(tc, queue_reset);
	tcase_add_test(tc, queue_reset_that_may_not_be);
	tcase_add_test(tc, reset_reads_the_old_status_until_it_is_done);
	tcase_add_test(tc, reset_during_reset);
	tcase_add_test(tc, reset_while_a_queue_is_being_reset);
	tcase_add_test(tc, machine_reset);
	tcase_add_test(tc, device_config_reads);
	tcase_add_test(tc, device_config_writes);
	tcase_add_test(tc, generation_changes_with_the_config_and_only_then);
	tcase_add_test(tc, window_reads_and_writes_registers);
	tcase_add_test(tc, window_abuse);
	tcase_add_test(tc, unaligned_and_8_byte_reads_show_the_same_bytes);
	tcase_add_test(tc, any_storm_of_accesses_is_survived);
	tcase_add_test(tc, what_cannot_be_made_leaves_nothing);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
