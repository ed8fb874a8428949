import KernelJSON
import KernelProtobuf
import KernelTelemetry

/// One line of a log: OpenTelemetry's `LogRecord` (logs/v1).
public struct OTLPLogRecord: Equatable, Sendable {
    /// Nanoseconds since 1970: when it happened, 0 where nobody knows, and when somebody saw it.
    public var timeUnixNano: UInt64 = 0
    public var observedTimeUnixNano: UInt64 = 0
    /// 1…4 trace, 5…8 debug, 9…12 info, 13…16 warn, 17…20 error, 21…24 fatal; 0: nobody has said.
    public var severityNumber = 0
    public var severityText = ""
    public var body = OTLPValue.empty
    public var attributes: [OTLPAttribute] = []
    public var droppedAttributeCount = 0
    public var flags: UInt32 = 0
    public var traceID: TraceID?
    public var spanID: SpanID?
    public var eventName = ""

    public init() {}

    init(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        var attributes = OTLPAttributes()
        while let field = try reader.next() {
            switch field.number {
            case 1: timeUnixNano = try field.integer()
            case 2: severityNumber = Int(clamping: try field.integer())
            case 3: severityText = try field.text()
            case 5: body = try OTLPValue(try field.message())
            case 6: try attributes.append(try field.message())
            case 7: droppedAttributeCount = Int(UInt32(truncatingIfNeeded: try field.integer()))
            case 8: flags = UInt32(truncatingIfNeeded: try field.integer())
            case 9: traceID = OTLPIDs.trace(try field.bytes())
            case 10: spanID = OTLPIDs.span(try field.bytes())
            case 11: observedTimeUnixNano = try field.integer()
            case 12: eventName = try field.text()
            default: break
            }
        }
        self.attributes = attributes.all
        droppedAttributeCount += attributes.droppedCount
    }

    func write(to writer: inout ProtobufWriter) {
        writer.fixed64(1, timeUnixNano)
        writer.varint(2, UInt64(max(0, severityNumber)))
        writer.text(3, severityText)
        if body != .empty { writer.message(5) { body.write(to: &$0) } }
        attributes.write(6, to: &writer)
        writer.varint(7, UInt64(droppedAttributeCount))
        writer.fixed32(8, flags)
        if let traceID { writer.bytes(9, OTLPIDs.bytes(traceID)) }
        if let spanID { writer.bytes(10, OTLPIDs.bytes(spanID)) }
        writer.fixed64(11, observedTimeUnixNano)
        writer.text(12, eventName)
    }

    init(_ value: JSONCursor) throws {
        timeUnixNano = try value["timeUnixNano"].ifPresent?.unsigned64() ?? 0
        observedTimeUnixNano = try value["observedTimeUnixNano"].ifPresent?.unsigned64() ?? 0
        severityNumber = try value["severityNumber"].ifPresent?.integer(in: 0...Int(Int32.max)) ?? 0
        severityText = try value["severityText"].ifPresent?.string() ?? ""
        body = try OTLPValue(value["body"])
        let attributes = try OTLPAttributes(of: value)
        self.attributes = attributes.all
        let dropped = try value["droppedAttributesCount"].ifPresent?.unsigned64() ?? 0
        droppedAttributeCount = attributes.droppedCount + Int(UInt32(truncatingIfNeeded: dropped))
        flags = UInt32(truncatingIfNeeded: try value["flags"].ifPresent?.unsigned64() ?? 0)
        let ids = try OTLPIDs(value)
        traceID = ids.trace
        spanID = ids.span
        eventName = try value["eventName"].ifPresent?.string() ?? ""
    }

    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = [
            ("timeUnixNano", .string(String(timeUnixNano))),
            ("observedTimeUnixNano", .string(String(observedTimeUnixNano))),
            ("severityNumber", .integer(severityNumber)), ("severityText", .string(severityText)),
            ("body", body.json),
        ]
        if !attributes.isEmpty { members.append(("attributes", attributes.json)) }
        if droppedAttributeCount > 0 { members.append(("droppedAttributesCount", .integer(droppedAttributeCount))) }
        if flags != 0 { members.append(("flags", .integer(Int(flags)))) }
        if let traceID { members.append(("traceId", .string("\(traceID)"))) }
        if let spanID { members.append(("spanId", .string("\(spanID)"))) }
        if !eventName.isEmpty { members.append(("eventName", .string(eventName))) }
        return .object(members)
    }
}

/// A body of log records: OTLP's ExportLogsServiceRequest. `OTLPTraces` says more of how it is made.
public struct OTLPLogs: Equatable, Sendable {
    public struct Group: Equatable, Sendable {
        public var resource: OTLPResource
        public var scope: OTLPScope
        public var records: [OTLPLogRecord]

        public init(resource: OTLPResource, scope: OTLPScope = OTLPScope(), records: [OTLPLogRecord]) {
            self.resource = resource
            self.scope = scope
            self.records = records
        }
    }

    public var groups: [Group] = []

    public init(_ groups: [Group] = []) { self.groups = groups }

    public var recordCount: Int { groups.reduce(0) { $0 + $1.records.count } }

    public init(protobuf bytes: [UInt8]) throws(OTLPError) {
        var result = OTLPLogs()
        try OTLPError.reading {
            try OTLPEnvelope.read(bytes) { resource, scope, items in
                try result.append(resource, scope, items.map { try OTLPLogRecord($0) })
            }
        }
        self = result
    }

    public init(json bytes: [UInt8]) throws(OTLPError) {
        var result = OTLPLogs()
        try OTLPError.reading {
            let names = ("resourceLogs", "scopeLogs", "logRecords")
            try OTLPEnvelope.read(json: bytes, names) { resource, scope, items in
                try result.append(resource, scope, items.map { try OTLPLogRecord($0) })
            }
        }
        self = result
    }

    private mutating func append(_ resource: OTLPResource, _ scope: OTLPScope, _ records: [OTLPLogRecord]) {
        if !records.isEmpty { groups.append(Group(resource: resource, scope: scope, records: records)) }
    }

    public func protobuf() -> [UInt8] {
        var writer = ProtobufWriter()
        for group in groups {
            OTLPEnvelope.write(&writer, group.resource, group.scope) { inner in
                for record in group.records { inner.message(2) { record.write(to: &$0) } }
            }
        }
        return writer.bytes
    }

    public func json() -> JSONValue {
        .object([
            (
                "resourceLogs",
                .array(
                    groups.map { group in
                        [
                            "resource": group.resource.json,
                            "scopeLogs": [
                                ["scope": group.scope.json, "logRecords": .array(group.records.map(\.json))]
                            ],
                        ]
                    })
            )
        ])
    }
}
