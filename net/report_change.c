/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report_change.c - the control methods of ringside-net that change something: port.*, switch.*,
 * capture.*. Layer L5, control thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/capture.h"
#include "net/report_part.h"
#include "vhost/base/parse.h"

#define MAX_SNAP_BYTES 65535

void net_report_mac(const struct rte_ether_addr *mac, char text[RTE_ETHER_ADDR_FMT_SIZE])
{
	const uint8_t *b = mac->addr_bytes;

	snprintf(text, RTE_ETHER_ADDR_FMT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5]);
}

/* find - Return: NULL with @error filled in. */
static struct net_port *find(const struct net *net, const char *name, struct rpc_error *error)
{
	struct net_port *port = net_find_port(net, name);

	if (!port)
		rpc_fail(error, RPC_INVALID_PARAMS, "no port '%.64s'; see: port.list", name);
	return port;
}

/* --- ports --- */

/*
 * take_socket - for a guest's port. In its sandbox the daemon opens nothing by a path: ringsidectl
 * listens with the rights of its caller, and passes the socket.
 */
static int take_socket(struct net *net, struct daemon_socket *socket, struct rpc_error *error)
{
	if (socket->fd >= 0)
		return rpc_fail(error, RPC_INVALID_PARAMS,
				"fd: is for the command line; say socket=");
	socket->fd = rpc_take_fd(net->daemon.rpc);
	if (socket->fd >= 0)
		socket->client = false;
	else if (net->opt.daemon.sandbox)
		return rpc_fail(error, RPC_FAILED,
				"in its sandbox the daemon opens no socket: let ringsidectl pass "
				"one that listens%s",
				socket->client ? ", without client" : "");
	return 0;
}

/* add_parsed - @opt's text is taken over. */
static int add_parsed(struct net *net, struct net_port_options *opt, json_t **result,
		      struct rpc_error *error)
{
	char line[sizeof(error->message)];
	int ret;

	if (opt->kind == NET_HOST && net->opt.daemon.sandbox && !net->opt.runtime_dpdk) {
		free(opt->text);
		return rpc_fail(error, RPC_FAILED,
				"a device needs more than the sandbox has left: start the daemon "
				"with --runtime-dpdk-ports");
	}
	ret = opt->kind == NET_GUEST ? take_socket(net, &opt->socket, error) : 0;
	if (ret) {
		free(opt->text);
		return ret;
	}
	ret = net_add_port(net, opt, line, sizeof(line));
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "%s", line);
	*result = net_report_port(net, net_find_port(net, opt->name));
	return 0;
}

int net_port_add(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct net *net = ctx;
	struct net_port_options opt;
	char line[sizeof(error->message)];
	const char *text;
	char *copy;

	if (rpc_unpack(params, error, "{s:s}", "port", &text))
		return RPC_INVALID_PARAMS;
	if (net->ending)
		return rpc_fail(error, RPC_FAILED, "the daemon is ending");
	copy = strdup(text);
	if (!copy)
		return rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
	if (net_port_options_parse(&opt, copy, line, sizeof(line)) < 0) {
		free(copy);
		return rpc_fail(error, RPC_INVALID_PARAMS, "%s", line);
	}
	return add_parsed(net, &opt, result, error);
}

int net_port_remove(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct net *net = ctx;
	const char *name;

	(void)result;
	if (rpc_unpack(params, error, "{s:s}", "name", &name))
		return RPC_INVALID_PARAMS;
	if (!find(net, name, error))
		return RPC_INVALID_PARAMS;
	net_remove_port(net, name);
	return 0;
}

/* A change that port.set makes; what was not said is NULL. */
struct change {
	const char *rate_in, *rate_out, *mac_lock, *link;
	uint64_t in_bytes_s, out_bytes_s;
	bool lock;
};

static int check_rate(const char *name, const char *text, uint64_t *out, struct rpc_error *error)
{
	if (!text || net_rate_parse(text, out) == 0)
		return 0;
	return rpc_fail(error, RPC_INVALID_PARAMS,
			"%s=%.64s: must be bytes a second, 16K to 1T, such as 125M, or 0: no limit",
			name, text);
}

/* check_change - all of it, before any of it is made. */
static int check_change(const struct net_port *port, struct change *c, struct rpc_error *error)
{
	int ret = check_rate("rate-in", c->rate_in, &c->in_bytes_s, error);

	if (ret == 0)
		ret = check_rate("rate-out", c->rate_out, &c->out_bytes_s, error);
	if (ret)
		return ret;
	if (c->mac_lock && parse_on_off(c->mac_lock, &c->lock) < 0)
		return rpc_fail(error, RPC_INVALID_PARAMS, "mac-lock=%.64s: must be on or off",
				c->mac_lock);
	if (c->mac_lock && c->lock && rte_is_zero_ether_addr(&port->mac))
		return rpc_fail(error, RPC_FAILED,
				"mac-lock=on: port '%s' has no address; --port has mac= for it",
				port->name);
	if (c->link && strcmp(c->link, "up") && strcmp(c->link, "down"))
		return rpc_fail(error, RPC_INVALID_PARAMS, "link=%.64s: must be up or down",
				c->link);
	return 0;
}

static int make_change(struct net *net, struct net_port *port, const struct change *c,
		       struct rpc_error *error)
{
	int ret = 0;

	if (c->rate_in)
		ret = net_set_rate(net, port, true, c->in_bytes_s);
	if (ret == 0 && c->rate_out)
		ret = net_set_rate(net, port, false, c->out_bytes_s);
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "rate: %s", strerror(-ret));
	if (c->mac_lock)
		__atomic_store_n(&port->mac_locked, c->lock, __ATOMIC_RELAXED);
	if (c->link)
		net_set_link(net, port, !strcmp(c->link, "up"));
	return 0;
}

/* text_of - a parameter that a person typed: ringsidectl takes 125 for a number. */
static const char *text_of(const json_t *value, char buffer[32])
{
	if (!json_is_integer(value))
		return json_string_value(value);
	snprintf(buffer, 32, "%lld", (long long)json_integer_value(value));
	return buffer;
}

int net_port_set(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const json_t *rate_in = NULL, *rate_out = NULL;
	struct change change = {0};
	char in_text[32], out_text[32];
	struct net *net = ctx;
	struct net_port *port;
	const char *name;
	int ret;

	if (rpc_unpack(params, error, "{s:s, s?o, s?o, s?s, s?s}", "name", &name, "rate-in",
		       &rate_in, "rate-out", &rate_out, "mac-lock", &change.mac_lock, "link",
		       &change.link))
		return RPC_INVALID_PARAMS;
	port = find(net, name, error);
	if (!port)
		return RPC_INVALID_PARAMS;
	if (rate_in)
		change.rate_in = text_of(rate_in, in_text);
	if (rate_out)
		change.rate_out = text_of(rate_out, out_text);
	if ((rate_in && !change.rate_in) || (rate_out && !change.rate_out))
		return rpc_fail(error, RPC_INVALID_PARAMS, "a rate is a number or a text");
	ret = check_change(port, &change, error);
	if (ret == 0)
		ret = make_change(net, port, &change, error);
	if (ret == 0)
		*result = net_report_port(net, port);
	return ret;
}

/* --- the switch --- */

static int parse_mac(const char *text, struct rte_ether_addr *mac, struct rpc_error *error)
{
	if (net_mac_parse(text, mac) == 0)
		return 0;
	return rpc_fail(error, RPC_INVALID_PARAMS,
			"mac=%.64s: must be the address of one station, such as 52:54:00:12:34:56",
			text);
}

int net_switch_add(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const char *text, *name;
	const struct net_port *port;
	struct rte_ether_addr mac;
	struct net *net = ctx;

	(void)result;
	if (rpc_unpack(params, error, "{s:s, s:s}", "mac", &text, "port", &name))
		return RPC_INVALID_PARAMS;
	port = find(net, name, error);
	if (!port || parse_mac(text, &mac, error))
		return RPC_INVALID_PARAMS;
	if (!net->is_switch)
		return rpc_fail(error, RPC_FAILED, "two ports are a cable: see --switch");
	if (net_switch_add_static(net->fabric, &mac, port->id) < 0)
		return rpc_fail(error, RPC_FAILED, "more than %d static addresses",
				NET_SWITCH_STATIC);
	return 0;
}

int net_switch_del(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct rte_ether_addr mac;
	struct net *net = ctx;
	const char *text;

	(void)result;
	if (rpc_unpack(params, error, "{s:s}", "mac", &text) || parse_mac(text, &mac, error))
		return RPC_INVALID_PARAMS;
	if (net_switch_remove(net->fabric, &mac) < 0)
		return rpc_fail(error, RPC_FAILED, "mac=%s: is not known; see: switch.list", text);
	return 0;
}

/* --- captures --- */

int net_capture_on(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const char *name, *file;
	struct net *net = ctx;
	struct net_port *port;
	json_int_t snap = 0;
	int fd, ret;

	(void)result;
	if (rpc_unpack(params, error, "{s:s, s:s, s?I}", "port", &name, "file", &file, "snap",
		       &snap))
		return RPC_INVALID_PARAMS;
	port = find(net, name, error);
	if (!port)
		return RPC_INVALID_PARAMS;
	if (snap < 0 || snap > MAX_SNAP_BYTES)
		return rpc_fail(error, RPC_INVALID_PARAMS, "snap: must be 0 (all) to %d bytes",
				MAX_SNAP_BYTES);
	fd = rpc_take_fd(net->daemon.rpc);
	if (fd < 0)
		return rpc_fail(error, RPC_FAILED,
				"the file is opened by ringsidectl, which passes it");
	ret = net_capture_start(port, net->daemon.loop, fd, (uint32_t)snap);
	if (ret == -EBUSY)
		return rpc_fail(error, RPC_FAILED, "port '%s' is captured already: capture.stop",
				name);
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "%.128s: %s", file, strerror(-ret));
	return 0;
}

int net_capture_off(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	struct net_capture_counts counts = {0};
	struct net_port *port;
	const char *name;
	int ret;

	if (rpc_unpack(params, error, "{s:s}", "port", &name))
		return RPC_INVALID_PARAMS;
	port = find(ctx, name, error);
	if (!port)
		return RPC_INVALID_PARAMS;
	net_capture_counts(port, &counts);
	ret = net_capture_stop(port);
	if (ret == -ENOENT)
		return rpc_fail(error, RPC_FAILED, "port '%s' is not captured", name);
	if (ret < 0)
		return rpc_fail(error, RPC_FAILED, "the file lacks frames: %s", strerror(-ret));
	*result = json_pack("{s:I, s:I}", "frames", (json_int_t)counts.frames, "lost",
			    (json_int_t)counts.lost);
	return 0;
}
