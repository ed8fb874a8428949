"""What a request costs, beside the best known programs for the same job.

All sides run at the same time and are asked by the same client in turn (A B C A B C ...), so that a slow minute of the
machine hits all of them; the result is the median of the rounds' ratios. Processor time is user and kernel time of all
the processes of a side, from /proc. Absolute times are only good for comparisons within one run.

The web server and the balancer with small answers stand beside bare C as well (c/main.c says what it does and leaves
out): about the least that a server on this machine's loopback costs.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

from servers import DEADLINE_SECONDS, FLOOR_NAME, Failure, Farm, die_with_parent, executable, version

# What is measured: the balancer's mode, what is asked for, over how many connections, and whether beside bare C, too.
KINDS = {
    "http": {"title": "a web server", "mode": None, "path": "/", "connections": 64, "floor": True},
    "lb": {"title": "HTTP, small answers", "mode": "http", "path": "/", "connections": 64, "floor": True},
    "lb-1m": {"title": "HTTP, answers of 1 MiB", "mode": "http", "path": "/1m", "connections": 8},
    "tcp": {"title": "TCP, small answers", "mode": "tcp", "path": "/", "connections": 64, "floor": True},
    "tcp-1m": {"title": "TCP, answers of 1 MiB", "mode": "tcp", "path": "/1m", "connections": 8},
    "limiter": {"title": "a rate limiter that admits", "mode": "limiter", "path": "/", "connections": 32},
    "limiter-refuse": {
        "title": "a rate limiter that refuses", "mode": "limiter", "path": "/", "connections": 32, "refuses": True},
    "limiter-proxy": {"title": "a rate limiter before a server", "mode": "limiter", "path": "/", "connections": 32},
    "gateway": {"title": "an API gateway", "mode": "gateway", "path": "/", "connections": 64},
    "gateway-jwt": {
        "title": "an API gateway that checks tokens (RS256) and keeps them", "mode": "gateway", "path": "/",
        "connections": 64, "token": "RS256"},
    "gateway-rs256": {
        "title": "an API gateway that checks a signature (RS256) each time", "mode": "gateway", "path": "/",
        "connections": 64, "token": "RS256", "uncached": True},
    "gateway-es256": {
        "title": "an API gateway that checks a signature (ES256) each time", "mode": "gateway", "path": "/",
        "connections": 64, "token": "ES256", "uncached": True},
    "idle": {"title": "HTTP, idle connections", "mode": "http", "path": "/", "connections": 9_000},
}

# What our processor time may be at most, in that of bare C, at so many connections.
FLOOR_GOALS = {64: 1.1, 1000: 1.3}
# HAProxy has descriptors for so many in TCP mode.
CONNECTION_LIMIT = 4000


def bodies(*letters):
    return {f"Response from {letter}\n".encode() for letter in letters}


def start_sides(kind, farm):
    """The programs to compare, ours first, and what each must answer."""
    if kind["mode"] is None:
        return [farm.backend(), farm.nginx_origin("A"), farm.floor([], kind["mode"])], bodies("A")
    if kind["mode"] == "limiter":
        return start_limiters(kind, farm)
    if kind["mode"] == "gateway":
        return start_gateways(kind, farm)
    origins = [farm.nginx_origin(letter, f"origin {letter}") for letter in "AB"]
    for letter, origin in zip("AB", origins):
        origin.wait_until_ready(bodies(letter))
    makers = [farm.balancer, farm.haproxy, farm.nginx_balancer] + ([farm.floor] if kind.get("floor") else [])
    return [make(origins, kind["mode"]) for make in makers], bodies("A", "B")


def start_limiters(kind, farm):
    """Our rate limiter and nginx's limit_req, with the same limit."""
    origin = None
    if kind is KINDS["limiter-proxy"]:
        origin = farm.nginx_origin("A", "origin A")
        origin.wait_until_ready(bodies("A"))
    refuses = kind.get("refuses", False)
    sides = [farm.limiter(refuses, origin), farm.nginx_limiter(refuses, origin)]
    return sides, bodies("A") if origin else {b""}


def start_gateways(kind, farm):
    """Our gateway and HAProxy, with the same route, the same server behind, and the same key."""
    origin = farm.nginx_origin("A", "origin A")
    origin.wait_until_ready(bodies("A"))
    token = farm.make_token(kind["token"]) if "token" in kind else None
    kind["fields"] = [f"Authorization: Bearer {token}"] if token else []
    sides = [farm.gateway(origin, token, kind.get("uncached")), farm.haproxy_gateway(origin, kind.get("token"))]
    for side in sides:
        side.fields = {"Authorization": f"Bearer {token}"} if token else {}
    return sides, bodies("A")


def measure_requests(server, kind, seconds, expected):
    """One run of the client: CPU seconds per 100,000 requests, all and in user mode; requests a second."""
    refuses = kind.get("refuses", False)
    server.verify(expected, refuses)
    before = server.cpu_seconds()
    client = subprocess.run(
        [executable("wrk"), "-t1", f"-c{kind['connections']}", f"-d{seconds}s",
         *(word for field in kind.get("fields", []) for word in ("-H", field)),
         f"http://127.0.0.1:{server.port}{kind['path']}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        timeout=seconds + DEADLINE_SECONDS, preexec_fn=die_with_parent)
    user, system = (after - start for after, start in zip(server.cpu_seconds(), before))
    server.verify(expected, refuses)
    requests = re.search(r"(\d+) requests in ", client.stdout)
    if client.returncode != 0 or not requests or int(requests[1]) == 0:
        raise Failure(f"wrk on {server.name} failed:\n{client.stdout}")
    others = re.search(r"Non-2xx or 3xx responses: (\d+)", client.stdout)
    if refuses and others and int(others[1]) > 0.999 * int(requests[1]):
        client.stdout = client.stdout.replace(others[0], "")
    if trouble := re.search(r"(Socket errors|Non-2xx).*", client.stdout):
        raise Failure(f"{server.name} is not measured by wrong answers: {trouble[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", client.stdout)
    scale = 100_000 / int(requests[1])
    return {"cost": (user + system) * scale, "user": user * scale, "rate": float(rate[1])}


def measure_idle(server, kind, seconds, expected):
    """Memory for each of many connections that have asked once and stay open: bytes of resident memory."""
    del seconds
    server.verify(expected)
    before = server.memory_bytes()
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    connections = []
    try:
        for _ in range(kind["connections"]):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_SECONDS)
            connections.append(connection)
            connection.sendall(request)
            if b"200 OK" not in connection.recv(4096):
                raise Failure(f"{server.name} did not answer on connection {len(connections)}")
        grown = server.memory_bytes() - before
    finally:
        for connection in connections:
            connection.close()
    server.verify(expected)
    return {"cost": grown / kind["connections"]}


def run(arguments, farm):
    kind = KINDS[arguments.what]
    if arguments.connections:
        kind["connections"] = arguments.connections
    sides, expected = start_sides(kind, farm)
    measure = measure_idle if arguments.what == "idle" else measure_requests
    for side in sides:
        side.wait_until_ready(expected, kind.get("refuses", False))
        if measure is measure_requests:
            measure(side, kind, 1, expected)
    # Memory that was taken once stays; a second round would measure nothing.
    rounds = 1 if arguments.what == "idle" else arguments.pairs
    runs = []
    for number in range(rounds):
        runs.append([measure(side, kind, arguments.seconds, expected) for side in sides])
        ratios = " ".join(f"{runs[-1][0]['cost'] / peer['cost']:.3f}" for peer in runs[-1][1:])
        print(f"round {number + 1} of {rounds}: {ratios}", file=sys.stderr, flush=True)
    peers = [side.name for side in sides[1:]]
    return {
        "bench": arguments.what,
        "title": kind["title"],
        "connections": kind["connections"],
        "unit": "bytes a connection" if arguments.what == "idle" else "CPU s per 100 k requests",
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": machine(),
        "sides": ["sdlab", *peers],
        "versions": {"sdlab": version([arguments.program, "--version"]), **{p: peer_version(p) for p in peers}},
        "seconds": arguments.seconds,
        "runs": runs,
        "ratios": {peer: ratios_beside(runs, index) for index, peer in enumerate(peers, 1)},
        "goals": {str(count): goal for count, goal in FLOOR_GOALS.items()} if kind.get("floor") else {},
    }


def ratios_beside(runs, index):
    values = [round_[0]["cost"] / round_[index]["cost"] for round_ in runs]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def peer_version(name):
    return version([executable("cc"), "--version"] if name == FLOOR_NAME else [executable(name), "-v"])


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{os.cpu_count()} x {model[1] if model else platform.machine()}, Linux {platform.release()}"


def report(result):
    sides = result["sides"]
    lines = [
        f"{result['bench']}: {result['title']}; {len(result['runs'])} rounds, {result['connections']} connections",
        f"{result['date']}; {result['machine']}",
        *(f"{name}: {text}" for name, text in result["versions"].items()),
        "",
        f"{result['unit']}" + (" (of that, user; requests/s)" if "rate" in result["runs"][0][0] else ""),
        f"{'round':>5}" + "".join(f"  {name:>24}" for name in sides),
    ]
    for number, sides_of_round in enumerate(result["runs"], 1):
        lines.append(f"{number:>5}" + "".join(f"  {cell(side):>24}" for side in sides_of_round))
    for peer, ratio in result["ratios"].items():
        spread = f" (median; {ratio['min']:.3f} to {ratio['max']:.3f})" if len(result["runs"]) > 1 else ""
        lines.append(f"{ratio['median']:.3f} x {peer}{spread}")
    if result["goals"]:
        lines.append(goal_line(result))
    return "\n".join(lines)


def goal_line(result):
    goals = ", ".join(f"{goal} at {int(count):,} connections" for count, goal in result["goals"].items())
    goal, ratio = result["goals"].get(str(result["connections"])), result["ratios"][FLOOR_NAME]["median"]
    outcome = "no goal at this number" if goal is None else "reached" if ratio <= goal else "missed"
    return f"goal, x {FLOOR_NAME} at most: {goals}; here {ratio:.3f} at {result['connections']:,}: {outcome}"


def cell(side):
    if "rate" not in side:
        return f"{side['cost']:.0f}"
    return f"{side['cost']:.3f} ({side['user']:.3f}; {side['rate']:.0f})"


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def connections(text):
    value = positive(text)
    if value > CONNECTION_LIMIT:
        raise argparse.ArgumentTypeError(f"must be {CONNECTION_LIMIT} or less")
    return value


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("program", help=argparse.SUPPRESS)
    parser.add_argument("floor", help=argparse.SUPPRESS)
    parser.add_argument("what", choices=list(KINDS))
    parser.add_argument("--pairs", type=positive, default=5, help="rounds (5)")
    parser.add_argument("--seconds", type=positive, default=5, help="of each measurement (5)")
    parser.add_argument("--connections", type=connections, help=f"of http, lb and tcp, to {CONNECTION_LIMIT} (64)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if arguments.connections and not KINDS[arguments.what].get("floor"):
        parser.error(f"--connections is for http, lb and tcp; {arguments.what} has a number of its own")

    def stop(number, _):
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as directory:
        farm = Farm(arguments.program, arguments.floor, pathlib.Path(directory))
        try:
            result = run(arguments, farm)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            farm.stop()
    text = json.dumps(result, indent=2) if arguments.json else report(result)
    print(text)
    results = pathlib.Path(__file__).resolve().parents[2] / "bench-results"
    results.mkdir(exist_ok=True)
    name = f"{result['date'][:19].replace(':', '')}-{arguments.what}"
    (results / f"{name}.{'json' if arguments.json else 'txt'}").write_text(text + "\n")


main()
