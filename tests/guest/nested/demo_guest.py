# SPDX-License-Identifier: BSD-3-Clause
"""The inner half of ./demo, on the host or in L1: one stock Debian guest on ringside-vmm with a
disk, a balloon and a network, a line per step, two tables at the end. demo.py starts it."""

import contextlib
import hashlib
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))

import blk_backend
import guest
import kit
import l2
import net_daemon
import netns
import stock_kernel
from balloon_daemon import Balloon, guest_memory, resident_bytes
from blk_backend import Daemon, Image
from progress import Progress

MIB = 1024 * 1024
DISK_MIB = 64
MEMORY_MIB = 320
LOW_MIB = 128
USED_MIB = 128
BAR_WIDTH = 40
GUEST_SECONDS = 200
FOLLOW_SECONDS = 60
STEPS = {
    "mkfs": "guest: make an ext4 file system on ringside-blk's disk",
    "write": "guest: write a file and hash it",
    "verify": "guest: random I/O, each block checked (fio crc32c)",
    "fsck": "guest: check the file system (e2fsck)",
    "network": "guest: send to a TAP device, and receive (iperf3)",
    "use": f"guest: use {USED_MIB} MiB of memory, and free it",
    "use again": f"guest: use {USED_MIB} MiB again",
}


class Host:
    """The host's half of demo.sh: what it has of the guest's memory, and the balloon's target."""

    def __init__(self, progress, balloon):
        self.progress = progress
        self.balloon = balloon
        self.memory = None
        self.rows = []  # (when, bytes)
        self.answers = {"booted": self.booted, "used": self.used, "used again": self.used_again}

    def started(self, process):
        self.process = process

    def line(self, line):
        """Return: what tells the guest that it is over."""
        word, _, name = line.partition(" ")
        if word != "STEP":
            return None
        if name in STEPS:
            self.progress.step(STEPS[name])
        if name not in self.answers:
            return None
        self.answers[name]()
        return "done"

    def measure(self, when):
        self.memory = self.memory or guest_memory(self.process.pid)
        self.rows.append((when, resident_bytes(self.memory)))

    def booted(self):
        self.balloon.wait_present()
        self.measure("guest has booted")

    def set(self, mib, text):
        self.progress.step(text)
        self.balloon.set(mib * MIB)
        self.balloon.wait_actual(mib * MIB, FOLLOW_SECONDS)
        time.sleep(0.2)  # for what is gathered

    def used(self):
        self.measure("has used and freed memory")
        self.set(LOW_MIB, f"host: balloon target down to {LOW_MIB} MiB")
        self.measure(f"target {LOW_MIB} MiB")
        self.set(MEMORY_MIB, f"host: balloon target up to {MEMORY_MIB} MiB")
        self.measure(f"target {MEMORY_MIB} MiB")

    def used_again(self):
        self.measure("guest uses memory again")

    def returned(self):
        """Did memory come back to the host, and to the guest when it asked for it?"""
        sizes = [size for _, size in self.rows]
        return len(sizes) == 5 and sizes[1] - sizes[2] > USED_MIB * MIB // 2 and \
            sizes[4] - sizes[3] > USED_MIB * MIB // 2

    def chart(self):
        width = max((len(when) for when, _ in self.rows), default=0)
        print(f"\n  Host memory behind the guest's {MEMORY_MIB} MiB\n")
        for when, size in self.rows:
            print(f"  {when:<{width}}  {'#' * (size * BAR_WIDTH // (MEMORY_MIB * MIB)):<{BAR_WIDTH}}"
                  f"{size // MIB:>4} MiB")


def host_checks(image, outcome):
    """The image as the host sees it: (file system is clean, the file is what the guest wrote)."""
    fsck = subprocess.run([stock_kernel.find_tool("e2fsck"), "-fn", str(image.path)],
                          capture_output=True, check=False)
    content = subprocess.run([stock_kernel.find_tool("debugfs"), "-R", "cat /pattern",
                              str(image.path)], capture_output=True, check=False).stdout
    digest = hashlib.sha256(content).hexdigest()
    return fsck.returncode == 0, digest == outcome.values.get("pattern-sha256")


@contextlib.contextmanager
def network(directory):
    """Yields (ringside-vmm's options for it, why there is none or None)."""
    lacking = (netns.lacking() if net_daemon.program().exists()
               else "ringside-net was not built")
    if lacking:
        yield [], lacking
        return
    with net_daemon.host_end(directory) as net:
        yield [f"--vhost-user-net=socket={net.socket()}"], None


def network_text(outcome, lacking):
    if lacking:
        return lacking
    out, back = (float(outcome.values.get(f"rate-network-{way}") or 0) / 1000
                 for way in ("out", "in"))
    return f"ringside-net, {out:.0f} Mbit/s from the guest, {back:.0f} to it"


def table(rows):
    width = max(len(name) for name, _ in rows)
    print()
    for name, text in rows:
        print(f"  {name:<{width}}  {text}")


def yes(passed):
    return "ok" if passed else "FAILED"


def show(progress, directory):
    parts = kit.received()
    image = Image(directory / "disk.img", serial="ringside-demo")
    with open(image.path, "wb") as file:
        file.truncate(DISK_MIB * MIB)
    tools = Image(parts.tools, read_only=True, serial="tools")
    progress.step("start ringside-blk, ringside-balloon and ringside-net")
    with Daemon([image, tools], directory) as disks, \
            Balloon(directory, "--free-page-reporting=off") as balloon, \
            network(directory) as (net_options, lacking):
        host_address = "" if lacking else net_daemon.HOST
        script = l2.script("demo", used_mib=USED_MIB, network=host_address)
        host = Host(progress, balloon)
        machine = l2.Machine(parts.kernels["amd64"], [image, tools], pvh=True,
                             memory_mib=MEMORY_MIB,
                             options=[f"--vhost-user-balloon=socket={balloon.socket}",
                                      *net_options])
        progress.step("boot Debian's kernel on ringside-vmm")
        outcome = l2.boot(machine, script, directory, timeout=GUEST_SECONDS, progress=host.line,
                          started=host.started)
        served = sum(disks.counters()["queues"])
        balloon_seen = balloon.guest()
        progress.step("host: compare the image with what the guest said")
    clean, same = host_checks(image, outcome)
    progress.end()

    passed = {name: result[0] for name, result in outcome.results.items()}
    promised = [name for name in guest.promised(script)
                if not (lacking and name.startswith("network-"))]
    guest_ok = outcome.reason is None and all(map(passed.get, promised))
    host.chart()
    table([
        ("guest", f"Linux {outcome.values.get('kernel')} on ringside-vmm"),
        ("disk", f"ringside-blk, {served:,} requests"),
        ("random I/O verified", yes(passed.get("verify"))),
        ("file system clean", f"guest {yes(passed.get('fsck'))}, host {yes(clean)}"),
        ("file read back on the host", yes(same)),
        ("network", network_text(outcome, lacking)),
        ("balloon", f"ringside-balloon, {balloon_seen['reclaimed_bytes'] // MIB} MiB given back "
                    f"to the host"),
        ("memory left and returned", yes(host.returned())),
    ])
    if outcome.reason:
        print("\n" + "\n".join(f"  | {line}" for line in outcome.console[-10:]))
        print(f"\n  demo: the guest failed: {outcome.reason}")
    return guest_ok and clean and same and host.returned()


def main():
    guest.exit_on_signals()
    try:
        with guest.scratch_directory() as directory:
            return 0 if show(Progress(), Path(directory)) else 1
    except (stock_kernel.Unavailable, blk_backend.DaemonFailed, OSError,
            subprocess.SubprocessError) as reason:
        print(f"\n\n  demo: {reason}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
