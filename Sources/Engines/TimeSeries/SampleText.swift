/// A sample's value as Prometheus writes it in JSON: the shortest digits that are read back as the same number, without
/// an exponent from 1e-6 to 1e21 (`util/jsonutil`); `+Inf`, `-Inf`, `NaN`.
public func sampleText(_ value: Double) -> String {
    var bytes: [UInt8] = []
    appendSampleText(value, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
}

/// As `sampleText`, behind what is there.
public func appendSampleText(_ value: Double, to bytes: inout [UInt8]) {
    if value.isNaN { return bytes.append(contentsOf: "NaN".utf8) }
    if value.isInfinite { return bytes.append(contentsOf: (value < 0 ? "-Inf" : "+Inf").utf8) }
    let size = abs(value)
    if size < 0x1p53, value == value.rounded(), !(value == 0 && value.sign == .minus) {
        return bytes.append(contentsOf: String(Int(value)).utf8)
    }
    let shortest = ShortestDecimal(size)
    if value.sign == .minus { bytes.append(UInt8(ascii: "-")) }
    if size != 0, size < 1e-6 || size >= 1e21 {
        shortest.appendScientific(to: &bytes)
    } else {
        shortest.append(to: &bytes)
    }
}

/// The shortest digits of a number, `0.digits × 10^exponent`.
public struct ShortestDecimal {
    private var digits: [UInt8] = []
    private var exponent = 0

    /// - Parameter size: finite and not negative.
    public init(_ size: Double) {
        var pointAt: Int?
        var isExponent = false
        var power = 0
        var isNegative = false
        for byte in size.description.utf8 {
            switch byte {
            case UInt8(ascii: "."): pointAt = digits.count
            case UInt8(ascii: "e"): isExponent = true
            case UInt8(ascii: "-"): isNegative = true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                if isExponent { power = power * 10 + Int(byte - UInt8(ascii: "0")) } else { digits.append(byte) }
            default: break
            }
        }
        exponent = (pointAt ?? digits.count) + (isNegative ? -power : power)
        let zeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(zeros)
        exponent -= zeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        if digits.isEmpty {
            digits = [UInt8(ascii: "0")]
            exponent = 1
        }
    }

    /// Without an exponent.
    public func append(to bytes: inout [UInt8]) {
        let zero = UInt8(ascii: "0")
        if exponent <= 0 {
            bytes.append(contentsOf: "0.".utf8)
            bytes.append(contentsOf: repeatElement(zero, count: -exponent))
            bytes.append(contentsOf: digits)
        } else if exponent >= digits.count {
            bytes.append(contentsOf: digits)
            bytes.append(contentsOf: repeatElement(zero, count: exponent - digits.count))
        } else {
            bytes.append(contentsOf: digits[..<exponent])
            bytes.append(UInt8(ascii: "."))
            bytes.append(contentsOf: digits[exponent...])
        }
    }

    /// `1.5e+21`: at least two digits of the exponent, as Go has it.
    public func appendScientific(to bytes: inout [UInt8]) {
        bytes.append(digits[0])
        if digits.count > 1 {
            bytes.append(UInt8(ascii: "."))
            bytes.append(contentsOf: digits[1...])
        }
        let power = exponent - 1
        bytes.append(contentsOf: (power < 0 ? "e-" : "e+").utf8)
        if abs(power) < 10 { bytes.append(UInt8(ascii: "0")) }
        bytes.append(contentsOf: String(abs(power)).utf8)
    }
}
