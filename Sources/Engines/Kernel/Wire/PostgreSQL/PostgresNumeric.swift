/// A decimal number of any size, as `numeric` keeps it: digits to the base 10,000 around a point.
///
/// Two that are written differently are different here, as `1.0` and `1.00` are different texts.
public struct PostgresNumeric: Equatable, Sendable {
    public enum Kind: UInt16, Sendable {
        case positive = 0x0000
        case negative = 0x4000
        case notANumber = 0xC000
        case infinity = 0xD000
        case negativeInfinity = 0xF000
    }

    public private(set) var kind: Kind
    /// Each 0 to 9,999; neither the first nor the last is 0.
    public private(set) var digits: [Int16]
    /// The first digit counts 10,000 to this power.
    public private(set) var weight: Int
    /// Decimal digits that are shown behind the point.
    public private(set) var scale: Int

    /// Decimal digits before the point, and behind it, at most.
    static let wholeDigitLimit = 131_072
    static let scaleLimit = 16_383

    public static let notANumber = PostgresNumeric(kind: .notANumber, digits: [], weight: 0, scale: 0)

    private init(kind: Kind, digits: [Int16], weight: Int, scale: Int) {
        self.kind = kind
        self.digits = digits
        self.weight = weight
        self.scale = scale
    }

    public init(_ value: Int64) {
        var digits: [Int16] = []
        var magnitude = value.magnitude
        while magnitude > 0 {
            digits.insert(Int16(magnitude % 10_000), at: 0)
            magnitude /= 10_000
        }
        self.init(kind: value < 0 ? .negative : .positive, digits: digits, weight: digits.count - 1, scale: 0)
        trim()
    }

    /// Takes zeros away at both ends.
    private mutating func trim() {
        let leading = digits.prefix { $0 == 0 }.count
        digits.removeFirst(leading)
        weight -= leading
        while digits.last == 0 { digits.removeLast() }
        if digits.isEmpty {
            weight = 0
            if kind == .negative { kind = .positive }
        }
    }

    // MARK: Text

    /// `-12.50`, `1.2e3`, `NaN`, `Infinity`.
    ///
    /// - Throws: 22P02 for what is none, 22003 for more digits than the type has.
    public init(parsing text: String) throws(PostgresError) {
        let word = PostgresText.trimmed(text).lowercased()
        let isNegative = word.first == "-"
        let unsigned = isNegative || word.first == "+" ? String(word.dropFirst()) : word
        switch unsigned {
        case "nan" where unsigned == word:
            self = .notANumber
            return
        case "inf", "infinity":
            self.init(kind: isNegative ? .negativeInfinity : .infinity, digits: [], weight: 0, scale: 0)
            return
        default: break
        }
        guard let parts = Self.parts(Array(unsigned.utf8)) else { throw PostgresValue.invalid(text, .numeric) }
        let point = parts.wholeCount + parts.exponent
        let scale = max(0, parts.decimals.count - point)
        let significant = parts.decimals.contains { $0 != 0 }
        guard scale <= Self.scaleLimit, !significant || point <= Self.wholeDigitLimit, abs(parts.exponent) < 1 << 20
        else { throw PostgresError(.numericValueOutOfRange, "value overflows numeric format") }
        self.init(kind: isNegative && significant ? .negative : .positive, digits: [], weight: 0, scale: scale)
        if significant { setDigits(parts.decimals, point: point) }
    }

    /// Gathers decimal digits by fours around the point.
    private mutating func setDigits(_ decimals: [UInt8], point: Int) {
        let ahead = ((-point) % 4 + 4) % 4
        let padded = [UInt8](repeating: 0, count: (4 - (4 - ahead) % 4) % 4) + decimals
        let lead = padded.count - decimals.count
        weight = (point + lead) / 4 - 1
        for start in stride(from: 0, to: padded.count, by: 4) {
            var digit: Int16 = 0
            for index in start..<start + 4 { digit = digit * 10 + (index < padded.count ? Int16(padded[index]) : 0) }
            digits.append(digit)
        }
        trim()
    }

    private struct Parts {
        var decimals: [UInt8] = []
        var wholeCount = 0
        var exponent = 0
    }

    private static func parts(_ bytes: [UInt8]) -> Parts? {
        var parts = Parts()
        var position = 0
        var hasPoint = false
        while position < bytes.count {
            let byte = bytes[position]
            if (48...57).contains(byte) {
                parts.decimals.append(byte - 48)
                if !hasPoint { parts.wholeCount += 1 }
            } else if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else {
                break
            }
            position += 1
        }
        guard !parts.decimals.isEmpty else { return nil }
        if position == bytes.count { return parts }
        guard bytes[position] == UInt8(ascii: "e") else { return nil }
        let digits = bytes[(position + 1)...]
        let unsigned = digits.first == 43 || digits.first == 45 ? digits.dropFirst() : digits
        guard !unsigned.isEmpty, unsigned.allSatisfy({ (48...57).contains($0) }) else { return nil }
        // More digits than this overflow in either case.
        parts.exponent = Int(String(decoding: digits.prefix(10), as: UTF8.self)) ?? 0
        return parts
    }

    // MARK: Binary (numeric_send)

    func encode(into bytes: inout [UInt8]) {
        bytes.append(bigEndian: Int16(clamping: digits.count))
        bytes.append(bigEndian: Int16(clamping: weight))
        bytes.append(bigEndian: kind.rawValue)
        bytes.append(bigEndian: UInt16(clamping: scale))
        for digit in digits { bytes.append(bigEndian: digit) }
    }

    init(_ cursor: inout PostgresCursor) throws(PostgresError) {
        let count = try cursor.count()
        let weight = Int(try cursor.integer(Int16.self))
        guard let kind = Kind(rawValue: try cursor.integer(UInt16.self)) else {
            throw PostgresError(.invalidBinaryRepresentation, "invalid sign in external \"numeric\" value")
        }
        let scale = Int(try cursor.integer(UInt16.self))
        guard scale <= Self.scaleLimit else {
            throw PostgresError(.invalidBinaryRepresentation, "invalid scale in external \"numeric\" value")
        }
        self.init(kind: kind, digits: [], weight: weight, scale: scale)
        for _ in 0..<count {
            let digit = try cursor.integer(Int16.self)
            guard (0..<10_000).contains(digit) else {
                throw PostgresError(.invalidBinaryRepresentation, "invalid digit in external \"numeric\" value")
            }
            digits.append(digit)
        }
        switch kind {
        case .positive, .negative: dropHiddenDigits()
        default: self.init(kind: kind, digits: [], weight: 0, scale: 0)
        }
    }

    /// Digits beyond the scale are cut off, as numeric_recv does.
    private mutating func dropHiddenDigits() {
        let kept = weight + 1 + (scale + 3) / 4
        if kept < digits.count { digits.removeLast(digits.count - max(0, kept)) }
        if kept == digits.count, let last = digits.last, scale % 4 != 0, !digits.isEmpty {
            let unit: Int16 = [1, 1000, 100, 10][scale % 4]
            digits[digits.count - 1] = last / unit * unit
        }
        trim()
    }
}

extension PostgresNumeric: CustomStringConvertible {
    public var description: String {
        switch kind {
        case .notANumber: return "NaN"
        case .infinity: return "Infinity"
        case .negativeInfinity: return "-Infinity"
        case .positive, .negative: break
        }
        var text: [UInt8] = kind == .negative ? [UInt8(ascii: "-")] : []
        if weight < 0 || digits.isEmpty {
            text.append(48)
        } else {
            for index in 0...weight { append(index, to: &text, isFirst: index == 0) }
        }
        if scale > 0 {
            text.append(UInt8(ascii: "."))
            let end = text.count + scale
            var index = digits.isEmpty ? 0 : weight + 1
            while text.count < end {
                append(index, to: &text, isFirst: false)
                index += 1
            }
            text.removeLast(text.count - end)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Four decimal digits; those of the first without zeros before them.
    private func append(_ index: Int, to text: inout [UInt8], isFirst: Bool) {
        let digit = digits.indices.contains(index) ? Int(digits[index]) : 0
        var unit = 1000
        var isLeading = isFirst
        while unit > 0 {
            let decimal = digit / unit % 10
            if decimal != 0 || unit == 1 { isLeading = false }
            if !isLeading { text.append(48 + UInt8(decimal)) }
            unit /= 10
        }
    }
}
