// Small pieces of text work that every room needs, without Foundation.

/// `number` in decimal, filled with zeros on the left up to `width` characters.
public func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
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
    while abs(value) >= 1024, unit < units.count - 1 {
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
    guard let number = Double(digits) else { return nil }
    var suffix = text.dropFirst(digits.count).lowercased()
    if suffix.hasSuffix("ib") { suffix.removeLast(2) } else if suffix.hasSuffix("b") { suffix.removeLast() }
    guard let power = ["", "k", "m", "g", "t"].firstIndex(of: suffix) else { return nil }
    var factor: Double = 1
    for _ in 0..<power { factor *= 1024 }
    return Int(exactly: (number * factor).rounded())
}

/// `1 backend`, `3 backends`.
public func counted(_ count: Int, _ singular: String, _ plural: String? = nil) -> String {
    count == 1 ? "1 \(singular)" : "\(count) \(plural ?? singular + "s")"
}
