# SPDX-License-Identifier: BSD-3-Clause
"""The second half of ./demo: asks `ringside-vmm doctor` whether a stock kernel boots here, and runs
nested/demo_guest.py here or, where it does not, in an emulated machine where it does."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "nested"))

import l1
import blk_backend
import guest
import kit
import stock_kernel
from progress import TERMINAL, Progress, on_terminal

INNER = HERE / "nested" / "demo_guest.py"
LIMIT_SECONDS = 240


def diagnosis():
    """What the doctor says: (does a stock kernel boot here?, why or why not)."""
    run = subprocess.run([blk_backend.build_directory() / "vmm" / "ringside-vmm", "doctor", "--json"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    try:
        answer = json.loads(run.stdout)
        rows = {row["check"]: row for row in answer["checks"]}
    except (ValueError, KeyError) as problem:
        raise stock_kernel.Unavailable(f"ringside-vmm doctor: {run.stderr or problem}") from problem
    row = rows.get("stock kernels", {"status": "failure", "detail": ""})
    if not answer["can_run"]:
        row = next(row for row in answer["checks"] if row["status"] == "failure")
    return row["status"] == "ok", f"{row['check']} {row['detail']}"


def here(parts):
    os.environ[kit.VARIABLE] = parts.value()
    return subprocess.run([sys.executable, "-B", INNER], check=False).returncode


def nested(progress, parts):
    def show(text):
        sys.stdout.write(text)
        sys.stdout.flush()

    progress.step("boot an emulated machine that has a KVM for them (QEMU)")
    with l1.Session() as session:
        progress.end()
        terminal = f"{TERMINAL}=1 " if on_terminal() else ""
        done = session.run(f"{terminal}{parts.variable()} PYTHONUNBUFFERED=1 "
                           f"RINGSIDE_SCRATCH=/run RINGSIDE_BUILD={blk_backend.build_directory()} "
                           f"python3 -B {INNER}", LIMIT_SECONDS, show)
    if done.status is None:
        print(f"\n  demo: not done after {LIMIT_SECONDS} s", file=sys.stderr)
    return 1 if done.status is None else done.status


def run():
    progress = Progress()
    direct, why = diagnosis()
    print(f"  doctor: {why}")
    print("  so the guest runs directly on this machine's KVM" if direct else
          "  so the guest runs in an emulated machine, where all is some 50 times slower")
    progress.step("fetch a stock Debian kernel, make an initramfs (kept)")
    parts = kit.prepare(("amd64",))
    if not direct:
        return nested(progress, parts)
    progress.end()
    return here(parts)


def main():
    guest.exit_on_signals()
    try:
        return run()
    except (stock_kernel.Unavailable, blk_backend.DaemonFailed, l1.Hung, OSError,
            subprocess.SubprocessError) as reason:
        print(f"\n\n  demo: {reason}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\n\n  stopped", file=sys.stderr)
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())
