# SPDX-License-Identifier: BSD-3-Clause
"""A stock Debian kernel and an initramfs for it, made without installing anything.

Used by guest.py and by the nested rig. Everything lands in one cache directory: $RINGSIDE_CACHE, else
$XDG_CACHE_HOME/ringside, else build/cache in the source tree. The kernel is Debian's own
package as the archive serves it; the initramfs holds the host's tools and their libraries, is
byte for byte reproducible, and is written again only when its content changes.
"""

import contextlib
import fcntl
import hashlib
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE_ROOT = HERE.parent.parent

# What init loads, in this order; dependencies are found in the modules themselves.
# crc32c is a soft dependency of ext4, which only modprobe would follow.
MODULES = ("virtio_pci", "virtio_blk", "qemu_fw_cfg", "crc32c_generic", "crc32c_intel", "ext4")
# What an initramfs of any rig may load is kept of a package; a flavour may lack some of it.
KEPT_MODULES = (*MODULES, "virtio_net", "virtio_balloon", "button", "evdev", "9p", "9pnet_virtio",
                "overlay", "virtio_console", "kvm_amd", "tun", "veth", "loop", "8021q")
TOOLS = ("mkfs.ext4", "e2fsck", "blkdiscard", "fio")
SBIN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Unavailable(Exception):
    """Something the rig needs is not on this machine; the text says what."""


class Kernel:
    """One unpacked kernel package.

    image: what QEMU boots by -kernel. vmlinux where it could be unpacked: QEMU enters it by
    PVH, which saves decompressing XZ under emulation, most of the time a bzImage takes to boot.
    bzimage: the kernel as Debian packs it.
    """

    def __init__(self, directory):
        self.directory = Path(directory)
        self.version = (self.directory / "version").read_text().strip()
        vmlinux = self.directory / "vmlinux"
        self.bzimage = self.directory / "vmlinuz"
        self.image = vmlinux if vmlinux.exists() else self.bzimage
        self.module_directory = self.directory / "modules"


def guest_script(name, **settings):
    """The script guest/NAME.sh, after lines that set shell variables for it."""
    head = "".join(f"{key}='{value}'\n" for key, value in settings.items())
    return head + (HERE / "guest" / f"{name}.sh").read_text()


def find_tool(name):
    path = shutil.which(name, path=SBIN_PATH)
    if not path:
        raise Unavailable(f"{name} is not installed")
    return path


def cache_directory():
    if os.environ.get("RINGSIDE_CACHE"):
        path = Path(os.environ["RINGSIDE_CACHE"])
    elif os.environ.get("XDG_CACHE_HOME"):
        path = Path(os.environ["XDG_CACHE_HOME"]) / "ringside"
    else:
        path = SOURCE_ROOT / "build" / "cache"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextlib.contextmanager
def cache_locked():
    """Programs that run side by side make what is missing one after another, and once."""
    with open(cache_directory() / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options).stdout


# ---- the kernel --------------------------------------------------------------------------

def unpack_vmlinux(bzimage):
    """The ELF file inside a bzImage (Documentation/arch/x86/boot.rst), or None if it is not
    packed with XZ or LZ4. The payload ends with its unpacked size, which is not part of the
    stream."""
    setup_sectors = bzimage[0x1F1] or 4
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    payload = bzimage[(setup_sectors + 1) * 512 + offset:][:length]
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x02\x21\x4c\x18"):
        return subprocess.run([find_tool("lz4"), "-dc"], input=payload[:-4], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
    return None


def unpack_package(package, version, directory):
    with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
        root, made = Path(scratch) / "root", Path(scratch) / "made"
        run("dpkg", "-x", str(package), str(root))
        made.mkdir()
        shutil.copyfile(root / "boot" / f"vmlinuz-{version}", made / "vmlinuz")
        vmlinux = unpack_vmlinux((made / "vmlinuz").read_bytes())
        if vmlinux:
            (made / "vmlinux").write_bytes(vmlinux)
        modules = next(path for path in (root / f"lib/modules/{version}",
                                         root / f"usr/lib/modules/{version}") if path.is_dir())
        (made / "modules").mkdir()
        shutil.copyfile(modules / "modules.builtin", made / "modules" / "modules.builtin")
        for path in module_closure(modules, KEPT_MODULES, lacking_is_fine=True):
            shutil.copyfile(path, made / "modules" / path.name)
        (made / "version").write_text(version + "\n")
        made.rename(directory)


def stock_kernel(flavour="amd64"):
    """Debian's current kernel of a flavour, "amd64" (the generic one) or "cloud-amd64",
    downloaded once and kept in the cache."""
    for tool in ("apt-get", "apt-cache", "dpkg"):
        find_tool(tool)
    depends = run("apt-cache", "depends", f"linux-image-{flavour}")
    match = re.search(rf"Depends: (linux-image-(\d\S*-{flavour}))$", depends, re.MULTILINE)
    cached = sorted(cache_directory().glob(f"kernel-{flavour}-*"))
    if not match:
        if cached:
            return Kernel(cached[-1])
        raise Unavailable(f"no package linux-image-{flavour} in apt's lists (apt-get update?)")
    package, version = match.groups()
    kept = hashlib.sha256(" ".join(KEPT_MODULES).encode()).hexdigest()[:8]
    directory = cache_directory() / f"kernel-{flavour}-{version}-{kept}"
    with cache_locked():
        if not directory.is_dir():
            return fetch_kernel(package, version, directory, cached)
    return Kernel(directory)


def fetch_kernel(package, version, directory, cached):
    """Download and unpack it; those that were cached go. Where that fails, one of them will do."""
    with tempfile.TemporaryDirectory(dir=cache_directory()) as scratch:
        try:
            run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package,
                cwd=scratch, timeout=300)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            if cached:
                return Kernel(cached[-1])
            raise Unavailable(f"cannot download {package}: {error.stderr or error}") from error
        unpack_package(next(Path(scratch).glob("*.deb")), version, directory)
    for old in cached:
        shutil.rmtree(old, ignore_errors=True)
    return Kernel(directory)


# ---- modules -----------------------------------------------------------------------------

def module_bytes(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.name.endswith(".xz") else data


def module_depends(path):
    match = re.search(rb"\0depends=([^\0]*)\0", module_bytes(path))
    return [name for name in match.group(1).decode().split(",") if name] if match else []


def module_closure(directory, names, lacking_is_fine=False):
    """Paths of the named modules and all they depend on, each after its dependencies; those
    built into the kernel are left out. modules.dep would say the same, but is written only
    when a kernel package is installed."""
    def canonical(name):
        return name.replace("-", "_")

    builtin = {canonical(Path(line).stem)
               for line in (directory / "modules.builtin").read_text().splitlines()}
    files = {canonical(path.name.split(".ko")[0]): path for path in directory.rglob("*.ko*")}
    wanted = {canonical(name) for name in names}
    order = []

    def add(name):
        name = canonical(name)
        if name in builtin or files.get(name) in order:
            return
        if name not in files:
            if lacking_is_fine and name in wanted:
                return
            raise Unavailable(f"the kernel has no module {name}")
        for dependency in module_depends(files[name]):
            add(dependency)
        order.append(files[name])

    for name in names:
        add(name)
    return order


# ---- the initramfs -----------------------------------------------------------------------

def libraries(program):
    """Absolute paths of the shared libraries and the loader a program needs."""
    found = []
    for line in run("ldd", program).splitlines():
        match = re.search(r"(?:=> )?(/\S+) \(0x", line)
        if match:
            found.append(match.group(1))
        elif "not found" in line:
            raise Unavailable(f"{program} misses a library: {line.strip()}")
    return found


def cpio_archive(files):
    """A `newc` archive of {path: (mode, bytes)}: sorted, and with no times or owners in it."""
    entries = {}
    for path, content in files.items():
        for parent in list(Path(path).parents)[:-1]:
            entries[str(parent)] = (stat.S_IFDIR | 0o755, b"")
        entries[path] = content
    archive = bytearray()

    def append(inode, name, mode, data):
        name = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        archive.extend(b"070701" + b"".join(b"%08x" % field for field in fields) + name)
        archive.extend(bytes(-len(archive) % 4))
        archive.extend(data)
        archive.extend(bytes(-len(archive) % 4))

    for inode, (path, (mode, data)) in enumerate(sorted(entries.items()), 1):
        append(inode, path.lstrip("/"), mode, data)
    append(0, "TRAILER!!!", 0, b"")
    return bytes(archive)


def regular_file(path, mode=0o755):
    return (stat.S_IFREG | mode, Path(path).read_bytes())


def programs(tools):
    """{path: (mode, bytes)}: the tools in /sbin and all libraries they need."""
    files = {}
    for tool in tools:
        path = find_tool(tool)
        files["/sbin/" + tool] = regular_file(path)
        for library in libraries(path):
            files[library] = regular_file(library)
    return files


def initramfs(kernel, name="guest", init=HERE / "guest" / "init", modules=MODULES, tools=TOOLS):
    """Path of an initramfs for a kernel: busybox, tools, modules, and init. name: whose it is,
    for it to be found and replaced by."""
    busybox = find_tool("busybox")
    if libraries_or_none(busybox):
        raise Unavailable("busybox is not the static one (package busybox-static)")
    files = programs(tools)
    files["/bin/busybox"] = regular_file(busybox)
    files["/init"] = regular_file(init)
    order = module_closure(kernel.module_directory, modules)
    for path in order:
        files["/modules/" + path.name.split(".ko")[0] + ".ko"] = (stat.S_IFREG | 0o644,
                                                                module_bytes(path))
    names = "".join(path.name.split(".ko")[0] + "\n" for path in order)
    files["/modules/order"] = (stat.S_IFREG | 0o644, names.encode())
    for directory in ("/dev", "/proc", "/sys", "/mnt", "/tmp"):
        files[directory] = (stat.S_IFDIR | 0o755, b"")

    return cached_file(f"initramfs-{name}", f"-{digest_of(files)}.cpio",
                       lambda path: path.write_bytes(cpio_archive(files)))


def digest_of(files):
    """A name for {path: (mode, bytes)}."""
    digest = hashlib.sha256()
    for path, (mode, data) in sorted(files.items()):
        digest.update(f"{path} {mode:o} {len(data)}\n".encode() + data)
    return digest.hexdigest()[:16]


def cached_file(stem, suffix, make):
    """Path of the file STEM + SUFFIX in the cache, where the suffix is "-DIGEST.something". If it
    is not there yet, make(path) writes it to another path, and those with other digests go."""
    path = cache_directory() / f"{stem}{suffix}"
    with cache_locked():
        if not path.exists():
            scratch = path.with_name(f"{path.name}.{os.getpid()}")
            make(scratch)
            for old in cache_directory().glob(f"{stem}-{'?' * 16}.*"):
                if old != scratch:
                    old.unlink(missing_ok=True)
            scratch.rename(path)
    return path


def libraries_or_none(program):
    """Like libraries(), but a static program, of which ldd complains, has none."""
    try:
        return libraries(program)
    except subprocess.CalledProcessError:
        return []
