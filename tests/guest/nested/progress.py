# SPDX-License-Identifier: BSD-3-Clause
"""What ./demo is at: one line per step, with the time that it took."""

import os
import sys
import threading
import time

TERMINAL = "RINGSIDE_DEMO_TERMINAL"  # set where a terminal is at the end of a pipe


def on_terminal():
    return sys.stdout.isatty() or TERMINAL in os.environ


class Progress:
    """The next step ends the one before. On a terminal a long step counts its seconds."""

    def __init__(self):
        self.text = None
        self.begin = 0
        self.counter = None
        self.over = threading.Event()

    def step(self, text):
        self.end()
        self.text = text
        self.begin = time.monotonic()
        print(f"  {text:<58}", end="", flush=True)
        if on_terminal():
            self.over.clear()
            self.counter = threading.Thread(target=self._count, daemon=True)
            self.counter.start()

    def _count(self):
        while not self.over.wait(1):
            print(f"\r  {self.text:<58}{time.monotonic() - self.begin:.0f} s", end="", flush=True)

    def end(self):
        if self.text is None:
            return
        if self.counter:
            self.over.set()
            self.counter.join()
            self.counter = None
            print(f"\r  {self.text:<58}", end="")
        print(f"{time.monotonic() - self.begin:.1f} s", flush=True)
        self.text = None
