import TestSupport
import Testing

/// A collector as a process of its own among other people's monitoring, as they come from Debian and PyPI.
// @covers MET-C2
@Suite(.enabled(if: TestPython.canRun)) struct ProcessMonitoringTests {
    @Test("every kind of metric of prometheus_client is scraped as it counts it")
    func prometheusClientAsExporter() throws {
        try MonitoringBench.run(
            #"""
            from prometheus_client import *
            from prometheus_client.core import *
            from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
            registry = CollectorRegistry()
            jobs = Counter('jobs', 'Jobs \\ done\nso far', ['queue'], registry=registry)
            jobs.labels('grün "a"\\b\nc').inc(3, exemplar={'trace_id': 'abc'})
            jobs.labels('x').inc(0.5)
            Gauge('temperature', '', registry=registry).set(float('-inf'))
            Gauge('nothing', '', registry=registry).set(float('nan'))
            size = Summary('size', 'Sizes', ['kind'], unit='bytes', registry=registry)
            for step in range(4): size.labels('a').observe(step * 1e300)
            latency = Histogram('latency_seconds', 'Latency', buckets=[0.001, 0.5, 1, 2.5e6], registry=registry)
            latency.observe(0.25, {'trace_id': 'h1'})
            latency.observe(3, {'trace_id': 'h2', 'span_id': 'z'})
            latency.observe(1e9)
            Info('build', 'Build', registry=registry).info({'version': '1.2', 'note': ''})
            Enum('state', 'State', states=['on', 'off'], registry=registry).state('off')
            class Own:
                def collect(self):
                    yield GaugeHistogramMetricFamily('age', 'Ages', buckets=[('1.0', 2), ('+Inf', 5)], gsum_value=7)
                    yield UnknownMetricFamily('odd', 'Odd', value=2.5)
                    yield StateSetMetricFamily('flags', 'Flags', {'a': True, 'b': False})
                    family = GaugeMetricFamily('timed', 'With a time of its own')
                    family.add_metric([], 7, timestamp=NOW)
                    yield family
            NOW = int(time.time()) - 2
            registry.register(Own())
            port, ours = free(), free()
            start_http_server(port, '127.0.0.1', registry)
            collector(ours, '''
            global: {scrape_interval: 1s}
            scrape_configs: [{job_name: py, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
            ''' % port)
            wait(lambda: value(ours, 'up{job="py"}') == 1)
            # The form that both agree on is OpenMetrics. A label without a value is no label.
            page = get(port, '/metrics', {'Accept': 'application/openmetrics-text; version=1.0.0'})
            wanted = {key({k: v for k, v in one.labels.items() if v}, __name__=one.name): one.value
                for family in parse(page) for one in family.samples}
            found = {key({k: v for k, v in row['metric'].items() if k not in ('job', 'instance')}):
                float(row['value'][1]) for row in ask(ours, '{job="py", __name__!~"up|scrape_.*"}')}
            assert len(wanted) == 28 and wanted.keys() == found.keys(), wanted.keys() ^ found.keys()
            for one in wanted: assert repr(wanted[one]) == repr(found[one]), (one, wanted[one], found[one])
            times = ask(ours, 'timestamp(timed)')
            assert float(times[0]['value'][1]) == NOW, times
            rows = data(ours, '/api/v1/query_exemplars', query='{job="py"}', start=NOW - 100, end=NOW + 100)
            named = {(row['seriesLabels']['__name__'], row['seriesLabels'].get('le', ''), one['value'],
                json.dumps(one['labels'], sort_keys=True)) for row in rows for one in row['exemplars']}
            assert named == {('jobs_total', '', '3', '{"trace_id": "abc"}'),
                ('latency_seconds_bucket', '0.5', '0.25', '{"trace_id": "h1"}'),
                ('latency_seconds_bucket', '2.5e+06', '3', '{"span_id": "z", "trace_id": "h2"}')}, named
            known = {name: rows[0]['type'] for name, rows in data(ours, '/api/v1/metadata').items()}
            assert known == {'jobs': 'counter', 'temperature': 'gauge', 'nothing': 'gauge', 'size_bytes': 'summary',
                'latency_seconds': 'histogram', 'build': 'info', 'state': 'stateset', 'age': 'gaugehistogram',
                'odd': 'unknown', 'flags': 'stateset', 'timed': 'gauge'}, known
            assert data(ours, '/api/v1/metadata', metric='jobs')['jobs'][0]['help'] == 'Jobs \\ done\nso far'
            assert data(ours, '/api/v1/metadata', metric='size_bytes')['size_bytes'][0]['unit'] == 'bytes'
            """#)
    }

    @Test("both text forms of our pages are read by prometheus_client's parsers, the strict one too")
    func prometheusClientAsParser() throws {
        try MonitoringBench.run(
            #"""
            from prometheus_client.parser import text_string_to_metric_families as parse_text
            from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
            backend, port, metrics, ours = free(), free(), free(), free()
            write('g.yaml', 'services: {b: "http://127.0.0.1:%d"}\n' % backend
                + 'routes: [{path: /x, service: b, auth: none, method: GET}]\n')
            start(SDLAB, 'backend', '--port', str(backend))
            # Nobody takes the spans, but their traces have names.
            start(SDLAB, 'api-gateway', '--config', 'g.yaml', '--port', str(port), '--metrics', str(metrics),
                '--otlp', 'http://127.0.0.1:1')
            collector(ours, 'scrape_configs: [{job_name: g, scrape_interval: 1s, static_configs: [{targets: '
                + '["127.0.0.1:%d"]}]}]' % metrics)
            def up():
                try: return get(port, '/x') + get(metrics, '/metrics')
                except OSError: return None
            wait(up)
            for _ in range(20): get(port, '/x')
            for place in (metrics, ours):
                wait(lambda: value(ours, 'up') == 1)
                opened = get(place, '/metrics', {'Accept': 'application/openmetrics-text; version=1.0.0'})
                text, strict = list(parse_text(get(place, '/metrics'))), list(parse_open(opened))
                def names(families): return {key(s.labels, __name__=s.name) for f in families for s in f.samples}
                assert len(strict) > 10 and names(text) == names(strict), names(text) ^ names(strict)
                assert {f.type for f in text} == {f.type for f in strict}
                if place == metrics:
                    found = [f for f in strict if f.name == 'gateway_request_duration_seconds']
                    assert found[0].type == 'histogram' and found[0].documentation
                    assert any(len(s.exemplar.labels['trace_id']) == 32 for s in found[0].samples if s.exemplar)
            # What federation answers is such a page as well.
            page = get(ours, '/federate?' + urllib.parse.urlencode({'match[]': '{job="g"}'}))
            assert len([s for f in parse_text(page) for s in f.samples]) > 30, page
            """#)
    }

    @Test(
        "Prometheus federates from us and writes to us, and we federate from it: the same samples everywhere",
        .enabled(if: ProgramTool.canRun("prometheus")))
    func prometheus() throws {
        try MonitoringBench.run(
            #"""
            ours, theirs = free(), free()
            prometheus(theirs, '''
            global: {scrape_interval: 1s, external_labels: {from: prometheus}}
            scrape_configs:
            - {job_name: itself, static_configs: [{targets: ["127.0.0.1:%d"]}]}
            - {job_name: federate, honor_labels: true, metrics_path: /federate, params: {'match[]': ['{job="ours"}']},
               static_configs: [{targets: ["127.0.0.1:%d"]}]}
            remote_write:
            - url: "http://127.0.0.1:%d/api/v1/write"
              queue_config: {batch_send_deadline: 1s}
              write_relabel_configs: [{source_labels: [job], regex: itself, action: keep}]
            ''' % (theirs, ours, ours))
            collector(ours, '''
            global: {scrape_interval: 1s, external_labels: {lab: here}}
            scrape_configs:
            - {job_name: ours, static_configs: [{targets: ["127.0.0.1:%d"]}]}
            - {job_name: federate, honor_labels: true, metrics_path: /federate,
               params: {'match[]': ['{job="itself",__name__=~"go_.*"}']}, static_configs: [{targets: ["127.0.0.1:%d"]}]}
            ''' % (ours, theirs))
            def samples(port, query, at, **more):
                return {key(row['metric'], **more): row['values'] for row in ask(port, query, time=at)}
            wait(lambda: value(ours, 'count_over_time(up{job="itself",from="prometheus"}[1m])') > 8)
            wait(lambda: value(theirs, 'count_over_time(up{job="ours",lab="here"}[1m])') > 5)
            at = time.time() - 3
            # What was written to us is what they have.
            own = samples(theirs, '{job="itself"}[4s]', at, **{'from': 'prometheus'})
            mine = samples(ours, '{job="itself",from="prometheus"}[4s]', at)
            assert len(own) > 300 and own.keys() == mine.keys(), own.keys() ^ mine.keys()
            for one in own: assert own[one] == mine[one], (one, own[one], mine[one])
            # What they federate from us has our times and our external labels.
            taken, source = samples(theirs, '{job="ours"}[5s]', at), samples(ours, '{job="ours"}[9s]', at, lab='here')
            assert len(taken) > 15 and taken.keys() == source.keys(), taken.keys() ^ source.keys()
            for one in taken:
                assert all(sample in source[one] for sample in taken[one]), (one, taken[one], source[one])
            # And the other way round: they came by federation with the same labels as by the write, and are no
            # duplicates of those.
            count = 'count({job="itself",from="prometheus",__name__=~"go_.*"})'
            assert value(ours, 'up{job="federate"}') == 1
            assert value(ours, count) == value(theirs, 'count({job="itself",__name__=~"go_.*"})') > 20
            """#)
    }

    @Test(
        "VictoriaMetrics scrapes us and takes what we write to it; the two answer alike",
        .enabled(if: ProgramTool.canRun("victoria-metrics")))
    func victoriaMetrics() throws {
        try MonitoringBench.run(
            #"""
            ours, theirs = free(), free()
            write('v.yml', '''
            global: {scrape_interval: 1s}
            scrape_configs: [{job_name: ours, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
            ''' % ours)
            start(shutil.which('victoria-metrics'), '-promscrape.config=v.yml', '-storageDataPath=victoria',
                '-httpListenAddr=127.0.0.1:%d' % theirs, '-search.latencyOffset=0s', '-search.disableCache')
            collector(ours, '''
            global: {scrape_interval: 1s, external_labels: {lab: here}}
            scrape_configs: [{job_name: theirs, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
            remote_write: [{url: "http://127.0.0.1:%d/api/v1/write"}]
            ''' % (theirs, theirs))
            wait(lambda: value(ours, 'count_over_time(vm_rows{type="indexdb"}[1m])') > 8)
            wait(lambda: value(theirs, 'count_over_time(up{job="ours"}[1m])') > 5)
            assert value(theirs, 'prometheus_tsdb_head_series{job="ours"}') > 300
            end = int(time.time()) - 4
            wait(lambda: value(theirs, 'max(timestamp(up{job="theirs",lab="here"}))') > end)
            def rows(port, query):
                found = data(port, '/api/v1/query_range', query=query, start=end - 4, end=end, step=1)['result']
                return {key({k: v for k, v in row['metric'].items() if k != 'lab'}):
                    [(at, float(text)) for at, text in row['values']] for row in found}
            # VictoriaMetrics keeps twelve digits or so.
            def alike(a, b): return len(a) == len(b) and all(x[0] == y[0] and (x[1] == y[1] or
                abs(x[1] - y[1]) <= 1e-9 * abs(x[1])) for x, y in zip(a, b))
            for query in ('{job="theirs"@}', 'sum by (type) (vm_rows{job="theirs"@})',
                    'count by (__name__) ({job="theirs",__name__=~"go_.*"@})',
                    'histogram_quantile(0.5, sum by (le) (vm_none_bucket{job="theirs"@}))',
                    'max_over_time(go_goroutines{job="theirs"@}[3s]) + on (instance) go_goroutines{job="theirs"@}'):
                a, b = rows(ours, query.replace('@', '')), rows(theirs, query.replace('@', ',lab="here"'))
                assert a.keys() == b.keys(), (query, a.keys() ^ b.keys())
                assert a or 'none' in query, query
                for one in a: assert alike(a[one], b[one]), (query, one, a[one], b[one])
            assert value(ours, 'prometheus_remote_storage_samples_failed_total') == 0
            """#)
    }

    @Test(
        "an alert reaches Alertmanager, is seen by amtool, and is resolved there",
        .enabled(if: ProgramTool.canRun("prometheus-alertmanager", "amtool")))
    func alertmanager() throws {
        try MonitoringBench.run(
            #"""
            import http.server, threading
            ours, theirs, target = free(), free(), free()
            write('rules.yaml', '''
            groups:
            - name: g
              interval: 1s
              rules:
              - alert: Down
                expr: up{job="target"} == 0
                for: 1s
                labels: {severity: page}
                annotations: {summary: '{{ $labels.instance }} is down ({{ $value }})'}
            ''')
            alertmanager(theirs)
            collector(ours, '''
            global: {scrape_interval: 1s, evaluation_interval: 1s, external_labels: {lab: here}}
            scrape_configs: [{job_name: target, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
            rule_files: [rules.yaml]
            alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:%d"]}]}]}
            ''' % (target, theirs))
            def alerts():
                try: return json.loads(get(theirs, '/api/v2/alerts'))
                except OSError: return []
            one = wait(alerts)[0]
            assert one['labels'] == {'alertname': 'Down', 'instance': '127.0.0.1:%d' % target, 'job': 'target',
                'lab': 'here', 'severity': 'page'}, one
            assert one['annotations'] == {'summary': '127.0.0.1:%d is down (0)' % target}, one
            assert one['status']['state'] == 'active' and one['startsAt'] < one['endsAt'], one
            said = subprocess.run([shutil.which('amtool'), '--alertmanager.url=http://127.0.0.1:%d' % theirs,
                'alert', 'query', 'severity=page', '-o', 'simple'], capture_output=True, text=True)
            assert 'Down' in said.stdout and 'is down (0)' in said.stdout, said
            class Page(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(200)
                    self.send_header('Content-Type', 'text/plain')
                    self.end_headers()
                    self.wfile.write(b'x 1\n')
                def log_message(self, *_): pass
            server = http.server.ThreadingHTTPServer(('127.0.0.1', target), Page)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            # Within a few seconds: without being told it would take the four minutes that the alert had announced.
            wait(lambda: not alerts(), 30)
            """#)
    }

    @Test(
        "amtool reads our receiver, which shows an alert as Alertmanager does",
        .enabled(if: ProgramTool.canRun("prometheus-alertmanager", "amtool")))
    func receiverAsAlertmanager() throws {
        try MonitoringBench.run(
            #"""
            ours, receiver, theirs, target = free(), free(), free(), free()
            write('rules.yaml', '''
            groups:
            - name: g
              interval: 1s
              rules:
              - alert: Down
                expr: up{job="target"} == 0
                labels: {severity: page, text: 'a "b" ü'}
                annotations: {summary: 'it is down'}
            ''')
            alertmanager(theirs)
            start(SDLAB, 'alert-receiver', '--port', str(receiver))
            collector(ours, '''
            global: {scrape_interval: 1s, evaluation_interval: 1s}
            scrape_configs: [{job_name: target, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
            rule_files: [rules.yaml]
            alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:%d", "127.0.0.1:%d"]}]}]}
            ''' % (target, theirs, receiver))
            def alerts(port):
                try: return json.loads(get(port, '/api/v2/alerts'))
                except OSError: return []
            peer, own = wait(lambda: alerts(theirs))[0], wait(lambda: alerts(receiver))[0]
            assert peer.keys() == own.keys(), (peer, own)
            for key in ['annotations', 'fingerprint', 'generatorURL', 'labels', 'status']:
                assert peer[key] == own[key], (key, peer, own)
            link = 'http://collector:%d/graph?g0.expr=up%%7Bjob%%3D%%22target%%22%%7D+%%3D%%3D+0&g0.tab=1' % ours
            assert own['generatorURL'] == link, own
            for words, count in [([], 1), (['severity=page'], 1), (['severity=ticket'], 0), (['severity!=ticket'], 1),
                    (['alertname=~D.*', 'severity!~t.*'], 1), (['alertname=~D'], 0)]:
                said = subprocess.run([shutil.which('amtool'), '--alertmanager.url=http://127.0.0.1:%d' % receiver,
                    'alert', 'query', '-o', 'json', *words], capture_output=True, text=True)
                assert said.returncode == 0 and len(json.loads(said.stdout)) == count, (words, said)
            """#)
    }

    @Test("a process finds what its configuration names beside it, wherever it was started")
    func filesBesideConfiguration() throws {
        try MonitoringBench.run(
            #"""
            write('rules.yaml', 'groups: [{name: g, rules: [{record: a, expr: sum(up)}]}]')
            write('prom.yaml', 'rule_files: [rules.yaml]')
            os.mkdir(os.path.join(DIR, 'elsewhere'))
            for name in ['../prom.yaml', DIR + '/prom.yaml']:
                said = subprocess.run([SDLAB, 'metrics-collector', '--check', '--config', name],
                    cwd=os.path.join(DIR, 'elsewhere'), capture_output=True, text=True)
                assert said.stdout.strip() == name + ': OK, 0 targets, 1 rule', said
            """#)
    }
}
