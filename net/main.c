/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - ringside-net from start to end, in this order: options, broker (forked before it could
 * inherit anything), DPDK's environment, ports with their devices and sockets, privileges dropped,
 * lcores put to work, system calls given up, service; and back.
 * Layer L5, control thread, which is DPDK's main lcore.
 */
#include <string.h>

#include "net/eal.h"
#include "net/net.h"
#include "net/report.h"
#include "vhost/base/affinity.h"
#include "vhost/base/log.h"
#include "vhost/base/startup.h"

static struct net net;

/* Made from the comments in the code. */
extern const struct sandbox_filter net_syscalls, net_dpdk_syscalls;

static void on_end(struct daemon *d)
{
	net_end(container_of(d, struct net, daemon));
}

/* on_exhausted - a guest of --fd is gone for good; the last one was what the program was for. */
static void on_exhausted(struct daemon *d, struct vu_device *dev)
{
	const struct net_guest *guest = container_of(dev, struct net_guest, dev);

	net_remove_port(container_of(d, struct net, daemon), guest->port.name);
	if (d->num_devices <= 1)
		on_end(d);
}

static void open_ports(void)
{
	char error[512];

	for (unsigned i = 0; i < net.opt.num_ports; i++)
		if (net_add_port(&net, &net.opt.ports[i], error, sizeof(error)) < 0)
			daemon_give_up(&net.daemon, "%s", error);
}

static void make_lcores(void)
{
	const struct net_lcore_options opt = {
		.poll_us = net.opt.poll_us,
		.busy_poll = net.opt.busy_poll,
	};
	int ret = net_lcores_make(&opt);

	if (ret < 0)
		fatal("lcores cannot be set up: %s", strerror(-ret));
}

static void start_lcores(void)
{
	int ret;

	net_lcores_start();
	ret = net_start(&net);
	if (ret < 0)
		daemon_give_up(&net.daemon, "the switch cannot be set up: %s; raise --memory",
			       strerror(-ret));
}

static void log_ports(void)
{
	log_info("net", "%s, %u ports, %u lcores", net.is_switch ? "switch" : "cable",
		 net.opt.num_ports, net_num_lcores);
	for (unsigned i = 0; i < net.opt.num_ports; i++) {
		const struct net_port_options *opt = &net.opt.ports[i];

		if (opt->kind == NET_HOST)
			log_info(opt->name, "%s", opt->dpdk);
		else
			log_info(opt->name, "at %s",
				 opt->socket.path ? opt->socket.path : "its fd");
	}
}

static void shut_down(void)
{
	net_lcores_stop();
	net_free(&net);
	daemon_end(&net.daemon);
	net_eal_end();
}

/* drop_privileges - of DPDK's threads, too; with --runtime-dpdk-ports this one keeps what making a
 * device takes. */
static void drop_privileges(void)
{
	if (net.opt.runtime_dpdk)
		net.daemon.keep_capabilities = NET_HOST_CAPABILITIES;
	else if (net.opt.daemon.sandbox)
		net_host_confine();
	daemon_drop_privileges(&net.daemon);
	daemon_drop_in_threads(&net.daemon);
}

int main(int argc, char **argv)
{
	int ret;

	log_init("ringside-net");
	startup_fill_standard_fds();
	net_options_parse(&net.opt, argc, argv);
	daemon_begin(&net.daemon, "ringside-net", &net.opt.daemon);
	net.daemon.on_end = on_end;
	net.daemon.on_exhausted = on_exhausted;
	affinity_prepare();
	net_eal_start(&net.opt);
	make_lcores();
	daemon_watch_signals(&net.daemon);
	open_ports();
	daemon_control(&net.daemon, net_report_methods, net_report_num_methods, &net);
	drop_privileges();
	start_lcores();
	daemon_drop_system_calls(&net.daemon,
				 net.opt.runtime_dpdk ? &net_dpdk_syscalls : &net_syscalls);
	log_ports();
	ret = daemon_run(&net.daemon);
	shut_down();
	return ret;
}
