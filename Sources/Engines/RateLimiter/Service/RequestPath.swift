import KernelWire

/// The path of a request as rules see it, so that `/%61pi`, `//api`, `/x/../api` and `http://any/api` are all `/api`: a
/// limit that can be passed by spelling is none.
///
/// RFC 3986 §6.2.2 (letters in percent form, dot segments), and empty segments removed. What goes to the server
/// behind is unchanged.
enum RequestPath {
    static func normalized(_ head: HTTPHead) -> String {
        var target = head.targetBytes.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        if target.first != UInt8(ascii: "/") {
            target = target[(head.authorityOfTarget.endIndex)...]
        }
        var segments: [[UInt8]] = []
        let parts = decoded(target).split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for part in parts {
            switch Array(part) {
            case [], [UInt8(ascii: ".")]: continue
            case [UInt8(ascii: "."), UInt8(ascii: ".")]: _ = segments.popLast()
            case let segment: segments.append(segment)
            }
        }
        let isDirectory =
            parts.last.map { $0.isEmpty || $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) } ?? true
        let path = "/" + segments.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
        return isDirectory && path.count > 1 ? path + "/" : path
    }

    /// Bytes in percent form, but for those that would be taken for a separator.
    private static func decoded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let high = digit(rest[rest.startIndex]),
                let low = digit(rest[rest.startIndex + 1]), high * 16 + low > 32, high * 16 + low != 0x2F,
                high * 16 + low != 127
            {
                out.append(high * 16 + low)
                rest = rest.dropFirst(2)
            } else {
                out.append(byte)
            }
        }
        return out
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
