import KernelJSON
import KernelOTLP
import KernelProtobuf
import KernelStructures
import KernelTelemetry
import TestSupport
import Testing

@Suite("OTLP")
struct OTLPTests {
    // MARK: Random bodies

    private static func value(_ random: inout SeededRandom, depth: Int = 0) -> OTLPValue {
        switch random.below(depth > 3 ? 6 : 8) {
        case 0: .empty
        case 1: .text(text(&random))
        case 2: .bool(random.chance(0.5))
        case 3: .integer(Int64(bitPattern: random.next()))
        case 4: .number([0, -0.5, .infinity, -.infinity, .nan, 1e300][random.below(6)])
        case 5: .bytes(randomBytes(random.below(9), seed: random.next()))
        case 6: .array((0..<random.below(4)).map { _ in value(&random, depth: depth + 1) })
        default: .map(attributes(&random, depth: depth + 1))
        }
    }

    private static func text(_ random: inout SeededRandom) -> String {
        let pieces = ["", "a", "ä€", "\"\\\n", "service.name", "0", "𝄞"]
        return (0..<random.below(4)).map { _ in pieces[random.below(pieces.count)] }.joined()
    }

    private static func attributes(_ random: inout SeededRandom, depth: Int = 0) -> [OTLPAttribute] {
        (0..<random.below(4)).map { _ in OTLPAttribute(text(&random), value(&random, depth: depth)) }
    }

    static func traces(_ random: inout SeededRandom) -> OTLPTraces {
        OTLPTraces(
            (0..<random.below(4)).map { _ in
                var scope = OTLPScope()
                scope.name = text(&random)
                scope.attributes = attributes(&random)
                return .init(
                    resource: OTLPResource(attributes(&random)), scope: scope,
                    spans: (0...random.below(3)).map { _ in span(&random) })
            })
    }

    private static func span(_ random: inout SeededRandom) -> OTLPSpan {
        var span = OTLPSpan(TraceID(random: &random), SpanID(random: &random))
        if random.chance(0.5) { span.parentID = SpanID(random: &random) }
        span.name = text(&random)
        span.state = random.chance(0.3) ? "a=b" : ""
        span.flags = UInt32(truncatingIfNeeded: random.next() >> 40)
        span.kind = random.below(6)
        span.start = random.next()
        span.end = random.next()
        span.attributes = attributes(&random)
        span.droppedAttributeCount = random.below(3)
        span.droppedEventCount = random.below(3)
        span.droppedLinkCount = random.below(3)
        span.statusCode = random.below(3)
        span.statusMessage = text(&random)
        span.events = (0..<random.below(3)).map { _ in
            var event = OTLPSpan.Event()
            event.name = text(&random)
            event.time = random.next()
            event.attributes = attributes(&random)
            return event
        }
        span.links = (0..<random.below(3)).map { _ in
            var link = OTLPSpan.Link(TraceID(random: &random), SpanID(random: &random))
            link.attributes = attributes(&random)
            return link
        }
        return span
    }

    private static func logs(_ random: inout SeededRandom) -> OTLPLogs {
        OTLPLogs(
            (0..<random.below(3)).map { _ in
                .init(
                    resource: OTLPResource(attributes(&random)),
                    records: (0...random.below(3)).map { _ in
                        var record = OTLPLogRecord()
                        record.timeUnixNano = random.next()
                        record.observedTimeUnixNano = random.next()
                        record.severityNumber = random.below(25)
                        record.severityText = text(&random)
                        record.body = value(&random)
                        record.attributes = attributes(&random)
                        record.eventName = text(&random)
                        if random.chance(0.5) {
                            record.traceID = TraceID(random: &random)
                            record.spanID = SpanID(random: &random)
                        }
                        return record
                    })
            })
    }

    @Test("what is written reads back the same, in either format")
    func thereAndBack() throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<300 {
            let traces = Self.traces(&random)
            #expect(try OTLPTraces(protobuf: traces.protobuf()) == traces)
            #expect(try OTLPTraces(json: traces.json().bytes()) == traces)
            let logs = Self.logs(&random)
            #expect(try OTLPLogs(protobuf: logs.protobuf()) == logs)
            #expect(try OTLPLogs(json: logs.json().bytes()) == logs)
        }
    }

    @Test("damaged bodies are refused or read, and what was read is written so that it reads back the same")
    func fuzz() throws {
        var random = SeededRandom(seed: 5)
        var readCount = 0
        for _ in 0..<3000 {
            let isJSON = random.chance(0.5)
            let traces = Self.traces(&random)
            var bytes = isJSON ? traces.json().bytes() : traces.protobuf()
            for _ in 0..<random.below(6) where !bytes.isEmpty {
                let place = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.remove(at: place)
                default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                }
            }
            guard let read = try? isJSON ? OTLPTraces(json: bytes) : OTLPTraces(protobuf: bytes) else { continue }
            readCount += 1
            let again = try OTLPTraces(protobuf: read.protobuf())
            #expect(again.groups == read.groups)
            _ = try? OTLPLogs(protobuf: bytes)
        }
        #expect(readCount > 300)
    }

    @Test("a number of ten bytes and more, lengths beyond the end, groups and depth are refused")
    func protobuf() throws {
        func read(_ bytes: [UInt8]) throws -> Int {
            var reader = ProtobufReader(bytes[...])
            var count = 0
            while let field = try reader.next() { count += field.number }
            return count
        }
        #expect(try read([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]) == 1)
        #expect(throws: ProtobufError.tooLong) {
            try read([0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02])
        }
        #expect(throws: ProtobufError.truncated) { try read([0x0A, 0x05, 0x00]) }
        #expect(throws: ProtobufError.truncated) {
            try read([0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01])
        }
        #expect(throws: ProtobufError.truncated) { try read([0x09, 1, 2, 3]) }
        #expect(throws: ProtobufError.badNumber(0)) { try read([0x00, 0x00]) }
        #expect(throws: ProtobufError.badShape(3)) { try read([0x0B]) }
        var deep: [UInt8] = []
        for _ in 0..<100 {
            var writer = ProtobufWriter()
            writer.message(5) { $0.bytes(1, deep, always: true) }
            deep = writer.bytes
        }
        var writer = ProtobufWriter()
        writer.message(1) { $0.message(1) { $0.message(1) { $0.bytes(2, deep) } } }
        #expect(throws: OTLPError("messages lie too deep within one another")) {
            try OTLPTraces(protobuf: writer.bytes)
        }
    }

    @Test("spans without an id are counted, and more attributes than anybody needs are dropped")
    func limits() throws {
        var random = SeededRandom(seed: 6)
        var span = OTLPSpan(TraceID(random: &random), SpanID(random: &random))
        span.attributes = (0..<500).map { OTLPAttribute("k\($0)", .empty) }
        span.events = (0..<500).map { _ in OTLPSpan.Event() }
        var writer = ProtobufWriter()
        writer.message(1) { resource in
            resource.message(2) { scope in
                scope.bytes(2, Array(OTLPTraces([.init(resource: OTLPResource(), spans: [span])]).protobuf()))
                for _ in 0..<10 { scope.message(2) { $0.text(5, "no id") } }
            }
        }
        #expect(try OTLPTraces(protobuf: writer.bytes).rejectedCount >= 10)
        for read in [
            try OTLPTraces(protobuf: OTLPTraces([.init(resource: OTLPResource(), spans: [span])]).protobuf()),
            try OTLPTraces(json: OTLPTraces([.init(resource: OTLPResource(), spans: [span])]).json().bytes()),
        ] {
            let kept = try #require(read.groups.first?.spans.first)
            #expect(kept.attributes.count == 128 && kept.droppedAttributeCount == 372)
            #expect(kept.events.count == 128 && kept.droppedEventCount == 372)
        }
    }

    @Test("the specification's examples")
    func examples() throws {
        guard let trace = TraceVectors.read("otlp/trace.json"), let logs = TraceVectors.read("otlp/logs.json") else {
            return
        }
        let group = try #require(try OTLPTraces(json: trace).groups.first)
        let span = try #require(group.spans.first)
        #expect(group.resource.serviceName == "my.service" && group.scope.version == "1.0.0")
        #expect("\(span.traceID)" == "5b8efff798038103d269b633813fc60c" && "\(span.parentID!)" == "eee19b7ec3c1b173")
        #expect(span.kind == 2 && span.duration == 1_000_000_000 && span["my.span.attr"] == .text("some value"))
        let record = try #require(try OTLPLogs(json: logs).groups.first?.records.first)
        #expect(record.severityText == "Information" && record.traceID == span.traceID)
        #expect(try OTLPLogs(json: OTLPLogs(json: logs).json().bytes()) == OTLPLogs(json: logs))
    }

    @Test("what a collector answers")
    func answers() throws {
        #expect(OTLPAnswer(.traces).json().text == "{}" && OTLPAnswer(.traces).protobuf().isEmpty)
        let partial = OTLPAnswer(.logs, rejected: 3, message: "too old")
        #expect(
            partial.json().text == #"{"partialSuccess": {"rejectedLogRecords": "3", "errorMessage": "too old"}}"#)
        #expect(partial.protobuf() == [0x0A, 0x0B, 0x08, 0x03, 0x12, 0x07] + Array("too old".utf8))
    }
}
