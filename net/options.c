/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - the command line of ringside-net. Layer L5, start-up. What a port is made of is in
 * port_options.c. What is said here is said in ringside-net.1 too; tests/check-man compares the two.
 */
#include "net/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/switch.h"
#include "vhost/base/log.h"
#include "vhost/base/option.h"
#include "vhost/base/parse.h"
#include "vhost/daemon/options.h"

#define DEFAULT_POLL_US 50
#define MAX_POLL_US     1000000
#define MAX_AGE_S       1000000
#define MAX_MBUFS       (1u << 22)
#define LEAST_MEMORY    (64ull << 20)
#define MOST_MEMORY     (1ull << 40)

static const char help[] =
	"usage: ringside-net --port=name=NAME,socket=PATH[,KEY=VALUE]...\n"
	"                    --port=name=NAME,dpdk=DEVICE ... [OPTION]... [-- EAL-OPTION...]\n"
	"       ringside-net --socket-path=PATH --uplink=DEVICE [OPTION]... [-- EAL-OPTION...]\n"
	"\n"
	"A vhost-user network device: carries packets between guests and DPDK devices.\n"
	"\n"
	"One guest:\n"
	"  --socket-path=PATH   listen for the front-end (QEMU, ...) on this unix socket\n"
	"  --client             connect to the socket instead, again and again\n"
	"  --fd=N               or: serve the socket that is open as file descriptor N\n"
	"  --queues=N           queue pairs offered, 1 to 8 (default 1)\n"
	"  --uplink=DEVICE      the DPDK device at the other end: net_tap0,iface=tap0, a PCI\n"
	"                       address, ...\n"
	"Several ports:\n"
	"  --port=KEY=VALUE,... one port more, by the keys name and\n"
	"                       a guest's: socket, client, fd, queues, queue-size, mac, mac-lock,\n"
	"                       speed, offload, mrg, packed, in-order, indirect, event-idx, ctrl;\n"
	"                       a DPDK device's: dpdk, which comes last: the rest is DEVICE;\n"
	"                       any port's: mtu, rate-in, rate-out, max-macs\n"
	"  --switch             connect two ports by a switch, too; three or more always are\n"
	"  --mac-age=SECONDS    the switch forgets an address that is silent for so long (300)\n"
	"  --runtime-dpdk-ports allow DPDK devices to be added later, in a wider sandbox\n"
	"All ports:\n"
	"  --cores=LIST         move packets on these CPUs, such as 2,4-5, a thread on each\n"
	"                       (default: one thread, not pinned)\n"
	"  --poll-us=N          look for packets this long before sleeping (default 50; 0: never)\n"
	"  --busy-poll          never sleep\n"
	"  --memory=SIZE        memory for DPDK (default: what the buffers take)\n"
	"  --mbufs=N            packet buffers (default: by the number of ports)\n"
	"  --hugepages=on|off   take DPDK's memory from huge pages (off)\n"
	"  --control-path=PATH  answer ringsidectl on this unix socket\n"
	"  --no-sandbox         keep privileges and system calls that are not needed\n"
	"  --log-level=LEVEL    error, warn, info (default) or debug\n"
	"  --print-capabilities what this program can do, as JSON, for libvirt and others\n"
	"  --version\n"
	"  --help\n"
	"\n"
	"SIZE takes the suffixes K, M, G and T. What follows -- is for DPDK.\n";

enum {
	OPT_SOCKET_PATH = 256,
	OPT_CLIENT,
	OPT_FD,
	OPT_QUEUES,
	OPT_UPLINK,
	OPT_PORT,
	OPT_SWITCH,
	OPT_MAC_AGE,
	OPT_RUNTIME_DPDK,
	OPT_CORES,
	OPT_POLL_US,
	OPT_BUSY_POLL,
	OPT_MEMORY,
	OPT_MBUFS,
	OPT_HUGEPAGES,
};

static const struct option long_options[] = {
	{"socket-path", required_argument, NULL, OPT_SOCKET_PATH},
	{"client", no_argument, NULL, OPT_CLIENT},
	{"fd", required_argument, NULL, OPT_FD},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"uplink", required_argument, NULL, OPT_UPLINK},
	{"port", required_argument, NULL, OPT_PORT},
	{"switch", no_argument, NULL, OPT_SWITCH},
	{"mac-age", required_argument, NULL, OPT_MAC_AGE},
	{"runtime-dpdk-ports", no_argument, NULL, OPT_RUNTIME_DPDK},
	{"cores", required_argument, NULL, OPT_CORES},
	{"poll-us", required_argument, NULL, OPT_POLL_US},
	{"busy-poll", no_argument, NULL, OPT_BUSY_POLL},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"mbufs", required_argument, NULL, OPT_MBUFS},
	{"hugepages", required_argument, NULL, OPT_HUGEPAGES},
	DAEMON_LONG_OPTIONS,
	{NULL, 0, NULL, 0},
};

static const struct daemon_about about = {
	.program = "ringside-net",
	.capabilities = "{\n  \"type\": \"net\",\n  \"features\": []\n}\n",
	.help = help,
};

/* --- ports --- */

static struct net_port_options *next_port(struct net_options *opt)
{
	if (opt->num_ports == NET_MAX_PORTS)
		fatal("--port: more than %d ports", NET_MAX_PORTS);
	return &opt->ports[opt->num_ports++];
}

/* parse_port - @text is copied, so that ps(1) goes on showing what was typed. */
static void parse_port(struct net_options *opt, const char *text)
{
	struct net_port_options *port = next_port(opt);
	char error[512], *copy = strdup(text);
	int ret;

	if (!copy)
		fatal("out of memory");
	ret = net_port_options_parse(port, copy, error, sizeof(error));
	if (ret == -ENOENT)
		usage_error("--port %s", error);
	if (ret < 0)
		fatal("--port %s", error);
}

/* The conventional way to name one guest, and the device at the other end. */
struct single {
	bool given;
	struct daemon_socket socket;
	unsigned queues;
	const char *uplink;
};

static void set_single(struct single *single, const char *name, int c)
{
	single->given = true;
	if (c == OPT_QUEUES)
		single->queues = (unsigned)option_number(name, optarg, 1, NET_MAX_PAIRS);
	else if (c == OPT_UPLINK)
		single->uplink = optarg;
	else
		daemon_socket_set(&single->socket, name, name + 2, optarg);
}

static void add_single(struct net_options *opt, const struct single *single)
{
	struct net_port_options *port;

	if (!single->uplink)
		usage_error("--uplink is missing: where do the guest's packets go?");
	if (!single->uplink[0])
		fatal("--uplink=: the device is empty");
	daemon_socket_check(&single->socket, "--socket-path");
	port = next_port(opt);
	net_port_options_init(port, NET_GUEST, "guest");
	port->socket = single->socket;
	port->queues = single->queues;
	port = next_port(opt);
	net_port_options_init(port, NET_HOST, "uplink");
	port->dpdk = single->uplink;
}

static void check_pair(const struct net_port_options *a, const struct net_port_options *b)
{
	if (!strcmp(a->name, b->name))
		fatal("--port name=%s: named twice; give each port its own name", a->name);
	daemon_socket_check_pair(&a->socket, &b->socket, "ports");
	if (a->dpdk && b->dpdk && !strcmp(a->dpdk, b->dpdk))
		fatal("%s: named for two ports; give each its own device", a->dpdk);
}

/* --- all ports --- */

static void set_cores(struct net_options *opt)
{
	if (parse_cpu_list(optarg, &opt->cores) < 0)
		fatal("--cores=%s: must be a list of CPU numbers such as 2,4-5", optarg);
	if (CPU_COUNT(&opt->cores) > NET_MAX_LCORES)
		fatal("--cores=%s: more than %d CPUs", optarg, NET_MAX_LCORES);
}

static void set_memory(struct net_options *opt)
{
	uint64_t bytes;

	if (parse_size(optarg, &bytes) < 0 || bytes < LEAST_MEMORY || bytes > MOST_MEMORY)
		fatal("--memory=%s: must be a size such as 256M, %lluM to %lluG", optarg,
		      LEAST_MEMORY >> 20, MOST_MEMORY >> 30);
	opt->memory_mib = (unsigned)(bytes >> 20);
}

static void set_global(struct net_options *opt, int c)
{
	switch (c) {
	case OPT_PORT:
		parse_port(opt, optarg);
		break;
	case OPT_SWITCH:
		opt->is_switch = true;
		break;
	case OPT_MAC_AGE:
		opt->age_s = (unsigned)option_number("--mac-age", optarg, 1, MAX_AGE_S);
		break;
	case OPT_RUNTIME_DPDK:
		opt->runtime_dpdk = true;
		break;
	case OPT_CORES:
		set_cores(opt);
		break;
	case OPT_POLL_US:
		opt->poll_us = option_number("--poll-us", optarg, 0, MAX_POLL_US);
		break;
	case OPT_BUSY_POLL:
		opt->busy_poll = true;
		break;
	case OPT_MEMORY:
		set_memory(opt);
		break;
	case OPT_MBUFS:
		opt->num_mbufs = (unsigned)option_number("--mbufs", optarg, 1024, MAX_MBUFS);
		break;
	case OPT_HUGEPAGES:
		opt->hugepages = option_on_off("--hugepages", optarg);
		break;
	default:
		daemon_option(&opt->daemon, c, &about);
	}
}

static void init(struct net_options *opt)
{
	memset(opt, 0, sizeof(*opt));
	opt->daemon.sandbox = true;
	opt->age_s = NET_SWITCH_DEFAULT_AGE;
	opt->poll_us = DEFAULT_POLL_US;
}

void net_options_parse(struct net_options *opt, int argc, char **argv)
{
	struct single single = {.socket = DAEMON_NO_SOCKET, .queues = 1};
	int c, index;

	init(opt);
	/* '+': what is not an option ends them, so that "--" is seen where it was typed. */
	while ((c = getopt_long(argc, argv, "+", long_options, &index)) != -1) {
		char name[64];

		if (c >= OPT_SOCKET_PATH && c <= OPT_UPLINK) {
			snprintf(name, sizeof(name), "--%s", long_options[index].name);
			set_single(&single, name, c);
		} else {
			set_global(opt, c);
		}
	}
	if (optind < argc && strcmp(argv[optind - 1], "--"))
		usage_error("'%s' is not an option", argv[optind]);
	opt->eal_argv = argv + optind;
	opt->eal_argc = argc - optind;
	if (single.given || !opt->num_ports)
		add_single(opt, &single);
	if (opt->num_ports > 2)
		opt->is_switch = true;
	for (unsigned i = 0; i < opt->num_ports; i++)
		for (unsigned j = 0; j < i; j++)
			check_pair(&opt->ports[i], &opt->ports[j]);
}
