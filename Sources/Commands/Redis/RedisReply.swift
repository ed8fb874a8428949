import KernelJSON
import KernelStructures
import KernelWire

/// Replies as redis-cli shows them.
package enum RedisReply {
    package static func text(_ value: RESPValue, indent: String = "") -> String {
        switch value {
        case .simple(let text): text
        case .error(let text): "(error) \(text)"
        case .integer(let number): "(integer) \(number)"
        case .bulk(let bytes): "\"\(escaped(bytes))\""
        case .null: "(nil)"
        case .double(let number): "(double) \(RESPNumber.text(number))"
        case .boolean(let flag): flag ? "(true)" : "(false)"
        case .bigNumber(let digits): digits
        case .verbatim(_, let text): text
        case .array(let values), .set(let values), .push(let values), .map(let values):
            values.isEmpty ? "(empty array)" : lines(values, indent)
        }
    }

    private static func lines(_ values: [RESPValue], _ indent: String) -> String {
        let width = String(values.count).count
        return values.enumerated().map { index, value in
            let number = String(index + 1)
            let label = String(repeating: " ", count: width - number.count) + number + ") "
            let inner = indent + String(repeating: " ", count: label.count)
            return (index == 0 ? "" : indent) + label + text(value, indent: inner)
        }.joined(separator: "\n")
    }

    private static func escaped(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""): text += "\\\""
            case UInt8(ascii: "\\"): text += "\\\\"
            case 10: text += "\\n"
            case 13: text += "\\r"
            case 9: text += "\\t"
            case 32..<127: text.unicodeScalars.append(UnicodeScalar(byte))
            default: text += "\\x" + hexadecimal(UInt64(byte), 2)
            }
        }
        return text
    }

    package static func json(_ value: RESPValue) -> JSONValue {
        switch value {
        case .integer(let number): .integer(number)
        case .double(let number): .number(number)
        case .boolean(let flag): .bool(flag)
        case .null: .null
        case .error(let text): .object([("error", .string(text))])
        case .map(let values):
            .object(
                stride(from: 0, to: values.count - 1, by: 2).map { (values[$0].text ?? "", json(values[$0 + 1])) })
        case .array(let values), .set(let values), .push(let values): .array(values.map(json))
        case .simple, .bulk, .verbatim, .bigNumber: .string(value.text ?? text(value))
        }
    }
}
