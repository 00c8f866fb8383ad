/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_link.c - has a host port a carrier? Layer L5, control thread, but for the event of a device,
 * which comes on DPDK's interrupt thread.
 *
 * A device with an interface in the kernel is asked of there once a second: net_af_packet always
 * says that it is up, and net_tap that it is down when its interface was moved to another network
 * namespace, as is usual for containers.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <rte_ethdev.h>
#include <string.h>
#include <sys/ioctl.h>

#include "net/host.h"
#include "vhost/base/log.h"

#define LOOK_MS 1000

/*
 * interface_is_gone - was the interface of a tap deleted? Its queue can never be read again, and
 * would wake its lcore for ever.
 */
static bool interface_is_gone(struct net_host *host, struct ifreq *request)
{
	if (host->rx[0].interrupt_fd < 0)
		return false;
	/* It may have been given another name. */
	if (ioctl(host->rx[0].interrupt_fd, TUNGETIFF, request) < 0)
		return errno == EBADFD;
	memcpy(host->interface, request->ifr_name, sizeof(host->interface));
	return false;
}

/* interface_trouble - Return: why nothing can leave by it, or NULL.
 * Syscalls (net): ioctl(request=SIOCGIFFLAGS|TUNGETIFF) */
static const char *interface_trouble(struct net_host *host)
{
	struct ifreq request = {0};

	if (interface_is_gone(host, &request))
		net_host_detach(host);
	if (host->gone)
		return "interface deleted";
	memcpy(request.ifr_name, host->interface, sizeof(request.ifr_name));
	if (ioctl(host->interface_fd, SIOCGIFFLAGS, &request) < 0) {
		/* A tap that is not here is in another namespace. */
		return errno != ENODEV || host->driver->is_tap ? NULL : "interface deleted";
	}
	if (!(request.ifr_flags & IFF_UP))
		return "interface down";
	return request.ifr_flags & IFF_RUNNING ? NULL : "no carrier";
}

static void look(struct net_host *host)
{
	struct rte_eth_link link;
	const char *trouble = NULL;

	if (host->interface_fd >= 0)
		trouble = interface_trouble(host);
	else if (rte_eth_link_get_nowait(host->ethdev, &link) == 0 &&
		 link.link_status == RTE_ETH_LINK_DOWN)
		trouble = "no carrier";
	net_port_set_ready(&host->port, !trouble, trouble);
}

static void on_timer(struct loop_timer *timer)
{
	struct net_host *host = container_of(timer, struct net_host, link_timer);

	look(host);
	loop_timer_set(host->loop, &host->link_timer, LOOK_MS, on_timer);
}

static void on_mail(struct mail *mail)
{
	look(container_of(mail, struct net_host, link_mail));
}

/* On DPDK's interrupt thread, or whichever notices. */
static int on_event(uint16_t ethdev, enum rte_eth_event_type type, void *arg, void *param)
{
	struct net_host *host = arg;

	(void)ethdev;
	(void)type;
	(void)param;
	loop_post(host->loop, &host->link_mail, on_mail);
	return 0;
}

void net_host_link_begin(struct net_host *host)
{
	look(host);
	rte_eth_dev_callback_register(host->ethdev, RTE_ETH_EVENT_INTR_LSC, on_event, host);
	loop_timer_set(host->loop, &host->link_timer, LOOK_MS, on_timer);
}

void net_host_link_end(struct net_host *host)
{
	rte_eth_dev_callback_unregister(host->ethdev, RTE_ETH_EVENT_INTR_LSC, on_event, host);
	loop_cancel_post(host->loop, &host->link_mail);
	loop_timer_cancel(host->loop, &host->link_timer);
}
