import KernelStructures

/// Addresses as `ip("…")` names them: one, a range `10.0.0.1-10.0.0.9`, or a block `10.0.0.0/8`.
struct AddressPattern: Sendable {
    let source: String
    private let range: ClosedRange<IPAddress>?
    private let block: AddressBlock?

    init?(parsing text: String) {
        source = text
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        if parts.count == 2 {
            guard let first = IPAddress(parsing: parts[0]), let last = IPAddress(parsing: parts[1]), first <= last,
                first.isIPv4 == last.isIPv4
            else { return nil }
            range = first...last
            block = nil
        } else {
            guard let block = AddressBlock(parsing: text) else { return nil }
            range = nil
            self.block = block
        }
    }

    func contains(_ address: IPAddress) -> Bool { range?.contains(address) ?? block?.contains(address) ?? false }

    /// Whether one of its addresses stands somewhere in the line.
    func isFound(in line: UnsafeRawBufferPointer) -> Bool {
        var start = 0
        while start < line.count {
            guard Self.isOfAddress(line[start]) else {
                start += 1
                continue
            }
            var end = start
            while end < line.count, Self.isOfAddress(line[end]) { end += 1 }
            if hasAddress(line, start..<end) { return true }
            start = end
        }
        return false
    }

    /// A run of hexadecimal digits, dots and colons: an address, perhaps with a port or a full stop behind.
    private func hasAddress(_ line: UnsafeRawBufferPointer, _ run: Range<Int>) -> Bool {
        guard run.count >= 2, run.count <= 64 else { return false }
        var text = Substring(String(decoding: line[run], as: UTF8.self))
        while let last = text.last, last == "." || last == ":" && !text.hasSuffix("::") { text = text.dropLast() }
        if let address = IPAddress(parsing: text) { return contains(address) }
        guard let colon = text.lastIndex(of: ":"), let address = IPAddress(parsing: text[..<colon]) else {
            return false
        }
        return contains(address)
    }

    private static func isOfAddress(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ".") || byte == UInt8(ascii: ":") || LogLexer.isDigit(byte)
            || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "f")
    }
}
