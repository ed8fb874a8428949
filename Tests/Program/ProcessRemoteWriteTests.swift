import TestSupport
import Testing

/// A collector as a process of its own that hands on what it has scraped, to Prometheus itself.
@Suite(.enabled(if: TestPython.canRun && ProgramTool.canRun("prometheus")))
struct ProcessRemoteWriteTests {
    @Test("Prometheus takes what the collector writes to it, and what it missed while it was away")
    func prometheus() throws {
        let ports = try (0..<2).map { _ in try ProgramPort.free() }
        let directory = try ProgramDirectory()
        let output = try TestPython.run(
            "OURS, THEIRS, DIR, SDLAB = \(ports[0]), \(ports[1]), '\(directory.path)', '\(ProgramPlace.program)'\n"
                + """
                import json, shutil, subprocess, time, urllib.parse, urllib.request
                open(DIR + '/p.yml', 'w').write('global: {scrape_interval: 1h}')
                open(DIR + '/c.yaml', 'w').write('''
                global: {scrape_interval: 1s, external_labels: {lab: here}}
                scrape_configs: [{job_name: self, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
                remote_write: [{url: "http://127.0.0.1:%d/api/v1/write"}]
                ''' % (OURS, THEIRS))
                def ask(port, query):
                    url = 'http://127.0.0.1:%d/api/v1/query?query=%s' % (port, urllib.parse.quote(query))
                    try: return json.load(urllib.request.urlopen(url, timeout=2))['data']['result']
                    except OSError: return []
                def wait(condition):
                    end = time.time() + 30
                    while not condition():
                        assert time.time() < end
                        time.sleep(0.2)
                def start(): return subprocess.Popen(
                    [shutil.which('prometheus'), '--config.file=p.yml', '--storage.tsdb.path=data',
                     '--web.enable-remote-write-receiver', '--web.listen-address=127.0.0.1:%d' % THEIRS],
                    cwd=DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                ours = subprocess.Popen([SDLAB, 'metrics-collector', '--config', 'c.yaml', '--port', str(OURS)],
                    cwd=DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                theirs = None
                try:
                    # It scrapes for a while before anybody takes what it writes.
                    wait(lambda: ask(OURS, 'count_over_time(up[1m]) > 3'))
                    theirs = start()
                    wait(lambda: ask(THEIRS, 'count_over_time(up{job="self",lab="here"}[1m]) > 6'))
                    wait(lambda: ask(OURS, 'prometheus_remote_storage_samples_total > 0'))
                    lost = ask(OURS, 'prometheus_remote_storage_samples_failed_total > 0')
                    assert lost == [], lost
                finally:
                    for one in (ours, theirs):
                        if one: one.kill(); one.wait()
                print('ok')
                """)
        #expect(output == "ok\n")
        withExtendedLifetime(directory) {}
    }
}
