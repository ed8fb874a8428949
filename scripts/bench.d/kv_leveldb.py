"""What an operation costs in the key-value store's engine, beside LevelDB: the same loop over both, one after the other
(A B A B ...), 16-byte keys and 100-byte values, uncompressed, a memtable of 4 MiB, a block cache of 8 MiB, 10 bits of
Bloom filter a key. The result is the median of the rounds' ratios.

Both sides write a record to their log with one system call an operation, and read with checksums verified, but for the
rows that say otherwise: LevelDB does not verify by default, this store always does. LevelDB compacts on a thread of its
own: its processor time counts both. It reads through mmap, this store through pread.
"""

import argparse
import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

SIDES = ("sdlab", "leveldb")
STEPS = ["fillseq", "fillrandom", "overwrite", "compact", "readrandom", "readrandom-unverified", "readmissing",
         "readseq", "readseq-unverified", "fillsync-1", "fillsync-50"]


def run(side, root, directory, entries, synced):
    program = root / ".build" / ("release/kv-engine-loop" if side == "sdlab" else "kv-leveldb-loop")
    place = directory / side
    shutil.rmtree(place, ignore_errors=True)
    done = subprocess.run([program, place, str(entries), str(synced)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=3600)
    if done.returncode != 0:
        sys.exit(f"{program} failed:\n{done.stdout}{done.stderr}")
    steps = {}
    for line in done.stdout.splitlines():
        name, count, wall, cpu = line.split()
        steps[name] = {"count": int(count), "wall": int(wall), "cpu": int(cpu)}
    # Where this store verifies always, it stands beside LevelDB's quick way as well.
    for step in ("readrandom", "readseq"):
        steps.setdefault(step + "-unverified", steps[step])
    return steps


def table(rounds, entries):
    lines = [f"{'step':<22}{'sdlab':>12}{'LevelDB':>12}{'ratio':>9}{'sdlab':>12}{'LevelDB':>12}{'ratio':>9}",
             f"{'':<22}{'CPU us/op':>12}{'CPU us/op':>12}{'':>9}{'ops/s':>12}{'ops/s':>12}{'':>9}"]
    for step in STEPS:
        cpu = {side: [r[side][step]["cpu"] / r[side][step]["count"] / 1000 for r in rounds] for side in SIDES}
        rate = {side: [r[side][step]["count"] / r[side][step]["wall"] * 1e9 for r in rounds] for side in SIDES}
        cpu_ratio = statistics.median(a / b for a, b in zip(cpu["sdlab"], cpu["leveldb"]))
        rate_ratio = statistics.median(a / b for a, b in zip(rate["sdlab"], rate["leveldb"]))
        cells = [f"{statistics.median(cpu[side]):12.2f}" for side in SIDES] + [f"{cpu_ratio:9.2f}"]
        cells += [f"{statistics.median(rate[side]):12.0f}" for side in SIDES] + [f"{rate_ratio:9.2f}"]
        lines.append(f"{step:<22}" + "".join(cells))
    user = entries * 116 / 2**20
    for step in ("fillseq", "fillrandom", "overwrite"):
        written = {side: statistics.median(r[side][step + ".written-mb"]["count"] for r in rounds) for side in SIDES}
        total = user * 2 if step == "overwrite" else user
        lines.append(f"tables written, {step:<12}" + "".join(f"{written[side]:9.0f} MiB" for side in SIDES)
                     + f"  = {written['sdlab'] / total:.2f} and {written['leveldb'] / total:.2f} times what was put")
    disk = {side: statistics.median(r[side]["disk-mb"]["count"] for r in rounds) for side in SIDES}
    lines.append(f"on the disk, compacted       " + "".join(f"{disk[side]:8.0f} MiB" for side in SIDES))
    return "\n".join(lines)


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench kv", description="The engine beside LevelDB.")
    parser.add_argument("root", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=positive, default=3, help="rounds (3)")
    parser.add_argument("--entries", type=positive, default=1_000_000, help="keys (1000000)")
    parser.add_argument("--synced", type=positive, default=1000, help="writes of fillsync-1; ten times with 50 writers")
    arguments = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory(prefix="kv-bench-", dir=arguments.root / ".build") as directory:
        for number in range(arguments.pairs):
            order = SIDES if number % 2 == 0 else SIDES[::-1]
            rounds.append({side: run(side, arguments.root, pathlib.Path(directory), arguments.entries,
                                     arguments.synced) for side in order})
            print(f"round {number + 1} of {arguments.pairs} done", file=sys.stderr)
    head = (f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processors, "
            f"{arguments.entries} entries, {arguments.pairs} rounds; ratios below 1 (CPU) and above 1 (rate) are ours")
    text = head + "\n\n" + table(rounds, arguments.entries)
    print(text)
    results = arguments.root / "bench-results"
    results.mkdir(exist_ok=True)
    (results / "kv.txt").write_text(text + "\n")


if __name__ == "__main__":
    main()
