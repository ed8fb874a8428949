import TestSupport
import Testing

/// The cache node under a cache library's own suite, and its account of its memory beside the system's.
@Suite(.enabled(if: TestPython.canRun)) struct ProcessCacheClientTests {
    @Test("dogpile.cache's own suite for backends passes: its Redis backend, and its lock between processes")
    func dogpile() throws {
        let port = try ProgramPort.free()
        let node = try ProgramProcess.service("cache-node", port: port)
        let directory = try ProgramDirectory()
        let said = try TestPython.run("PLACE = '\(directory.path)'\nPORT = \(port)\n" + Self.suite)
        #expect(said.contains(" passed") && !said.contains(" failed") && !said.contains(" error"), "\(said)")
        #expect(node.isRunning)
    }

    /// As in `tests/cache/test_redis_backend.py` of dogpile.cache, which its wheel does not bring: the classes that the
    /// wheel does bring, with our node's place.
    private static let suite = #"""
        import os, sys, pytest
        with open(os.path.join(PLACE, 'test_node.py'), 'w') as file:
            file.write('\n'.join([
                'from dogpile.testing.fixtures import _GenericBackendTestSuite, _GenericMutexTestSuite',
                'from dogpile.testing.fixtures import _GenericSerializerTestSuite',
                f'place = {{"host": "127.0.0.1", "port": {PORT}}}',
                'class RedisTest(_GenericBackendTestSuite):',
                '    backend, config_args = "dogpile.cache.redis", {"arguments": place}',
                'class RedisSerializerTest(_GenericSerializerTestSuite, RedisTest): pass',
                'class RedisMutexTest(_GenericMutexTestSuite):',
                '    backend = "dogpile.cache.redis"',
                '    config_args = {"arguments": dict(place, distributed_lock=True)}',
                'class RedisTimeoutMutexTest(_GenericMutexTestSuite):',
                '    backend = "dogpile.cache.redis"',
                '    config_args = {"arguments": dict(place, distributed_lock=True, lock_timeout=10, lock_sleep=0.01)}',
            ]))
        sys.exit(pytest.main(
            ['-q', '-p', 'no:cacheprovider', '-W', 'ignore', '-o', 'python_classes=*Test', '--rootdir', PLACE, PLACE]))
        """#

    // A counter that leaves out the table, the links and what an allocator rounds up would be at half of it; one that
    // leaves out an object's own fields, beyond the tenth for small hashes.
    // @covers DC-C3
    @Test(
        "what it counts as used is what the system says it takes, within a tenth",
        arguments: ["string", "hash", "list", "set", "zset", "large hash"])
    func memory(kind: String) throws {
        let port = try ProgramPort.free()
        let node = try ProgramProcess.service("cache-node", port: port)
        let before = try node.memoryBytes("VmRSS")
        let count = ProgramSize.full(1_000_000, else: kind == "string" ? 200_000 : 100_000)
        let used = try TestPython.run("PORT, COUNT, KIND = \(port), \(count), '\(kind)'\n" + Self.filling)
        let grown = Double(try node.memoryBytes("VmRSS") - before)
        let counted = try #require(Double(used.split(separator: "\n").first ?? ""))
        #expect(abs(grown - counted) < grown / 10, "\(kind): \(grown) taken, \(counted) counted")
    }

    private static let filling = """
        import redis
        r = redis.Redis(port=PORT)
        before = r.info('memory')['used_memory']
        WRITES = {
            'string': lambda p, i: p.set(f'key:{i}', 'x' * 100),
            'hash': lambda p, i: p.hset(f'key:{i}', 'name', f'name {i}'),
            'list': lambda p, i: p.rpush(f'key:{i}', f'first {i}', 'x' * 30),
            'set': lambda p, i: p.sadd(f'key:{i}', f'first {i}', 'x' * 30),
            'zset': lambda p, i: p.zadd(f'key:{i}', {f'first {i}': i, 'x' * 30: 1}),
            'large hash': lambda p, i: p.hset(f'key:{i % 100}', f'field {i}', 'x' * 30),
        }
        for begin in range(0, COUNT, 10_000):
            p = r.pipeline(transaction=False)
            for i in range(begin, begin + 10_000): WRITES[KIND](p, i)
            p.execute()
        print(r.info('memory')['used_memory'] - before)
        """
}
