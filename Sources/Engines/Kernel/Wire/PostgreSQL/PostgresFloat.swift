/// Floating point numbers as text: the shortest digits that lead back to the same number, laid out as PostgreSQL does.
public enum PostgresFloat {
    /// `1e-05`, `0.0001`, `100000`, `1e+06` (from 10^6 on).
    public static func text(_ value: Float) -> String {
        special(Double(value)) ?? layOut("\(value)", largestFixedExponent: 5)
    }

    /// `1e-05`, `0.0001`, `100000000000000`, `1e+15` (from 10^15 on).
    public static func text(_ value: Double) -> String {
        special(value) ?? layOut("\(value)", largestFixedExponent: 14)
    }

    private static func special(_ value: Double) -> String? {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
        if value == 0 { return value.sign == .minus ? "-0" : "0" }
        return nil
    }

    /// Takes Swift's digits, which are the shortest too, and puts the point where PostgreSQL has it.
    private static func layOut(_ text: String, largestFixedExponent: Int) -> String {
        var digits: [UInt8] = []
        var exponent = 0
        var point: Int?
        var bytes = Array(text.utf8)[...]
        let sign = bytes.first == UInt8(ascii: "-") ? "-" : ""
        if !sign.isEmpty { bytes.removeFirst() }
        if let mark = bytes.firstIndex(of: UInt8(ascii: "e")) {
            exponent = Int(String(decoding: bytes[(mark + 1)...], as: UTF8.self)) ?? 0
            bytes = bytes[..<mark]
        }
        for byte in bytes {
            if byte == UInt8(ascii: ".") { point = digits.count } else { digits.append(byte) }
        }
        exponent += (point ?? digits.count) - 1
        let leading = digits.prefix { $0 == 48 }.count
        digits.removeFirst(leading)
        exponent -= leading
        while digits.last == 48, digits.count > 1 { digits.removeLast() }
        return sign + arrange(digits, exponent, largestFixedExponent)
    }

    private static func arrange(_ digits: [UInt8], _ exponent: Int, _ largest: Int) -> String {
        func string(_ part: some Collection<UInt8>) -> String { String(decoding: Array(part), as: UTF8.self) }
        guard exponent >= -4, exponent <= largest else {
            let fraction = digits.count > 1 ? "." + string(digits.dropFirst()) : ""
            let size = exponent.magnitude < 10 ? "0\(exponent.magnitude)" : "\(exponent.magnitude)"
            return string(digits.prefix(1)) + fraction + "e" + (exponent < 0 ? "-" : "+") + size
        }
        if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + string(digits) }
        if digits.count <= exponent + 1 {
            return string(digits) + String(repeating: "0", count: exponent + 1 - digits.count)
        }
        return string(digits.prefix(exponent + 1)) + "." + string(digits.dropFirst(exponent + 1))
    }

    static func parse<T: BinaryFloatingPoint & LosslessStringConvertible>(_ text: String, _ type: PostgresOID)
        throws(PostgresError) -> T
    {
        let word = PostgresText.trimmed(text).lowercased()
        let unsigned = word.first == "-" || word.first == "+" ? String(word.dropFirst()) : word
        switch unsigned {
        case "nan" where unsigned == word: return .nan
        case "inf", "infinity": return word.first == "-" ? -.infinity : .infinity
        default: break
        }
        guard let first = unsigned.utf8.first, (48...57).contains(first) || first == UInt8(ascii: "."),
            let value = T(word)
        else { throw PostgresValue.invalid(text, type) }
        let mantissa = unsigned.prefix { $0 != "e" }
        let isUnderflow = value == 0 && mantissa.utf8.contains { (49...57).contains($0) } && !unsigned.hasPrefix("0x")
        guard value.isFinite, !isUnderflow else {
            throw PostgresError(
                .numericValueOutOfRange, "\"\(text)\" is out of range for type \(type.typeName)")
        }
        return value
    }
}
