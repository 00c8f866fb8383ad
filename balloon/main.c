/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - ringside-balloon from start to end, in this order: options, broker (forked before it could
 * inherit anything), state files, sockets, the host's files, privileges and system calls given up,
 * service; and back. There is one thread.
 * Layer L5, control thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balloon/report.h"
#include "vhost/base/log.h"
#include "vhost/base/startup.h"
#include "vhost/daemon/daemon.h"

static struct {
	struct daemon daemon;
	struct bal_options opt;
	struct bal_vm *vms;
	struct bal_governor governor;
	struct bal_report report;
} balloon;

/* Made from the comments in the code. */
extern const struct sandbox_filter balloon_syscalls;

static void open_vms(void)
{
	char error[512];

	balloon.vms = calloc(balloon.opt.num_vms, sizeof(*balloon.vms));
	if (!balloon.vms)
		fatal("out of memory");
	for (unsigned i = 0; i < balloon.opt.num_vms; i++)
		if (bal_vm_open(&balloon.vms[i], &balloon.opt.vms[i], error, sizeof(error)) < 0)
			fatal("%s", error);
}

static void open_sockets(void)
{
	for (unsigned i = 0; i < balloon.opt.num_vms; i++) {
		bal_vm_serve(&balloon.vms[i], balloon.daemon.loop);
		daemon_listen(&balloon.daemon, &balloon.vms[i].dev, &balloon.opt.vms[i].socket);
	}
	balloon.report = (struct bal_report){
		.vms = balloon.vms,
		.num_vms = balloon.opt.num_vms,
		.governor = &balloon.governor,
	};
	daemon_control(&balloon.daemon, bal_report_methods, bal_report_num_methods,
		       &balloon.report);
}

static void start_policy(void)
{
	int ret = bal_governor_open(&balloon.governor, &balloon.opt, balloon.vms,
				    balloon.daemon.loop);

	if (ret < 0 && balloon.opt.mode != BAL_MANUAL)
		daemon_give_up(&balloon.daemon,
			       "--policy=%s: /proc/meminfo: %s; only manual works without it",
			       bal_mode_name(balloon.opt.mode), strerror(-ret));
}

static void log_vms(void)
{
	for (unsigned i = 0; i < balloon.opt.num_vms; i++)
		log_info(balloon.opt.vms[i].name, "at %s",
			 balloon.opt.vms[i].socket.path ? balloon.opt.vms[i].socket.path
							: "its fd");
}

static void shut_down(void)
{
	bal_governor_close(&balloon.governor);
	for (unsigned i = 0; i < balloon.opt.num_vms; i++)
		bal_vm_close(&balloon.vms[i]);
	daemon_end(&balloon.daemon);
	free(balloon.vms);
}

int main(int argc, char **argv)
{
	int ret;

	log_init("ringside-balloon");
	startup_fill_standard_fds();
	bal_options_parse(&balloon.opt, argc, argv);
	daemon_begin(&balloon.daemon, "ringside-balloon", &balloon.opt.daemon);
	open_vms();
	daemon_watch_signals(&balloon.daemon);
	open_sockets();
	start_policy();
	daemon_drop_privileges(&balloon.daemon);
	daemon_drop_system_calls(&balloon.daemon, &balloon_syscalls);
	log_vms();
	ret = daemon_run(&balloon.daemon);
	shut_down();
	return ret;
}
