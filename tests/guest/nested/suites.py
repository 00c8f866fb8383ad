# SPDX-License-Identifier: BSD-3-Clause
"""In L1: suites.py NAME runs one suite of L2 guests and prints TAP.

The host starts one after the other (test_vmm_nested), so that one that hangs can be repeated.
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "interop"))

import blk_backend
import guest
import kit
import suite_balloon
import suite_blk
import suite_net
from blk_report import tap

SUITES = {test.__name__: test for test in (
    suite_blk.daily, suite_blk.packed, suite_blk.sockets, suite_blk.large, suite_blk.reference,
    suite_blk.matrix, suite_net.net, suite_net.net_reference, suite_net.ringside_net,
    suite_balloon.balloon, suite_balloon.balloon_large_pages, suite_balloon.balloon_matrix)}


def main():
    guest.exit_on_signals()
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        try:
            SUITES[sys.argv[1]](kit.received(), Path(directory))
        except blk_backend.DaemonFailed as reason:
            tap.result(f"{sys.argv[1]}: its programs start", False, reason)
    sys.exit(tap.end())


main()
