import CacheLayerEngine
import KernelStructures
import TestSupport
import Testing

/// What is stored, and what somebody else may have made of it.
@Suite struct CodingTests {
    private func entry(_ seed: UInt64) -> SharedEntry {
        var random = SeededRandom(seed: seed)
        var entry = SharedEntry(id: (random.next(), random.next()), isLease: random.chance(0.2))
        entry.version = random.next()
        entry.loadedAt = LabTime(nanoseconds: Int64(bitPattern: random.next()))
        entry.loadDuration = LabDuration(nanoseconds: Int64(bitPattern: random.next()))
        entry.freshUntil = LabTime(nanoseconds: Int64(bitPattern: random.next()))
        entry.tags = (0..<random.below(4)).map { .init(tag: "tag \($0)", word: randomBytes(16, seed: seed)) }
        entry.value = random.chance(0.2) ? nil : randomBytes(random.below(200), seed: seed)
        return entry
    }

    @Test("what is written is read, and any bit that falls over is noticed")
    func flips() throws {
        // @covers CL-C4
        for seed in UInt64(0)..<60 {
            let entry = entry(seed)
            let bytes = entry.encoded(schema: 3)
            #expect(try SharedEntry(decoding: bytes, schema: 3) == entry)
            #expect(throws: SharedEntry.Unreadable.otherVersion) { try SharedEntry(decoding: bytes, schema: 4) }
            for bit in 0..<bytes.count * 8 {
                var flipped = bytes
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                #expect(throws: SharedEntry.Unreadable.self) { try SharedEntry(decoding: flipped, schema: 3) }
            }
            for length in 0..<bytes.count {
                #expect(throws: SharedEntry.Unreadable.self) {
                    try SharedEntry(decoding: Array(bytes.prefix(length)), schema: 3)
                }
            }
        }
    }

    @Test("bytes by chance, with the right check at their end, are read whole or refused")
    func fuzz() {
        for seed in UInt64(0)..<20_000 {
            var random = SeededRandom(seed: seed)
            var bytes: [UInt8] = [0xC5, 1] + randomBytes(random.below(60), seed: seed)
            let check = CRC32C.of(bytes)
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: check >> shift))
            }
            guard let entry = try? SharedEntry(decoding: bytes, schema: 1) else { continue }
            // Numbers may have been written in more bytes than they need; what is meant stays the same.
            #expect((try? SharedEntry(decoding: entry.encoded(schema: 1), schema: 1)) == entry)
        }
    }

    @Test("a journal is read up to where it is whole, wherever it is cut and whatever falls over")
    func journals() {
        var random = SeededRandom(seed: 1)
        var records: [WriteBehindRecord] = []
        for number in UInt64(1)...12 {
            let key = "k\(random.below(4))"
            let value = random.chance(0.3) ? nil : randomBytes(random.below(20), seed: number)
            records.append(.write(sequence: number, since: .at(1), key: key, value: value))
            if number % 4 == 0 { records.append(.confirmed([number, number - 2])) }
        }
        let bytes = records.flatMap(\.encoded)
        let whole = WriteBehindRecord.read(bytes)
        #expect(whole.journal.recordCount == records.count && whole.validByteCount == bytes.count)
        var boundary = 0
        var ends = [0]
        for record in records {
            boundary += record.encoded.count
            ends.append(boundary)
        }
        for length in 0...bytes.count {
            let cut = WriteBehindRecord.read(Array(bytes.prefix(length)))
            #expect(cut.validByteCount == ends.last { $0 <= length })
        }
        for place in bytes.indices {
            var flipped = bytes
            flipped[place] ^= 0x10
            let read = WriteBehindRecord.read(flipped)
            #expect(read.validByteCount == ends.last { $0 <= place }, "what is behind a broken record is not believed")
        }
    }

    @Test("of each key the last unconfirmed write counts")
    func unconfirmed() {
        let records: [WriteBehindRecord] = [
            .write(sequence: 1, since: .at(0), key: "a", value: [1]),
            .write(sequence: 2, since: .at(0), key: "b", value: [2]),
            .write(sequence: 3, since: .at(0), key: "a", value: [3]), .confirmed([1]),
            .write(sequence: 4, since: .at(0), key: "c", value: nil),
        ]
        let journal = WriteBehindRecord.read(records.flatMap(\.encoded)).journal
        #expect(journal.unconfirmed == [records[1], records[2], records[4]])
        // The first write of `a` was never sent, because the last one took its place: it must not come back.
        let all = WriteBehindRecord.read((records + [.confirmed([2, 3, 4])]).flatMap(\.encoded)).journal
        #expect(all.isEmpty)
    }

    @Test("requests in Redis's words, and its replies understood")
    func dialect() {
        let dialect = RESPDialect(channel: "c", origin: "me")
        func words(_ request: RemoteRequest) -> [String] {
            dialect.commands(for: request).map { $0.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ") }
        }
        #expect(words(.get(key: "a", tags: [])) == ["GET a"])
        #expect(words(.get(key: "a", tags: ["t"])) == ["MGET a tag:t"])
        #expect(words(.claim(key: "a", bytes: [65], ttl: .seconds(1))) == ["SET a A NX PX 1000"])
        #expect(words(.set(key: "a", bytes: [65], ttl: .zero)) == ["SET a A PX 1", "PUBLISH c key me a"])
        #expect(words(.delete(keys: ["a"])) == ["DEL a", "PUBLISH c key me a"])
        let replace = RemoteRequest.replace(key: "a", bytes: [66], expected: [65], ttl: .seconds(1), tells: false)
        #expect(words(replace) == ["UNWATCH", "WATCH a", "GET a"])
        #expect(dialect.next(replace, [.bytes([]), .bytes([]), .bytes([67])]) == .reply(.refused))
        guard case .send(let more) = dialect.next(replace, [.bytes([]), .bytes([]), .bytes([65])]) else {
            return #expect(Bool(false))
        }
        #expect(more.map { String(decoding: $0[0], as: UTF8.self) } == ["MULTI", "SET", "EXEC"])
        #expect(dialect.next(replace, [.bytes([]), .bytes([]), .null], isSecondTrip: true) == .reply(.refused))
        #expect(dialect.next(replace, [.bytes([]), .bytes([]), .array([])], isSecondTrip: true) == .reply(.done))
        #expect(dialect.next(.get(key: "a", tags: ["t"]), [.array([.null])]) == .reply(.failed("not an answer to GET")))
        #expect(dialect.next(.get(key: "a", tags: []), [.error("LOADING")]) == .reply(.failed("LOADING")))
        #expect(dialect.notice("key you user:1") == .key("user:1"))
        #expect(dialect.notice("tag you a b") == .tag("a b"))
        #expect(dialect.notice("key me user:1") == nil)
        #expect(["", "key", "key you", "what you a"].allSatisfy { dialect.notice($0) == nil })
    }
}
