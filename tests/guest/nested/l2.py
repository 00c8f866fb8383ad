# SPDX-License-Identifier: BSD-3-Clause
"""In L1: boots an L2 guest under ringside-vmm, or under QEMU as the reference.

What an L2 runs is a script as in tests/interop, with guest/tools.sh before it; it comes in a
second initramfs behind the first. guest.watch() looks after the run.
"""

import os
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))

import blk_backend
import guest
import stock_kernel

TIMEOUT = 150
SILENCE_SECONDS = 60
MEMORY_MIB = 384
CONTROL = "vmm.sock"  # in the directory of a boot


@dataclass
class Machine:
    """An L2. kernel: a kit.Kernel; pvh: enter it so, not as a bzImage; disks: images of a daemon;
    packed: offer packed rings; memory, smp, cmdline: more of ringside-vmm's options of these
    names; options: more of the VMM's."""
    kernel: object
    disks: list = field(default_factory=list)
    pvh: bool = False
    cpus: int = 1
    packed: bool = False
    memory_mib: int = MEMORY_MIB
    memory: str = ""
    smp: str = ""
    cmdline: str = ""
    options: list = field(default_factory=list)

    def kernel_path(self):
        return self.kernel.pvh if self.pvh else self.kernel.bzimage


def ringside(machine, initrd, socket):
    """Command line of ringside-vmm."""
    program = blk_backend.build_directory() / "vmm" / "ringside-vmm"
    if not program.exists():
        raise blk_backend.DaemonFailed(f"{program} is not built")
    command = [str(program), "run", f"--kernel={machine.kernel_path()}",
               f"--initrd={initrd}",
               f"--cmdline={guest.CMDLINE}{machine.cmdline}",
               f"--memory={machine.memory_mib}M{machine.memory}",
               f"--smp={machine.cpus}{machine.smp}", "--serial=stdio",
               f"--control-path={socket}"]
    for disk in machine.disks:
        command.append(f"--vhost-user-blk=socket={disk.socket},queues={disk.queues}" +
                       (",packed=on" if machine.packed else ""))
    return command + machine.options


def qemu(machine, initrd, _socket):
    """Command line of the reference."""
    command = [
        guest.QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-accel", "kvm",
        "-M", "q35,memory-backend=mem", "-cpu", "host", "-smp", str(machine.cpus),
        "-m", f"{machine.memory_mib}M",
        "-object", f"memory-backend-memfd,id=mem,size={machine.memory_mib}M,share=on",
        "-kernel", machine.kernel_path(), "-initrd", str(initrd),
        "-append", guest.CMDLINE + machine.cmdline,
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    for number, disk in enumerate(machine.disks):
        command += ["-chardev", f"socket,id=disk{number},path={disk.socket}", "-device",
                    f"vhost-user-blk-pci,chardev=disk{number},num-queues={disk.queues}" +
                    (",packed=on" if machine.packed else "")]
    return command + machine.options


def script(name, **settings):
    """The script guest/NAME.sh here, after lines that set shell variables for it."""
    return stock_kernel.guest_script(HERE / "guest" / name, **settings)


def with_script(initramfs, text, path, programs=()):
    """A copy of an initramfs at `path` that has the script, too, and these programs in its root."""
    data = (script("tools") + text).encode()
    files = {"/script": (stat.S_IFREG | 0o644, data)}
    files |= {f"/{Path(program).name}": stock_kernel.regular_file(program)
              for program in programs}
    with open(path, "wb") as file:
        file.write(Path(initramfs).read_bytes())
        file.write(stock_kernel.cpio_archive(files))
    return path


def blank(disks):
    """Makes those that a guest may write what they were for the first: all zeroes."""
    for disk in disks:
        if not disk.read_only:
            size = os.path.getsize(disk.path)
            os.truncate(disk.path, 0)
            os.truncate(disk.path, size)


def boot(machine, text, directory, vmm=ringside, programs=(), again=None, **watching):
    """Runs a script in a fresh L2, and once more, with blank disks, if it hangs (see
    guest.watch_twice). Return: its Outcome."""
    def anew():
        blank(machine.disks)
        if again:
            again()

    initrd = with_script(machine.kernel.initramfs, text, directory / "initrd", programs)
    command = vmm(machine, initrd, directory / CONTROL)
    watching = {"timeout": TIMEOUT, "silence": SILENCE_SECONDS, **watching}
    return guest.watch_twice(command, anew, **watching)


# ---- L1's memory -------------------------------------------------------------------------

def reserve_huge_pages(node):
    """Enough for a guest, all on one NUMA node. Raises DaemonFailed."""
    pool = Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages")
    pages = MEMORY_MIB // 2
    pool.write_text(str(pages))
    if int(pool.read_text()) < pages:
        raise blk_backend.DaemonFailed(f"L1 has no {pages} large pages on node {node}")


def pages_of(line):
    """Of a line of /proc/PID/numa_maps: how much memory is there, in KiB."""
    counts = re.findall(r" N\d+=(\d+)", line)
    size = re.search(r"kernelpagesize_kB=(\d+)", line)
    return sum(map(int, counts)) * int(size.group(1)) if size else 0
