/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vmm_options.c - the command line of ringside-vmm: what is taken, and that every mistake ends
 * with a line that names it. Tests vmm/options*.
 */
#include <sys/wait.h>

#include "tests/unit/support.h"
#include "vhost/base/log.h"
#include "vhost/base/util.h"
#include "vmm/options.h"

#define MAX_ARGS 12

static struct options opt;

/* split - a command line as a shell would, but without quotes. */
static int split(const char *line, char *copy, size_t copy_bytes, char **argv)
{
	int argc = 0;
	char *word, *rest = copy;

	snprintf(copy, copy_bytes, "ringside-vmm %s", line);
	while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
		if (*word)
			argv[argc++] = word;
	argv[argc] = NULL;
	return argc;
}

static void parse(const char *line)
{
	static char copy[512];
	char *argv[MAX_ARGS + 1];
	int argc = split(line, copy, sizeof(copy), argv);

	optind = 0;
	options_parse(&opt, argc, argv);
}

/* parse_in_child - with what it wrote to @stream (1 or 2) in @text. Return: its exit status. */
static int parse_in_child(const char *line, int stream, char *text, size_t text_bytes)
{
	int pipe_fds[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(pipe_fds[1], stream);
		parse(line);
		_exit(99); /* it was taken */
	}
	close(pipe_fds[1]);
	while ((n = read(pipe_fds[0], text + used, text_bytes - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(pipe_fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void setup(void)
{
	log_init("ringside-vmm");
}

START_TEST(defaults)
{
	parse("run --kernel=/k");
	ck_assert_int_eq(opt.command, COMMAND_RUN);
	ck_assert_str_eq(opt.load.kernel_path, "/k");
	ck_assert_ptr_null(opt.load.initrd_path);
	ck_assert_str_eq(opt.load.cmdline, "");
	ck_assert_uint_eq(opt.ram.size, 512u << 20);
	ck_assert_int_eq(opt.ram.numa_node, -1);
	ck_assert(!opt.ram.hugepages);
	ck_assert(!opt.ram.prealloc);
	ck_assert_uint_eq(opt.topology.num_vcpus, 1);
	ck_assert_int_eq(CPU_COUNT(&opt.cpus), 0);
	ck_assert_uint_eq(opt.num_backends, 0);
	ck_assert_str_eq(opt.serial, "stdio");
	ck_assert_ptr_null(opt.control_path);
	ck_assert(opt.reboot);
	ck_assert(!opt.count_kicks);
	ck_assert(opt.sandbox);
}
END_TEST

START_TEST(everything)
{
	parse("--kernel=/k --initrd=/i --cmdline=quiet --cpus=1,3-4 --serial=/log "
	      "--control-path=/c --no-reboot --count-kicks --no-sandbox run");
	ck_assert_str_eq(opt.load.initrd_path, "/i");
	ck_assert_str_eq(opt.load.cmdline, "quiet");
	ck_assert_int_eq(CPU_COUNT(&opt.cpus), 3);
	ck_assert_str_eq(opt.serial, "/log");
	ck_assert_str_eq(opt.control_path, "/c");
	ck_assert(!opt.reboot);
	ck_assert(opt.count_kicks);
	ck_assert(!opt.sandbox);
}
END_TEST

START_TEST(doctor)
{
	parse("doctor");
	ck_assert_int_eq(opt.command, COMMAND_DOCTOR);
	ck_assert(!opt.json);
	parse("doctor --json");
	ck_assert(opt.json);
}
END_TEST

START_TEST(memory)
{
	parse("run --kernel=/k --memory=4G,hugepages=on,numa-node=1,prealloc=on");
	ck_assert_uint_eq(opt.ram.size, 4ull << 30);
	ck_assert(opt.ram.hugepages);
	ck_assert_int_eq(opt.ram.numa_node, 1);
	ck_assert(opt.ram.prealloc);
	parse("run --kernel=/k --memory=prealloc=on,size=6M,hugepages=off");
	ck_assert_uint_eq(opt.ram.size, 6u << 20);
	ck_assert(!opt.ram.hugepages);
	ck_assert(opt.ram.prealloc);
	ck_assert_int_eq(opt.ram.numa_node, -1);
}
END_TEST

START_TEST(topology)
{
	static const struct {
		const char *text;
		struct topology t;
	} cases[] = {
		{"4", {4, 1, 4, 1}},
		{"64", {64, 1, 64, 1}},
		{"cpus=3", {3, 1, 3, 1}},
		{"8,threads=2", {8, 1, 4, 2}},
		{"8,sockets=2", {8, 2, 4, 1}},
		{"8,sockets=2,threads=2", {8, 2, 2, 2}},
		{"8,cores=2", {8, 4, 2, 1}},
		{"8,cores=2,threads=2", {8, 2, 2, 2}},
		{"8,sockets=2,cores=2", {8, 2, 2, 2}},
		{"8,sockets=2,cores=2,threads=2", {8, 2, 2, 2}},
		{"sockets=2,cores=3", {6, 2, 3, 1}},
		{"threads=2", {2, 1, 1, 2}},
	};
	char line[128];

	snprintf(line, sizeof(line), "run --kernel=/k --smp=%s", cases[_i].text);
	parse(line);
	ck_assert_mem_eq(&opt.topology, &cases[_i].t, sizeof(opt.topology));
}
END_TEST

START_TEST(devices)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0xaB, 0xcd, 0xef};

	parse("run --kernel=/k --vhost-user-blk=socket=/a,,b "
	      "--vhost-user-net=socket=/n,mac=52:54:00:aB:cd:ef,queues=63,ctrl=backend,packed=on "
	      "--vhost-user=socket=/o,device-id=4,queues=3,config-size=12,queue-size=1024,wait=0 "
	      "--vhost-user-blk=queues=128,queue-size=32768,socket=/b");
	ck_assert_uint_eq(opt.num_backends, 4);
	ck_assert_str_eq(opt.backends[0].socket_path, "/a,b"); /* a doubled comma stands for one */
	ck_assert_uint_eq(opt.backends[0].device_id, 2);
	ck_assert_uint_eq(opt.backends[0].queues, 0);
	ck_assert_uint_eq(opt.backends[0].queue_size, 0);
	ck_assert(!opt.backends[0].packed);
	ck_assert(!opt.backends[0].has_mac);
	ck_assert_uint_eq(opt.backends[0].wait_s, 5);
	ck_assert_uint_eq(opt.backends[1].device_id, 1);
	ck_assert_uint_eq(opt.backends[1].queues, 63);
	ck_assert(opt.backends[1].has_mac);
	ck_assert_mem_eq(opt.backends[1].mac, mac, sizeof(mac));
	ck_assert_int_eq(opt.backends[1].ctrl, NET_CTRL_BACKEND);
	ck_assert(opt.backends[1].packed);
	ck_assert_uint_eq(opt.backends[2].device_id, 4);
	ck_assert_uint_eq(opt.backends[2].queues, 3);
	ck_assert_uint_eq(opt.backends[2].config_bytes, 12);
	ck_assert_uint_eq(opt.backends[2].queue_size, 1024);
	ck_assert_uint_eq(opt.backends[2].wait_s, 0);
	ck_assert_str_eq(opt.backends[3].socket_path, "/b");
	ck_assert_uint_eq(opt.backends[3].queues, 128);
	ck_assert_uint_eq(opt.backends[3].queue_size, 32768);
}
END_TEST

START_TEST(balloon)
{
	parse("run --kernel=/k --vhost-user-balloon=socket=/b,packed=on,wait=1 "
	      "--vhost-user-blk=socket=/d");
	ck_assert_uint_eq(opt.num_backends, 2);
	ck_assert_uint_eq(opt.backends[0].device_id, 5);
	ck_assert_str_eq(opt.backends[0].socket_path, "/b");
	ck_assert(opt.backends[0].packed);
	ck_assert_uint_eq(opt.backends[0].wait_s, 1);
}
END_TEST

#define RUN     "run --kernel=/k "
#define BLK     RUN "--vhost-user-blk=socket=/s,"
#define NET     RUN "--vhost-user-net=socket=/s,"
#define OTHER   RUN "--vhost-user=socket=/s,"
#define BALLOON RUN "--vhost-user-balloon=socket=/s,"

/* Values: exit 1, one line. */
static const struct {
	const char *line;
	const char *named; /* what the line must name */
} bad_values[] = {
	{"run --kernel=", "--kernel=: the name is empty"},
	{RUN "--initrd=", "--initrd=: the name is empty"},
	{RUN "--memory=512X", "--memory=512X:"},
	{RUN "--memory=-1G", "--memory=-1G:"},
	{RUN "--memory=99999999999999999999G", "--memory=99999999999999999999G:"},
	{RUN "--memory=8M,hugepages=yes", "--memory hugepages=yes: must be on or off"},
	{RUN "--memory=8M,prealloc=", "--memory prealloc=: must be on or off"},
	{RUN "--memory=8M,numa-node=1024",
	 "--memory numa-node=1024: must be a whole number from 0"},
	{RUN "--memory=8M,numa-node=-1", "--memory numa-node=-1:"},
	{RUN "--smp=0", "--smp=0: must be a whole number from 1 to 64"},
	{RUN "--smp=65", "--smp=65:"},
	{RUN "--smp=two", "--smp=two:"},
	{RUN "--smp=4,sockets=1,cores=4,threads=2",
	 "1 sockets * 4 cores * 2 threads are 8 vCPUs, not 4"},
	{RUN "--smp=8,sockets=1,cores=2,threads=2", "are 4 vCPUs, not 8"},
	{RUN "--smp=4,sockets=3", "4 vCPUs cannot be shared out evenly"},
	{RUN "--smp=4,cores=8", "4 vCPUs cannot be shared out evenly"},
	{RUN "--smp=4,threads=3", "4 vCPUs cannot be shared out evenly"},
	{RUN "--smp=4,sockets=4,cores=4", "4 vCPUs cannot be shared out evenly"},
	{RUN "--smp=sockets=8,cores=9", "72 vCPUs, and at most 64 are possible"},
	{RUN "--smp=sockets=64,cores=64,threads=64", "262144 vCPUs, and at most 64"},
	{RUN "--smp=4,cores=0", "--smp cores=0: must be a whole number from 1 to 64"},
	{RUN "--cpus=", "--cpus=: must be a list of CPU numbers"},
	{RUN "--cpus=1-", "--cpus=1-:"},
	{RUN "--serial=", "--serial=: must be stdio, none, socket:PATH or the name of a file"},
	{RUN "--serial=socket:", "--serial socket=: the path is empty"},
	{RUN "--control-path=", "--control-path=: the path is empty"},
	{RUN "--log-level=loud", "--log-level=loud: must be error, warn, info or debug"},
	{RUN "--vhost-user-blk=socket=", "--vhost-user-blk socket=: the path is empty"},
	{BLK "queues=0", "--vhost-user-blk queues=0: must be a whole number from 1 to 128"},
	{BLK "queues=129", "queues=129:"},
	{BLK "queue-size=3",
	 "--vhost-user-blk queue-size=3: must be a whole number from 4 to 32768"},
	{BLK "queue-size=100", "queue-size=100: must be a power of two"},
	{BLK "queue-size=65536", "queue-size=65536:"},
	{BLK "packed=1", "--vhost-user-blk packed=1: must be on or off"},
	{BLK "wait=86401", "--vhost-user-blk wait=86401:"},
	{NET "queues=64", "--vhost-user-net queues=64: must be a whole number from 1 to 63"},
	{NET "mac=", "--vhost-user-net mac=: must be the address of one station"},
	{NET "mac=53:54:00:12:34:56", "mac=53:54:00:12:34:56:"}, /* a group's */
	{NET "mac=ff:ff:ff:ff:ff:ff", "mac=ff:ff:ff:ff:ff:ff:"},
	{NET "mac=00:00:00:00:00:00", "mac=00:00:00:00:00:00:"},
	{NET "mac=52:54:00:12:34", "mac=52:54:00:12:34:"},
	{NET "mac=52:54:00:12:34:56:78", "mac=52:54:00:12:34:56:78:"},
	{NET "mac=52:54:00:12:34:5", "mac=52:54:00:12:34:5:"},
	{NET "mac=52-54-00-12-34-56", "mac=52-54-00-12-34-56:"},
	{NET "mac=+2:54:00:12:34:56", "mac=+2:54:00:12:34:56:"},
	{NET "ctrl=on", "--vhost-user-net ctrl=on: must be auto, vmm, backend or off"},
	{OTHER "device-id=0", "--vhost-user device-id=0: must be a whole number from 1 to 63"},
	{OTHER "device-id=64", "device-id=64:"},
	{OTHER "device-id=1", "device-id=1: that is what --vhost-user-net is for"},
	{OTHER "device-id=2", "device-id=2: that is what --vhost-user-blk is for"},
	{OTHER "device-id=5", "device-id=5: that is what --vhost-user-balloon is for"},
	{OTHER "config-size=257",
	 "--vhost-user config-size=257: must be a whole number from 0 to 256"},
	{BALLOON "queue-size=3", "--vhost-user-balloon queue-size=3:"},
	{BALLOON "wait=1 --vhost-user-balloon=socket=/t",
	 "--vhost-user-balloon=socket=/t: a machine has one balloon, and has it already "
	 "(socket=/s)"},
	{BLK "wait=1 --vhost-user-balloon=socket=/s", "/s: named twice"},
	{BLK "wait=1 --vhost-user-net=socket=/s", "/s: named twice"},
	{BLK "wait=1 --control-path=/s", "/s: named twice"},
	{BLK "wait=1 --serial=socket:/s", "/s: named twice"},
};

START_TEST(bad_value)
{
	char text[1024];

	ck_assert_int_eq(parse_in_child(bad_values[_i].line, 2, text, sizeof(text)), 1);
	ck_assert_msg(strstr(text, bad_values[_i].named), "said: %s", text);
	ck_assert_msg(!strncmp(text, "ringside-vmm: ", 14), "said: %s", text);
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1); /* one line */
}
END_TEST

/* Usage: exit 2, and a line that leads to --help. */
static const struct {
	const char *line;
	const char *named;
} bad_usage[] = {
	{"", "what is to be done?"},
	{"--kernel=/k", "what is to be done?"},
	{"boot --kernel=/k", "'boot' is not a command; there are run and doctor"},
	{"run", "--kernel is missing"},
	{RUN "more", "'more' is not an option"},
	{RUN "doctor", "'doctor' is not an option"},
	{RUN "--json", "--json is an option of doctor"},
	{"doctor --kernel=/k", "--kernel is an option of run"},
	{"doctor --no-sandbox", "--no-sandbox is an option of run"},
	{RUN "--no-such", "--no-such"},
	{RUN "-x", "x"},
	{RUN "--no-reboot=1", "--no-reboot"},
	{"run --kernel", "--kernel"},
	{RUN "--memory=", "--memory=: how much?"},
	{RUN "--memory=prealloc=on", "--memory=prealloc=on: how much?"},
	{RUN "--memory=8M,prealloc", "--memory prealloc needs a value"},
	{RUN "--memory=8M,node=1", "--memory has no key 'node'; it has size, hugepages"},
	{RUN "--smp=", "--smp=: how many?"},
	{RUN "--smp=4,sockets", "--smp sockets needs a value"},
	{RUN "--smp=4,dies=2", "--smp has no key 'dies'; it has cpus, sockets, cores, threads"},
	{RUN "--vhost-user-blk=", "--vhost-user-blk socket is missing"},
	{RUN "--vhost-user-blk=queues=2", "--vhost-user-blk socket is missing"},
	{RUN "--vhost-user-blk=/s",
	 "--vhost-user-blk has no key '/s'; it has socket, queues, queue-size, packed, wait"},
	{BLK "mac=52:54:00:12:34:56", "--vhost-user-blk has no key 'mac'"},
	{BLK "packed", "--vhost-user-blk packed needs a value"},
	{NET "config-size=8", "--vhost-user-net has no key 'config-size'"},
	{RUN "--vhost-user-balloon=packed=on", "--vhost-user-balloon socket is missing"},
	{BALLOON "queues=5", "--vhost-user-balloon has no key 'queues'; it has socket, queue-size, "
			     "packed, wait"},
	{BALLOON "config-size=16", "--vhost-user-balloon has no key 'config-size'"},
	{OTHER "queues=1,config-size=0", "--vhost-user device-id is missing"},
	{OTHER "device-id=4,config-size=0", "--vhost-user queues is missing"},
	{OTHER "device-id=4,queues=1", "--vhost-user config-size is missing"},
};

START_TEST(bad_command_line)
{
	char text[1024];

	ck_assert_int_eq(parse_in_child(bad_usage[_i].line, 2, text, sizeof(text)), 2);
	ck_assert_msg(strstr(text, bad_usage[_i].named), "said: %s", text);
	ck_assert_msg(strstr(text, "ringside-vmm --help"), "said: %s", text);
}
END_TEST

static int status_of(char **argv, int argc)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		optind = 0;
		options_parse(&opt, argc, argv);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

START_TEST(too_many_devices)
{
	char *argv[VMM_MAX_DEVICES + 5] = {"ringside-vmm", "run", "--kernel=/k"};
	static char text[VMM_MAX_DEVICES + 1][64];

	for (int i = 0; i < VMM_MAX_DEVICES + 1; i++) {
		snprintf(text[i], sizeof(text[i]), "--vhost-user-blk=socket=/s%d", i);
		argv[i + 3] = text[i];
	}
	ck_assert_int_eq(status_of(argv, VMM_MAX_DEVICES + 4), 1);
	argv[VMM_MAX_DEVICES + 3] = NULL;
	ck_assert_int_eq(status_of(argv, VMM_MAX_DEVICES + 3), 99);
}
END_TEST

START_TEST(too_long)
{
	static char cmdline[CMDLINE_BYTES + 16] = "--cmdline=", path[128] = "--control-path=/";
	char *argv[] = {"ringside-vmm", "run", "--kernel=/k", cmdline, NULL};

	memset(cmdline + 10, 'c', CMDLINE_BYTES - 1);
	ck_assert_int_eq(status_of(argv, 4), 99);
	memset(cmdline + 10, 'c', CMDLINE_BYTES);
	ck_assert_int_eq(status_of(argv, 4), 1);
	argv[3] = path;
	memset(path + 15, 'p', 107);
	ck_assert_int_eq(status_of(argv, 4), 99);
	memset(path + 15, 'p', 108);
	ck_assert_int_eq(status_of(argv, 4), 1);
}
END_TEST

START_TEST(answers)
{
	static const struct {
		const char *line;
		const char *said;
	} cases[] = {
		{"--help", "usage: ringside-vmm run"},
		{"run --help", "usage: ringside-vmm run"},
		{"doctor --help", "usage: ringside-vmm run"},
		{"--version", "ringside-vmm " RINGSIDE_VERSION "\n"},
	};
	char text[8192];

	ck_assert_int_eq(parse_in_child(cases[_i].line, 1, text, sizeof(text)), 0);
	ck_assert_msg(strstr(text, cases[_i].said), "said: %s", text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_options");
	TCase *taken = tcase_create("taken"), *refused = tcase_create("refused");

	tcase_add_checked_fixture(taken, setup, NULL);
	tcase_add_test(taken, defaults);
	tcase_add_test(taken, everything);
	tcase_add_test(taken, doctor);
	tcase_add_test(taken, memory);
	tcase_add_loop_test(taken, topology, 0, 12);
	tcase_add_test(taken, devices);
	tcase_add_test(taken, balloon);
	tcase_add_loop_test(taken, answers, 0, 4);
	suite_add_tcase(suite, taken);
	tcase_add_checked_fixture(refused, setup, NULL);
	tcase_add_loop_test(refused, bad_value, 0, (int)ARRAY_SIZE(bad_values));
	tcase_add_loop_test(refused, bad_command_line, 0, (int)ARRAY_SIZE(bad_usage));
	tcase_add_test(refused, too_many_devices);
	tcase_add_test(refused, too_long);
	suite_add_tcase(suite, refused);
	return run_suite(suite);
}
