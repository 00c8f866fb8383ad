/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * port_options.c - what a port is made of: the keys of --port, and of port.add at run time, where a
 * mistake must not end the program. Layer L5, control thread.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/options.h"
#include "net/switch.h"
#include "vhost/base/parse.h"
#include "vhost/daemon/options.h"

#define DEFAULT_RING_SIZE 1024
#define LEAST_RING_SIZE   64
#define MOST_RING_SIZE    32768
#define DEFAULT_MAX_MACS  1024
#define LEAST_MTU         68 /* of IPv4, and what VIRTIO_NET_F_MTU allows */
#define MOST_MTU          65535
#define LEAST_RATE        (16u << 10)
#define MOST_RATE         (1ull << 40)
#define MOST_SPEED        1000000 /* Mbit/s */

#define BIT(n) (1ull << (n))

#ifndef VIRTIO_NET_F_NOTF_COAL
#define VIRTIO_NET_F_NOTF_COAL 53
#endif

#define OFFLOADS                                                                                 \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) |  \
	 BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) |                            \
	 BIT(VIRTIO_NET_F_GUEST_UFO) | BIT(VIRTIO_NET_F_GUEST_USO4) |                            \
	 BIT(VIRTIO_NET_F_GUEST_USO6) | BIT(VIRTIO_NET_F_HOST_TSO4) |                            \
	 BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_HOST_UFO) | \
	 BIT(VIRTIO_NET_F_HOST_USO))
#define NEEDS_CTRL                                                                             \
	(BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) | BIT(VIRTIO_NET_F_CTRL_VLAN) | \
	 BIT(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |                  \
	 BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) |             \
	 BIT(VIRTIO_NET_F_NOTF_COAL) | BIT(VIRTIO_NET_F_RSS) | BIT(VIRTIO_NET_F_HASH_REPORT))

/* Where the line about a mistake goes. */
struct parse {
	struct net_port_options *port;
	const char *key;
	char *error;
	size_t error_bytes;
	unsigned kinds; /* of the keys seen so far */
	const char *guest_key; /* one of them that only a guest has; NULL: none */
};

static int fail(struct parse *p, int code, const char *fmt, ...) printf_like(3, 4);

static int fail(struct parse *p, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(p->error, p->error_bytes, fmt, args);
	va_end(args);
	return code;
}

/* --- values --- */

static int number(struct parse *p, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	if (parse_uint(text, min, max, out) == 0)
		return 0;
	return fail(p, -EINVAL, "%s=%.64s: must be a whole number from %llu to %llu", p->key, text,
		    (unsigned long long)min, (unsigned long long)max);
}

static int on_off(struct parse *p, const char *text, bool *out)
{
	if (parse_on_off(text, out) == 0)
		return 0;
	return fail(p, -EINVAL, "%s=%.64s: must be on or off", p->key, text);
}

static int rate(struct parse *p, const char *text, uint64_t *out)
{
	if (net_rate_parse(text, out) == 0)
		return 0;
	return fail(p, -EINVAL,
		    "%s=%.64s: must be bytes a second, 16K to 1T, such as 125M, or 0: no limit",
		    p->key, text);
}

static int set_name(struct parse *p, const char *text)
{
	if (!text[0] || strlen(text) > NET_MAX_PORT_NAME)
		return fail(p, -EINVAL, "name=%.64s: must have 1 to %d bytes", text,
			    NET_MAX_PORT_NAME);
	/* It is printed, typed, and a label of metrics. */
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '"' || *c == '\\')
			return fail(p, -EINVAL,
				    "name=%.64s: must be of letters, digits and signs of ASCII, "
				    "without quotes and backslashes",
				    text);
	memcpy(p->port->name, text, strlen(text) + 1);
	return 0;
}

static int set_socket(struct parse *p, const char *text)
{
	if (!text[0])
		return fail(p, -EINVAL, "socket=: the path is empty");
	p->port->socket.path = text;
	return 0;
}

static int set_client(struct parse *p, const char *text)
{
	return on_off(p, text, &p->port->socket.client);
}

static int set_fd(struct parse *p, const char *text)
{
	uint64_t fd;
	int ret = number(p, text, 0, 1 << 20, &fd);

	if (ret == 0)
		p->port->socket.fd = (int)fd;
	return ret;
}

static int set_queues(struct parse *p, const char *text)
{
	uint64_t n;
	int ret = number(p, text, 1, NET_MAX_PAIRS, &n);

	if (ret == 0)
		p->port->queues = (unsigned)n;
	return ret;
}

static int set_queue_size(struct parse *p, const char *text)
{
	uint64_t n;
	int ret = number(p, text, LEAST_RING_SIZE, MOST_RING_SIZE, &n);

	if (ret < 0)
		return ret;
	if (n & (n - 1))
		return fail(p, -EINVAL, "queue-size=%s: must be a power of two", text);
	p->port->queue_size = (unsigned)n;
	return 0;
}

static int set_dpdk(struct parse *p, const char *text)
{
	if (!text[0])
		return fail(p, -EINVAL, "dpdk=: the device is empty");
	p->port->kind = NET_HOST;
	p->port->dpdk = text;
	return 0;
}

static int set_mac(struct parse *p, const char *text)
{
	int ret = net_mac_parse(text, &p->port->mac);

	if (ret == -EINVAL)
		return fail(p, ret, "mac=%.64s: must be an address such as 52:54:00:12:34:56",
			    text);
	if (ret < 0)
		return fail(p, -EINVAL, "mac=%.64s: is not the address of one station", text);
	p->port->has_mac = true;
	return 0;
}

static int set_mac_lock(struct parse *p, const char *text)
{
	return on_off(p, text, &p->port->mac_lock);
}

static int set_mtu(struct parse *p, const char *text)
{
	uint64_t n;
	int ret = number(p, text, LEAST_MTU, MOST_MTU, &n);

	if (ret == 0)
		p->port->mtu = (uint16_t)n;
	return ret;
}

static int set_speed(struct parse *p, const char *text)
{
	uint64_t n;
	int ret = number(p, text, 0, MOST_SPEED, &n);

	if (ret == 0)
		p->port->speed_mbit = (uint32_t)n;
	return ret;
}

static int set_rate_in(struct parse *p, const char *text)
{
	return rate(p, text, &p->port->rate_in_bytes_s);
}

static int set_rate_out(struct parse *p, const char *text)
{
	return rate(p, text, &p->port->rate_out_bytes_s);
}

static int set_max_macs(struct parse *p, const char *text)
{
	uint64_t n;
	int ret = number(p, text, 1, NET_SWITCH_ENTRIES, &n);

	if (ret == 0)
		p->port->max_macs = (unsigned)n;
	return ret;
}

/* --- keys --- */

#define GUESTS 1u
#define HOSTS  2u

static const struct key {
	const char *name;
	unsigned kinds; /* of ports that have it */
	int (*set)(struct parse *p, const char *text);
	uint64_t features; /* without set: a switch for these */
} keys[] = {
	{"name", GUESTS | HOSTS, set_name, 0},
	{"socket", GUESTS, set_socket, 0},
	{"client", GUESTS, set_client, 0},
	{"fd", GUESTS, set_fd, 0},
	{"queues", GUESTS, set_queues, 0},
	{"queue-size", GUESTS, set_queue_size, 0},
	{"mac", GUESTS, set_mac, 0},
	{"mac-lock", GUESTS, set_mac_lock, 0},
	{"speed", GUESTS, set_speed, 0},
	{"mtu", GUESTS | HOSTS, set_mtu, 0},
	{"rate-in", GUESTS | HOSTS, set_rate_in, 0},
	{"rate-out", GUESTS | HOSTS, set_rate_out, 0},
	{"max-macs", GUESTS | HOSTS, set_max_macs, 0},
	{"dpdk", HOSTS, set_dpdk, 0},
	{"offload", GUESTS, NULL, OFFLOADS},
	{"mrg", GUESTS, NULL, BIT(VIRTIO_NET_F_MRG_RXBUF)},
	{"packed", GUESTS, NULL, BIT(VIRTIO_F_RING_PACKED)},
	{"in-order", GUESTS, NULL, BIT(VIRTIO_F_IN_ORDER)},
	{"indirect", GUESTS, NULL, BIT(VIRTIO_RING_F_INDIRECT_DESC)},
	{"event-idx", GUESTS, NULL, BIT(VIRTIO_RING_F_EVENT_IDX)},
	{"ctrl", GUESTS, NULL, NEEDS_CTRL},
};

static const struct key *find_key(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].name, name))
			return &keys[i];
	return NULL;
}

static int set_features(struct parse *p, const struct key *key, const char *text)
{
	bool on = false;
	int ret = on_off(p, text, &on);

	if (ret < 0)
		return ret;
	if (on)
		p->port->disable &= ~key->features;
	else
		p->port->disable |= key->features;
	return 0;
}

static int set_key(struct parse *p, const char *name, const char *value)
{
	const struct key *key = find_key(name);

	if (!key)
		return fail(p, -ENOENT, "has no key '%.64s'", name);
	if (!value && !strcmp(name, "client"))
		value = "on";
	if (!value)
		return fail(p, -ENOENT, "%s needs a value: %s=...", name, name);
	p->key = name;
	if (key->kinds == GUESTS)
		p->guest_key = key->name;
	return key->set ? key->set(p, value) : set_features(p, key, value);
}

/* check - do the keys fit each other? */
static int check(struct parse *p)
{
	const struct net_port_options *port = p->port;

	if (!port->name[0])
		return fail(p, -ENOENT, "name is missing: what is the port called?");
	if (port->kind == NET_HOST && p->guest_key)
		return fail(p, -ENOENT, "%s: is a guest's, and dpdk makes the port a device's",
			    p->guest_key);
	if (port->kind == NET_HOST)
		return 0;
	if (!port->socket.path && port->socket.fd < 0)
		return fail(p, -ENOENT,
			    "socket or dpdk is missing: what is at the other end of '%s'?",
			    port->name);
	if (port->socket.path && port->socket.fd >= 0)
		return fail(p, -ENOENT, "socket and fd exclude each other");
	if (port->socket.client && !port->socket.path)
		return fail(p, -ENOENT, "client needs socket");
	if (port->mac_lock && !port->has_mac)
		return fail(p, -EINVAL, "mac-lock=on: which address? It needs mac=");
	return 0;
}

void net_port_options_init(struct net_port_options *port, enum net_port_kind kind, const char *name)
{
	*port = (struct net_port_options){
		.kind = kind,
		.socket = DAEMON_NO_SOCKET,
		.queues = 1,
		.queue_size = DEFAULT_RING_SIZE,
		.max_macs = DEFAULT_MAX_MACS,
	};
	snprintf(port->name, sizeof(port->name), "%s", name);
}

int net_port_options_parse(struct net_port_options *port, char *text, char *error,
			   size_t error_bytes)
{
	struct parse p = {.port = port, .error = error, .error_bytes = error_bytes};
	char *cursor = text, *key, *value;
	int ret = 0;

	net_port_options_init(port, NET_GUEST, "");
	port->text = text;
	while (ret == 0) {
		/* A device string has commas of its own: it is the rest. */
		if (cursor && !strncmp(cursor, "dpdk=", 5)) {
			ret = set_key(&p, "dpdk", cursor + 5);
			break;
		}
		if (!parse_keyval(&cursor, &key, &value))
			break;
		ret = set_key(&p, key, value);
	}
	return ret ? ret : check(&p);
}

int net_rate_parse(const char *text, uint64_t *bytes_s)
{
	uint64_t value;

	if (parse_size(text, &value) < 0 || value > MOST_RATE || (value && value < LEAST_RATE))
		return -EINVAL;
	*bytes_s = value;
	return 0;
}

int net_mac_parse(const char *text, struct rte_ether_addr *mac)
{
	struct rte_ether_addr value;

	/* DPDK knows other forms, too. */
	if (strlen(text) != 17 || !strchr(text, ':') || rte_ether_unformat_addr(text, &value) < 0)
		return -EINVAL;
	if (!rte_is_valid_assigned_ether_addr(&value))
		return -EADDRNOTAVAIL;
	*mac = value;
	return 0;
}
