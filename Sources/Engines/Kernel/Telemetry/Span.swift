import KernelStructures

/// A piece of a trace that is over: something that took time, where it happened, and what it was a part of.
///
/// An everyday picture: one line of a time sheet. Who worked, from when to when, at what, and for whose order. The
/// trace is what remains when the sheets of all workshops are sorted by order. The names of kinds, attributes and
/// statuses are OpenTelemetry's.
public struct Span: Equatable, Sendable {
    public let traceID: TraceID
    public let spanID: SpanID
    /// The span that it is a part of; nil for the first of a trace.
    public let parentID: SpanID?
    public let state: TraceState
    public let name: String
    public let kind: Kind
    /// What kind of thing did it: `orders`, whichever of three it was.
    public let service: String
    /// Which one: the node's name.
    public let node: String
    /// On the lab's clock, which is right everywhere.
    public let start: LabTime
    public let end: LabTime
    /// How far the node's own calendar was from that: what the node would say is `start + skew`.
    public let skew: LabDuration
    public let attributes: [Attribute]
    public let events: [Event]
    public let links: [Link]
    public let status: Status
    /// The journal's event that it began with, and the one before which it ended; 0 for what nobody recorded.
    public let cause: UInt64
    public let endCause: UInt64

    public var duration: LabDuration { end - start }

    /// The numbers are OTLP's.
    public enum Kind: UInt8, Sendable, CaseIterable {
        case `internal` = 1
        case server, client, producer, consumer
    }

    public enum Status: Equatable, Sendable {
        case unset, ok
        case error(String)

        public var isError: Bool { if case .error = self { true } else { false } }
    }

    public enum Value: Equatable, Sendable, CustomStringConvertible {
        case text(String)
        case bool(Bool)
        case integer(Int64)
        case number(Double)

        public var description: String {
            switch self {
            case .text(let text): text
            case .bool(let value): value ? "true" : "false"
            case .integer(let value): String(value)
            case .number(let value): "\(value)"
            }
        }
    }

    public struct Attribute: Equatable, Sendable {
        public let key: String
        public let value: Value

        public init(_ key: String, _ value: Value) {
            self.key = key
            self.value = value
        }
    }

    /// Something that happened within it.
    public struct Event: Equatable, Sendable {
        public let name: String
        public let time: LabTime
        public let attributes: [Attribute]

        public init(_ name: String, at time: LabTime, _ attributes: [Attribute] = []) {
            self.name = name
            self.time = time
            self.attributes = attributes
        }
    }

    /// A span that has to do with it, and that it is no part of: whoever sent the message that it works on.
    public struct Link: Equatable, Sendable {
        public let traceID: TraceID
        public let spanID: SpanID

        public init(_ context: TraceContext) {
            traceID = context.traceID
            spanID = context.spanID
        }
    }

    public init(
        _ name: String, _ kind: Kind, _ context: TraceContext, parent: SpanID?, service: String, node: String,
        from start: LabTime, to end: LabTime, skew: LabDuration = .zero, attributes: [Attribute] = [],
        events: [Event] = [], links: [Link] = [], status: Status = .unset, cause: UInt64 = 0, endCause: UInt64 = 0
    ) {
        self.name = name
        self.kind = kind
        traceID = context.traceID
        spanID = context.spanID
        state = context.state
        parentID = parent
        self.service = service
        self.node = node
        self.start = start
        self.end = end
        self.skew = skew
        self.attributes = attributes
        self.events = events
        self.links = links
        self.status = status
        self.cause = cause
        self.endCause = endCause
    }

    public subscript(key: String) -> Value? { attributes.first { $0.key == key }?.value }
}
