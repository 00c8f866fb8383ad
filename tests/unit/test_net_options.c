/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_options.c - the command line of ringside-net: what is taken; and the keys of a port, which
 * come at run time, too: what is refused, and in which words. What the program says of its other
 * options is in protocol/test_net_operator. Tests net/options, net/port_options.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/virtio_net.h>

#include "net/options.h"
#include "net/switch.h"
#include "tests/unit/support.h"
#include "vhost/base/log.h"

#define MAX_ARGS 16

static struct net_options opt;
static struct net_port_options port;
static char error[256];

static void free_ports(void)
{
	for (unsigned i = 0; i < opt.num_ports; i++)
		free(opt.ports[i].text);
	opt.num_ports = 0;
}

static void parse(const char *line)
{
	static char copy[512];
	static char *argv[MAX_ARGS + 1];
	char *word, *rest = copy;
	int argc = 0;

	snprintf(copy, sizeof(copy), "ringside-net %s", line);
	while ((word = strsep(&rest, " ")) && argc < MAX_ARGS)
		argv[argc++] = word;
	argv[argc] = NULL;
	optind = 0;
	free_ports();
	net_options_parse(&opt, argc, argv);
}

static int parse_port(const char *text)
{
	static char copy[512];

	snprintf(copy, sizeof(copy), "%s", text);
	error[0] = '\0';
	return net_port_options_parse(&port, copy, error, sizeof(error));
}

static void setup(void)
{
	log_init("ringside-net");
}

START_TEST(one_guest_and_its_uplink)
{
	parse("--socket-path=/s --uplink=net_tap0,iface=x --queues=4");
	ck_assert_uint_eq(opt.num_ports, 2);
	ck_assert_int_eq(opt.ports[0].kind, NET_GUEST);
	ck_assert_str_eq(opt.ports[0].name, "guest");
	ck_assert_str_eq(opt.ports[0].socket.path, "/s");
	ck_assert_uint_eq(opt.ports[0].queues, 4);
	ck_assert_int_eq(opt.ports[1].kind, NET_HOST);
	ck_assert_str_eq(opt.ports[1].name, "uplink");
	ck_assert_str_eq(opt.ports[1].dpdk, "net_tap0,iface=x");
	ck_assert(!opt.is_switch && !opt.busy_poll && !opt.hugepages && !opt.runtime_dpdk);
	ck_assert(opt.daemon.sandbox);
	ck_assert_uint_eq(opt.poll_us, 50);
	ck_assert_uint_eq(opt.age_s, NET_SWITCH_DEFAULT_AGE);
	ck_assert_int_eq(CPU_COUNT(&opt.cores), 0);
	ck_assert_int_eq(opt.eal_argc, 0);
}
END_TEST

START_TEST(ports_and_globals)
{
	parse("--port=name=a,socket=/a --port name=b,dpdk=net_null0 --cores=1,3 --poll-us=0 "
	      "--busy-poll --memory=256M --mbufs=5000 --hugepages=on --mac-age=7 --switch "
	      "--runtime-dpdk-ports --control-path=/c");
	ck_assert_uint_eq(opt.num_ports, 2);
	ck_assert_str_eq(opt.ports[1].name, "b");
	ck_assert_int_eq(CPU_COUNT(&opt.cores), 2);
	ck_assert(CPU_ISSET(1, &opt.cores) && CPU_ISSET(3, &opt.cores));
	ck_assert_uint_eq(opt.poll_us, 0);
	ck_assert(opt.busy_poll && opt.hugepages && opt.is_switch && opt.runtime_dpdk);
	ck_assert_uint_eq(opt.memory_mib, 256);
	ck_assert_uint_eq(opt.num_mbufs, 5000);
	ck_assert_uint_eq(opt.age_s, 7);
	ck_assert_str_eq(opt.daemon.control_path, "/c");
}
END_TEST

START_TEST(three_ports_are_a_switch)
{
	parse("--port=name=a,socket=/a --port=name=b,socket=/b");
	ck_assert(!opt.is_switch);
	parse("--port=name=a,socket=/a --port=name=b,socket=/b --port=name=c,socket=/c");
	ck_assert(opt.is_switch);
}
END_TEST

/* What looks like an option of ours behind -- is not one. */
START_TEST(the_rest_is_dpdk_s)
{
	parse("--port=name=a,socket=/a -- --log-level=pmd:8 -d x.so");
	ck_assert_int_eq(opt.eal_argc, 3);
	ck_assert_str_eq(opt.eal_argv[0], "--log-level=pmd:8");
	ck_assert_str_eq(opt.eal_argv[2], "x.so");
}
END_TEST

START_TEST(every_key_of_a_guest)
{
	const struct rte_ether_addr mac = {{0x52, 0x54, 0, 0x12, 0x34, 0xab}};

	ck_assert_int_eq(parse_port("name=vm1,socket=/s,client,queues=8,queue-size=256,"
				    "mac=52:54:00:12:34:aB,mac-lock=on,mtu=9000,speed=25000,"
				    "rate-in=1M,rate-out=2M,max-macs=3"),
			 0);
	ck_assert_str_eq(port.name, "vm1");
	ck_assert_int_eq(port.kind, NET_GUEST);
	ck_assert(port.socket.client);
	ck_assert_uint_eq(port.queues, 8);
	ck_assert_uint_eq(port.queue_size, 256);
	ck_assert(port.has_mac && port.mac_lock && rte_is_same_ether_addr(&port.mac, &mac));
	ck_assert_uint_eq(port.mtu, 9000);
	ck_assert_uint_eq(port.speed_mbit, 25000);
	ck_assert_uint_eq(port.rate_in_bytes_s, 1 << 20);
	ck_assert_uint_eq(port.rate_out_bytes_s, 2 << 20);
	ck_assert_uint_eq(port.max_macs, 3);
	ck_assert_uint_eq(port.disable, 0);
}
END_TEST

START_TEST(defaults_of_a_guest)
{
	ck_assert_int_eq(parse_port("fd=5,name=x"), 0);
	ck_assert_int_eq(port.socket.fd, 5);
	ck_assert_ptr_null(port.socket.path);
	ck_assert_uint_eq(port.queues, 1);
	ck_assert_uint_eq(port.queue_size, 1024);
	ck_assert_uint_eq(port.max_macs, 1024);
	ck_assert(!port.has_mac && !port.mac_lock);
	ck_assert_uint_eq(port.mtu, 0);
}
END_TEST

START_TEST(features_are_switched_off)
{
	ck_assert_int_eq(parse_port("name=x,socket=/s,mrg=off,packed=off,offload=on"), 0);
	ck_assert_uint_eq(port.disable,
			  1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_F_RING_PACKED);
	ck_assert_int_eq(parse_port("name=x,socket=/s,offload=off,mrg=off,mrg=on"), 0);
	ck_assert(port.disable & 1ull << VIRTIO_NET_F_CSUM);
	ck_assert(port.disable & 1ull << VIRTIO_NET_F_GUEST_TSO6);
	ck_assert(port.disable & 1ull << VIRTIO_NET_F_HOST_USO);
	ck_assert(!(port.disable & 1ull << VIRTIO_NET_F_MRG_RXBUF));
	ck_assert_int_eq(parse_port("name=x,socket=/s,ctrl=off,in-order=off"), 0);
	ck_assert(port.disable & 1ull << VIRTIO_NET_F_CTRL_VQ);
	ck_assert(port.disable & 1ull << VIRTIO_F_IN_ORDER);
}
END_TEST

/* A device has commas, and keys of its own, which are none of the port's. */
START_TEST(a_device_is_the_rest)
{
	ck_assert_int_eq(parse_port("name=up,mtu=1400,dpdk=net_tap0,iface=t,,0,mac=fixed,x=="), 0);
	ck_assert_int_eq(port.kind, NET_HOST);
	ck_assert_str_eq(port.dpdk, "net_tap0,iface=t,,0,mac=fixed,x==");
	ck_assert_uint_eq(port.mtu, 1400);
}
END_TEST

START_TEST(a_doubled_comma_is_one)
{
	ck_assert_int_eq(parse_port("socket=/a,,dpdk=b,name=x"), 0);
	ck_assert_str_eq(port.socket.path, "/a,dpdk=b");
	ck_assert_int_eq(port.kind, NET_GUEST);
}
END_TEST

static const struct {
	const char *text;
	int ret;
	const char *says;
} refused[] = {
	{"socket=/s", -ENOENT, "name is missing"},
	{"name=x", -ENOENT, "socket or dpdk is missing"},
	{"", -ENOENT, "name is missing"},
	{"name=,socket=/s", -EINVAL, "1 to 31 bytes"},
	{"name=aaaaaaaaaabbbbbbbbbbcccccccccc12,socket=/s", -EINVAL, "1 to 31 bytes"},
	{"name=a b,socket=/s", -EINVAL, "ASCII"},
	{"name=a\"b,socket=/s", -EINVAL, "without quotes"},
	{"name=\303\266,socket=/s", -EINVAL, "ASCII"},
	{"name=x,socket=", -EINVAL, "path is empty"},
	{"name=x,socket=/s,fd=3", -ENOENT, "exclude"},
	{"name=x,fd=3,client", -ENOENT, "client needs socket"},
	{"name=x,socket=/s,client=maybe", -EINVAL, "client=maybe: must be on or off"},
	{"name=x,fd=-1", -EINVAL, "fd=-1"},
	{"name=x,socket", -ENOENT, "socket needs a value"},
	{"name=x,socket=/s,bogus=1", -ENOENT, "no key 'bogus'"},
	{"name=x,socket=/s,queues=0", -EINVAL, "queues=0: must be a whole number from 1 to 8"},
	{"name=x,socket=/s,queues=9", -EINVAL, "from 1 to 8"},
	{"name=x,socket=/s,queue-size=100", -EINVAL, "power of two"},
	{"name=x,socket=/s,queue-size=65536", -EINVAL, "from 64 to 32768"},
	{"name=x,socket=/s,mac=52:54:00:12:34", -EINVAL, "such as 52:54:00:12:34:56"},
	{"name=x,socket=/s,mac=52:54:00:12:34:5g", -EINVAL, "such as"},
	{"name=x,socket=/s,mac=5254:0012:3456", -EINVAL, "such as"},
	{"name=x,socket=/s,mac=52-54-00-12-34-56", -EINVAL, "such as"},
	{"name=x,socket=/s,mac=01:00:5e:00:00:01", -EINVAL, "one station"},
	{"name=x,socket=/s,mac=00:00:00:00:00:00", -EINVAL, "one station"},
	{"name=x,socket=/s,mac-lock=on", -EINVAL, "needs mac="},
	{"name=x,socket=/s,mac-lock=1", -EINVAL, "on or off"},
	{"name=x,socket=/s,mtu=67", -EINVAL, "from 68 to 65535"},
	{"name=x,socket=/s,mtu=65536", -EINVAL, "from 68 to 65535"},
	{"name=x,socket=/s,speed=fast", -EINVAL, "speed=fast"},
	{"name=x,socket=/s,rate-in=5", -EINVAL, "rate-in=5: must be bytes a second"},
	{"name=x,socket=/s,rate-out=1Q", -EINVAL, "rate-out=1Q"},
	{"name=x,socket=/s,max-macs=0", -EINVAL, "from 1 to 8192"},
	{"name=x,socket=/s,offload=maybe", -EINVAL, "offload=maybe"},
	{"name=x,socket=/s,mrg", -ENOENT, "mrg needs a value"},
	{"name=x,dpdk=", -EINVAL, "device is empty"},
	{"name=x,queues=2,dpdk=net_null0", -ENOENT, "queues: is a guest's"},
	{"name=x,socket=/s,dpdk=net_null0", -ENOENT, "socket: is a guest's"},
};

START_TEST(refuses)
{
	ck_assert_int_eq(parse_port(refused[_i].text), refused[_i].ret);
	ck_assert_msg(strstr(error, refused[_i].says) != NULL, "'%s' says '%s' and not '%s'",
		      refused[_i].text, error, refused[_i].says);
}
END_TEST

START_TEST(rates)
{
	uint64_t rate = 7;

	ck_assert_int_eq(net_rate_parse("0", &rate), 0);
	ck_assert_uint_eq(rate, 0);
	ck_assert_int_eq(net_rate_parse("16K", &rate), 0);
	ck_assert_uint_eq(rate, 16384);
	ck_assert_int_eq(net_rate_parse("1T", &rate), 0);
	ck_assert_int_eq(net_rate_parse("2T", &rate), -EINVAL);
	ck_assert_int_eq(net_rate_parse("15K", &rate), -EINVAL);
	ck_assert_int_eq(net_rate_parse("", &rate), -EINVAL);
	ck_assert_int_eq(net_rate_parse("-1", &rate), -EINVAL);
	ck_assert_uint_eq(rate, 1ull << 40);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_options");
	TCase *tc = tcase_create("options");

	tcase_add_checked_fixture(tc, setup, free_ports);
	tcase_add_test(tc, one_guest_and_its_uplink);
	tcase_add_test(tc, ports_and_globals);
	tcase_add_test(tc, three_ports_are_a_switch);
	tcase_add_test(tc, the_rest_is_dpdk_s);
	tcase_add_test(tc, every_key_of_a_guest);
	tcase_add_test(tc, defaults_of_a_guest);
	tcase_add_test(tc, features_are_switched_off);
	tcase_add_test(tc, a_device_is_the_rest);
	tcase_add_test(tc, a_doubled_comma_is_one);
	tcase_add_loop_test(tc, refuses, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_test(tc, rates);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
