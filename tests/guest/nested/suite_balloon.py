# SPDX-License-Identifier: BSD-3-Clause
"""In L1: stock Debian guests with a balloon of ringside-balloon, beside a disk of ringside-blk.

What the host has of a guest's memory is seen in the blocks of the file that it is in. The guest
checks meanwhile that no byte of it is lost.
"""

import itertools
import time
from dataclasses import dataclass, field

import blk_backend
import l2
from balloon_daemon import Balloon, guest_memory, resident_bytes
from blk_backend import Daemon, Image
from blk_report import MIB, make_image, report_boot, report_daemon, report_file_system, tap

DISK_MIB = 128
MEMORY_MIB = 256
LOW_MIB = 216  # what a breathing balloon leaves to the guest
SQUEEZED_MIB = 144
USED_MIB = 64
CACHE_MIB = 96
CHECK_MIB = 24
GREEDY_MIB = 112  # more than a guest of SQUEEZED_MIB can have
ALL_MIB = 144
# Statistics, told before pages are used again, deflate on OOM, reporting; no hints, no poison.
FEATURES = "111001"
POISON_FEATURES = "111011"
BREATH_SECONDS = 1
REPORT_SECONDS = 20  # the kernel does it every 2 s
BOOT_SECONDS = 300  # takes 60 where nothing else runs


@dataclass
class Case:
    """One guest. cycles: breaths of its balloon; trouble: balloon-trouble.sh, too; keeps: it
    minds what its free pages hold, so that reported ones stay; part: of what it puts into its
    balloon, how much the host gets at least: large pages come back whole or not at all."""
    name: str
    machine: l2.Machine
    cycles: int = 4
    trouble: bool = False
    features: str = FEATURES
    keeps: bool = False
    part: float = 0.9
    daemon_options: list = field(default_factory=list)


class Host:
    """The host's half of balloon.sh. Its results are reported at the end: a guest that hangs is
    started once more, and what was seen of the first does not count."""

    def __init__(self, case, daemon):
        self.case = case
        self.daemon = daemon
        self.all = case.machine.memory_mib * MIB
        self.pid = 0
        self.memory = None
        self.forget()
        self.steps = {
            "STEP used": self.used, "STEP freed": self.freed, "STEP cached": self.cached,
            "STEP cached again": self.cached_again, "STEP breathe": self.breathe,
            "STEP squeeze": self.squeeze, "STEP survived": self.survived,
            "STEP rebooted": self.rebooted}

    def forget(self):
        self.results = []
        self.resident = {}  # what the host had at a step
        self.free = 0  # in the guest, by its statistics
        self.restarts = 0

    def again(self):
        """The guest hung; the next one starts with an empty balloon."""
        tap.note(f"{self.case.name}: hung; until then: {self.results}, {self.daemon.guest()}")
        self.forget()
        self.daemon.set("all")

    def report(self):
        for what, passed, detail in self.results:
            tap.result(f"{self.case.name}: {what}", passed, detail)

    def started(self, process):
        self.pid = process.pid
        self.memory = None

    def progress(self, line):
        """Return: what tells the guest that it is over."""
        step = self.steps.get(line)
        if not step:
            return None
        try:
            step()
        except (OSError, KeyError, blk_backend.DaemonFailed) as problem:  # a key: of a failed step
            self.result(line[5:], False, repr(problem))
        return "done"

    def result(self, what, passed, detail=""):
        self.results.append((what, passed, detail))

    def has(self, step):
        """Notes what the host has of the guest's memory at a step."""
        self.memory = self.memory or guest_memory(self.pid)
        self.resident[step] = resident_bytes(self.memory)
        return self.resident[step]

    def had(self):
        return ", ".join(f"{step} {size / MIB:.0f} MiB" for step, size in self.resident.items())

    def squeeze_to(self, mib):
        self.daemon.set(mib * MIB)
        self.daemon.wait_actual(mib * MIB)

    def fresh_statistics(self):
        """What the guest says from now on. Return: {name: value}"""
        count = self.daemon.guest()["counters"]["stats_received"]
        seen = self.daemon.wait("statistics", lambda seen:
                                seen["counters"]["stats_received"] > count + 1)
        return seen["stats"]["values"]

    def used(self):
        self.has("used")
        self.daemon.wait_present()
        values = self.fresh_statistics()
        self.free = values["free_bytes"]
        self.result("statistics are sane",
                    0.8 * self.all < values["total_bytes"] < self.all and
                    0 < self.free < values["total_bytes"] - USED_MIB * MIB and
                    0 < values["available_bytes"] < values["total_bytes"] and
                    values["caches_bytes"] > USED_MIB * MIB and
                    values["minor_faults"] > 0 and values["swap_in_bytes"] == 0, values)

    def freed(self):
        deadline = time.monotonic() + REPORT_SECONDS
        wanted = self.resident["used"] - 0.8 * USED_MIB * MIB
        while self.has("freed") > wanted and time.monotonic() < deadline and not self.case.keeps:
            time.sleep(0.2)
        counters = self.daemon.guest()["counters"]
        if self.case.keeps:
            time.sleep(5)
            self.result("reported memory keeps what is in it",
                        self.has("freed") > wanted and counters["skipped"]["poison"] > 0,
                        f"{self.had()}; {counters}")
        else:
            self.result("memory that the guest freed is the host's", self.has("freed") <= wanted,
                        f"{self.had()}; {counters}")
        gained = self.fresh_statistics()["free_bytes"] - self.free
        self.result("statistics follow", gained > 0.8 * USED_MIB * MIB, f"{gained} bytes more")

    def cached(self):
        before = self.has("cached")
        self.squeeze_to(SQUEEZED_MIB)
        wanted = before - self.case.part * (before - SQUEEZED_MIB * MIB)
        deadline = time.monotonic() + REPORT_SECONDS  # the daemon gives it back a moment later
        while self.has("squeezed") > wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        self.result("a balloon gives memory to the host",
                    before > SQUEEZED_MIB * MIB and self.resident["squeezed"] <= wanted,
                    f"{self.had()}; {self.daemon.guest()}")
        self.squeeze_to(self.case.machine.memory_mib)

    def cached_again(self):
        self.result("and back to the guest", self.has("cached again") > self.resident["squeezed"] +
                    0.5 * (self.resident["cached"] - self.resident["squeezed"]), self.had())

    def breathe(self):
        """The target goes down and up, under a checker of memory and a verified load on the
        disk. The daemon is killed at the bottom of a breath, and in the middle of one."""
        for cycle in range(self.case.cycles):
            self.daemon.set(LOW_MIB * MIB)
            if cycle == self.case.cycles - 2:
                self.daemon.wait_actual(LOW_MIB * MIB)
                self.daemon.restart()
                self.restarts += 1
                seen = self.daemon.wait_present()
                self.result("a new daemon keeps the target", seen["target_bytes"] ==
                            seen["actual_bytes"] == LOW_MIB * MIB, seen)
            elif cycle % 4 == 3:
                time.sleep(0.1)
                self.daemon.restart()
                self.restarts += 1
                self.daemon.wait_present()
            else:
                time.sleep(BREATH_SECONDS)
            self.daemon.set("all")
            time.sleep(BREATH_SECONDS)
        self.squeeze_to(self.case.machine.memory_mib)
        self.result(f"{self.case.cycles} breaths, daemon killed {self.restarts} times", True)

    def squeeze(self):
        self.squeeze_to(SQUEEZED_MIB)

    def survived(self):
        seen = self.daemon.guest()
        self.result("a guest in need takes memory out of its balloon",
                    seen["actual_bytes"] > SQUEEZED_MIB * MIB and
                    seen["target_bytes"] == SQUEEZED_MIB * MIB, seen)
        # One that is asked again follows again; so it goes through its reboot.
        self.squeeze_to(SQUEEZED_MIB + 1)

    def rebooted(self):
        seen = self.daemon.wait_actual((SQUEEZED_MIB + 1) * MIB)
        self.result("the new kernel has the same target", seen["present"], seen)
        self.squeeze_to(self.case.machine.memory_mib)


def balloon_guest(kit, directory, case):
    disks = [Image(make_image(directory / "a.img", DISK_MIB * MIB),
                   queues=case.machine.cpus),
             Image(kit.tools, queues=1, read_only=True, serial="tools")]
    script = l2.script("balloon", expect_features=case.features, used_mib=USED_MIB,
                       cache_mib=CACHE_MIB, check_mib=CHECK_MIB)
    if case.trouble:
        script = l2.script("balloon-trouble", greedy_mib=GREEDY_MIB, all_mib=ALL_MIB) + script
    with Daemon(disks, directory) as disk_daemon, \
            Balloon(directory, "--stats-interval=1", *case.daemon_options) as daemon:
        case.machine.disks = disks
        case.machine.options = [f"--vhost-user-balloon=socket={daemon.socket}" +
                                (",packed=on" if case.machine.packed else "")]
        host = Host(case, daemon)
        outcome = l2.boot(
            case.machine, script, directory, reboots=int(case.trouble), started=host.started,
            progress=host.progress, again=host.again, timeout=BOOT_SECONDS,
            programs=[blk_backend.build_directory() / "tests" / "guest" / "memory_check"])
        host.report()
        tap.note(f"{case.name}: the host had {host.had()}; passes, KiB: memory "
                 f"{outcome.values.get('memory')}, disk {outcome.values.get('verified')} "
                 f"{outcome.values.get('complaint')}")
        report_boot(case.name, script, outcome)
        counters = daemon.guest()["counters"]
        tap.result(f"{case.name}: the host counts no error",
                   counters["discard_errors"] == counters["stats_bad"] == 0, counters)
        report_daemon(case.name, daemon)
        report_daemon(case.name, disk_daemon)
        report_file_system(case.name, disks[0], outcome)


def balloon(kit, directory):
    """A balloon's whole life, by split rings."""
    machine = l2.Machine(kit.kernels["amd64"], pvh=True, memory_mib=MEMORY_MIB)
    balloon_guest(kit, directory, Case("balloon, split", machine, trouble=True))


def balloon_large_pages(kit, directory):
    """Packed rings, and a guest in large pages."""
    l2.reserve_huge_pages(node=1)
    machine = l2.Machine(kit.kernels["cloud-amd64"], pvh=True, memory_mib=MEMORY_MIB,
                         packed=True, memory=",hugepages=on")
    balloon_guest(kit, directory,
                  Case("balloon, packed, large pages", machine, part=0.5))


def balloon_matrix(kit, directory):
    """Every kernel, both kinds of ring and of page, free pages that have to keep what they hold,
    and an allocator that deals pages out in no order; and more of everything."""
    l2.reserve_huge_pages(node=1)
    for flavour, packed, memory in itertools.product(kit.kernels, (False, True),
                                                     ("", ",hugepages=on")):
        machine = l2.Machine(kit.kernels[flavour], pvh=True, memory_mib=MEMORY_MIB, cpus=2,
                             packed=packed, memory=memory, cmdline=" page_alloc.shuffle=1")
        name = f"balloon, {flavour}, {'packed' if packed else 'split'}{memory}, shuffled"
        balloon_guest(kit, directory, Case(name, machine, cycles=20, trouble=True,
                                           part=0.0 if memory else 0.9))
    for word, keeps in (("init_on_free=1", False), ("page_poison=1", True)):
        machine = l2.Machine(kit.kernels["amd64"], pvh=True, memory_mib=MEMORY_MIB, cpus=2,
                             cmdline=f" {word}")
        balloon_guest(kit, directory, Case(f"balloon, {word}", machine, cycles=20, trouble=True,
                                           features=POISON_FEATURES, keeps=keeps))
