"""Random input: what users type, send and write, and then some of it changed."""

import re

# Numbers at which arithmetic ends, and words that look like numbers.
EXTREMES = [
    "0", "1", "-1", "2", "10", "127", "128", "255", "256", "32767", "32768", "65535", "65536", "2147483647", "2147483648",
    "-2147483648", "4294967295", "4294967296", "9007199254740993", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "18446744073709551615", "18446744073709551616", "99999999999999999999999", "1e308", "1e309",
    "-0", "0.1", "NaN", "inf", "-inf", "0x7fffffffffffffff", "007", "+5", "1_000", "١٢", "1 ", "",
]
STRANGE = [
    "", " ", "\t", "\0", "\r", "\n", "\\", "'", '"', "`", "$", "${", "$(", "$((", "((", ")", "]]", "[[", "{", "}", "{1..9}", ";", "&", "&&",
    "|", "||", "<", ">", ">>", "<<", "<<<", "2>&1", "*", "?", "[", "[!", "~", "#", "%", "=", ":", "/", "//", "/../", ".", "..", "é", "漢", "🙂",
    "\u202e", "\ufeff", "\u0301", "e\u0301" * 20, "a" * 300, "A" * 5000, "%s%n", "%00", "\x1b[2J", "\x7f", "\x80", "--", "-", "--json",
]
UNITS = ["ns", "us", "ms", "s", "m", "h", "d", "k", "KiB", "MiB", "GiB", "%", ""]
# These reach the machine around the lab; a fuzzer has no business there.
FORBIDDEN = re.compile(r"!|\b(get|put|record|run|export|ca)\b")


class Source:
    """Lines that mean something, from the project's own transcripts."""

    def __init__(self, root, program):
        self.program = program
        self.lines = []
        self.transcripts = []
        for path in sorted(root.glob("scripts/*/*.sdl")):
            text = path.read_text()
            self.transcripts.append(text)
            for line in text.splitlines():
                if line.startswith("$ ") and not FORBIDDEN.search(line):
                    self.lines.append(line[2:])


def number(random):
    if random.random() < 0.6:
        return random.choice(EXTREMES)
    return str(random.choice([random.randrange(-5, 20), random.randrange(70_000), random.getrandbits(64)]))


def change_text(random, text, times):
    """Changes some words, numbers and characters of a text."""
    for _ in range(times):
        kind = random.randrange(7)
        if kind == 0:
            places = list(re.finditer(r"\d+", text))
            if places:
                place = random.choice(places)
                new = number(random) + (random.choice(UNITS) if random.random() < 0.3 else "")
                text = text[: place.start()] + new + text[place.end():]
        elif kind == 1:
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice(STRANGE) + text[at:]
        elif kind == 2 and text:
            at = random.randrange(len(text))
            text = text[:at] + text[at + random.randrange(1, 10):]
        elif kind == 3:
            words = text.split(" ")
            random.shuffle(words)
            text = " ".join(words)
        elif kind == 4 and text:
            at, end = sorted(random.randrange(len(text) + 1) for _ in range(2))
            text = text[:end] + text[at:end] * random.randrange(1, 4) + text[end:]
        elif kind == 5:
            words = text.split(" ")
            words[random.randrange(len(words))] = random.choice(STRANGE + EXTREMES)
            text = " ".join(words)
        elif text:
            at = random.randrange(len(text))
            text = text[:at] + chr(random.choice([random.randrange(128), random.randrange(0x2000)])) + text[at + 1:]
        text = text[:200_000]
    return text


def change_bytes(random, data, times):
    data = bytearray(data)
    for _ in range(times):
        kind = random.randrange(5)
        at = random.randrange(len(data) + 1)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] = random.randrange(256)
        elif kind == 1:
            data[at:at] = random.choice(STRANGE + EXTREMES).encode(errors="surrogatepass")
        elif kind == 2:
            del data[at: at + random.randrange(1, 20)]
        elif kind == 3:
            end = random.randrange(len(data) + 1)
            data[at:at] = data[min(at, end): max(at, end)][:5000]
        else:
            del data[at:]
    return bytes(data)


def command(random, source):
    """A line that may be typed: one of the corpus, perhaps changed, perhaps within something else."""
    line = random.choice(source.lines)
    if random.random() < 0.6:
        line = change_text(random, line, random.randrange(1, 4))
    shape = random.randrange(12)
    other = random.choice(source.lines)
    line = {
        0: f"{line} | {other}", 1: f"{line} && {other}", 2: f"for i in {{1..{random.randrange(9)}}}; do {line}; done",
        3: f"x=$({line}); echo \"$x\"", 4: f"if {line}; then {other}; fi", 5: f"{line} &", 6: f"f() {{ {line}; }}; f a b",
        7: f"{line} > out.txt; cat out.txt", 8: f"cat <<END | {line}\n{other}\nEND",
    }.get(shape, line)
    return FORBIDDEN.sub("", line)


def script(random, source, count):
    return "\n".join(command(random, source) for _ in range(count)) + "\n"


def transcript(random, source):
    """A transcript of the project with some lines changed, dropped and doubled."""
    lines = random.choice(source.transcripts).splitlines()
    start = random.randrange(max(1, len(lines) - 60))
    lines = lines[start: start + random.randrange(5, 60)]
    for _ in range(random.randrange(1, 8)):
        at = random.randrange(len(lines))
        lines[at: at + 1] = random.choice([[change_text(random, lines[at], 2)], [], [lines[at]] * 2])
        lines = lines or [""]
    return FORBIDDEN.sub("", "\n".join(lines)) + "\n"


def value(random):
    return random.choice([number(random), random.choice(STRANGE), random.choice(["a", "key", "k:1", "x" * random.randrange(2000)])])


def http(random):
    method = random.choice(["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "get", ""])
    target = random.choice(
        ["/", "/json", "/metrics", "/health", "/echo", "/bytes/100", "/bytes/1GiB", "/delay/1ms", "/status/204", "/ring", "/lookup?key=a",
         "/nodes?name=a&vnodes=3", "/compare?keys=10", "/hot-keys?keys=10&requests=10", "/advice?deviation=5&nodes=3", "/moved?ranges=3", "*",
         "http://h/x", "//", "/%2e%2e/", "/%zz", "/a?b=c&&d", "/" + "a" * random.randrange(9000)])
    fields = [f"Host: {random.choice(['localhost', 'h', '', 'a b', '[::1]', 'x' * 300])}"]
    body = random.choice(["", "a=1", '{"domain":"d","descriptors":[{"entries":[{"key":"k","value":"v"}]}]}', "x" * random.randrange(70_000)])
    for _ in range(random.randrange(5)):
        fields.append(random.choice([
            f"Content-Length: {random.choice([len(body), number(random)])}", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked",
            "Expect: 100-continue", "Connection: close", "Connection: keep-alive, x", "Upgrade: websocket", "Accept: application/json;q=0",
            f"X-Forwarded-For: {value(random)}", f"Forwarded: for={value(random)}", f"Cookie: {value(random)}", f"X-Cost: {number(random)}",
            f"Range: bytes={number(random)}-{number(random)}", f"X-API-Key: {value(random)}", f"Retry-After: {number(random)}",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", f"{value(random)}: {value(random)}"]))
    if not any(field.startswith(("Content-Length", "Transfer")) for field in fields) and body:
        fields.append(f"Content-Length: {len(body)}")
    if any("chunked" in field for field in fields):
        body = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    text = f"{method} {target} HTTP/{random.choice(['1.1', '1.1', '1.0', '1.2', '2.0', '0.9', ''])}\r\n" + "\r\n".join(fields) + f"\r\n\r\n{body}"
    data = text.encode(errors="surrogatepass")
    return change_bytes(random, data, random.randrange(1, 5)) if random.random() < 0.5 else data


REDIS = (
    "SET GET DEL EXISTS EXPIRE PEXPIREAT PXAT TTL PTTL EXPIRETIME PERSIST INCR INCRBY INCRBYFLOAT DECRBY APPEND STRLEN GETRANGE SETRANGE GETEX "
    "GETDEL MSET MGET MSETNX SETNX SETEX PSETEX KEYS SCAN TYPE RENAME RANDOMKEY DBSIZE FLUSHALL MULTI EXEC DISCARD WATCH UNWATCH INFO CONFIG "
    "CLIENT COMMAND HELLO AUTH SELECT PING ECHO RESET LSM DEBUG OBJECT TOUCH UNLINK COPY DUMP SAVE BGSAVE LASTSAVE MEMORY SLOWLOG BITCOUNT SETBIT "
    "GETBIT LCS SUBSCRIBE CL.THROTTLE RL.TAKE SESSION BEGIN COMMIT QUERY").split()
REDIS_WORDS = ["EX", "PX", "EXAT", "PXAT", "NX", "XX", "GT", "LT", "KEEPTTL", "GET", "SET", "MATCH", "COUNT", "TYPE", "LIST", "KILL", "PAUSE", "NO-EVICT"]


def resp(random):
    words = [random.choice(REDIS)] + [random.choice([value(random), random.choice(REDIS_WORDS)]) for _ in range(random.randrange(7))]
    encoded = [word.encode(errors="surrogatepass") for word in words]
    if random.random() < 0.2:
        data = b" ".join(encoded) + b"\r\n"
    else:
        data = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
    return change_bytes(random, data, random.randrange(1, 4)) if random.random() < 0.3 else data


def runtime(random, name, servers):
    proxy = random.choice([name, name, "#2", "nope", ""])
    server = f"{proxy}/{random.choice(servers + ['nope', ''])}"
    line = random.choice([
        "show stat", "show info", "show sess", "show errors", "show servers state", "show servers conn", "show table", "help", "prompt", "quit",
        f"show stat {number(random)} {number(random)} {number(random)}", "show stat json", "show info typed", f"set server {server} state drain",
        f"set server {server} weight {number(random)}", f"set server {server} weight {number(random)}%", f"set weight {server} {number(random)}",
        f"set maxconn server {server} {number(random)}", f"enable server {server}", f"disable server {server}", f"get weight {server}",
        f"add server {server} localhost:{number(random)} weight {number(random)}", f"del server {server}", f"disable health {server}",
        f"set server {server} health {random.choice(['up', 'down', 'x'])}", f"shutdown sessions server {server}", "clear counters all",
        f"shutdown session 0x{number(random)}", f"set timeout cli {number(random)}", f"set maxconn frontend {proxy} {number(random)}",
        f"disable frontend {proxy}", f"enable frontend {proxy}"])
    if random.random() < 0.4:
        line = change_text(random, line, random.randrange(1, 4))
    return line.encode(errors="surrogatepass") + b"\n"
