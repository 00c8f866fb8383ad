/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options_device.c - --vhost-user-blk, --vhost-user-net, --vhost-user-balloon and --vhost-user. VMM,
 * start-up.
 */
#include <ctype.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "vhost/base/log.h"
#include "vhost/base/option.h"
#include "vhost/wire/proto.h"
#include "vmm/options_part.h"
#include "vmm/virtio.h"

#define DEFAULT_WAIT_S 5
#define MAX_WAIT_S     86400
#define MIN_QUEUE_SIZE 4 /* the fewest with room for a request of three descriptors */
#define MAX_NET_PAIRS  ((VIRTIO_MAX_QUEUES - 1) / 2) /* and the control queue */
#define MAX_DEVICE_ID  63 /* PCI device IDs 0x1040 to 0x107f, virtio 1.3 section 4.1.2 */

static const char *const option_names[] = {
	[OPTIONS_BLK] = "--vhost-user-blk",
	[OPTIONS_NET] = "--vhost-user-net",
	[OPTIONS_BALLOON] = "--vhost-user-balloon",
	[OPTIONS_OTHER] = "--vhost-user",
};

/* Of all but OPTIONS_OTHER, which is told. */
static const uint16_t kind_ids[] = {
	[OPTIONS_BLK] = VIRTIO_ID_BLOCK,
	[OPTIONS_NET] = VIRTIO_ID_NET,
	[OPTIONS_BALLOON] = VIRTIO_ID_BALLOON,
};

void options_check_socket(const char *name, const char *path)
{
	size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (!path[0])
		fatal("%s=: the path is empty", name);
	if (strlen(path) > max)
		fatal("%s=%s: longer than the %zu bytes a unix socket's path may have", name, path,
		      max);
}

/* --- a key each --- */

static void set_socket(struct backend_options *dev, const char *name, const char *value)
{
	options_check_socket(name, value);
	dev->socket_path = value;
}

static void set_device_id(struct backend_options *dev, const char *name, const char *value)
{
	dev->device_id = (uint16_t)option_number(name, value, 1, MAX_DEVICE_ID);
	for (unsigned kind = 0; kind < ARRAY_SIZE(kind_ids); kind++)
		if (dev->device_id == kind_ids[kind])
			fatal("%s=%s: that is what %s is for", name, value, option_names[kind]);
}

static void set_queues(struct backend_options *dev, const char *name, const char *value)
{
	unsigned max = dev->device_id == VIRTIO_ID_NET ? MAX_NET_PAIRS : VIRTIO_MAX_QUEUES;

	dev->queues = (unsigned)option_number(name, value, 1, max);
}

static void set_queue_size(struct backend_options *dev, const char *name, const char *value)
{
	uint64_t size = option_number(name, value, MIN_QUEUE_SIZE, VU_MAX_RING_SIZE);

	if (size & (size - 1))
		fatal("%s=%s: must be a power of two from %d to %d", name, value, MIN_QUEUE_SIZE,
		      VU_MAX_RING_SIZE);
	dev->queue_size = (uint16_t)size;
}

static void set_config_size(struct backend_options *dev, const char *name, const char *value)
{
	dev->config_bytes = (unsigned)option_number(name, value, 0, VIRTIO_CONFIG_BYTES);
}

static void set_packed(struct backend_options *dev, const char *name, const char *value)
{
	dev->packed = option_on_off(name, value);
}

static void set_wait(struct backend_options *dev, const char *name, const char *value)
{
	dev->wait_s = (unsigned)option_number(name, value, 0, MAX_WAIT_S);
}

/* hex_pair - the byte that two digits at @text are. Return: 0 to 255, or -1. */
static int hex_pair(const char *text)
{
	char pair[3] = {0};

	for (int i = 0; i < 2; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return -1;
		pair[i] = text[i];
	}
	return (int)strtoul(pair, NULL, 16);
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	bool any = false;

	for (int i = 0; i < 6; i++, text += 3) {
		int byte = hex_pair(text);

		if (byte < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)byte;
		any |= byte;
	}
	return any && !(mac[0] & 1);
}

static void set_mac(struct backend_options *dev, const char *name, const char *value)
{
	if (!parse_mac(value, dev->mac))
		fatal("%s=%s: must be the address of one station, such as 52:54:00:12:34:56", name,
		      value);
	dev->has_mac = true;
}

static void set_ctrl(struct backend_options *dev, const char *name, const char *value)
{
	static const char *const names[] = {
		[NET_CTRL_AUTO] = "auto",
		[NET_CTRL_VMM] = "vmm",
		[NET_CTRL_BACKEND] = "backend",
		[NET_CTRL_OFF] = "off",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(value, names[i])) {
			dev->ctrl = (enum net_ctrl)i;
			return;
		}
	}
	fatal("%s=%s: must be auto, vmm, backend or off", name, value);
}

#define ALL ~0u

static const struct {
	const char *name;
	unsigned kinds; /* bits by enum options_device */
	unsigned needed_by;
	void (*set)(struct backend_options *dev, const char *name, const char *value);
} keys[] = {
	{"socket", ALL, ALL, set_socket},
	{"device-id", 1u << OPTIONS_OTHER, ALL, set_device_id},
	{"queues", ALL & ~(1u << OPTIONS_BALLOON), 1u << OPTIONS_OTHER, set_queues},
	{"queue-size", ALL, 0, set_queue_size},
	{"config-size", 1u << OPTIONS_OTHER, ALL, set_config_size},
	{"packed", ALL, 0, set_packed},
	{"mac", 1u << OPTIONS_NET, 0, set_mac},
	{"ctrl", 1u << OPTIONS_NET, 0, set_ctrl},
	{"wait", ALL, 0, set_wait},
};

static _Noreturn void unknown_key(enum options_device kind, const char *key)
{
	char known[256];
	size_t used = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].kinds >> kind & 1)
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
						 used ? ", " : "", keys[i].name);
	usage_error("%s has no key '%s'; it has %s", option_names[kind], key, known);
}

static unsigned find_key(enum options_device kind, const char *key)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].kinds >> kind & 1 && !strcmp(keys[i].name, key))
			return i;
	unknown_key(kind, key);
}

void options_parse_device(struct backend_options *dev, enum options_device kind, const char *text)
{
	struct option_list list;
	unsigned seen = 0;

	*dev = (struct backend_options){
		.device_id = kind == OPTIONS_OTHER ? 0 : kind_ids[kind],
		.wait_s = DEFAULT_WAIT_S,
	};
	option_list_open(&list, option_names[kind], text);
	while (option_list_next(&list)) {
		unsigned i = find_key(kind, list.key);

		keys[i].set(dev, list.name, option_list_value(&list));
		seen |= 1u << i;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if ((keys[i].kinds & keys[i].needed_by) >> kind & 1 && !(seen >> i & 1))
			usage_error("%s %s is missing", option_names[kind], keys[i].name);
}
