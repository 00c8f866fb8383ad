/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host_driver.c - see host_driver.h. Layer L5, control thread.
 *
 * What DPDK 22.11's drivers do not say of themselves:
 * net_tap: TSO and checksums are its own software, TSO for IPv4 alone and at most 64 segments; more
 *	than four queue pairs overrun a buffer of its (tap_mp_req_on_rxtx); it stops at a frame it
 *	cannot write. Looking at an empty queue is a readv(2).
 * net_af_packet: one mbuf takes a whole frame, of at most framesz= less the kernel's header.
 * net_null: what is sent is freed, whatever it is; net_ring: it is handed on as it is.
 */
#include "net/host_driver.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Kernel headers in front of a frame in a ring of net_af_packet, and a VLAN tag or two. */
#define AF_PACKET_ROOM 128

static const struct net_host_driver drivers[] = {
	{
		.name = "net_tap",
		.check = "it needs /dev/net/tun and CAP_NET_ADMIN; an interface that is there "
			 "already has to be free and made with multi_queue",
		.max_queues = 4,
		.in_software = true,
		.look_is_call = true,
		.stops_at_bad = true,
		.closes = true,
		.is_tap = true,
	},
	{
		.name = "net_af_packet",
		.check = "iface= has to name an interface that is here ('ip link'), and it needs "
			 "CAP_NET_RAW and CAP_NET_ADMIN",
		.closes = true,
	},
	{
		.name = "net_af_xdp",
		.check = "iface= has to name an interface that is here ('ip link') with as many "
			 "channels as queues ('ethtool -l'); it needs CAP_NET_ADMIN, CAP_NET_RAW "
			 "and CAP_BPF",
	},
	{
		.name = "net_memif",
		.check = "role= is server or client, socket= a path that can be made or connected "
			 "to",
		.any_frame = true,
	},
	{
		.name = "net_pcap",
		.check = "one of rx_pcap=FILE and tx_pcap=FILE, or iface=NAME, has to be there",
		.any_frame = true,
	},
	{
		.name = "net_null",
		.check = "it takes no-rx=1, size=N, copy=0 or 1",
		.any_frame = true,
		.closes = true,
	},
	{
		.name = "net_ring",
		.check = "its name has to be new",
		.any_frame = true,
		.closes = true,
	},
	{
		.name = "net_virtio_user",
		.check = "path= has to name a vhost-user socket or /dev/vhost-net",
	},
};

static const struct net_host_driver pci_driver = {
	.name = "",
	.check = "the device has to be bound to vfio-pci ('dpdk-devbind.py --status')",
};

static const struct net_host_driver unknown_driver = {
	.name = "",
	.check = "see dpdk= in ringside-net(1) for what there is",
};

bool net_host_is_pci(const char *dpdk)
{
	unsigned domain, bus, device, function;
	int used = 0, fields;

	fields = sscanf(dpdk, "%x:%x:%x.%x%n", &domain, &bus, &device, &function, &used);
	if (fields == 4 && used && (!dpdk[used] || dpdk[used] == ','))
		return true;
	used = 0;
	fields = sscanf(dpdk, "%x:%x.%x%n", &bus, &device, &function, &used);
	return fields == 3 && used && (!dpdk[used] || dpdk[used] == ',');
}

/* ends_name - behind a driver's name: a number, arguments, or nothing. */
static bool ends_name(const char *text)
{
	text += strspn(text, "0123456789");
	return !*text || *text == ',';
}

/* prefix_of - how much of @text is @driver's name, with or without "net_". Return: 0 if none. */
static size_t prefix_of(const char *text, const struct net_host_driver *driver)
{
	const char *name = driver->name;

	if (strncmp(text, "net_", 4) && strncmp(text, "eth_", 4))
		name += 4;
	else if (!strncmp(text, "eth_", 4))
		return 0;
	if (strncmp(text, name, strlen(name)) || !ends_name(text + strlen(name)))
		return 0;
	return strlen(name);
}

const struct net_host_driver *net_host_driver_of(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++)
		if (prefix_of(name, &drivers[i]))
			return &drivers[i];
	return net_host_is_pci(name) ? &pci_driver : &unknown_driver;
}

bool net_host_argument(const char *dpdk, const char *key, char *value, size_t bytes)
{
	size_t length = strlen(key);
	const char *at = strchr(dpdk, ',');

	for (; at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, key, length) || at[length] != '=')
			continue;
		snprintf(value, bytes, "%.*s", (int)strcspn(at + length + 1, ","), at + length + 1);
		return true;
	}
	return false;
}

uint16_t net_host_interface_mtu(const char *name)
{
	struct ifreq request = {0};
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu > UINT16_MAX)
		return 0;
	return (uint16_t)request.ifr_mtu;
}

/* ring_frame - bytes of a frame in net_af_packet's rings: those of @dpdk, or what the MTU takes. */
static unsigned ring_frame(const char *dpdk, uint16_t mtu)
{
	char value[32];
	unsigned frame = NET_MBUF_BYTES;

	if (net_host_argument(dpdk, "framesz", value, sizeof(value)))
		return (unsigned)strtoul(value, NULL, 10);
	if (!mtu && net_host_argument(dpdk, "iface", value, sizeof(value)))
		mtu = net_host_interface_mtu(value);
	while (frame < mtu + (unsigned)AF_PACKET_ROOM)
		frame *= 2;
	return frame;
}

uint32_t net_host_large_mbuf(const struct net_port_options *opt)
{
	unsigned frame;

	if (strcmp(net_host_driver_of(opt->dpdk)->name, "net_af_packet"))
		return 0;
	frame = ring_frame(opt->dpdk, opt->mtu);
	return frame > NET_MBUF_BYTES && frame <= UINT16_MAX - RTE_PKTMBUF_HEADROOM ? frame : 0;
}

/* af_packet_arguments - a queue an lcore, and frames of a size, unless @dpdk says otherwise. */
static void af_packet_arguments(const char *dpdk, uint16_t mtu, unsigned num_lcores, char *text,
				size_t bytes)
{
	unsigned frame = ring_frame(dpdk, mtu);
	char value[32];
	int used = 0;

	if (num_lcores > 1 && !net_host_argument(dpdk, "qpairs", value, sizeof(value)))
		used = snprintf(text, bytes, ",qpairs=%u", num_lcores);
	if (frame > NET_MBUF_BYTES && !net_host_argument(dpdk, "framesz", value, sizeof(value)) &&
	    !net_host_argument(dpdk, "blocksz", value, sizeof(value)))
		snprintf(text + used, bytes - (size_t)used, ",framesz=%u,blocksz=%u", frame,
			 max_of(frame, 4096u));
}

/* is_free - no device has this name. */
static bool is_free(const char *name)
{
	uint16_t id;

	return rte_eth_dev_get_port_by_name(name, &id) < 0;
}

int net_host_device_string(const char *dpdk, uint16_t mtu, unsigned num_lcores, char *device,
			   size_t device_bytes, char *name, size_t name_bytes, char *error,
			   size_t error_bytes)
{
	const struct net_host_driver *driver = net_host_driver_of(dpdk);
	size_t prefix = driver->name[0] ? prefix_of(dpdk, driver) : 0;
	size_t named = strcspn(dpdk, ",");
	char more[80] = "";
	unsigned number = 0;

	if (prefix && prefix == named) { /* without a number */
		do
			snprintf(name, name_bytes, "%s%u", driver->name, number++);
		while (!is_free(name) && number < RTE_MAX_ETHPORTS);
	} else if (prefix && strncmp(dpdk, "net_", 4)) {
		snprintf(name, name_bytes, "net_%.*s", (int)named, dpdk);
	} else {
		snprintf(name, name_bytes, "%.*s", (int)named, dpdk);
	}
	if (!is_free(name) && driver != &pci_driver) {
		snprintf(error, error_bytes, "there is a device %s already", name);
		return -EINVAL;
	}
	if (!strcmp(driver->name, "net_af_packet"))
		af_packet_arguments(dpdk, mtu, num_lcores, more, sizeof(more));
	if ((size_t)snprintf(device, device_bytes, "%s%s%s", name, dpdk + named, more) >=
	    device_bytes) {
		snprintf(error, error_bytes, "the device string is too long");
		return -EINVAL;
	}
	return 0;
}

uint64_t net_host_memory(const struct net_port_options *opt)
{
	return (4u << 20) + (uint64_t)NET_HOST_LARGE_MBUFS * net_host_large_mbuf(opt);
}
