import KernelStructures

extension PostgresValue {
    /// As a server writes it with its defaults: `t`, `1e+20`, `\x00ff`, `2026-01-02 03:04:05+00`, `{1,NULL}`.
    public var text: String {
        var bytes: [UInt8] = []
        encodeText(into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    func encodeText(into bytes: inout [UInt8]) {
        switch self {
        case .bool(let value): bytes.append(UInt8(ascii: value ? "t" : "f"))
        case .int2(let value): bytes.append(decimal: Int(value))
        case .int4(let value): bytes.append(decimal: Int(value))
        case .int8(let value): bytes.append(decimal: Int(value))
        case .oid(let value): bytes.append(decimal: Int(value))
        case .float4(let value): bytes.append(utf8: PostgresFloat.text(value))
        case .float8(let value): bytes.append(utf8: PostgresFloat.text(value))
        case .numeric(let value): bytes.append(utf8: value.description)
        case .text(let value), .jsonb(let value): bytes.append(utf8: value)
        case .bytea(let value): Self.appendHexadecimal(value, to: &bytes)
        case .date(let value): bytes.append(utf8: value.description)
        case .timestamp(let value): bytes.append(utf8: value.description)
        case .timestamptz(let value): bytes.append(utf8: value.textInUTC)
        case .uuid(let value): bytes.append(utf8: value.description)
        case .array(let values, _): Self.appendArray(values, to: &bytes)
        }
    }

    /// - Parameter text: blanks around it do not count, except where the type is text.
    /// - Throws: what the type's input function would: 22P02, 22003, 22007, 22008.
    public init(text: String, type: PostgresOID) throws(PostgresError) {
        switch type {
        case .bool: self = .bool(try Self.boolean(text))
        case .int2: self = .int2(try Self.integer(text, type))
        case .int4: self = .int4(try Self.integer(text, type))
        case .int8: self = .int8(try Self.integer(text, type))
        case .oid, .xid: self = .oid(try Self.objectNumber(text, type))
        case .float4: self = .float4(try PostgresFloat.parse(text, type))
        case .float8: self = .float8(try PostgresFloat.parse(text, type))
        case .numeric: self = .numeric(try PostgresNumeric(parsing: text))
        case .bytea: self = .bytea(try Self.bytes(text))
        case .date: self = .date(try PostgresDate(parsing: text))
        case .timestamp: self = .timestamp(try PostgresTimestamp(parsing: text, hasZone: false))
        case .timestamptz: self = .timestamptz(try PostgresTimestamp(parsing: text, hasZone: true))
        case .jsonb: self = .jsonb(text)
        case .uuid: self = .uuid(try PostgresUUID(parsing: text))
        default:
            guard let element = type.element else {
                self = .text(text)
                return
            }
            self = .array(try PostgresArrayText.parse(text, element: element), element: element)
        }
    }

    /// 22P02
    public static func invalid(_ text: String, _ type: PostgresOID) -> PostgresError {
        PostgresError(.invalidTextRepresentation, "invalid input syntax for type \(type.typeName): \"\(text)\"")
    }

    private static func boolean(_ text: String) throws(PostgresError) -> Bool {
        let word = PostgresText.trimmed(text).lowercased()
        if word == "1" || word == "on" { return true }
        if word == "0" || word == "of" || word == "off" { return false }
        if !word.isEmpty, "true".hasPrefix(word) || "yes".hasPrefix(word) { return true }
        if !word.isEmpty, "false".hasPrefix(word) || "no".hasPrefix(word) { return false }
        throw invalid(text, .bool)
    }

    private static func integer<T: FixedWidthInteger>(_ text: String, _ type: PostgresOID) throws(PostgresError) -> T {
        let word = PostgresText.trimmed(text)
        if let value = T(word) { return value }
        let digits = word.first == "-" || word.first == "+" ? word.dropFirst() : word
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }) else { throw invalid(text, type) }
        throw PostgresError(
            .numericValueOutOfRange, "value \"\(text)\" is out of range for type \(type.typeName)")
    }

    /// Numbers of objects have no sign, and yet -1 is the last one.
    private static func objectNumber(_ text: String, _ type: PostgresOID) throws(PostgresError) -> UInt32 {
        let number: Int64 = try integer(text, type)
        if let value = UInt32(exactly: number) { return value }
        if let value = Int32(exactly: number) { return UInt32(bitPattern: value) }
        throw PostgresError(.numericValueOutOfRange, "value \"\(text)\" is out of range for type \(type.typeName)")
    }

    // MARK: bytea

    private static let hexadecimalDigits = Array("0123456789abcdef".utf8)

    private static func appendHexadecimal(_ value: [UInt8], to bytes: inout [UInt8]) {
        bytes.reserveCapacity(bytes.count + 2 + value.count * 2)
        bytes.append(UInt8(ascii: "\\"))
        bytes.append(UInt8(ascii: "x"))
        for byte in value {
            bytes.append(hexadecimalDigits[Int(byte >> 4)])
            bytes.append(hexadecimalDigits[Int(byte & 15)])
        }
    }

    private static func bytes(_ text: String) throws(PostgresError) -> [UInt8] {
        let input = Array(text.utf8)
        if input.starts(with: Array("\\x".utf8)) { return try hexadecimalBytes(input.dropFirst(2)) }
        var bytes: [UInt8] = []
        var position = 0
        while position < input.count {
            if input[position] != UInt8(ascii: "\\") {
                bytes.append(input[position])
                position += 1
            } else if position + 1 < input.count, input[position + 1] == UInt8(ascii: "\\") {
                bytes.append(UInt8(ascii: "\\"))
                position += 2
            } else if position + 3 < input.count, let value = octal(input[position + 1..<position + 4]) {
                bytes.append(value)
                position += 4
            } else {
                throw PostgresError(.invalidTextRepresentation, "invalid input syntax for type bytea")
            }
        }
        return bytes
    }

    private static func octal(_ digits: ArraySlice<UInt8>) -> UInt8? {
        guard digits.allSatisfy({ (48...55).contains($0) }), digits.first! <= 51 else { return nil }
        return digits.reduce(0) { $0 << 3 | ($1 - 48) }
    }

    private static func hexadecimalBytes(_ digits: ArraySlice<UInt8>) throws(PostgresError) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in digits where high != nil || !(digit == 32 || (9...13).contains(digit)) {
            guard let value = hexadecimalDigit(digit) else {
                let shown = Unicode.Scalar(digit)
                throw PostgresError(.invalidParameterValue, "invalid hexadecimal digit: \"\(shown)\"")
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        if high != nil {
            throw PostgresError(.invalidParameterValue, "invalid hexadecimal data: odd number of digits")
        }
        return bytes
    }

    static func hexadecimalDigit(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 48...57: digit - 48
        case 65...70: digit - 55
        case 97...102: digit - 87
        default: nil
        }
    }
}

extension PostgresUUID: CustomStringConvertible {
    public var description: String {
        let digits = hexadecimal(high, 16) + hexadecimal(low, 16)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text += "-" }
            text.append(digit)
        }
        return text
    }

    /// In either case, with a hyphen behind any four digits or without, in braces or not.
    public init(parsing text: String) throws(PostgresError) {
        var input = Array(text.utf8)[...]
        let isBraced = input.first == UInt8(ascii: "{") && input.last == UInt8(ascii: "}")
        if isBraced { input = input.dropFirst().dropLast() }
        self.init(high: 0, low: 0)
        var count = 0
        var wasHyphen = true
        for byte in input {
            if byte == UInt8(ascii: "-"), count % 4 == 0, !wasHyphen, count < 32 {
                wasHyphen = true
                continue
            }
            guard let digit = PostgresValue.hexadecimalDigit(byte), count < 32 else {
                throw PostgresValue.invalid(text, .uuid)
            }
            wasHyphen = false
            high = high << 4 | low >> 60
            low = low << 4 | UInt64(digit)
            count += 1
        }
        guard count == 32, !wasHyphen else { throw PostgresValue.invalid(text, .uuid) }
    }
}

extension PostgresText {
    /// Without the blanks around it, as input functions pass over them.
    public static func trimmed(_ text: String) -> Substring {
        let utf8 = text.utf8
        func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
        guard let start = utf8.firstIndex(where: { !isBlank($0) }), let last = utf8.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return text[start...last]
    }
}
