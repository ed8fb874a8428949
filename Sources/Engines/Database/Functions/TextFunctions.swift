import KernelCryptography
import KernelSQLite
import KernelWire

extension DatabaseFunctions {
    /// Texts are counted in code points, as PostgreSQL counts characters in UTF-8.
    static var texts: Table {
        Table(
            strict: [
                ("pg_lower", { .text(TextCase.lower($0.text(0))) }),
                ("pg_upper", { .text(TextCase.upper($0.text(0))) }),
                ("pg_initcap", { .text(TextCase.initial($0.text(0))) }),
                ("pg_reverse", { .text(String(String.UnicodeScalarView($0.text(0).unicodeScalars.reversed()))) }),
                ("pg_substring", { try substring($0) }),
                ("pg_position", { .integer(TextPlaces.position(of: bytes($0, 1), in: bytes($0, 0))) }),
                (
                    "pg_left",
                    { call in
                        let scalars = call.text(0).unicodeScalars
                        let count = Int(clamping: call.integer(1))
                        return .text(
                            String(count >= 0 ? scalars.prefix(count) : scalars.dropLast(-max(count, -1 << 40))))
                    }
                ),
                (
                    "pg_right",
                    { call in
                        let scalars = call.text(0).unicodeScalars
                        let count = Int(clamping: call.integer(1))
                        return .text(
                            String(count >= 0 ? scalars.suffix(count) : scalars.dropFirst(-max(count, -1 << 40))))
                    }
                ),
                (
                    "pg_overlay",
                    { call in
                        let scalars = Array(call.text(0).unicodeScalars)
                        let new = call.text(1).unicodeScalars
                        let start = Int(clamping: call.integer(2))
                        guard start > 0 else { throw negativeSubstring }
                        let count = max(0, call.count > 3 ? Int(clamping: call.integer(3)) : new.count)
                        var result = String.UnicodeScalarView(scalars.prefix(start - 1))
                        result.append(contentsOf: new)
                        result.append(
                            contentsOf: scalars.dropFirst(min(scalars.count, start - 1 + min(count, scalars.count))))
                        return .text(String(result))
                    }
                ),
                ("pg_btrim", { .text(trimmed($0.text(0), $0.text(1), start: true, end: true)) }),
                ("pg_ltrim", { .text(trimmed($0.text(0), $0.text(1), start: true, end: false)) }),
                ("pg_rtrim", { .text(trimmed($0.text(0), $0.text(1), start: false, end: true)) }),
                (
                    "pg_replace",
                    { .text($0.text(1).isEmpty ? $0.text(0) : $0.text(0).replacing($0.text(1), with: $0.text(2))) }
                ),
                (
                    "pg_translate",
                    { call in
                        let to = Array(call.text(2).unicodeScalars)
                        // Of a character that stands there twice, the first place counts.
                        let places = Dictionary(
                            call.text(1).unicodeScalars.enumerated().map { ($1, $0) }, uniquingKeysWith: min)
                        var result = String.UnicodeScalarView()
                        for scalar in call.text(0).unicodeScalars {
                            guard let place = places[scalar] else {
                                result.append(scalar)
                                continue
                            }
                            if to.indices.contains(place) { result.append(to[place]) }
                        }
                        return .text(String(result))
                    }
                ),
                (
                    "pg_repeat",
                    { call in
                        let count = max(0, Int(clamping: call.integer(1)))
                        guard call.text(0).utf8.count.multipliedReportingOverflow(by: count).partialValue <= sizeLimit,
                            !call.text(0).utf8.count.multipliedReportingOverflow(by: count).overflow
                        else { throw tooLarge }
                        return .text(String(repeating: call.text(0), count: count))
                    }
                ),
                ("pg_lpad", { try pad($0, isLeft: true) }),
                ("pg_rpad", { try pad($0, isLeft: false) }),
                ("pg_split_part", { try splitPart($0) }),
                ("pg_starts_with", { .integer($0.text(0).utf8.starts(with: $0.text(1).utf8) ? 1 : 0) }),
                ("pg_ascii", { .integer(Int64($0.text(0).unicodeScalars.first?.value ?? 0)) }),
                (
                    "pg_chr",
                    { call in
                        guard call.integer(0) != 0 else {
                            throw PostgresError(.programLimitExceeded, "null character not permitted")
                        }
                        guard let scalar = UInt32(exactly: call.integer(0)).flatMap(Unicode.Scalar.init) else {
                            throw PostgresError(
                                .programLimitExceeded, "requested character too large for encoding: \(call.integer(0))")
                        }
                        return .text(String(Character(scalar)))
                    }
                ),
                ("pg_md5", { .text(hexadecimalText(MessageDigest.md5.digest(of: bytes($0, 0)))) }),
                (
                    "pg_digest",
                    { call in .blob((MessageDigest(rawValue: call.text(0)) ?? .sha256).digest(of: bytes(call, 1))) }
                ),
                ("pg_encode", { try encode($0) }),
                ("pg_decode", { try decode($0) }),
                ("pg_convert_to", { .blob(Array($0.text(0).utf8)) }),
                ("pg_convert_from", { .text(try PostgresText.decode(bytes($0, 0))) }),
                ("pg_bytea_concat", { .blob(bytes($0, 0) + bytes($0, 1)) }),
                ("pg_quote_ident", { .text(ObjectNames.quoted($0.text(0))) }),
                ("pg_quote_literal", { .text(quotedLiteral($0.text(0))) }),
                (
                    "pg_hashtext",
                    { call in
                        var hash: UInt32 = 2_166_136_261
                        for byte in call.text(0).utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
                        return .integer(Int64(Int32(bitPattern: hash)))
                    }
                ),
                (
                    "pg_parse_ident",
                    { call in
                        let parts = try ObjectNames.identifiers(call.text(0))
                        return .text(PostgresValue.array(parts.map { .text($0) }, element: .text).text)
                    }
                ),
                (
                    "pg_to_number",
                    { call in
                        let digits = call.text(0).filter { "0123456789.-".contains($0) }
                        return .text(try PostgresNumeric(parsing: digits).description)
                    }
                ),
            ],
            lenient: [
                (
                    "pg_concat",
                    { call in .text(values(call).map { call.isNull($0) ? "" : concatenable(call, $0) }.joined()) }
                ),
                (
                    "pg_concat_ws",
                    { call in
                        if call.isNull(0) { return .null }
                        let parts = values(call).dropFirst().filter { !call.isNull($0) }.map { concatenable(call, $0) }
                        return .text(parts.joined(separator: call.text(0)))
                    }
                ),
                ("pg_format", { try format($0) }),
                ("pg_quote_nullable", { .text($0.isNull(0) ? "NULL" : quotedLiteral($0.text(0))) }),
            ])
    }

    static let sizeLimit = 1 << 28
    static let tooLarge = PostgresError(.programLimitExceeded, "requested length too large")
    private static let negativeSubstring = PostgresError(.substringError, "negative substring length not allowed")

    static func bytes(_ call: FunctionCall, _ index: Int) -> [UInt8] { call.arguments.withBytes(index) { Array($0) } }
    static func hexadecimalText(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// The places of the arguments, behind each of which stands its type.
    private static func values(_ call: FunctionCall) -> [Int] { Array(stride(from: 0, to: call.count - 1, by: 2)) }

    private static func concatenable(_ call: FunctionCall, _ index: Int) -> String {
        call.shown(index, call.type(index + 1))
    }

    /// From a place, for a length: both may lie outside.
    private static func substring(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let start = Int(clamping: call.integer(1))
        var end = Int.max
        if call.count > 2 {
            let count = Int(clamping: call.integer(2))
            guard count >= 0 else { throw negativeSubstring }
            let (sum, isOver) = start.addingReportingOverflow(count)
            end = isOver ? .max : sum
        }
        let from = max(1, start)
        guard end > from else {
            return call.arguments.text(0).map { _ in isBlob(call) ? .blob([]) : .text("") } ?? .null
        }
        let count = end == .max ? Int.max : end - from
        if isBlob(call) { return .blob(Array(bytes(call, 0).dropFirst(from - 1).prefix(count))) }
        return .text(call.arguments.withBytes(0) { TextPlaces.part(of: $0, from: from - 1, count: count) })
    }

    private static func isBlob(_ call: FunctionCall) -> Bool {
        if case .blob = call[0] { return true }
        return false
    }

    private static func trimmed(_ text: String, _ set: String, start: Bool, end: Bool) -> String {
        let characters = Set(set.unicodeScalars)
        var scalars = text.unicodeScalars[...]
        if start { scalars = scalars.drop(while: characters.contains) }
        if end { while let last = scalars.last, characters.contains(last) { scalars.removeLast() } }
        return String(scalars)
    }

    private static func pad(_ call: FunctionCall, isLeft: Bool) throws(PostgresError) -> SQLiteValue {
        let scalars = call.text(0).unicodeScalars
        let wanted = max(0, Int(clamping: call.integer(1)))
        guard wanted <= sizeLimit / 4 else { throw tooLarge }
        let count = scalars.count
        if wanted <= count { return .text(String(scalars.prefix(wanted))) }
        let filler = Array((call.count > 2 ? call.text(2) : " ").unicodeScalars)
        guard !filler.isEmpty else { return .text(call.text(0)) }
        var padding = String.UnicodeScalarView()
        for index in 0..<wanted - count { padding.append(filler[index % filler.count]) }
        return .text(isLeft ? String(padding) + call.text(0) : call.text(0) + String(padding))
    }

    private static func splitPart(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let number = Int(clamping: call.integer(2))
        guard number != 0 else { throw PostgresError(.invalidParameterValue, "field position must not be zero") }
        let text = call.text(0)
        let parts =
            call.text(1).isEmpty ? [text[...]] : text.split(separator: call.text(1), omittingEmptySubsequences: false)
        let index = number > 0 ? number - 1 : parts.count + number
        return .text(parts.indices.contains(index) ? String(parts[index]) : "")
    }

    static func quotedLiteral(_ text: String) -> String {
        let quoted = ConstantPool.quoted(text.replacing("\\", with: "\\\\"))
        return text.contains("\\") ? "E" + quoted : quoted
    }

    /// `%s`, `%I`, `%L`, `%%`, `%1$s`
    private static func format(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        if call.isNull(0) { return .null }
        var result = ""
        var rest = call.text(0)[...]
        var next = 1
        while let character = rest.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            if rest.first == "%" {
                result.append(rest.removeFirst())
                continue
            }
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            if !digits.isEmpty, rest.dropFirst(digits.count).first == "$" {
                next = Int(digits) ?? 0
                rest = rest.dropFirst(digits.count + 1)
            }
            guard let kind = rest.popFirst() else {
                throw PostgresError(
                    .invalidParameterValue, "unterminated format() type specifier",
                    hint: "For a single \"%\" use \"%%\".")
            }
            // Behind each argument stands its type.
            guard next >= 1, 2 * next < call.count else {
                throw PostgresError(.invalidParameterValue, "too few arguments for format()")
            }
            switch kind {
            case "s": result += call.isNull(2 * next) ? "" : concatenable(call, 2 * next)
            case "I":
                guard !call.isNull(2 * next) else {
                    throw PostgresError(.nullValueNotAllowed, "null values cannot be formatted as an SQL identifier")
                }
                result += ObjectNames.quoted(concatenable(call, 2 * next))
            case "L": result += call.isNull(2 * next) ? "NULL" : quotedLiteral(concatenable(call, 2 * next))
            default:
                throw PostgresError(
                    .invalidParameterValue, "unrecognized format() type specifier \"\(kind)\"",
                    hint: "For a single \"%\" use \"%%\".")
            }
            next += 1
        }
        return .text(result)
    }

    // MARK: Bytes as text

    private static func encode(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        let data = bytes(call, 0)
        switch call.text(1).lowercased() {
        case "hex": return .text(hexadecimalText(data))
        case "base64":
            // Lines of 76 characters, as MIME has them.
            let text = Array(Base64.standard.encode(data).utf8)
            let lines = stride(from: 0, to: text.count, by: 76).map {
                String(decoding: text[$0..<min($0 + 76, text.count)], as: UTF8.self)
            }
            return .text(lines.joined(separator: "\n"))
        case "escape":
            return .text(
                data.map { byte in
                    byte == 0 || byte >= 128
                        ? "\\" + String(byte >> 6) + String(byte >> 3 & 7) + String(byte & 7)
                        : byte == UInt8(ascii: "\\") ? "\\\\" : String(UnicodeScalar(byte))
                }.joined())
        default: throw PostgresError(.invalidParameterValue, "unrecognized encoding: \"\(call.text(1))\"")
        }
    }

    private static func decode(_ call: FunctionCall) throws(PostgresError) -> SQLiteValue {
        switch call.text(1).lowercased() {
        case "hex": return DatumCoding.stored(try PostgresValue(text: "\\x" + call.text(0), type: .bytea))
        case "base64":
            let text = call.text(0).filter { !$0.isWhitespace }
            guard let data = Base64.standard.decode(text) else {
                throw PostgresError(.invalidParameterValue, "invalid base64 end sequence")
            }
            return .blob(data)
        case "escape": return DatumCoding.stored(try PostgresValue(text: call.text(0), type: .bytea))
        default: throw PostgresError(.invalidParameterValue, "unrecognized encoding: \"\(call.text(1))\"")
        }
    }
}
