import KernelJSON

/// A step into a JSON document: `a.b[0]["c d"]`.
enum JSONPathStep: Equatable, Sendable {
    case member(String)
    case element(Int)

    /// Nil for what is no path.
    static func parse(_ text: String) -> [JSONPathStep]? {
        var steps: [JSONPathStep] = []
        var rest = Substring(text)
        var expectsName = true
        while let first = rest.first {
            if first == "[" {
                rest = rest.dropFirst()
                if rest.first == "\"" {
                    guard let end = rest.dropFirst().firstIndex(of: "\"") else { return nil }
                    steps.append(.member(String(rest[..<end].dropFirst())))
                    rest = rest[end...].dropFirst()
                } else {
                    let digits = rest.prefix { $0.isASCII && $0.isNumber }
                    guard let index = Int(digits) else { return nil }
                    steps.append(.element(index))
                    rest = rest.dropFirst(digits.count)
                }
                guard rest.first == "]" else { return nil }
                rest = rest.dropFirst()
                expectsName = false
            } else {
                if first == "." {
                    guard !expectsName else { return nil }
                    rest = rest.dropFirst()
                } else if !expectsName {
                    return nil
                }
                let name = rest.prefix {
                    $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" || $0 == "@" || $0 == "/"
                }
                guard !name.isEmpty else { return nil }
                steps.append(.member(String(name)))
                rest = rest.dropFirst(name.count)
                expectsName = false
            }
        }
        return steps.isEmpty ? nil : steps
    }
}

extension JSONValue {
    /// What a path leads to.
    func value(at path: [JSONPathStep]) -> JSONValue? {
        var value = self
        for step in path {
            let next: JSONValue? =
                switch step {
                case .member(let name): value[name]
                case .element(let index): value[index]
                }
            guard let next else { return nil }
            value = next
        }
        return value
    }

    /// As a label's value: texts bare, objects and arrays as JSON; nil for null.
    var labelText: String? {
        switch self {
        case .null: nil
        case .string(let text): text
        default: text(.compact)
        }
    }
}

/// Lines of logs as JSON.
enum JSONLine {
    /// Numbers stay as they are written; of a member that stands there twice the last one counts.
    static let limits: JSONLimits = {
        var limits = JSONLimits(bytes: 4 << 20, depth: 64, values: 10_000, duplicates: .lastWins)
        limits.keepsDecimals = true
        return limits
    }()

    /// Nil for what is no object.
    static func object(_ line: UnsafeRawBufferPointer) -> [(key: String, value: JSONValue)]? {
        guard line.first == UInt8(ascii: "{") || line.contains(UInt8(ascii: "{")),
            case .object(let members)? = try? JSONValue(parsing: line, limits: limits)
        else { return nil }
        return members
    }

    /// A member's name as a label's: what is neither letter, digit nor `_` becomes `_`, and none begins with a digit.
    static func labelName(_ name: String) -> String {
        if isLabelName(name) { return name }
        var bytes: [UInt8] = []
        for scalar in name.unicodeScalars {
            let byte = UInt8(exactly: scalar.value) ?? UInt8(ascii: "_")
            bytes.append(LogLexer.isLetter(byte) || LogLexer.isDigit(byte) ? byte : UInt8(ascii: "_"))
        }
        if bytes.first.map(LogLexer.isDigit) == true { bytes.insert(UInt8(ascii: "_"), at: 0) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
