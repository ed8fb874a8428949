import TestSupport
import Testing

/// The server of flags as a process, and clients that this project did not write.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessFeatureFlagsTests {
    private func run(_ program: String) throws -> String {
        let port = try ProgramPort.free()
        let directory = try ProgramDirectory()
        let server = try ProgramProcess(["feature-flags", "--port", "\(port)", "--data-dir", directory.path + "/data"])
        try server.waitFor("Listening")
        defer { withExtendedLifetime((server, directory)) {} }
        return try TestPython.run("PORT, CACHE = \(port), '\(directory.path)'\n" + Self.preparation + program)
    }

    // @covers FLAG-C3 FLAG-C4
    @Test("Unleash's client decides as the server does, reports, and is told of changes")
    func unleash() throws {
        #expect(try run(Self.unleashProgram) == "ok\n")
    }

    @Test("OpenFeature's client of OFREP: values, variants, and errors")
    func openFeature() throws {
        #expect(try run(Self.openFeatureProgram) == "ok\n")
    }

    /// Three flags: one with a rule, one with variants, one with a segment.
    private static let preparation = #"""
        import json, logging, time, urllib.request
        logging.disable(logging.CRITICAL)
        def admin(method, path, body=None):
            r = urllib.request.Request('http://127.0.0.1:%d%s' % (PORT, path), method=method,
                data=None if body is None else json.dumps(body).encode(), headers={'Accept': 'application/json'})
            return json.load(urllib.request.urlopen(r))
        admin('POST', '/api/flags', {'name': 'f'})
        admin('PUT', '/api/flags/f/rollout', {'percent': 10})
        rule = 'user.country == "US" and not (user.beta or user.age < 18)'
        admin('POST', '/api/flags/f/rules', {'rule': rule, 'percent': 50})
        admin('POST', '/api/flags', {'name': 'color', 'type': 'variant'})
        admin('PUT', '/api/flags/color/variants', {'variants': [
            {'name': 'red', 'weight': 50, 'payload': {'type': 'string', 'value': '#f00'}},
            {'name': 'blue', 'weight': 50, 'payload': {'type': 'string', 'value': '#00f'}}]})
        admin('POST', '/api/flags/color/enable')
        admin('POST', '/api/segments', {'name': 'staff', 'constraints': [
            {'contextName': 'email', 'operator': 'STR_ENDS_WITH', 'values': ['@example.org']}]})
        admin('POST', '/api/flags', {'name': 's'})
        admin('PUT', '/api/flags/s/strategies', {'strategies': [{'name': 'default', 'segments': [1]}]})
        admin('POST', '/api/flags/s/enable')
        def user(n):
            known = {'country': 'US' if n % 2 else 'CA', 'age': str(n % 40), 'beta': 'true' if n % 7 == 0 else 'false'}
            return {'userId': str(n), 'properties': known}
        users = [user(n) for n in range(200)]

        """#

    private static let unleashProgram = #"""
        from UnleashClient import UnleashClient
        def client(name, **more):
            c = UnleashClient('http://127.0.0.1:%d/api' % PORT, name, custom_headers={'Authorization': 'key'},
                cache_directory=CACHE + '/' + name, **more)
            c.initialize_client()
            return c
        def wait(condition, seconds=10):
            start = time.time()
            while not condition() and time.time() - start < seconds: time.sleep(0.005)
            assert condition()
            return time.time() - start
        c = client('poll', refresh_interval=1, metrics_interval=1)
        wait(lambda: c.is_enabled('color'))
        for u in users:
            mine = admin('POST', '/api/flags/f/evaluate', {'id': u['userId'], **u['properties']})['enabled']
            assert c.is_enabled('f', u) == mine, u
            v = c.get_variant('color', u)
            mine = admin('POST', '/api/flags/color/evaluate', {'id': u['userId']})['variant']
            assert v['name'] == mine['name'] and v['payload']['value'] == mine['payload']['value'], (v, mine)
        assert c.is_enabled('s', {'properties': {'email': 'a@example.org'}})
        assert not c.is_enabled('s', {'properties': {'email': 'a@example.com'}})
        wait(lambda: admin('GET', '/api/flags/f/stats')['evaluations'] >= 200)
        s = client('stream', refresh_interval=600, experimental_mode={'type': 'streaming'})
        wait(lambda: s.is_enabled('color'))
        admin('POST', '/api/flags/color/kill')
        wait(lambda: not s.is_enabled('color'), 5)
        wait(lambda: not c.is_enabled('color'))
        admin('POST', '/api/flags/color/enable')
        c.destroy(); s.destroy()
        print('ok')
        """#

    private static let openFeatureProgram = #"""
        from openfeature import api
        from openfeature.contrib.provider.ofrep import OFREPProvider
        from openfeature.evaluation_context import EvaluationContext
        api.set_provider(OFREPProvider('http://127.0.0.1:%d' % PORT))
        o = api.get_client()
        for u in users[:50]:
            x = EvaluationContext(u['userId'], u['properties'])
            mine = admin('POST', '/api/flags/f/evaluate', {'id': u['userId'], **u['properties']})['enabled']
            assert o.get_boolean_value('f', not mine, x) == mine
            d = o.get_string_details('color', 'none', x)
            assert d.value in ('#f00', '#00f') and d.variant in ('red', 'blue'), d
        d = o.get_boolean_details('nothing', True, EvaluationContext('1'))
        assert d.value and d.error_code.value == 'FLAG_NOT_FOUND', d
        d = o.get_boolean_details('color', False, EvaluationContext('1'))
        assert d.error_code.value == 'TYPE_MISMATCH', d
        print('ok')
        """#
}
