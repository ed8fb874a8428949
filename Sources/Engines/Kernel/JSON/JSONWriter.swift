import KernelStructures

/// How a value is laid out.
public enum JSONStyle: Sendable {
    /// No blanks at all: for the network.
    case compact
    /// On one line, with a blank after each comma and colon: for people who read a line.
    case spaced
    /// A line for each member and element, two blanks deeper at each level: for people who read a page.
    case pretty
}

extension JSONValue {
    /// The value on one line, with a blank after each comma and colon.
    public var text: String { text(.spaced) }

    /// The value as text, without a line's end.
    public func text(_ style: JSONStyle) -> String { String(decoding: bytes(style), as: UTF8.self) }

    /// The value as UTF-8, without a line's end.
    public func bytes(_ style: JSONStyle = .compact) -> [UInt8] {
        var out: [UInt8] = []
        write(to: &out, style)
        return out
    }

    /// Appends the value as UTF-8. It reads back as an equal one. Numbers that JSON cannot express become `null`.
    public func write(to out: inout [UInt8], _ style: JSONStyle = .compact) {
        var writer = JSONWriter(style: style)
        swap(&writer.out, &out)
        writer.write(self)
        swap(&writer.out, &out)
    }
}

/// Writes one value. It calls itself for each level, which the reader's limit of depth bounds for what came from
/// outside.
private struct JSONWriter {
    let style: JSONStyle
    var out: [UInt8] = []
    private var depth = 0

    init(style: JSONStyle) { self.style = style }

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .integer(let value): append(String(value))
        case .unsigned(let value): append(String(value))
        case .number(let value): append(Self.text(of: value))
        case .decimal(let text): append(text)
        case .string(let text): write(text: text)
        case .array(let elements):
            enclose("[", "]", elements) { writer, element in writer.write(element) }
        case .object(let members):
            enclose("{", "}", members) { writer, member in
                writer.write(text: member.key)
                writer.append(writer.style == .compact ? ":" : ": ")
                writer.write(member.value)
            }
        }
    }

    /// The shortest text that reads back as this very number.
    private static func text(of value: Double) -> String {
        if !value.isFinite { return "null" }
        if value == 0, value.sign == .minus { return "-0" }
        return value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : "\(value)"
    }

    private mutating func append(_ text: String) { out.append(contentsOf: text.utf8) }

    private mutating func enclose<Item>(
        _ start: Unicode.Scalar, _ end: Unicode.Scalar, _ items: [Item],
        _ writeItem: (inout JSONWriter, Item) -> Void
    ) {
        out.append(UInt8(ascii: start))
        depth += 1
        for (index, item) in items.enumerated() {
            if index > 0 { append(style == .spaced ? ", " : ",") }
            if style == .pretty { startLine() }
            writeItem(&self, item)
        }
        depth -= 1
        if style == .pretty, !items.isEmpty { startLine() }
        out.append(UInt8(ascii: end))
    }

    private mutating func startLine() {
        out.append(UInt8(ascii: "\n"))
        out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
    }

    private mutating func write(text: String) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case UInt8(ascii: "\n"): append("\\n")
            case UInt8(ascii: "\r"): append("\\r")
            case UInt8(ascii: "\t"): append("\\t")
            case ..<32, 127: append("\\u" + hexadecimal(UInt64(byte), 4))
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
