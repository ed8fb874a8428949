import KernelCompression
import KernelJSON
import KernelStructures
import LogModelEngine
import TestSupport
import Testing
import TimeSeriesEngine

@testable import LogStoreEngine

@Suite("Formats of the store of logs")
struct LogCodecTests {
    private func block(_ random: inout SeededRandom) -> LogBlock {
        var block = LogBlock(labels: ["service": "web"])
        var time = Int64(bitPattern: random.next() >> 1)
        let unit: Int64 = [1, 1_000_000, 1_000_000_000][random.below(3)]
        for _ in 0..<random.below(50) {
            time = min(max(time &+ Int64(random.below(1000)) * unit, .min), .max)
            let line = (0..<random.below(60)).map { _ in UInt8(random.below(256)) }
            let metadata = random.below(4) == 0 ? Labels([("trace", "\(random.below(9))")]) : Labels()
            block.append(time, line, metadata: metadata)
        }
        return block
    }

    @Test("what is packed comes out as it was: times to the nanosecond, any bytes, metadata")
    func chunks() throws {
        var random = SeededRandom(seed: 1)
        let compressor = try Compressor(.zstd, level: 3)
        for _ in 0..<300 {
            let block = block(&random)
            let found = try LogChunkCodec.unpacked(
                try LogChunkCodec.packed(block, compressor, ChunkTerms()), labels: block.labels)
            #expect(found.timestamps == block.timestamps)
            #expect((0..<block.count).allSatisfy { found.bytes($0) == block.bytes($0) })
            #expect((0..<block.count).allSatisfy { found.metadata($0) == block.metadata($0) })
        }
        for times in [[Int64.min, .max, 0], [-1, 1_000_000_000], [.min]] {
            var block = LogBlock(labels: ["a": "b"])
            for time in times { block.append(time, [65]) }
            let packed = try LogChunkCodec.packed(block, compressor, ChunkTerms())
            #expect(try LogChunkCodec.unpacked(packed, labels: block.labels).timestamps == times)
        }
    }

    @Test("bytes that are no chunk are refused, whatever they are")
    func damagedChunks() throws {
        var random = SeededRandom(seed: 2)
        let compressor = try Compressor(.zstd, level: 1)
        for _ in 0..<3000 {
            let plain = (0..<random.below(80)).map { _ in UInt8(random.below(random.below(2) == 0 ? 256 : 4)) }
            let packed = try CompressionFormat.zstd.compress(plain)
            guard let found = try? LogChunkCodec.unpacked(packed, labels: Labels()) else { continue }
            // Rare, and sound then: it can be written and read again.
            let again = try LogChunkCodec.packed(found, compressor, ChunkTerms())
            #expect(try LogChunkCodec.unpacked(again, labels: Labels()).timestamps == found.timestamps)
        }
    }

    @Test("an index of words leaves out no chunk that has the word, and names few that do not")
    func words() throws {
        var random = SeededRandom(seed: 3)
        var builder = TermIndexBuilder()
        var chunks: [Set<UInt64>] = []
        for _ in 0..<40 {
            var own: Set<UInt64> = []
            var set = WordSet()
            for _ in 0..<400 {
                let hash = random.below(3) == 0 ? UInt64(random.below(60)) &* 0x9E37_79B9_7F4A_7C15 : random.next()
                own.insert(hash)
                set.insert(hash)
            }
            #expect(set.count == own.count)
            chunks.append(own)
            builder.add(set.sorted)
        }
        let bytes = builder.finish()
        let index = TermIndex(chunkCount: 40, byteCount: bytes.count) { Array(bytes[$0..<$0 + $1]) }
        var wrong = 0
        for (number, chunk) in chunks.enumerated() {
            for hash in chunk {
                let found = try index.chunks(with: hash, try index.head())
                #expect(found[number])
                wrong += (0..<40).count { found[$0] && !chunks[$0].contains(hash) }
            }
        }
        for _ in 0..<1000 {
            let found = try index.chunks(with: random.next(), try index.head())
            wrong += (0..<40).count { found[$0] }
        }
        // Of some half a million questions.
        #expect(wrong < 10)
    }

    @Test("an index of trigrams leaves out no chunk that has the bytes, in any case")
    func trigrams() throws {
        var random = SeededRandom(seed: 4)
        let words = ["alpha", "Beta", "gamma", "DELTA", "eps-ilon", "zeta", "eta?", "theta"]
        var builder = TrigramIndexBuilder()
        var chunks: [String] = []
        for _ in 0..<30 {
            let text = (0..<5).map { _ in words[random.below(8)] }.joined(separator: " ")
            chunks.append(text)
            let terms = ChunkTerms()
            Array(text.utf8).withUnsafeBytes { text in
                terms.begin(text)
                terms.add(0..<text.count)
            }
            builder.add(terms.pieceBits)
        }
        let bytes = try builder.finish(try Compressor(.zstd))
        let index = TrigramIndex(chunkCount: 30, byteCount: bytes.count) { Array(bytes[$0..<$0 + $1]) }
        for needle in words + ["lph", "TA", "ta ga", "zzz", "a", ""] {
            let found = try index.chunks(with: Array(needle.utf8))
            for (number, text) in chunks.enumerated() where text.contains(needle) {
                #expect(found[number], "\(needle)")
            }
        }
        #expect(try index.chunks(with: Array("nothing of it".utf8)).isEmpty)
    }

    @Test("members of a line are those that JSON says, and lines that are none have none")
    func members() {
        var random = SeededRandom(seed: 5)
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"", "\\\"", "\\n", "a", "level", "\"x\":", "1", "-2.5e3", "true", "null",
            " ",
            "{\"a\":1}", "\"k\":\"v\"", "\u{E4}",
        ]
        for _ in 0..<(isLong ? 500_000 : 30_000) {
            var text = (0..<random.below(12)).map { _ in pieces[random.below(pieces.count)] }.joined()
            if random.below(2) == 0 { text = "{" + text + "}" }
            var found: [String: String] = [:]
            let isObject = Array(text.utf8).withUnsafeBytes { line in
                JSONMembers.forEach(line) { name, value, _ in
                    found[String(decoding: name, as: UTF8.self)] = String(decoding: value, as: UTF8.self)
                }
            }
            guard let value = try? JSONValue(parsing: text, limits: JSONLimits(duplicates: .lastWins)),
                case .object(let members) = value
            else { continue }
            #expect(isObject, "\(text)")
            for (key, value) in members {
                switch value {
                case .string(let expected): #expect(found[key] == expected, "\(text)")
                case .bool, .null: #expect(found[key] == value.text, "\(text)")
                default: break
                }
            }
        }
    }

    @Test("a line says when, who and how bad, in the ways in which programs write that")
    func structure() {
        func line(_ text: String) -> StructuredLine { Array(text.utf8).withUnsafeBytes { StructuredLine($0) } }
        let time: Int64 = 1_705_314_600_000_000_000
        let first = line(#"{"timestamp":"2024-01-15T10:30:00Z","level":"error","msg":"x","service":"payment"}"#)
        #expect(first.time == time && first.level == "error" && first.service == "payment")
        #expect(line(#"{"ts":1705314600}"#).time == time && line(#"{"time":1705314600000}"#).time == time)
        #expect(line(#"{"ts":1705314600.25}"#).time == time + 250_000_000)
        #expect(line(#"{"@timestamp":"2024-01-15T11:30:00+01:00"}"#).time == time)
        #expect(line(#"{"ts":1,"timestamp":"2024-01-15T10:30:00Z"}"#).time == time)
        #expect(line("plain text").time == nil && line("{broken").level == "")
        #expect(line(#"{"level":"err\u006fr"}"#).level == "error" && line(#"{"a":{"level":"x"}}"#).level == "")
        for number in ["92000000000", "9199999999", "99999999999.5", "9.2e18", "9199999999999999999"] {
            #expect(StructuredLine.epoch(number) ?? 0 >= 0)
        }
        for text in ["1e400", "-1", "99999999999999999999", "nan", ""] { #expect(StructuredLine.epoch(text) == nil) }
    }

    @Test("labels are read as Loki's clients write them; what is none is refused with its place")
    func labelText() throws {
        #expect(try LabelText.parse(#"{job="a", env="b\"c\n",}"#) == ["job": "a", "env": "b\"c\n"])
        #expect(try LabelText.parse("{}") == Labels())
        for text in ["", "{", "{a}", "{a=}", "{a=\"}", "{a=\"b\" c=\"d\"}", "{a=\"b\"}x", "{=\"b\"}"] {
            #expect(throws: LabelText.Malformed.self) { try LabelText.parse(text) }
        }
        var random = SeededRandom(seed: 6)
        for _ in 0..<2000 {
            let labels = Labels((0..<random.below(4)).map { ("l\($0)", "\(random.below(100))\"\\\n") })
            #expect(try LabelText.parse(labels.isEmpty ? "{}" : labels.description) == labels)
        }
    }

    @Test("what agent and collector say is read as it was written, and nothing else is")
    func agentProtocol() throws {
        var head = AgentProtocol.BatchHead()
        head.number = 7
        head.inode = .max
        head.generation = 3
        head.path = "/a \"b\""
        head.from = 12
        head.spans = [5, 6]
        head.lengths = [4, 5]
        let bytes = Array(head.text.utf8.dropLast())
        #expect(try bytes.withUnsafeBytes { try AgentProtocol.BatchHead($0) } == head)
        head.isAgain = true
        #expect(try Array(head.text.utf8.dropLast()).withUnsafeBytes { try AgentProtocol.BatchHead($0) } == head)
        head.from = AgentProtocol.numberLimit + 1
        #expect(throws: (any Error).self) {
            try Array(head.text.utf8.dropLast()).withUnsafeBytes { try AgentProtocol.BatchHead($0) }
        }
        for takesLater in [false, true] {
            let hello = AgentProtocol.Hello(agent: "a", host: "h", takesLater: takesLater)
            #expect(Array(hello.text.utf8.dropLast()).withUnsafeBytes { AgentProtocol.Hello($0) } == hello)
        }
        let later = AgentProtocol.Later(number: 9, reason: "\"x\"")
        #expect(Array(later.text.utf8).withUnsafeBytes { AgentProtocol.Later($0) } == later)
        let acknowledgement = AgentProtocol.Acknowledgement(number: 9, rejected: 2, reason: "x")
        #expect(
            Array(acknowledgement.text.utf8).withUnsafeBytes { AgentProtocol.Acknowledgement($0) } == acknowledgement)
        var random = SeededRandom(seed: 7)
        for _ in 0..<5000 {
            var changed = bytes
            for _ in 0..<1 + random.below(4) { changed[random.below(changed.count)] = UInt8(random.below(256)) }
            guard let read = try? changed.withUnsafeBytes({ try AgentProtocol.BatchHead($0) }) else { continue }
            #expect(read.spans.count == read.lengths.count && read.byteCount <= AgentProtocol.batchLimitBytes)
        }
    }

    @Test("limits are checked in Loki's words, and what has to do with rates is a 429")
    func limits() throws {
        var limits = LogLimits()
        limits.streams = 2
        limits.lineBytes = 100
        limits.streamBytesPerSecond = 1000
        limits.streamBurstBytes = 500
        let bench = try StoreBench(limits: limits)
        let long = String(repeating: "x", count: 101)
        let hour = 3600 * StoreBench.second
        func reason(_ refusal: LogRefusal?) -> String { refusal.map { "\($0.status) \($0.reason)" } ?? "taken" }
        #expect(reason(bench.append("a", long)) == "400 line_too_long")
        #expect(reason(bench.append("a", "x", at: bench.now - 8 * StoreBench.day)) == "400 greater_than_max_sample_age")
        #expect(reason(bench.append("a", "x", at: bench.now + hour)) == "400 too_far_in_future")
        #expect(reason(bench.append("a", "x")) == "taken")
        #expect(reason(bench.append("a", "x", at: bench.now - hour)) == "taken")
        #expect(reason(bench.append("a", "x", at: bench.now - hour - 1)) == "400 too_far_behind")
        #expect(reason(bench.append("b", "x")) == "taken")
        #expect(reason(bench.append("c", "x")) == "429 stream_limit")
        for _ in 0..<4 { bench.append("a", String(long.dropFirst())) }
        #expect(reason(bench.append("a", String(long.dropFirst()))) == "429 per_stream_rate_limit")
        bench.now += StoreBench.second
        #expect(reason(bench.append("a", "x")) == "taken")
        let many = Labels((0..<16).map { ("l\($0)", "v") })
        for (labels, expected) in [(Labels(), "missing_labels"), (many, "max_label_names_per_series")] {
            let refusal = [UInt8](repeating: 1, count: 1).withUnsafeBytes {
                bench.store.append(labels, bench.now, $0, now: bench.now)
            }
            #expect(refusal?.reason == expected)
        }
        #expect(bench.append("c", "x")?.description.hasPrefix("Maximum active stream limit exceeded") == true)
        // An hour later the first two are forgotten.
        bench.now += 2 * hour
        #expect(reason(bench.append("c", "x")) == "taken")
    }
}
