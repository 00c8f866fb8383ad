# SPDX-License-Identifier: BSD-3-Clause
"""In L1: stock Debian guests with a disk of ringside-blk, on ringside-vmm and, as the reference,
on QEMU."""

import itertools
import time

import blk_backend
import l2
from blk_backend import Daemon, Image
from blk_report import (MIB, make_image, report_boot, report_counters, report_daemon,
                        report_file_system, tap)

DISK_MIB = 64
KILLS = 5
PAUSE_SECONDS = 1.0


class Trouble:
    """The host's half of trouble.sh: pauses the machine, kills the daemon. What it notes is of the
    guest that ran last."""

    def __init__(self, daemon, control):
        self.daemon = daemon
        self.control = control
        self.forget()

    def forget(self):
        self.kills = 0
        self.problem = None

    def again(self):
        """The guest hung."""
        tap.note(f"hung; until then: daemon killed {self.kills} times, {self.problem}")
        self.forget()

    def progress(self, line):
        """Return: what tells the guest that it is over."""
        action = {"STEP pause": self.pause, "STEP restarts": self.restarts}.get(line)
        if not action:
            return None
        try:
            action()
        except (OSError, blk_backend.DaemonFailed) as problem:
            self.problem = self.problem or problem
        return "done"

    def served(self):
        return sum(self.daemon.counters()["queues"])

    def pause(self):
        """A paused guest asks for nothing; what it asked for before is done first."""
        self.await_requests()
        blk_backend.ask(self.control, "vm.pause")
        time.sleep(PAUSE_SECONDS)
        before = self.served()
        time.sleep(PAUSE_SECONDS)
        if self.served() != before:
            raise blk_backend.DaemonFailed("the guest asks for I/O while it is paused")
        blk_backend.ask(self.control, "vm.resume")
        self.await_requests()

    def restarts(self):
        for _ in range(KILLS):
            self.daemon.kill()
            self.kills += 1
            self.daemon.start()
            self.await_requests()

    def await_requests(self):
        """Until the daemon that runs now has served something."""
        deadline = time.monotonic() + 30
        before = self.served()
        while self.served() == before:
            if time.monotonic() > deadline:
                raise blk_backend.DaemonFailed(f"no request for 30 s: {self.daemon.log_tail()}")
            time.sleep(0.1)


def daily_script(cpus, topology):
    return l2.script("daily", expect_cpus=cpus, expect_topology=topology, expect_queues=cpus,
                     expect_vectors=cpus, expect_sectors=DISK_MIB * MIB // 512)


def two_disks(kit, directory, queues):
    """The disk under test, and the one with the tools."""
    return [Image(make_image(directory / "a.img", DISK_MIB * MIB), queues=queues),
            Image(kit.tools, queues=1, read_only=True, serial="tools")]


def report_guest(name, script, outcome, daemon, image, cpus, boots):
    report_boot(name, script, outcome)
    tap.result(f"{name}: {boots} boots", outcome.boots == boots, f"{outcome.boots} boots")
    report_counters(name, daemon.counters(), cpus, ("read", "write", "flush"))
    report_daemon(name, daemon)
    report_file_system(name, image, outcome)


def daily(kit, directory):
    """All of it in one machine, since boots are what takes time."""
    name = "PVH, 2 vCPUs, split"
    images = two_disks(kit, directory, queues=2)
    script = l2.script("trouble") + daily_script(2, "0,0,0 1,1,0 ")
    with Daemon(images, directory) as daemon:
        machine = l2.Machine(kit.kernels["amd64"], images, pvh=True, cpus=2,
                             smp=",sockets=1,cores=2,threads=1")
        trouble = Trouble(daemon, directory / l2.CONTROL)
        outcome = l2.boot(machine, script, directory, reboots=1, progress=trouble.progress,
                          again=trouble.again)
        tap.result(f"{name}: paused and resumed, daemon killed {KILLS} times",
                   trouble.problem is None and trouble.kills == KILLS, trouble.problem)
        tap.note(f"{name}: verified {outcome.values.get('verified')} (passes, KiB) "
                 f"{outcome.values.get('complaint')}")
        report_guest(name, script, outcome, daemon, images[0], 2, boots=2)


def reference(kit, directory):
    """The same guest, image and daemon on QEMU."""
    name = "QEMU, PVH, 2 vCPUs, split"
    images = two_disks(kit, directory, queues=2)
    script = daily_script(2, "0,0,0 1,1,0 ")
    with Daemon(images, directory) as daemon:
        machine = l2.Machine(kit.kernels["amd64"], images, pvh=True, cpus=2)
        outcome = l2.boot(machine, script, directory, l2.qemu, reboots=1)
        report_guest(name, script, outcome, daemon, images[0], 2, boots=2)


class Button:
    """The host's half of button.sh; before it presses, it looks where the guest's memory is."""

    def __init__(self, control):
        self.control = control
        self.process = None
        self.numa_map = ""

    def started(self, process):
        self.process = process

    def progress(self, line):
        if line != "STEP button":
            return
        with open(f"/proc/{self.process.pid}/numa_maps", encoding="ascii") as maps:
            self.numa_map = max(maps, key=l2.pages_of)
        blk_backend.ask(self.control, "vm.powerdown")


def short_guest(kit, directory, flavour, topology, interrupts="PCI-MSI.*virtio[0-9]+-req.0",
                **options):
    """options: of l2.Machine. Return: the guest's name and the line of /proc/PID/numa_maps that
    is its memory."""
    disks = two_disks(kit, directory, queues=options.get("cpus", 1))
    machine = l2.Machine(kit.kernels[flavour], disks, **options)
    name = ", ".join([
        flavour, "PVH" if machine.pvh else "bzImage", f"{machine.cpus} vCPUs",
        f"{'packed' if machine.packed else 'split'}{machine.memory}{machine.cmdline}"])
    script = l2.script("button", expect_cpus=machine.cpus, expect_topology=topology,
                       expect_queues=machine.cpus, expect_interrupts=interrupts)
    with Daemon(disks, directory) as daemon:
        button = Button(directory / l2.CONTROL)
        outcome = l2.boot(machine, script, directory, progress=button.progress,
                          started=button.started)
        report_guest(name, script, outcome, daemon, disks[0], machine.cpus, boots=1)
    memory = int(outcome.values.get("memory", 0))
    tap.result(f"{name}: memory", 0.8 * machine.memory_mib < memory < machine.memory_mib,
               f"the guest has {memory} of {machine.memory_mib} MiB")
    return name, button.numa_map


def packed(kit, directory):
    """Packed rings; guest memory in large pages, on the second NUMA node."""
    l2.reserve_huge_pages(node=1)
    name, line = short_guest(kit, directory, "cloud-amd64", "0,0,0 ", packed=True,
                             memory=",hugepages=on,numa-node=1")
    tap.result(f"{name}: guest memory is in large pages", "kernelpagesize_kB=2048" in line, line)
    tap.result(f"{name}: guest memory is on node 1", " N1=" in line and " N0=" not in line, line)


def sockets(kit, directory):
    """Two sockets, and all memory there from the beginning."""
    short_guest(kit, directory, "amd64", "0,0,0 1,1,1 ", cpus=2, packed=True,
                smp=",sockets=2,cores=1,threads=1", memory=",prealloc=on")


def large(kit, directory):
    """More memory than fits below the PCI hole, two threads of a core, and interrupts by pins."""
    short_guest(kit, directory, "amd64", "0,0,0 1,0,0 ", interrupts="IO-APIC.*fasteoi.*virtio0",
                pvh=True, memory_mib=5120, cpus=2, smp=",sockets=1,cores=1,threads=2",
                cmdline=" pci=nomsi")


def matrix(kit, directory):
    """Every kernel, both ways in, one and two vCPUs, both kinds of ring."""
    for flavour, pvh, cpus, packed_rings in itertools.product(kit.kernels, (True, False), (1, 2),
                                                              (False, True)):
        topology = "0,0,0 " if cpus == 1 else "0,0,0 1,1,0 "
        short_guest(kit, directory, flavour, topology, pvh=pvh, cpus=cpus, packed=packed_rings,
                    smp=f",sockets=1,cores={cpus}")
