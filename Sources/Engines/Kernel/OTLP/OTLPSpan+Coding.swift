import KernelJSON
import KernelProtobuf
import KernelTelemetry

extension OTLPSpan {
    // MARK: Protocol Buffers

    /// Nil for one without a trace or an id of its own, which nobody could find again.
    init?(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        var ids = OTLPIDs()
        var parent: SpanID?
        var attributes = OTLPAttributes()
        var rest = OTLPSpan(TraceID(high: 0, low: 1)!, SpanID(1)!)
        while let field = try reader.next() {
            switch field.number {
            case 1: ids.trace = OTLPIDs.trace(try field.bytes())
            case 2: ids.span = OTLPIDs.span(try field.bytes())
            case 3: rest.state = try field.text()
            case 4: parent = OTLPIDs.span(try field.bytes())
            case 5: rest.name = try field.text()
            case 6: rest.kind = Int(clamping: try field.integer())
            case 7: rest.start = try field.integer()
            case 8: rest.end = try field.integer()
            case 9: try attributes.append(try field.message())
            case 10: rest.droppedAttributeCount = Self.count(try field.integer())
            case 11:
                guard rest.events.count < Self.itemLimit else {
                    rest.droppedEventCount += 1
                    continue
                }
                rest.events.append(try Event(try field.message()))
            case 12: rest.droppedEventCount += Self.count(try field.integer())
            case 13:
                guard rest.links.count < Self.itemLimit else {
                    rest.droppedLinkCount += 1
                    continue
                }
                if let link = try Link(try field.message()) { rest.links.append(link) }
            case 14: rest.droppedLinkCount += Self.count(try field.integer())
            case 15: try rest.readStatus(try field.message())
            case 16: rest.flags = UInt32(truncatingIfNeeded: try field.integer())
            default: break
            }
        }
        guard let trace = ids.trace, let span = ids.span else { return nil }
        self = rest
        traceID = trace
        spanID = span
        parentID = parent
        self.attributes = attributes.all
        droppedAttributeCount += attributes.droppedCount
    }

    private static func count(_ value: UInt64) -> Int { Int(UInt32(truncatingIfNeeded: value)) }

    private mutating func readStatus(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        while let field = try reader.next() {
            switch field.number {
            case 2: statusMessage = try field.text()
            case 3: statusCode = Int(clamping: try field.integer())
            default: break
            }
        }
    }

    func write(to writer: inout ProtobufWriter) {
        writer.bytes(1, OTLPIDs.bytes(traceID))
        writer.bytes(2, OTLPIDs.bytes(spanID))
        writer.text(3, state)
        if let parentID { writer.bytes(4, OTLPIDs.bytes(parentID)) }
        writer.text(5, name)
        writer.varint(6, UInt64(max(0, kind)))
        writer.fixed64(7, start)
        writer.fixed64(8, end)
        attributes.write(9, to: &writer)
        writer.varint(10, UInt64(droppedAttributeCount))
        for event in events { writer.message(11) { event.write(to: &$0) } }
        writer.varint(12, UInt64(droppedEventCount))
        for link in links { writer.message(13) { link.write(to: &$0) } }
        writer.varint(14, UInt64(droppedLinkCount))
        if statusCode != 0 || !statusMessage.isEmpty {
            writer.message(15) {
                $0.text(2, statusMessage)
                $0.varint(3, UInt64(max(0, statusCode)))
            }
        }
        writer.fixed32(16, flags)
    }

    // MARK: JSON

    init?(_ value: JSONCursor) throws {
        let ids = try OTLPIDs(value)
        guard let trace = ids.trace, let span = ids.span else { return nil }
        self.init(trace, span)
        parentID = SpanID(try value["parentSpanId"].ifPresent?.string() ?? "")
        state = try value["traceState"].ifPresent?.string() ?? ""
        flags = UInt32(truncatingIfNeeded: try value["flags"].ifPresent?.unsigned64() ?? 0)
        name = try value["name"].ifPresent?.string() ?? ""
        kind = try Self.code(value["kind"], Self.kinds)
        start = try value["startTimeUnixNano"].ifPresent?.unsigned64() ?? 0
        end = try value["endTimeUnixNano"].ifPresent?.unsigned64() ?? 0
        let attributes = try OTLPAttributes(of: value)
        self.attributes = attributes.all
        droppedAttributeCount = attributes.droppedCount + (try Self.count(value["droppedAttributesCount"]))
        let events = try value["events"].ifPresent?.array() ?? []
        self.events = try events.prefix(Self.itemLimit).map { try Event($0) }
        droppedEventCount = max(0, events.count - Self.itemLimit) + (try Self.count(value["droppedEventsCount"]))
        let links = try value["links"].ifPresent?.array() ?? []
        self.links = try links.prefix(Self.itemLimit).compactMap { try Link($0) }
        droppedLinkCount = max(0, links.count - Self.itemLimit) + (try Self.count(value["droppedLinksCount"]))
        if let status = value["status"].ifPresent {
            statusCode = try Self.code(status["code"], Self.statuses)
            statusMessage = try status["message"].ifPresent?.string() ?? ""
        }
    }

    private static let kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"].map {
        "SPAN_KIND_\($0)"
    }
    private static let statuses = ["UNSET", "OK", "ERROR"].map { "STATUS_CODE_\($0)" }

    private static func count(_ value: JSONCursor) throws -> Int {
        count(try value.ifPresent?.unsigned64() ?? 0)
    }

    /// A number; its name as well, which protobuf's JSON has and OTLP's forbids, because some send it.
    private static func code(_ value: JSONCursor, _ names: [String]) throws -> Int {
        guard let value = value.ifPresent else { return 0 }
        if let name = try? value.string(), let index = names.firstIndex(of: name) { return index }
        return try value.integer(in: 0...Int(Int32.max))
    }

    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("traceId", .string("\(traceID)")), ("spanId", .string("\(spanID)")),
        ]
        if !state.isEmpty { members.append(("traceState", .string(state))) }
        if let parentID { members.append(("parentSpanId", .string("\(parentID)"))) }
        if flags != 0 { members.append(("flags", .integer(Int(flags)))) }
        members += [
            ("name", .string(name)), ("kind", .integer(kind)), ("startTimeUnixNano", .string(String(start))),
            ("endTimeUnixNano", .string(String(end))),
        ]
        if !attributes.isEmpty { members.append(("attributes", attributes.json)) }
        if droppedAttributeCount > 0 { members.append(("droppedAttributesCount", .integer(droppedAttributeCount))) }
        if !events.isEmpty { members.append(("events", .array(events.map(\.json)))) }
        if droppedEventCount > 0 { members.append(("droppedEventsCount", .integer(droppedEventCount))) }
        if !links.isEmpty { members.append(("links", .array(links.map(\.json)))) }
        if droppedLinkCount > 0 { members.append(("droppedLinksCount", .integer(droppedLinkCount))) }
        var status: [(key: String, value: JSONValue)] = []
        if statusCode != 0 { status.append(("code", .integer(statusCode))) }
        if !statusMessage.isEmpty { status.append(("message", .string(statusMessage))) }
        members.append(("status", .object(status)))
        return .object(members)
    }
}

extension OTLPSpan.Event {
    init(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        var attributes = OTLPAttributes()
        while let field = try reader.next() {
            switch field.number {
            case 1: time = try field.integer()
            case 2: name = try field.text()
            case 3: try attributes.append(try field.message())
            default: break
            }
        }
        self.attributes = attributes.all
    }

    func write(to writer: inout ProtobufWriter) {
        writer.fixed64(1, time)
        writer.text(2, name)
        attributes.write(3, to: &writer)
    }

    init(_ value: JSONCursor) throws {
        time = try value["timeUnixNano"].ifPresent?.unsigned64() ?? 0
        name = try value["name"].ifPresent?.string() ?? ""
        attributes = try OTLPAttributes(of: value).all
    }

    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("timeUnixNano", .string(String(time))), ("name", .string(name)),
        ]
        if !attributes.isEmpty { members.append(("attributes", attributes.json)) }
        return .object(members)
    }
}

extension OTLPSpan.Link {
    init?(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        var ids = OTLPIDs()
        var state = ""
        var attributes = OTLPAttributes()
        while let field = try reader.next() {
            switch field.number {
            case 1: ids.trace = OTLPIDs.trace(try field.bytes())
            case 2: ids.span = OTLPIDs.span(try field.bytes())
            case 3: state = try field.text()
            case 4: try attributes.append(try field.message())
            default: break
            }
        }
        guard let trace = ids.trace, let span = ids.span else { return nil }
        self.init(trace, span)
        self.state = state
        self.attributes = attributes.all
    }

    func write(to writer: inout ProtobufWriter) {
        writer.bytes(1, OTLPIDs.bytes(traceID))
        writer.bytes(2, OTLPIDs.bytes(spanID))
        writer.text(3, state)
        attributes.write(4, to: &writer)
    }

    init?(_ value: JSONCursor) throws {
        let ids = try OTLPIDs(value)
        guard let trace = ids.trace, let span = ids.span else { return nil }
        self.init(trace, span)
        state = try value["traceState"].ifPresent?.string() ?? ""
        attributes = try OTLPAttributes(of: value).all
    }

    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("traceId", .string("\(traceID)")), ("spanId", .string("\(spanID)")),
        ]
        if !state.isEmpty { members.append(("traceState", .string(state))) }
        if !attributes.isEmpty { members.append(("attributes", attributes.json)) }
        return .object(members)
    }
}

/// A trace's and a span's id as they are read: 16 and 8 bytes, not all zeros.
struct OTLPIDs {
    var trace: TraceID?
    var span: SpanID?

    init() {}

    /// In JSON they are hexadecimal, and not base64 as other bytes.
    init(_ value: JSONCursor) throws {
        let traceText = try value["traceId"].ifPresent?.string() ?? ""
        let spanText = try value["spanId"].ifPresent?.string() ?? ""
        if traceText.utf8.count == 32 { trace = TraceID(traceText) }
        if spanText.utf8.count == 16 { span = SpanID(spanText) }
    }

    static func trace(_ bytes: ArraySlice<UInt8>) -> TraceID? {
        guard bytes.count == 16 else { return nil }
        return TraceID(high: number(bytes.prefix(8)), low: number(bytes.suffix(8)))
    }

    static func span(_ bytes: ArraySlice<UInt8>) -> SpanID? {
        bytes.count == 8 ? SpanID(number(bytes)) : nil
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }

    static func bytes(_ id: TraceID) -> [UInt8] { bytes(id.high) + bytes(id.low) }
    static func bytes(_ id: SpanID) -> [UInt8] { bytes(id.value) }

    private static func bytes(_ number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
    }
}
