import TimeSeriesEngine

/// What somebody who reads lines in a terminal wants to know of one: who says what.
public struct EntrySummary: Equatable, Sendable {
    /// The service, or what else tells where it comes from; empty if nothing does.
    public let origin: String
    /// The message; the whole line where it has none of its own.
    public let message: String

    private static let origins = ["service", "service_name", "app", "job", "container", "host"]
    private static let messages = ["msg", "message"]

    public init(_ entry: LogQLEntry) {
        let fields = entry.line.withUnsafeBytes { LineFields($0) }
        func value(_ names: [String]) -> String? {
            for name in names { if let value = fields.values(of: name).first, !value.isEmpty { return value } }
            return nil
        }
        let message: String? =
            if case .json = fields { value(Self.messages) } else { nil }
        self.message = message ?? entry.text
        let labels = Self.origins.lazy.map { entry.labels[$0] }.first { !$0.isEmpty }
        let service: String? = if case .json = fields { value(["service", "service_name"]) } else { nil }
        origin = service ?? labels ?? ""
    }
}
