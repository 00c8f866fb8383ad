/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - the command line of ringside-vmm. VMM, start-up.
 * What is said here is said in ringside-vmm.1 too; tests/check-man compares the two.
 */
#include "vmm/options.h"

#include <getopt.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/base/option.h"
#include "vhost/base/parse.h"
#include "vmm/options_part.h"

#define DEFAULT_MEMORY_BYTES (512ull << 20)
#define SERIAL_SOCKET        "socket:"

static const char help[] =
	"usage: ringside-vmm run --kernel=FILE [OPTION]...\n"
	"       ringside-vmm doctor [--json]\n"
	"\n"
	"A small KVM virtual machine monitor with vhost-user devices.\n"
	"\n"
	"What is booted:\n"
	"  --kernel=FILE        Linux bzImage, or ELF vmlinux with a PVH entry\n"
	"  --initrd=FILE        initial RAM disk\n"
	"  --cmdline=TEXT       the kernel's command line, such as console=ttyS0\n"
	"Machine:\n"
	"  --memory=SIZE[,hugepages=on|off][,numa-node=N][,prealloc=on|off]\n"
	"                       RAM (default 512M), where it is and whether it is there at once\n"
	"  --smp=N[,sockets=N][,cores=N][,threads=N]\n"
	"                       vCPUs, 1 to 64 (default 1), and how they are arranged\n"
	"  --cpus=LIST          pin the vCPUs to these CPUs, dealt in turn, such as 2,4-5\n"
	"  --serial=WHERE       the serial port: stdio (default; Ctrl-A h tells its keys), none,\n"
	"                       socket:PATH, or a file that is appended to\n"
	"Devices, up to 16:\n"
	"  --vhost-user-blk=socket=PATH[,queues=N][,KEY=VALUE]...\n"
	"                       block device, served by the back-end that listens there\n"
	"  --vhost-user-net=socket=PATH[,mac=MAC][,queues=PAIRS]\n"
	"                  [,ctrl=auto|vmm|backend|off][,KEY=VALUE]...\n"
	"                       network device\n"
	"  --vhost-user-balloon=socket=PATH[,KEY=VALUE]...\n"
	"                       memory balloon, at most one\n"
	"  --vhost-user=socket=PATH,device-id=N,queues=N,config-size=N[,KEY=VALUE]...\n"
	"                       any other virtio device\n"
	"                       Each has the keys queue-size=N (default 256), packed=on|off\n"
	"                       (default off), wait=SECONDS for its back-end (default 5).\n"
	"Operation:\n"
	"  --control-path=PATH  answer ringsidectl on this unix socket\n"
	"  --no-reboot          end the program where the guest would reboot\n"
	"  --count-kicks        count all notifications of queues; each costs an exit\n"
	"  --no-sandbox         keep privileges and system calls that are not needed\n"
	"  --log-level=LEVEL    error, warn, info (default) or debug\n"
	"Doctor, which looks at what this host has and lacks:\n"
	"  --json               as JSON instead of a table\n"
	"  --version\n"
	"  --help\n"
	"\n"
	"SIZE takes the suffixes K, M, G and T.\n";

enum {
	OPT_KERNEL = 256,
	OPT_INITRD,
	OPT_CMDLINE,
	OPT_MEMORY,
	OPT_SMP,
	OPT_CPUS,
	OPT_SERIAL,
	OPT_VHOST_USER_BLK,
	OPT_VHOST_USER_NET,
	OPT_VHOST_USER_BALLOON,
	OPT_VHOST_USER,
	OPT_CONTROL_PATH,
	OPT_NO_REBOOT,
	OPT_COUNT_KICKS,
	OPT_NO_SANDBOX,
	OPT_LOG_LEVEL,
	OPT_JSON,
	OPT_VERSION,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"kernel", required_argument, NULL, OPT_KERNEL},
	{"initrd", required_argument, NULL, OPT_INITRD},
	{"cmdline", required_argument, NULL, OPT_CMDLINE},
	{"memory", required_argument, NULL, OPT_MEMORY},
	{"smp", required_argument, NULL, OPT_SMP},
	{"cpus", required_argument, NULL, OPT_CPUS},
	{"serial", required_argument, NULL, OPT_SERIAL},
	{"vhost-user-blk", required_argument, NULL, OPT_VHOST_USER_BLK},
	{"vhost-user-net", required_argument, NULL, OPT_VHOST_USER_NET},
	{"vhost-user-balloon", required_argument, NULL, OPT_VHOST_USER_BALLOON},
	{"vhost-user", required_argument, NULL, OPT_VHOST_USER},
	{"control-path", required_argument, NULL, OPT_CONTROL_PATH},
	{"no-reboot", no_argument, NULL, OPT_NO_REBOOT},
	{"count-kicks", no_argument, NULL, OPT_COUNT_KICKS},
	{"no-sandbox", no_argument, NULL, OPT_NO_SANDBOX},
	{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
	{"json", no_argument, NULL, OPT_JSON},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static void add_device(struct options *opt, enum options_device kind, const char *text)
{
	if (opt->num_backends == VMM_MAX_DEVICES)
		fatal("--vhost-user-...=%s: more than %d devices", text, VMM_MAX_DEVICES);
	options_parse_device(&opt->backends[opt->num_backends++], kind, text);
}

/* Two would each have a target for the machine as a whole. */
static void add_balloon(struct options *opt, const char *text)
{
	for (unsigned i = 0; i < opt->num_backends; i++)
		if (opt->backends[i].device_id == VIRTIO_ID_BALLOON)
			fatal("--vhost-user-balloon=%s: a machine has one balloon, and has it "
			      "already "
			      "(socket=%s)",
			      text, opt->backends[i].socket_path);
	add_device(opt, OPTIONS_BALLOON, text);
}

static const char *file_name(const char *name, const char *text)
{
	if (!text[0])
		fatal("%s=: the name is empty", name);
	return text;
}

static const char *cmdline(const char *text)
{
	if (strlen(text) >= CMDLINE_BYTES)
		fatal("--cmdline: %zu bytes, and at most %llu are possible", strlen(text),
		      CMDLINE_BYTES - 1);
	return text;
}

static const char *serial(const char *text)
{
	if (!strncmp(text, SERIAL_SOCKET, strlen(SERIAL_SOCKET)))
		options_check_socket("--serial socket", text + strlen(SERIAL_SOCKET));
	else if (!text[0])
		fatal("--serial=: must be stdio, none, socket:PATH or the name of a file");
	return text;
}

/* set_machine - what is booted, on what. Return: false for another option. */
static bool set_machine(struct options *opt, int c)
{
	switch (c) {
	case OPT_KERNEL:
		opt->load.kernel_path = file_name("--kernel", optarg);
		break;
	case OPT_INITRD:
		opt->load.initrd_path = file_name("--initrd", optarg);
		break;
	case OPT_CMDLINE:
		opt->load.cmdline = cmdline(optarg);
		break;
	case OPT_MEMORY:
		options_parse_memory(&opt->ram, optarg);
		break;
	case OPT_SMP:
		options_parse_smp(&opt->topology, optarg);
		break;
	case OPT_CPUS:
		if (parse_cpu_list(optarg, &opt->cpus) < 0)
			fatal("--cpus=%s: must be a list of CPU numbers such as 2,4-5", optarg);
		break;
	case OPT_SERIAL:
		opt->serial = serial(optarg);
		break;
	case OPT_VHOST_USER_BLK:
		add_device(opt, OPTIONS_BLK, optarg);
		break;
	case OPT_VHOST_USER_NET:
		add_device(opt, OPTIONS_NET, optarg);
		break;
	case OPT_VHOST_USER_BALLOON:
		add_balloon(opt, optarg);
		break;
	case OPT_VHOST_USER:
		add_device(opt, OPTIONS_OTHER, optarg);
		break;
	default:
		return false;
	}
	return true;
}

static void set_operation(struct options *opt, int c)
{
	switch (c) {
	case OPT_CONTROL_PATH:
		options_check_socket("--control-path", optarg);
		opt->control_path = optarg;
		break;
	case OPT_NO_REBOOT:
		opt->reboot = false;
		break;
	case OPT_COUNT_KICKS:
		opt->count_kicks = true;
		break;
	case OPT_NO_SANDBOX:
		opt->sandbox = false;
		break;
	case OPT_LOG_LEVEL:
		if (log_set_level(optarg) < 0)
			fatal("--log-level=%s: must be error, warn, info or debug", optarg);
		break;
	case OPT_JSON:
		opt->json = true;
		break;
	case OPT_VERSION:
		option_answer("ringside-vmm " RINGSIDE_VERSION "\n");
	case OPT_HELP:
		option_answer(help);
	default: /* getopt_long has said what it does not know */
		fputs("try: ringside-vmm --help\n", stderr);
		exit(2);
	}
}

static void set_command(struct options *opt, int num_words, char **words)
{
	if (num_words == 0)
		usage_error("what is to be done? run, or doctor");
	if (!strcmp(words[0], "run"))
		opt->command = COMMAND_RUN;
	else if (!strcmp(words[0], "doctor"))
		opt->command = COMMAND_DOCTOR;
	else
		usage_error("'%s' is not a command; there are run and doctor", words[0]);
	if (num_words > 1)
		usage_error("'%s' is not an option", words[1]);
}

/* One socket for two purposes would make the second fail with a puzzling line. */
static void check_sockets(const struct options *opt)
{
	const char *paths[VMM_MAX_DEVICES + 2];
	unsigned n = 0;

	for (unsigned i = 0; i < opt->num_backends; i++)
		paths[n++] = opt->backends[i].socket_path;
	if (opt->control_path)
		paths[n++] = opt->control_path;
	if (!strncmp(opt->serial, SERIAL_SOCKET, strlen(SERIAL_SOCKET)))
		paths[n++] = opt->serial + strlen(SERIAL_SOCKET);
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(paths[i], paths[j]))
				fatal("%s: named twice; each device, the control socket and the "
				      "serial port need a socket of their own",
				      paths[i]);
}

static void set_defaults(struct options *opt)
{
	*opt = (struct options){
		.load.cmdline = "",
		.ram = {.size = DEFAULT_MEMORY_BYTES, .numa_node = -1},
		.topology = {.num_vcpus = 1, .sockets = 1, .cores = 1, .threads = 1},
		.serial = "stdio",
		.reboot = true,
		.sandbox = true,
	};
}

void options_parse(struct options *opt, int argc, char **argv)
{
	const char *of_run = NULL; /* an option that only run has */
	int c, index = 0;

	set_defaults(opt);
	while ((c = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		if (!set_machine(opt, c))
			set_operation(opt, c);
		if (c < OPT_LOG_LEVEL)
			of_run = long_options[index].name;
	}
	set_command(opt, argc - optind, argv + optind);
	if (opt->command == COMMAND_DOCTOR && of_run)
		usage_error("--%s is an option of run, not of doctor", of_run);
	if (opt->command == COMMAND_DOCTOR)
		return;
	if (opt->json)
		usage_error("--json is an option of doctor, not of run");
	if (!opt->load.kernel_path)
		usage_error("--kernel is missing: what is to be booted?");
	check_sockets(opt);
}
