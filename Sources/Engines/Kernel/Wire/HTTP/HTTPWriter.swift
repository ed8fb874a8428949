import KernelStructures

/// Writes HTTP/1.1 heads and chunks into a byte array. Names and values are checked where they come from a user; see
/// `isSafeFieldValue`.
public enum HTTPWriter {
    public static func requestLine(_ method: String, _ target: String, into out: inout [UInt8]) {
        out.append(utf8: method)
        out.append(32)
        out.append(utf8: target)
        out.append(utf8: " HTTP/1.1\r\n")
    }

    public static func statusLine(_ status: Int, reason: String? = nil, into out: inout [UInt8]) {
        out.append(utf8: "HTTP/1.1 ")
        out.append(decimal: status)
        out.append(32)
        out.append(utf8: reason ?? HTTPStatus.reason(status))
        endLine(&out)
    }

    /// The same with the reason as it came from somewhere else.
    public static func statusLine(_ status: Int, reason: ArraySlice<UInt8>, into out: inout [UInt8]) {
        out.append(utf8: "HTTP/1.1 ")
        out.append(decimal: status)
        out.append(32)
        out.append(contentsOf: reason)
        endLine(&out)
    }

    public static func field(_ name: String, _ value: String, into out: inout [UInt8]) {
        out.append(utf8: name)
        out.append(58)
        out.append(32)
        out.append(utf8: value)
        endLine(&out)
    }

    public static func field(_ name: String, _ value: Int, into out: inout [UInt8]) {
        out.append(utf8: name)
        out.append(58)
        out.append(32)
        out.append(decimal: value)
        endLine(&out)
    }

    public static func endHead(_ out: inout [UInt8]) { endLine(&out) }

    /// The size line before a chunk of `count` bytes; `count` must be positive, as 0 ends the body.
    public static func chunkStart(_ count: Int, into out: inout [UInt8]) {
        out.append(utf8: String(count, radix: 16))
        endLine(&out)
    }

    public static func chunkEnd(_ out: inout [UInt8]) { endLine(&out) }
    public static func lastChunk(_ out: inout [UInt8]) { out.append(utf8: "0\r\n\r\n") }

    private static func endLine(_ out: inout [UInt8]) {
        out.append(13)
        out.append(10)
    }

    /// Whether a name is a token and a value has no control characters: nothing that could end its line early.
    public static func isSafeField(name: some StringProtocol, value: some StringProtocol) -> Bool {
        let isToken = { (byte: UInt8) in
            byte > 32 && byte < 127 && !"\"(),/:;<=>?@[\\]{}".utf8.contains(byte)
        }
        return !name.isEmpty && name.utf8.allSatisfy(isToken)
            && value.utf8.allSatisfy { $0 >= 32 ? $0 != 127 : $0 == 9 }
    }
}
