/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_control.c - any bytes as a control request: answered in one line of JSON, or in silence.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/control/dispatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int call_typed(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const char *text = "";
	json_int_t size = 0;
	int flag = 0;

	(void)ctx;
	if (rpc_unpack(params, error, "{s?s, s?I, s?b}", "text", &text, "size", &size, "flag",
		       &flag))
		return RPC_INVALID_PARAMS;
	if (flag)
		return rpc_fail(error, RPC_FAILED, "%s", text);
	*result = json_deep_copy(params);
	return 0;
}

static const struct rpc_method methods[] = {{"typed", "", "", call_typed}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rpc_table table = {methods, ARRAY_SIZE(methods), NULL};
	struct rpc_output out = {0};
	json_t *response;

	if (size > RPC_MAX_REQUEST_BYTES)
		return 0;
	if (rpc_answer(&table, (const char *)data, size, &out) == 0 && out.end) {
		assert(memchr(out.data, '\n', out.end) == out.data + out.end - 1);
		response = json_loadb(out.data, out.end, 0, NULL);
		assert(response);
		json_decref(response);
	}
	rpc_output_free(&out);
	return 0;
}
