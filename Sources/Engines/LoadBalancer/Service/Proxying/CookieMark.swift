import KernelStructures
import KernelWire

/// The cookie by which a client remembers its server: found in requests, taken out of them, and put into answers.
///
/// As with HAProxy's `cookie NAME insert indirect nocache`: the balancer makes the cookie and keeps it to itself. The
/// server never sees it, the client gets it once, and no cache may keep the answer that carries it.
struct CookieMark {
    let name: [UInt8]
    private let text: String

    init(name: String) {
        self.name = Array(name.utf8)
        text = name
    }

    /// The value that a request carries; the first, if there are several.
    func value(in head: HTTPHead) -> ArraySlice<UInt8>? {
        for field in head.fields where field.name == .cookie {
            for pair in head.valueBytes(of: field).split(separator: UInt8(ascii: ";")) {
                if let value = value(of: pair) { return value }
            }
        }
        return nil
    }

    private func value(of pair: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        let start = pair.firstIndex { $0 != 32 && $0 != 9 } ?? pair.endIndex
        let trimmed = pair[start...]
        guard trimmed.starts(with: name), let equals = trimmed.dropFirst(name.count).first, equals == UInt8(ascii: "=")
        else { return nil }
        var value = trimmed.dropFirst(name.count + 1)
        while let last = value.last, last == 32 || last == 9 { value.removeLast() }
        if value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
            value = value.dropFirst().dropLast()
        }
        return value
    }

    /// A Cookie field without this cookie; nothing at all if it was the only one.
    func appendOthers(of value: ArraySlice<UInt8>, to out: inout [UInt8]) {
        var isFirst = true
        for pair in value.split(separator: UInt8(ascii: ";")) where self.value(of: pair) == nil {
            out.append(utf8: isFirst ? "Cookie: " : "; ")
            isFirst = false
            let start = pair.firstIndex { $0 != 32 && $0 != 9 } ?? pair.endIndex
            out.append(contentsOf: pair[start...])
        }
        if !isFirst { out.append(utf8: "\r\n") }
    }

    /// Tells a client which server is its own.
    func append(server: String, to out: inout [UInt8]) {
        HTTPWriter.field("Set-Cookie", "\(text)=\(server); Path=/; HttpOnly", into: &out)
        HTTPWriter.field("Cache-Control", "private", into: &out)
    }
}
