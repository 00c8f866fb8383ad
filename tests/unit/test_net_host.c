/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_host.c - host ports with devices that need nothing of the machine (net_ring, net_pcap,
 * net_null): frames pass whole, offloads are said to the device as it wants them, what does not fit
 * is dropped by name, and what does not open is said with a reason. Tests net/host*.
 */
#include "net/headers.h"
#include "net/host_driver.h"
#include "tests/unit/net_host_rig.h"

START_TEST(frames_pass_whole_from_one_port_to_the_other)
{
	static const struct {
		uint32_t bytes, piece;
	} frames[] = {{14, 14},     {60, 60},     {1514, 1514}, {1514, 100},
		      {2048, 2048}, {9014, 2048}, {65535, 2048}};
	uint64_t bytes = 0;

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	ck_assert_int_eq(rig_open(1, "ring", 0), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
		struct rte_mbuf *got;

		/* What a ring is sent it receives. */
		rig_send(0, rig_frame(frames[i].bytes, frames[i].piece, (uint8_t)i));
		ck_assert_uint_eq(rig_pass(0), 1);
		got = rig_received(1);
		ck_assert_ptr_nonnull(got);
		ck_assert(rig_is(got, frames[i].bytes, (uint8_t)i));
		rte_pktmbuf_free(got);
		bytes += frames[i].bytes;
	}
	ck_assert_uint_eq(rig_hosts[0]->from[0].frames, ARRAY_SIZE(frames));
	ck_assert_uint_eq(rig_hosts[0]->from[0].bytes, bytes);
	ck_assert_uint_eq(rig_hosts[1]->to[0].frames, ARRAY_SIZE(frames));
	ck_assert_uint_eq(rig_hosts[1]->to[0].bytes, bytes);
	rig_close(0);
	rig_close(1);
	ck_assert_uint_eq(rte_mempool_in_use_count(rig_pool()), 0);
}
END_TEST

START_TEST(what_is_no_frame_is_dropped)
{
	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	ck_assert_int_eq(rig_open(1, "net_ring1", 0), 0);
	rig_send(0, rig_frame(13, 13, 0));
	rig_send(0, rig_frame(60, 13, 0)); /* the header is in pieces */
	ck_assert_uint_eq(rig_pass(0), 2);
	ck_assert_ptr_null(rig_received(1));
	ck_assert_uint_eq(rig_hosts[0]->from[0].drops[NET_DROP_BAD_HEADER], 2);
	ck_assert_uint_eq(rig_hosts[0]->from[0].frames, 0);
	ck_assert_uint_eq(rte_mempool_in_use_count(rig_pool()), 0);
}
END_TEST

START_TEST(what_does_not_fit_is_dropped_by_name)
{
	struct rte_mbuf *got;

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	rig_hosts[0]->max_frame_bytes = 1522;
	rig_send(0, rig_frame(1522, 1522, 1));
	rig_send(0, rig_frame(1523, 1523, 2));
	ck_assert_uint_eq(rig_hosts[0]->to[0].drops[NET_DROP_TOO_LARGE], 1);
	got = rig_received(0);
	ck_assert(rig_is(got, 1522, 1));
	rte_pktmbuf_free(got);
	ck_assert_ptr_null(rig_received(0));

	/* A device that takes one mbuf: they are joined, or it cannot be. */
	rig_hosts[0]->max_frame_bytes = NET_MAX_FRAME_BYTES;
	rig_hosts[0]->max_segments = 1;
	rig_send(0, rig_frame(2000, 100, 3));
	got = rig_received(0);
	ck_assert_uint_eq(got->nb_segs, 1);
	ck_assert(rig_is(got, 2000, 3));
	rte_pktmbuf_free(got);
	rig_send(0, rig_frame(4000, 100, 4));
	ck_assert_uint_eq(rig_hosts[0]->to[0].drops[NET_DROP_TOO_LARGE], 2);

	/* More than the ring holds. */
	for (unsigned i = 0; i < 1200; i++)
		rig_send(0, rig_frame(60, 60, 5));
	ck_assert_uint_gt(rig_hosts[0]->to[0].drops[NET_DROP_NO_DESCRIPTORS], 0);
	ck_assert_uint_eq(rig_hosts[0]->to[0].frames +
				  rig_hosts[0]->to[0].drops[NET_DROP_NO_DESCRIPTORS],
			  1202);
	while ((got = rig_received(0)))
		rte_pktmbuf_free(got);
	ck_assert_uint_eq(rte_mempool_in_use_count(rig_pool()), 0);
}
END_TEST

/* tcp - the headers of a TCP segment over IPv4 or IPv6, @payload bytes behind them. */
static struct rte_mbuf *tcp(bool v6, uint8_t protocol, uint16_t payload)
{
	uint32_t l4 = 14 + (v6 ? 40 : 20), headers = l4 + (protocol == 6 ? 20 : 8);
	struct rte_mbuf *frame = rig_frame(headers + payload, headers + payload, 0);
	uint8_t *data = rte_pktmbuf_mtod(frame, uint8_t *);
	uint32_t ip_bytes = headers + payload - 14;

	memset(data, 0, headers);
	data[12] = v6 ? 0x86 : 0x08;
	data[13] = v6 ? 0xdd : 0x00;
	if (v6) {
		data[14] = 0x60;
		data[18] = (uint8_t)((ip_bytes - 40) >> 8);
		data[19] = (uint8_t)(ip_bytes - 40);
		data[20] = protocol;
	} else {
		data[14] = 0x45;
		data[16] = (uint8_t)(ip_bytes >> 8);
		data[17] = (uint8_t)ip_bytes;
		data[23] = protocol;
	}
	if (protocol == 6)
		data[l4 + 12] = 0x50;
	net_meta(frame)->offload = (struct net_offload){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)l4,
		.csum_offset = protocol == 6 ? 16 : 6,
	};
	return frame;
}

static uint64_t flags_sent;
static uint16_t l2, l3, l4, segment;

/* What the device is handed. */
static uint16_t on_send(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n,
			void *arg)
{
	(void)port;
	(void)queue;
	(void)arg;
	if (n == 1) {
		flags_sent = frames[0]->ol_flags;
		l2 = frames[0]->l2_len;
		l3 = frames[0]->l3_len;
		l4 = frames[0]->l4_len;
		segment = frames[0]->tso_segsz;
	}
	return n;
}

START_TEST(offloads_are_told_as_the_device_wants_them)
{
	static const struct {
		bool v6;
		uint8_t protocol, gso;
		uint64_t flags;
	} cases[] = {
		{false, 6, 0, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM},
		{true, 6, 0, RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM},
		{false, 17, 0, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_UDP_CKSUM},
		{true, 17, 0, RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM},
		{false, 6, VIRTIO_NET_HDR_GSO_TCPV4,
		 RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM |
			 RTE_MBUF_F_TX_TCP_SEG},
		{true, 6, VIRTIO_NET_HDR_GSO_TCPV6,
		 RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG},
	};

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	ck_assert_ptr_nonnull(rte_eth_add_tx_callback(rig_hosts[0]->ethdev, 0, on_send, NULL));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rte_mbuf *frame = tcp(cases[i].v6, cases[i].protocol, 1900);
		struct net_offload *o = &net_meta(frame)->offload;

		if (cases[i].gso) {
			o->gso_type = cases[i].gso;
			o->gso_bytes = 700;
			o->header_bytes = o->csum_start + 20;
		}
		rig_send(0, frame);
		ck_assert_uint_eq(flags_sent, cases[i].flags);
		ck_assert_uint_eq(l2, 14);
		ck_assert_uint_eq(l3, cases[i].v6 ? 40 : 20);
		ck_assert_uint_eq(l4, cases[i].protocol == 6 ? 20 : 8);
		ck_assert_uint_eq(segment, cases[i].gso ? 700 : 0);
		rte_pktmbuf_free(rig_received(0));
	}
}
END_TEST

START_TEST(a_checksum_the_device_does_not_know_is_ours)
{
	struct rte_mbuf *frame, *got;
	uint8_t *data;

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	rte_eth_add_tx_callback(rig_hosts[0]->ethdev, 0, on_send, NULL);
	frame = tcp(false, 132, 10);
	data = rte_pktmbuf_mtod(frame, uint8_t *);
	memset(data + 34, 0, 18);
	data[34] = 0x12;
	data[35] = 0x34;
	rig_send(0, frame);
	ck_assert_uint_eq(flags_sent, 0);
	got = rig_received(0);
	data = rte_pktmbuf_mtod(got, uint8_t *);
	ck_assert_uint_eq(data[40], 0xed); /* ~0x1234 */
	ck_assert_uint_eq(data[41], 0xcb);
	rte_pktmbuf_free(got);
}
END_TEST

/* What a device says of a received frame's checksum. */
static uint16_t say_good(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n,
			 uint16_t max, void *arg)
{
	(void)port;
	(void)queue;
	(void)max;
	for (uint16_t i = 0; i < n; i++)
		frames[i]->ol_flags |= *(uint64_t *)arg;
	return n;
}

static struct net_offload seen;

static uint16_t on_forward(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t n,
			   void *arg)
{
	(void)port;
	(void)queue;
	(void)arg;
	seen = net_meta(frames[0])->offload;
	return n;
}

START_TEST(good_checksums_are_known_to_be)
{
	static const uint64_t flags[] = {RTE_MBUF_F_RX_L4_CKSUM_GOOD, RTE_MBUF_F_RX_L4_CKSUM_BAD,
					 RTE_MBUF_F_RX_L4_CKSUM_NONE, 0};
	uint64_t now;

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	ck_assert_int_eq(rig_open(1, "net_ring1", 0), 0);
	rte_eth_add_rx_callback(rig_hosts[0]->ethdev, 0, say_good, &now);
	rte_eth_add_tx_callback(rig_hosts[1]->ethdev, 0, on_forward, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct rte_mbuf *frame = tcp(false, 6, 100);

		net_meta(frame)->offload = (struct net_offload){0};
		now = flags[i];
		rig_send(0, frame);
		/* A ring hands on the mbuf itself, with all that was in it. */
		net_meta(frame)->offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		ck_assert_uint_eq(rig_pass(0), 1);
		ck_assert_uint_eq(seen.flags, now == RTE_MBUF_F_RX_L4_CKSUM_GOOD
						      ? VIRTIO_NET_HDR_F_DATA_VALID
						      : 0);
		ck_assert_uint_eq(seen.gso_type, 0);
		rte_pktmbuf_free(rig_received(1));
	}
}
END_TEST

START_TEST(a_file_is_written_and_read)
{
	char path[] = "/tmp/ringside-test-XXXXXX", device[64];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	rig_start();
	snprintf(device, sizeof(device), "pcap,tx_pcap=%s", path);
	ck_assert_int_eq(rig_open(0, device, 0), 0);
	for (uint8_t i = 0; i < 5; i++)
		rig_send(0, rig_frame(100 + 2000u * i, 300, i));
	rig_close(0);
	snprintf(device, sizeof(device), "net_pcap7,rx_pcap=%s", path);
	ck_assert_int_eq(rig_open(0, device, 0), 0);
	for (uint8_t i = 0; i < 5; i++) {
		struct rte_mbuf *got = rig_received(0);

		ck_assert(rig_is(got, 100 + 2000u * i, i));
		rte_pktmbuf_free(got);
	}
	ck_assert_ptr_null(rig_received(0));
	rig_close(0);
	unlink(path);
	close(fd);
}
END_TEST

static const struct {
	const char *device, *why;
} refused[] = {
	{"net_foo0", "failed to parse device \"net_foo0\"; see dpdk="},
	{"net_af_packet0", "iface= has to name an interface"},
	{"net_af_packet0,iface=no-such-one", "No such device; iface="},
	{"net_pcap0", "No rx or tx queues provided"},
	{"net_pcap0,rx_pcap=/no/such/file", "No such file or directory"},
	{"net_ring5", "there is a device net_ring5 already"},
	{"0000:ff:1f.7", "Cannot find device (0000:ff:1f.7); the device has to be bound"},
	{"net_virtio_user0", "path is mandatory"},
	{"net_memif0,role=both", "Unknown role: both"},
};

START_TEST(what_does_not_open_is_said)
{
	char start[128];
	unsigned fds;

	rig_start();
	ck_assert_int_eq(rig_open(3, "net_ring5", 0), 0);
	fds = open_fds();
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		ck_assert_int_lt(rig_open(0, refused[i].device, 0), 0);
		snprintf(start, sizeof(start), "port p0: dpdk=%s: ", refused[i].device);
		ck_assert_msg(!strncmp(rig_error, start, strlen(start)), "%s", rig_error);
		ck_assert_msg(strstr(rig_error, refused[i].why), "%s", rig_error);
		ck_assert_uint_eq(open_fds(), fds);
	}
	/* Another can be opened. */
	ck_assert_int_eq(rig_open(0, "net_null0,no-rx=1", 0), 0);
}
END_TEST

START_TEST(device_strings_are_completed)
{
	static const struct {
		const char *given, *device, *name;
	} cases[] = {
		{"tap,iface=x", "net_tap0,iface=x", "net_tap0"},
		{"net_tap,iface=x", "net_tap0,iface=x", "net_tap0"},
		{"net_tap3,iface=x", "net_tap3,iface=x", "net_tap3"},
		{"tap3", "net_tap3", "net_tap3"},
		{"ring", "net_ring1", "net_ring1"}, /* 0 is there */
		{"eth_tap0", "eth_tap0", "eth_tap0"},
		{"0000:01:00.0", "0000:01:00.0", "0000:01:00.0"},
		{"01:00.0,arg=1", "01:00.0,arg=1", "01:00.0"},
		{"af_packet,iface=no", "net_af_packet0,iface=no,qpairs=4", "net_af_packet0"},
		{"net_af_packet0,iface=no,qpairs=2", "net_af_packet0,iface=no,qpairs=2",
		 "net_af_packet0"},
	};
	char device[128], name[64], error[64], value[8];

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_ring0", 0), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(net_host_device_string(cases[i].given, 0, 4, device,
							sizeof(device), name, sizeof(name), error,
							sizeof(error)),
				 0);
		ck_assert_str_eq(device, cases[i].device);
		ck_assert_str_eq(name, cases[i].name);
	}
	ck_assert_int_eq(net_host_device_string("net_af_packet0,iface=no", 9000, 1, device,
						sizeof(device), name, sizeof(name), error,
						sizeof(error)),
			 0);
	ck_assert_str_eq(device, "net_af_packet0,iface=no,framesz=16384,blocksz=16384");
	ck_assert_int_lt(net_host_device_string("net_ring0,aaaaaaaaaaaa", 0, 1, device, 8, name,
						sizeof(name), error, sizeof(error)),
			 0);
	ck_assert(net_host_argument("x,a=1,bb=22", "bb", value, sizeof(value)));
	ck_assert_str_eq(value, "22");
	ck_assert(!net_host_argument("b=1,bb=22", "b", value, sizeof(value)));
	ck_assert(!net_host_is_pci("net_tap0"));
	ck_assert(!net_host_is_pci("0000:01:00"));
	ck_assert(net_host_is_pci("0000:01:00.0,x=1"));
}
END_TEST

START_TEST(ports_come_and_go)
{
	unsigned fds;

	rig_start();
	ck_assert_int_eq(rig_open(0, "net_null0,no-rx=1", 0), 0);
	rig_close(0);
	fds = open_fds();
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_int_eq(rig_open(0, "null,no-rx=1", 0), 0);
		ck_assert_int_eq(rig_open(1, "ring", 0), 0);
		ck_assert(rig_hosts[0]->port.link_up);
		rig_close(0);
		rig_close(1);
	}
	ck_assert_uint_eq(open_fds(), fds);
	ck_assert_uint_eq(rte_mempool_in_use_count(rig_pool()), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net_host");
	TCase *tcase = tcase_create("host");

	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, frames_pass_whole_from_one_port_to_the_other);
	tcase_add_test(tcase, what_is_no_frame_is_dropped);
	tcase_add_test(tcase, what_does_not_fit_is_dropped_by_name);
	tcase_add_test(tcase, offloads_are_told_as_the_device_wants_them);
	tcase_add_test(tcase, a_checksum_the_device_does_not_know_is_ours);
	tcase_add_test(tcase, good_checksums_are_known_to_be);
	tcase_add_test(tcase, a_file_is_written_and_read);
	tcase_add_test(tcase, what_does_not_open_is_said);
	tcase_add_test(tcase, device_strings_are_completed);
	tcase_add_test(tcase, ports_come_and_go);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
