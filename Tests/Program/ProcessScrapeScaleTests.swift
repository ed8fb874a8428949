import TestSupport
import Testing

extension ProgramHeavyTests {
    /// Many targets, of which a tenth never answers.
    // @covers MET-C2
    @Suite(.enabled(if: TestPython.canRun)) struct ProcessScrapeScaleTests {
        @Test("a tenth of many targets is silent: the others are asked in their time, spread over the interval")
        func silentTargets() throws {
            let count = ProgramSize.full(10_000, else: 1000)
            let seconds = ProgramSize.full(20, else: 5)
            try MonitoringBench.run("COUNT, SECONDS = \(count), \(seconds)\n" + Self.session)
        }

        private static let session = #"""
            import asyncio, collections, resource, threading
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            port, ours = free(), free()
            arrivals, asked = collections.Counter(), collections.Counter()
            PAGE = b'# TYPE a gauge\na 1\nb{x="1"} 2\n'
            async def serve(reader, writer):
                try:
                    while True:
                        head = await reader.readuntil(b'\r\n\r\n')
                        target = int(head.split(b' ')[1].rsplit(b'/', 1)[1])
                        arrivals[int(time.time() * 10)] += 1
                        asked[target] += 1
                        # One in ten says nothing, and does not hang up either.
                        if target % 10 == 0: await asyncio.sleep(3600)
                        writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s'
                            % (len(PAGE), PAGE))
                except (asyncio.IncompleteReadError, ConnectionError): pass
                finally: writer.close()
            loop = asyncio.new_event_loop()
            loop.run_until_complete(asyncio.start_server(serve, '127.0.0.1', port, backlog=4096))
            threading.Thread(target=loop.run_forever, daemon=True).start()
            groups = [{'targets': ['127.0.0.1:%d' % port], 'labels': {'__metrics_path__': '/m/%d' % index,
                'instance': 'i%d' % index, 'kind': 'silent' if index % 10 == 0 else 'quick'}} for index in range(COUNT)]
            for part in range(10): write('targets-%d.json' % part, json.dumps(groups[part::10]))
            timeout = SECONDS // 2
            process = collector(ours, '''
            global: {scrape_interval: %ds, scrape_timeout: %ds}
            scrape_configs: [{job_name: many, file_sd_configs: [{files: ["targets-*.json"]}]}]
            ''' % (SECONDS, timeout))
            wait(lambda: value(ours, 'count(up{kind="quick"} == 1)') == COUNT * 0.9, 60 + 2 * SECONDS)
            time.sleep(3 * SECONDS)
            assert value(ours, 'count(up{kind="quick"} == 1)') == COUNT * 0.9
            wait(lambda: value(ours, 'count(up{kind="silent"} == 0)') == COUNT * 0.1)
            # Nobody had to wait for the silent ones, and each was asked once an interval.
            slowest = value(ours, 'quantile(0.99, scrape_duration_seconds{kind="quick"})')
            assert slowest < 1, slowest
            assert abs(value(ours, 'avg(scrape_duration_seconds{kind="silent"})') - timeout) < 1
            rows = ask(ours, 'count_over_time(up{kind="quick"}[%ds])' % (2 * SECONDS + 1))
            counts = collections.Counter(row['value'][1] for row in rows)
            assert set(counts) <= {'2', '3'}, counts
            # The second half of what came, as the first has everybody as soon as it is known.
            last = max(arrivals)
            steady = [arrivals[slot] for slot in range(last - 20 * SECONDS, last)]
            mean = sum(steady) / len(steady)
            assert abs(mean * 10 - COUNT / SECONDS) < 0.2 * COUNT / SECONDS, mean
            # Spread: most tenths of a second have their share (a machine that stood still has one that has more).
            busy = sum(1 for count in steady if count > mean / 4)
            assert busy > 0.6 * len(steady), (busy, len(steady), mean, max(steady))
            with open('/proc/%d/status' % process.pid) as status:
                memory = next(int(line.split()[1]) for line in status if line.startswith('VmRSS'))
            assert memory < 100_000 + 30 * COUNT, memory
            """#
    }
}
