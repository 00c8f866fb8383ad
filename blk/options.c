/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - the command line of ringside-blk. Layer L5, start-up.
 * What is said here is said in ringside-blk.1 too; tests/check-man compares the two.
 */
#include "blk/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blk/request.h"
#include "vhost/base/log.h"
#include "vhost/base/option.h"
#include "vhost/base/parse.h"
#include "vhost/daemon/options.h"
#include "vhost/wire/proto.h"

#define DEFAULT_POLL_US     50
#define DEFAULT_NUM_QUEUES  64
#define DEFAULT_LOCK_WAIT_S 30
#define MAX_POLL_US         1000000
#define MAX_LOCK_WAIT_S     3600

static const char help[] =
	"usage: ringside-blk --socket-path=PATH --blk-file=FILE [OPTION]...\n"
	"       ringside-blk --disk=socket=PATH,file=FILE[,KEY=VALUE]... [--disk=...]... "
	"[OPTION]...\n"
	"\n"
	"A vhost-user block device: serves FILE to a virtual machine.\n"
	"\n"
	"One disk:\n"
	"  --socket-path=PATH   listen for the front-end (QEMU, ...) on this unix socket\n"
	"  --client             connect to the socket instead, again and again\n"
	"  --fd=N               or: serve the socket that is open as file descriptor N\n"
	"  --blk-file=FILE      image file or block device; null:SIZE or ram:SIZE for tests\n"
	"  --read-only          refuse every change\n"
	"  --serial=ID          what the guest reads as serial number, at most 20 bytes\n"
	"  --num-queues=N       queues offered, 1 to 256 (default 64; a guest uses any subset)\n"
	"  --cache=MODE         writeback (default) or writethrough: every write is durable\n"
	"  --direct=on|off      bypass the host's page cache (default: where FILE allows it)\n"
	"  --in-order           offer VIRTIO_F_IN_ORDER: requests are answered as they came\n"
	"Several disks:\n"
	"  --disk=KEY=VALUE,... one disk more, by the keys socket, client, fd, file, read-only,\n"
	"                       serial, num-queues, cache, direct, in-order\n"
	"All disks:\n"
	"  --threads=N          I/O threads that share the queues (default 1)\n"
	"  --cpus=LIST          pin the threads to these CPUs, dealt in turn, such as 2,4-5\n"
	"  --poll-us=N          look for work this long before sleeping (default 50; 0: never)\n"
	"  --busy-poll          never sleep while a guest is connected\n"
	"  --lock-wait=N        seconds to wait for another writer of FILE (default 30)\n"
	"  --control-path=PATH  answer ringsidectl on this unix socket\n"
	"  --no-sandbox         keep privileges and system calls that are not needed\n"
	"  --log-level=LEVEL    error, warn, info (default) or debug\n"
	"  --print-capabilities what this program can do, as JSON, for libvirt and others\n"
	"  --version\n"
	"  --help\n"
	"\n"
	"SIZE takes the suffixes K, M, G and T.\n";

enum {
	OPT_SOCKET_PATH = 256,
	OPT_CLIENT,
	OPT_FD,
	OPT_BLK_FILE,
	OPT_READ_ONLY,
	OPT_SERIAL,
	OPT_NUM_QUEUES,
	OPT_CACHE,
	OPT_DIRECT,
	OPT_IN_ORDER,
	OPT_DISK,
	OPT_THREADS,
	OPT_CPUS,
	OPT_POLL_US,
	OPT_BUSY_POLL,
	OPT_LOCK_WAIT,
};

static const struct option long_options[] = {
	{"socket-path", required_argument, NULL, OPT_SOCKET_PATH},
	{"client", no_argument, NULL, OPT_CLIENT},
	{"fd", required_argument, NULL, OPT_FD},
	{"blk-file", required_argument, NULL, OPT_BLK_FILE},
	{"read-only", no_argument, NULL, OPT_READ_ONLY},
	{"serial", required_argument, NULL, OPT_SERIAL},
	{"num-queues", required_argument, NULL, OPT_NUM_QUEUES},
	{"cache", required_argument, NULL, OPT_CACHE},
	{"direct", required_argument, NULL, OPT_DIRECT},
	{"in-order", no_argument, NULL, OPT_IN_ORDER},
	{"disk", required_argument, NULL, OPT_DISK},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"poll-us", required_argument, NULL, OPT_POLL_US},
	{"busy-poll", no_argument, NULL, OPT_BUSY_POLL},
	{"lock-wait", required_argument, NULL, OPT_LOCK_WAIT},
	DAEMON_LONG_OPTIONS,
	{NULL, 0, NULL, 0},
};

static const struct daemon_about about = {
	.program = "ringside-blk",
	.capabilities = "{\n  \"type\": \"block\",\n"
			"  \"features\": [ \"read-only\", \"blk-file\" ]\n}\n",
	.help = help,
};

/* The values, each with the name under which it was given, for the line that refuses it. */

static bool cache_mode(const char *name, const char *text)
{
	if (!strcmp(text, "writeback"))
		return true;
	if (strcmp(text, "writethrough"))
		fatal("%s=%s: must be writeback or writethrough", name, text);
	return false;
}

static const char *serial(const char *name, const char *text)
{
	if (strlen(text) > BLK_ID_BYTES)
		fatal("%s=%s: longer than %d bytes", name, text, BLK_ID_BYTES);
	return text;
}

/* One disk's settings by key: --disk takes them all, and each is an option of its own too. */
static bool set_disk(struct blk_disk_options *disk, const char *name, const char *key,
		     const char *value)
{
	if (daemon_socket_set(&disk->socket, name, key, value))
		return true;
	if (!strcmp(key, "file") || !strcmp(key, "blk-file"))
		disk->image.file = value;
	else if (!strcmp(key, "read-only"))
		disk->image.read_only = option_on_off(name, value);
	else if (!strcmp(key, "serial"))
		disk->serial = serial(name, value);
	else if (!strcmp(key, "num-queues"))
		disk->num_queues = (unsigned)option_number(name, value, 1, VU_MAX_RINGS);
	else if (!strcmp(key, "cache"))
		disk->writeback = cache_mode(name, value);
	else if (!strcmp(key, "direct"))
		disk->image.direct = option_on_off(name, value) ? BLK_DIRECT_ON : BLK_DIRECT_OFF;
	else if (!strcmp(key, "in-order"))
		disk->in_order = option_on_off(name, value);
	else
		return false;
	return true;
}

static void init_disk(struct blk_disk_options *disk)
{
	*disk = (struct blk_disk_options){
		.socket = DAEMON_NO_SOCKET,
		.writeback = true,
		.num_queues = DEFAULT_NUM_QUEUES,
		.serial = "",
	};
}

static void check_disk(const struct blk_disk_options *disk, const char *socket, const char *file)
{
	if (!disk->image.file)
		usage_error("%s is missing: which image is to be served?", file);
	daemon_socket_check(&disk->socket, socket);
	if (!disk->image.file[0])
		fatal("%s=: the name is empty", file);
}

static struct blk_disk_options *add_disk(struct blk_options *opt)
{
	struct blk_disk_options *disk;

	if (opt->num_disks == BLK_MAX_DISKS)
		fatal("--disk: more than %d disks", BLK_MAX_DISKS);
	disk = &opt->disks[opt->num_disks++];
	init_disk(disk);
	return disk;
}

/* may_stand_alone - is @key on without a value? */
static bool may_stand_alone(const char *key)
{
	return !strcmp(key, "read-only") || !strcmp(key, "client") || !strcmp(key, "in-order");
}

static void parse_disk(struct blk_options *opt, const char *text)
{
	struct blk_disk_options *disk = add_disk(opt);
	struct option_list list;

	option_list_open(&list, "--disk", text);
	while (option_list_next(&list)) {
		const char *value =
			may_stand_alone(list.key) ? list.value : option_list_value(&list);

		if (!set_disk(disk, list.name, list.key, value))
			usage_error("--disk has no key '%s'", list.key);
	}
	check_disk(disk, "--disk socket", "--disk file");
}

static void set_global(struct blk_options *opt, int c, unsigned *lock_wait_s)
{
	switch (c) {
	case OPT_THREADS:
		opt->num_threads = (unsigned)option_number("--threads", optarg, 1, BLK_MAX_THREADS);
		break;
	case OPT_CPUS:
		if (parse_cpu_list(optarg, &opt->cpus) < 0)
			fatal("--cpus=%s: must be a list of CPU numbers such as 2,4-5", optarg);
		break;
	case OPT_POLL_US:
		opt->poll_us = option_number("--poll-us", optarg, 0, MAX_POLL_US);
		break;
	case OPT_BUSY_POLL:
		opt->busy_poll = true;
		break;
	case OPT_LOCK_WAIT:
		*lock_wait_s = (unsigned)option_number("--lock-wait", optarg, 0, MAX_LOCK_WAIT_S);
		break;
	default:
		daemon_option(&opt->daemon, c, &about);
	}
}

/* same_image - would the disks write to one file? In memory each has its own. */
static bool same_image(const struct blk_image_options *a, const struct blk_image_options *b)
{
	return !a->read_only && !b->read_only && !strcmp(a->file, b->file) &&
	       strncmp(a->file, "null:", 5) && strncmp(a->file, "ram:", 4);
}

/* One socket or image for two disks would make the second fail with a puzzling line. */
static void check_paths(const struct blk_options *opt)
{
	unsigned i, j;

	for (i = 0; i < opt->num_disks; i++)
		for (j = 0; j < i; j++)
			if (same_image(&opt->disks[i].image, &opt->disks[j].image))
				fatal("%s: named for two disks; give each its own image, or use "
				      "read-only",
				      opt->disks[i].image.file);

	for (i = 0; i < opt->num_disks; i++)
		for (j = 0; j < i; j++)
			daemon_socket_check_pair(&opt->disks[i].socket, &opt->disks[j].socket,
						 "disks");
}

void blk_options_parse(struct blk_options *opt, int argc, char **argv)
{
	unsigned lock_wait_s = DEFAULT_LOCK_WAIT_S;
	struct blk_disk_options single;
	bool has_single = false;
	unsigned i;
	int c, index;

	memset(opt, 0, sizeof(*opt));
	opt->num_threads = 1;
	opt->poll_us = DEFAULT_POLL_US;
	opt->daemon.sandbox = true;
	init_disk(&single);
	while ((c = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		char name[64] = "";

		if (c >= OPT_SOCKET_PATH && c <= OPT_IN_ORDER) {
			snprintf(name, sizeof(name), "--%s", long_options[index].name);
			set_disk(&single, name, long_options[index].name, optarg);
			has_single = true;
		} else if (c == OPT_DISK) {
			parse_disk(opt, optarg);
		} else {
			set_global(opt, c, &lock_wait_s);
		}
	}
	if (optind < argc)
		usage_error("'%s' is not an option", argv[optind]);
	if (has_single || !opt->num_disks) {
		check_disk(&single, "--socket-path", "--blk-file");
		*add_disk(opt) = single;
	}
	for (i = 0; i < opt->num_disks; i++)
		opt->disks[i].image.lock_wait_s = lock_wait_s;
	check_paths(opt);
}
