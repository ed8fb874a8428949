import KernelStructures

/// Which characters stand for themselves in which part of an address: WHATWG URL, section 1.3.
enum PercentCoding {
    enum Set {
        case fragment, query, path, userinfo
        /// A value in a query: RFC 3986's unreserved characters stand for themselves, and nothing else.
        case component
    }

    static func encode(_ bytes: some Sequence<UInt8>, _ set: Set) -> String {
        var result: [UInt8] = []
        for byte in bytes {
            if byte <= 32 || byte > 126 || isEncoded(byte, set) {
                result.append(UInt8(ascii: "%"))
                result += hexadecimal(UInt64(byte), 2).uppercased().utf8
            } else {
                result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func isEncoded(_ byte: UInt8, _ set: Set) -> Bool {
        switch set {
        case .fragment: "\"<>`".utf8.contains(byte)
        case .query: "\"#<>'".utf8.contains(byte)
        case .path: "\"#<>?`{}^".utf8.contains(byte)
        case .userinfo: "\"#<>?`{}/:;=@[\\]^|".utf8.contains(byte)
        case .component: !(ShortCode.alphabet.contains(byte) || "-._~".utf8.contains(byte))
        }
    }

    /// `%41` is `A`; a percent sign that introduces nothing stands for itself.
    static func decode(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.prefix(2).allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") })
            else {
                result.append(byte)
                continue
            }
            result.append(value)
            rest = rest.dropFirst(2)
        }
        return result
    }
}
