# SPDX-License-Identifier: BSD-3-Clause
"""Instructions that a back-end spends on a frame, by callgrind, with a guest that runs beside it at
full speed: so every burst is full, and between two dumps there is nothing but frames. Where another
program takes the guest's CPU that is not so."""

import glob
import os
import re
import statistics
import time

from common import Failed, run

WARM_SECONDS = 2
COUNT_SECONDS = 4
INTERVALS = 3
DUMP_SECONDS = 20


def _dump(pid, scratch, seen):
    """Instructions since the last dump, of all threads. The file is there some time after the
    command, and has its sum at the end."""
    run(["callgrind_control", "-d", str(pid)], 60)
    deadline = time.monotonic() + DUMP_SECONDS
    while time.monotonic() < deadline:
        for path in set(glob.glob(os.path.join(scratch, "callgrind.out.*"))) - seen:
            with open(path, encoding="utf-8") as file:
                found = re.search(r"^totals: (\d+)", file.read(), re.MULTILINE)
            if found:
                seen.add(path)
                return int(found[1])
        time.sleep(0.02)
    raise Failed("callgrind writes no dump")


def _interval(rig, backend, guest, to_host, seen):
    before = guest.counts()
    time.sleep(COUNT_SECONDS)
    spent = _dump(backend.pid, rig.scratch, seen)
    frames = guest.counts()[to_host] - before[to_host]
    if not frames:
        raise Failed("no frame moves under valgrind")
    return spent / frames


def per_frame(rig, subject, driver, frame_bytes, to_host):
    """ringside-net polls here, as testpmd does: valgrind does not know how it sleeps."""
    device = f"net_null0,size={frame_bytes}" + ",no-rx=1" * to_host
    out = os.path.join(rig.scratch, "callgrind.out")
    wrapper = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "-q"]
    options = ["--no-sandbox", "--busy-poll"] if subject.startswith("ringside") else []
    with rig.backend(subject, device=device, options=options, wrapper=wrapper) as backend, \
            rig.guests(driver, "txonly" if to_host else "rxonly", frame_bytes) as (guest, _):
        guest.say("start")
        time.sleep(WARM_SECONDS)
        seen = set()
        _dump(backend.pid, rig.scratch, seen)
        return statistics.median(_interval(rig, backend, guest, to_host, seen)
                                 for _ in range(INTERVALS))
