/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - ringside-vmm from start to end, in this order: options, broker (forked before it could
 * inherit anything), files, RAM, KVM and board, control socket, privileges dropped, back-ends
 * connected, devices, vCPU threads, system calls given up, the guest; and back.
 * VMM, main thread.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "vhost/base/affinity.h"
#include "vhost/base/eventfd.h"
#include "vhost/base/log.h"
#include "vhost/base/sandbox.h"
#include "vhost/base/startup.h"
#include "vhost/wire/broker.h"
#include "vhost/wire/unix.h"
#include "vmm/control.h"
#include "vmm/doctor.h"
#include "vmm/vm.h"

static struct {
	struct options opt;
	struct loop *loop;
	struct vm vm;
	struct vhost_user *backends[VMM_MAX_DEVICES];
	unsigned num_waited_for; /* back-ends whose first connection is not there yet */
	const char *refused; /* why one of them cannot be had */
	struct rpc_server *rpc;
	struct broker *broker; /* NULL: no sandbox */
	struct loop_watch signals;
} vmm;

/* Made from the comments in the code. */
extern const struct sandbox_filter vmm_syscalls;
extern const struct sandbox_filter vcpu_syscalls;

static void shut_down(void)
{
	vm_destroy(&vmm.vm);
	for (unsigned i = 0; i < vmm.opt.num_backends; i++)
		if (vmm.backends[i])
			vhost_user_destroy(vmm.backends[i]);
	rpc_server_destroy(vmm.rpc);
	broker_stop(vmm.broker);
	if (vmm.loop) {
		loop_watch_del(vmm.loop, &vmm.signals);
		loop_destroy(vmm.loop);
	}
}

/* give_up - fatal(), once there are sockets and a terminal: a start that fails leaves no socket file
 * behind, and the terminal as it was. */
static _Noreturn void printf_like(1, 2) give_up(const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	shut_down();
	fatal("%s", line);
}

/* --- signals --- */

/* Syscalls: read */
static void on_signal(struct loop_watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	log_info("vm", "ends on signal %u", info.ssi_signo);
	vm_end(&vmm.vm, VM_EXIT_OK);
}

static void watch_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a console file over RLIMIT_FSIZE: an error like others */
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0 || loop_watch_add(vmm.loop, &vmm.signals, fd, EPOLLIN, on_signal) < 0)
		fatal("signals cannot be watched: %s", strerror(errno));
}

/* --- the sandbox: contract 11 --- */

static void start_broker(void)
{
	int ret;

	if (!vmm.opt.sandbox) {
		log_warn("sandbox", "--no-sandbox: a fault in this program is less contained");
		return;
	}
	ret = broker_start(&vmm.broker);
	if (ret < 0)
		fatal("sandbox: no broker: %s", strerror(-ret));
}

/* brief_broker - what needs the path of a socket later is the broker's. */
static int brief_broker(void)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < vmm.opt.num_backends; i++)
		ret = vhost_user_use_broker(vmm.backends[i], vmm.broker);
	if (ret == 0 && vmm.rpc)
		ret = rpc_server_use_broker(vmm.rpc, vmm.broker);
	if (ret == 0)
		ret = console_use_broker(vmm.vm.console, vmm.broker);
	return ret ? ret : broker_seal(vmm.broker);
}

static void drop_privileges(void)
{
	int ret;

	if (!vmm.opt.sandbox)
		return;
	ret = brief_broker();
	if (ret < 0)
		give_up("sandbox: the broker has none (%s); --no-sandbox runs without it",
			strerror(-ret));
	ret = sandbox_drop_privileges(0);
	if (ret < 0)
		give_up("sandbox: privileges cannot be dropped: %s", strerror(-ret));
	vmm.vm.vcpu_filter = &vcpu_syscalls;
}

/* drop_system_calls - everything is open. A vCPU's thread has its own, shorter list. */
static void drop_system_calls(void)
{
	int ret;

	if (!vmm.opt.sandbox)
		return;
	ret = sandbox_enter_thread(&vmm_syscalls);
	if (ret < 0)
		give_up("sandbox: the kernel refuses the system call filter (%s); --no-sandbox "
			"runs without it",
			strerror(-ret));
}

/* --- back-ends --- */

static void create_backends(void)
{
	unsigned blocks = 0, nets = 0, balloons = 0, others = 0;
	char name[16];

	for (unsigned i = 0; i < vmm.opt.num_backends; i++) {
		const struct backend_options *opt = &vmm.opt.backends[i];
		int ret;

		if (opt->device_id == VIRTIO_ID_BLOCK)
			snprintf(name, sizeof(name), "blk%u", blocks++);
		else if (opt->device_id == VIRTIO_ID_NET)
			snprintf(name, sizeof(name), "net%u", nets++);
		else if (opt->device_id == VIRTIO_ID_BALLOON)
			snprintf(name, sizeof(name), "balloon%u", balloons++);
		else
			snprintf(name, sizeof(name), "dev%u", others++);
		ret = vhost_user_create(&vmm.backends[i], name, opt, &vmm.vm.ram.mem, vmm.loop,
					vmm.opt.topology.num_vcpus);
		if (ret < 0)
			give_up("%s: %s", opt->socket_path, strerror(-ret));
	}
}

static void on_backend(void *ctx, int error)
{
	if (error && !vmm.refused)
		vmm.refused = vhost_user_reason(ctx);
	if (error || --vmm.num_waited_for == 0)
		loop_quit(vmm.loop);
}

/* connect_backends - all at once, and wait for them: the guest sees a device with its features. */
static void connect_backends(void)
{
	vmm.num_waited_for = vmm.opt.num_backends;
	for (unsigned i = 0; i < vmm.opt.num_backends; i++)
		vhost_user_connect(vmm.backends[i], on_backend, vmm.backends[i]);
	if (vmm.num_waited_for && !vmm.refused)
		loop_run(vmm.loop);
	if (vmm.refused)
		give_up("%s", vmm.refused);
	if (vmm.vm.state == VM_ENDING) {
		shut_down();
		_exit(VM_EXIT_OK); /* told to end while it waited */
	}
	for (unsigned i = 0; i < vmm.opt.num_backends; i++) {
		int ret = vm_attach(&vmm.vm, vmm.backends[i]);

		if (ret < 0)
			give_up("%s: no place on the PCI bus: %s", vmm.opt.backends[i].socket_path,
				strerror(-ret));
	}
}

static void open_control(void)
{
	int ret;

	if (!vmm.opt.control_path)
		return;
	ret = rpc_server_create(&vmm.rpc, vmm.loop, vmm.opt.control_path, control_methods,
				control_num_methods, &vmm.vm);
	if (ret < 0)
		give_up("--control-path=%.300s: %s", vmm.opt.control_path,
			unix_listen_advice(-ret));
}

static int run(void)
{
	char error[1024];
	int ret;

	start_broker();
	startup_allow_many_fds();
	affinity_prepare();
	ret = loop_create(&vmm.loop);
	if (ret < 0)
		fatal("event loop: %s", strerror(-ret));
	/* Until RAM is there, which may take long, a signal ends us as usual. */
	ret = vm_create(&vmm.vm, &vmm.opt, vmm.loop, error, sizeof(error));
	if (ret < 0)
		give_up("%s", error);
	watch_signals();
	create_backends();
	open_control();
	drop_privileges();
	eventfd_prepare();
	connect_backends();
	ret = vm_boot(&vmm.vm, error, sizeof(error));
	if (ret < 0)
		give_up("%s", error);
	drop_system_calls();
	vm_run(&vmm.vm);
	ret = loop_run(vmm.loop);
	if (ret < 0) {
		log_error("vm", "event loop: %s", strerror(-ret));
		vmm.vm.exit_code = VM_EXIT_START;
	}
	ret = (int)vmm.vm.exit_code;
	shut_down();
	return ret;
}

int main(int argc, char **argv)
{
	log_init("ringside-vmm");
	startup_fill_standard_fds();
	options_parse(&vmm.opt, argc, argv);
	if (vmm.opt.command == COMMAND_DOCTOR)
		return doctor_run(vmm.opt.json);
	return run();
}
