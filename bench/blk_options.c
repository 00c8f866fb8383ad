/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_options.c - the command line of bench/blk.
 * Main thread, before anything else.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/blk_load.h"
#include "vhost/base/log.h"
#include "vhost/base/parse.h"

static const char help_text[] =
	"Usage: blk --socket-path=PATH [OPTION]...\n"
	"       blk --ceiling [OPTION]...\n"
	"Load a vhost-user-blk back-end from this process, without a VM, and measure it.\n"
	"\n"
	"What to do\n"
	"  --socket-path=PATH    the back-end's listening socket\n"
	"  --rw=PATTERN          read, write, randread (default), randwrite, rw, randrw\n"
	"  --rwmixread=PERCENT   reads of rw and randrw (default 50)\n"
	"  --bs=SIZE             bytes of a request, a multiple of 512 (default 4K)\n"
	"  --iodepth=N           requests in flight on each queue (default 1)\n"
	"  --queues=N            queues, each with its own part of the disk (default 1)\n"
	"  --threads=N           threads that drive them (default 1)\n"
	"  --runtime=TIME        5, 5s or 500ms (default 5s; with --ios: until they are done)\n"
	"  --ramp=TIME           run this long before counting (default 0)\n"
	"  --ios=N               stop after N requests in all\n"
	"  --size=SIZE           use the first SIZE bytes of the disk (default: all)\n"
	"  --flush-every=N       a flush beside the load after every N writes of a queue\n"
	"  --verify              write patterns, check every read against a shadow of the disk,\n"
	"                        read all that was written back at the end; exit 1 on a mismatch\n"
	"  --seed=N              of the random numbers (default 1)\n"
	"  --idle=TIME           start the rings, do one request each, and sleep: no load\n"
	"\n"
	"How the driver behaves\n"
	"  --poll                look at the used ring all the time (default)\n"
	"  --interrupt           sleep until interrupted\n"
	"  --queue-size=N        ring entries, a power of two unless packed (default: what the\n"
	"                        depth needs, 128 or more)\n"
	"  --packed=on|off       negotiate VIRTIO_F_RING_PACKED (default off)\n"
	"  --fresh-chains=on|off lay each chain down anew, as guests' drivers do (default off)\n"
	"  --in-order=on|off     negotiate VIRTIO_F_IN_ORDER (default off)\n"
	"  --event-idx=on|off    negotiate VIRTIO_RING_F_EVENT_IDX (default on)\n"
	"  --indirect=on|off     negotiate and use indirect descriptors, as Linux guests do\n"
	"                        (default on); off: chains of three descriptors\n"
	"  --batch=N             make submissions visible at least every N (default 32)\n"
	"  --misalign=N          begin each data buffer N bytes into a page (default 0)\n"
	"  --region=LAYOUT[,huge]\n"
	"                        guest-physical layout: flat (from 0, default), high (from\n"
	"                        4 GiB), pc (both sides of the hole below 4 GiB), identity\n"
	"                        (our own addresses, as SPDK), split (four regions that adjoin);\n"
	"                        huge: on 2 MiB pages\n"
	"  --mem-slots=on|off    pass memory with ADD_MEM_REG where offered (default off)\n"
	"  --cpu=LIST            pin thread i to the i-th CPU of LIST (0,2-5)\n"
	"\n"
	"What comes out\n"
	"  --json=FILE           the result as JSON too; - for stdout, instead of the text\n"
	"  --ceiling             no back-end: a thread of our own hands every request back\n"
	"                        unread, which shows what the load generator itself can do\n"
	"  --device-cpu=N        pin that thread\n"
	"  --help, --version\n"
	"\n"
	"Latency is from the pass that submits a request to the pass that finds it used.\n"
	"Exit: 0 done, 1 an error, a failed request or a mismatch, 2 wrong usage.\n"
	"\n"
	"Example, with QEMU's daemon:\n"
	"  qemu-storage-daemon --blockdev driver=null-co,node-name=n0,size=1073741824 \\\n"
	"      --export "
	"type=vhost-user-blk,id=e0,node-name=n0,addr.type=unix,addr.path=/tmp/x.sock &\n"
	"  blk --socket-path=/tmp/x.sock --iodepth=32 --runtime=5 --cpu=1\n";

enum option_id {
	OPT_SOCKET = 1,
	OPT_RW,
	OPT_MIX,
	OPT_BS,
	OPT_DEPTH,
	OPT_QUEUES,
	OPT_THREADS,
	OPT_RUNTIME,
	OPT_RAMP,
	OPT_IOS,
	OPT_SIZE,
	OPT_FLUSH,
	OPT_VERIFY,
	OPT_SEED,
	OPT_IDLE,
	OPT_POLL,
	OPT_INTERRUPT,
	OPT_QUEUE_SIZE,
	OPT_FRESH_CHAINS,
	OPT_IN_ORDER,
	OPT_EVENT_IDX,
	OPT_INDIRECT,
	OPT_PACKED,
	OPT_BATCH,
	OPT_MISALIGN,
	OPT_REGION,
	OPT_MEM_SLOTS,
	OPT_CPU,
	OPT_JSON,
	OPT_CEILING,
	OPT_DEVICE_CPU,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{"socket-path", required_argument, NULL, OPT_SOCKET},
	{"rw", required_argument, NULL, OPT_RW},
	{"rwmixread", required_argument, NULL, OPT_MIX},
	{"bs", required_argument, NULL, OPT_BS},
	{"iodepth", required_argument, NULL, OPT_DEPTH},
	{"queues", required_argument, NULL, OPT_QUEUES},
	{"threads", required_argument, NULL, OPT_THREADS},
	{"runtime", required_argument, NULL, OPT_RUNTIME},
	{"ramp", required_argument, NULL, OPT_RAMP},
	{"ios", required_argument, NULL, OPT_IOS},
	{"size", required_argument, NULL, OPT_SIZE},
	{"flush-every", required_argument, NULL, OPT_FLUSH},
	{"verify", no_argument, NULL, OPT_VERIFY},
	{"seed", required_argument, NULL, OPT_SEED},
	{"idle", required_argument, NULL, OPT_IDLE},
	{"poll", no_argument, NULL, OPT_POLL},
	{"interrupt", no_argument, NULL, OPT_INTERRUPT},
	{"queue-size", required_argument, NULL, OPT_QUEUE_SIZE},
	{"fresh-chains", required_argument, NULL, OPT_FRESH_CHAINS},
	{"in-order", required_argument, NULL, OPT_IN_ORDER},
	{"event-idx", required_argument, NULL, OPT_EVENT_IDX},
	{"indirect", required_argument, NULL, OPT_INDIRECT},
	{"packed", required_argument, NULL, OPT_PACKED},
	{"batch", required_argument, NULL, OPT_BATCH},
	{"misalign", required_argument, NULL, OPT_MISALIGN},
	{"region", required_argument, NULL, OPT_REGION},
	{"mem-slots", required_argument, NULL, OPT_MEM_SLOTS},
	{"cpu", required_argument, NULL, OPT_CPU},
	{"json", required_argument, NULL, OPT_JSON},
	{"ceiling", no_argument, NULL, OPT_CEILING},
	{"device-cpu", required_argument, NULL, OPT_DEVICE_CPU},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{0},
};

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value = 0;

	if (parse_uint(text, min, max, &value))
		usage_error("--%s=%s: a number from %llu to %llu", option, text,
			    (unsigned long long)min, (unsigned long long)max);
	return value;
}

static uint64_t size(const char *option, const char *text)
{
	uint64_t bytes = 0;

	if (parse_size(text, &bytes) || !bytes)
		usage_error("--%s=%s: a size such as 4096, 4K or 1G", option, text);
	return bytes;
}

static bool on_off(const char *option, const char *text)
{
	bool value = false;

	if (parse_on_off(text, &value))
		usage_error("--%s=%s: on or off", option, text);
	return value;
}

/* "5", "5s" or "500ms", in ms. */
static uint64_t duration(const char *option, const char *text)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	char copy[16];
	uint64_t value = 0;

	if (digits < sizeof(copy)) {
		memcpy(copy, text, digits);
		copy[digits] = '\0';
		if (!parse_uint(copy, 0, 1000000000, &value)) {
			if (!strcmp(unit, "ms"))
				return value;
			if (!*unit || !strcmp(unit, "s"))
				return value * 1000;
		}
	}
	usage_error("--%s=%s: a time such as 5, 5s or 500ms", option, text);
}

static void set_rw(struct load_options *o, const char *text)
{
	static const struct {
		const char *name;
		bool sequential;
		int read_percent; /* -1: by --rwmixread */
	} patterns[] = {
		{"read", true, 100},      {"write", true, 0},      {"rw", true, -1},
		{"randread", false, 100}, {"randwrite", false, 0}, {"randrw", false, -1},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (strcmp(text, patterns[i].name))
			continue;
		o->rw = patterns[i].name;
		o->sequential = patterns[i].sequential;
		if (patterns[i].read_percent >= 0)
			o->read_percent = (unsigned)patterns[i].read_percent;
		return;
	}
	usage_error("--rw=%s: read, write, rw, randread, randwrite or randrw", text);
}

static void set_region(struct load_options *o, const char *text)
{
	static const char *const names[] = {
		[LAYOUT_FLAT] = "flat",         [LAYOUT_HIGH] = "high",   [LAYOUT_PC] = "pc",
		[LAYOUT_IDENTITY] = "identity", [LAYOUT_SPLIT] = "split",
	};
	size_t len = strcspn(text, ",");
	unsigned i;

	if (text[len]) {
		if (strcmp(text + len, ",huge"))
			usage_error("--region=%s: only ,huge may follow the layout", text);
		o->huge = true;
	}
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (strlen(names[i]) == len && !strncmp(text, names[i], len)) {
			o->layout = (enum load_layout)i;
			return;
		}
	}
	usage_error("--region=%s: flat, high, pc, identity or split, and ,huge", text);
}

/* Options with a value of the common kinds. Return: false for one of the others. */
static bool set_number(struct load_options *o, int id, const char *name, const char *arg)
{
	switch (id) {
	case OPT_DEPTH:
		o->depth = (unsigned)number(name, arg, 1, LOAD_MAX_DEPTH);
		return true;
	case OPT_QUEUES:
		o->queues = (unsigned)number(name, arg, 1, LOAD_MAX_QUEUES);
		return true;
	case OPT_THREADS:
		o->threads = (unsigned)number(name, arg, 1, LOAD_MAX_QUEUES);
		return true;
	case OPT_QUEUE_SIZE:
		o->queue_size = (unsigned)number(name, arg, 2, VU_MAX_RING_SIZE);
		return true;
	case OPT_BATCH:
		o->batch = (unsigned)number(name, arg, 1, LOAD_MAX_DEPTH);
		return true;
	case OPT_MISALIGN:
		o->misalign = (unsigned)number(name, arg, 0, 4095);
		return true;
	case OPT_FLUSH:
		o->flush_every = (unsigned)number(name, arg, 1, UINT32_MAX);
		return true;
	case OPT_IOS:
		o->ios = number(name, arg, 1, UINT64_MAX);
		return true;
	case OPT_SEED:
		o->seed = number(name, arg, 0, UINT64_MAX);
		return true;
	case OPT_DEVICE_CPU:
		o->device_cpu = (int)number(name, arg, 0, CPU_SETSIZE - 1);
		return true;
	case OPT_RUNTIME:
		o->runtime_ms = duration(name, arg);
		return true;
	case OPT_RAMP:
		o->ramp_ms = duration(name, arg);
		return true;
	case OPT_IDLE:
		o->idle_ms = duration(name, arg);
		return true;
	case OPT_SIZE:
		o->size_bytes = size(name, arg);
		return true;
	case OPT_EVENT_IDX:
		o->event_idx = on_off(name, arg);
		return true;
	case OPT_INDIRECT:
		o->indirect = on_off(name, arg);
		return true;
	case OPT_PACKED:
		o->packed = on_off(name, arg);
		return true;
	case OPT_FRESH_CHAINS:
		o->fresh_chains = on_off(name, arg);
		return true;
	case OPT_IN_ORDER:
		o->in_order = on_off(name, arg);
		return true;
	case OPT_MEM_SLOTS:
		o->mem_slots = on_off(name, arg);
		return true;
	default:
		return false;
	}
}

static void set_block_size(struct load_options *o, const char *arg)
{
	uint64_t bytes = size("bs", arg);

	if (bytes % LOAD_SECTOR || bytes > (64u << 20))
		usage_error("--bs=%s: a multiple of 512 up to 64M", arg);
	o->block_bytes = (uint32_t)bytes;
}

static void set_other(struct load_options *o, int id, const char *arg, unsigned *mix)
{
	switch (id) {
	case OPT_SOCKET:
		o->socket_path = arg;
		break;
	case OPT_RW:
		o->read_percent = UINT32_MAX;
		set_rw(o, arg);
		break;
	case OPT_MIX:
		*mix = (unsigned)number("rwmixread", arg, 0, 100);
		break;
	case OPT_BS:
		set_block_size(o, arg);
		break;
	case OPT_VERIFY:
		o->verify = true;
		break;
	case OPT_POLL:
		o->interrupt = false;
		break;
	case OPT_INTERRUPT:
		o->interrupt = true;
		break;
	case OPT_REGION:
		set_region(o, arg);
		break;
	case OPT_CPU:
		if (parse_cpu_list(arg, &o->cpus))
			usage_error("--cpu=%s: a list such as 0,2-5", arg);
		break;
	case OPT_JSON:
		o->json = arg;
		break;
	case OPT_CEILING:
		o->ceiling = true;
		break;
	case OPT_HELP:
		fputs(help_text, stdout);
		exit(0);
	case OPT_VERSION:
		puts("blk " RINGSIDE_VERSION);
		exit(0);
	default:
		usage_error("wrong option");
	}
}

static void check_together(const struct load_options *o)
{
	if (!o->socket_path == !o->ceiling)
		usage_error("one of --socket-path and --ceiling is needed");
	if (o->threads > o->queues)
		usage_error("--threads=%u: at most one for each of %u queues", o->threads,
			    o->queues);
	if (o->verify && o->read_percent == 100)
		usage_error("--verify: there must be writes (--rw=write, randwrite, rw, randrw)");
	if (o->verify && o->ceiling)
		usage_error("--verify: not with --ceiling, which keeps nothing");
	if (o->in_order && o->ceiling)
		usage_error(
			"--in-order: not with --ceiling, which hands requests back by their ids");
	if (o->ceiling && o->interrupt)
		usage_error("--interrupt: not with --ceiling, which only polls");
	if (!o->packed && (o->queue_size & (o->queue_size - 1)))
		usage_error("--queue-size=%u: a power of two, unless with --packed=on",
			    o->queue_size);
	if (o->ios && o->ios < o->queues)
		usage_error("--ios: at least one for each queue");
}

void load_parse(struct load_options *o, int argc, char **argv)
{
	unsigned mix = 50;
	bool timed = false;
	int id, at = 0;

	*o = (struct load_options){
		.rw = "randread",
		.read_percent = 100,
		.block_bytes = 4096,
		.depth = 1,
		.queues = 1,
		.threads = 1,
		.batch = 32,
		.runtime_ms = 5000,
		.seed = 1,
		.event_idx = true,
		.indirect = true,
		.device_cpu = -1,
	};
	opterr = 0;
	while ((id = getopt_long(argc, argv, "", long_options, &at)) != -1) {
		if (id == '?' || id == ':')
			usage_error("%s: unknown option, or its value is missing",
				    argv[optind - 1]);
		timed |= id == OPT_RUNTIME;
		if (!set_number(o, id, long_options[at].name, optarg))
			set_other(o, id, optarg, &mix);
	}
	if (optind < argc)
		usage_error("%s: not an option", argv[optind]);
	if (o->read_percent == UINT32_MAX)
		o->read_percent = mix;
	if (o->idle_ms)
		o->ios = o->queues; /* one each, so that everything is warm */
	if (o->ios && !timed)
		o->runtime_ms = 0;
	check_together(o);
}
