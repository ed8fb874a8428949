"""Runs rounds of fuzzing, one door after another, until the time is over, and keeps what it finds.

A round is made from its seed alone: `--seed N --door NAME --rounds 1` shows the same again, as far as the machine's own
timing allows.
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import doors
from process import Finding
from mutate import Source


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("default_program")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rounds", type=int, help="so many rounds instead")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others count up from it")
    parser.add_argument("--door", choices=sorted(doors.ALL), action="append", help="only this one (all)")
    parser.add_argument("--program", help="another build of the program")
    parser.add_argument("--keep", type=int, default=20, help="findings after which it stops")
    return parser.parse_args()


def keep(directory, door, seed, finding):
    """Writes down what a round has found, and says so."""
    place = directory / f"{door}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "input").write_bytes(finding.input)
    (place / "report").write_text(f"{finding.kind}: {finding.text}\n{finding.log}\n", errors="replace")
    print(f"FOUND {finding.kind} by {door}, seed {seed}: {finding.text}")
    print(f"      again: scripts/fuzz --door {door} --seed {seed} --rounds 1; input: {place}/input", flush=True)


def main():
    options = arguments()
    program = os.path.abspath(options.program or options.default_program)
    names = options.door or sorted(doors.ALL)
    directory = options.root / ".build" / "fuzz"
    source = Source(options.root, program)
    end = time.monotonic() + 60 * options.minutes
    counts = dict.fromkeys(names, 0)
    found = 0
    seed = options.seed
    while found < options.keep:
        done = seed - options.seed
        if done >= options.rounds if options.rounds else time.monotonic() > end:
            break
        name = names[done % len(names)]
        with tempfile.TemporaryDirectory(prefix="sdlab-fuzz-") as scratch:
            try:
                doors.ALL[name](program, source, seed, pathlib.Path(scratch))
            except Finding as finding:
                found += 1
                keep(directory, name, seed, finding)
        counts[name] += 1
        seed += 1
    rounds = ", ".join(f"{name} {count}" for name, count in counts.items())
    print(f"{sum(counts.values())} rounds ({rounds}), {found} found; the next seed is {seed}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
