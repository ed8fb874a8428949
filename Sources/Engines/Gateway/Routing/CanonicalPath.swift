import KernelStructures

/// A path as rules and servers must both see it.
///
/// ## The problem
///
/// `/public/*` is for everybody and `/admin/*` is not. `/public/../admin`, `/public/%2e%2e/admin`, `//admin` and
/// `/public/..;/admin` all begin with something harmless, and one server or another reads each of them as `/admin`. A
/// gate that reads a path in one way in front of a server that reads it in another is no gate.
///
/// ## How
///
/// The path is brought into one form *before* anybody looks at it, and that form is what is passed on, so that there is
/// nothing left to be read in two ways (RFC 3986 §6.2.2, and what Envoy calls path normalization):
///
/// | what                                         | becomes                                      |
/// |----------------------------------------------|----------------------------------------------|
/// | `%41`, a letter, digit or `-._~` as a number | the character                                |
/// | `%c3`                                        | `%C3`                                        |
/// | `/./`, `/x/../`, `//`                        | one slash                                    |
/// | `..` above the root                          | refused                                      |
/// | `%2F` and `%5C`                              | refused, unless the file allows them         |
/// | a raw `\`, `%00`                             | refused                                      |
/// | `..;x`, `.;x` (parameters of a segment)      | refused                                      |
///
/// ## Where it is wrong
///
/// A server that decodes twice reads `%252e` as a dot. There is no form in which that could be told apart from a path
/// that means `%2e`.
public enum CanonicalPath {
    /// Why a path is refused; a sentence for the client.
    public struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// - Parameter path: begins with a slash, has no query.
    /// - Returns: nil if it is in this form already, as nearly all are.
    public static func canonical(_ path: ArraySlice<UInt8>, allowsEncodedSlash: Bool = false) throws(Refusal)
        -> [UInt8]?
    {
        guard needsWork(path) else { return nil }
        let decoded = try decoded(path, allowsEncodedSlash)
        var segments: [ArraySlice<UInt8>] = []
        var isDirectory = false
        for segment in decoded.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            let name = segment.prefix { $0 != UInt8(ascii: ";") }
            let isDot = name.elementsEqual(".".utf8)
            let isParent = name.elementsEqual("..".utf8)
            guard !(isDot || isParent) || name.count == segment.count else {
                throw Refusal(description: "a segment '.' or '..' with parameters is read in different ways")
            }
            isDirectory = segment.isEmpty || isDot || isParent
            if isParent {
                guard segments.popLast() != nil else { throw Refusal(description: "the path leads above the root") }
            } else if !segment.isEmpty, !isDot {
                segments.append(segment)
            }
        }
        var result: [UInt8] = []
        for segment in segments {
            result.append(UInt8(ascii: "/"))
            result.append(contentsOf: segment)
        }
        if isDirectory || result.isEmpty { result.append(UInt8(ascii: "/")) }
        return result.elementsEqual(path) ? nil : result
    }

    /// Whether anything stands there that could be otherwise.
    private static func needsWork(_ path: ArraySlice<UInt8>) -> Bool {
        var last: UInt8 = 0
        for byte in path {
            switch byte {
            case UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: ";"), 0: return true
            case UInt8(ascii: "."), UInt8(ascii: "/"): if last == UInt8(ascii: "/") { return true }
            default: break
            }
            last = byte
        }
        return false
    }

    private static func decoded(_ path: ArraySlice<UInt8>, _ allowsEncodedSlash: Bool) throws(Refusal) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(path.count)
        var rest = path
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\") || byte == 0 {
                throw Refusal(description: "a path cannot have a backslash")
            }
            guard byte == UInt8(ascii: "%") else {
                out.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                throw Refusal(description: "a % must be followed by two hexadecimal digits; % itself is %25")
            }
            let value = high << 4 | low
            switch value {
            case 0: throw Refusal(description: "a path cannot have a zero byte")
            case UInt8(ascii: "/"), UInt8(ascii: "\\"):
                guard allowsEncodedSlash else {
                    throw Refusal(description: "%2F and %5C in a path are read in different ways")
                }
                append(value, to: &out)
            case _ where isUnreserved(value): out.append(value)
            default: append(value, to: &out)
            }
        }
        return out
    }

    private static func append(_ byte: UInt8, to out: inout [UInt8]) {
        out.append(utf8: "%" + hexadecimal(UInt64(byte), 2).uppercased())
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: "-._~".utf8.contains(byte)
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}
