import KernelJSON
import KernelStructures

/// What an activity brought back.
public struct Observation: Sendable {
    /// What it was, and what belongs to that.
    public enum Content: Sendable {
        case http(status: Int, reason: String, headers: [(name: String, value: String)], body: [UInt8])
        case process(status: Int, output: String, errors: String)
        /// A value, `true` for an action that was carried out.
        case value(JSONValue)
    }

    public var content: Content
    public var latency: LabDuration

    public init(_ content: Content, latency: LabDuration = .zero) {
        self.content = content
        self.latency = latency
    }

    /// An HTTP status or a process's, where there is one.
    public var status: Int? {
        switch content {
        case .http(let status, _, _, _), .process(let status, _, _): status
        case .value: nil
        }
    }

    /// The body as text; what a process has printed.
    public var bodyText: String {
        switch content {
        case .http(_, _, _, let body): String(decoding: body, as: UTF8.self)
        case .process(_, let output, _): output
        case .value(.string(let text)): text
        case .value(let value): value.text
        }
    }

    /// The body as JSON; nil if it is none.
    public var bodyValue: JSONValue? {
        switch content {
        case .http(_, _, _, let body): try? JSONValue(parsing: body)
        case .process(_, let output, _): try? JSONValue(parsing: output)
        case .value(let value): value
        }
    }

    /// The first header of that name.
    public func header(_ name: String) -> String? {
        guard case .http(_, _, let headers, _) = content else { return nil }
        return headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// As the Toolkit's providers give it back: what its tolerances look at.
    public var output: JSONValue {
        switch content {
        case .http(let status, _, let headers, let body):
            let text = String(decoding: body, as: UTF8.self)
            let isJSON = header("Content-Type")?.lowercased().contains("json") ?? false
            return .object([
                ("status", .integer(status)), ("headers", .object(headers.map { ($0.name, .string($0.value)) })),
                ("body", isJSON ? bodyValue ?? .string(text) : .string(text)),
            ])
        case .process(let status, let output, let errors):
            return .object([("status", .integer(status)), ("stdout", .string(output)), ("stderr", .string(errors))])
        case .value(let value): return value
        }
    }

    /// What is said of it in a line: `200 OK, 127ms`.
    public var summary: String {
        let time = "\(Int(latency.milliseconds.rounded()))ms"
        switch content {
        case .http(let status, let reason, _, _): return "\(status)\(reason.isEmpty ? "" : " ")\(reason), \(time)"
        case .process(let status, _, _): return "exit \(status), \(time)"
        case .value(let value): return value.text
        }
    }
}

/// Whether something is as it should be, and if not, why.
public struct Judgement: Equatable, Sendable {
    public var isMet: Bool
    /// What was expected and not found: `latency is 2340ms, not < 500ms`.
    public var reasons: [String]

    public static let met = Judgement(isMet: true, reasons: [])
    public static func unmet(_ reason: String) -> Judgement { Judgement(isMet: false, reasons: [reason]) }

    /// Met, or that reason.
    public init(_ isMet: Bool, else reason: @autoclosure () -> String) {
        self.init(isMet: isMet, reasons: isMet ? [] : [reason()])
    }

    public init(isMet: Bool, reasons: [String]) {
        self.isMet = isMet
        self.reasons = reasons
    }
}
