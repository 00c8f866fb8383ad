# SPDX-License-Identifier: BSD-3-Clause
"""What the gates of instruction counts share: counting with callgrind, limits, options.

A figure is the difference between two run lengths, divided by the items between them, so that
start-up cancels; it repeats exactly, whatever else the machine does. Limits belong to a release
build by gcc.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77  # what tests call a test the machine cannot do
SLACK_PERCENT = 2.0


def count(command, functions):
    """Instructions that command spends in functions."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               *(f"--toggle-collect={function}" for function in functions), *command]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not found or not int(found[1]):
        sys.exit(f"{' '.join(command)} failed:\n{run.stderr}")
    return int(found[1])


def per_item(command_of, functions, short, long):
    """Instructions for each of the items between two run lengths; command_of(items) runs them."""
    spent = count(command_of(long), functions) - count(command_of(short), functions)
    return round(spent / (long - short), 2)


class Gate:
    """name: of the script; its limits stand in NAME.limits. item: what instructions are counted of.
    program: what does it, in the build directory's bench/. columns: of the keys, which are tuples
    of words. figure(program, key) counts."""

    def __init__(self, name, item, program, columns, keys, figure):
        self.name, self.item, self.program, self.columns = name, item, program, columns
        self.keys, self.figure = list(keys), figure
        self.limits_file = os.path.join(HERE, f"{name}.limits")

    def read_limits(self):
        limits = {}
        with open(self.limits_file, encoding="ascii") as lines:
            for line in lines:
                if line.strip() and not line.startswith("#"):
                    *key, value = line.split()
                    limits[tuple(key)] = float(value)
        return limits

    def row(self, words):
        return "".join(f"{word:<11} " for word in words)

    def write_limits(self, figures):
        with open(self.limits_file, "w", encoding="ascii") as out:
            out.write("# SPDX-License-Identifier: BSD-3-Clause\n"
                      f"# Instructions per {self.item}, release build by gcc:"
                      f" bench/{self.name} --update\n")
            out.write(f"# {self.row(self.columns)}instructions\n")
            for key, value in figures.items():
                out.write(f"  {self.row(key)}{value}\n")

    def parse_args(self, doc):
        parser = argparse.ArgumentParser(description=doc.split("\n\n", maxsplit=1)[0])
        parser.add_argument("--build", default=os.path.join(HERE, "..", "build"),
                            help="build directory (default: build)")
        parser.add_argument("--check", action="store_true",
                            help=f"exit 1 when a figure is over its limit by {SLACK_PERCENT:g} %%")
        parser.add_argument("--update", action="store_true", help="make these figures the limits")
        parser.add_argument("--json", metavar="FILE", help="write the figures as JSON too")
        return parser.parse_args()

    def show(self, figures, limits):
        """Return: how many are over."""
        over = 0
        print(f"instructions per {self.item}")
        for key, value in figures.items():
            line = f"  {self.row(key)}{value:8.2f}"
            if limits is not None:
                limit = limits.get(key)
                bad = limit is None or value > limit * (1 + SLACK_PERCENT / 100)
                over += bad
                line += f"  limit {limit}  {'OVER' if bad else 'ok'}"
            print(line)
        return over

    def main(self, doc):
        """Return: exit status."""
        args = self.parse_args(doc)
        program = os.path.join(args.build, "bench", self.program)
        if not shutil.which("valgrind"):
            print(f"{self.name}: skipped: valgrind is not installed")
            return SKIPPED
        if not os.access(program, os.X_OK):
            sys.exit(f"{self.name}: {program} is not built")
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            found = pool.map(lambda key: self.figure(program, key), self.keys)
            figures = dict(zip(self.keys, found))
        over = self.show(figures, self.read_limits() if args.check else None)
        if args.json:
            with open(args.json, "w", encoding="ascii") as out:
                json.dump([{**dict(zip(self.columns, key)), "instructions": value}
                           for key, value in figures.items()], out, indent=2)
        if args.update:
            self.write_limits(figures)
        if over:
            print(f"{self.name}: {over} over the limit: find the cause, or --update with a reason")
        return 1 if over else 0
