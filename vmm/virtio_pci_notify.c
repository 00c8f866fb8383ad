/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_pci_notify.c - kicks from the guest and interrupts to it.
 * VMM; every call with the board lock held, on the main thread or a vCPU's. Virtio 1.3, 4.1.4.4 and
 * 4.1.4.5.
 *
 * A kick is an ioeventfd and an interrupt an irqfd, and neither comes by here. Two things do: kicks
 * while they are counted, and interrupts by INTx, whose level somebody must hold. For those the loop
 * watches the call fds, which only its own thread may change: others send it mail.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>
#include <sys/eventfd.h>

#include "vhost/base/eventfd.h"
#include "vmm/virtio_pci_internal.h"

#define ISR_QUEUE 1 /* the other bit: VIRTIO_PCI_ISR_CONFIG */

/* --- kicks --- */

/* add_ioeventfd - a driver may notify with a write of any size; where the hypervisor has no such
 * thing, with one of the size that 4.1.5.2 names. */
static void add_ioeventfd(struct virtio_pci *vpci, unsigned index)
{
	struct hv *hv = vpci->pci.root->hv;
	struct vpci_queue *queue = &vpci->queues[index];
	uint64_t gpa = vpci->pci.bars[VPCI_BAR].range.base + VPCI_NOTIFY * VPCI_PART_BYTES +
		       (uint64_t)index * VPCI_NOTIFY_STEP;
	int fd = vpci->dev->queues[index].kick_fd;
	int ret;

	queue->ioeventfd_gpa = gpa;
	queue->ioeventfd_bytes = 0;
	ret = hv->ops->ioeventfd_add(hv, gpa, 0, fd);
	if (ret == -EINVAL) {
		queue->ioeventfd_bytes = 2;
		ret = hv->ops->ioeventfd_add(hv, gpa, 2, fd);
	}
	queue->has_ioeventfd = ret == 0;
	if (ret < 0)
		log_warn_limited(&vpci->limit, vpci->dev->name,
				 "queue %u has no ioeventfd (%s): its kicks take the slow way",
				 index, strerror(-ret));
}

static void del_ioeventfd(struct virtio_pci *vpci, unsigned index)
{
	struct hv *hv = vpci->pci.root->hv;
	struct vpci_queue *queue = &vpci->queues[index];

	hv->ops->ioeventfd_del(hv, queue->ioeventfd_gpa, queue->ioeventfd_bytes,
			       vpci->dev->queues[index].kick_fd);
	queue->has_ioeventfd = false;
}

/* Only queues in use have one: the hypervisor's number of them is limited, and each costs it time. */
void vpci_update_ioeventfds(struct virtio_pci *vpci)
{
	bool possible = vpci->bar_mapped && !vpci->count_kicks;

	for (unsigned i = 0; i < vpci->dev->num_queues; i++) {
		bool wanted = possible && vpci->dev->queues[i].enabled;

		if (wanted && !vpci->queues[i].has_ioeventfd)
			add_ioeventfd(vpci, i);
		else if (!wanted && vpci->queues[i].has_ioeventfd)
			del_ioeventfd(vpci, i);
	}
}

/* The back-end shares the kick fd and must not be able to hold up a vCPU, and with it the board lock,
 * by filling the counter: hence eventfd_signal().
 * Syscalls (vcpu): io_submit, io_getevents, write */
void vpci_notify(struct virtio_pci *vpci, uint64_t offset)
{
	uint64_t index = offset / VPCI_NOTIFY_STEP;
	struct virtio_queue *queue;

	if (offset % VPCI_NOTIFY_STEP || index >= vpci->dev->num_queues)
		return;
	queue = &vpci->dev->queues[index];
	if (!queue->enabled)
		return;
	queue->kicks++;
	eventfd_signal(queue->kick_fd);
}

/* Syscalls: preadv2
 * Syscalls (vcpu): preadv2 */
void vpci_forget_signals(struct virtio_pci *vpci, unsigned index)
{
	eventfd_drain(vpci->dev->queues[index].kick_fd);
	eventfd_drain(vpci->dev->queues[index].call_fd);
}

/* --- INTx --- */

static void update_line(struct virtio_pci *vpci)
{
	pci_set_intx(&vpci->pci, vpci->isr && !msix_enabled(vpci->msix));
}

static void set_isr(struct virtio_pci *vpci, uint8_t isr)
{
	vpci->isr = isr;
	update_line(vpci);
}

uint8_t vpci_read_isr(struct virtio_pci *vpci)
{
	uint8_t isr = vpci->isr;

	set_isr(vpci, 0);
	return isr;
}

void vpci_clear_isr(struct virtio_pci *vpci)
{
	set_isr(vpci, 0);
}

static bool watch_wanted(const struct virtio_pci *vpci, unsigned index)
{
	return !msix_enabled(vpci->msix) && vpci->dev->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       vpci->dev->queues[index].enabled;
}

/* Syscalls: preadv2 */
static void on_call(struct loop_watch *watch, uint32_t events)
{
	struct vpci_queue *queue = container_of(watch, struct vpci_queue, watch);
	struct virtio_pci *vpci = queue->vpci;

	(void)events;
	/* Mail that ends this watch is under way: the signal is meant for the irqfd. */
	if (!watch_wanted(vpci, (unsigned)(queue - vpci->queues)))
		return;
	if (eventfd_drain(watch->fd))
		set_isr(vpci, vpci->isr | ISR_QUEUE);
}

static void update_watches(struct virtio_pci *vpci)
{
	for (unsigned i = 0; i < vpci->dev->num_queues; i++) {
		struct vpci_queue *queue = &vpci->queues[i];
		bool wanted = watch_wanted(vpci, i);
		int ret = 0;

		if (!wanted)
			loop_watch_del(vpci->loop, &queue->watch);
		else if (!queue->watch.active)
			ret = loop_watch_add(vpci->loop, &queue->watch,
					     vpci->dev->queues[i].call_fd, EPOLLIN, on_call);
		if (ret < 0)
			log_warn_limited(&vpci->limit, vpci->dev->name,
					 "queue %u cannot interrupt: %s", i, strerror(-ret));
	}
}

static void on_watch_mail(struct mail *mail)
{
	struct virtio_pci *vpci = container_of(mail, struct virtio_pci, watch_mail);

	vpci->watch_posted = false;
	update_watches(vpci);
}

static bool watches_differ(const struct virtio_pci *vpci)
{
	for (unsigned i = 0; i < vpci->dev->num_queues; i++)
		if (vpci->queues[i].watch.active != watch_wanted(vpci, i))
			return true;
	return false;
}

/* Syscalls (vcpu): write: the main thread is woken */
void vpci_update_interrupts(struct virtio_pci *vpci)
{
	update_line(vpci);
	if (vpci->watch_posted || !watches_differ(vpci))
		return;
	vpci->watch_posted = true;
	loop_post(vpci->loop, &vpci->watch_mail, on_watch_mail);
}

/* --- MSI-X: queues are sources 0.., the configuration is the one behind them --- */

uint16_t vpci_bind_queue(struct virtio_pci *vpci, unsigned index, uint16_t vector)
{
	int ret = msix_bind(vpci->msix, index, vector, vpci->dev->queues[index].call_fd);

	return ret < 0 ? MSIX_NO_VECTOR : vector;
}

uint16_t vpci_bind_config(struct virtio_pci *vpci, uint16_t vector)
{
	int ret = msix_bind(vpci->msix, vpci->dev->num_queues, vector, vpci->config_fd);

	/* What nobody listened for is not to be heard by whoever listens next. */
	if (ret < 0 || vector == MSIX_NO_VECTOR)
		eventfd_drain(vpci->config_fd);
	return ret < 0 ? MSIX_NO_VECTOR : vector;
}

/* 4.1.4.5.1: the ISR bit in any case, the line only without MSI-X. A driver that is not ready has
 * perhaps read what changed, so it is told as soon as it is.
 * Syscalls: write
 * Syscalls (vcpu): write */
void vpci_config_interrupt(struct virtio_pci *vpci)
{
	const uint64_t one = 1;

	if (vpci->resetting)
		return;
	vpci->config_pending = !(vpci->dev->status & VIRTIO_CONFIG_S_DRIVER_OK);
	if (vpci->config_pending)
		return;
	vpci->dev->config_interrupts++;
	set_isr(vpci, vpci->isr | VIRTIO_PCI_ISR_CONFIG);
	/* The fd is our own, so nobody can have it block; a full counter is a signal already. */
	if (msix_enabled(vpci->msix) && vpci->config_vector != MSIX_NO_VECTOR &&
	    write(vpci->config_fd, &one, sizeof(one)) < 0)
		return;
}

/* --- life --- */

int vpci_init_notify(struct virtio_pci *vpci)
{
	struct virtio_device *dev = vpci->dev;

	vpci->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (unsigned i = 0; i < dev->num_queues; i++) {
		vpci->queues[i].vpci = vpci;
		dev->queues[i].kick_fd = dev->queues[i].call_fd = -1;
	}
	if (vpci->config_fd < 0)
		return -errno;
	for (unsigned i = 0; i < dev->num_queues; i++) {
		dev->queues[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (dev->queues[i].kick_fd < 0)
			return -errno;
		dev->queues[i].call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (dev->queues[i].call_fd < 0)
			return -errno;
	}
	return 0;
}

void vpci_end_notify(struct virtio_pci *vpci)
{
	loop_cancel_post(vpci->loop, &vpci->watch_mail);
	for (unsigned i = 0; i < vpci->dev->num_queues; i++) {
		loop_watch_del(vpci->loop, &vpci->queues[i].watch);
		close_fd(&vpci->dev->queues[i].kick_fd);
		close_fd(&vpci->dev->queues[i].call_fd);
	}
	close_fd(&vpci->config_fd);
}
