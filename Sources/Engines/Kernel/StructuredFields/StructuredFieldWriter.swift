import KernelCryptography

extension StructuredField {
    /// The one spelling of this field (RFC 9651 §4.1). Nil where it has none: a number out of range, a text or token
    /// with a character that may not stand there, a name that is none. An empty list or dictionary is no field at all:
    /// nil as well.
    public var text: String? {
        switch self {
        case .item(let item): item.text
        case .list(let members): members.isEmpty ? nil : Self.joined(members.map(\.text))
        case .dictionary(let members):
            members.entries.isEmpty ? nil : Self.joined(members.entries.map { Self.entry($0.name, $0.value) })
        }
    }

    /// §4.1.2: what is true is only named.
    private static func entry(_ name: String, _ member: StructuredMember) -> String? {
        guard StructuredSpelling.isKey(name) else { return nil }
        if case .item(let item) = member, item.value == .boolean(true) {
            return item.parameters.text.map { name + $0 }
        }
        return member.text.map { "\(name)=\($0)" }
    }

    private static func joined(_ texts: [String?]) -> String? {
        texts.contains(nil) ? nil : texts.compactMap(\.self).joined(separator: ", ")
    }
}

extension StructuredMember {
    var text: String? {
        switch self {
        case .item(let item): return item.text
        case .innerList(let items, let parameters):
            let texts = items.compactMap(\.text)
            guard texts.count == items.count, let behind = parameters.text else { return nil }
            return "(\(texts.joined(separator: " ")))\(behind)"
        }
    }
}

extension StructuredItem {
    /// As a field of its own, or inside another.
    public var text: String? {
        guard let value = value.text, let behind = parameters.text else { return nil }
        return value + behind
    }
}

extension StructuredParameters {
    /// §4.1.1.2
    var text: String? {
        var out = ""
        for (name, value) in entries {
            guard StructuredSpelling.isKey(name), let text = value.text else { return nil }
            out += value == .boolean(true) ? ";\(name)" : ";\(name)=\(text)"
        }
        return out
    }
}

extension StructuredValue {
    /// §4.1.3.1
    public var text: String? {
        switch self {
        case .integer(let value): return value.magnitude <= UInt(Self.integerLimit) ? "\(value)" : nil
        case .decimal(let value): return value.text
        case .string(let value): return Self.quoted(value)
        case .token(let value): return StructuredSpelling.isToken(value) ? value : nil
        case .bytes(let value): return ":\(Base64.standard.encode(value)):"
        case .boolean(let value): return value ? "?1" : "?0"
        case .date(let value): return value.magnitude <= UInt(Self.integerLimit) ? "@\(value)" : nil
        case .displayString(let value): return Self.percentCoded(value)
        }
    }

    /// §4.1.6
    private static func quoted(_ text: String) -> String? {
        var out = "\""
        for byte in text.utf8 {
            guard (0x20...0x7E).contains(byte) else { return nil }
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { out += "\\" }
            out.unicodeScalars.append(Unicode.Scalar(byte))
        }
        return out + "\""
    }

    /// §4.1.11
    private static func percentCoded(_ text: String) -> String {
        var out: [UInt8] = Array("%\"".utf8)
        for byte in text.utf8 {
            if byte == UInt8(ascii: "%") || byte == UInt8(ascii: "\"") || !(0x20...0x7E).contains(byte) {
                let digits = Array("0123456789abcdef".utf8)
                out += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self) + "\""
    }
}

extension StructuredDecimal {
    /// §4.1.5: at least one digit behind the point, and no zeros at the end that need not stand there.
    var text: String {
        let (whole, rest) = Int(thousandths.magnitude).quotientAndRemainder(dividingBy: 1000)
        var digits = String(String(rest + 1000).dropFirst())
        while digits.count > 1, digits.hasSuffix("0") { digits.removeLast() }
        return "\(thousandths < 0 ? "-" : "")\(whole).\(digits)"
    }
}

extension StructuredSpelling {
    static func isKey(_ text: String) -> Bool {
        text.utf8.first.map(beginsKey) == true && text.utf8.allSatisfy(isInKey)
    }

    static func isToken(_ text: String) -> Bool {
        text.utf8.first.map(beginsToken) == true && text.utf8.allSatisfy(isInToken)
    }
}
