import KernelStructures

/// A mapping of a configuration file with the keys it may have: unknown ones are refused, values are checked where
/// they are read, and every complaint names the place.
public struct ConfigurationMapping {
    public let place: ConfigurationPlace
    private let values: [String: ConfigurationValue]
    /// What each key that is there was called in the file.
    private let writtenNames: [String: String]

    /// - Parameters:
    ///   - what: what the mapping describes, for errors: "a backend".
    ///   - keys: all keys that are known.
    ///   - aliases: other names under which users may know some of the keys.
    public init(_ value: ConfigurationValue, what: String, keys: [String], aliases: [String: String] = [:])
        throws(ConfigurationError)
    {
        place = value.place
        if value.isNull {
            values = [:]
            writtenNames = [:]
            return
        }
        guard case .mapping(let pairs) = value.content else {
            throw ConfigurationError(value.place, "\(what) must be a mapping of keys to values, not \(value.kindName)")
        }
        var values: [String: ConfigurationValue] = [:]
        var writtenNames: [String: String] = [:]
        for (key, value) in pairs {
            guard case .scalar(let written) = key.content else { continue }
            let name = aliases[written] ?? written
            guard keys.contains(name) else {
                let known = keys + aliases.keys.sorted()
                throw ConfigurationError(
                    key.place, "unknown key '\(written)' in \(what)\(didYouMean(written, among: known))")
            }
            if let other = writtenNames[name] {
                throw ConfigurationError(
                    key.place, "'\(written)' is another name for '\(other)'; leave one of them out")
            }
            values[name] = value
            writtenNames[name] = written
        }
        self.values = values
        self.writtenNames = writtenNames
    }

    /// What the file calls a key, for errors.
    private func written(_ key: String) -> String { writtenNames[key] ?? key }

    /// The value of a key; nil if it is absent or null.
    public subscript(key: String) -> ConfigurationValue? {
        values[key].flatMap { $0.isNull ? nil : $0 }
    }

    public func text(_ key: String) throws(ConfigurationError) -> String? {
        guard let value = self[key] else { return nil }
        return try value.text(for: written(key))
    }

    /// A whole number within `range`.
    public func integer(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: written(key))
        guard let number = Int(text), range.contains(number) else {
            throw ConfigurationError(
                value.place,
                "\(written(key)) must be a whole number of \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return number
    }

    /// A share of a hundred: `20` or `20%`.
    public func percent(_ key: String, in range: ClosedRange<Int>) throws(ConfigurationError) -> Int? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: written(key))
        guard let number = Int(text.hasSuffix("%") ? text.dropLast() : text[...]), range.contains(number) else {
            throw ConfigurationError(
                value.place, "\(written(key)) must be \(range.lowerBound) to \(range.upperBound) percent, not '\(text)'"
            )
        }
        return number
    }

    public func boolean(_ key: String) throws(ConfigurationError) -> Bool? {
        try choice(key, [("true", true), ("false", false)])
    }

    /// Text without blanks and control characters.
    public func word(_ key: String) throws(ConfigurationError) -> String? {
        guard let text = try text(key) else { return nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else {
            throw ConfigurationError(self[key]!.place, "\(written(key)) must have no blanks, not '\(text)'")
        }
        return text
    }

    /// A duration with its unit: `5s`, `200ms`. Longer than zero, unless `allowsZero`.
    public func duration(_ key: String, allowsZero: Bool = false) throws(ConfigurationError) -> LabDuration? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: written(key))
        guard let duration = LabDuration(parsing: text), duration >= .zero else {
            throw ConfigurationError(
                value.place, "\(written(key)) must be a duration such as 5s or 200ms, not '\(text)'")
        }
        guard allowsZero || duration > .zero else {
            throw ConfigurationError(value.place, "\(written(key)) must be longer than 0s, not '\(text)'")
        }
        return duration
    }

    /// One of a few words.
    public func choice<T>(_ key: String, _ choices: [(name: String, value: T)]) throws(ConfigurationError) -> T? {
        guard let value = self[key] else { return nil }
        let text = try value.text(for: written(key))
        guard let choice = choices.first(where: { $0.name == text }) else {
            let names = choices.map(\.name)
            let hint = didYouMean(text, among: names)
            throw ConfigurationError(
                value.place,
                "\(written(key)) '\(text)' is unknown"
                    + (hint.isEmpty ? "; it can be \(names.joined(separator: ", "))" : hint))
        }
        return choice.value
    }
}

extension ConfigurationValue {
    public func text(for what: String) throws(ConfigurationError) -> String {
        guard case .scalar(let text) = content, !isNull else {
            throw ConfigurationError(place, "\(what) must be a single value, not \(kindName)")
        }
        return text
    }

    public func list(for what: String) throws(ConfigurationError) -> [ConfigurationValue] {
        guard case .sequence(let items) = content else {
            throw ConfigurationError(place, "\(what) must be a list, not \(kindName)")
        }
        return items
    }
}
