import KernelStructures
import Testing

@testable import CacheEngine

/// Ends of keys: hidden from the millisecond on, and gone soon after, whether anybody reads them or not.
@Suite struct ExpiryTests {
    // @covers DC-C3 DC-H4
    @Test("a key is hidden from the moment of its end, and deleted by whoever asks")
    func lazy() {
        let fixture = CacheFixture()
        fixture.expect([("SET a 1 PX 1000", "OK"), ("PTTL a", "1000"), ("TTL nosuch", "-2")])
        fixture.pass(999)
        #expect(fixture.ask("GET a") == "1")
        fixture.pass(1)
        #expect(fixture.cache.keyCount == 1)
        #expect(fixture.ask("GET a") == "nil")
        #expect(fixture.cache.keyCount == 0)
        #expect(fixture.cache.statistics.lazilyExpiredKeys == 1)
    }

    @Test("conditions, moments long ago and persistence")
    func conditions() {
        CacheFixture().expect([
            ("SET a 1", "OK"), ("EXPIRE a 100 XX", "0"), ("EXPIRE a 100 GT", "0"), ("EXPIRE a 100 NX", "1"),
            ("EXPIRE a 50 GT", "0"), ("EXPIRE a 50 LT", "1"), ("TTL a", "50"), ("PERSIST a", "1"), ("TTL a", "-1"),
            ("EXPIRE a 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("PEXPIREAT a 9223372036854775807", "1"), ("EXPIRETIME a", "9223372036854776"), ("EXPIRE a -1", "1"),
            ("EXISTS a", "0"),
        ])
    }

    @Test("a new value has no end, unless it is told to keep the old one")
    func newValues() {
        CacheFixture().expect([
            ("SET a 1 EX 100", "OK"), ("SET a 2 KEEPTTL", "OK"), ("TTL a", "100"), ("APPEND a 3", "2"),
            ("TTL a", "100"), ("SET a 4", "OK"), ("TTL a", "-1"), ("SET a 5 EX 100", "OK"), ("GETSET a 6", "5"),
            ("TTL a", "-1"), ("SET n 1 EX 100", "OK"), ("INCR n", "2"), ("TTL n", "100"),
        ])
    }

    /// The bound that the wheel promises: 64 ms after the end, whatever else there is.
    // @covers DC-C3
    @Test("100,000 keys of a second that nobody reads are gone within the bound, and so is their memory")
    func active() {
        let fixture = CacheFixture()
        let before = fixture.cache.usedByteCount
        for number in 0..<100_000 {
            _ = fixture.cache.execute(["SET", "key:\(number)", "value", "PX", "\(1000 + number % 100)"])
        }
        _ = fixture.ask("SET stays 1 EX 100")
        fixture.pass(1100)
        var count = 0
        for _ in 0..<3 {
            fixture.pass(ExpiryWheel.tickMilliseconds / 2)
            count += fixture.cache.expireSome(limit: .max)
        }
        #expect(count == 100_000)
        #expect(fixture.cache.keyCount == 1)
        // What is left of it are the wheel's own places and the empty buckets on their way back.
        #expect(fixture.cache.dataByteCount < 200)
        #expect(fixture.cache.unusedSlabByteCount < 200_000)
        #expect(fixture.cache.usedByteCount - before < 4 << 20)
    }

    @Test("ends of all distances are found at their time, in any order, and a calendar that is put back loses none")
    func wheel() {
        var random = SeededRandom(seed: 7)
        var wheel = ExpiryWheel()
        var ends: [ItemID: Int] = [:]
        var now = 1_000_000
        for id in ItemID(1)...2000 {
            ends[id] = now + 1 + random.below(1 << (1 + random.below(34)))
            wheel.insert(id, expiry: ends[id]!, now: now)
        }
        for id in stride(from: ItemID(1), through: 2000, by: 7) {
            wheel.remove(id)
            ends[id] = nil
        }
        var steps = 0
        while !ends.isEmpty, steps < 20_000 {
            steps += 1
            if steps == 300 { now -= 500_000 }
            now += steps < 600 ? 100_000 : 50_000_000
            while let id = wheel.due(now: now, expiry: { ends[$0] ?? 0 }) {
                #expect(ends[id] ?? .max <= now)
                wheel.remove(id)
                ends[id] = nil
            }
            let late = ends.values.filter { $0 <= now - ExpiryWheel.tickMilliseconds }
            #expect(late.isEmpty, "step \(steps): \(late.count) are late")
            if !late.isEmpty { return }
        }
        #expect(ends.isEmpty && wheel.count == 0)
    }
}
