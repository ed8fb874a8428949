import KernelStructures

/// Percent-encoding (RFC 3986 §2.1), and its variant for forms, where a blank is a `+` (WHATWG URL,
/// application/x-www-form-urlencoded).
///
/// ## An everyday picture
///
/// A label that has room for capital letters and digits only. Whoever wants anything else on it writes an agreed sign
/// and the thing's number in a catalogue. The sign itself must then be spelled by its number, too, or nobody could tell
/// a label that mentions it from one that uses it.
///
/// ## How
///
/// Encoding leaves the unreserved characters of RFC 3986 §2.3 and spells every other byte, so its result may stand in
/// any part of a URL. Decoding is strict: a `%` without two hexadecimal digits is an error, since two programs that
/// guess would guess differently. `decodeLeniently` is for those who only compare what others have written.
///
/// Decoding is done once, and after taking apart: `%2F` is a slash within a segment, never one between two.
public enum PercentCoding {
    /// What could not be decoded.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        /// Where it stands, in bytes from the start.
        public let offset: Int
        public let description: String
    }

    /// Text as it may stand in a path's segment or a query, whatever is in it.
    public static func encode(_ text: some StringProtocol) -> String { encode(text.utf8, blank: "%20") }

    /// The same for the names and values of a form: a blank is a plus.
    public static func encodeForm(_ text: some StringProtocol) -> String { encode(text.utf8, blank: "+") }

    /// The same for bytes that need not be text.
    public static func encodeForm(bytes: some Sequence<UInt8>) -> String { encode(bytes, blank: "+") }

    private static func encode(_ bytes: some Sequence<UInt8>, blank: String) -> String {
        var out: [UInt8] = []
        for byte in bytes {
            if isUnreserved(byte) {
                out.append(byte)
            } else if byte == 32 {
                out.append(utf8: blank)
            } else {
                append(byte, to: &out)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// `%41`, in capital letters as RFC 3986 §2.1 has it.
    static func append(_ byte: UInt8, to out: inout [UInt8]) {
        let digits = StaticString("0123456789ABCDEF")
        digits.withUTF8Buffer { digits in
            out.append(37)
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
    }

    /// - Throws: `Malformed` for a `%` that two hexadecimal digits do not follow.
    public static func decode(_ bytes: some Sequence<UInt8>, plusIsBlank: Bool = false) throws(Malformed) -> [UInt8] {
        var out: [UInt8] = []
        var rest = bytes.makeIterator()
        var offset = 0
        while let byte = rest.next() {
            switch byte {
            case 43 where plusIsBlank: out.append(32)
            case 37:
                guard let high = rest.next().flatMap(hexadecimalDigit), let low = rest.next().flatMap(hexadecimalDigit)
                else {
                    throw Malformed(
                        offset: offset,
                        description: "a % must be followed by two hexadecimal digits; % itself is %25")
                }
                out.append(high << 4 | low)
                offset += 2
            default: out.append(byte)
            }
            offset += 1
        }
        return out
    }

    /// - Throws: `Malformed`, also for what is not UTF-8.
    public static func decodeText(_ bytes: some Sequence<UInt8>, plusIsBlank: Bool = false) throws(Malformed) -> String
    {
        let decoded = try decode(bytes, plusIsBlank: plusIsBlank)
        guard let text = String(validating: decoded, as: UTF8.self) else {
            throw Malformed(offset: 0, description: "that is not UTF-8")
        }
        return text
    }

    /// Decodes what can be, and leaves the rest as it stands; also what `keeps` names by its decoded value.
    public static func decodeLeniently(_ bytes: ArraySlice<UInt8>, keeping keeps: (UInt8) -> Bool = { _ in false })
        -> [UInt8]
    {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var position = bytes.startIndex
        while position < bytes.endIndex {
            let byte = bytes[position]
            position += 1
            if byte == 37, position + 1 < bytes.endIndex, let high = hexadecimalDigit(bytes[position]),
                let low = hexadecimalDigit(bytes[position + 1]), !keeps(high << 4 | low)
            {
                out.append(high << 4 | low)
                position += 2
            } else {
                out.append(byte)
            }
        }
        return out
    }

    /// RFC 3986 §2.3: letters, digits, `-`, `.`, `_` and `~`.
    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, 45, 46, 95, 126: true
        default: false
        }
    }

    static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}
