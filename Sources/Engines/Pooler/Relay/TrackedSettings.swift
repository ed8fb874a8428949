import KernelWire

/// The settings of a session that travel with the client from server to server: those that PostgreSQL reports, so that
/// the pooler hears of every change.
public struct TrackedSettings: Equatable, Sendable {
    /// In pgbouncer's order; `IntervalStyle` is in its `track_extra_parameters`.
    public static let names = [
        "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings", "application_name", "IntervalStyle",
    ]

    private var values = [String?](repeating: nil, count: names.count)

    public init() {}

    /// The place of a name, in any case.
    public static func index(_ name: String) -> Int? {
        let lower = name.lowercased()
        return names.firstIndex { $0.lowercased() == lower }
    }

    public subscript(name: String) -> String? { Self.index(name).flatMap { values[$0] } }

    /// - Returns: whether it is one of those that travel.
    @discardableResult
    public mutating func set(_ name: String, _ value: String) -> Bool {
        guard let index = Self.index(name) else { return false }
        values[index] = value
        return true
    }

    /// Takes over what is set there, where nothing is set here.
    public mutating func fill(from other: TrackedSettings) {
        for index in values.indices where values[index] == nil { values[index] = other.values[index] }
    }

    /// What a server with `other` settings has to be told so that it has these; nil if nothing.
    public func difference(from other: TrackedSettings) -> String? {
        if values == other.values { return nil }
        var statements: [String] = []
        for (index, name) in Self.names.enumerated() {
            guard let wanted = values[index], wanted != other.values[index] else { continue }
            // Servers spell encodings their own way.
            if index == 0, let present = other.values[0], Self.plain(present) == Self.plain(wanted) { continue }
            statements.append("SET \(name)=\(Self.quoted(wanted))")
        }
        return statements.isEmpty ? nil : statements.joined(separator: ";")
    }

    /// The text as a literal that means the same whatever `standard_conforming_strings` is: the server reads all of
    /// this before it sets any of it.
    private static func quoted(_ text: String) -> String {
        var literal = "'"
        // Scalar by scalar: to what follows it, an accent perhaps, a quote is one all the same.
        for scalar in text.unicodeScalars {
            if scalar == "'" || scalar == "\\" { literal.unicodeScalars.append(scalar) }
            literal.unicodeScalars.append(scalar)
        }
        literal += "'"
        return text.unicodeScalars.contains { $0 == "\\" } ? "E" + literal : literal
    }

    private static func plain(_ encoding: String) -> String { encoding.lowercased().filter { $0 != "-" && $0 != "_" } }

    /// The settings that are set, in their order.
    public var all: [PostgresStartup.Parameter] {
        zip(Self.names, values).compactMap { name, value in value.map { .init(name, $0) } }
    }
}
