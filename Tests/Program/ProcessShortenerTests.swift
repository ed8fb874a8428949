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
