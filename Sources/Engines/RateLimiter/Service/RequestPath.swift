import KernelWire

/// The path of a request as rules see it, so that `/%61pi`, `//api`, `/x/../api` and `http://any/api` are all `/api`: a
/// limit that can be passed by spelling is none.
///
/// RFC 3986 §6.2.2 (letters in percent form, dot segments), and empty segments removed. What goes to the server
/// behind is unchanged.
enum RequestPath {
    static func normalized(_ head: HTTPHead) -> String {
        // Neither `*` nor the authority of a CONNECT is a path.
        let given = head.targetPath.first == UInt8(ascii: "/") ? head.targetPath : []
        var segments: [[UInt8]] = []
        // Not what would be taken for a separator.
        let parts = PercentCoding.decodeLeniently(given) { $0 <= 32 || $0 == UInt8(ascii: "/") || $0 == 127 }
            .split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
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
}
