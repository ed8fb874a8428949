import KernelJSON
import KernelProtobuf
import KernelTelemetry

/// A body of spans: OTLP's ExportTraceServiceRequest, in Protocol Buffers and in JSON.
///
/// ## The problem
///
/// Every library that makes spans and every system that keeps them once had formats of their own, and a program was
/// married to one of them. OTLP is the one that all of them speak now.
///
/// ## An everyday picture
///
/// Time sheets in an envelope for each workshop: the workshop's stamp is on the envelope once, and not on each sheet.
///
/// ## How
///
/// `resourceSpans` → `scopeSpans` → `spans`; here each innermost group is a `Group` with its resource and its library.
/// What this reader does not know is passed over. JSON is protobuf's mapping with OTLP's three exceptions: ids in
/// hexadecimal, kinds as numbers, members it does not know ignored.
///
/// ## Where it is wrong
///
/// Attributes beyond 128, and elements of values beyond 1,024, are counted and dropped. The schema's address is not
/// kept.
public struct OTLPTraces: Equatable, Sendable {
    public struct Group: Equatable, Sendable {
        public var resource: OTLPResource
        public var scope: OTLPScope
        public var spans: [OTLPSpan]

        public init(resource: OTLPResource, scope: OTLPScope = OTLPScope(), spans: [OTLPSpan]) {
            self.resource = resource
            self.scope = scope
            self.spans = spans
        }
    }

    public var groups: [Group] = []
    /// Spans of the body that had no trace or no id of their own.
    public private(set) var rejectedCount = 0

    public init(_ groups: [Group] = []) { self.groups = groups }

    public var spanCount: Int { groups.reduce(0) { $0 + $1.spans.count } }

    public init(protobuf bytes: [UInt8]) throws(OTLPError) {
        var result = OTLPTraces()
        try OTLPError.reading {
            try OTLPEnvelope.read(bytes) { resource, scope, items in
                result.append(resource, scope, try items.map { try OTLPSpan($0) })
            }
        }
        self = result
    }

    public init(json bytes: [UInt8]) throws(OTLPError) {
        var result = OTLPTraces()
        try OTLPError.reading {
            try OTLPEnvelope.read(json: bytes, ("resourceSpans", "scopeSpans", "spans")) { resource, scope, items in
                result.append(resource, scope, try items.map { try OTLPSpan($0) })
            }
        }
        self = result
    }

    private mutating func append(_ resource: OTLPResource, _ scope: OTLPScope, _ spans: [OTLPSpan?]) {
        let good = spans.compactMap(\.self)
        rejectedCount += spans.count - good.count
        if !good.isEmpty { groups.append(Group(resource: resource, scope: scope, spans: good)) }
    }

    public func protobuf() -> [UInt8] {
        var writer = ProtobufWriter()
        for group in groups {
            OTLPEnvelope.write(&writer, group.resource, group.scope) { inner in
                for span in group.spans { inner.message(2) { span.write(to: &$0) } }
            }
        }
        return writer.bytes
    }

    public func json() -> JSONValue {
        .object([
            (
                "resourceSpans",
                .array(
                    groups.map { group in
                        [
                            "resource": group.resource.json,
                            "scopeSpans": [["scope": group.scope.json, "spans": .array(group.spans.map(\.json))]],
                        ]
                    })
            )
        ])
    }
}
