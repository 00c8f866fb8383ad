/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report_metrics.c - counters and links for a monitoring system: OpenMetrics 1.0 text.
 * Layer L5, control thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "net/report_part.h"

/* Names of ports are ASCII without quotes and backslashes (port_options.c): labels as they are. */

enum value { FRAMES, BYTES };

static void begin_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# TYPE ringside_net_%s %s\n# HELP ringside_net_%s %s\n", name, type, name,
		help);
}

static void print_counter(FILE *out, const struct net *net, const char *name, enum value value)
{
	for (unsigned i = 0; i < NET_MAX_PORTS * 2; i++) {
		const struct net_port *port = net->ports[i / 2];
		struct net_counters sum;
		bool in = i % 2 == 0;

		if (!port)
			continue;
		net_report_sum(port, in, &sum);
		fprintf(out, "ringside_net_%s_total{port=\"%s\",direction=\"%s\"} %llu\n", name,
			port->name, in ? "in" : "out",
			(unsigned long long)(value == FRAMES ? sum.frames : sum.bytes));
	}
}

static void print_drops(FILE *out, const struct net *net)
{
	for (unsigned i = 0; i < NET_MAX_PORTS * 2; i++) {
		const struct net_port *port = net->ports[i / 2];
		struct net_counters sum;

		if (!port)
			continue;
		net_report_sum(port, i % 2 == 0, &sum);
		for (unsigned why = 0; why < NET_DROPS; why++)
			fprintf(out,
				"ringside_net_drops_total{port=\"%s\",direction=\"%s\","
				"reason=\"%s\"} %llu\n",
				port->name, i % 2 == 0 ? "in" : "out", net_drop_name(why),
				(unsigned long long)sum.drops[why]);
	}
}

static void print_links(FILE *out, const struct net *net)
{
	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		if (net->ports[i])
			fprintf(out, "ringside_net_link_up{port=\"%s\"} %d\n", net->ports[i]->name,
				net->ports[i]->link_up);
}

static void count_entry(const struct net_switch_entry *entry, void *arg)
{
	unsigned *counts = arg;

	counts[entry->port]++;
}

static void print_addresses(FILE *out, const struct net *net)
{
	unsigned counts[NET_MAX_PORTS] = {0};

	net_switch_each(net->fabric, count_entry, counts);
	for (unsigned i = 0; i < NET_MAX_PORTS; i++)
		if (net->ports[i])
			fprintf(out, "ringside_net_switch_addresses{port=\"%s\"} %u\n",
				net->ports[i]->name, counts[i]);
}

static void print_all(FILE *out, const struct net *net)
{
	begin_family(out, "frames", "counter", "Frames that came in by a port, or went out.");
	print_counter(out, net, "frames", FRAMES);
	begin_family(out, "bytes", "counter", "Bytes of these frames.");
	print_counter(out, net, "bytes", BYTES);
	begin_family(out, "drops", "counter", "Frames that got no further, by reason.");
	print_drops(out, net);
	begin_family(out, "link_up", "gauge", "Can frames leave by the port?");
	print_links(out, net);
	begin_family(out, "switch_addresses", "gauge", "Addresses known to be behind a port.");
	print_addresses(out, net);
	fputs("# EOF\n", out);
}

int net_report_metrics(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	char *text = NULL;
	size_t bytes;
	FILE *out;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	out = open_memstream(&text, &bytes);
	if (out) {
		print_all(out, ctx);
		if (fclose(out) == 0)
			*result = json_string(text);
		free(text);
	}
	return *result ? 0 : rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
}
