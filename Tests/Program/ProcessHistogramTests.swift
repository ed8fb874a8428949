import TestSupport
import Testing

/// Native histograms, of which Prometheus and we have the same idea: on the wire, in the log, in blocks.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("prometheus", "promtool"))) struct ProcessHistogramTests {
    /// Remote write's messages, as `prompb` describes them, and programs that count in native histograms.
    private static let senders = #"""
        import math, random, struct
        def number(value):
            out, value = bytearray(), value & (1 << 64) - 1
            while value > 127:
                out.append(value & 127 | 128)
                value >>= 7
            out.append(value)
            return bytes(out)
        def whole(tag, value): return number(tag << 3) + number(value)
        def folded(value): return value << 1 ^ value >> 63
        def double(tag, value): return number(tag << 3 | 1) + struct.pack('<d', value)
        def field(tag, payload): return number(tag << 3 | 2) + number(len(payload)) + payload
        def snappy(raw):
            out = bytearray(number(len(raw)))
            for start in range(0, len(raw), 65536):
                piece = raw[start:start + 65536]
                out += bytes([61 << 2]) + struct.pack('<H', len(piece) - 1) + piece
            return bytes(out)
        STALE = struct.unpack('<d', struct.pack('<Q', 0x7ff0000000000002))[0]
        class Program:
            def __init__(self, seed, fractions):
                self.chance, self.fractions = random.Random(seed), fractions
                self.begin()
            def begin(self):
                self.schema, self.zeros, self.sum, self.counts = self.chance.randrange(-1, 4), 0, 0.0, ({}, {})
            def work(self):
                if self.chance.random() < 0.01: self.begin()
                for _ in range(self.chance.randrange(5)):
                    value = self.chance.lognormvariate(0, 1) * (1 if self.chance.random() < 0.8 else -1)
                    self.sum += value
                    index = math.ceil(math.log2(abs(value)) * 2 ** self.schema)
                    side = self.counts[0 if value > 0 else 1]
                    side[index] = side.get(index, 0) + (0.5 if self.fractions else 1)
                if self.chance.random() < 0.1: self.zeros += 1
            def side(self, side, spans, deltas, counts):
                out, last, run = b'', None, []
                for index in sorted(side):
                    if last is not None and index == last + 1: run[-1][1] += 1
                    else: run.append([index if last is None else index - last - 1, 1])
                    last = index
                for offset, length in run: out += field(spans, whole(1, folded(offset)) + whole(2, length))
                values = [side[index] for index in sorted(side)]
                if not values: return out
                if self.fractions: return out + field(counts, struct.pack('<%dd' % len(values), *values))
                return out + field(deltas, b''.join(number(folded(a - b)) for a, b in zip(values, [0] + values)))
            def message(self, time):
                total = self.zeros + sum(self.counts[0].values()) + sum(self.counts[1].values())
                if self.fractions: head = double(2, total) + double(7, self.zeros)
                else: head = whole(1, total) + whole(6, self.zeros)
                return (head + double(3, self.sum) + whole(4, folded(self.schema)) + double(5, 2.0 ** -128)
                    + self.side(self.counts[1], 8, 9, 10) + self.side(self.counts[0], 11, 12, 13) + whole(15, time))
        def labels(**pairs):
            return b''.join(field(1, field(1, k.encode()) + field(2, v.encode())) for k, v in sorted(pairs.items()))
        """#

    private static let session = #"""
        ours, theirs = free(), free()
        rules = 'global: {scrape_interval: 1h}\n'
        feature = '--enable-feature=native-histograms'
        one, other = collector(ours, rules), prometheus(theirs, rules, feature)
        def ready():
            try: return get(ours, '/-/ready') and get(theirs, '/-/ready')
            except OSError: return None
        wait(ready)
        # Five hours in steps of half a minute.
        end = int(time.time()) // 30 * 30
        programs = [Program(seed, seed == 2) for seed in range(3)]
        for batch in range(end - 18000, end, 600):
            series = b''
            for index, program in enumerate(programs):
                body = labels(__name__='work', program=str(index))
                for moment in range(batch, batch + 600, 30):
                    program.work()
                    if index == 0 and moment == end - 7200:
                        body += field(4, whole(1, 0) + double(3, STALE) + whole(15, moment * 1000))
                    else:
                        body += field(4, program.message(moment * 1000))
                series += field(1, body)
            for port in (ours, theirs):
                get(port, '/api/v1/write', {'Content-Encoding': 'snappy', 'Content-Type': 'application/x-protobuf',
                    'X-Prometheus-Remote-Write-Version': '0.1.0'}, snappy(series))
        queries = ['histogram_count(work)', 'histogram_sum(work)', 'histogram_quantile(0.9, work)',
            'histogram_quantile(0.5, rate(work[10m]))', 'histogram_count(increase(work[1h]))',
            'histogram_fraction(0, 1, work)', 'histogram_count(sum(rate(work{program!="0"}[5m])))',
            'count_over_time(work[1h])', 'histogram_sum(rate(work[20m]))']
        # The newest histograms with fractions 2.42 does not find in its own memory.
        def answers(port):
            found = {}
            for query in queries:
                rows = data(port, '/api/v1/query_range', query=query, start=end - 17000, end=end - 1200, step=97)
                for row in rows['result']:
                    found[(query, key(row['metric']))] = [(at, float(text)) for at, text in row['values']]
            return found
        def alike(a, b, what):
            assert len(a) > 20 and a.keys() == b.keys(), (what, len(a), a.keys() ^ b.keys())
            for one in a:
                assert [at for at, _ in a[one]] == [at for at, _ in b[one]], (what, one, len(a[one]), len(b[one]))
                other = [(at, x, y) for (at, x), (_, y) in zip(a[one], b[one])
                    if not (x == y or x != x and y != y or abs(x - y) <= 1e-9 * max(abs(x), abs(y)))]
                assert not other, (what, one, other[:3])
        def blocks(place):
            found = []
            for name in os.listdir(os.path.join(DIR, place)):
                if len(name) == 26:
                    with open(os.path.join(DIR, place, name, 'meta.json')) as file: found.append(json.load(file))
            return sum(meta['stats']['numSamples'] for meta in found)
        own, their = 'ours%d/collector' % ours, 'theirs%d' % theirs
        wait(lambda: blocks(own) > 300 and blocks(their) > 300)
        first = answers(theirs)
        alike(first, answers(ours), 'both as they were written to')
        stop(one)
        stop(other)
        said = subprocess.run([shutil.which('promtool'), 'tsdb', 'list', own], cwd=DIR, capture_output=True, text=True)
        assert said.returncode == 0 and len(said.stdout.splitlines()) > 1, said
        # Each goes on with what the other one has kept.
        os.mkdir(os.path.join(DIR, 'swap'))
        os.rename(os.path.join(DIR, their), os.path.join(DIR, 'swap/collector'))
        os.rename(os.path.join(DIR, own), os.path.join(DIR, their))
        os.rename(os.path.join(DIR, 'swap'), os.path.join(DIR, 'ours%d' % theirs))
        with open(os.path.join(DIR, 'c.yaml'), 'w') as file: file.write(rules)
        start(SDLAB, 'metrics-collector', '--config', 'c.yaml', '--port', str(ours), '--data-dir', 'ours%d' % theirs)
        prometheus(theirs, rules, feature)
        wait(ready)
        alike(first, answers(theirs), 'Prometheus on our directory')
        alike(first, answers(ours), 'we on its directory')
        log = open(os.path.join(DIR, 'log2')).read()
        assert 'damaged' not in log and 'left out' not in log, log
        """#

    @Test("what was sent to both is answered alike, and each answers alike from the directory of the other")
    func prometheus() throws {
        try MonitoringBench.run(Self.senders + "\n" + Self.session)
    }

    // Our application counts in native buckets, and shows them to whoever asks in protobuf: Prometheus sees what we
    // see, and both see as many observations as there were. Whoever asks for text sees classic ones.
    @Test("Prometheus scrapes native histograms, summaries and all else from us in protobuf, as our collector does")
    func scrapedInProtobuf() throws {
        try MonitoringBench.run(
            #"""
            app, ours, theirs = free(), free(), free()
            start(SDLAB, 'web-app', '--port', str(app), '--served', 'GET=1000,POST=100')
            job = '{job_name: app, %sstatic_configs: [{targets: ["127.0.0.1:%d"]}]}'
            head = 'global: {scrape_interval: 1s}\nscrape_configs: ['
            collector(ours, head + job % ('native_histograms: true, ', app) + ']')
            prometheus(theirs, head + job % ('', app) + ']', '--enable-feature=native-histograms')
            wait(lambda: value(ours, 'up{job="app"}') == value(theirs, 'up{job="app"}') == 1)
            for _ in range(20): get(app, '/api/users')
            count = 'histogram_count(http_request_duration_seconds)'
            wait(lambda: value(ours, count) == value(theirs, count) == 1120)
            for query in ('http_request_duration_seconds', 'histogram_quantile(0.5, http_request_duration_seconds)',
                    'histogram_sum(http_request_duration_seconds)', 'http_requests_total', 'service_up',
                    'histogram_fraction(0, 0.2, http_request_duration_seconds)'):
                def rows(port): return {key(row['metric']): row.get('histogram', row.get('value'))[1]
                    for row in ask(port, query)}
                def same():
                    one, other = rows(ours), rows(theirs)
                    assert one and one.keys() == other.keys(), (query, one, other)
                    # The two calculate the bounds of buckets in another way, and differ in the last digit.
                    def numbers(value):
                        if isinstance(value, dict): value = sorted(value.items())
                        if isinstance(value, str) and value[:1] not in '0123456789-+': return [value]
                        if not isinstance(value, (list, tuple)): return [float(value)]
                        return [number for part in value for number in numbers(part)]
                    pairs = [pair for k in one for pair in zip(numbers(one[k]), numbers(other[k]), strict=True)]
                    return all(a == b or abs(a - b) <= 1e-12 * abs(a) for a, b in pairs)
                assert same(), (query, rows(ours), rows(theirs))
            found = ask(theirs, 'http_request_duration_seconds')[0]['histogram'][1]
            assert found['count'] == '1120' and len(found['buckets']) >= 4, found
            # The buckets with bounds are not taken beside the native ones; in text there is nothing else.
            assert ask(theirs, 'http_request_duration_seconds_bucket') == []
            page = get(app, '/metrics')
            assert 'http_request_duration_seconds_bucket{le="0.5"} ' in page, page
            accept = 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited'
            request = urllib.request.Request(
                'http://127.0.0.1:%d/metrics' % app, None, {'Accept': accept + ',*/*;q=0.1'})
            answer = urllib.request.urlopen(request, timeout=10)
            assert answer.headers['Content-Type'].replace(' ', '') == accept, answer.headers['Content-Type']
            assert b'http_request_duration_seconds' in answer.read()
            """#)
    }
}
