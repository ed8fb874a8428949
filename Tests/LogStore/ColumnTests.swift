import KernelCompression
import KernelStructures
import LogModelEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreEngine

/// Lines as all sorts of programs write them, with their times.
struct MixedLines {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    private static let words = ["refused", "Timeout", "order-7", "a_b", "köln", "x", "GET", "/api/v1/items/", "id="]

    private mutating func words(_ limit: Int) -> String {
        (0..<random.below(limit)).map { _ in Self.words[random.below(Self.words.count)] }.joined(separator: " ")
    }

    private mutating func value(_ time: String) -> String {
        switch random.below(12) {
        case 0: "\"\(time)\""
        case 1: "\(random.below(1000))"
        case 2: "-\(random.below(50)).\(random.below(10))\(random.below(10))"
        case 3: "\"\(hexadecimal(random.next(), 16))\""
        case 4: "\"\(hexadecimal(random.next(), 8))-0000-4\(hexadecimal(random.next(), 3))\""
        case 5: "\"/api/v1/items/\(random.below(500))\""
        case 6: ["true", "null", "\"\"", "1e5", "0.5", "007", "99999999999999999999"][random.below(7)]
        case 7: "{\"in\":[\(random.below(9)),\"\(words(3))\"],\"y\":{}}"
        case 8: "\"10.\(random.below(256)).0.\(random.below(256)):80\""
        case 9: ["\"q\\\"\\n\(words(2))\"", "\"caf\\u00e9\""][random.below(2)]
        default: "\"\(words(4))\""
        }
    }

    /// A line; `shape` decides which members it has.
    mutating func line(_ time: Int64, shape: Int) -> String {
        let text = "\(LabTime(nanoseconds: time))"
        switch shape % 5 {
        case 0: return "\(text) host app[\(random.below(100))]: \(words(6)) took \(random.below(99))ms"
        case 1: return "level=info n=\(random.below(9)) msg=\"\(words(5))\" ip=10.0.0.\(random.below(256))"
        case 2: return ["", "{", "{}", "plain", " {\"a\":1}", "{\"a\":1,}", "\u{1}\u{2}7\u{7}"][random.below(7)]
        default:
            let blank = shape % 2 == 0 ? " " : ""
            let members = (0..<(shape % 7 + 1)).map { "\"m\($0)\":\(blank)\(value(text))" }
            return "{" + members.joined(separator: ",\(blank)") + "}"
        }
    }

    mutating func block(shapes: Int, count: Int) -> LogBlock {
        var block = LogBlock(labels: ["service": "web"])
        var time: Int64 = StoreBench.start
        let unit: Int64 = [1, 1_000_000, 1_000_000_000][random.below(3)]
        for _ in 0..<count {
            time += Int64(random.below(2000)) * unit
            block.append(time, Array(line(time, shape: random.below(shapes)).utf8))
        }
        return block
    }
}

@Suite("Lines as columns")
struct ColumnTests {
    private func unpacked(_ chunk: PackedChunk) throws -> LogBlock {
        try LogChunkCodec.unpacked(chunk.bytes, labels: chunk.labels)
    }

    @Test("lines of all kinds come out as they were, and whatever is in them can be looked for")
    func wholeAndFound() throws {
        let packer = try ChunkPacker(level: 3)
        var mixed = MixedLines(seed: 21)
        for round in 0..<(isLong ? 2000 : 60) {
            let block = mixed.block(shapes: [1, 3, 8, 80][round % 4], count: 1 + mixed.random.below(300))
            let chunk = try packer.pack(block)
            let found = try unpacked(chunk)
            #expect(found.timestamps == block.timestamps && found.count == block.count)
            for index in 0..<block.count {
                let line = block.bytes(index)
                #expect(found.bytes(index) == line, "\(block.line(index))")
                var words: [UInt64] = []
                line.withUnsafeBytes { bytes in
                    LogWords.forEachHash(bytes) { words.append($0) }
                    JSONMembers.forEachUnescaped(bytes) { LogWords.forEachHash($0) { words.append($0) } }
                    _ = JSONMembers.forEach(bytes) { name, value, _ in
                        let hint = LogHint.field(
                            String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
                        if !chunk.mayHave(hint) { Issue.record("\(hint) of \(block.line(index))") }
                    }
                }
                if !words.allSatisfy({ chunk.hashes.contains(WordSet.key($0)) }) {
                    Issue.record("a word of \(block.line(index))")
                }
                for _ in 0..<4 where line.count >= 3 {
                    let start = mixed.random.below(line.count - 2)
                    let piece = Array(line[start..<min(line.count, start + 3 + mixed.random.below(5))])
                    if !chunk.mayHave(.contains(piece)) { Issue.record("\(piece) of \(block.line(index))") }
                }
            }
        }
    }

    /// A text in a JSON line is cut as a line of its own is, whatever the line around it had for members.
    @Test("texts in JSON lines have more values than their lines have members, and come out as they were")
    func innerShapes() throws {
        let packer = try ChunkPacker(level: 3)
        for members in 0..<3 {
            for shapes in [1, 5] {
                var block = LogBlock(labels: ["service": "web"])
                for row in 0..<24 {
                    let own = (0..<members).map { "\"m\($0)\":\(row)," }.joined()
                    let text = (0..<(4 + row % shapes)).map { "v\(row * 7 + $0)" }.joined(separator: " + ")
                    block.append(StoreBench.start + Int64(row), Array("{\(own)\"text\":\"\(text)\"}".utf8))
                }
                let found = try unpacked(try packer.pack(block))
                #expect((0..<block.count).allSatisfy { found.bytes($0) == block.bytes($0) })
            }
        }
    }

    @Test("what is not there is mostly not looked for")
    func absent() throws {
        let packer = try ChunkPacker(level: 3)
        var maker = LineMaker(seed: 4)
        var block = LogBlock(labels: ["service": "web"])
        for number in 0..<500 { block.append(Int64(number), Array(maker.line(number).utf8)) }
        let chunk = try packer.pack(block)
        let wrong = (0..<1000).count { chunk.mayHave(.word(hexadecimal(UInt64($0) &* 0x9E37_79B9_7F4A_7C15, 16))) }
        #expect(wrong == 0)
        #expect(!chunk.mayHave(.contains(Array("no such thing".utf8))) && !chunk.mayHave(.field("level", "debug")))
        #expect(!chunk.mayHave(.field("trace", "0123")) && !chunk.mayHave(.field("none", "1")))
        #expect(chunk.mayHave(.all([])) && chunk.mayHave(.any([])) && chunk.mayHave(.contains([65])))
    }

    @Test("services' lines become a tenth of what they were, with all that is needed to find them")
    func ratio() throws {
        var random = SeededRandom(seed: 9)
        let texts = ["Connection refused by upstream", "Timeout exceeded while waiting for reply", "order accepted"]
        let bench = try StoreBench(settings: LogStoreSettings())
        let writer = try SegmentWriter(bench.node, "/logs/2024-01-15/00000009.logs", level: 3)
        var block = LogBlock(labels: ["service": "pay", "level": "info"])
        for number in 0..<12 * 1200 {
            let time = StoreBench.start + Int64(number) * 37_000_000
            let line =
                "{\"timestamp\": \"\(LabTime(nanoseconds: time))\", \"level\": \"info\", "
                + "\"service\": \"pay\", \"msg\": \"\(texts[random.below(3)])\", "
                + "\"status\": \([200, 404][random.below(2)]), \"duration_ms\": \(random.below(1000)), "
                + "\"path\": \"/api/v1/items/\(random.below(500))\", "
                + "\"trace_id\": \"\(hexadecimal(random.next(), 16))\"}"
            block.append(time, Array(line.utf8))
            guard block.count == 1200 else { continue }
            try writer.add(block)
            block = LogBlock(labels: block.labels)
        }
        try writer.finish(rank: 9)
        #expect(writer.lineBytes > writer.fileBytes * 10, "\(writer.lineBytes) in \(writer.fileBytes)")
    }

    @Test("columns that were changed are refused or read, and nothing is a trap")
    func damaged() throws {
        let packer = try ChunkPacker(level: 1)
        var mixed = MixedLines(seed: 5)
        for _ in 0..<(isLong ? 3000 : 60) {
            let chunk = try packer.pack(mixed.block(shapes: 9, count: 1 + mixed.random.below(60)))
            let plain = try CompressionFormat.zstd.decompress(chunk.bytes, limitBytes: 1 << 24)
            for _ in 0..<20 {
                var changed = plain
                for _ in 0..<(1 + mixed.random.below(3)) {
                    changed[mixed.random.below(changed.count)] = UInt8(mixed.random.below(256))
                }
                let packed = try CompressionFormat.zstd.compress(changed)
                guard let found = try? LogChunkCodec.unpacked(packed, labels: chunk.labels) else { continue }
                // Whatever it is, it can be written and read again.
                guard found.isSorted, !found.isEmpty else { continue }
                let again = try unpacked(try packer.pack(found))
                #expect((0..<found.count).allSatisfy { again.bytes($0) == found.bytes($0) })
            }
        }
    }

    @Test("numbers are written again as they stood there, or are none")
    func numbers() {
        for text in ["0", "7", "-7", "120", "0.5", "-0.05", "12.340", "999999999999999999", "-1.0"] {
            let parsed = Array(text.utf8).withUnsafeBytes { ColumnNumber.parse($0) }
            var out: [UInt8] = []
            if let parsed { ColumnNumber.write(parsed.value, decimals: parsed.decimals, to: &out) }
            #expect(String(decoding: out, as: UTF8.self) == text)
        }
        for text in ["", "-", "007", "-0", "-0.0", ".5", "5.", "1e5", "1.2.3", "9999999999999999999", "--1", "+1"] {
            #expect(Array(text.utf8).withUnsafeBytes { ColumnNumber.parse($0) } == nil, "\(text)")
        }
    }

    @Test("times have the form of the first one, from 1970 to 9999")
    func times() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"), (951_782_400_123_000_000, "2000-02-29 00:00:00.123+00:00"),
            (1_705_312_800_000_000_001, "2024-01-15T10:00:00.000000001"),
        ] as [(Int64, String)] {
            let style = Array(text.utf8).withUnsafeBytes { TimeStyle($0) }
            var out = [UInt8](repeating: 0, count: TimeStyle.lengthLimit)
            let isWritten = out.withUnsafeMutableBufferPointer { style?.write(time, into: $0.baseAddress!) }
            #expect(isWritten == true)
            #expect(String(decoding: out.prefix(style?.length ?? 0), as: UTF8.self) == text)
            #expect(out.withUnsafeMutableBufferPointer { style?.write(-1, into: $0.baseAddress!) } == false)
        }
        for text in ["2024-01-15", "2024-01-15T10:00:00.Z", "2024-01-15T10:00:00+02:00", "2024-01-15x10:00:00Z"] {
            #expect(Array(text.utf8).withUnsafeBytes { TimeStyle($0) } == nil, "\(text)")
        }
    }

    @Test("what has no index is searched as a whole: each word and piece that is there is found, in any case")
    func plain() {
        var random = SeededRandom(seed: 13)
        let letters = Array("aAbB1_ \"{@`".utf8)
        for _ in 0..<(isLong ? 50_000 : 2000) {
            let text = (0..<random.below(120)).map { _ in letters[random.below(letters.count)] }
            let needle = (0..<(1 + random.below(5))).map { _ in letters[random.below(letters.count)] }
            func folded(_ bytes: ArraySlice<UInt8>) -> [UInt8] { bytes.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 } }
            let wanted = folded(needle[...])
            let isThere =
                text.count >= needle.count
                && (0...(text.count - needle.count)).contains { folded(text[$0..<$0 + needle.count]) == wanted }
            #expect(text.withUnsafeBytes { LogSieve.isFound(needle, in: $0) } == isThere)
        }
        var block = LogBlock(labels: ["service": "web"])
        block.append(0, Array("{\"msg\":\"Connection Refused\",\"n\":5}".utf8))
        #expect(LogSieve.mayHave(.word("connection refused"), block) && LogSieve.mayHave(.field("n", "5"), block))
        #expect(!LogSieve.mayHave(.word("accepted"), block) && !LogSieve.mayHave(.field("n", "6"), block))
        #expect(LogSieve.mayHave(.field("service", "web"), block))
        block.append(1, Array("{\"msg\":\"caf\\u00e9\"}".utf8))
        #expect(LogSieve.mayHave(.word("café"), block))
    }

    @Test("of a block the lines are named that have what is wanted, and no others")
    func sieve() {
        var random = SeededRandom(seed: 14)
        let letters = Array("aAbB1_ \"".utf8)
        func text(_ count: Int) -> [UInt8] { (0..<count).map { _ in letters[random.below(letters.count)] } }
        func folded(_ bytes: some Sequence<UInt8>) -> [UInt8] { bytes.map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 } }
        func has(_ line: [UInt8], _ needle: [UInt8]) -> Bool {
            line.count >= needle.count
                && (0...(line.count - needle.count)).contains {
                    folded(line[$0..<$0 + needle.count]) == folded(needle)
                }
        }
        for _ in 0..<(isLong ? 20_000 : 1000) {
            var block = LogBlock(labels: [:])
            let lines = (0..<random.below(20)).map { _ in text(random.below(20)) }
            for (time, line) in lines.enumerated() { block.append(Int64(time), line) }
            let (one, two) = (text(1 + random.below(4)), text(1 + random.below(2)))
            let both = LogHint.any([.contains(one), .contains(two)])
            #expect(LogSieve.lines(.contains(one), block) == lines.indices.filter { has(lines[$0], one) })
            #expect(LogSieve.lines(both, block) == lines.indices.filter { has(lines[$0], one) || has(lines[$0], two) })
            // Of several the longer one decides, and the other is left to whoever looks at the lines.
            let all = LogSieve.lines(.all([.contains(one), .contains(two)]), block)
            let longer = two.count > one.count ? two : one
            #expect(all == lines.indices.filter { has(lines[$0], longer) })
        }
        var block = LogBlock(labels: ["service": "web"])
        for line in ["user 17 failed", "{\"msg\":\"caf\\u00e9\"}", "nobody", "User_17"] {
            block.append(0, Array(line.utf8))
        }
        #expect(LogSieve.lines(.word("user"), block) == [0, 1, 3] && LogSieve.lines(.word("café"), block) == [1])
        #expect(LogSieve.lines(.field("who", "nobody"), block) == [1, 2])
        #expect(LogSieve.lines(.field("service", "web"), block) == nil && LogSieve.lines(.anything, block) == nil)
        #expect(LogSieve.lines(.word("--"), block) == nil)
        #expect(LogSieve.lines(.all([.word("--"), .word("failed")]), block, in: 1..<4) == [1])
        block.append(0, Array("x".utf8), metadata: ["who": "nobody"])
        #expect(LogSieve.lines(.field("who", "nobody"), block) == nil)
    }

    @Test(
        "of a chunk with a rare word in it one line is looked at", arguments: [LogMerge.Direction.forward, .backward])
    func rare(_ direction: LogMerge.Direction) throws {
        let bench = try StoreBench()
        for index in 0..<400 {
            bench.append(
                "web", "line \(index) \(index % 100 == 77 ? "needle" : "hay") of it", at: bench.now + Int64(index))
        }
        try bench.flush()
        var statistics = LogStatistics()
        let hint = LogHint.word("needle")
        let chunks = try bench.store.select(LogSelection([], from: .min, through: .max, hint: hint), &statistics)
        var merge = LogMerge(
            bench.store, chunks, direction, from: bench.now + 100, through: bench.now + 378, hint: hint)
        var found: [String] = []
        while let (block, index) = try merge.next(&statistics) { found.append(block.line(index)) }
        let expected = [177, 277, 377].map { "line \($0) needle of it" }
        #expect(found == (direction == .forward ? expected : expected.reversed()) && statistics.chunksRead < 8)
    }

    // MARK: In a store

    @Test("full chunks in memory are packed before their time, and found by what is in them")
    func head() throws {
        var settings = StoreBench.settings
        settings.headBytes = 1 << 20
        let bench = try StoreBench(settings: settings)
        var maker = LineMaker(seed: 8)
        var lines: [String] = []
        for number in 0..<200 {
            lines.append(maker.line(number))
            bench.append("web", lines[number], at: StoreBench.start + Int64(number))
        }
        try bench.store.commit(now: bench.now)
        try bench.settle()
        #expect(bench.store.segments.isEmpty)
        let packed = bench.store.active.streams[0].sealed.count { block in
            if case .packed = block.content { return true }
            return false
        }
        #expect(packed > 10 && packed == bench.store.active.streams[0].sealed.count)
        #expect(try bench.lines() == lines)
        for number in [0, 57, 199] {
            var statistics = LogStatistics()
            let trace = String(lines[number].dropLast(2).suffix(16))
            let found = try bench.lines(hint: .word(trace), &statistics)
            #expect(found.contains(lines[number]) && statistics.chunksRead == 1)
            #expect(statistics.skippedByIndex == statistics.chunks - 1)
        }
        // One that comes late opens what is packed again.
        bench.append("web", "late", at: StoreBench.start + 50)
        try bench.flush()
        #expect(try bench.lines().count == 201 && bench.store.segments.count == 1)
        #expect(try bench.lines(from: StoreBench.start + 50, through: StoreBench.start + 51) == [lines[50], "late"])
        try bench.open()
        #expect(try bench.lines().count == 201)
    }

    @Test("segments that are merged keep their chunks as they are, and each is found by what is in it")
    func merged() throws {
        let bench = try StoreBench()
        var maker = LineMaker(seed: 31)
        var lines: [String] = []
        for number in 0..<400 {
            lines.append(maker.line(number))
            bench.append(number % 9 == 0 ? "db" : "web", lines[number], at: StoreBench.start + Int64(number))
            if number % 40 == 39 { try bench.flush() }
        }
        bench.now += 60 * StoreBench.second
        try bench.settle()
        #expect(bench.store.statistics.merges > 0)
        for _ in 0..<2 {
            #expect(try bench.lines() == lines)
            for number in stride(from: 0, to: 400, by: 7) {
                var statistics = LogStatistics()
                let trace = String(lines[number].dropLast(2).suffix(16))
                for hint in [
                    LogHint.word(trace), .field("trace", trace), .contains(Array(trace.utf8)), .field("n", "\(number)"),
                ] {
                    #expect(try bench.lines(hint: hint, &statistics).contains(lines[number]), "\(hint)")
                }
                #expect(statistics.skippedByIndex > 0)
            }
            try bench.open()
        }
    }
}
