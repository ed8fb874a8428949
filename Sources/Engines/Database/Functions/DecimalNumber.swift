import Glibc
import KernelWire

/// A value of type numeric, for calculating: `digits` × 10^-`scale`, and three that are no numbers.
///
/// The scale is part of the value: 1.10 has two digits behind the point, and shows them. How many a result has follows
/// PostgreSQL's rules (`numeric.c`): a sum has those of its longer operand, a product of both together, and a quotient
/// enough for 16 significant ones.
struct DecimalNumber {
    enum Kind { case finite, notANumber, infinity, negativeInfinity }

    var kind = Kind.finite
    var digits: BigInteger
    var scale: Int

    init(_ digits: BigInteger, scale: Int) {
        self.digits = digits
        self.scale = scale
    }

    init(_ number: Int) { self.init(BigInteger(number), scale: 0) }

    init(_ kind: Kind) {
        self.init(0)
        self.kind = kind
    }

    /// - Parameter stored: as SQLite keeps it, `-12.50`; what is none of these is NaN.
    init(stored: String) {
        switch stored {
        case "NaN": self.init(.notANumber)
        case "Infinity": self.init(.infinity)
        case "-Infinity": self.init(.negativeInfinity)
        default:
            let point = stored.utf8.firstIndex(of: UInt8(ascii: "."))
            let scale = point.map { stored.utf8.distance(from: $0, to: stored.utf8.endIndex) - 1 } ?? 0
            let digits = point == nil ? stored : String(stored[..<point!]) + stored[stored.index(after: point!)...]
            if let whole = BigInteger(digits: digits) {
                self.init(whole, scale: scale)
            } else {
                self.init(.notANumber)
            }
        }
    }

    var isNegative: Bool { kind == .negativeInfinity || kind == .finite && digits.sign < 0 }
    var isZero: Bool { kind == .finite && digits.sign == 0 }

    var text: String {
        switch kind {
        case .notANumber: return "NaN"
        case .infinity: return "Infinity"
        case .negativeInfinity: return "-Infinity"
        case .finite: break
        }
        var shown = digits.text
        guard scale > 0 else { return shown }
        let isNegative = shown.hasPrefix("-")
        if isNegative { shown.removeFirst() }
        if shown.utf8.count <= scale { shown = String(repeating: "0", count: scale - shown.utf8.count + 1) + shown }
        let point = shown.index(shown.endIndex, offsetBy: -scale)
        return (isNegative ? "-" : "") + shown[..<point] + "." + shown[point...]
    }

    static let scaleLimit = 16_383
    /// Of a quotient (NUMERIC_MAX_DISPLAY_SCALE, NUMERIC_MIN_SIG_DIGITS).
    static let displayScaleLimit = 1000
    static let significantDigits = 16
    static let overflow = PostgresError(.numericValueOutOfRange, "value overflows numeric format")

    /// The same value with at least that many digits behind the point.
    func extended(to wanted: Int) -> DecimalNumber {
        guard kind == .finite, wanted > scale else { return self }
        return DecimalNumber(digits * .powerOfTen(wanted - scale), scale: wanted)
    }

    /// With exactly that many digits behind the point, which may be negative; halves go away from zero.
    func rounded(to wanted: Int) -> DecimalNumber {
        guard kind == .finite else { return self }
        if wanted >= scale { return extended(to: wanted) }
        let unit = BigInteger.powerOfTen(scale - wanted)
        var (quotient, remainder) = digits.divided(by: unit)
        let twice = remainder.sign < 0 ? remainder.negated + remainder.negated : remainder + remainder
        if twice.compare(unit) >= 0 { quotient = quotient + BigInteger(digits.sign) }
        if wanted >= 0 { return DecimalNumber(quotient, scale: wanted) }
        return DecimalNumber(quotient * .powerOfTen(-wanted), scale: 0)
    }

    func truncated(to wanted: Int) -> DecimalNumber {
        guard kind == .finite, wanted < scale else { return wanted > scale ? extended(to: wanted) : self }
        let quotient = digits.divided(by: .powerOfTen(scale - wanted)).quotient
        return wanted >= 0
            ? DecimalNumber(quotient, scale: wanted) : DecimalNumber(quotient * .powerOfTen(-wanted), scale: 0)
    }

    /// NaN equals itself and is greater than everything.
    func compare(_ other: DecimalNumber) -> Int {
        guard kind == .finite, other.kind == .finite else { return order - other.order }
        if scale == other.scale { return digits.compare(other.digits) }
        let wanted = max(scale, other.scale)
        return extended(to: wanted).digits.compare(other.extended(to: wanted).digits)
    }

    private var order: Int {
        switch kind {
        case .negativeInfinity: -1
        case .finite: 0
        case .infinity: 1
        case .notANumber: 2
        }
    }

    var double: Double {
        Double(text) ?? (kind == .infinity ? .infinity : kind == .negativeInfinity ? -.infinity : .nan)
    }

    /// Nil for what is no whole number of 64 bits; halves away from zero.
    var roundedInt: Int? { kind == .finite ? rounded(to: 0).digits.int : nil }
}

// MARK: Arithmetic

extension DecimalNumber {
    static func + (a: Self, b: Self) throws(PostgresError) -> Self {
        guard a.kind == .finite, b.kind == .finite else {
            if a.kind == .notANumber || b.kind == .notANumber { return Self(.notANumber) }
            if a.kind == .finite { return b }
            return b.kind == .finite || a.kind == b.kind ? a : Self(.notANumber)
        }
        let scale = max(a.scale, b.scale)
        return try Self(a.extended(to: scale).digits + b.extended(to: scale).digits, scale: scale).checked()
    }

    static func - (a: Self, b: Self) throws(PostgresError) -> Self { try a + b.negated }

    static func * (a: Self, b: Self) throws(PostgresError) -> Self {
        guard a.kind == .finite, b.kind == .finite else {
            if a.kind == .notANumber || b.kind == .notANumber || a.isZero || b.isZero { return Self(.notANumber) }
            return Self(a.isNegative == b.isNegative ? .infinity : .negativeInfinity)
        }
        let product = Self(a.digits * b.digits, scale: a.scale + b.scale)
        return try (product.scale > scaleLimit ? product.rounded(to: scaleLimit) : product).checked()
    }

    var negated: Self {
        switch kind {
        case .finite: Self(digits.negated, scale: scale)
        case .infinity: Self(.negativeInfinity)
        case .negativeInfinity: Self(.infinity)
        case .notANumber: self
        }
    }

    static let divisionByZero = PostgresError(.divisionByZero, "division by zero")

    /// - Parameter wanted: digits behind the point; nil for PostgreSQL's choice.
    func divided(by other: Self, scale wanted: Int? = nil) throws(PostgresError) -> Self {
        guard kind == .finite, other.kind == .finite else {
            if kind == .notANumber || other.kind == .notANumber { return Self(.notANumber) }
            if kind == .finite { return Self(0) }
            guard other.kind == .finite else { return Self(.notANumber) }
            guard !other.isZero else { throw Self.divisionByZero }
            return Self(isNegative == other.isNegative ? .infinity : .negativeInfinity)
        }
        guard !other.isZero else { throw Self.divisionByZero }
        let places = wanted ?? quotientScale(other)
        // One digit more, for rounding.
        let shift = places + 1 + other.scale - scale
        let dividend = shift >= 0 ? digits * .powerOfTen(shift) : digits
        let divisor = shift >= 0 ? other.digits : other.digits * .powerOfTen(-shift)
        return try Self(dividend.divided(by: divisor).quotient, scale: places + 1).rounded(to: places).checked()
    }

    /// `select_div_scale`: at least 16 significant digits, counted in groups of four.
    private func quotientScale(_ other: Self) -> Int {
        let (first, second) = (leadingGroup, other.leadingGroup)
        var weight = first.weight - second.weight
        if first.group <= second.group { weight -= 1 }
        let places = Self.significantDigits - weight * 4
        return min(max(places, scale, other.scale, 0), Self.displayScaleLimit)
    }

    /// The first group of four digits around the point that is not zero, and its place.
    private var leadingGroup: (group: Int, weight: Int) {
        var shown = Array(digits.text.utf8.drop { $0 == UInt8(ascii: "-") })
        guard shown != [48] else { return (0, 0) }
        // Whole groups behind the point.
        let padding = (4 - scale % 4) % 4
        shown += [UInt8](repeating: 48, count: padding)
        let groups = (shown.count + 3) / 4
        let lead = shown.count - (groups - 1) * 4
        let group = shown.prefix(lead).reduce(0) { $0 * 10 + Int($1 - 48) }
        return (group, groups - 1 - (scale + padding) / 4)
    }

    func modulo(_ other: Self) throws(PostgresError) -> Self {
        guard kind == .finite, other.kind == .finite else {
            if kind != .finite || other.kind == .notANumber { return Self(.notANumber) }
            return self
        }
        guard !other.isZero else { throw Self.divisionByZero }
        let places = max(scale, other.scale)
        return Self(extended(to: places).digits.divided(by: other.extended(to: places).digits).remainder, scale: places)
    }

    /// - Parameter scale: digits behind the point; nil for PostgreSQL's choice.
    func squareRoot(scale chosen: Int? = nil) throws(PostgresError) -> Self {
        guard kind == .finite else {
            if kind == .negativeInfinity { throw Self.negativeRoot }
            return self
        }
        guard digits.sign >= 0 else { throw Self.negativeRoot }
        let places =
            chosen
            ?? min(
                max(Self.significantDigits - ((leadingGroup.weight + 1) * 4 / 2 - 1), scale, 0), Self.displayScaleLimit)
        let wanted = 2 * (places + 1)
        let square = wanted >= scale ? extended(to: wanted) : truncated(to: wanted)
        return Self(square.digits.squareRoot, scale: places + 1).rounded(to: places)
    }

    private static let negativeRoot = PostgresError("2201F", "cannot take square root of a negative number")

    func power(_ exponent: Self) throws(PostgresError) -> Self {
        guard kind == .finite, exponent.kind == .finite else {
            return try Self(
                stored: PostgresNumeric(parsing: PostgresFloat.text(pow(double, exponent.double))).description)
        }
        if isZero, exponent.isNegative { throw PostgresError("2201F", "zero raised to a negative power is undefined") }
        guard exponent.truncated(to: 0).compare(exponent) == 0, let whole = exponent.roundedInt,
            whole.magnitude < 100_000
        else {
            guard !isNegative else {
                throw PostgresError("2201F", "a negative number raised to a non-integer power yields a complex result")
            }
            return try Self.approximate(pow(double, exponent.double))
        }
        let size = isZero ? 0 : Double(whole) * log10(abs(double))
        guard size < 131_072 else { throw Self.overflow }
        let places = min(
            max(Self.significantDigits - Int(size), scale, exponent.scale, 0), Self.displayScaleLimit)
        let result = Self(digits.power(Int(whole.magnitude)), scale: scale * Int(whole.magnitude))
        return whole < 0 ? try Self(1).divided(by: result, scale: places) : result.rounded(to: places)
    }

    /// Of what is calculated in floating point: 16 significant digits.
    static func approximate(_ value: Double) throws(PostgresError) -> Self {
        guard value.isFinite else { throw overflow }
        let exact = Self(stored: try PostgresNumeric(parsing: PostgresFloat.text(value)).description)
        let places = value == 0 ? significantDigits : significantDigits - Int(log10(abs(value)).rounded(.down))
        return exact.rounded(to: max(0, min(places, displayScaleLimit)))
    }

    /// Not more than 131,072 digits before the point.
    private func checked() throws(PostgresError) -> Self {
        guard digits.digitCount - scale <= 131_073 else { throw Self.overflow }
        return self
    }
}
