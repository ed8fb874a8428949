import CBigNumber

/// A whole number of any length (GMP).
final class BigInteger {
    private var value = sdlab_mpz()

    init() { sdlab_mpz_init(&value) }

    convenience init(_ number: Int) {
        self.init()
        sdlab_mpz_set_si(&value, number)
    }

    /// - Parameter digits: decimal, with a minus before them or not; nil for anything else.
    convenience init?(digits: String) {
        self.init()
        if sdlab_mpz_set_text(&value, digits) != 0 { return nil }
    }

    deinit { sdlab_mpz_clear(&value) }

    static func powerOfTen(_ exponent: Int) -> BigInteger {
        let result = BigInteger()
        sdlab_mpz_power_of_ten(&result.value, UInt(max(0, exponent)))
        return result
    }

    static func + (a: BigInteger, b: BigInteger) -> BigInteger {
        let result = BigInteger()
        sdlab_mpz_add(&result.value, &a.value, &b.value)
        return result
    }

    static func - (a: BigInteger, b: BigInteger) -> BigInteger {
        let result = BigInteger()
        sdlab_mpz_subtract(&result.value, &a.value, &b.value)
        return result
    }

    static func * (a: BigInteger, b: BigInteger) -> BigInteger {
        let result = BigInteger()
        sdlab_mpz_multiply(&result.value, &a.value, &b.value)
        return result
    }

    var negated: BigInteger {
        let result = BigInteger()
        sdlab_mpz_negate(&result.value, &value)
        return result
    }

    /// Towards zero.
    ///
    /// - Precondition: the divisor is not zero.
    func divided(by divisor: BigInteger) -> (quotient: BigInteger, remainder: BigInteger) {
        let (quotient, remainder) = (BigInteger(), BigInteger())
        sdlab_mpz_divide(&quotient.value, &remainder.value, &value, &divisor.value)
        return (quotient, remainder)
    }

    func power(_ exponent: Int) -> BigInteger {
        let result = BigInteger()
        sdlab_mpz_power(&result.value, &value, UInt(max(0, exponent)))
        return result
    }

    /// Rounded down; of a number that is not negative.
    var squareRoot: BigInteger {
        let result = BigInteger()
        sdlab_mpz_root(&result.value, &value)
        return result
    }

    /// -1, 0 or 1
    var sign: Int { Int(sdlab_mpz_sign(&value)) }

    func compare(_ other: BigInteger) -> Int { Int(sdlab_mpz_compare(&value, &other.value)) }

    var int: Int? {
        var result = 0
        return sdlab_mpz_long(&value, &result) == 1 ? result : nil
    }

    /// Of decimal digits; it may be one too many.
    var digitCount: Int { sdlab_mpz_digits(&value) }

    /// In decimal.
    var text: String {
        let count = sdlab_mpz_digits(&value) + 2
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: count) { buffer in
            guard let start = buffer.baseAddress else { return "0" }
            sdlab_mpz_text(&value, start)
            return String(cString: start)
        }
    }
}
