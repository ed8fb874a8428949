"""yggdrasil-engine at what `scripts/bench libs flags` measures: the engine inside Unleash's clients, called from Python.

Prints rows of the same table. Processor time, the median of the rounds. The engine is native code; what its Python
package adds (a dictionary a question) is part of what its users pay, and is said by the row of an unknown flag.
"""

import json
import time

from yggdrasil_engine.engine import UnleashEngine

PEOPLE = [{"userId": f"user:{n}", "properties": {"country": "US" if n % 2 == 0 else "DE"}} for n in range(1024)]
ROUNDS = 7


def rollout(*constraints):
    return {
        "name": "flexibleRollout", "constraints": list(constraints),
        "parameters": {"rollout": "25", "stickiness": "default", "groupId": "gradual"}}


STATE = {
    "version": 2,
    "features": [
        {"name": "everybody", "enabled": True, "strategies": [{"name": "default"}]},
        {"name": "gradual", "enabled": True, "strategies": [rollout()]},
        {"name": "constrained", "enabled": True, "strategies": [
            rollout({"contextName": "country", "operator": "IN", "values": ["US", "FR", "GB", "JP"]})]},
    ],
}


def cost(operation, count):
    """Nanoseconds of processor time an operation."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        operation()
        times.append((time.process_time_ns() - began) / count)
    return sorted(times)[ROUNDS // 2]


def main():
    engine = UnleashEngine()
    engine.take_state(json.dumps(STATE))
    for title, name in [
        ("unknown flag: the way there and back", "nobody"), ("on for everybody", "everybody"),
        ("25 % of users", "gradual"), ("country in a list, and 25 %", "constrained"),
    ]:

        def questions(name=name):
            for person in PEOPLE:
                engine.check_enabled(name, person)

        print(f"yggdrasil  {title:<38}  {cost(questions, len(PEOPLE)):>12.0f} ns/op")


main()
