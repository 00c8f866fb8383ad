/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - the command line of ringside-balloon. Layer L5, start-up.
 * What is said here is said in ringside-balloon.1 too; tests/check-man compares the two.
 */
#include "balloon/options.h"

#include <stdio.h>
#include <string.h>

#include "vhost/base/log.h"
#include "vhost/base/option.h"
#include "vhost/base/parse.h"
#include "vhost/daemon/options.h"

#define MAX_SHARES     10000
#define DEFAULT_SHARES 1000
#define MAX_INTERVAL_S 3600
#define LEAST_RATE     (1ull << 20)

static const char help[] =
	"usage: ringside-balloon --socket-path=PATH [OPTION]...\n"
	"       ringside-balloon --vm=name=NAME,socket=PATH[,KEY=VALUE]... [--vm=...]... "
	"[OPTION]...\n"
	"\n"
	"A vhost-user balloon device: gives memory that a virtual machine can spare back to the\n"
	"host.\n"
	"\n"
	"One guest:\n"
	"  --socket-path=PATH   listen for the front-end (ringside-vmm, ...) on this unix socket\n"
	"  --client             connect to the socket instead, again and again\n"
	"  --fd=N               or: serve the socket that is open as file descriptor N\n"
	"  --target=SIZE        memory that the guest shall keep, or all (default: as it is)\n"
	"  --min=SIZE           it is never asked to keep less (default 64M)\n"
	"  --max=SIZE           it never gets more (default: all)\n"
	"  --shares=N           its weight against other guests, 1 to 10000 (default 1000)\n"
	"  --stats-interval=N   ask it for statistics every N seconds (default 10; 0: never)\n"
	"  --deflate-on-oom=on|off        the guest may take memory back rather than kill (on)\n"
	"  --free-page-reporting=on|off   take what it says that it does not use (on)\n"
	"  --free-page-hinting=on|off     count what it hints at; nothing is taken (off)\n"
	"  --state-file=FILE    keep the target here, for the next start\n"
	"Several guests:\n"
	"  --vm=KEY=VALUE,...   one guest more, by the keys name, socket, client, fd, target, "
	"min,\n"
	"                       max, shares, stats-interval, deflate-on-oom,\n"
	"                       free-page-reporting, free-page-hinting, state-file\n"
	"All guests:\n"
	"  --policy=MODE        manual (default), auto: targets follow the host's memory, or\n"
	"                       dry-run: say what auto would do\n"
	"  --host-low=PERCENT   auto: reclaim while less of the host's memory is available (10)\n"
	"  --host-high=PERCENT  auto: give back while more is (20)\n"
	"  --host-pressure=PERCENT  auto: reclaim while its memory pressure is above (10)\n"
	"  --rate=SIZE          auto: no guest's target moves faster, in a second (64M)\n"
	"  --interval=SECONDS   auto: look this often (2)\n"
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
	OPT_TARGET,
	OPT_MIN,
	OPT_MAX,
	OPT_SHARES,
	OPT_STATS_INTERVAL,
	OPT_DEFLATE_ON_OOM,
	OPT_REPORTING,
	OPT_HINTING,
	OPT_STATE_FILE,
	OPT_VM,
	OPT_POLICY,
	OPT_HOST_LOW,
	OPT_HOST_HIGH,
	OPT_HOST_PRESSURE,
	OPT_RATE,
	OPT_INTERVAL,
};

static const struct option long_options[] = {
	{"socket-path", required_argument, NULL, OPT_SOCKET_PATH},
	{"client", no_argument, NULL, OPT_CLIENT},
	{"fd", required_argument, NULL, OPT_FD},
	{"target", required_argument, NULL, OPT_TARGET},
	{"min", required_argument, NULL, OPT_MIN},
	{"max", required_argument, NULL, OPT_MAX},
	{"shares", required_argument, NULL, OPT_SHARES},
	{"stats-interval", required_argument, NULL, OPT_STATS_INTERVAL},
	{"deflate-on-oom", required_argument, NULL, OPT_DEFLATE_ON_OOM},
	{"free-page-reporting", required_argument, NULL, OPT_REPORTING},
	{"free-page-hinting", required_argument, NULL, OPT_HINTING},
	{"state-file", required_argument, NULL, OPT_STATE_FILE},
	{"vm", required_argument, NULL, OPT_VM},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"host-low", required_argument, NULL, OPT_HOST_LOW},
	{"host-high", required_argument, NULL, OPT_HOST_HIGH},
	{"host-pressure", required_argument, NULL, OPT_HOST_PRESSURE},
	{"rate", required_argument, NULL, OPT_RATE},
	{"interval", required_argument, NULL, OPT_INTERVAL},
	DAEMON_LONG_OPTIONS,
	{NULL, 0, NULL, 0},
};

static const struct daemon_about about = {
	.program = "ringside-balloon",
	.capabilities = "{\n  \"type\": \"balloon\",\n  \"features\": []\n}\n",
	.help = help,
};

/* --- values, each with the name under which it was given --- */

/* size - of a guest's memory; "all" where it may be that. */
static uint64_t size(const char *name, const char *text, bool all)
{
	uint64_t bytes;
	int ret;

	if (all && !strcmp(text, "all"))
		return BAL_ALL_MEMORY;
	ret = parse_size(text, &bytes);
	if (ret < 0)
		fatal("%s=%s: must be a size such as 512M%s", name, text, all ? ", or all" : "");
	if (bytes < BAL_LEAST_BYTES)
		fatal("%s=%s: must be %lluM or more; no guest is asked to live on less", name, text,
		      BAL_LEAST_BYTES >> 20);
	return bytes;
}

static uint32_t permille(const char *name, const char *text)
{
	return (uint32_t)option_number(name, text, 1, 99) * 10;
}

static enum bal_mode mode(const char *text)
{
	for (unsigned i = 0; i < BAL_MODES; i++)
		if (!strcmp(text, bal_mode_name(i)))
			return i;
	fatal("--policy=%s: must be manual, auto or dry-run", text);
}

static uint64_t rate(const char *text)
{
	uint64_t bytes;

	if (parse_size(text, &bytes) < 0 || bytes < LEAST_RATE)
		fatal("--rate=%s: must be a size such as 64M, 1M or more", text);
	return bytes;
}

/* --- one guest --- */

static void set_name(struct bal_vm_options *vm, const char *name, const char *text)
{
	if (!text[0] || strlen(text) > BAL_MAX_NAME_BYTES)
		fatal("%s=%s: must have 1 to %d bytes", name, text, BAL_MAX_NAME_BYTES);
	/* It is printed, and typed: JSON has no place for what is no UTF-8. */
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~')
			fatal("%s=%s: must be of letters, digits and signs of ASCII", name, text);
	memcpy(vm->name, text, strlen(text) + 1);
}

/* One guest's settings by key: --vm takes them all, and each but name is an option of its own. */
static bool set_vm(struct bal_vm_options *vm, const char *name, const char *key, const char *value)
{
	if (daemon_socket_set(&vm->socket, name, key, value))
		return true;
	if (!strcmp(key, "target")) {
		vm->target_bytes = size(name, value, true);
		vm->has_target = true;
	} else if (!strcmp(key, "min")) {
		vm->min_bytes = size(name, value, false);
	} else if (!strcmp(key, "max")) {
		vm->max_bytes = size(name, value, true);
	} else if (!strcmp(key, "shares")) {
		vm->shares = (unsigned)option_number(name, value, 1, MAX_SHARES);
	} else if (!strcmp(key, "stats-interval")) {
		vm->stats_interval_s = (unsigned)option_number(name, value, 0, BAL_MAX_STATS_S);
	} else if (!strcmp(key, "deflate-on-oom")) {
		vm->deflate_on_oom = option_on_off(name, value);
	} else if (!strcmp(key, "free-page-reporting")) {
		vm->reporting = option_on_off(name, value);
	} else if (!strcmp(key, "free-page-hinting")) {
		vm->hinting = option_on_off(name, value);
	} else if (!strcmp(key, "state-file")) {
		if (!value[0])
			fatal("%s=: the name is empty", name);
		vm->state_file = value;
	} else {
		return false;
	}
	return true;
}

static void init_vm(struct bal_vm_options *vm)
{
	*vm = (struct bal_vm_options){
		.socket = DAEMON_NO_SOCKET,
		.target_bytes = BAL_ALL_MEMORY,
		.max_bytes = BAL_ALL_MEMORY,
		.shares = DEFAULT_SHARES,
		.stats_interval_s = BAL_DEFAULT_STATS_S,
		.deflate_on_oom = true,
		.reporting = true,
	};
}

/* check_vm - do its settings fit each other? @prefix is "--" or "--vm ". */
static void check_vm(const struct bal_vm_options *vm, const char *prefix)
{
	if (vm->min_bytes > vm->max_bytes)
		fatal("%smin=%lluM: must not be more than max (%lluM)", prefix,
		      (unsigned long long)vm->min_bytes >> 20,
		      (unsigned long long)vm->max_bytes >> 20);
	if (vm->target_bytes == BAL_ALL_MEMORY)
		return;
	if (vm->target_bytes < vm->min_bytes)
		fatal("%starget=%lluM: must not be less than min (%lluM)", prefix,
		      (unsigned long long)vm->target_bytes >> 20,
		      (unsigned long long)vm->min_bytes >> 20);
	if (vm->target_bytes > vm->max_bytes)
		fatal("%starget=%lluM: must not be more than max (%lluM)", prefix,
		      (unsigned long long)vm->target_bytes >> 20,
		      (unsigned long long)vm->max_bytes >> 20);
}

static struct bal_vm_options *add_vm(struct bal_options *opt)
{
	struct bal_vm_options *vm;

	if (opt->num_vms == BAL_MAX_VMS)
		fatal("--vm: more than %d guests", BAL_MAX_VMS);
	vm = &opt->vms[opt->num_vms++];
	init_vm(vm);
	return vm;
}

static void parse_vm(struct bal_options *opt, const char *text)
{
	struct bal_vm_options *vm = add_vm(opt);
	struct option_list list;

	option_list_open(&list, "--vm", text);
	vm->text = list.text;
	while (option_list_next(&list)) {
		const char *value =
			!strcmp(list.key, "client") ? list.value : option_list_value(&list);

		if (!strcmp(list.key, "name"))
			set_name(vm, list.name, value);
		else if (!set_vm(vm, list.name, list.key, value))
			usage_error("--vm has no key '%s'", list.key);
	}
	if (!vm->name[0])
		usage_error("--vm name is missing: what is the guest called?");
	daemon_socket_check(&vm->socket, "--vm socket");
	check_vm(vm, "--vm ");
}

static void parse_single(struct bal_options *opt, const struct bal_vm_options *single)
{
	struct bal_vm_options *vm;

	daemon_socket_check(&single->socket, "--socket-path");
	check_vm(single, "--");
	vm = add_vm(opt);
	*vm = *single;
	snprintf(vm->name, sizeof(vm->name), "balloon%u", opt->num_vms - 1);
}

/* --- all guests --- */

static void set_global(struct bal_options *opt, int c)
{
	struct bal_policy *policy = &opt->policy;

	switch (c) {
	case OPT_POLICY:
		opt->mode = mode(optarg);
		break;
	case OPT_HOST_LOW:
		policy->low_permille = permille("--host-low", optarg);
		break;
	case OPT_HOST_HIGH:
		policy->high_permille = permille("--host-high", optarg);
		break;
	case OPT_HOST_PRESSURE:
		policy->host_pressure_permille = permille("--host-pressure", optarg);
		break;
	case OPT_RATE:
		policy->rate_bytes_per_s = rate(optarg);
		break;
	case OPT_INTERVAL:
		opt->interval_ms =
			(unsigned)option_number("--interval", optarg, 1, MAX_INTERVAL_S) * 1000;
		break;
	default:
		daemon_option(&opt->daemon, c, &about);
	}
}

/* One name, socket or file for two guests would make the second fail with a puzzling line. */
static void check_pair(const struct bal_vm_options *a, const struct bal_vm_options *b)
{
	if (!strcmp(a->name, b->name))
		fatal("--vm name=%s: named twice; give each guest its own name", a->name);
	daemon_socket_check_pair(&a->socket, &b->socket, "guests");
	if (a->state_file && b->state_file && !strcmp(a->state_file, b->state_file))
		fatal("%s: named for two guests; give each its own state file", a->state_file);
}

static void check_all(const struct bal_options *opt)
{
	if (opt->policy.low_permille >= opt->policy.high_permille)
		fatal("--host-low=%u: must be less than --host-high (%u)",
		      opt->policy.low_permille / 10, opt->policy.high_permille / 10);
	for (unsigned i = 0; i < opt->num_vms; i++)
		for (unsigned j = 0; j < i; j++)
			check_pair(&opt->vms[i], &opt->vms[j]);
}

void bal_options_parse(struct bal_options *opt, int argc, char **argv)
{
	struct bal_vm_options single;
	bool has_single = false;
	int c, index;

	memset(opt, 0, sizeof(*opt));
	opt->daemon.sandbox = true;
	opt->policy = bal_policy_default();
	opt->interval_ms = BAL_DEFAULT_INTERVAL_MS;
	init_vm(&single);
	while ((c = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		char name[64];

		if (c >= OPT_SOCKET_PATH && c <= OPT_STATE_FILE) {
			snprintf(name, sizeof(name), "--%s", long_options[index].name);
			set_vm(&single, name, long_options[index].name, optarg);
			has_single = true;
		} else if (c == OPT_VM) {
			parse_vm(opt, optarg);
		} else {
			set_global(opt, c);
		}
	}
	if (optind < argc)
		usage_error("'%s' is not an option", argv[optind]);
	if (has_single || !opt->num_vms)
		parse_single(opt, &single);
	check_all(opt);
}
