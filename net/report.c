/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - the control methods of ringside-net that tell: stats, port.list, switch.list; and the
 * table of all. Layer L5, control thread; counters are the lcores' and are read while they run.
 */
#include "net/report.h"

#include <string.h>

#include "net/capture.h"
#include "net/report_part.h"
#include "vhost/daemon/report.h"

/* --- counters --- */

static void add(struct net_counters *sum, const struct net_counters *count)
{
	sum->frames += vq_count(&count->frames);
	sum->bytes += vq_count(&count->bytes);
	for (unsigned why = 0; why < NET_DROPS; why++)
		sum->drops[why] += vq_count(&count->drops[why]);
}

void net_report_sum(const struct net_port *port, bool in, struct net_counters *sum)
{
	const struct net_counters *queues;
	unsigned num;

	if (port->kind == NET_GUEST) {
		const struct net_guest *guest = container_of(port, struct net_guest, port);

		queues = in ? guest->from : guest->to;
		num = NET_MAX_PAIRS;
	} else {
		const struct net_host *host = container_of(port, struct net_host, port);

		queues = in ? host->from : host->to;
		num = NET_MAX_LCORES;
	}
	memset(sum, 0, sizeof(*sum));
	for (unsigned i = 0; i < num; i++)
		add(sum, &queues[i]);
	for (unsigned i = 0; i < NET_MAX_LCORES; i++)
		add(sum, in ? &port->in[i] : &port->out[i]);
}

static json_t *counters_json(const struct net_counters *count)
{
	json_t *drops = json_object();

	for (unsigned why = 0; why < NET_DROPS; why++)
		if (vq_count(&count->drops[why]))
			json_object_set_new(drops, net_drop_name(why),
					    json_integer((json_int_t)vq_count(&count->drops[why])));
	return json_pack("{s:I, s:I, s:o}", "frames", (json_int_t)vq_count(&count->frames), "bytes",
			 (json_int_t)vq_count(&count->bytes), "drops", drops);
}

static json_t *sum_json(const struct net_port *port, bool in)
{
	struct net_counters sum;

	net_report_sum(port, in, &sum);
	return counters_json(&sum);
}

/* --- ports --- */

static json_t *mac_json(const struct rte_ether_addr *mac)
{
	char text[RTE_ETHER_ADDR_FMT_SIZE];

	if (rte_is_zero_ether_addr(mac))
		return json_null();
	net_report_mac(mac, text);
	return json_string(text);
}

/* link_json - @told: what a guest is shown may differ, for it depends on the cable's other end. */
static json_t *link_json(const struct net *net, const struct net_port *port)
{
	const char *told = net_told_down(net, port);
	json_t *link = json_pack("{s:b, s:o}", "up", port->link_up, "why_down",
				 rpc_text(port->link_up ? NULL : port->why_down));

	if (port->kind == NET_GUEST) {
		json_object_set_new(link, "guest_sees", json_string(told ? "down" : "up"));
		json_object_set_new(link, "guest_why", rpc_text(told));
	}
	return link;
}

static json_t *rate_json(uint64_t bytes_s)
{
	return bytes_s ? json_integer((json_int_t)bytes_s) : json_null();
}

static json_t *capture_json(const struct net_port *port)
{
	struct net_capture_counts counts;

	if (!net_capture_counts(port, &counts))
		return json_null();
	return json_pack("{s:I, s:I}", "frames", (json_int_t)counts.frames, "lost",
			 (json_int_t)counts.lost);
}

static json_t *guest_queues_json(struct net_guest *guest)
{
	json_t *rings[VU_MAX_RINGS];
	json_t *list = json_array();

	daemon_rings_json(&guest->dev, rings);
	for (unsigned i = 0; i < VU_MAX_RINGS; i++) {
		unsigned pair = i / 2;
		bool in = i % 2;
		json_t *queue;

		if (!rings[i])
			continue;
		queue = json_pack("{s:i, s:o}", "queue", i, "ring", rings[i]);
		if (pair < guest->opt->queues && !(guest->ctrl.vq && guest->ctrl.vq->index == i)) {
			json_object_set_new(queue, "role",
					    json_string(in ? "guest sends" : "guest receives"));
			json_object_set_new(queue, "lcore",
					    json_integer(net_guest_lcore_of(guest, pair)));
			json_object_update_new(queue, counters_json(in ? &guest->from[pair]
								       : &guest->to[pair]));
		} else {
			json_object_set_new(queue, "role", json_string("control"));
		}
		json_array_append_new(list, queue);
	}
	return list;
}

static json_t *host_queues_json(const struct net_host *host)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < NET_MAX_LCORES && (i < host->num_rx || i < host->num_tx); i++) {
		json_t *queue = json_pack("{s:i}", "queue", i);

		if (i < host->num_rx) {
			json_object_set_new(queue, "interrupt",
					    json_boolean(host->rx[i].interrupt_fd >= 0));
			json_object_set_new(queue, "in", counters_json(&host->from[i]));
		}
		if (i < host->num_tx)
			json_object_set_new(queue, "out", counters_json(&host->to[i]));
		json_array_append_new(list, queue);
	}
	return list;
}

json_t *net_report_port(const struct net *net, struct net_port *port)
{
	const struct net_slot *slot = net->slots[port->id];
	json_t *json;

	json = json_pack("{s:s, s:i, s:s, s:o, s:o, s:b, s:o, s:o}", "name", port->name, "id",
			 (int)port->id, "kind", port->kind == NET_GUEST ? "guest" : "device",
			 "link", link_json(net, port), "mac", mac_json(&port->mac), "mac_lock",
			 port->mac_locked, "rate_in_bytes_s", rate_json(slot->opt.rate_in_bytes_s),
			 "rate_out_bytes_s", rate_json(slot->opt.rate_out_bytes_s));
	if (!json)
		return NULL;
	if (port->kind == NET_GUEST) {
		struct net_guest *guest = container_of(port, struct net_guest, port);

		json_object_set_new(json, "socket", rpc_text(slot->opt.socket.path));
		json_object_set_new(json, "connected",
				    json_boolean(vu_device_connected(&guest->dev)));
	} else {
		struct net_host *host = container_of(port, struct net_host, port);

		json_object_set_new(json, "device", rpc_text(slot->opt.dpdk));
		json_object_set_new(json, "driver", rpc_text(host->driver->name));
	}
	json_object_set_new(json, "in", sum_json(port, true));
	json_object_set_new(json, "out", sum_json(port, false));
	json_object_set_new(json, "capture", capture_json(port));
	return json;
}

static json_t *ports_json(const struct net *net, bool queues)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < NET_MAX_PORTS; i++) {
		struct net_port *port = net->ports[i];
		json_t *json = port ? net_report_port(net, port) : NULL;

		if (json && queues)
			json_object_set_new(json, "queues",
					    port->kind == NET_GUEST
						    ? guest_queues_json(container_of(
							      port, struct net_guest, port))
						    : host_queues_json(container_of(
							      port, struct net_host, port)));
		if (json)
			json_array_append_new(list, json);
	}
	return list;
}

static int stats(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct net *net = ctx;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	*result = json_pack("{s:s, s:i, s:o}", "wiring", net->is_switch ? "switch" : "cable",
			    "lcores", (int)net_num_lcores, "ports", ports_json(net, true));
	return *result ? 0 : rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
}

static int port_list(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	*result = ports_json(ctx, false);
	return 0;
}

/* --- the switch --- */

struct entries {
	const struct net *net;
	json_t *list;
};

static void add_entry(const struct net_switch_entry *entry, void *arg)
{
	const struct entries *entries = arg;
	const struct net_port *port = entries->net->ports[entry->port];

	if (!port) /* on its way out */
		return;
	json_array_append_new(entries->list,
			      json_pack("{s:o, s:s, s:b, s:i}", "mac", mac_json(&entry->mac),
					"port", port->name, "static", entry->is_static, "age_s",
					(int)entry->age_s));
}

static int switch_list(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct entries entries = {.net = ctx};

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	entries.list = json_array();
	net_switch_each(entries.net->fabric, add_entry, &entries);
	*result = entries.list;
	return 0;
}

const struct rpc_method net_report_methods[] = {
	{"stats", "", "ports, queues, drops by reason, links", stats},
	{"metrics", "", "counters and links as OpenMetrics text", net_report_metrics},
	{"port.list", "", "ports, without their queues", port_list},
	{"port.add", "port=KEY=VALUE,...", "one port more, by the keys of --port", net_port_add},
	{"port.remove", "name=NAME", "unwire a port and close it", net_port_remove},
	{"port.set", "name=NAME [rate-in=SIZE] [rate-out=SIZE] [mac-lock=on|off] [link=up|down]",
	 "bytes a second from and to the port, its only sender, its link", net_port_set},
	{"switch.list", "", "which address is behind which port", switch_list},
	{"switch.add", "mac=ADDRESS port=NAME", "an address that stays behind its port",
	 net_switch_add},
	{"switch.remove", "mac=ADDRESS", "forget an address", net_switch_del},
	{"capture.start", "port=NAME file=FILE [snap=BYTES]", "write its frames as pcapng",
	 net_capture_on},
	{"capture.stop", "port=NAME", "end the file", net_capture_off},
};
const size_t net_report_num_methods = ARRAY_SIZE(net_report_methods);
