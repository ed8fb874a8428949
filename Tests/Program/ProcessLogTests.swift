import Glibc
import TestSupport
import Testing

/// The collector of logs as a process, with the programs and libraries that send logs elsewhere, as they are.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessLogTests {
    /// A collector with a directory of its own.
    final class Lab {
        let directory: ProgramDirectory
        let port: UInt16
        let web: UInt16
        private(set) var collector: ProgramProcess!
        private let flags: [String]

        init(_ flags: [String] = []) throws {
            directory = try ProgramDirectory()
            port = try ProgramPort.free()
            web = try ProgramPort.free()
            self.flags = flags
            try start()
        }

        /// - Parameter fileBytes: more than that no file of its can have, until somebody changes the limit.
        func start(fileBytes: Int? = nil) throws {
            let words =
                ["log-collector", "--storage", "\(directory.path)/logs", "--port", "\(port)", "--http-port", "\(web)"]
                + flags
            if let fileBytes {
                collector = try ProgramProcess(
                    ["--fsize=\(fileBytes):", ProgramPlace.program] + words, program: try ProgramTool.needed("prlimit"))
            } else {
                collector = try ProgramProcess(words)
            }
            try collector.waitFor("Accepting logs")
        }

        func kill() throws {
            collector.send(SIGKILL)
            _ = try collector.waitForExit()
        }

        func python(_ program: String) throws -> String {
            try TestPython.run("PORT, WEB, DIR = \(port), \(web), '\(directory.path)'\n" + Self.head + program)
        }

        private static let head = """
            import json, time, urllib.parse, urllib.request
            def ask(path, fields={}, **parameters):
                query = '?' + urllib.parse.urlencode(parameters) if parameters else ''
                request = urllib.request.Request(f'http://127.0.0.1:{WEB}{path}{query}', headers=fields)
                with urllib.request.urlopen(request) as answer:
                    return json.load(answer)
            def entries(query, limit=5000, start=None):
                start = start if start is not None else time.time_ns() - 86_400 * 10**9
                data = ask('/loki/api/v1/query_range', query=query, limit=limit, start=start,
                           end=time.time_ns() + 10**10, direction='forward')['data']
                return [(s['stream'], v[1]) for s in data['result'] for v in s['values']]
            def lines(query): return sorted(line for _, line in entries(query))
            def wait(query, count):
                for _ in range(200):
                    found = entries(query)
                    if len(found) >= count: break
                    time.sleep(0.1)
                assert len(found) == count, (query, found)
                return found

            """
    }

    // MARK: Syslog

    @Test(
        "rsyslogd ships what programs log, cut either way and over UDP; what came while the collector was away follows",
        .enabled(if: ProgramTool.canRunUnpacked("rsyslogd") && ProgramTool.canRun("logger")))
    func rsyslog() throws {
        let lab = try Lab()
        let place = lab.directory.path
        func action(_ name: String, _ more: String) -> String {
            """
            if $programname == '\(name)' then action(type="omfwd" target="127.0.0.1" port="\(lab.port)"
              action.resumeRetryCount="-1" action.resumeInterval="1" queue.type="linkedList"
              template="RSYSLOG_SyslogProtocol23Format" \(more))

            """
        }
        try lab.directory.place(
            "rsyslog.conf",
            """
            global(workDirectory="\(place)")
            module(load="imuxsock" SysSock.Name="\(place)/log" SysSock.RateLimit.Interval="0" SysSock.Unlink="on")

            """ + action("counted", "protocol=\"tcp\" TCP_Framing=\"octet-counted\"")
                + action("cut", "protocol=\"tcp\"") + action("datagrams", "protocol=\"udp\""))
        let daemon = try ProgramTool.startUnpacked(
            "rsyslogd", ["-n", "-f", "\(place)/rsyslog.conf", "-i", "\(place)/pid"])
        #expect(try ProgramClock.wait { access("\(place)/log", F_OK) == 0 })
        func log(_ name: String, _ text: String) throws {
            let logger = try ProgramProcess(
                ["-u", "\(place)/log", "-t", name, "-p", "local0.err", "--id=77", text],
                program: try ProgramTool.needed("logger"))
            #expect(try logger.waitForExit() == 0)
        }
        for name in ["counted", "cut", "datagrams"] {
            for number in 0..<3 { try log(name, "message \(number) of \(name)") }
        }
        let check = """
            for name in ['counted', 'cut', 'datagrams']:
                found = wait('{service="%s"}' % name, 3)
                assert sorted(line.strip() for _, line in found) == [f'message {n} of {name}' for n in range(3)], found
                labels = found[0][0]
                assert labels['level'] == 'error' and labels['facility'] == 'local0', labels
                assert labels['job'] == 'syslog' and labels['procid'] == '77', labels
            print('ok')
            """
        #expect(try lab.python(check) == "ok\n")
        try lab.kill()
        // The first one shows rsyslogd that nobody is there: TCP takes it, and nobody has it.
        try log("counted", "lost on the way")
        #expect(try ProgramClock.wait(1) { false } == false)
        for number in 0..<5 { try log("counted", "later \(number)") }
        #expect(try ProgramClock.wait(1) { false } == false)
        try lab.start()
        let later = "wait('{service=\"counted\"} |= \"later\"', 5)\nprint('ok')"
        #expect(try lab.python(later) == "ok\n")
        daemon.send(SIGTERM)
        _ = try daemon.waitForExit()
        #expect(lab.collector.errors.isEmpty)
    }

    @Test(
        "logger sends RFC 5424 and 3164, cut either way or in datagrams", .enabled(if: ProgramTool.canRun("logger")))
    func logger() throws {
        let lab = try Lab()
        let forms: [[String]] = [
            ["-T", "--rfc5424"], ["-T", "--rfc5424", "--octet-count"], ["-T", "--rfc3164"], ["-d", "--rfc5424"],
            ["-d", "--rfc3164"], ["-T", "--rfc5424=notime"], ["-T", "--octet-count", "--rfc5424", "--sd-id", "x@1"],
        ]
        for (number, form) in forms.enumerated() {
            let isStructured = form.contains("--sd-id")
            let logger = try ProgramProcess(
                ["-n", "127.0.0.1", "-P", "\(lab.port)", "-t", "app", "-p", "user.warning"] + form
                    + (isStructured ? ["--sd-param", "k=\"v\""] : []) + ["form \(number)"],
                program: try ProgramTool.needed("logger"))
            #expect(try logger.waitForExit() == 0)
        }
        let check = """
            found = wait('{service="app", level="warn"}', \(forms.count))
            assert sorted(line for _, line in found) == [f'form {n}' for n in range(\(forms.count))], found
            assert any('v' in s.values() for s, _ in found), found
            print('ok')
            """
        #expect(try lab.python(check) == "ok\n")
    }

    @Test(
        "syslog-ng ships lines of a file as RFC 5424 and 3164; what its loggen sends is there, all of it",
        .enabled(if: ProgramTool.canRunUnpacked("syslog-ng", "loggen")))
    func syslogNG() throws {
        let lab = try Lab(["--no-limits"])
        let place = lab.directory.path
        try lab.directory.place("app.log", (0..<20).map { "line \($0)\n" }.joined())
        try lab.directory.place(
            "syslog-ng.conf",
            """
            @version: 3.38
            source lines { file("\(place)/app.log" flags(no-parse) program-override("app") follow-freq(0.2)); };
            destination new { syslog("127.0.0.1" transport("tcp") port(\(lab.port))); };
            destination old { network("127.0.0.1" transport("tcp") port(\(lab.port)) persist-name("old")
              template("<${PRI}>${DATE} web-1 old: ${MSG}\\n")); };
            destination datagrams { network("127.0.0.1" transport("udp") port(\(lab.port)) persist-name("udp")
              template("<${PRI}>${DATE} web-1 udp: ${MSG}\\n")); };
            log { source(lines); destination(new); destination(old); destination(datagrams); };

            """)
        let daemon = try ProgramTool.startUnpacked(
            "syslog-ng",
            [
                "-F", "--no-caps", "-f", "\(place)/syslog-ng.conf", "-R", "\(place)/persist", "-c", "\(place)/control",
                "-p", "\(place)/pid",
            ])
        let check = """
            for name in ['app', 'old', 'udp']:
                found = wait('{service="%s"}' % name, 20)
                assert sorted(line for _, line in found) == sorted(f'line {n}' for n in range(20)), found
            print('ok')
            """
        #expect(try lab.python(check) == "ok\n")
        daemon.send(SIGTERM)
        _ = try daemon.waitForExit()
        for (form, count) in [(["-S"], 500), (["-S", "-P"], 400), (["-S", "-P", "-F"], 300), (["-D"], 50)] {
            let loggen = try ProgramTool.startUnpacked(
                "loggen",
                ["-i"] + form + ["-n", "\(count)", "-r", "2000", "-s", "300", "127.0.0.1", "\(lab.port)"])
            #expect(try loggen.waitForExit() == 0)
        }
        #expect(try lab.python("wait('{service=\"prg00000\"}', 1250)\nprint('ok')") == "ok\n")
    }

    // MARK: Loki's clients

    @Test("python-logging-loki: records become lines with their tags and levels")
    func pythonLogging() throws {
        let lab = try Lab()
        let program = """
            import logging, logging_loki
            handler = logging_loki.LokiHandler(
                url=f'http://127.0.0.1:{WEB}/loki/api/v1/push', tags={'application': 'shop'}, version='1')
            logger = logging.getLogger('orders')
            logger.addHandler(handler)
            logger.error('it broke: ä', extra={'tags': {'order': '7'}})
            for number in range(50): logger.warning('attempt %d', number)
            found = wait('{application="shop"}', 51)
            assert len(lines('{application="shop", severity="warning"} |= "attempt"')) == 50
            (error,) = entries('{severity="error"}')
            assert error[1] == 'it broke: ä' and error[0]['logger'] == 'orders' and error[0]['order'] == '7', error
            print('ok')
            """
        #expect(try lab.python(program) == "ok\n")
    }

    @Test("pushes as promtail makes them, in protobuf and snappy; what is pushed again is not stored again")
    func promtail() throws {
        let lab = try Lab()
        let program = """
            def varint(n):
                out = b''
                while n >= 0x80: out, n = out + bytes([n & 0x7f | 0x80]), n >> 7
                return out + bytes([n])
            def field(number, data): return varint(number << 3 | 2) + varint(len(data)) + data
            def entry(time_ns, line):
                stamp = b'\\x08' + varint(time_ns // 10**9) + b'\\x10' + varint(time_ns % 10**9)
                return field(2, field(1, stamp) + field(2, line.encode()))
            def snappy(data):
                # The block format with nothing but literals.
                out = varint(len(data))
                for start in range(0, len(data), 60):
                    piece = data[start:start + 60]
                    out += bytes([(len(piece) - 1) << 2]) + piece
                return out
            now = time.time_ns()
            def push(first, count):
                body = b''
                for name in ['nginx', 'app']:
                    labels = '{filename="/var/log/%s.log", job="%s"}' % (name, name)
                    body += field(1, field(1, labels.encode())
                                  + b''.join(entry(now + n, f'{name} line {n}') for n in range(first, first + count)))
                request = urllib.request.Request(
                    f'http://127.0.0.1:{WEB}/loki/api/v1/push', data=snappy(body), method='POST', headers={
                        'Content-Type': 'application/x-protobuf', 'User-Agent': 'promtail/2.9.2',
                        'X-Scope-OrgID': 'tenant'})
                with urllib.request.urlopen(request) as answer: assert answer.status == 204
            push(0, 100)
            push(0, 100)
            push(90, 20)
            assert lines('{job="nginx"}') == sorted(f'nginx line {n}' for n in range(110))
            assert len(lines('{filename="/var/log/app.log"}')) == 110
            print('ok')
            """
        #expect(try lab.python(program) == "ok\n")
    }

    @Test("opentelemetry-sdk: log records come over OTLP, packed and not")
    func openTelemetry() throws {
        let lab = try Lab()
        let program = """
            import logging
            from opentelemetry.exporter.otlp.proto.http import Compression
            from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
            from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
            from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
            from opentelemetry.sdk.resources import Resource
            for name, compression in [('plain', Compression.NoCompression), ('packed', Compression.Gzip)]:
                provider = LoggerProvider(resource=Resource.create({'service.name': name}))
                exporter = OTLPLogExporter(f'http://127.0.0.1:{WEB}/v1/logs', compression=compression)
                provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
                logger = logging.getLogger(name)
                logger.addHandler(LoggingHandler(logger_provider=provider))
                logger.error('broken %d', 7, extra={'order.id': 'o-1'})
                assert provider.force_flush()
                provider.shutdown()
                ((labels, line),) = wait('{service_name="%s"}' % name, 1)
                assert line == 'broken 7' and labels['order_id'] == 'o-1' and labels['level'] == 'error', labels
            print('ok')
            """
        #expect(try lab.python(program) == "ok\n")
    }

    @Test("what Grafana's Loki data source asks, from its documentation, is answered in the form that it reads")
    func grafana() throws {
        let lab = try Lab()
        let program = """
            body = json.dumps({'streams': [{'stream': {'app': 'web', 'env': 'p'}, 'values': [
                [str(time.time_ns() - n * 10**9), json.dumps({'level': 'error' if n % 2 else 'info', 'n': n}),
                 {'trace_id': f'{n:032x}'}] for n in range(10)]}]}).encode()
            request = urllib.request.Request(f'http://127.0.0.1:{WEB}/loki/api/v1/push', data=body,
                                             headers={'Content-Type': 'application/json'})
            urllib.request.urlopen(request).read()
            now = time.time_ns()
            span = dict(start=now - 3600 * 10**9, end=now + 10**9)
            # "Save & test" of the data source.
            health = ask('/loki/api/v1/query', query='vector(1)+vector(1)', time=now)
            assert health['data']['result'][0]['value'][1] == '2', health
            assert ask('/loki/api/v1/labels', **span) == {'status': 'success', 'data': ['app', 'env']}
            assert ask('/loki/api/v1/label/app/values', query='{env="p"}', **span)['data'] == ['web']
            series = ask('/loki/api/v1/series', **{'match[]': '{app="web"}'}, **span)
            assert series['data'] == [{'app': 'web', 'env': 'p'}], series
            stats = ask('/loki/api/v1/index/stats', query='{app="web"}', **span)
            assert stats['entries'] == 10 and stats['streams'] == 1, stats
            # Explore: lines with their labels apart, and the histogram above them.
            flags = {'X-Loki-Response-Encoding-Flags': 'categorize-labels', 'X-Query-Tags': 'Source=grafana'}
            data = ask('/loki/api/v1/query_range', flags, query='{app="web"} | json | level="error"', limit=1000,
                       direction='backward', step='15000ms', **span)['data']
            assert data['encodingFlags'] == ['categorize-labels'] and data['resultType'] == 'streams', data
            (stream,) = data['result']
            assert stream['stream'] == {'app': 'web', 'env': 'p'} and len(stream['values']) == 5, stream
            own = stream['values'][0][2]
            assert own['structuredMetadata'] == {'trace_id': f'{1:032x}'}, own
            assert own['parsed'] == {'level': 'error', 'n': '1'}, own
            volume = ask('/loki/api/v1/query_range', query='sum by (level) (count_over_time({app="web"} | json [1h]))',
                         step='3600000ms', **span)['data']
            assert volume['resultType'] == 'matrix', volume
            assert sorted(s['metric']['level'] for s in volume['result']) == ['error', 'info'], volume
            fields = ask('/loki/api/v1/detected_fields', query='{app="web"}', **span)['fields']
            assert {f['label']: f['type'] for f in fields}['n'] == 'int', fields
            assert ask('/loki/api/v1/status/buildinfo')['version'][0].isdigit()
            # "View in context" and the link from a line to its trace.
            assert len(lines('{app="web"} | trace_id=`%032x`' % 3)) == 1
            print('ok')
            """
        #expect(try lab.python(program) == "ok\n")
    }

    @Test("a client of WebSockets follows lines, as Grafana's live view does")
    func live() throws {
        let lab = try Lab()
        let program = """
            import websocket
            def push(text):
                body = json.dumps({'streams': [{'stream': {'job': 'live'}, 'values': [[str(time.time_ns()), text]]}]})
                urllib.request.urlopen(urllib.request.Request(f'http://127.0.0.1:{WEB}/loki/api/v1/push',
                    data=body.encode(), headers={'Content-Type': 'application/json'}))
            push('before')
            query = urllib.parse.urlencode({'query': '{job="live"} != "quiet"', 'start': time.time_ns() - 10**10})
            tail = websocket.create_connection(f'ws://127.0.0.1:{WEB}/loki/api/v1/tail?{query}', timeout=30)
            for text in ['quiet', 'one', 'two']: push(text)
            seen = []
            while len(seen) < 3:
                message = json.loads(tail.recv())
                for stream in message['streams']:
                    assert stream['stream'] == {'job': 'live'}, message
                    seen += [line for _, line in stream['values']]
            assert seen == ['before', 'one', 'two'], seen
            tail.close()
            print('ok')
            """
        #expect(try lab.python(program) == "ok\n")
    }
}
