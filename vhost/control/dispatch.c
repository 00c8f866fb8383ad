/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dispatch.c - JSON-RPC 2.0: parse, check, find the method, call it, word the answer.
 * Layer L1. Control thread. Governing text: https://www.jsonrpc.org/specification
 */
#include "vhost/control/dispatch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/base/log.h"

json_t *rpc_text(const char *text)
{
	json_t *json = json_string(text);
	char *ascii;

	if (json || !text)
		return json ? json : json_null();
	ascii = strdup(text);
	if (!ascii)
		return NULL;
	for (char *p = ascii; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	json = json_string(ascii);
	free(ascii);
	return json;
}

int rpc_fail(struct rpc_error *error, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(error->message, sizeof(error->message), fmt, args);
	va_end(args);
	return code;
}

int rpc_unpack(const json_t *params, struct rpc_error *error, const char *fmt, ...)
{
	json_error_t why;
	va_list args;
	int rc;

	va_start(args, fmt);
	/* Unpacking takes no reference and changes nothing; the cast is for jansson's prototype. */
	rc = json_vunpack_ex((json_t *)params, &why, JSON_STRICT, fmt, args);
	va_end(args);
	if (rc)
		return rpc_fail(error, RPC_INVALID_PARAMS, "%s", why.text);
	return 0;
}

void rpc_output_free(struct rpc_output *out)
{
	free(out->data);
	*out = (struct rpc_output){0};
}

static int output_reserve(struct rpc_output *out, size_t bytes)
{
	size_t want = out->allocated ? out->allocated : 4096;
	char *data;

	if (bytes > RPC_MAX_OUTPUT_BYTES - out->end)
		return -EMSGSIZE;
	while (want < out->end + bytes)
		want *= 2;
	if (want == out->allocated)
		return 0;
	data = realloc(out->data, want);
	if (!data)
		return -ENOMEM;
	out->data = data;
	out->allocated = want;
	return 0;
}

static int output_append(const char *bytes, size_t count, void *arg)
{
	struct rpc_output *out = arg;
	int rc = output_reserve(out, count);

	if (rc)
		return rc;
	memcpy(out->data + out->end, bytes, count);
	out->end += count;
	return 0;
}

/* Takes @response over. A missing one means that memory ran out while it was made. */
static int output_json(struct rpc_output *out, json_t *response)
{
	size_t room = RPC_MAX_OUTPUT_BYTES - out->end;
	int rc = -ENOMEM;

	if (!response)
		return rc;
	/* jansson reports any failure as -1, so the reason is asked for afterwards. */
	if (json_dump_callback(response, output_append, out, JSON_COMPACT) == 0)
		rc = output_append("\n", 1, out);
	else if (json_dumpb(response, NULL, 0, JSON_COMPACT) >= room)
		rc = -EMSGSIZE;
	json_decref(response);
	return rc;
}

/* @id is borrowed; NULL stands for null, which is what an unreadable id is answered with. */
static json_t *error_response(const json_t *id, int code, const char *message)
{
	return json_pack("{s:s, s:O, s:{s:i, s:o}}", "jsonrpc", "2.0", "id", id ? id : json_null(),
			 "error", "code", code, "message", rpc_text(message));
}

static const char *code_text(int code)
{
	switch (code) {
	case RPC_PARSE_ERROR:
		return "Parse error";
	case RPC_INVALID_REQUEST:
		return "Invalid request";
	case RPC_METHOD_NOT_FOUND:
		return "Method not found";
	case RPC_INVALID_PARAMS:
		return "Invalid params";
	case RPC_INTERNAL_ERROR:
		return "Internal error";
	default:
		return "Failed";
	}
}

static int call_version(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	(void)ctx;
	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	*result = json_pack("{s:s}", "version", RINGSIDE_VERSION);
	return 0;
}

/* Its context is the table itself: the one method that is about the others. */
static int call_methods(void *ctx, const json_t *params, json_t **result, struct rpc_error *error);

static const struct rpc_method builtins[] = {
	{"version", "", "the version of the daemon", call_version},
	{"methods", "", "what can be called, with parameters", call_methods},
};

static int list_methods(json_t *list, const struct rpc_method *methods, size_t num_methods)
{
	for (size_t i = 0; i < num_methods; i++) {
		const struct rpc_method *m = &methods[i];

		if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", m->name,
							  "params", m->params, "help", m->help)))
			return -ENOMEM;
	}
	return 0;
}

static int call_methods(void *ctx, const json_t *params, json_t **result, struct rpc_error *error)
{
	const struct rpc_table *table = ctx;
	json_t *list;

	if (rpc_unpack(params, error, "{}"))
		return RPC_INVALID_PARAMS;
	list = json_array();
	if (list_methods(list, table->methods, table->num_methods) ||
	    list_methods(list, builtins, ARRAY_SIZE(builtins))) {
		json_decref(list);
		return rpc_fail(error, RPC_INTERNAL_ERROR, "out of memory");
	}
	*result = list;
	return 0;
}

static const struct rpc_method *find_method(const struct rpc_method *methods, size_t num_methods,
					    const char *name)
{
	for (size_t i = 0; i < num_methods; i++) {
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	}
	return NULL;
}

/* Call @name; *@result is a reference of the caller's when 0 is returned. */
static int call_method(const struct rpc_table *table, const char *name, const json_t *params,
		       json_t **result, struct rpc_error *error)
{
	const struct rpc_method *method = find_method(builtins, ARRAY_SIZE(builtins), name);
	void *ctx = (void *)table;
	int code;

	if (!method) {
		method = find_method(table->methods, table->num_methods, name);
		ctx = table->ctx;
	}
	if (!method)
		return rpc_fail(error, RPC_METHOD_NOT_FOUND,
				"there is no method \"%.64s\"; \"methods\" lists them", name);
	log_debug("control", "%s", name);
	code = method->handler(ctx, params, result, error);
	if (code) {
		json_decref(*result);
		return code;
	}
	if (!*result)
		*result = json_null();
	return 0;
}

static bool id_is_valid(const json_t *id)
{
	return json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* What is wrong with the form of @request, or NULL. */
static const char *request_fault(const json_t *request)
{
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	const json_t *id = json_object_get(request, "id");

	if (!json_is_object(request))
		return "a request is an object";
	if (!version || strcmp(version, "2.0") != 0)
		return "\"jsonrpc\" has to be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" has to be a string";
	if (id && !id_is_valid(id))
		return "\"id\" has to be a string, a number or null";
	return NULL;
}

/*
 * Carry out one request. *@response is what to send, NULL for a notification.
 * Return: 0 or -ENOMEM.
 */
static int answer_request(const struct rpc_table *table, const json_t *request, json_t **response)
{
	const json_t *id = json_object_get(request, "id");
	json_t *params = json_object_get(request, "params");
	const char *fault = request_fault(request);
	struct rpc_error error = {0};
	json_t *result = NULL;
	int code;

	*response = NULL;
	if (fault) {
		*response = error_response(id && id_is_valid(id) ? id : NULL, RPC_INVALID_REQUEST,
					   fault);
		return *response ? 0 : -ENOMEM;
	}
	if (!params || (json_is_array(params) && json_array_size(params) == 0))
		params = json_object();
	else
		json_incref(params);
	if (json_is_object(params))
		code = call_method(table, json_string_value(json_object_get(request, "method")),
				   params, &result, &error);
	else
		code = rpc_fail(&error, RPC_INVALID_PARAMS,
				"parameters are given by name, as an object");
	json_decref(params);

	if (!id) {
		if (!code)
			json_decref(result);
		return 0;
	}
	if (code)
		*response = error_response(id, code,
					   error.message[0] ? error.message : code_text(code));
	else
		*response =
			json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
	return *response ? 0 : -ENOMEM;
}

static int answer_batch(const struct rpc_table *table, const json_t *batch, struct rpc_output *out)
{
	json_t *responses, *response;
	size_t n = json_array_size(batch);
	struct rpc_error error;

	if (n == 0)
		return rpc_answer_error(out, RPC_INVALID_REQUEST, "an empty batch");
	if (n > RPC_MAX_BATCH) {
		rpc_fail(&error, RPC_INVALID_REQUEST, "a batch of %zu requests, %d are allowed", n,
			 RPC_MAX_BATCH);
		return rpc_answer_error(out, RPC_INVALID_REQUEST, error.message);
	}
	responses = json_array();
	for (size_t i = 0; i < n; i++) {
		if (answer_request(table, json_array_get(batch, i), &response) ||
		    (response && json_array_append_new(responses, response))) {
			json_decref(responses);
			return -ENOMEM;
		}
	}
	if (json_array_size(responses) == 0) {
		json_decref(responses);
		return 0;
	}
	return output_json(out, responses);
}

int rpc_answer_error(struct rpc_output *out, int code, const char *message)
{
	return output_json(out, error_response(NULL, code, message));
}

int rpc_answer(const struct rpc_table *table, const char *text, size_t bytes,
	       struct rpc_output *out)
{
	struct rpc_error error;
	json_error_t why;
	json_t *response;
	json_t *request;
	int rc;

	/* Any value is let through: what is JSON but no request is another error than no JSON.
	 * Nesting is bounded by jansson itself (2048 levels). */
	request = json_loadb(text, bytes, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
	if (!request) {
		rpc_fail(&error, RPC_PARSE_ERROR, "Parse error: %s", why.text);
		return rpc_answer_error(out, RPC_PARSE_ERROR, error.message);
	}
	if (json_is_array(request)) {
		rc = answer_batch(table, request, out);
	} else {
		rc = answer_request(table, request, &response);
		if (!rc && response)
			rc = output_json(out, response);
	}
	json_decref(request);
	return rc;
}
