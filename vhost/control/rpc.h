/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rpc.h - the control socket: JSON-RPC 2.0 over a unix stream socket, served by the event loop.
 * Layer L1. Control thread only, handlers included.
 *
 * Framing: each JSON text (a request, or a batch) is one line that ends in '\n', and so is each
 * response; a raw newline inside a text is therefore an error, and blank lines mean nothing. The
 * last line may end with the stream instead, so `echo ... | nc -NU SOCKET` works.
 *
 * A client can be slow, hostile or gone without the loop ever waiting for it: while a response
 * has not been taken no further request of that client is read, one that takes nothing for
 * RPC_STALL_MS is dropped, and every buffer has an upper bound.
 */
#ifndef RINGSIDE_CONTROL_RPC_H
#define RINGSIDE_CONTROL_RPC_H

#include <jansson.h>
#include <stddef.h>

#include "vhost/base/util.h"
#include "vhost/wire/broker.h"
#include "vhost/wire/loop.h"

#define RPC_MAX_REQUEST_BYTES (64u * 1024) /* one line */
#define RPC_MAX_OUTPUT_BYTES  (4u * 1024 * 1024) /* responses not yet taken by one client */
#define RPC_MAX_BATCH         64 /* requests in one batch */
#define RPC_MAX_CLIENTS       16 /* connected at a time; one more is told so and dropped */
#define RPC_STALL_MS          30000

/* Error codes. The first five are JSON-RPC's own; a handler may use any other above -32000. */
enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_FAILED = -32000, /* understood, but it could not be done */
	RPC_BUSY = -32001, /* too many clients */
};

/* Why a call failed, in words for the operator. */
struct rpc_error {
	char message[256];
};

struct rpc_method {
	const char *name;
	const char *params; /* for the reader: "size=BYTES [wait=true|false]"; "" for none */
	const char *help; /* one line */
	/*
	 * @params is always an object, an empty one where the request has none; it stays the
	 * server's. *@result is NULL and becomes the server's; left NULL it is sent as null.
	 * Return: 0, or a code of enum rpc_code with @error filled in (rpc_fail does both).
	 */
	int (*handler)(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);
};

struct rpc_server;

/*
 * rpc_server_create - listen on @path (mode 0600) and answer calls of @methods, and of two more
 * that every server has: `version` and `methods`.
 *
 * Call it before the sandbox closes: it binds the socket, and seeds jansson's hash, which opens
 * /dev/urandom. @methods and @ctx must outlive the server. The stale-socket rule is that of
 * unix_listen().
 *
 * Return: 0 and *@out, -ENOMEM, or an error of unix_listen().
 */
int rpc_server_create(struct rpc_server **out, struct loop *loop, const char *path,
		      const struct rpc_method *methods, size_t num_methods, void *ctx);

/* rpc_server_use_broker - @broker removes the socket file at its end. Before broker_seal().
 * Return: 0 or -errno. */
int rpc_server_use_broker(struct rpc_server *server, struct broker *broker);

/*
 * rpc_take_fd - a file or socket that came along with the request being answered (SCM_RIGHTS), which
 * is how one gets into a sandbox. From a handler, once. A request has at most one; another takes its
 * place, and what no handler takes is closed behind the request.
 * Return: the fd, close-on-exec and the caller's, or -1.
 */
int rpc_take_fd(struct rpc_server *server);

/* rpc_server_destroy - drop every client, close, remove the socket file if it is still ours and
 * no broker does. Not from a handler. NULL is harmless. */
void rpc_server_destroy(struct rpc_server *server);

/* rpc_fail - word an error. Return: @code, so that a handler can return rpc_fail(...). */
int rpc_fail(struct rpc_error *error, int code, const char *fmt, ...) printf_like(3, 4);

/* rpc_text - @text, which may quote a client, a path or a command line, as a string: JSON has no place
 * for what is no UTF-8, so that goes out as question marks, and with it all that is not ASCII.
 * Return: a new string, null for NULL, or NULL (no memory). */
json_t *rpc_text(const char *text);

/*
 * rpc_unpack - take parameters apart with json_unpack(3)'s format; names that @fmt does not
 * know, missing ones and wrong types are errors. Strings stay @params' own.
 *
 *     if (rpc_unpack(params, error, "{s:I, s?b}", "size", &size, "wait", &wait))
 *             return RPC_INVALID_PARAMS;
 *
 * Return: 0 or RPC_INVALID_PARAMS with @error filled in.
 */
int rpc_unpack(const json_t *params, struct rpc_error *error, const char *fmt, ...);

#endif
