# SPDX-License-Identifier: BSD-3-Clause
"""L1: a Debian kernel in an emulated machine that has AMD-V, and so a /dev/kvm for stock kernels.

Its root is the host's, read-only over 9p under a tmpfs: programs built on the host run there
under their own paths, and what they write is gone with L1. It is booted once and used by many
tests: one process boots it (`with booted(directory)`), others attach to its directory. Commands
go through agent.py. Emulation hangs about once in some hundred boots: an L1 from which nothing
was heard for SILENCE_SECONDS (more with icount) raises Hung, and whoever uses it boots another.
"""

import contextlib
import json
import os
import re
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))

import guest
import stock_kernel

BOOT_SECONDS = 120
BOOTS = 3
SILENCE_SECONDS = 60  # the agent speaks every 5 s
ICOUNT_SILENCE_SECONDS = 240  # of L1's clock, which is the slower the more L1 has to do
NODE_MIB = 1792  # of memory in each of two NUMA nodes
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console", "kvm_amd", "tun",
           "veth", "loop", "8021q")
# By its family no K8: there Linux looks for an AGP bridge on 256 buses that may be, twice.
CPU = "max,family=25,model=1"
ICOUNT = ("-icount", "shift=1,sleep=on")


class Hung(Exception):
    """Nothing was heard of L1 for too long."""


@dataclass
class Done:
    """What became of a command. status: None if its time was up; output: all it printed."""
    status: int
    output: str


class L1:
    """A connection to a booted L1; there is one at a time. icount: as it was booted."""

    def __init__(self, directory, icount=False):
        self.directory = Path(directory)
        self.silence = ICOUNT_SILENCE_SECONDS if icount else SILENCE_SECONDS
        self.partial = b""
        self.orders = 0
        self.heard = time.monotonic()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(self.directory / "channel"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def message(self, deadline):
        """The agent's next message, or None at the deadline. Raises Hung."""
        while True:
            line, newline, rest = self.partial.partition(b"\n")
            if newline:
                self.partial = rest
                # The first one may be the end of what was said to somebody before.
                with contextlib.suppress(ValueError):
                    return json.loads(line)
                continue
            now = time.monotonic()
            if now >= deadline:
                return None
            if now - self.heard >= self.silence:
                raise Hung(f"L1 was silent for {self.silence} s")
            self.socket.settimeout(min(deadline - now, 1))
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                data = b""
            if not data:
                raise Hung("L1 has ended")
            self.heard = time.monotonic()
            self.partial += data

    def run(self, command, timeout=60, show=None):
        """Runs a shell command in L1. show: called with each piece of its output as it comes.
        Return: a Done. Raises Hung."""
        self.orders += 1
        number = f"{os.getpid()}.{self.orders}"
        order = {"id": number, "command": command, "timeout": timeout}
        self.socket.settimeout(self.silence)
        self.socket.sendall(json.dumps(order).encode() + b"\n")
        output = []
        # The agent keeps the time; it is L1's, which may be slower than ours.
        while message := self.message(time.monotonic() + timeout + self.silence):
            if message.get("id") != number:
                continue
            if "status" in message:
                return Done(message["status"], "".join(output))
            output.append(message["text"])
            if show:
                show(message["text"])
        raise Hung(f"L1 says nothing more of: {command}")


# ---- booting -----------------------------------------------------------------------------

def command_line(kernel, directory, icount):
    """QEMU's. With icount L1's clock counts instructions, which repeats where time does not; its
    kernel does not get a second CPU to start then."""
    initramfs = stock_kernel.initramfs(kernel, "l1", HERE / "l1-init", MODULES, tools=())
    command = [
        guest.QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-M", "q35", "-accel", "tcg" if icount else "tcg,thread=multi", "-cpu", CPU,
        "-smp", "1" if icount else "2", "-m", f"{2 * NODE_MIB}M",
        "-kernel", str(kernel.image), "-initrd", str(initramfs),
        "-append", f"{guest.CMDLINE} ringside_agent={HERE / 'agent.py'}",
        "-serial", f"file:{directory / 'console'}",
        "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
        "-chardev", f"socket,id=agent,path={directory / 'channel'},server=on,wait=off",
        "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent",
        "-qmp", f"unix:{directory / 'monitor'},server=on,wait=off"]
    for node in range(2):
        cpus = "" if icount and node else f",cpus={node}"
        command += ["-object", f"memory-backend-ram,id=node{node},size={NODE_MIB}M",
                    "-numa", f"node,nodeid={node}{cpus},memdev=node{node}"]
    return command + list(ICOUNT if icount else ())


def await_agent(qemu, directory, icount):
    """Until the agent speaks; Hung where it does not."""
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline and qemu.poll() is None:
        with contextlib.suppress(OSError), L1(directory, icount) as l1:
            if l1.message(deadline):
                return
        time.sleep(0.1)
    raise Hung("L1 does not boot")


def boot(directory, icount):
    """Return: QEMU's process and how many boots hung before this one."""
    stock_kernel.find_tool(guest.QEMU)
    command = command_line(stock_kernel.stock_kernel(), directory, icount)
    for hangs in range(BOOTS):
        with open(directory / "qemu.log", "wb") as log:
            qemu = guest.spawn(command, stdout=log, stderr=log)
        try:
            await_agent(qemu, directory, icount)
            return qemu, hangs
        except BaseException as reason:
            guest.stop(qemu)
            if not isinstance(reason, Hung):
                raise
    said = [(directory / name).read_text(errors="replace").strip().splitlines()[-3:]
            for name in ("qemu.log", "console")]
    raise Hung(f"L1 did not boot in {BOOTS} attempts: {said}")


@contextlib.contextmanager
def booted(directory, icount=False):
    """Boots L1, for as long as the `with` lasts. Everything it makes is inside `directory`.
    Yields how many boots hung before. Raises Unavailable where a part is missing, Hung."""
    qemu, hangs = boot(Path(directory), icount)
    try:
        yield hangs
    finally:
        guest.stop(qemu)


def registers(directory):
    """Where the CPUs of an L1 stand, for the one who looks into a hang; "" if QEMU is gone."""
    ask = ("human-monitor-command", {"command-line": "info registers -a"})
    try:
        text = guest.Monitor(str(Path(directory) / "monitor")).run(ask)
    except (OSError, RuntimeError, ValueError):
        return ""
    return " ".join(re.findall(r"RIP=\w+ RFL=\w+|HLT=\d", text))


class Session:
    """An L1 for a test program; use it in a `with`: the one of RINGSIDE_L1, a directory that
    `l1 serve` was given, else one of its own. Where one hangs, another is booted, and what it was
    asked to do is done again. hangs: how many did, boots included; notes: a line on each that had
    booted."""

    def __init__(self):
        self.hangs = 0
        self.notes = []
        self.channel = None
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        shared = os.environ.get("RINGSIDE_L1")
        if shared:
            self.channel = self.stack.enter_context(L1(shared))
        else:
            self.boot()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def boot(self):
        self.stack.close()
        directory = self.stack.enter_context(guest.scratch_directory())
        self.hangs += self.stack.enter_context(booted(directory))
        self.channel = self.stack.enter_context(L1(directory))

    def run(self, command, timeout, show=None):
        """As L1.run()."""
        for _ in range(BOOTS - 1):
            try:
                return self.channel.run(command, timeout, show)
            except Hung as reason:
                self.hangs += 1
                self.notes.append(f"{reason}; {registers(self.channel.directory)}")
            self.boot()
        return self.channel.run(command, timeout, show)
