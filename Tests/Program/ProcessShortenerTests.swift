import Glibc
import TestSupport
import Testing

/// The shortener as a process, and clients that this project did not write.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessShortenerTests {
    private func run(_ flags: [String] = [], _ program: String) throws -> String {
        let port = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let server = try ProgramProcess(
            [
                "urlshortener", "--port", "\(port)", "--db", directory.path + "/links.db", "--clicks",
                directory.path + "/c",
            ]
                + flags)
        try server.waitFor("Listening")
        defer { withExtendedLifetime((server, directory)) {} }
        return try TestPython.run("PORT = \(port)\nBASE = 'http://127.0.0.1:%d' % PORT\n" + program)
    }

    @Test("YOURLS's client: shorten, expand, statistics, and each of its errors")
    func yourls() throws {
        #expect(try run(["--api-key", "secret"], Self.yourlsProgram) == "ok\n")
    }

    private static let yourlsProgram = #"""
        import datetime, requests, yourls
        from yourls.exceptions import *
        client = yourls.YOURLSClient(BASE + '/yourls-api.php', signature='secret')
        made = client.shorten('https://example.com/a', keyword='a', title='A page')
        assert made.shorturl == BASE + '/a' and made.keyword == 'a'
        assert made.url == 'https://example.com/a' and made.title == 'A page'
        assert abs(made.date - datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)).total_seconds() < 60
        def refused(kind, *words, **more):
            try: client.shorten(*words, **more)
            except kind as error: return error
            raise AssertionError(kind)
        assert refused(YOURLSKeywordExistsError, 'https://example.com/b', keyword='a').keyword == 'a'
        again = refused(YOURLSURLExistsError, 'https://example.com/a', keyword='a', title='A page')
        assert again.url.shorturl == made.shorturl
        refused(YOURLSNoLoopError, BASE + '/a')
        refused(YOURLSNoURLError, None)
        refused(YOURLSHTTPError, 'javascript:alert(1)')
        other = client.shorten('https://example.com/c')
        assert client.expand('a') == client.expand(made.shorturl) == 'https://example.com/a'
        try: client.expand('nothing')
        except YOURLSHTTPError: pass
        else: raise AssertionError('nothing')
        for _ in range(3): assert requests.get(made.shorturl, allow_redirects=False).status_code == 301
        assert client.url_stats('a').clicks == 3
        links, totals = client.stats('top', 2)
        assert [one.url for one in links] == ['https://example.com/a', 'https://example.com/c'], links
        assert (totals.total_clicks, totals.total_links) == (3, 2) and client.db_stats() == totals
        assert client.stats('last', 1, start=1)[0][0].url == 'https://example.com/a'
        try: yourls.YOURLSClient(BASE + '/yourls-api.php', signature='wrong').db_stats()
        except requests.HTTPError as error: assert error.response.status_code == 401
        else: raise AssertionError('a wrong signature opens it')
        print('ok')
        """#

    // @covers URL-C3
    @Test("killed again and again under load: each click whose name somebody has seen is in the books")
    func kills() throws {
        let port = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let flags = [
            "urlshortener", "--port", "\(port)", "--db", directory.path + "/links.db", "--clicks",
            directory.path + "/c", "--flush", "300ms",
        ]
        let begin = "PORT, PLACE = \(port), '\(directory.path)'\n" + Self.visits
        for round in 0..<(isLong ? 10 : 3) {
            let server = try ProgramProcess(flags)
            try server.waitFor("Listening")
            #expect(try TestPython.run("PID, ROUND = \(server.pid), \(round)\n" + begin + Self.killing) == "ok\n")
            _ = try server.waitForExit()
        }
        let server = try ProgramProcess(flags)
        try server.waitFor("Listening")
        #expect(try TestPython.run(begin + Self.looking) == "ok\n")
        withExtendedLifetime(server) {}
    }

    private static let visits = #"""
        import json, os, re, signal, socket, threading, time, urllib.request
        def post(path, body, kind):
            request = urllib.request.Request(
                'http://127.0.0.1:%d%s' % (PORT, path), body.encode(), {'Content-Type': kind})
            return json.loads(urllib.request.urlopen(request, timeout=30).read())

        """#

    /// Visitors one by one and many at once, until the server is gone; what they have seen is kept in a file.
    private static let killing = #"""
        if ROUND == 0: post('/api/shorten', '{"url": "https://example.com/", "alias": "go"}', 'application/json')
        seen, lock = [], threading.Lock()
        def visit(depth):
            mine, rest = [], b''
            server = socket.create_connection(('127.0.0.1', PORT))
            try:
                while True:
                    server.sendall(b'GET /go HTTP/1.1\r\nHost: x\r\n\r\n' * depth)
                    for _ in range(depth):
                        while b'\r\n\r\n' not in rest:
                            more = server.recv(65536)
                            if not more: raise ConnectionError
                            rest += more
                        head, rest = rest.split(b'\r\n\r\n', 1)
                        mine.append(re.search(rb'X-Click-Id: ([0-9a-f]{32})', head)[1].decode())
            except OSError: pass
            with lock: seen.extend(mine)
        visitors = [threading.Thread(target=visit, args=(depth,)) for depth in (1, 1, 8, 500)]
        for one in visitors: one.start()
        time.sleep(0.7)
        os.kill(PID, signal.SIGKILL)
        for one in visitors: one.join()
        assert len(seen) > 100 and len(set(seen)) == len(seen), len(seen)
        with open(PLACE + '/seen', 'a') as file: file.write(''.join(one + '\n' for one in seen))
        print('ok')
        """#

    private static let looking = #"""
        ids = open(PLACE + '/seen').read().split()
        found = 0
        for begin in range(0, len(ids), 50000):
            answer = post('/api/audit', '\n'.join(ids[begin:begin + 50000]), 'text/plain')
            assert answer['missing'] == answer['unknown'] == answer['waiting'] == 0, answer
            found += answer['in_books']
        assert found == len(ids) == len(set(ids))
        address = 'http://127.0.0.1:%d/api/stats/go' % PORT
        clicks = json.loads(urllib.request.urlopen(address, timeout=30).read())['clicks']
        assert clicks >= len(ids), (clicks, len(ids))
        print('ok')
        """#

    // @covers URL-B1 URL-C4
    @Test(
        "two shorteners on a PostgreSQL of others: an alias is given once, what one learns both know, a kill loses nothing",
        .enabled(if: ProgramPostgres.canRun))
    func postgres() throws {
        let postgres = try ProgramPostgres()
        let directory = try ProgramDirectory()
        let ports = [try ProgramPort.free(), try ProgramPort.free()]
        func start(_ index: Int) throws -> ProgramProcess {
            let server = try ProgramProcess([
                "urlshortener", "--name", "number-\(index)", "--port", "\(ports[index])", "--db",
                "postgres://postgres@127.0.0.1:\(postgres.port)/postgres", "--clicks",
                directory.path + "/clicks-\(index)", "--flush", "300ms",
            ])
            try server.waitFor("Listening")
            return server
        }
        let servers = [try start(0), try start(1)]
        let begin = "PORTS, PLACE = \(ports), '\(directory.path)'\n" + Self.asking
        #expect(try TestPython.run(begin + Self.sharing) == "ok\n")
        servers[0].send(SIGKILL)
        _ = try servers[0].waitForExit()
        let again = try start(0)
        #expect(try TestPython.run(begin + Self.counting) == "ok\n")
        withExtendedLifetime((servers, again)) {}
    }

    private static let asking = #"""
        import http.client, json, threading, time
        def ask(side, method, path, body=None, key=None, host=None):
            connection = http.client.HTTPConnection('127.0.0.1', PORTS[side], timeout=20)
            fields = {'Content-Type': 'application/json'}
            if key: fields['X-Api-Key'] = key
            if host: fields['Host'] = host
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            text = answer.read()
            connection.close()
            is_json = answer.getheader('Content-Type', '').startswith('application/')
            return answer.status, json.loads(text) if text and is_json else answer.getheader('Location')
        def wait(condition):
            start = time.monotonic()
            while not condition():
                assert time.monotonic() - start < 10
                time.sleep(0.01)

        """#

    private static let sharing = #"""
        ops = ask(0, 'POST', '/api/keys', {'name': 'ops', 'role': 'admin'})[1]['key']
        wait(lambda: ask(1, 'GET', '/api/links')[0] == 401)
        statuses = []
        def make(side):
            statuses.append(ask(side, 'POST', '/api/shorten', {'url': 'http://a/', 'alias': 'mine'}, ops)[0])
        makers = [threading.Thread(target=make, args=(number % 2,)) for number in range(40)]
        for one in makers: one.start()
        for one in makers: one.join()
        assert sorted(statuses) == [201] + [409] * 39, statuses
        shop = ask(1, 'POST', '/api/keys', {'name': 'shop', 'role': 'domain', 'domain': 'a.example'}, ops)[1]['key']
        ann = ask(1, 'POST', '/api/keys', {'name': 'ann', 'role': 'author', 'domain': 'a.example'}, ops)[1]['key']
        bob = ask(1, 'POST', '/api/keys', {'name': 'bob'}, ops)[1]['key']
        wait(lambda: ask(0, 'GET', '/api/links', None, bob)[0] == 200)
        for key, alias in [(shop, 'one'), (ann, 'two'), (bob, 'three')]:
            made = ask(0, 'POST', '/rest/v3/short-urls',
                {'longUrl': 'http://a/', 'customSlug': alias, 'tags': [alias], 'findIfExists': True}, key)
            assert made[0] == 200 and made[1]['shortCode'] == alias, made
        ask(0, 'POST', '/rest/v3/short-urls', {'longUrl': 'http://a/', 'customSlug': 'one'}, ops)
        for side in (0, 1):
            for key, slugs in [(ops, 5), (shop, 2), (ann, 1), (bob, 1)]:
                found = ask(side, 'GET', '/rest/v3/short-urls?tagsMode=any&orderBy=visits-DESC', None, key)
                assert found[1]['shortUrls']['pagination']['totalItems'] == slugs, (side, slugs, found)
                assert len(ask(side, 'GET', '/api/links', None, key)[1]['links']) == slugs
                for path in ['/rest/v3/tags', '/rest/v3/visits', '/rest/v3/visits/orphan', '/rest/v3/domains',
                             '/yourls-api.php?action=stats&filter=top&limit=2&format=json']:
                    answer = ask(side, 'GET', path, None, key)
                    assert answer[0] == 200, (path, answer)
            domains = ask(side, 'GET', '/rest/v3/domains', None, shop)[1]['domains']['data']
            assert [one['domain'] for one in domains] == ['a.example'], domains
            assert len(ask(side, 'GET', '/rest/v3/domains', None, bob)[1]['domains']['data']) == 1
            assert ask(side, 'GET', '/api/links/one/history', None, shop) == (200, [])
        for side in (0, 1):
            for _ in range(10): assert ask(side, 'GET', '/mine') == (301, 'http://a/')
        assert ask(1, 'PATCH', '/api/links/mine', {'url': 'http://new/'}, ops)[0] == 200
        wait(lambda: ask(0, 'HEAD', '/mine')[1] == 'http://new/')
        assert ask(0, 'PATCH', '/rest/v3/domains/redirects',
            {'domain': 'a.example', 'invalidShortUrlRedirect': 'http://lost/{ORIGINAL_PATH}'}, shop)[0] == 200
        wait(lambda: ask(1, 'GET', '/none', host='a.example') == (302, 'http://lost/none'))
        for _ in range(5): assert ask(0, 'GET', '/mine')[0] == 301
        with open(PLACE + '/key', 'w') as file: file.write(ops)
        print('ok')
        """#

    private static let counting = #"""
        ops = open(PLACE + '/key').read()
        for side in (0, 1): wait(lambda: ask(side, 'GET', '/api/stats/mine', None, ops)[1]['clicks'] == 25)
        assert ask(0, 'GET', '/api/audit', None, ops)[1]['differences'] == []
        print('ok')
        """#

    @Test("schemathesis, on the document that the service keeps: every answer is as described, and none is a 500")
    func schemathesis() throws {
        #expect(try run(["--create-limit", "0"], Self.schemathesisProgram) == "ok\n")
    }

    private static let schemathesisProgram = #"""
        import os, subprocess, sys, tempfile
        # It keeps what it has found in the directory in which it runs.
        program = os.path.join(os.path.dirname(sys.executable), 'schemathesis')
        with tempfile.TemporaryDirectory() as place:
            done = subprocess.run(
                [program, 'run', BASE + '/openapi.json', '--phases',
                 'examples,coverage,fuzzing', '--max-examples', '8', '--seed', '7', '--workers', '1', '--checks',
                 'not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance',
                 '--no-color'], capture_output=True, text=True, timeout=100, cwd=place)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        print('ok')
        """#
}
