/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor_kvm.c - rows about KVM, from the CPU to a guest that runs. VMM, main thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vmm/doctor_guest.h"
#include "vmm/doctor_part.h"
#include "vmm/kvm.h"

#define DEVICE     "/dev/kvm"
#define KVM_MAJOR  10
#define KVM_MINOR  232
#define MAX_GROUPS 256
#define NESTED_RIG "tests/guest/test_vmm_nested boots one inside an emulated host"

/* --- CPU and module --- */

/* has_word - is @word one of those in @line? */
static bool has_word(const char *line, const char *word)
{
	size_t bytes = strlen(word);

	for (const char *at = strstr(line, word); at; at = strstr(at + 1, word))
		if (at > line && at[-1] == ' ' && (at[bytes] == ' ' || at[bytes] == '\0'))
			return true;
	return false;
}

struct cpu {
	char model[128];
	bool vmx, svm, hypervisor, intel;
};

static void take_cpu_line(struct cpu *cpu, const char *line)
{
	const char *value = strstr(line, ": ");

	if (!value)
		return;
	if (!strncmp(line, "model name", strlen("model name"))) {
		snprintf(cpu->model, sizeof(cpu->model), "%.*s", (int)sizeof(cpu->model) - 1,
			 value + 2);
	} else if (!strncmp(line, "vendor_id", strlen("vendor_id"))) {
		cpu->intel = strstr(value, "Intel") != NULL;
	} else if (!strncmp(line, "flags", strlen("flags"))) {
		cpu->vmx = has_word(line, "vmx");
		cpu->svm = has_word(line, "svm");
		cpu->hypervisor = has_word(line, "hypervisor");
	}
}

/* read_cpu - the first one; all are alike. */
static void read_cpu(struct cpu *cpu)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t allocated = 0;

	*cpu = (struct cpu){.model = "unknown CPU"};
	while (file && getline(&line, &allocated, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0])
			break;
		take_cpu_line(cpu, line);
	}
	free(line);
	if (file)
		fclose(file);
}

void doctor_cpu(struct doctor *doctor, struct doctor_row *row)
{
	struct cpu cpu;

	read_cpu(&cpu);
	doctor->virtualised = cpu.hypervisor;
	doctor->kvm_module = cpu.intel ? "kvm_intel" : "kvm_amd";
	if (cpu.vmx || cpu.svm) {
		doctor_found(row, DOCTOR_OK, "%s, %s", cpu.model, cpu.vmx ? "vmx" : "svm");
		return;
	}
	doctor_found(row, DOCTOR_WARNING, "%s, without vmx or svm", cpu.model);
	if (cpu.hypervisor)
		doctor_hint(row, "this is a VM: let its host pass virtualisation on (QEMU: -cpu "
				 "host, libvirt: <cpu mode='host-passthrough'/>)");
	else
		doctor_hint(row, "switch virtualisation (VT-x, AMD-V, SVM) on in the firmware's "
				 "setup");
}

/* find_provider - the module behind kvm, loaded or built in: kvm_intel, kvm_amd or another. */
static void find_provider(struct doctor *doctor)
{
	DIR *dir = opendir("/sys/module");
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "kvm_", 4))
			continue;
		snprintf(doctor->provider_name, sizeof(doctor->provider_name), "%.*s",
			 (int)sizeof(doctor->provider_name) - 1, entry->d_name);
		doctor->provider = doctor->provider_name;
	}
	if (dir)
		closedir(dir);
}

void doctor_module(struct doctor *doctor, struct doctor_row *row)
{
	bool loaded = access("/sys/module/kvm", F_OK) == 0;

	find_provider(doctor);
	if (doctor->provider) {
		bool usual = !strcmp(doctor->provider, "kvm_intel") ||
			     !strcmp(doctor->provider, "kvm_amd");

		doctor_found(row, DOCTOR_OK, "%s%s", doctor->provider,
			     usual ? "" : ", which is neither kvm_intel nor kvm_amd");
		return;
	}
	/* What is not to be seen may be there all the same, in a container. */
	doctor_found(row, access(DEVICE, F_OK) == 0 ? DOCTOR_WARNING : DOCTOR_FAILURE, "%s",
		     loaded ? "kvm is there, and neither kvm_intel nor kvm_amd"
			    : "kvm is not loaded");
	doctor_hint(row, "sudo modprobe %s", doctor->kvm_module);
}

/* --- the device --- */

void doctor_device(struct doctor *doctor, struct doctor_row *row)
{
	struct stat st;

	if (stat(DEVICE, &st) < 0) {
		doctor_found(row, DOCTOR_FAILURE, "%s", strerror(errno));
		if (doctor->provider)
			doctor_hint(row,
				    "in a container: start it with --device=" DEVICE
				    "; else: sudo mknod " DEVICE " c %d %d",
				    KVM_MAJOR, KVM_MINOR);
		else
			doctor_hint(row, "sudo modprobe %s", doctor->kvm_module);
		return;
	}
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(KVM_MAJOR, KVM_MINOR)) {
		doctor_found(row, DOCTOR_FAILURE, "something else is there, not the device %d:%d",
			     KVM_MAJOR, KVM_MINOR);
		doctor_hint(row, "sudo rm " DEVICE " && sudo mknod " DEVICE " c %d %d", KVM_MAJOR,
			    KVM_MINOR);
		return;
	}
	doctor_found(row, DOCTOR_OK, "there");
}

/* is_member - does the user database have us in @gid? (a login before that does not) */
static bool is_member(gid_t gid)
{
	const struct passwd *user = getpwuid(getuid());
	gid_t groups[MAX_GROUPS];
	int n = MAX_GROUPS;

	if (!user || getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
		return false;
	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* hint_access - how one comes by the right to open it. */
static void hint_access(struct doctor_row *row, const struct stat *st)
{
	const struct group *group = getgrgid(st->st_gid);

	if (geteuid() == 0)
		doctor_hint(row,
			    "root may not either: in a container, start it with --device=" DEVICE);
	else if (!group || st->st_gid == 0 || (st->st_mode & 060) != 060)
		doctor_hint(row, "sudo chgrp kvm " DEVICE " && sudo chmod 660 " DEVICE
				 " && sudo usermod -aG kvm $USER, then log in again");
	else if (is_member(st->st_gid))
		doctor_hint(row, "newgrp %s, or log in again", group->gr_name);
	else
		doctor_hint(row, "sudo usermod -aG %s $USER, then log in again", group->gr_name);
}

void doctor_access(struct doctor *doctor, struct doctor_row *row)
{
	const struct group *group;
	struct stat st;
	int err;

	doctor->kvm_fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	err = errno;
	if (stat(DEVICE, &st) < 0) {
		doctor_found(row, DOCTOR_FAILURE, "not tried, as " DEVICE " is missing");
		return;
	}
	group = getgrgid(st.st_gid);
	if (doctor->kvm_fd >= 0) {
		doctor_found(row, DOCTOR_OK, "may be read and written (mode %04o, group %s)",
			     st.st_mode & 07777, group ? group->gr_name : "unknown");
		return;
	}
	doctor_found(row, DOCTOR_FAILURE, "%s (mode %04o, group %s)", strerror(err),
		     st.st_mode & 07777, group ? group->gr_name : "unknown");
	if (err == EACCES || err == EPERM)
		hint_access(row, &st);
}

/* needs_kvm - Return: may the row go on? */
static bool needs_kvm(const struct doctor *doctor, struct doctor_row *row)
{
	if (doctor->kvm_fd < 0)
		doctor_found(row, DOCTOR_FAILURE, "not tried, as " DEVICE " cannot be used");
	return doctor->kvm_fd >= 0;
}

void doctor_version(struct doctor *doctor, struct doctor_row *row)
{
	int version;

	if (!needs_kvm(doctor, row))
		return;
	version = ioctl(doctor->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION) {
		doctor_found(row, DOCTOR_OK, "API %d", version);
		return;
	}
	if (version < 0)
		doctor_found(row, DOCTOR_FAILURE, DEVICE " is not KVM: %s", strerror(errno));
	else
		doctor_found(row, DOCTOR_FAILURE, "API %d, and %d is needed", version,
			     KVM_API_VERSION);
	close_fd(&doctor->kvm_fd);
}

/* list_lacking - names of capabilities that are not there. Return: how many. */
static unsigned list_lacking(int kvm_fd, bool required, char *list, size_t bytes)
{
	unsigned lacking = 0;
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < kvm_num_capabilities; i++) {
		const struct kvm_capability *cap = &kvm_capabilities[i];

		if (cap->required != required ||
		    ioctl(kvm_fd, KVM_CHECK_EXTENSION, (unsigned long)cap->number) > 0)
			continue;
		lacking++;
		if (used < bytes)
			used += (size_t)snprintf(list + used, bytes - used, "%s%s",
						 used ? ", " : "", cap->name);
	}
	return lacking;
}

void doctor_capabilities(struct doctor *doctor, struct doctor_row *row)
{
	char list[400];

	if (!needs_kvm(doctor, row))
		return;
	if (list_lacking(doctor->kvm_fd, true, list, sizeof(list))) {
		doctor_found(row, DOCTOR_FAILURE, "needed and not there: %s", list);
		doctor_hint(row, "a newer kernel; Linux 6.1 has them all");
		return;
	}
	if (list_lacking(doctor->kvm_fd, false, list, sizeof(list)))
		doctor_found(row, DOCTOR_OK, "all that are needed; could be used and not there: %s",
			     list);
	else
		doctor_found(row, DOCTOR_OK, "all %zu", kvm_num_capabilities);
}

/* --- guests --- */

void doctor_guest(struct doctor *doctor, struct doctor_row *row)
{
	struct probe_result first, loop;

	if (!needs_kvm(doctor, row))
		return;
	doctor_probe_run(doctor->kvm_fd, PROBE_FIRST, &first);
	if (!first.ran) {
		doctor_found(row, DOCTOR_FAILURE, "%s", first.why);
		doctor_hint(row, "see what the kernel says: sudo dmesg | grep -i kvm");
		return;
	}
	doctor->guest_runs = true;
	doctor_probe_run(doctor->kvm_fd, PROBE_SPEED, &loop);
	doctor_found(row, DOCTOR_OK, "first instruction after %.1f ms, %.*f million a second",
		     (double)(first.setup_ns + first.run_ns) / 1e6, loop.ran ? 1 : 0,
		     loop.ran ? PROBE_SPEED_INSTRUCTIONS * 1e3 / (double)loop.run_ns : 0.0);
}

/* Each on a virtual CPU of its own: one that could not go on is of no use to the next. */
void doctor_stock_kernels(struct doctor *doctor, struct doctor_row *row)
{
	char list[400] = "";
	size_t used = 0;
	bool complete = true;

	if (!doctor->guest_runs) {
		doctor_found(row, DOCTOR_FAILURE, "not tried, as no guest runs");
		return;
	}
	for (enum doctor_probe p = PROBE_FIRST_OF_STOCK; p < PROBE_NUM; p++) {
		struct probe_result result;

		doctor_probe_run(doctor->kvm_fd, p, &result);
		complete &= result.ran || result.absent;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s %s",
					 used ? ", " : "", doctor_probe_name(p),
					 result.ran      ? "runs"
					 : result.absent ? "not offered"
							 : "fails");
		if (used >= sizeof(list))
			break;
	}
	if (complete) {
		doctor_found(row, DOCTOR_OK, "boot (%s): KVM is complete", list);
		return;
	}
	doctor_found(row, DOCTOR_WARNING,
		     "do not boot (%s): software KVM; small freestanding guests run", list);
	doctor_hint(row, "boot stock kernels on a host with vmx or svm; " NESTED_RIG);
}

void doctor_nested(struct doctor *doctor, struct doctor_row *row)
{
	const char *module = doctor->provider ? doctor->provider : doctor->kvm_module;
	char path[128], value[16] = "";
	bool on;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/nested", module);
	if (!doctor_read_line(path, value, sizeof(value))) {
		doctor_found(row, DOCTOR_OK, "%s does not tell; guests need it only to run VMs",
			     module);
		return;
	}
	on = value[0] == 'Y' || value[0] == '1';
	doctor_found(row, DOCTOR_OK, "%s (%s); guests need it only to run VMs", on ? "on" : "off",
		     module);
	if (!on)
		doctor_hint(row,
			    "to switch it on: sudo modprobe -r %s && sudo modprobe %s nested=1",
			    module, module);
}
