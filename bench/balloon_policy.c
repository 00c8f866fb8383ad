/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * balloon_policy.c - run the made-up host under each rule and print how it went; bench/balloon-policy
 * makes pictures of it.
 * Benchmarks only. One thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/balloon_world.h"
#include "vhost/base/log.h"
#include "vhost/base/parse.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)

static void usage(void)
{
	puts("Usage: balloon-policy-world [--vms=N] [--hours=N] [--overcommit=PERCENT] [--seed=N]\n"
	     "                            [--minutes=FILE]\n"
	     "Run N made-up guests (100) on one host for N hours (24), their memory being PERCENT "
	     "of\n"
	     "the host's (150), with no rule, a rule by shares, and balloon/policy.c.\n"
	     "--minutes writes what happened in each minute, for plots.");
}

static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;

	if (parse_uint(text, min, max, &value))
		usage_error("%s=%s: a number from %" PRIu64 " to %" PRIu64, option, text, min, max);
	return value;
}

static const char *parse(struct world_options *opt, int argc, char **argv)
{
	const char *minutes = NULL;

	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!strcmp(argv[i], "--help")) {
			usage();
			exit(EXIT_SUCCESS);
		}
		if (!value)
			usage_error("%s: unknown option", argv[i]);
		*value++ = '\0';
		if (!strcmp(argv[i], "--vms"))
			opt->num_vms = (unsigned)number(argv[i], value, 1, WORLD_MAX_VMS);
		else if (!strcmp(argv[i], "--hours"))
			opt->hours = (unsigned)number(argv[i], value, 1, 10000);
		else if (!strcmp(argv[i], "--overcommit"))
			opt->overcommit_percent = (unsigned)number(argv[i], value, 50, 1000);
		else if (!strcmp(argv[i], "--seed"))
			opt->seed = number(argv[i], value, 0, UINT64_MAX);
		else if (!strcmp(argv[i], "--minutes"))
			minutes = value;
		else
			usage_error("%s: unknown option", argv[i]);
	}
	return minutes;
}

static void write_minute(void *ctx, const struct world_minute *minute)
{
	fprintf(ctx, "%s %u %.1f %u %.2f %.2f\n", world_rule_name(minute->rule), minute->minute,
		100.0 * (double)minute->available_bytes / (double)minute->host_bytes,
		minute->pressed, (double)minute->demand_bytes / (double)GIB,
		(double)minute->targets_bytes / (double)GIB);
}

static void print(enum world_rule rule, const struct world_options *opt,
		  const struct world_result *r)
{
	double host = (double)r->host_bytes / 100;

	printf("| %s | %.1f | %.1f | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %.0f | %" PRIu64
	       " | %.1f | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n",
	       world_rule_name(rule), (double)r->least_available_bytes / host,
	       (double)r->available_byte_hours / opt->hours / host, r->below_low_s,
	       r->below_half_low_s, r->out_of_memory_s, (double)r->host_missing_bytes / (double)GIB,
	       r->pressure_s, (double)r->swapped_bytes / (double)GIB, r->kills, r->changes,
	       r->turns);
}

int main(int argc, char **argv)
{
	struct world_options opt = {
		.seed = 1, .num_vms = 100, .hours = 24, .overcommit_percent = 150};
	struct world_result result;
	const char *minutes;
	FILE *out = NULL;

	log_init("balloon-policy-world");
	minutes = parse(&opt, argc, argv);
	if (minutes) {
		out = fopen(minutes, "we");
		if (!out)
			fatal("--minutes=%s: %m", minutes);
		fputs("# rule minute available_percent pressed_guest_seconds demand_gib "
		      "targets_gib\n",
		      out);
	}
	puts("| rule | host least available % | mean % | below low s | below half of it s "
	     "| out of memory s | at most GiB | guests under pressure s | swapped in GiB | kills "
	     "| changes | turns |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | "
	     "--- "
	     "| --- |");
	for (unsigned rule = 0; rule < WORLD_RULES; rule++) {
		world_run(&opt, rule, &result, out ? write_minute : NULL, out);
		print(rule, &opt, &result);
	}
	if (out && fclose(out))
		fatal("--minutes=%s: %m", minutes);
	return EXIT_SUCCESS;
}
