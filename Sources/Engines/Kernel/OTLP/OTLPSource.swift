import KernelJSON
import KernelProtobuf

/// What the spans or records of a body came from: a service on a machine.
public struct OTLPResource: Equatable, Sendable {
    public var attributes: [OTLPAttribute]

    public init(_ attributes: [OTLPAttribute] = []) { self.attributes = attributes }

    public subscript(key: String) -> OTLPValue? { attributes.first { $0.key == key }?.value }

    /// `service.name`; whoever does not say it is OpenTelemetry's `unknown_service`.
    public var serviceName: String {
        guard let text = self["service.name"]?.text, !text.isEmpty else { return "unknown_service" }
        return text
    }

    init(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        var attributes = OTLPAttributes()
        while let field = try reader.next() {
            if field.number == 1 { try attributes.append(try field.message()) }
        }
        self.attributes = attributes.all
    }

    init(_ value: JSONCursor) throws { attributes = try OTLPAttributes(of: value).all }

    func write(to writer: inout ProtobufWriter) { attributes.write(1, to: &writer) }
    var json: JSONValue { ["attributes": attributes.json] }
}

/// The library that made the spans or records.
public struct OTLPScope: Equatable, Sendable {
    public var name = ""
    public var version = ""
    public var attributes: [OTLPAttribute] = []

    public init() {}

    init(_ reader: ProtobufReader) throws(ProtobufError) {
        var reader = reader
        var attributes = OTLPAttributes()
        while let field = try reader.next() {
            switch field.number {
            case 1: name = try field.text()
            case 2: version = try field.text()
            case 3: try attributes.append(try field.message())
            default: break
            }
        }
        self.attributes = attributes.all
    }

    init(_ value: JSONCursor) throws {
        name = try value["name"].ifPresent?.string() ?? ""
        version = try value["version"].ifPresent?.string() ?? ""
        attributes = try OTLPAttributes(of: value).all
    }

    func write(to writer: inout ProtobufWriter) {
        writer.text(1, name)
        writer.text(2, version)
        attributes.write(3, to: &writer)
    }

    var json: JSONValue {
        var members: [(key: String, value: JSONValue)] = []
        if !name.isEmpty { members.append(("name", .string(name))) }
        if !version.isEmpty { members.append(("version", .string(version))) }
        if !attributes.isEmpty { members.append(("attributes", attributes.json)) }
        return .object(members)
    }
}

/// Why a body is none of OTLP's: the sender's mistake (400), which it must not send again.
public struct OTLPError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// Runs what reads a body, and says what was wrong with it.
    static func reading<Value>(_ body: () throws -> Value) throws(OTLPError) -> Value {
        do { return try body() } catch { throw OTLPError("\(error)") }
    }
}

/// What is sent.
public enum OTLPSignal: String, Sendable {
    case traces, logs

    /// Where a body is posted to.
    public var path: String { "/v1/\(rawValue)" }
}

/// A body's outer two levels, which all signals share: resources, and scopes within them.
///
/// ```
/// body     = 1: resource group …          resource group = 1: resource, 2: scope group …
/// item     = a span, a record             scope group    = 1: scope,    2: item …
/// ```
enum OTLPEnvelope {
    static func read(
        _ bytes: [UInt8], _ take: (OTLPResource, OTLPScope, [ProtobufReader]) throws -> Void
    ) throws {
        var body = ProtobufReader(bytes[...])
        while let field = try body.next() {
            guard field.number == 1 else { continue }
            var resource = OTLPResource()
            var groups: [ProtobufReader] = []
            var inner = try field.message()
            while let field = try inner.next() {
                switch field.number {
                case 1: resource = try OTLPResource(try field.message())
                case 2: groups.append(try field.message())
                default: break
                }
            }
            for group in groups {
                var scope = OTLPScope()
                var items: [ProtobufReader] = []
                var inner = group
                while let field = try inner.next() {
                    switch field.number {
                    case 1: scope = try OTLPScope(try field.message())
                    case 2: items.append(try field.message())
                    default: break
                    }
                }
                try take(resource, scope, items)
            }
        }
    }

    /// - Parameter names: `resourceSpans`, `scopeSpans`, `spans`.
    static func read(
        json bytes: [UInt8], _ names: (String, String, String),
        _ take: (OTLPResource, OTLPScope, [JSONCursor]) throws -> Void
    ) throws {
        let body = JSONCursor(try JSONValue(parsing: bytes, limits: JSONLimits(bytes: 64 << 20)))
        _ = try body.members()
        for group in try body[names.0].ifPresent?.array() ?? [] {
            let resource = try group["resource"].ifPresent.map { try OTLPResource($0) } ?? OTLPResource()
            for inner in try group[names.1].ifPresent?.array() ?? [] {
                let scope = try inner["scope"].ifPresent.map { try OTLPScope($0) } ?? OTLPScope()
                try take(resource, scope, try inner[names.2].ifPresent?.array() ?? [])
            }
        }
    }

    static func write(
        _ writer: inout ProtobufWriter, _ resource: OTLPResource, _ scope: OTLPScope,
        _ items: (inout ProtobufWriter) -> Void
    ) {
        writer.message(1) { outer in
            outer.message(1) { resource.write(to: &$0) }
            outer.message(2) { inner in
                inner.message(1) { scope.write(to: &$0) }
                items(&inner)
            }
        }
    }
}

/// What a collector answers: nothing, or how much of it it did not take and why.
public struct OTLPAnswer: Equatable, Sendable {
    public let signal: OTLPSignal
    public let rejectedCount: Int
    public let message: String

    public init(_ signal: OTLPSignal, rejected: Int = 0, message: String = "") {
        self.signal = signal
        rejectedCount = rejected
        self.message = message
    }

    public func protobuf() -> [UInt8] {
        var writer = ProtobufWriter()
        if rejectedCount > 0 || !message.isEmpty {
            writer.message(1) {
                $0.varint(1, UInt64(rejectedCount))
                $0.text(2, message)
            }
        }
        return writer.bytes
    }

    public func json() -> JSONValue {
        guard rejectedCount > 0 || !message.isEmpty else { return .object([]) }
        let name = signal == .traces ? "rejectedSpans" : "rejectedLogRecords"
        return .object([
            (
                "partialSuccess",
                .object([(name, .string(String(rejectedCount))), ("errorMessage", .string(message))])
            )
        ])
    }
}
