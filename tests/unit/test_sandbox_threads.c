/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_sandbox_threads.c - threads that were there before the sandbox lose their capabilities,
 * however they wait, and one that cannot be told is noticed. Tests base/sandbox_threads.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>

#include "tests/unit/support.h"
#include "vhost/base/sandbox.h"

#define THREADS 5

static sem_t there;
static bool end;
static pid_t tids[THREADS];
static int pipes[2];

static uint64_t permitted(pid_t tid)
{
	char path[64], line[128];
	uint64_t bits = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, "CapPrm:", 7))
			bits = strtoull(line + 7, NULL, 16);
	fclose(file);
	return bits;
}

static void *spin_or_sleep(void *arg)
{
	long index = (long)arg;
	char byte;

	tids[index] = (pid_t)syscall(SYS_gettid);
	sem_post(&there);
	if (index % 2)
		return read(pipes[0], &byte, 1) == 1 ? NULL : arg; /* goes on after the signal */
	while (!__atomic_load_n(&end, __ATOMIC_RELAXED))
		;
	return NULL;
}

static void *deaf(void *arg)
{
	sigset_t all;
	char byte;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	sem_post(&there);
	return read(pipes[0], &byte, 1) == 1 ? NULL : pipes;
}

static bool have_any(void)
{
	return permitted((pid_t)syscall(SYS_gettid)) != 0;
}

START_TEST(every_thread_but_the_callers_loses_all)
{
	pthread_t threads[THREADS];
	uint64_t mine = permitted((pid_t)syscall(SYS_gettid));
	void *result;

	sem_init(&there, 0, 0);
	ck_assert_int_eq(pipe(pipes), 0);
	for (long i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, spin_or_sleep, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		sem_wait(&there);
	ck_assert_int_eq(sandbox_drop_in_threads(), 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_uint_eq(permitted(tids[i]), 0);
	ck_assert_uint_eq(permitted((pid_t)syscall(SYS_gettid)), mine);
	__atomic_store_n(&end, true, __ATOMIC_RELAXED);
	ck_assert_int_eq(write(pipes[1], "      ", THREADS), THREADS);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		ck_assert_ptr_null(result);
	}
}
END_TEST

START_TEST(a_thread_that_does_not_obey_is_noticed)
{
	pthread_t thread;
	void *result;

	if (!have_any())
		return; /* nobody has anything to lose */
	sem_init(&there, 0, 0);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, deaf, NULL), 0);
	sem_wait(&there);
	ck_assert_int_eq(sandbox_drop_in_threads(), -ETIMEDOUT);
	ck_assert_int_eq(write(pipes[1], " ", 1), 1);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
}
END_TEST

START_TEST(what_is_kept_is_what_was_there)
{
	uint64_t had = permitted((pid_t)syscall(SYS_gettid)), keep = 1ull << 12 | 1ull << 13;

	ck_assert_int_eq(sandbox_drop_privileges(keep), 0);
	ck_assert_uint_eq(permitted((pid_t)syscall(SYS_gettid)), had & keep);
	ck_assert_int_eq(sandbox_drop_privileges(0), 0);
	ck_assert_uint_eq(permitted((pid_t)syscall(SYS_gettid)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox_threads");
	TCase *tcase = tcase_create("threads");

	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, every_thread_but_the_callers_loses_all);
	tcase_add_test(tcase, a_thread_that_does_not_obey_is_noticed);
	tcase_add_test(tcase, what_is_kept_is_what_was_there);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
