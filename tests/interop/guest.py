# SPDX-License-Identifier: BSD-3-Clause
"""Boots a stock Debian kernel under QEMU with vhost-user disks and runs a script in it.

A script is shell (see guest/init for the words it may use); what it reports comes back as
an Outcome. Every boot has a limit in total and one for silence: a guest that says nothing for
SILENCE_SECONDS hangs, is killed and, being emulation's fault about once in some hundred boots,
started once more; Outcome.hangs counts that. One that waits for its disk is not silent, and
fails. Nothing started here survives the Python process.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import platform
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import stock_kernel

SILENCE_SECONDS = 150
KVM_TRIAL_SECONDS = 15
QEMU = "qemu-system-x86_64"
# What makes an emulated guest quicker, and none of it changes what the disks see.
CMDLINE = ("console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check "
           "cryptomgr.notests")


@dataclass
class Disk:
    """One vhost-user-blk device: the daemon's socket, the queues the guest may use, more
    properties of QEMU's device, "name=value,name=value", and whether QEMU is to look for the
    daemon again, every second, when it has gone."""
    socket: str
    queues: int = 1
    options: str = ""
    reconnect: bool = False


@dataclass
class Outcome:
    """What a guest said. results: name -> (passed, detail); values: name -> text.

    reason: why the boot as a whole failed, or None for a script that ran to its end and a
    guest that powered off."""
    results: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    boots: int = 0
    hangs: int = 0
    seconds: float = 0
    boot_seconds: float = 0
    reason: str = None
    done: bool = False
    console: list = field(default_factory=list)
    hung_console: list = field(default_factory=list)


def promised(script):
    """Names of the results a script reports, from its own text: one that never came failed."""
    return re.findall(r"^\s*(?:check|is|refuses)\s+([\w-]+)", script, re.MULTILINE)


# ---- child processes ---------------------------------------------------------------------

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def die_with_parent():
    """In a child before exec: SIGKILL when the parent goes, however it goes."""
    _prctl(1, signal.SIGKILL, 0, 0, 0)


def spawn(command, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen(command, preexec_fn=die_with_parent, **options)


def stop(process, seconds=5):
    """SIGTERM, then SIGKILL; returns the exit status, or None if it had to be killed."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def exit_on_signals():
    """Makes SIGTERM and SIGHUP unwind like Ctrl-C, so that every cleanup runs."""
    def leave(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def scratch_directory():
    """A directory for images and sockets, on a disk, and short enough for a socket's path."""
    base = os.environ.get("RINGSIDE_SCRATCH") or "/var/tmp"
    return tempfile.TemporaryDirectory(prefix="ringside-", dir=base)


class Monitor:
    """QEMU's QMP socket, for a test that changes the machine while it runs."""

    def __init__(self, path):
        self.path = path

    def run(self, *commands):
        """Runs commands, each (name, {argument: value}). Raises RuntimeError if one fails.
        Return: the answer of the last one."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.path)
            with connection.makefile("rw") as stream:
                stream.readline()
                for name, arguments in (("qmp_capabilities", {}), *commands):
                    json.dump({"execute": name, "arguments": arguments}, stream)
                    stream.flush()
                    answer = {}
                    while not {"return", "error"} & answer.keys():
                        answer = json.loads(stream.readline() or '{"error": "closed"}')
                    if "error" in answer:
                        raise RuntimeError(f"{name}: {answer['error']}")
        return answer["return"]


# ---- booting -----------------------------------------------------------------------------

class Rig:
    """A kernel, its initramfs and the accelerator they run with. contents: what is in the
    initramfs, where it is not what a guest with disks needs."""

    def __init__(self, **contents):
        stock_kernel.find_tool(QEMU)
        self.kernel = stock_kernel.stock_kernel()
        self.initramfs = stock_kernel.initramfs(self.kernel, **contents)
        self.accelerator = self._choose_accelerator()

    def boot(self, script, disks=(), cpus=1, memory_kib=768 * 1024, reboots=0, timeout=300,
             progress=None, monitor=None, options=(), again=None):
        """Runs a script in a fresh guest; one that hangs is started once more.

        reboots: how often the guest may restart. progress: called with each line the guest
        prints; a line that it returns is typed on the guest's console. monitor: a path for
        QEMU's QMP socket. options: more of QEMU's. again: called before a script is started
        once more; it finds the disks as the one that hung left them, unless this changes it."""
        with tempfile.NamedTemporaryFile("w", prefix="ringside-script-") as file:
            file.write(script)
            file.flush()
            command = self._command(self.accelerator, disks, cpus, memory_kib, file.name)
            command += [] if reboots else ["-no-reboot"]
            command += ["-qmp", f"unix:{monitor},server=on,wait=off"] if monitor else []
            command += options
            return watch_twice(command, again, timeout=timeout, reboots=reboots,
                               progress=progress)

    def _command(self, accelerator, disks, cpus, memory_kib, script):
        fast = accelerator == "kvm"
        command = [
            QEMU, "-nodefaults", "-no-user-config", "-display", "none",
            "-M", "q35,memory-backend=mem",
            "-accel", "kvm" if fast else "tcg,thread=multi",
            "-cpu", "host" if fast else "max", "-smp", str(cpus),
            "-m", f"{memory_kib}K,slots=2,maxmem=4G",
            "-object", f"memory-backend-memfd,id=mem,size={memory_kib}K,share=on",
            "-kernel", str(self.kernel.image), "-initrd", str(self.initramfs),
            "-append", CMDLINE, "-chardev", "stdio,id=console,signal=off",
            "-serial", "chardev:console"]
        if script:
            command += ["-fw_cfg", f"name=opt/ringside/script,file={script}"]
        for number, disk in enumerate(disks):
            device = f"vhost-user-blk-pci,chardev=disk{number},num-queues={disk.queues}"
            device += f",{disk.options}" if disk.options else ""
            command += ["-chardev", f"socket,id=disk{number},path={disk.socket}" +
                        (",reconnect=1" if disk.reconnect else ""), "-device", device]
        return command

    def _choose_accelerator(self):
        """"kvm" if this kernel reaches user space on it, else "tcg". /dev/kvm alone proves
        nothing: a KVM in software runs small guests and not stock kernels. The answer is kept
        for as long as machine, QEMU and kernel stay the same."""
        wish = os.environ.get("RINGSIDE_ACCEL")
        if wish in ("kvm", "tcg"):
            return wish
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return "tcg"
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        facts = "\n".join((platform.release(), platform.version(), self.kernel.version,
                           model.group(1) if model else "", stock_kernel.run(QEMU, "--version")))
        digest = hashlib.sha256(facts.encode()).hexdigest()[:16]
        note = stock_kernel.cache_directory() / f"accelerator-{digest}"
        if not note.exists():
            trial = watch(self._command("kvm", (), 1, 512 * 1024, None), KVM_TRIAL_SECONDS)
            note.write_text("kvm" if trial.boots else "tcg")
        return note.read_text()


def watch_twice(command, again, **watching):
    """Like watch(), but a guest that hangs is started once more, after again() if there is one."""
    outcome = watch(command, **watching)
    if outcome.hangs:
        hung = outcome
        if again:
            again()
        outcome = watch(command, **watching)
        outcome.hangs += 1
        outcome.hung_console = hung.console
    return outcome


def watch(command, timeout, silence=SILENCE_SECONDS, reboots=0, progress=None, started=None):
    """Runs QEMU, or another VMM whose console is stdio, to its end and collects what the guest
    says. started: called with the VMM's process; the rest is as for Rig.boot()."""
    outcome = Outcome()
    begin = last_word = time.monotonic()
    name = Path(command[0]).name
    with tempfile.TemporaryFile() as errors:
        vmm = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        try:
            if started:
                started(vmm)
            partial = b""
            while outcome.reason is None:
                now = time.monotonic()
                ready, _, _ = select.select([vmm.stdout], [], [], 1)
                if ready:
                    data = os.read(vmm.stdout.fileno(), 65536)
                    if not data:
                        break
                    *lines, partial = (partial + data).split(b"\n")
                    for line in lines:
                        answer = take_line(outcome, line.decode(errors="replace").strip(),
                                           begin, reboots, progress)
                        if answer:
                            with contextlib.suppress(BrokenPipeError):
                                os.write(vmm.stdin.fileno(), answer.encode() + b"\n")
                    # What progress() did meanwhile is not the guest's silence.
                    last_word = now = time.monotonic()
                errors.seek(0)
                if b"KVM internal error" in errors.read():
                    outcome.reason = "KVM internal error"
                elif now - begin > timeout:
                    outcome.reason = f"not done after {timeout} s"
                elif now - last_word > silence:
                    outcome.reason = f"silent for {silence} s"
                    outcome.hangs = 1
            if outcome.reason is None and vmm.wait(10) != 0:
                errors.seek(0)
                words = errors.read().decode(errors="replace").strip().splitlines()
                outcome.reason = f"{name} ended with {vmm.returncode}: {' / '.join(words[-3:])}"
        except subprocess.TimeoutExpired:
            outcome.reason = f"{name} closed its console but does not end"
        finally:
            vmm.kill()
            vmm.wait()
            vmm.stdin.close()
            vmm.stdout.close()
    if outcome.reason is None and not outcome.done:
        outcome.reason = "the guest powered off before its script ended"
    outcome.seconds = time.monotonic() - begin
    return outcome


def take_line(outcome, line, begin, reboots, progress):
    """Notes what a line of the guest says. Return: what progress wants to be typed."""
    outcome.console.append(line)
    answer = progress(line) if progress else None
    if "Kernel panic" in line:
        outcome.reason = line
        return answer
    # A program's unfinished line, or the firmware's, may stand before ours.
    match = re.search(r"(BOOT|RESULT|VALUE|DONE)(?: (\S+)(?: (.*))?)?$", line)
    if not match:
        return answer
    word, name, rest = match.group(1), match.group(2), match.group(3) or ""
    if word == "BOOT":
        outcome.boots += 1
        if outcome.boots == 1:
            outcome.boot_seconds = time.monotonic() - begin
        elif outcome.boots > reboots + 1:
            outcome.reason = "the guest restarted unasked"
    elif word == "RESULT":
        verdict, _, detail = rest.partition(" ")
        passed = verdict == "ok" and outcome.results.get(name, (True,))[0]
        outcome.results[name] = (passed, detail)
    elif word == "VALUE":
        outcome.values[name] = rest
    elif word == "DONE":
        outcome.done = True
    return answer
