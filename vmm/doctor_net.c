/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doctor_net.c - rows about network: TAP devices, and physical cards for DPDK. VMM, main thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "vmm/doctor_part.h"

#define TUN          "/dev/net/tun"
#define CLASS_ETHER  "0x0200"
#define MAX_CARDS    64
#define SHOWN_BYTES  300
#define BUS_ID_BYTES 16

void doctor_tun(struct doctor *doctor, struct doctor_row *row)
{
	auto_close int fd = open(TUN, O_RDWR | O_CLOEXEC);
	unsigned features;

	(void)doctor;
	if (fd >= 0 && ioctl(fd, TUNGETFEATURES, &features) == 0) {
		doctor_found(row, DOCTOR_OK, TUN "%s%s",
			     features & IFF_MULTI_QUEUE ? ", multiqueue" : "",
			     features & IFF_VNET_HDR ? ", offloads" : "");
		return;
	}
	doctor_found(row, DOCTOR_WARNING, TUN ": %s", strerror(errno));
	if (errno == EACCES)
		doctor_hint(row, "sudo chmod 666 " TUN);
	else
		doctor_hint(row, "sudo modprobe tun; in a container, start it with --device=" TUN);
}

/* --- physical cards --- */

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

/* has_module - is @name in one of the lists of this kernel's modules? */
static bool has_module(const char *name)
{
	static const char *const lists[] = {"modules.dep", "modules.builtin"};
	struct utsname uts;
	bool found = false;

	uname(&uts);
	for (unsigned i = 0; i < ARRAY_SIZE(lists) && !found; i++) {
		char path[256], line[4096];
		FILE *file;

		snprintf(path, sizeof(path), "/lib/modules/%s/%s", uts.release, lists[i]);
		file = fopen(path, "re");
		while (file && !found && fgets(line, sizeof(line), file)) {
			line[strcspn(line, ":\n")] = '\0';
			found = strstr(line, name) != NULL;
		}
		if (file)
			fclose(file);
	}
	return found;
}

void doctor_vfio(struct doctor *doctor, struct doctor_row *row)
{
	unsigned groups = count_entries("/sys/kernel/iommu_groups");
	bool loaded = access("/sys/bus/pci/drivers/vfio-pci", F_OK) == 0;

	doctor->has_vfio = loaded || has_module("/vfio-pci.ko");
	if (!doctor->has_vfio) {
		doctor_found(row, DOCTOR_WARNING,
			     "no vfio-pci for this kernel: DPDK cannot drive cards here");
		doctor_hint(row, "if DPDK is to drive a card: a kernel with CONFIG_VFIO_PCI, and "
				 "its modules below /lib/modules");
		return;
	}
	if (!groups) {
		doctor_found(row, DOCTOR_WARNING, "vfio-pci is %s, and there is no IOMMU",
			     loaded ? "loaded" : "not loaded");
		doctor_hint(row, "switch VT-d or AMD-Vi on in the firmware's setup, and boot with "
				 "intel_iommu=on iommu=pt (Intel) or iommu=pt (AMD)");
		return;
	}
	doctor_found(row, loaded ? DOCTOR_OK : DOCTOR_WARNING, "vfio-pci is %s, %u IOMMU groups",
		     loaded ? "loaded" : "not loaded", groups);
	if (!loaded)
		doctor_hint(row, "sudo modprobe vfio-pci");
}

struct card {
	char bus_id[BUS_ID_BYTES]; /* "0000:00:1f.6" */
	char driver[64]; /* "" for none */
};

/* read_driver - which one has the PCI device. */
static void read_driver(struct card *card)
{
	char path[128], target[PATH_MAX];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", card->bus_id);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(card->driver, sizeof(card->driver), "%.*s", (int)sizeof(card->driver) - 1,
		 slash ? slash + 1 : target);
}

/* find_cards - Ethernet cards on the PCI bus. Return: how many. */
static unsigned find_cards(struct card *cards, unsigned max)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	struct dirent *entry;
	unsigned n = 0;

	while (dir && n < max && (entry = readdir(dir))) {
		char path[PATH_MAX], class[16] = "";
		struct card *card = &cards[n];

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", entry->d_name);
		if (strlen(entry->d_name) >= BUS_ID_BYTES ||
		    !doctor_read_line(path, class, sizeof(class)) ||
		    strncmp(class, CLASS_ETHER, strlen(CLASS_ETHER)))
			continue;
		*card = (struct card){.driver = ""};
		memcpy(card->bus_id, entry->d_name, strlen(entry->d_name) + 1);
		read_driver(card);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static bool is_for_dpdk(const struct card *card)
{
	return !strcmp(card->driver, "vfio-pci") || !strcmp(card->driver, "uio_pci_generic") ||
	       !strcmp(card->driver, "igb_uio");
}

void doctor_nics(struct doctor *doctor, struct doctor_row *row)
{
	struct card cards[MAX_CARDS];
	unsigned n = find_cards(cards, MAX_CARDS), ready = 0;
	char list[SHOWN_BYTES] = "";
	size_t used = 0;

	if (!n) {
		doctor_found(row, DOCTOR_OK,
			     "none on the PCI bus; DPDK's TAP and others do without");
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		ready += is_for_dpdk(&cards[i]);
		if (used < sizeof(list))
			used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s (%s)",
						 used ? ", " : "", cards[i].bus_id,
						 cards[i].driver[0] ? cards[i].driver
								    : "no driver");
	}
	doctor_found(row, DOCTOR_OK, "%u for DPDK of %s", ready, list);
	if (!ready && doctor->has_vfio)
		doctor_hint(row,
			    "to give one to DPDK: sudo driverctl set-override %s vfio-pci (the "
			    "host then no longer has it)",
			    cards[n - 1].bus_id);
}
