import KernelJSON
import KernelStructures

/// An object of JSON whose members may be written in any case: `Name`, `name`, and `DeregisterCriticalServiceAfter` as
/// `deregister_critical_service_after`, too. Consul reads so, and people write all of them.
struct LooseObject {
    private let members: [(key: String, value: JSONCursor)]
    let cursor: JSONCursor

    /// - Throws: `RegistryError` for anything but an object.
    init(_ cursor: JSONCursor) throws(RegistryError) {
        self.cursor = cursor
        members = try Self.checked { () throws(JSONTypeError) in
            try cursor.members().map { (Self.folded($0.name), $0.value) }
        }
    }

    private static func folded(_ name: String) -> String { name.lowercased().replacing("_", with: "") }

    /// Errors of reading as the registry's own.
    static func checked<R>(_ body: () throws(JSONTypeError) -> R) throws(RegistryError) -> R {
        do throws(JSONTypeError) { return try body() } catch { throw RegistryError(.malformed, "\(error)") }
    }

    /// The last member of that name, unless it is null.
    subscript(name: String) -> JSONCursor? {
        let folded = Self.folded(name)
        return members.last { $0.key == folded }?.value.ifPresent
    }

    func has(_ name: String) -> Bool { self[name] != nil }

    func text(_ name: String, limitBytes: Int = RegistryLimits.wordBytes) throws(RegistryError) -> String? {
        guard let member = self[name] else { return nil }
        let text = try Self.checked { () throws(JSONTypeError) in try member.string() }
        guard text.utf8.count <= limitBytes else {
            throw RegistryError(.malformed, "\(member.path): longer than \(limitBytes) bytes")
        }
        return text
    }

    /// The one of two names under which there is something.
    func text(_ name: String, or other: String) throws(RegistryError) -> String? {
        if let text = try text(name), !text.isEmpty { return text }
        return try text(other)
    }

    func flag(_ name: String) throws(RegistryError) -> Bool? {
        guard let member = self[name] else { return nil }
        return try Self.checked { () throws(JSONTypeError) in try member.bool() }
    }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(RegistryError) -> Int? {
        guard let member = self[name] else { return nil }
        return try Self.checked { () throws(JSONTypeError) in try member.integer(in: range) }
    }

    /// `"10s"`, or a number of nanoseconds, as Go writes one.
    func duration(_ name: String) throws(RegistryError) -> LabDuration? {
        guard let member = self[name] else { return nil }
        if case .integer(let nanoseconds)? = member.value, nanoseconds >= 0 {
            return nanoseconds == 0 ? nil : LabDuration(nanoseconds: Int64(nanoseconds))
        }
        guard case .string(let text)? = member.value, let duration = LabDuration(parsing: text) else {
            if case .string("")? = member.value { return nil }
            throw RegistryError(.malformed, "\(member.path): expected a duration such as \"10s\"")
        }
        return duration
    }

    func texts(_ name: String, limit: Int = RegistryLimits.tags) throws(RegistryError) -> [String]? {
        guard let member = self[name] else { return nil }
        let texts = try Self.checked { () throws(JSONTypeError) in
            try member.array().map { element throws(JSONTypeError) in try element.string() }
        }
        guard texts.count <= limit, texts.allSatisfy({ $0.utf8.count <= RegistryLimits.wordBytes }) else {
            throw RegistryError(
                .malformed,
                "\(member.path): more than \(limit) of them, or one of more than "
                    + "\(RegistryLimits.wordBytes) bytes")
        }
        return texts
    }

    /// Names that somebody chose, with their texts: metadata.
    func pairs(_ name: String) throws(RegistryError) -> [String: String]? {
        guard let member = self[name] else { return nil }
        let pairs = try Self.checked { () throws(JSONTypeError) in
            try member.members().map { pair throws(JSONTypeError) in (pair.name, try pair.value.string()) }
        }
        guard pairs.count <= RegistryLimits.metaPairs,
            pairs.allSatisfy({ $0.0.utf8.count <= 128 && $0.1.utf8.count <= RegistryLimits.wordBytes })
        else {
            throw RegistryError(
                .malformed,
                "\(member.path): at most \(RegistryLimits.metaPairs) pairs, with names of 128 bytes and "
                    + "values of \(RegistryLimits.wordBytes)")
        }
        return Dictionary(pairs, uniquingKeysWith: { $1 })
    }

    func objects(_ name: String, limit: Int) throws(RegistryError) -> [LooseObject]? {
        guard let member = self[name] else { return nil }
        let elements = try Self.checked { () throws(JSONTypeError) in try member.array() }
        guard elements.count <= limit else { throw RegistryError(.malformed, "\(member.path): more than \(limit)") }
        var objects: [LooseObject] = []
        for element in elements { objects.append(try LooseObject(element)) }
        return objects
    }

    func object(_ name: String) throws(RegistryError) -> LooseObject? {
        guard let member = self[name] else { return nil }
        return try LooseObject(member)
    }

    func error(_ name: String, _ problem: String, remedy: String? = nil) -> RegistryError {
        RegistryError(.malformed, "\(self[name]?.path ?? cursor.path): \(problem)", remedy: remedy)
    }
}
