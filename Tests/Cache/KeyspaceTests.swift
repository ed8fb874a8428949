import KernelStructures
import KernelWire
import TestSupport
import Testing

@testable import CacheEngine

/// The table of keys, the slab and the memory they say they take.
@Suite struct KeyspaceTests {
    @Test("keys come and go beside a dictionary, while the table grows and shrinks")
    func model() {
        let fixture = CacheFixture()
        var model: [String: String] = [:]
        var random = SeededRandom(seed: 3)
        for round in 0..<(isLong ? 400_000 : 40_000) {
            let key = "k\(random.below(round < 20_000 ? 20_000 : 200))"
            switch random.below(4) {
            case 0, 1:
                let value = String(repeating: "v", count: random.below(60))
                model[key] = value
                _ = fixture.cache.execute(["SET", key, value])
            case 2:
                let isThere = model.removeValue(forKey: key) != nil
                #expect(fixture.cache.execute(["DEL", key]) == .integer(isThere ? 1 : 0))
            default: #expect(fixture.cache.execute(["GET", key]).text == model[key])
            }
        }
        for key in model.keys { #expect(fixture.cache.execute(["GET", key]).text == model[key]) }
        #expect(fixture.cache.keyCount == model.count)
    }

    @Test("SCAN gives each key that is there all the time exactly once, though the table grows and shrinks meanwhile")
    func scan() {
        let fixture = CacheFixture()
        var random = SeededRandom(seed: 5)
        for number in 0..<3000 { _ = fixture.cache.execute(["SET", "stays:\(number)", "1"]) }
        var seen: [String: Int] = [:]
        var cursor = "0"
        var round = 0
        repeat {
            let reply = fixture.cache.execute(["SCAN", cursor, "COUNT", "20"])
            cursor = reply.elements?[0].text ?? "?"
            for key in reply.elements?[1].elements ?? [] { seen[key.text ?? "", default: 0] += 1 }
            round += 1
            // First ten times as many keys come, then all but the first go.
            for _ in 0..<400 {
                let key = "passes:\(random.below(30_000))"
                _ = fixture.cache.execute(round < 60 ? ["SET", key, "1"] : ["DEL", key])
            }
        } while cursor != "0" && round < 100_000
        for number in 0..<3000 { #expect(seen["stays:\(number)"] == 1) }
    }

    @Test("values of all kinds leave no byte behind")
    func accounting() {
        let fixture = CacheFixture()
        var random = SeededRandom(seed: 11)
        let empty = fixture.cache.dataByteCount
        for _ in 0..<20_000 {
            let key = "k\(random.below(50))"
            let member = String(random.below(300))
            let command = [
                "SET \(key) \(member)", "APPEND \(key) \(member)", "HSET \(key) \(member) x", "HDEL \(key) \(member)",
                "RPUSH \(key) \(member)", "LPOP \(key)", "SADD \(key) \(member)", "SREM \(key) \(member)",
                "ZADD \(key) \(member) m\(member)", "ZREM \(key) m\(member)", "DEL \(key)", "SETRANGE \(key) 40 x",
                "LINSERT \(key) BEFORE \(member) y", "RENAME \(key) k\(random.below(50))",
                "COPY \(key) k\(random.below(50)) REPLACE",
                "PEXPIRE \(key) 10", "SADD \(key) name\(member)", "LTRIM \(key) 1 20", "SPOP \(key)",
            ][random.below(19)]
            _ = fixture.ask(command)
            if random.below(100) == 0 { fixture.pass(20) }
        }
        for id in stride(from: ItemID(1), to: ItemID(fixture.cache.slab.limit), by: 1) {
            guard fixture.cache.slab[id].pointee.isLive, fixture.cache.slab[id].pointee.kind != .string else {
                continue
            }
            let object = fixture.cache.slab[id].pointee.object
            #expect(object.byteCount == object.countedByteCount)
            if let set = object as? CacheSortedSet { #expect(set.isSound) }
        }
        for number in 0..<50 { _ = fixture.ask("DEL k\(number)") }
        #expect(fixture.cache.dataByteCount == empty)
        #expect(fixture.cache.keyCount == 0)
    }

    @Test("slots are Redis's: by the checksum of the key, or of what stands in braces")
    func slots() {
        #expect(SlotNumber.of(Array("123456789".utf8)) == 0x31C3)
        #expect(SlotNumber.of(Array("foo".utf8)) == 12182)
        #expect(SlotNumber.of(Array("{user1000}.following".utf8)) == SlotNumber.of(Array("user1000".utf8)))
        #expect(SlotNumber.of(Array("foo{}{bar}".utf8)) == 8363)
        let fixture = CacheFixture { $0.keepsSlots = true }
        for number in 0..<100 { _ = fixture.ask("SET {a}\(number) 1") }
        let slot = SlotNumber.of(Array("a".utf8))
        #expect(fixture.cache.keyCount(inSlot: slot) == 100)
        #expect(fixture.cache.keys(inSlot: slot, limit: 3).count == 3)
        fixture.cache.setCopy(slot: slot, true)
        _ = fixture.ask("PEXPIREAT {a}1 1")
        #expect(fixture.cache.keyCount(inSlot: slot) == 100)
        #expect(fixture.ask("GET {a}1") == "nil")
        #expect(fixture.cache.removeKeys(inSlot: slot) == 100)
        #expect(fixture.cache.keyCount == 0)
    }

    @Test("an effect makes the same change in a copy")
    func effects() {
        let original = CacheFixture()
        let copy = CacheFixture(seed: 9)
        original.cache.onEffect = { copy.cache.apply($0) }
        var random = SeededRandom(seed: 13)
        for round in 1...5000 {
            let key = "k\(random.below(8))"
            let member = String(random.below(20))
            _ = original.ask(
                [
                    "SET \(key) \(member) PX \(1 + random.below(40))", "INCRBYFLOAT \(key) 0.1", "SPOP \(key) 2",
                    "SADD \(key) \(member) a\(member)", "ZADD \(key) \(member) a 1 b 2 c", "ZPOPMIN \(key)",
                    "DEL \(key)",
                    "HINCRBYFLOAT \(key) f 0.3", "LPUSH \(key) a b c", "LMPOP 2 \(key) k1 LEFT COUNT 2",
                    "GETEX \(key) PX 5",
                    "GETDEL \(key)", "EXPIRE \(key) 0", "RENAME \(key) k\(random.below(8))", "GETSET \(key) \(member)",
                    "BLPOP \(key) 0", "LMOVE \(key) k2 LEFT RIGHT", "SETEX \(key) 1 x",
                ][random.below(18)])
            if random.below(20) == 0 { original.pass(10) }
            copy.cache.now = original.cache.now
            if round % 50 == 0 { compare(original, copy) }
        }
    }

    private func compare(_ original: CacheFixture, _ copy: CacheFixture) {
        for number in 0..<8 {
            let key = Array("k\(number)".utf8)
            #expect(original.cache.exists(key) == copy.cache.exists(key))
            #expect(original.cache.expiry(of: key) == copy.cache.expiry(of: key))
            for read in ["GET", "SMEMBERS", "HGETALL", "LRANGE 0 -1", "ZRANGE 0 -1 WITHSCORES"] {
                let words = read.split(separator: " ")
                let question = ([words[0]] + ["k\(number)"] + words.dropFirst()).joined(separator: " ")
                // The order of a set's members depends on what was removed, and when.
                func answer(_ fixture: CacheFixture) -> [String] {
                    fixture.ask(question).split(separator: " ").map { $0.filter { !"[]".contains($0) } }.sorted()
                }
                #expect(answer(original) == answer(copy), "\(question)")
            }
        }
    }
}
