"""uhashring at what `scripts/bench libs ring` measures: ten nodes, the keys user:0 to user:4095.

Prints rows of the same table. Processor time, the median of the rounds.
"""

import time

from uhashring import HashRing

KEYS = [f"user:{number}" for number in range(4096)]
NODES = [f"node-{number}" for number in range(10)]
ROUNDS = 7


def cost(operation, count):
    """Nanoseconds of processor time an operation."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        operation()
        times.append((time.process_time_ns() - began) / count)
    return sorted(times)[ROUNDS // 2]


def row(name, nanoseconds):
    print(f"uhashring  {name:<34}  {nanoseconds:>12.0f} ns/op")


def main():
    for name, ring in [
        ("ring lookup, md5 of the key", HashRing(NODES, vnodes=150)),
        ("ring lookup, ketama", HashRing(NODES, hash_fn="ketama")),
    ]:

        def lookups(ring=ring):
            for key in KEYS:
                ring.get_node(key)

        row(name, cost(lookups, len(KEYS)))
    row("ring build, 10 × 150", cost(lambda: HashRing(NODES, vnodes=150), 1))


main()
