# SPDX-License-Identifier: BSD-3-Clause
"""Runs the test guest (image/) on ringside-vmm, or on QEMU as the reference, and reports what it
says as TAP results.

The guest's side of the conversation is described in image/print.h. RINGSIDE_BUILD names the build
directory, else build/, RINGSIDE_VMM_OPTIONS more options of ringside-vmm. Nothing started here survives the Python process.
"""

import os
import select
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import blk_backend
import guest
import stock_kernel
from blk_report import make_image
from tap import Tap

MIB = 1024 * 1024
DISK_BYTES = 4 * MIB
TIMEOUT = 40
tap = Tap()

EXIT_OK, EXIT_START, EXIT_USAGE, EXIT_CRASHED = range(4)


def vmm_program():
    return blk_backend.build_directory() / "vmm" / "ringside-vmm"


def guest_image():
    return blk_backend.build_directory() / "tests" / "guest" / "test_guest"


@dataclass
class Said:
    """What a guest said, in its words, and how it ended."""
    results: list = field(default_factory=list)  # (passed, name, notes)
    values: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    boots: int = 0
    plans: int = 0
    status: int = None
    reason: str = None
    log: str = ""
    console: list = field(default_factory=list)
    seconds: float = 0
    problems: list = field(default_factory=list)


class Machine:
    """One run of a virtual machine. Use it in a `with`; command() of a subclass starts it.

    tests: names of the guest's tests. disks: a blk_backend.Daemon, or None. words: more of the
    guest's command line. options: more of the program's. on_step: word -> function(machine), called
    when the guest says STEP word; what it returns is typed on the guest's console."""

    def __init__(self, tests, disks=None, words="", options=(), cpus=1, topology=(1, 1, 1),
                 memory=256, on_step=None, timeout=TIMEOUT):
        self.disks = disks
        self.options = list(options)
        self.cpus = cpus
        self.topology = topology
        self.memory = memory
        self.on_step = on_step or {}
        self.timeout = timeout
        self.said = Said()
        self.process = None
        self.control_socket = None
        images = disks.images if disks else []
        self.cmdline = (f"test={','.join(tests)} cpus={cpus} memory={memory} disks={len(images)} "
                        f"topology={','.join(map(str, topology))} sectors={DISK_BYTES // 512} "
                        + " ".join(filter(None, [f"serial={images[0].serial}" if images else "",
                                                 words])))

    def __enter__(self):
        self.errors = tempfile.TemporaryFile()
        self.begin = time.monotonic()
        self.process = guest.spawn(self.command(), stdin=-1, stdout=-1, stderr=self.errors)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()

    def control(self, *words):
        """The answer of the program's control socket."""
        return blk_backend.ask(self.control_socket, *words)

    def type(self, text):
        try:
            os.write(self.process.stdin.fileno(), text.encode())
        except BrokenPipeError:
            pass

    def watch(self):
        """Until it has ended. Return: what the guest said."""
        said, partial = self.said, b""
        while True:
            left = self.begin + self.timeout - time.monotonic()
            if left <= 0:
                said.reason = f"not done after {self.timeout} s"
                break
            ready, _, _ = select.select([self.process.stdout], [], [], min(left, 1))
            if not ready:
                continue
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                break
            *lines, partial = (partial + data).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace").strip("\r\0 "))
        if not said.reason:
            try:
                said.status = self.process.wait(5)
            except guest.subprocess.TimeoutExpired:
                said.reason = "it closed its console but does not end"
        said.seconds = time.monotonic() - self.begin
        self.errors.seek(0)
        said.log = self.errors.read().decode(errors="replace")
        return said

    def _take(self, line):
        said = self.said
        said.console.append(line)
        word, _, rest = line.partition(" ")
        if line.startswith(("ok ", "not ok ")):
            said.results.append((word == "ok", line.partition(" - ")[2], []))
        elif word == "#" and said.results:
            said.results[-1][2].append(rest)
        elif word == "VALUE":
            name, _, text = rest.partition(" ")
            said.values[name] = text
        elif word == "BOOT":
            said.boots += 1
        elif line.startswith("1.."):
            said.plans += 1
        elif word == "STEP":
            said.steps.append(rest)
            try:
                answer = self.on_step[rest](self) if rest in self.on_step else None
                if answer:
                    self.type(answer)
            except (blk_backend.DaemonFailed, OSError, KeyError, ValueError) as problem:
                said.problems.append(f"{rest}: {problem!r}")


class Vmm(Machine):
    """On ringside-vmm. disk_options: more of each --vhost-user-blk."""

    def __init__(self, directory, *arguments, disk_options="", **more):
        super().__init__(*arguments, **more)
        self.control_socket = str(Path(directory) / "vmm.ctl")
        self.disk_options = disk_options

    def command(self):
        smp = f"--smp={self.cpus}"
        if self.topology != (1, 1, 1):
            smp += ",sockets={},cores={},threads={}".format(*self.topology)
        command = [str(vmm_program()), "run", f"--kernel={guest_image()}",
                   f"--cmdline={self.cmdline}", f"--memory={self.memory}M", smp, "--serial=stdio",
                   f"--control-path={self.control_socket}"]
        for image in self.disks.images if self.disks else []:
            command.append(f"--vhost-user-blk=socket={image.socket},queues={image.queues}"
                           + (f",{self.disk_options}" if self.disk_options else ""))
        return command + self.options + os.environ.get("RINGSIDE_VMM_OPTIONS", "").split()


class Qemu(Machine):
    """On QEMU, emulated. disk_options: more properties of each disk."""

    def __init__(self, *arguments, disk_options="", **more):
        super().__init__(*arguments, **more)
        self.disk_options = disk_options

    def command(self):
        smp = f"{self.cpus},sockets={self.topology[0]},cores={self.topology[1]}," \
              f"threads={self.topology[2]}" if self.topology != (1, 1, 1) else str(self.cpus)
        command = [guest.QEMU, "-nodefaults", "-no-user-config", "-display", "none",
                   "-accel", "tcg", "-M", "q35,memory-backend=mem", "-cpu", "max",
                   "-smp", smp, "-m", str(self.memory),
                   "-object", f"memory-backend-memfd,id=mem,size={self.memory}M,share=on",
                   "-kernel", str(guest_image()), "-append", self.cmdline,
                   "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        for number, image in enumerate(self.disks.images if self.disks else []):
            command += ["-chardev", f"socket,id=disk{number},path={image.socket}", "-device",
                        f"vhost-user-blk-pci,disable-legacy=on,chardev=disk{number},"
                        f"num-queues={image.queues}"
                        + (f",{self.disk_options}" if self.disk_options else "")]
        return command + self.options


# ---- reports -----------------------------------------------------------------------------

def report(name, said, status=EXIT_OK, boots=1, ends=True):
    """Each of the guest's results, and one for the run as a whole. ends: does the guest come to
    its plan? Return: did everything pass?"""
    failed = [one for one in said.results if not one[0]]
    for passed, result, notes in said.results:
        tap.result(f"{name}: {result}", passed, "\n".join(notes))
    wrong = said.reason or "; ".join(said.problems)
    if not wrong and said.status != status:
        wrong = f"exit status {said.status}, expected {status}"
    if not wrong and said.boots != boots:
        wrong = f"{said.boots} boots, expected {boots}"
    if not wrong and ends and (said.plans != 1 or not said.results and status == EXIT_OK):
        wrong = f"the guest came to its end {said.plans} times, with {len(said.results)} results"
    tap.result(f"{name}: run ends with {status}", not wrong, wrong)
    tap.note(f"{name}: {len(said.results)} results in {said.seconds:.1f} s")
    if wrong or failed:
        tap.note("console:\n" + "\n".join(said.console[-8:]))
        tap.note("log:\n" + "\n".join(said.log.splitlines()[-15:]))
    return not wrong and not failed


def run(name, machine, **expected):
    """A whole run, reported. Return: what the guest said."""
    with machine:
        said = machine.watch()
    report(name, said, **expected)
    return said


def disks(directory, count=1, queues=1, offered=4, size=DISK_BYTES):
    """A daemon for so many blank disks, not started yet."""
    images = []
    for number in range(count):
        path = make_image(Path(directory) / f"disk{number}.img", size)
        images.append(blk_backend.Image(path, queues=queues, offered=offered,
                                        serial=f"DISK{number}"))
    return blk_backend.Daemon(images, directory)


# ---- while something happens -------------------------------------------------------------

class Storm:
    """Requests without end in the guest, and meanwhile disturb(machine) on a thread of its own,
    then a byte on the console that ends them."""

    def __init__(self, disturb):
        self.disturb = disturb
        self.thread = None
        self.problem = None
        self.typed = False

    def begin(self, machine):
        self.thread = threading.Thread(target=self._run, args=(machine,), daemon=True)
        self.thread.start()

    def _run(self, machine):
        try:
            self.disturb(machine)
        except (blk_backend.DaemonFailed, OSError, KeyError) as problem:
            self.problem = problem
        self.typed = True
        machine.type("x")
        threading.Event().wait()  # a daemon that was started here would end with this thread

    def report(self, name):
        tap.result(f"{name}: it was disturbed", self.thread and not self.problem, self.problem)


def backend(machine, number=0):
    return machine.control("device.list")["devices"][number]


def wait_state(machine, state, seconds=5, number=0):
    deadline = time.monotonic() + seconds
    while backend(machine, number)["state"] != state:
        if time.monotonic() > deadline:
            raise blk_backend.DaemonFailed(f"device is {backend(machine, number)}, not {state}")
        time.sleep(0.02)


def run_tests(*tests, needs_kvm=True):
    """Calls each test(directory), and ends the program with the verdict on all of them."""
    guest.exit_on_signals()
    missing = None
    if needs_kvm and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        missing = "/dev/kvm is not there, or not for this user"
    elif needs_kvm and not vmm_program().exists():
        missing = f"{vmm_program()} is not built"
    elif not guest_image().exists():
        missing = f"{guest_image()} is not built"
    if not missing and not needs_kvm:
        try:
            stock_kernel.find_tool(guest.QEMU)
        except stock_kernel.Unavailable as reason:
            missing = reason
    if missing:
        tap.skip("test guest", missing)
        sys.exit(tap.end())
    only = sys.argv[1:]
    for test in tests:
        if only and test.__name__ not in only:
            continue
        with guest.scratch_directory() as directory:
            try:
                test(Path(directory))
            except blk_backend.DaemonFailed as reason:
                tap.result(f"{test.__name__}: daemon", False, reason)
    sys.exit(tap.end())
