// Small pieces of text work that every room needs, without Foundation.

/// `number` in decimal, filled with zeros on the left up to `width` characters, the sign included.
public func padded(_ number: Int, _ width: Int) -> String {
    let sign = number < 0 ? "-" : ""
    let digits = String(number.magnitude)
    let length = sign.count + digits.count
    return sign + (length >= width ? digits : String(repeating: "0", count: width - length) + digits)
}

extension String {
    /// Filled on the left up to `width` characters: it stands at the right of its column.
    public func leftPadded(to width: Int, with fill: Character = " ") -> String {
        String(repeating: fill, count: Swift.max(0, width - count)) + self
    }

    /// Filled on the right up to `width` characters: it stands at the left of its column.
    public func rightPadded(to width: Int) -> String {
        self + String(repeating: " ", count: Swift.max(0, width - count))
    }
}

/// `number` in lower-case hexadecimal, filled with zeros on the left up to `width` characters.
public func hexadecimal(_ number: UInt64, _ width: Int = 0) -> String {
    let digits = String(number, radix: 16)
    return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
}

/// `value` with exactly `places` digits after the point, halves rounded away from zero.
///
/// Numbers of 2^53 and beyond keep their leading digits, as a `Double` has no more of them.
public func fixedDecimal(_ value: Double, places: Int) -> String {
    guard value.isFinite else { return value.isNaN ? "nan" : value < 0 ? "-inf" : "inf" }
    var scale: Double = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = (abs(value) * scale).rounded(.toNearestOrAwayFromZero)
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard let whole = UInt64(exactly: scaled) else { return String(value) }
    if places == 0 { return sign + String(whole) }
    let unit = UInt64(scale)
    return sign + String(whole / unit) + "." + padded(Int(whole % unit), places)
}

/// Like `fixedDecimal`, with the zeros at the end removed: 2.50 is `2.5`, 3.00 is `3`.
public func trimmedDecimal(_ value: Double, places: Int) -> String {
    var text = fixedDecimal(value, places: places)
    guard text.contains(".") else { return text }
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text
}

/// `1234567` as `1,234,567`.
public func grouped(_ number: Int) -> String {
    var digits = String(number.magnitude)
    var groups: [String] = []
    while digits.count > 3 {
        groups.insert(String(digits.suffix(3)), at: 0)
        digits.removeLast(3)
    }
    groups.insert(digits, at: 0)
    return (number < 0 ? "-" : "") + groups.joined(separator: ",")
}

/// A count of bytes for people: `512 B`, `4.1 KiB`, `1.0 GiB`.
public func byteCountText(_ count: Int) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    var value = Double(count)
    var unit = 0
    // 1023.95 would be rounded to 1024.0, which the next unit says better.
    while abs(value) >= (unit == 0 ? 1024 : 1023.95), unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    return unit == 0 ? "\(count) B" : fixedDecimal(value, places: 1) + " " + units[unit]
}

/// Reads a size in bytes: `65536`, `64k`, `64KB`, `1.5MiB`, `1G`. Suffixes are powers of 1024, as in nginx.
///
/// Returns nil for anything else, for negative numbers, and beyond `Int.max`.
public func parseByteCount(_ text: some StringProtocol) -> Int? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    var suffix = text.dropFirst(digits.count).lowercased()
    if suffix.hasSuffix("ib") { suffix.removeLast(2) } else if suffix.hasSuffix("b") { suffix.removeLast() }
    guard let power = ["", "k", "m", "g", "t"].firstIndex(of: suffix) else { return nil }
    return exactProduct(ofDecimal: digits, 1 << Int64(10 * power)).map { Int($0) }
}

/// A decimal number such as `1.5` times a positive `unit`, rounded to the nearest whole, halves up. Nil where the text
/// is no such number or the product exceeds 64 bits. A `Double` would lose digits from 2^53 on.
func exactProduct(ofDecimal text: some StringProtocol, _ unit: Int64) -> Int64? {
    var whole: Int64 = 0
    /// The fraction's digits as they stand, and ten to the power of their number.
    var fraction: Int64 = 0
    var scale: Int64 = 1
    var hasPoint = false
    var digitCount = 0
    for byte in text.utf8 {
        if byte == UInt8(ascii: "."), !hasPoint {
            hasPoint = true
            continue
        }
        guard byte >= 48, byte <= 57 else { return nil }
        digitCount += 1
        let digit = Int64(byte - 48)
        if hasPoint {
            // Eighteen places are more than any unit can tell apart.
            if scale >= 1_000_000_000_000_000_000 { continue }
            fraction = fraction * 10 + digit
            scale *= 10
        } else {
            let (product, overflow) = whole.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(digit)
            if overflow || carry { return nil }
            whole = sum
        }
    }
    guard digitCount > 0 else { return nil }
    let (product, overflow) = whole.multipliedReportingOverflow(by: unit)
    let wide = fraction.multipliedFullWidth(by: unit)
    let (part, remainder) = scale.dividingFullWidth(wide)
    let (sum, carry) = product.addingReportingOverflow(part + (remainder >= scale - remainder ? 1 : 0))
    return overflow || carry ? nil : sum
}

/// `1 backend`, `3 backends`.
public func counted(_ count: Int, _ singular: String, _ plural: String? = nil) -> String {
    count == 1 ? "1 \(singular)" : "\(count) \(plural ?? singular + "s")"
}
