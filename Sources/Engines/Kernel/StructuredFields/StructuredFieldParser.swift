import KernelCryptography

extension StructuredField {
    /// Reads a field's value (RFC 9651 §4.2). Several lines of one field are joined by `, ` before.
    ///
    /// - Throws: `StructuredFieldError`, also for more than 1,024 members or 256 parameters of one of them: what every
    ///   reader must take by §3, and no more.
    public init(_ bytes: some Sequence<UInt8>, as kind: Kind) throws(StructuredFieldError) {
        var parser = StructuredFieldParser(bytes: Array(bytes))
        self = try parser.field(kind)
    }

    public init(_ text: String, as kind: Kind) throws(StructuredFieldError) { try self.init(text.utf8, as: kind) }
}

/// Goes through a field's bytes once. The methods bear the names of the sections of RFC 9651 §4.2.
struct StructuredFieldParser {
    private let bytes: [UInt8]
    private var place = 0

    static let memberLimit = 1024
    static let parameterLimit = 256

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func field(_ kind: StructuredField.Kind) throws(StructuredFieldError) -> StructuredField {
        skip { $0 == UInt8(ascii: " ") }
        let field: StructuredField =
            switch kind {
            case .item: .item(try item())
            case .list: .list(try list())
            case .dictionary: .dictionary(try dictionary())
            }
        skip { $0 == UInt8(ascii: " ") }
        guard place == bytes.count else { throw fault("something stands behind the field's end") }
        return field
    }

    // MARK: - Containers

    /// §4.2.1
    private mutating func list() throws(StructuredFieldError) -> [StructuredMember] {
        var members: [StructuredMember] = []
        while place < bytes.count {
            guard members.count < Self.memberLimit else { throw fault("more than \(Self.memberLimit) members") }
            members.append(try member())
            guard try comma() else { break }
        }
        return members
    }

    /// §4.2.2
    private mutating func dictionary() throws(StructuredFieldError) -> StructuredMap<StructuredMember> {
        var members = StructuredMap<StructuredMember>()
        // Counted as they come: names that repeat cost as much as others.
        var count = 0
        while place < bytes.count {
            count += 1
            guard count <= Self.memberLimit else { throw fault("more than \(Self.memberLimit) members") }
            let name = try key()
            members.set(name, take("=") ? try member() : .item(StructuredItem(.boolean(true), try parameters())))
            guard try comma() else { break }
        }
        return members
    }

    /// The comma between two members, with the blanks and tabs around it; false at the end.
    private mutating func comma() throws(StructuredFieldError) -> Bool {
        let end = place
        skip { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        if place == bytes.count {
            // Blanks may end a field, tabs may not.
            place = end
            return false
        }
        guard take(",") else { throw fault("a comma is missing") }
        skip { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
        guard place < bytes.count else { throw fault("nothing stands behind the last comma") }
        return true
    }

    /// §4.2.1.1
    private mutating func member() throws(StructuredFieldError) -> StructuredMember {
        guard take("(") else { return .item(try item()) }
        // §4.2.1.2
        var items: [StructuredItem] = []
        while true {
            skip { $0 == UInt8(ascii: " ") }
            if take(")") { return .innerList(items, try parameters()) }
            guard items.count < Self.memberLimit else { throw fault("more than \(Self.memberLimit) in brackets") }
            items.append(try item())
            guard let next, next == UInt8(ascii: " ") || next == UInt8(ascii: ")") else {
                throw fault("a blank or the closing bracket is missing")
            }
        }
    }

    /// §4.2.3
    private mutating func item() throws(StructuredFieldError) -> StructuredItem {
        StructuredItem(try value(), try parameters())
    }

    /// §4.2.3.2
    private mutating func parameters() throws(StructuredFieldError) -> StructuredParameters {
        var parameters = StructuredParameters()
        var count = 0
        while take(";") {
            count += 1
            guard count <= Self.parameterLimit else { throw fault("more than \(Self.parameterLimit) parameters") }
            skip { $0 == UInt8(ascii: " ") }
            let name = try key()
            parameters.set(name, take("=") ? try value() : .boolean(true))
        }
        return parameters
    }

    /// §4.2.3.3
    private mutating func key() throws(StructuredFieldError) -> String {
        guard let first = next, StructuredSpelling.beginsKey(first) else {
            throw fault("a name begins with a small letter or *")
        }
        return text { StructuredSpelling.isInKey($0) }
    }

    // MARK: - Values

    /// §4.2.3.1
    private mutating func value() throws(StructuredFieldError) -> StructuredValue {
        guard let first = next else { throw fault("a value is missing") }
        switch first {
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: ":"): return .bytes(try byteSequence())
        case UInt8(ascii: "?"): return .boolean(try boolean())
        case UInt8(ascii: "@"): return .date(try date())
        case UInt8(ascii: "%"): return .displayString(try displayString())
        case _ where StructuredSpelling.beginsToken(first): return .token(text { StructuredSpelling.isInToken($0) })
        default: throw fault("no value begins like this")
        }
    }

    /// §4.2.4: at most 15 digits, or 12, a point, and 1 to 3.
    private mutating func number() throws(StructuredFieldError) -> StructuredValue {
        let isNegative = take("-")
        var magnitude = 0
        var digits = 0
        while let digit = takeDigit() {
            digits += 1
            guard digits <= 15 else { throw fault("a number has more than 15 digits") }
            magnitude = magnitude * 10 + digit
        }
        guard digits > 0 else { throw fault("a digit is missing") }
        guard take(".") else { return .integer(isNegative ? -magnitude : magnitude) }
        guard digits <= 12 else { throw fault("more than 12 digits stand before the point") }
        var fraction = 0
        while let digit = takeDigit() {
            fraction += 1
            guard fraction <= 3 else { throw fault("more than 3 digits stand behind the point") }
            magnitude = magnitude * 10 + digit
        }
        guard fraction > 0 else { throw fault("a digit is missing behind the point") }
        for _ in fraction..<3 { magnitude *= 10 }
        guard let decimal = StructuredDecimal(thousandths: isNegative ? -magnitude : magnitude) else {
            throw fault("a number has too many digits")
        }
        return .decimal(decimal)
    }

    /// §4.2.5
    private mutating func string() throws(StructuredFieldError) -> String {
        place += 1
        var out: [UInt8] = []
        while let byte = next {
            place += 1
            switch byte {
            case UInt8(ascii: "\\"):
                guard let escaped = next, escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    throw fault("a backslash stands only before a quotation mark or a backslash")
                }
                place += 1
                out.append(escaped)
            case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
            case 0x20...0x7E: out.append(byte)
            default:
                place -= 1
                throw fault("a text has printable ASCII only")
            }
        }
        throw fault("the closing quotation mark is missing")
    }

    /// §4.2.7. What is not the one spelling of its bytes is refused, as Base64 has it everywhere in the lab.
    private mutating func byteSequence() throws(StructuredFieldError) -> [UInt8] {
        place += 1
        guard let end = bytes[place...].firstIndex(of: UInt8(ascii: ":")) else {
            throw fault("the closing colon is missing")
        }
        guard let decoded = Base64.standard.decode(bytes[place..<end]) else { throw fault("this is no base64") }
        place = end + 1
        return decoded
    }

    /// §4.2.8
    private mutating func boolean() throws(StructuredFieldError) -> Bool {
        place += 1
        if take("1") { return true }
        guard take("0") else { throw fault("a truth value is ?1 or ?0") }
        return false
    }

    /// §4.2.9
    private mutating func date() throws(StructuredFieldError) -> Int {
        place += 1
        guard case .integer(let seconds) = try number() else { throw fault("a date has whole seconds") }
        return seconds
    }

    /// §4.2.10
    private mutating func displayString() throws(StructuredFieldError) -> String {
        place += 1
        guard take("\"") else { throw fault("a quotation mark is missing behind %") }
        var out: [UInt8] = []
        while let byte = next {
            place += 1
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = takeHexDigit(), let low = takeHexDigit() else {
                    throw fault("two small hexadecimal digits are missing behind %")
                }
                out.append(high << 4 | low)
            case UInt8(ascii: "\""):
                guard let text = String(validating: out, as: UTF8.self) else { throw fault("this is no UTF-8") }
                return text
            case 0x20...0x7E: out.append(byte)
            default:
                place -= 1
                throw fault("a text has printable ASCII only")
            }
        }
        throw fault("the closing quotation mark is missing")
    }

    // MARK: - Bytes

    private var next: UInt8? { place < bytes.count ? bytes[place] : nil }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        place += 1
        return true
    }

    private mutating func takeDigit() -> Int? {
        guard let byte = next, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        place += 1
        return Int(byte - UInt8(ascii: "0"))
    }

    private mutating func takeHexDigit() -> UInt8? {
        switch next {
        case let byte? where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"):
            place += 1
            return byte - UInt8(ascii: "0")
        case let byte? where byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "f"):
            place += 1
            return byte - UInt8(ascii: "a") + 10
        default: return nil
        }
    }

    private mutating func skip(while isSkipped: (UInt8) -> Bool) {
        while let byte = next, isSkipped(byte) { place += 1 }
    }

    private mutating func text(while belongs: (UInt8) -> Bool) -> String {
        let start = place
        skip(while: belongs)
        return String(decoding: bytes[start..<place], as: UTF8.self)
    }

    private func fault(_ message: String) -> StructuredFieldError {
        StructuredFieldError(message: message, offset: place)
    }
}

/// Which bytes names and tokens are made of (§3.1.2, §3.3.4).
enum StructuredSpelling {
    static func beginsKey(_ byte: UInt8) -> Bool { isSmall(byte) || byte == UInt8(ascii: "*") }

    static func isInKey(_ byte: UInt8) -> Bool {
        isSmall(byte) || isDigit(byte) || "_-.*".utf8.contains(byte)
    }

    static func beginsToken(_ byte: UInt8) -> Bool { isSmall(byte | 0x20) && byte >= 0x41 || byte == UInt8(ascii: "*") }

    /// RFC 9110's `tchar`, a colon or a slash.
    static func isInToken(_ byte: UInt8) -> Bool {
        isSmall(byte | 0x20) && byte >= 0x41 || isDigit(byte) || "!#$%&'*+-.^_`|~:/".utf8.contains(byte)
    }

    private static func isSmall(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z") }
    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }
}
