# SPDX-License-Identifier: BSD-3-Clause
"""Test Anything Protocol on stdout: results as they come, the plan "1..N" at the end."""


class Tap:
    def __init__(self):
        self.number = 0
        self.failed = 0

    def result(self, name, passed, detail=""):
        self.number += 1
        self.failed += not passed
        print(f"{'ok' if passed else 'not ok'} {self.number} - {name}", flush=True)
        if detail and not passed:
            self.note(detail)

    def skip(self, name, reason):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)

    def note(self, text):
        for line in str(text).splitlines():
            print(f"# {line}", flush=True)

    def end(self):
        """Prints the plan. Return: the exit status of the test program."""
        print(f"1..{self.number}", flush=True)
        return 1 if self.failed else 0
