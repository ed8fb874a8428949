"""What a log line costs: from the first byte over TCP to searchable, with log, packing and index; how small lines become;
what a search reads, beside ripgrep over the same lines in one file, and beside tantivy; and what the agent costs, beside
rsyslogd with the same file."""

import datetime
import http.client
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from servers import DEADLINE_SECONDS, Failure, Farm, executable, free_port, occasion, options, publish

NEEDLE = "0123456789abcdefneedle0123456789"
TEXTS = ["Connection refused by upstream", "Timeout exceeded while waiting for reply", "order accepted",
         "user logged in", "cache miss, asking the database", "payment authorized", "retrying in 250 ms"]


def write_lines(path, megabytes):
    """JSON as services write it; one line in the middle has the needle."""
    chance = random.Random(7)
    now = time.time_ns() - 3600 * 10**9
    size, count, limit = 0, 0, megabytes << 20
    with open(path, "w", encoding="utf-8") as file:
        while size < limit:
            trace = NEEDLE if count == 100_000 else f"{chance.getrandbits(64):016x}"
            stamp = datetime.datetime.fromtimestamp((now + count * 10**6) / 10**9, datetime.timezone.utc)
            line = json.dumps({
                "timestamp": stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "level": chance.choices(["info", "warn", "error"], [90, 7, 3])[0],
                "service": chance.choice(["payment", "user-api", "order-svc", "gateway"]),
                "msg": chance.choice(TEXTS), "status": chance.choice([200, 200, 200, 404, 500]),
                "duration_ms": chance.randrange(1000), "path": f"/api/v1/items/{chance.randrange(500)}",
                "trace_id": trace}) + "\n"
            file.write(line)
            size += len(line)
            count += 1
    return size, count


def ask(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def metric(port, name):
    for line in ask(port, "/metrics")[1].splitlines():
        if line.startswith((name + " ", name + "{")):
            return int(float(line.split()[-1]))
    return 0


def received(port):
    return metric(port, "log_lines_received_total")


def search(connection, query):
    """Seconds, and what the query says it has read. The connection is kept, as clients keep it."""
    parameters = urllib.parse.urlencode({"query": query, "start": time.time_ns() - 86400 * 10**9, "limit": 10})
    began = time.monotonic()
    connection.request("GET", f"/loki/api/v1/query_range?{parameters}")
    response = connection.getresponse()
    body = response.read()
    passed = time.monotonic() - began
    if response.status != 200:
        raise Failure(f"the search answered {response.status}: {body[:200]}")
    return passed, json.loads(body)["data"].get("stats", {})


def bytes_read(stats):
    """Of files, and of lines that are in memory only."""
    index, summary = stats["index"], stats["summary"]
    memory = summary["totalBytesProcessed"] if index["chunksInMemory"] else 0
    return index["storedBytesRead"] + index["indexBytesRead"] + memory


def ripgrep(path, needle):
    began = time.monotonic()
    subprocess.run([executable("rg"), "-c", needle, path], stdout=subprocess.DEVNULL, check=False)
    return time.monotonic() - began


def beside_tantivy(raw, size, directory):
    """The same lines in an index of tantivy's, with one thread."""
    try:
        import tantivy
    except ImportError:
        return ["tantivy: not there; scripts/setup test installs it"]
    schema = tantivy.SchemaBuilder().add_text_field("line", stored=True).build()
    place = directory / "tantivy"
    place.mkdir()
    index = tantivy.Index(schema, path=str(place))
    before = time.process_time()
    writer = index.writer(heap_size=256 << 20, num_threads=1)
    with open(raw, encoding="utf-8") as file:
        for line in file:
            writer.add_document(tantivy.Document(line=line))
    writer.commit()
    writer.wait_merging_threads()
    used = time.process_time() - before
    index.reload()
    searcher = index.searcher()
    times = []
    for _ in range(21):
        began = time.monotonic()
        found = searcher.search(index.parse_query(NEEDLE, ["line"]), 10)
        for _, address in found.hits:
            searcher.doc(address)
        times.append(time.monotonic() - began)
    stored = sum(file.stat().st_size for file in place.iterdir())
    return [f"tantivy: ingest {size / used / 1e6:.1f} MB a second of processor time (Python's share included); "
            f"{size / stored:.1f} to 1; rare term {sorted(times)[10] * 1e3:.2f} ms, in its own process"]


def beside_rsyslog(farm, raw, size, count, directory):
    """Processor time of the two agents for the same file."""
    # Unpacked by scripts/setup, with its libraries and modules.
    unpacked = pathlib.Path(__file__).parents[2] / ".build/unpacked"
    daemon, libraries = unpacked / "usr/sbin/rsyslogd", unpacked / "usr/lib/x86_64-linux-gnu"
    if not daemon.exists():
        return ["agent: rsyslogd is not there; scripts/setup bench unpacks it"]
    os.environ.update(LD_LIBRARY_PATH=str(libraries), RSYSLOG_MODDIR=str(libraries / "rsyslog"))
    costs = {}
    for name in ["agent", "rsyslogd"]:
        port, web = free_port(), free_port()
        place = directory / name
        place.mkdir()
        farm.start(f"collector of {name}", [
            farm.program, "log-collector", "--storage", str(place / "logs"), "--port", str(port), "--http-port", str(web),
            "--no-limits"], port)
        wait_for(web)
        if name == "agent":
            command = [farm.program, "log-agent", "--collector", f"127.0.0.1:{port}", "--path", str(raw), "--from-start",
                       "--state", str(place / "state")]
        else:
            (place / "rsyslog.conf").write_text(f"""
global(workDirectory="{place}" maxMessageSize="64k")
module(load="imfile")
input(type="imfile" File="{raw}" Tag="raw" freshStartTail="off")
action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"
  template="RSYSLOG_SyslogProtocol23Format")
""")
            command = [str(daemon), "-n", "-f", str(place / "rsyslog.conf"), "-i", str(place / "pid")]
        sender = farm.start(name, command, port)
        began = time.monotonic()
        while received(web) < count:
            if time.monotonic() - began > 300:
                raise Failure(f"{name}: only {received(web)} of {count} lines have come")
            time.sleep(0.2)
        time.sleep(1)
        costs[name] = sum(sender.cpu_seconds())
        sender.stop()
    return [f"agent: {costs['agent'] / count * 1e6:.2f} us a line, rsyslogd {costs['rsyslogd'] / count * 1e6:.2f} us: "
            f"{costs['agent'] / costs['rsyslogd']:.2f} of it"]


def wait_for(web):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            return ask(web, "/ready")
        except OSError:
            if time.monotonic() > deadline:
                raise Failure("the collector does not answer")
            time.sleep(0.05)


def main():
    parser = options("logs")
    parser.add_argument("--megabytes", type=int, default=256, help="of lines (256)")
    arguments = parser.parse_args()
    lines = [f"logs: {arguments.megabytes} MB of JSON",
             occasion(), ""]
    with tempfile.TemporaryDirectory(prefix="sdlab-bench-") as name:
        directory = pathlib.Path(name)
        farm = Farm(arguments.program, None, directory)
        try:
            raw = directory / "raw.log"
            size, count = write_lines(raw, arguments.megabytes)
            port, web = free_port(), free_port()
            server = farm.start("sdlab", [
                farm.program, "log-collector", "--storage", str(directory / "logs"), "--port", str(port), "--http-port",
                str(web), "--no-limits"], port)
            wait_for(web)
            before, began = sum(server.cpu_seconds()), time.monotonic()
            with socket.create_connection(("127.0.0.1", port)) as connection, open(raw, "rb") as file:
                connection.sendfile(file)
            while received(web) < count:
                if time.monotonic() - began > 600:
                    raise Failure(f"only {received(web)} of {count} lines have come")
                time.sleep(0.1)
            time.sleep(2)
            used, passed = sum(server.cpu_seconds()) - before, time.monotonic() - began - 2
            # Of what is packed only: what is still in memory and in its log says nothing of how small it becomes.
            packed, stored = metric(web, "log_warm_bytes"), metric(web, "log_warm_stored_bytes")
            lines += [
                f"ingest: {size / used / 1e6:.1f} MB a second of processor time, {size / passed / 1e6:.1f} MB/s; "
                f"{count} lines, {used / count * 1e6:.2f} us each",
                f"stored: {packed} bytes of lines in {stored}, indices included: {packed / max(1, stored):.1f} to 1; "
                f"memory {server.memory_bytes() / 1e6:.0f} MB"]
            for title, query, needle in [("rare term", NEEDLE, NEEDLE), ("no match", '{level=~".+"} |= "no such thing"',
                                                                        "no such thing")]:
                connection = http.client.HTTPConnection("127.0.0.1", web, timeout=DEADLINE_SECONDS)
                times = [search(connection, query) for _ in range(21)]
                best = sorted(one for one, _ in times)[10]
                grep = sorted(ripgrep(raw, needle) for _ in range(5))[2]
                read = bytes_read(times[0][1])
                lines.append(f"{title}: {best * 1e3:.2f} ms; rg {grep * 1e3:.1f} ms, {grep / best:.0f} times; read {read} "
                             f"bytes, {100 * read / size:.2f} %; {json.dumps(times[0][1]['index'])}")
            lines += beside_tantivy(raw, size, directory)
            lines += beside_rsyslog(farm, raw, size, count, directory)
        except Failure as failure:
            sys.exit(f"scripts/bench: {failure}")
        finally:
            farm.stop()
    publish(lines, "logs")


main()
