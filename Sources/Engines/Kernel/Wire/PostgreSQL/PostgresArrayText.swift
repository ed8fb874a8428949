/// Arrays of one dimension as text: `{1,2,NULL,"with, comma"}` (section 8.15.6).
enum PostgresArrayText {
    static func parse(_ text: String, element: PostgresOID) throws(PostgresError) -> [PostgresValue?] {
        let malformed = PostgresError(.invalidTextRepresentation, "malformed array literal: \"\(text)\"")
        let input = Array(PostgresText.trimmed(text).utf8)
        guard input.count >= 2, input[0] == UInt8(ascii: "{"), input[input.count - 1] == UInt8(ascii: "}") else {
            throw malformed
        }
        var values: [PostgresValue?] = []
        var position = 1
        skipBlanks(input, &position)
        if position == input.count - 1 { return [] }
        while true {
            skipBlanks(input, &position)
            guard let item = item(input, &position) else { throw malformed }
            if let word = item {
                values.append(try PostgresValue(text: try PostgresText.decode(word), type: element))
            } else {
                values.append(nil)
            }
            skipBlanks(input, &position)
            guard position < input.count else { throw malformed }
            if position == input.count - 1 { return values }
            guard input[position] == UInt8(ascii: ",") else { throw malformed }
            position += 1
        }
    }

    private static func skipBlanks(_ input: [UInt8], _ position: inout Int) {
        while position < input.count - 1, input[position] == 32 || (9...13).contains(input[position]) { position += 1 }
    }

    /// The bytes of one element; nil within for NULL, nil for what is none.
    private static func item(_ input: [UInt8], _ position: inout Int) -> [UInt8]?? {
        var bytes: [UInt8] = []
        let end = input.count - 1
        if position < end, input[position] == UInt8(ascii: "\"") {
            position += 1
            while position < end, input[position] != UInt8(ascii: "\"") {
                if input[position] == UInt8(ascii: "\\") { position += 1 }
                guard position < end else { return .none }
                bytes.append(input[position])
                position += 1
            }
            guard position < end else { return .none }
            position += 1
            return .some(bytes)
        }
        while position < end, input[position] != UInt8(ascii: ",") {
            switch input[position] {
            case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "\""): return .none
            case UInt8(ascii: "\\"):
                position += 1
                guard position < end else { return .none }
            default: break
            }
            bytes.append(input[position])
            position += 1
        }
        while let last = bytes.last, last == 32 || (9...13).contains(last) { bytes.removeLast() }
        if bytes.isEmpty { return .none }
        let isNull = bytes.count == 4 && String(decoding: bytes, as: UTF8.self).uppercased() == "NULL"
        return .some(isNull ? nil : bytes)
    }
}

extension PostgresValue {
    static func appendArray(_ values: [PostgresValue?], to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "{"))
        for (index, value) in values.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            guard let value else {
                bytes.append(contentsOf: "NULL".utf8)
                continue
            }
            appendQuoted(value.encoded(.text), to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    private static func appendQuoted(_ text: [UInt8], to bytes: inout [UInt8]) {
        let isPlain =
            !text.isEmpty
            && text.allSatisfy { byte in
                switch byte {
                case 32, 9...13, UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ","), UInt8(ascii: "\""),
                    UInt8(ascii: "\\"):
                    false
                default: true
                }
            } && String(decoding: text, as: UTF8.self).uppercased() != "NULL"
        if isPlain {
            bytes.append(contentsOf: text)
            return
        }
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte)
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
