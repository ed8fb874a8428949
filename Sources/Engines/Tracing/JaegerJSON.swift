import KernelCryptography
import KernelJSON
import KernelOTLP
import KernelTelemetry

/// Traces as Jaeger's own API has shown them since 2017, which every tool that reads Jaeger reads.
public enum JaegerJSON {
    /// An answer: `data`, and what went wrong.
    public static func answer(_ data: JSONValue, total: Int = 0, limit: Int = 0) -> JSONValue {
        .object([
            ("data", data), ("total", .integer(total)), ("limit", .integer(limit)), ("offset", 0), ("errors", .null),
        ])
    }

    public static func failure(_ status: Int, _ text: String) -> JSONValue {
        .object([
            ("data", .null), ("total", 0), ("limit", 0), ("offset", 0),
            ("errors", [["code": .integer(status), "msg": .string(text)]]),
        ])
    }

    /// `server`, `client` …; nil for one that nobody has said.
    public static func kindName(_ kind: Int) -> String? {
        let names = ["internal", "server", "client", "producer", "consumer"]
        return names.indices.contains(kind - 1) ? names[kind - 1] : nil
    }

    public static func kind(named name: String) -> Int? { (1...5).first { kindName($0) == name.lowercased() } }

    // MARK: Writing

    /// - Parameter warnings: a text a span, by its place in the trace; empty ones say nothing.
    public static func trace(_ trace: Trace, warnings: [String] = []) -> JSONValue {
        var processes: [(resource: OTLPResource, name: String)] = []
        let spans = trace.spans.enumerated().map { index, traced -> JSONValue in
            let known = processes.first { $0.resource == traced.resource }?.name
            let name = known ?? "p\(processes.count + 1)"
            if known == nil { processes.append((traced.resource, name)) }
            let warning = warnings.indices.contains(index) ? warnings[index] : ""
            return span(traced, process: name, warning: warning)
        }
        return .object([
            ("traceID", .string("\(trace.id)")), ("spans", .array(spans)),
            (
                "processes",
                .object(
                    processes.map { process in
                        let tags = process.resource.attributes.filter { $0.key != "service.name" }.map(tag)
                        return (
                            process.name,
                            .object([
                                ("serviceName", .string(process.resource.serviceName)), ("tags", .array(tags)),
                            ])
                        )
                    })
            ), ("warnings", .null),
        ])
    }

    private static func span(_ traced: TracedSpan, process: String, warning: String) -> JSONValue {
        let span = traced.span
        var tags = span.attributes.map(tag)
        for (key, value) in traced.derivedTags where key != "event" {
            // As the translator of OpenTelemetry's collector has it: an error is true, the rest is text.
            tags.append(tag(OTLPAttribute(key, key == "error" ? .bool(true) : .text(value))))
        }
        if !span.state.isEmpty { tags.append(tag(OTLPAttribute("w3c.tracestate", .text(span.state)))) }
        var references: [JSONValue] = []
        if let parent = span.parentID { references.append(reference("CHILD_OF", span.traceID, parent)) }
        references += span.links.map { reference("FOLLOWS_FROM", $0.traceID, $0.spanID) }
        return .object([
            ("traceID", .string("\(span.traceID)")), ("spanID", .string("\(span.spanID)")),
            ("flags", .integer(Int(span.flags & 0xFF))), ("operationName", .string(span.name)),
            ("references", .array(references)), ("startTime", microseconds(span.start)),
            ("duration", microseconds(span.duration)), ("tags", .array(tags)),
            ("logs", .array(span.events.map(log))), ("processID", .string(process)),
            ("warnings", warning.isEmpty ? .null : [.string(warning)]),
        ])
    }

    private static func microseconds(_ nanoseconds: UInt64) -> JSONValue { .integer(Int(nanoseconds / 1000)) }

    private static func reference(_ type: String, _ trace: TraceID, _ span: SpanID) -> JSONValue {
        .object([("refType", .string(type)), ("traceID", .string("\(trace)")), ("spanID", .string("\(span)"))])
    }

    private static func log(_ event: OTLPSpan.Event) -> JSONValue {
        var fields = event.attributes.map(tag)
        if !event.name.isEmpty { fields.insert(tag(OTLPAttribute("event", .text(event.name))), at: 0) }
        return .object([("timestamp", microseconds(event.time)), ("fields", .array(fields))])
    }

    private static func tag(_ attribute: OTLPAttribute) -> JSONValue {
        let (type, value): (String, JSONValue) =
            switch attribute.value {
            case .text(let text): ("string", .string(text))
            case .bool(let value): ("bool", .bool(value))
            case .integer(let value): ("int64", .integer(Int(value)))
            case .number(let value): ("float64", value.isFinite ? .number(value) : .string("\(value)"))
            case .bytes(let bytes): ("binary", .string(Base64.standard.encode(bytes)))
            case .empty, .array, .map: ("string", .string(attribute.value.text))
            }
        return .object([("key", .string(attribute.key)), ("type", .string(type)), ("value", value)])
    }

    public static func dependencies(_ calls: [ServiceCall]) -> JSONValue {
        .array(
            calls.map { call in
                .object([
                    ("parent", .string(call.from)), ("child", .string(call.to)), ("callCount", .integer(call.count)),
                ])
            })
    }

    // MARK: Reading

    /// The traces of an answer: what `trace --server` shows of any Jaeger.
    ///
    /// - Throws: `JSONTypeError` for what is no such answer.
    public static func traces(_ answer: JSONValue) throws -> [Trace] {
        try JSONCursor(answer)["data"].ifPresent?.array().compactMap { try trace($0) } ?? []
    }

    private static func trace(_ value: JSONCursor) throws -> Trace? {
        let text = try value["traceID"].string()
        guard let id = TraceID(text) else { throw value["traceID"].error("expected hexadecimal digits") }
        var spans: [TracedSpan] = []
        for element in try value["spans"].ifPresent?.array() ?? [] {
            guard let spanID = SpanID(try element["spanID"].string()) else { continue }
            var span = OTLPSpan(id, spanID)
            span.name = try element["operationName"].ifPresent?.string() ?? ""
            span.start = try nanoseconds(element["startTime"])
            span.end = span.start &+ (try nanoseconds(element["duration"]))
            for reference in try element["references"].ifPresent?.array() ?? [] {
                guard try reference["refType"].string() == "CHILD_OF", span.parentID == nil else { continue }
                span.parentID = SpanID(try reference["spanID"].string())
            }
            for tag in try element["tags"].ifPresent?.array() ?? [] { try add(tag, to: &span) }
            let process = value["processes"][try element["processID"].ifPresent?.string() ?? ""]
            var attributes = [
                OTLPAttribute("service.name", .text(try process["serviceName"].ifPresent?.string() ?? ""))
            ]
            for tag in try process["tags"].ifPresent?.array() ?? [] { attributes.append(try attribute(tag)) }
            spans.append(TracedSpan(span, resource: OTLPResource(attributes)))
        }
        return Trace(id, spans)
    }

    /// Nobody's clock goes beyond the year 2500.
    private static func nanoseconds(_ value: JSONCursor) throws -> UInt64 {
        let microseconds = UInt64(try value.ifPresent?.integer(in: 0...Int(UInt64.max / 1000)) ?? 0)
        return min(microseconds, UInt64.max / 2000) * 1000
    }

    private static func add(_ tag: JSONCursor, to span: inout OTLPSpan) throws {
        let attribute = try attribute(tag)
        switch (attribute.key, attribute.value) {
        case ("span.kind", .text(let name)): span.kind = kind(named: name) ?? 0
        case ("error", .bool(true)), ("error", .text("true")): span.statusCode = 2
        case ("otel.status_description", .text(let text)): span.statusMessage = text
        case ("otel.status_code", _), ("otel.scope.name", _), ("otel.library.name", _): break
        default: span.attributes.append(attribute)
        }
    }

    private static func attribute(_ tag: JSONCursor) throws -> OTLPAttribute {
        let value: OTLPValue =
            switch tag["value"].value {
            case .string(let text)?: .text(text)
            case .bool(let value)?: .bool(value)
            case .integer(let value)?: .integer(Int64(value))
            case .number(let value)?: .number(value)
            case let other?: .text(other.text)
            case nil: .empty
            }
        return OTLPAttribute(try tag["key"].string(), value)
    }
}
