import CUnicodeNames
import KernelStructures

/// The host of an address, as browsers read it: WHATWG URL, section 3.5.
enum HostName {
    static func parse(_ bytes: ArraySlice<UInt8>) throws(TargetURL.Malformed) -> String {
        if bytes.first == UInt8(ascii: "[") {
            guard bytes.last == UInt8(ascii: "]"),
                let address = IPv6Address(parsing: String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self))
            else { throw TargetURL.Malformed("the brackets hold no IPv6 address") }
            return "[\(text(address))]"
        }
        let decoded = PercentCoding.decode(bytes)
        let name =
            decoded.allSatisfy { $0 < 128 }
            ? String(decoding: decoded, as: UTF8.self).lowercased()
            : try ascii(String(decoding: decoded, as: UTF8.self))
        guard !name.isEmpty else { throw TargetURL.Malformed("the address has no host") }
        if let bad = name.utf8.first(where: { $0 <= 32 || $0 == 127 || forbidden.contains($0) }) {
            let shown = bad > 32 && bad < 127 ? "'\(UnicodeScalar(bad))'" : "character \(bad)"
            throw TargetURL.Malformed("the host has a \(shown) in it")
        }
        return endsInNumber(name) ? try address(name) : name
    }

    /// A name with other letters, as it is asked of the DNS: `bücher.example` is `xn--bcher-kva.example`.
    private static func ascii(_ name: String) throws(TargetURL.Malformed) -> String {
        let bytes = Array(name.utf8)
        var result = [CChar](repeating: 0, count: bytes.count * 8 + 64)
        let count = bytes.withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { bytes in
                sdlab_domain_to_ascii(bytes.baseAddress, Int32(bytes.count), &result, Int32(result.count))
            }
        }
        guard count >= 0, Int(count) <= result.count else {
            throw TargetURL.Malformed("the host has letters that no name can have")
        }
        return String(decoding: result.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static let forbidden: Set<UInt8> = Set("#/:<>?@[\\]^|%".utf8)

    /// Eight numbers in hexadecimal, the longest row of zeros as `::`.
    private static func text(_ address: IPv6Address) -> String {
        let pieces = (0..<8).map { index in
            UInt16(truncatingIfNeeded: (index < 4 ? address.high : address.low) >> UInt64(48 - 16 * (index % 4)))
        }
        var best = 0..<0
        var start = 0
        while start < 8 {
            let run = pieces[start...].prefix { $0 == 0 }
            if run.count > best.count, run.count > 1 { best = run.startIndex..<run.endIndex }
            start += max(1, run.count)
        }
        func join(_ part: ArraySlice<UInt16>) -> String {
            part.map { hexadecimal(UInt64($0)) }.joined(separator: ":")
        }
        return best.isEmpty
            ? join(pieces[...]) : join(pieces[..<best.lowerBound]) + "::" + join(pieces[best.upperBound...])
    }

    // MARK: IPv4

    private static func parts(_ name: String) -> [Substring] {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count > 1, parts.last?.isEmpty == true { parts.removeLast() }
        return parts
    }

    /// `example.0x1f` is taken for an address, and `example.1f` is not.
    private static func endsInNumber(_ name: String) -> Bool {
        guard let last = parts(name).last, !last.isEmpty else { return false }
        return last.utf8.allSatisfy { (48...57).contains($0) } || number(last) != nil
    }

    /// Decimal, octal after `0`, hexadecimal after `0x`, as of old.
    private static func number(_ text: Substring) -> UInt64? {
        guard text.utf8.first.map({ (48...57).contains($0) }) == true else { return nil }
        var digits = text
        var radix = 10
        if digits.hasPrefix("0x") {
            digits = digits.dropFirst(2)
            radix = 16
        } else if digits.count > 1, digits.hasPrefix("0") {
            digits = digits.dropFirst()
            radix = 8
        }
        if digits.isEmpty { return 0 }
        guard digits.utf8.first != UInt8(ascii: "+"), digits.utf8.first != UInt8(ascii: "-") else { return nil }
        let significant = digits.drop { $0 == "0" }
        if significant.isEmpty { return 0 }
        // More digits than any address has are too large, and yet a number.
        return significant.utf8.count > 22
            ? (significant.allSatisfy { $0.hexDigitValue.map { $0 < radix } == true } ? .max : nil)
            : UInt64(significant, radix: radix)
                ?? (significant.allSatisfy { $0.hexDigitValue.map { $0 < radix } == true } ? .max : nil)
    }

    private static func address(_ name: String) throws(TargetURL.Malformed) -> String {
        let bad = TargetURL.Malformed("'\(name.prefix(60))' is no IPv4 address")
        let parts = parts(name)
        guard parts.count <= 4 else { throw bad }
        var numbers: [UInt64] = []
        for part in parts {
            guard let value = number(part) else { throw bad }
            numbers.append(value)
        }
        let last = numbers.removeLast()
        let room = UInt64(1) << UInt64(8 * (4 - numbers.count))
        guard numbers.allSatisfy({ $0 < 256 }), last < room else { throw bad }
        var bits = last
        for (index, value) in numbers.enumerated() { bits |= value << UInt64(24 - 8 * index) }
        return IPv4Address(bits: UInt32(truncatingIfNeeded: bits)).description
    }
}
