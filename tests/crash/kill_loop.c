/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kill_loop.c - SIGKILL ringside-blk at random moments under a mixed load, start it again, and
 * see that no acknowledged write is lost, that every request is completed exactly once, and that
 * no old write lands over a newer one. Tests only; $RINGSIDE_BLK is the daemon.
 *
 * What is done at kill number N depends on the seed and N alone. How far the load has come when
 * the signal strikes depends on the machine.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "tests/crash/plan.h"
#include "tests/protocol/blk_daemon.h"
#include "vhost/base/clock.h"

#define IMAGE "disk.img"
#define KILLS 50

static struct options {
	struct variant variant;
	unsigned kills;
	uint64_t seed;
} opt = {.kills = KILLS, .variant.num_queues = 1, .variant.event_idx = true};

/* What came of it. */
struct result {
	uint64_t resubmitted; /* requests that were taken and not completed at a kill */
	uint64_t longest_ns; /* from a kill until all rings run again */
};

static struct crash crash;

/* --- killing --- */

void crash_kill(struct crash *c)
{
	if (c->killed)
		return;
	c->killed_ns = c->killed_ns ? c->killed_ns : clock_ns();
	c->killed = 1;
	kill((pid_t)c->pid, SIGKILL);
}

static void on_timer(int sig)
{
	(void)sig;
	crash_kill(&crash);
}

static void kill_in(timer_t timer, unsigned us)
{
	struct itimerspec when = {.it_value = {.tv_nsec = us * 1000l + 1}};

	ck_assert_int_eq(timer_settime(timer, 0, &when, NULL), 0);
}

static void disarm(timer_t timer)
{
	struct itimerspec never = {0};

	ck_assert_int_eq(timer_settime(timer, 0, &never, NULL), 0);
}

static timer_t make_timer(void)
{
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t timer;

	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	return timer;
}

/* --- what is said --- */

static void variant_name(const struct variant *v, char *out, size_t bytes)
{
	snprintf(out, bytes, "--ring=%s --queues=%u --event-idx=%s --base=%s --backend=%s",
		 v->packed ? "packed" : "split", v->num_queues, v->event_idx ? "on" : "off",
		 v->stale ? "stale" : "correct", v->null ? "null" : "file");
}

static void show_daemon_log(void)
{
	char line[256];
	FILE *log = fopen(BLKD_LOG, "re");

	while (log && fgets(line, sizeof(line), log))
		fprintf(stderr, "  daemon: %s", line);
	if (log)
		fclose(log);
}

void crash_fail(struct crash *c, const char *format, ...)
{
	char name[128], what[1600];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	variant_name(&c->variant, name, sizeof(name));
	fprintf(stderr, "kill_loop %s --kills=%u --seed=%llu\n  at kill %u (%s)\n  SEEN: %s\n",
		name, opt.kills, (unsigned long long)c->seed, c->kill, c->doing, what);
	show_daemon_log();
	ck_abort_msg("seed %llu, kill %u (%s): %s", (unsigned long long)c->seed, c->kill, c->doing,
		     what);
	abort(); /* ck_abort_msg does not return, but does not say so */
}

static void show_progress(const struct crash *c, uint64_t start_ns)
{
	if (clock_ns() - start_ns > 2000000000 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%u of %u kills ", c->kill, opt.kills);
}

/* --- one daemon --- */

static void start_daemon(struct crash *c, const struct plan *plan)
{
	char options[256];

	snprintf(options, sizeof(options),
		 "--blk-file=%s --num-queues=%u --threads=%u --poll-us=%u --direct=%s "
		 "--log-level=%s",
		 c->variant.null ? "null:2M" : IMAGE, c->variant.num_queues, plan->threads,
		 plan->poll_us, plan->buffered || c->variant.null ? "off" : "on", "info");
	blkd_spawn(options);
	c->pid = blkd_pid();
	c->killed = 0;
}

/* stop_cleanly - and go on in the way that is planned. Return: 0, -ECANCELED. */
static int stop_cleanly(struct crash *c, const struct plan *plan)
{
	int ret = 0;

	load_run(c, plan->load_us / 4);
	if (plan->kind == KIND_RESET)
		ret = c->killed ? -ECANCELED : load_settle(c, plan->mix.interrupts);
	if (!ret)
		ret = c->killed ? -ECANCELED : link_stop(c);
	if (ret)
		return ret;
	switch (plan->kind) {
	case KIND_STOP:
		return link_start(c, plan->load_us % 2);
	case KIND_REJOIN:
		fe_close(&c->fe);
		return link_join(c, &plan->join);
	case KIND_RESET:
		return link_reset(c);
	default:
		crash_kill(c);
		return -ECANCELED;
	}
}

/* check_lock - who serves the image has it locked: the daemon before may still be writing. */
static void check_lock(struct crash *c)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	auto_close int fd = -1;

	if (c->variant.null)
		return;
	fd = open(IMAGE, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
	if (lock.l_type == F_UNLCK && !c->killed)
		crash_fail(c, "the daemon serves an image that it has not locked");
}

/* live - everything with one daemon, which is killed at the end of it or earlier. */
static void live(struct crash *c, const struct plan *plan, timer_t timer, struct result *result)
{
	unsigned marked = link_marked(c);

	start_daemon(c, plan);
	if (plan->start_us >= 0)
		kill_in(timer, (unsigned)plan->start_us);
	if (link_join(c, &plan->join))
		return;
	check_lock(c);
	result->resubmitted += marked;
	if (c->killed_ns)
		result->longest_ns = max_of(result->longest_ns, clock_ns() - c->killed_ns);
	c->killed_ns = 0;
	if (plan->settle && (load_settle(c, plan->mix.interrupts) || load_read_all(c)))
		return;
	if (plan->kind >= KIND_STOP && stop_cleanly(c, plan))
		return;
	if (plan->kind == KIND_IDLE && load_settle(c, plan->mix.interrupts))
		return;
	if (plan->start_us < 0)
		kill_in(timer, plan->load_us);
	while (plan->kind == KIND_IDLE && !c->killed)
		usleep(1000);
	load_run(c, 0);
}

/* finish - one more daemon, which lives: everything is completed and as it should be. */
static void finish(struct crash *c)
{
	static uint8_t content[DISK_SECTORS * SECTOR];
	struct plan plan = {
		.join = {.kill_at = STEP_NEVER, .reply_ack = true},
		.threads = 1,
		.poll_us = 50,
	};
	char why[1024];

	snprintf(c->doing, sizeof(c->doing), "the end");
	start_daemon(c, &plan);
	ck_assert_int_eq(link_join(c, &plan.join), 0);
	ck_assert_int_eq(load_settle(c, false), 0);
	ck_assert_int_eq(load_read_all(c), 0);
	ck_assert_int_eq(link_stop(c), 0);
	fe_close(&c->fe);
	blkd_stop();
	if (c->variant.null)
		return;
	image_read(IMAGE, 0, content, sizeof(content));
	if (!model_check(&c->model, 0, DISK_SECTORS, content, c->model.now, why, sizeof(why)))
		crash_fail(c, "the image: %s", why);
}

/* make_disk - preallocated, so that direct I/O is not serialised by the file system. */
static void make_disk(void)
{
	int fd;

	make_image(IMAGE, DISK_SECTORS * SECTOR);
	fd = open(IMAGE, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(posix_fallocate(fd, 0, DISK_SECTORS * SECTOR), 0);
	close(fd);
}

START_TEST(survives_kills)
{
	struct crash *c = &crash;
	struct result result = {0};
	uint64_t start_ns = clock_ns();
	timer_t timer = make_timer();
	struct plan plan;
	char name[128];

	c->variant = opt.variant;
	c->seed = c->rng.state = opt.seed;
	c->inflight.fd = c->fe.sock = c->fe.channel_fd = -1;
	ck_assert_int_eq(model_init(&c->model, DISK_SECTORS, (uint32_t)opt.seed), 0);
	guest_init(c);
	make_disk();
	for (c->kill = 0; c->kill < opt.kills; c->kill++) {
		plan_make(opt.seed, c->kill, c->variant.num_queues, &plan);
		plan_describe(&plan, c->doing, sizeof(c->doing));
		c->mix = plan.mix;
		c->rng.state = plan.load_seed;
		live(c, &plan, timer, &result);
		ck_assert(c->killed);
		blkd_kill();
		disarm(timer);
		fe_close(&c->fe);
		show_progress(c, start_ns);
	}
	finish(c);
	variant_name(&c->variant, name, sizeof(name));
	printf("%s: kills survived %u, requests %llu, resubmitted %llu, longest restart %llu ms, "
	       "%llu ms in all, seed %llu\n",
	       name, opt.kills, (unsigned long long)c->guest.completed,
	       (unsigned long long)result.resubmitted,
	       (unsigned long long)result.longest_ns / 1000000,
	       (unsigned long long)(clock_ns() - start_ns) / 1000000, (unsigned long long)opt.seed);
	fflush(stdout);
	timer_delete(timer);
	fe_inflight_free(&c->inflight);
	guest_free(c);
	model_free(&c->model);
}
END_TEST

/* --- options --- */

static const char usage[] = "usage: kill_loop [option ...]\n"
			    "  --ring=split|packed     (split)\n"
			    "  --queues=1..4           (1)\n"
			    "  --event-idx=on|off      (on)\n"
			    "  --base=correct|stale    what is sent at a reconnect (correct)\n"
			    "  --backend=file|null     (file)\n"
			    "  --kills=N               ($RINGSIDE_KILLS or 50)\n"
			    "  --seed=S                as an earlier run said it (any)\n"
			    "  --daemon=PATH           ($RINGSIDE_BLK)\n";

static _Noreturn void refuse(const char *option, const char *value)
{
	fprintf(stderr, "kill_loop: --%s=%s\n%s", option, value, usage);
	exit(2);
}

/* choice - is it @yes (true) or @no? */
static bool choice(const char *option, const char *yes, const char *no)
{
	if (strcmp(optarg, yes) && strcmp(optarg, no))
		refuse(option, optarg);
	return !strcmp(optarg, yes);
}

static uint64_t number(const char *option, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || value < least || value > most)
		refuse(option, text);
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"ring", required_argument, NULL, 'r'},
		{"queues", required_argument, NULL, 'q'},
		{"event-idx", required_argument, NULL, 'e'},
		{"base", required_argument, NULL, 'b'},
		{"backend", required_argument, NULL, 'k'},
		{"kills", required_argument, NULL, 'n'},
		{"seed", required_argument, NULL, 's'},
		{"daemon", required_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	const char *kills = getenv("RINGSIDE_KILLS");
	int which;

	opt.kills = kills ? (unsigned)number("kills", kills, 1, 1000000) : KILLS;
	if (getrandom(&opt.seed, 4, 0) != 4)
		perror("getrandom");
	while ((which = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (which) {
		case 'r':
			opt.variant.packed = choice("ring", "packed", "split");
			break;
		case 'q':
			opt.variant.num_queues = (unsigned)number("queues", optarg, 1, MAX_QUEUES);
			break;
		case 'e':
			opt.variant.event_idx = choice("event-idx", "on", "off");
			break;
		case 'b':
			opt.variant.stale = choice("base", "stale", "correct");
			break;
		case 'k':
			opt.variant.null = choice("backend", "null", "file");
			break;
		case 'n':
			opt.kills = (unsigned)number("kills", optarg, 1, 1000000);
			break;
		case 's':
			opt.seed = number("seed", optarg, 0, UINT64_MAX);
			break;
		case 'd':
			setenv("RINGSIDE_BLK", optarg, true);
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc)
		refuse("", argv[optind]);
}

int main(int argc, char **argv)
{
	Suite *suite = suite_create("crash");
	TCase *tcase = tcase_create("kill_loop");

	parse(argc, argv);
	/* Every wait has a limit of its own; a thousand kills take their time. */
	tcase_set_timeout(tcase, 0);
	tcase_add_test(tcase, survives_kills);
	suite_add_tcase(suite, tcase);
	return run_in_scratch(suite);
}
