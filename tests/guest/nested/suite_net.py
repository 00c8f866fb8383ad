# SPDX-License-Identifier: BSD-3-Clause
"""In L1: a stock Debian guest with a network device of ringside-net, or of DPDK's testpmd."""

import contextlib
import re
import time
from pathlib import Path

import blk_backend
import guest
import l2
import net_daemon
import stock_kernel
from blk_backend import Daemon, Image
from blk_report import report_boot, report_daemon, tap

MAC = "52:54:00:12:34:56"
START_SECONDS = 60
PINGS = 40


@contextlib.contextmanager
def testpmd(directory, queues):
    """testpmd that answers ARP and ICMP echo. Yields its socket and, when it has ended, what it
    printed."""
    path, log_path = directory / "net.sock", directory / "testpmd.log"
    command = [stock_kernel.find_tool("dpdk-testpmd"), "--lcores", "0@0,1@0", "--no-pci",
               "--no-huge", "-m", "256", "--file-prefix=vhost",
               "--vdev", f"net_vhost0,iface={path},queues={queues}", "--", "--auto-start",
               "--forward-mode=icmpecho", f"--rxq={queues}", f"--txq={queues}",
               "--stats-period=1", "--total-num-mbufs=4096", "--no-mlockall"]
    with open(log_path, "wb") as log:
        process = guest.spawn(command, stdout=log, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    try:
        while not path.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise blk_backend.DaemonFailed(f"testpmd: {log_path.read_text()[-500:]}")
            time.sleep(0.1)
        yield path, log_path
    finally:
        guest.stop(process, 20)


def forwarded(log_path):
    """(received, sent) by testpmd in all, from its last words."""
    text = Path(log_path).read_text(encoding="utf-8", errors="replace")
    return tuple(int(re.findall(rf"{way}-packets: (\d+)", text)[-1]) for way in ("RX", "TX"))


def net_guest(kit, directory, name, vmm, queues, options):
    script = l2.script("net", expect_mac=MAC, expect_mtu=1500, expect_queues=queues,
                       expect_vectors=2 * queues)
    with testpmd(directory, queues) as (path, log_path):
        machine = l2.Machine(kit.kernels["amd64"], pvh=True, cpus=queues, options=options(path))
        outcome = l2.boot(machine, script, directory, vmm)
        report_boot(name, script, outcome)
    received, sent = forwarded(log_path)
    guest_sent, guest_received = (int(outcome.values.get(word, -1))
                                  for word in ("sent", "received"))
    tap.result(f"{name}: every frame arrived, both ways",
               received == guest_sent and sent == guest_received and sent >= PINGS,
               f"guest sent {guest_sent}, testpmd got {received}; "
               f"testpmd sent {sent}, guest got {guest_received}")


def net(kit, directory):
    for queues, packed in ((2, "off"), (1, "on")):
        name = f"net, {queues} queue pairs, {'packed' if packed == 'on' else 'split'}"
        net_guest(kit, directory, name, l2.ringside, queues, lambda path:
                  [f"--vhost-user-net=socket={path},mac={MAC},queues={queues},packed={packed}"])


def net_reference(kit, directory):
    net_guest(kit, directory, "net on QEMU", l2.qemu, 1, lambda path: [
        "-chardev", f"socket,id=net,path={path}", "-netdev", "vhost-user,id=net,chardev=net",
        "-device", f"virtio-net-pci,netdev=net,mac={MAC}"])


def report_queues(name, net):
    """Both pairs carried frames, both ways, and the control queue was ours."""
    queues = net.port("guest")["queues"]
    pairs = [queue["frames"] for queue in queues if queue["role"] != "control"]
    tap.result(f"{name}: both pairs were used", len(pairs) == 4 and all(pairs), pairs)
    tap.result(f"{name}: the daemon has the control queue",
               any(queue["role"] == "control" for queue in queues), queues)


def ringside_net(kit, directory):
    name = "ringside-net"
    if not net_daemon.program().exists():
        tap.skip(name, "it was not built")
        return
    tools = Image(kit.tools, read_only=True, serial="tools")
    script = l2.script("net-ringside", host=net_daemon.HOST, vlan=net_daemon.VLAN,
                       vlan_host=net_daemon.VLAN_HOST)
    with Daemon([tools], directory), \
            net_daemon.host_end(directory, guest_keys=",queues=2") as net:
        net_daemon.add_vlan(net.namespace)

        def progress(line):
            if line != "STEP restart":
                return None
            report_queues(name, net)
            net.restart()
            return "done"

        machine = l2.Machine(kit.kernels["amd64"], [tools], pvh=True, cpus=2, options=[
            f"--vhost-user-net=socket={net.socket()},mac={MAC},queues=2"])
        outcome = l2.boot(machine, script, directory, progress=progress)
        report_boot(name, script, outcome)
        rates = {word: rate for word, rate in outcome.values.items() if word.startswith("rate-")}
        tap.note(f"{name}, Kbit/s: {rates}")
        drops = net.unexpected_drops()
        tap.result(f"{name}: no frame is dropped for no reason", not drops, drops)
        report_daemon(name, net)
