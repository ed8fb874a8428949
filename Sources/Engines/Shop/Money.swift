import KernelJSON

/// An amount in whole numbers of a currency's smallest unit: 199,800 cents. Never a fraction, because ten times 0.1 is
/// not 1 in binary, and somebody's till is then wrong by a cent.
public struct Money: Hashable, Sendable, CustomStringConvertible {
    public let minor: Int
    public let currency: Currency

    /// An ISO 4217 code in small letters, as Stripe has it.
    public struct Currency: Hashable, Sendable {
        public let code: String

        /// Nil for what has not the form of one.
        public init?(_ text: some StringProtocol) {
            let code = text.lowercased()
            guard code.utf8.count == 3, code.utf8.allSatisfy({ (97...122).contains($0) }) else { return nil }
            self.code = code
        }

        private init(known code: String) { self.code = code }

        public static let usd = Currency(known: "usd")

        /// Those without a smaller unit, by Stripe's list "Zero-decimal currencies".
        private static let wholeOnly: Set<String> = [
            "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof",
            "xpf",
        ]

        /// Smallest units in a whole one: 100 cents, 1 yen.
        public var minorPerUnit: Int { Self.wholeOnly.contains(code) ? 1 : 100 }
        var sign: String { code == "usd" ? "$" : code == "eur" ? "€" : code == "gbp" ? "£" : "" }
    }

    public init(minor: Int, _ currency: Currency = .usd) {
        self.minor = minor
        self.currency = currency
    }

    /// Stripe's limit: eight digits.
    public static let largestMinor = 99_999_999

    /// Nil where the product is more than can be charged.
    public func times(_ count: Int) -> Money? {
        let (product, overflow) = minor.multipliedReportingOverflow(by: count)
        guard !overflow, product <= Self.largestMinor, product >= 0 else { return nil }
        return Money(minor: product, currency)
    }

    /// Nil where the sum is more than can be charged, or the currencies differ.
    public func plus(_ other: Money) -> Money? {
        let (sum, overflow) = minor.addingReportingOverflow(other.minor)
        guard !overflow, sum <= Self.largestMinor, currency == other.currency else { return nil }
        return Money(minor: sum, currency)
    }

    /// Whole units for people, with as many decimals as there are: `1998`, `19.99`. An exact number of JSON.
    public var unitsText: String {
        let scale = currency.minorPerUnit
        let (units, rest) = minor.magnitude.quotientAndRemainder(dividingBy: UInt(scale))
        let sign = minor < 0 ? "-" : ""
        if rest == 0 { return "\(sign)\(units)" }
        return "\(sign)\(units).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// `1998` or `19.99`, written exactly.
    public var unitsJSON: JSONValue { Int(unitsText).map { .integer($0) } ?? .decimal(unitsText) }

    /// `$1998`, `1998 chf`.
    public var description: String {
        currency.sign.isEmpty ? "\(unitsText) \(currency.code)" : "\(currency.sign)\(unitsText)"
    }
}
