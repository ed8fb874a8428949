import Glibc
import TestSupport
import Testing

/// Queries that take minutes, asked of a collector: everybody else is answered as if they were not there, and targets
/// are scraped in time.
@Suite(.serialized, .enabled(if: TestPython.canRun)) struct ProcessCollectorLongTests {
    /// A collector that scrapes itself, and a question that it would calculate at for minutes: many steps, each with
    /// many windows.
    private static let start = #"""
        import http.client, signal, threading
        ours = free()
        rules = 'scrape_configs: [{job_name: own, scrape_interval: 1s, static_configs: [{targets: ["127.0.0.1:%d"]}]}]'
        server = collector(ours, rules % ours, *MORE)
        def up():
            try: return get(ours, '/-/ready') and value(ours, 'up{job="own"}') == 1
            except OSError: return None
        wait(up)
        now = time.time()
        endless = urllib.parse.urlencode({
            'query': 'sum_over_time(vector(1)[8d:1s])', 'start': now - 10990, 'end': now, 'step': 1})
        def ask_endless(more=''):
            connection = http.client.HTTPConnection('127.0.0.1', ours, timeout=60)
            connection.request('GET', '/api/v1/query_range?' + endless + more)
            return connection
        def under_way():
            page = get(ours, '/metrics')
            return int(next(line.split()[1] for line in page.splitlines()
                if line.startswith('prometheus_engine_queries ')))
        def memory():
            with open('/proc/%d/statm' % server.pid) as file: return int(file.read().split()[1]) * 4096
        """#

    private func run(more: String = "[]", _ session: String) throws {
        try MonitoringBench.run("MORE = \(more)\n" + Self.start + "\n" + session)
    }

    @Test(
        "others' queries take milliseconds beside three of them, targets are scraped, a client that leaves ends its own"
    )
    func others() throws {
        try run(
            #"""
            before = memory()
            long = [ask_endless() for _ in range(3)]
            wait(lambda: under_way() == 3)
            times = []
            for i in range(100):
                began = time.perf_counter()
                assert value(ours, 'count(up)') == 1 and get(ours, '/-/ready')
                times.append(time.perf_counter() - began)
            # Three who take long have a millisecond or so each, and the machine may be a busy one.
            assert sorted(times)[50] < 0.25, sorted(times)[50]
            time.sleep(3)
            count = value(ours, 'count_over_time(up[3s])')
            assert count >= 2 and value(ours, 'min_over_time(up[3s])') == 1, count
            assert under_way() == 3
            for one in long: one.close()
            wait(lambda: under_way() == 0, 20)
            time.sleep(1)
            assert memory() < before + (100 << 20), (before, memory())
            """#)
    }

    @Test(
        "rules that take long keep nobody waiting, what stands behind them is evaluated, and what is due meanwhile is left out"
    )
    func rules() throws {
        try MonitoringBench.run(
            #"""
            ours = free()
            write('rules.yaml', json.dumps({'groups': [{'name': 'slow', 'interval': '1s', 'rules': [
                {'record': 'first', 'expr': 'vector(7)'},
                {'record': 'long', 'expr': 'sum_over_time(sum_over_time(vector(1)[8d:1s])[20m:1s])'},
                {'alert': 'Behind', 'expr': 'long > 1 and first == 7'}]}]}))
            server = collector(ours, 'rule_files: [rules.yaml]')
            def count(name):
                page = get(ours, '/metrics')
                return int(next(line.split()[1] for line in page.splitlines() if line.startswith(name + ' ')))
            def up():
                try: return get(ours, '/-/ready')
                except OSError: return None
            wait(up)
            # While it is under way others are answered; its result is there when it ends, and the alert with it.
            wait(lambda: count('prometheus_engine_queries') == 1)
            times = []
            while not value(ours, 'long'):
                began = time.perf_counter()
                assert get(ours, '/-/ready')
                times.append(time.perf_counter() - began)
                assert len(times) < 100000
            assert len(times) > 3 and sorted(times)[len(times) // 2] < 0.25, times
            assert value(ours, 'long') > 800_000_000, value(ours, 'long')
            wait(lambda: value(ours, 'ALERTS{alertname="Behind"}') == 1)
            wait(lambda: count('prometheus_rule_group_iterations_missed_total') > 0)
            assert count('prometheus_rule_group_iterations_total') > 0
            # A reload in the midst begins them anew, and a stop ends them.
            wait(lambda: count('prometheus_engine_queries') == 1)
            get(ours, '/-/reload', data=b'')
            wait(lambda: count('prometheus_engine_queries') == 1)
            stop(server)
            """#)
    }

    @Test("explain and backtest take long without keeping anybody waiting")
    func explanations() throws {
        try run(
            #"""
            def ask(path, **parameters):
                connection = http.client.HTTPConnection('127.0.0.1', ours, timeout=60)
                connection.request('GET', path + '?' + urllib.parse.urlencode(parameters))
                return connection
            query = 'sum_over_time(sum_over_time(vector(1)[8d:1s])[3h:1s])'
            for one in [
                lambda: ask('/api/v1/explain', query=query),
                lambda: ask('/api/v1/backtest', alert='sum_over_time(vector(1)[8d:1s]) > 1', start=now - 10990,
                    end=now, **{'for': '0s'}),
            ]:
                asked = one()
                wait(lambda: under_way() == 1)
                began = time.perf_counter()
                assert get(ours, '/-/ready')
                assert time.perf_counter() - began < 5
                asked.close()
                wait(lambda: under_way() == 0, 20)
            """#)
    }

    @Test(
        "its time ends it with Prometheus's words; more than 20 wait; SIGTERM and SIGKILL end the collector meanwhile")
    func ends() throws {
        try run(
            more: "['--drain-timeout', '1s']",
            #"""
            began = time.time()
            answer = ask_endless('&timeout=1s').getresponse()
            said = json.loads(answer.read())
            assert answer.status == 503 and said['errorType'] == 'timeout', said
            assert said['error'] == 'query timed out in expression evaluation', said
            assert 0.9 < time.time() - began < 10, time.time() - began
            long = [ask_endless('&timeout=100s') for _ in range(25)]
            wait(lambda: under_way() == 25)
            assert get(ours, '/-/ready')
            for one in long[3:]: one.close()
            wait(lambda: under_way() == 3)
            server.terminate()
            assert server.wait(30) == 0, server.returncode
            again = collector(ours, rules % ours)
            wait(up)
            one = ask_endless()
            wait(lambda: under_way() == 1)
            again.send_signal(signal.SIGKILL)
            assert again.wait(10) == -9
            collector(ours, rules % ours)
            wait(up)
            """#)
    }
}
