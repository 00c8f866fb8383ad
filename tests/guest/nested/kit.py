# SPDX-License-Identifier: BSD-3-Clause
"""What L2 guests are made of: kernels, an initramfs for each, a disk with the host's tools.

Made on the host, where packages can be fetched, and kept in its cache; L1 reads them there. The
initramfs is small, since a VMM copies it into the guest at every boot, and every page of it is
dear under two emulations; fio and its 80 MB of libraries are on a read-only disk instead.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import stock_kernel

FLAVOURS = ("amd64", "cloud-amd64")
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_balloon", "8021q", "button", "evdev",
           "crc32c_generic", "crc32c_intel", "ext4")
TOOLS = (*stock_kernel.TOOLS, "lscpu", "ethtool", "iperf3")
TOOLS_MIB = 128
VARIABLE = "RINGSIDE_KIT"  # through which L1's programs get it


@dataclass
class Kernel:
    """Paths of one flavour. pvh: "" where it could not be unpacked."""
    bzimage: str
    pvh: str
    initramfs: str


@dataclass
class Kit:
    kernels: dict
    tools: str

    def value(self):
        """Of VARIABLE."""
        return json.dumps(asdict(self))

    def variable(self):
        """NAME='value' for a shell."""
        return f"{VARIABLE}='{self.value()}'"


def received():
    """The kit, in L1."""
    fields = json.loads(os.environ[VARIABLE])
    return Kit({flavour: Kernel(**paths) for flavour, paths in fields["kernels"].items()},
               fields["tools"])


def prepare(flavours=FLAVOURS):
    """The kit, on the host. Raises Unavailable."""
    kernels = {}
    for flavour in flavours:
        kernel = stock_kernel.stock_kernel(flavour)
        initramfs = stock_kernel.initramfs(kernel, f"l2-{flavour}", modules=MODULES, tools=())
        kernels[flavour] = Kernel(str(kernel.bzimage),
                                  "" if kernel.image == kernel.bzimage else str(kernel.image),
                                  str(initramfs))
    return Kit(kernels, str(tools_image()))


def tools_image():
    """Path of an ext4 file system with TOOLS and their libraries, where they are on the host."""
    files = stock_kernel.programs(TOOLS)

    def make(image):
        with tempfile.TemporaryDirectory() as directory:
            for path, (_, data) in files.items():
                target = Path(directory + path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                target.chmod(0o755)
            stock_kernel.run(stock_kernel.find_tool("mkfs.ext4"), "-q", "-O", "^has_journal",
                             "-m", "0", "-d", directory, str(image), f"{TOOLS_MIB}M")

    return stock_kernel.cached_file("tools", f"-{stock_kernel.digest_of(files)}.img", make)
