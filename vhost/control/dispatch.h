/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dispatch.h - JSON-RPC 2.0 without the socket: one text in, at most one text out.
 * Layer L1, internal to control/ (and its tests). Control thread.
 */
#ifndef RINGSIDE_CONTROL_DISPATCH_H
#define RINGSIDE_CONTROL_DISPATCH_H

#include "vhost/control/rpc.h"

/* Bytes waiting to be sent; grows up to RPC_MAX_OUTPUT_BYTES. Zero-initialise. */
struct rpc_output {
	char *data;
	size_t start; /* the first byte not sent yet */
	size_t end;
	size_t allocated;
};

/* rpc_output_free - forget what is waiting. */
void rpc_output_free(struct rpc_output *out);

/* The methods of one server. */
struct rpc_table {
	const struct rpc_method *methods;
	size_t num_methods;
	void *ctx;
};

/*
 * rpc_answer - carry out one JSON text and append the line that answers it to @out: nothing for
 * notifications. @text need not end in a zero byte and may hold anything.
 *
 * Return: 0, -EMSGSIZE (the answer does not fit) or -ENOMEM; @out is then incomplete.
 */
int rpc_answer(const struct rpc_table *table, const char *text, size_t bytes,
	       struct rpc_output *out);

/* rpc_answer_error - append the line for an error that no request can be named for. Return: as
 * rpc_answer. */
int rpc_answer_error(struct rpc_output *out, int code, const char *message);

#endif
