import Glibc

/// Numbers as Go writes them, which is how Prometheus shows them.
enum GoFormat {
    /// `%v`: the shortest digits that give the number back; an exponent below 1e-4 and from 1e21 on.
    static func shortest(_ value: Double) -> String {
        if value == 0 { return value.sign == .minus ? "-0" : "0" }
        let (digits, exponent, isNegative) = decimal(value)
        let sign = isNegative ? "-" : ""
        if exponent < -4 || exponent >= 21 {
            let mantissa = digits.prefix(1) + (digits.utf8.count > 1 ? "." + digits.dropFirst() : "")
            let power = abs(exponent)
            return "\(sign)\(mantissa)e\(exponent < 0 ? "-" : "+")\(power < 10 ? "0" : "")\(power)"
        }
        return sign + plain(digits, exponent)
    }

    /// The shortest digits, never with an exponent: `strconv.FormatFloat(v, 'f', -1, 64)`.
    static func plain(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == 0 { return value.sign == .minus ? "-0" : "0" }
        let (digits, exponent, isNegative) = decimal(value)
        return (isNegative ? "-" : "") + plain(digits, exponent)
    }

    private static func plain(_ digits: String, _ exponent: Int) -> String {
        if exponent < 0 { return "0." + String(repeating: "0", count: -exponent - 1) + digits }
        if digits.utf8.count <= exponent + 1 {
            return digits + String(repeating: "0", count: exponent + 1 - digits.utf8.count)
        }
        return "\(digits.prefix(exponent + 1)).\(digits.dropFirst(exponent + 1))"
    }

    /// The shortest significant digits, and the power of ten of the first of them.
    private static func decimal(_ value: Double) -> (digits: String, exponent: Int, isNegative: Bool) {
        let text = value.magnitude.description
        let parts = text.split(separator: "e", maxSplits: 1)
        let number = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let whole = String(number[0])
        let fraction = number.count > 1 ? String(number[1]) : ""
        var exponent = (parts.count > 1 ? Int(parts[1]) ?? 0 : 0) + whole.utf8.count - 1
        var digits = Substring(whole + fraction)
        while digits.first == "0", digits.utf8.count > 1 {
            digits = digits.dropFirst()
            exponent -= 1
        }
        while digits.last == "0", digits.utf8.count > 1 { digits = digits.dropLast() }
        return (String(digits), exponent, value < 0)
    }

    /// `%.3f`: digits after the point, rounded as the binary number is (ties are rare and go to even).
    static func fixed(_ value: Double, digits: Int) -> String {
        guard value.isFinite else { return plain(value) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
            let count = withVaList([value]) { vsnprintf(buffer.baseAddress, 400, "%.\(max(0, min(digits, 50)))f", $0) }
            guard count > 0, count < 400 else { return plain(value) }
            return String(cString: buffer.baseAddress!)
        }
    }
}
