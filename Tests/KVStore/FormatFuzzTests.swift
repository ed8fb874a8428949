import KernelStorage
import KernelStructures
import TestSupport
import Testing

@testable import KVStoreEngine

/// Every decoder gets bytes that nobody wrote: it must end, stay within them, and say no.
@Suite struct FormatFuzzTests {
    private static let rounds = isLong ? 50_000 : 3_000

    /// Random bytes, or a sound piece with a few changes.
    private static func spoiled(_ sound: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        if sound.isEmpty || random.chance(0.1) {
            return (0..<random.below(80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        var bytes = sound
        for _ in 0...random.below(4) where !bytes.isEmpty {
            let place = random.below(bytes.count)
            switch random.below(5) {
            case 0: bytes[place] ^= 1 << UInt8(random.below(8))
            case 1: bytes[place] = [0, 0x7F, 0x80, 0xFF][random.below(4)]
            case 2: bytes.removeLast(bytes.count - place)
            case 3: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
            default: bytes.remove(at: place)
            }
        }
        return bytes
    }

    private static func block(_ random: inout SeededRandom) -> [UInt8] {
        var builder = BlockBuilder(restartInterval: 1 + random.below(4))
        for index in 0..<random.below(12) {
            let key = Array("key\(100 + index)".utf8)
            key.withUnsafeBytes { key in
                InternalKey.make(Bytes(key), 0x0501).withUnsafeBytes { key in
                    randomBytes(random.below(20), seed: random.next()).withUnsafeBytes {
                        builder.add(Bytes(key), Bytes($0))
                    }
                }
            }
        }
        return builder.finish().array
    }

    @Test("blocks")
    func blocks() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<Self.rounds {
            let bytes = Self.spoiled(Self.block(&random), &random)
            // A copy in memory of its own size, so that a step beyond it is one that a sanitizer sees.
            bytes.withUnsafeBytes { raw in
                var cursor = BlockCursor(holdsInternalKeys: random.chance(0.8))
                guard cursor.open(Bytes(raw)) else { return }
                cursor.seekToFirst()
                var steps = 0
                while cursor.isValid, steps <= raw.count {
                    cursor.next()
                    steps += 1
                }
                #expect(steps <= raw.count, "a walk forward without an end")
                cursor.seekToLast()
                steps = 0
                while cursor.isValid, steps <= raw.count * 4 {
                    cursor.previous()
                    steps += 1
                }
                #expect(steps <= raw.count * 4, "a walk backward without an end")
                if cursor.open(Bytes(raw)) {
                    let target = Array("key\(100 + random.below(14))".utf8)
                    target.withUnsafeBytes { cursor.seek(Bytes($0), 0x0401) }
                }
            }
        }
    }

    @Test("batches, edits, footers, handles and filters")
    func records() {
        var random = SeededRandom(seed: 2)
        var batch = WriteBatch()
        batch.put("key".utf8, "value".utf8)
        batch.delete("other".utf8)
        let batchBytes = batch.seal(sequence: 7).array
        var edit = VersionEdit()
        edit.comparator = VersionEdit.comparatorName
        edit.logNumber = 4
        edit.nextFileNumber = 9
        edit.lastSequence = 1 << 40
        edit.compactPointers = [.init(level: 2, key: Array("0123456789".utf8))]
        edit.deletedFiles = [.init(level: 1, number: 300)]
        edit.newFiles = [
            .init(
                level: 3, number: 5, byteCount: 99_999, smallest: Array("aaaaaaaa1".utf8),
                largest: Array("bbbbbbbb1".utf8))
        ]
        let encoded = edit.encoded()
        let editBytes = withExtendedLifetime(encoded) { encoded.bytes.array }
        #expect(editBytes.withUnsafeBytes { VersionEdit(Bytes($0)) } == edit)
        let footer = Footer(
            metaindex: BlockHandle(offset: 1000, size: 20), index: BlockHandle(offset: 1025, size: 300))
        let buffer = ByteBuffer()
        footer.append(to: buffer)
        let footerBytes = buffer.bytes.array
        #expect(footerBytes.withUnsafeBytes { Footer(Bytes($0)) } == footer)
        var filter = FilterBlockBuilder(bitsPerKey: 10)
        filter.startBlock(at: 0)
        ["a", "b"].forEach { key in Array(key.utf8).withUnsafeBytes { filter.add(Bytes($0)) } }
        filter.startBlock(at: 5000)
        let filterBytes = filter.finish().array
        var accepted = 0
        for _ in 0..<Self.rounds {
            Self.spoiled(batchBytes, &random).withUnsafeBytes { raw in
                guard var reader = BatchReader(Bytes(raw)) else { return }
                let isSound = reader.isSound()
                var count = 0
                while let entry = try? reader.next() {
                    count += 1
                    #expect(entry.key.count + entry.value.count <= raw.count)
                }
                #expect(!isSound || count == reader.count)
            }
            // What is accepted is written, and read again as the same.
            if let edit = Self.spoiled(editBytes, &random).withUnsafeBytes({ VersionEdit(Bytes($0)) }) {
                accepted += 1
                let written = edit.encoded()
                #expect(withExtendedLifetime(written) { VersionEdit(written.bytes) } == edit)
            }
            if let footer = Self.spoiled(footerBytes, &random).withUnsafeBytes({ Footer(Bytes($0)) }) {
                accepted += 1
                let written = ByteBuffer()
                footer.append(to: written)
                #expect(Footer(written.bytes) == footer)
            }
            expectSameAnswers(Self.spoiled(filterBytes, &random), hash: UInt32(truncatingIfNeeded: random.next()))
        }
        #expect(accepted > Self.rounds / 10)
    }

    /// A filter's answers are its bytes' alone, whatever lies behind them in memory; and where it has no filter, it
    /// says that the key may be there.
    private func expectSameAnswers(_ bytes: [UInt8], hash: UInt32) {
        let answers = [0x00, 0xFF].map { (filling: UInt8) in
            (bytes + [UInt8](repeating: filling, count: 64)).withUnsafeBytes { raw -> [Bool]? in
                FilterBlock(Bytes(UnsafeRawBufferPointer(rebasing: raw[..<bytes.count]))).map { block in
                    [0, 1, 2048, 5000, 1 << 30, .max].map { block.mayContain(hash, blockOffset: $0) }
                }
            }
        }
        #expect(answers[0] == answers[1], "\(bytes)")
        #expect(answers[0]?.last ?? true, "\(bytes)")
    }

    @Test("logs: records that come back were written, in order, and reading ends")
    func logs() throws {
        var random = SeededRandom(seed: 3)
        for round in 0..<Self.rounds / 20 {
            let disk = SimulatedDisk()
            let file = try disk.open("/log", [.write, .create], owner: .lab)
            let writer = LogWriter(file: file, path: "/log", number: 1)
            var written: [[UInt8]] = []
            for index in 0..<random.below(12) {
                let size = random.chance(0.2) ? random.below(100_000) : random.below(60)
                let record = [UInt8(index)] + randomBytes(size, seed: random.next())
                record.withUnsafeBytes { writer.append(Bytes($0)) }
                written.append(record)
            }
            try writer.flush()
            let isSpoiled = round % 3 != 0
            if isSpoiled, file.size > 0 {
                for _ in 0...random.below(3) {
                    let place = random.below(file.size)
                    try file.write([UInt8(truncatingIfNeeded: random.next())], at: place)
                    if random.chance(0.2) { try file.truncate(to: random.below(file.size + 1)) }
                    if file.size == 0 { break }
                }
            }
            let reader = LogReader(file: file)
            var seen: [[UInt8]] = []
            var damages = 0
            reading: while true {
                switch try reader.next() {
                case .end: break reading
                case .damage: damages += 1
                case .record(let bytes, _): seen.append(bytes.array)
                }
                if seen.count + damages > 10_000 {
                    Issue.record("reading does not end")
                    return
                }
            }
            if !isSpoiled { #expect(seen == written && damages == 0) }
            var rest = written[...]
            for record in seen {
                guard let index = rest.firstIndex(of: record) else {
                    Issue.record("round \(round): a record that nobody wrote")
                    return
                }
                rest = rest[(index + 1)...]
            }
        }
    }

    @Test("tables with any bytes changed: an error, or the entries that were written")
    func tables() throws {
        var random = SeededRandom(seed: 4)
        let bench = Bench()
        let store = try bench.open()
        for index in 0..<50 { try store.put("key\(index)", "value \(index)") }
        try store.requestFlush()
        bench.workAll()
        let contents = try bench.contents()
        try store.close()
        let name = bench.files.first { $0.hasSuffix(".sst") }!
        let sound = try bench.node.contents(of: bench.path(name))
        for _ in 0..<Self.rounds / 10 {
            try bench.node.store(Self.spoiled(sound, &random), at: bench.path(name))
            bench.options.isReadOnly = true
            do {
                try bench.open()
                #expect(try bench.contents() == contents)
            } catch is KVStoreError {}
        }
    }
}
