/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blk_report.c - what was measured, for people and for programs.
 * Main thread, after the workers.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "bench/blk_load.h"
#include "vhost/base/log.h"

static const char *const op_name[LOAD_OPS] = {"read", "write", "flush"};
static const double percentiles[] = {50, 90, 99, 99.9, 99.99};
static const char *const percentile_name[] = {"p50", "p90", "p99", "p99.9", "p99.99"};
static_assert(ARRAY_SIZE(percentiles) == ARRAY_SIZE(percentile_name), "one name each");

struct total {
	struct load_counts counts;
	struct histogram latency[LOAD_OPS];
	uint64_t requests;
	uint64_t kicks;
	uint64_t mismatches;
	uint64_t checked;
	uint64_t cpu_ns;
	double seconds;
	double iops;
};

static void add_up(const struct load *load, struct total *t)
{
	uint64_t elapsed_ns = 0;
	unsigned i, op;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < load->options.queues; i++) {
		const struct load_queue *q = &load->queues[i];

		for (op = 0; op < LOAD_OPS; op++) {
			t->counts.ops[op] += q->counts.ops[op];
			t->requests += q->counts.ops[op];
			hist_merge(&t->latency[op], &q->latency[op]);
		}
		t->counts.bytes += q->counts.bytes;
		t->counts.errors += q->counts.errors;
		t->counts.odd_lengths += q->counts.odd_lengths;
		t->counts.sleeps += q->counts.sleeps;
		t->kicks += q->ring.kicks;
		t->mismatches += q->shadow.mismatches;
		t->checked += q->shadow.checked;
	}
	for (i = 0; i < load->options.threads; i++) {
		elapsed_ns = max_of(elapsed_ns, load->workers[i].elapsed_ns);
		t->cpu_ns += load->workers[i].cpu_ns;
	}
	t->seconds = (double)elapsed_ns / 1e9;
	t->iops = elapsed_ns ? (double)t->requests / t->seconds : 0;
}

static double mean_ns(const struct histogram *h)
{
	return h->count ? (double)h->sum_ns / (double)h->count : 0;
}

void load_report(const struct load *load)
{
	const struct load_options *o = &load->options;
	struct total t;
	unsigned op, i;

	add_up(load, &t);
	printf("%s %u bytes, %u queue%s x %u, %s%s%s: %.0f IOPS, %.1f MiB/s\n", o->rw,
	       o->block_bytes, o->queues, o->queues == 1 ? "" : "s", o->depth,
	       o->interrupt ? "interrupt" : "poll", o->packed ? ", packed" : "",
	       o->ceiling ? ", ceiling" : "", t.iops,
	       t.seconds > 0 ? (double)t.counts.bytes / t.seconds / 1048576 : 0);
	for (op = 0; op < LOAD_OPS; op++) {
		const struct histogram *h = &t.latency[op];

		if (!h->count)
			continue;
		printf("  %-5s %12llu  us: mean %.2f", op_name[op], (unsigned long long)h->count,
		       mean_ns(h) / 1000);
		for (i = 0; i < ARRAY_SIZE(percentiles); i++)
			printf("  %s %.2f", percentile_name[i],
			       (double)hist_percentile_ns(h, percentiles[i]) / 1000);
		printf("  max %.2f\n", (double)h->max_ns / 1000);
	}
	printf("  %.3f s, %llu errors, %llu odd used lengths, %llu kicks, %llu sleeps\n", t.seconds,
	       (unsigned long long)t.counts.errors, (unsigned long long)t.counts.odd_lengths,
	       (unsigned long long)t.kicks, (unsigned long long)t.counts.sleeps);
	if (o->verify)
		printf("  verify: %llu blocks checked, %llu wrong\n", (unsigned long long)t.checked,
		       (unsigned long long)t.mismatches);
}

static json_t *latency_json(const struct histogram *h)
{
	json_t *out = json_pack("{s:I, s:f, s:I}", "count", (json_int_t)h->count, "mean",
				mean_ns(h), "max", (json_int_t)h->max_ns);
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(percentiles); i++)
		json_object_set_new(out, percentile_name[i],
				    json_integer(
					    (json_int_t)hist_percentile_ns(h, percentiles[i])));
	return out;
}

static json_t *options_json(const struct load_options *o)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:b, s:b, s:b, s:b, s:b, s:b}",
			 "rw", o->rw, "read_percent", (int)o->read_percent, "block_bytes",
			 (int)o->block_bytes, "depth", (int)o->depth, "queues", (int)o->queues,
			 "threads", (int)o->threads, "interrupt", o->interrupt, "event_idx",
			 o->event_idx, "indirect", o->indirect, "packed", o->packed, "in_order",
			 o->in_order, "fresh_chains", o->fresh_chains, "verify", o->verify,
			 "ceiling", o->ceiling);
}

int load_report_json(const struct load *load)
{
	json_t *root, *latency = json_object();
	struct total t;
	unsigned op;
	int ret;

	add_up(load, &t);
	for (op = 0; op < LOAD_OPS; op++)
		if (t.latency[op].count)
			json_object_set_new(latency, op_name[op], latency_json(&t.latency[op]));
	root = json_pack("{s:s, s:o, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}",
			 "tool", "ringside bench/blk " RINGSIDE_VERSION, "options",
			 options_json(&load->options), "iops", t.iops, "seconds", t.seconds,
			 "requests", (json_int_t)t.requests, "bytes", (json_int_t)t.counts.bytes,
			 "errors", (json_int_t)t.counts.errors, "odd_used_lengths",
			 (json_int_t)t.counts.odd_lengths, "kicks", (json_int_t)t.kicks, "sleeps",
			 (json_int_t)t.counts.sleeps, "client_cpu_ns", (json_int_t)t.cpu_ns,
			 "verified_blocks", (json_int_t)t.checked, "mismatches",
			 (json_int_t)t.mismatches, "latency_ns", latency);
	if (!root)
		return -ENOMEM;
	if (!strcmp(load->options.json, "-"))
		ret = json_dumpf(root, stdout, JSON_INDENT(2)) || puts("") < 0;
	else
		ret = json_dump_file(root, load->options.json, JSON_INDENT(2));
	json_decref(root);
	return ret ? -EIO : 0;
}
