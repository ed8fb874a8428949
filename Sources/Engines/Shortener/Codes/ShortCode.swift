import KernelStructures

/// Numbers as short codes, in an order that nobody can guess.
///
/// ## The problem
///
/// A counter never gives a number twice, but whoever makes a link today and one tomorrow knows how many were made in
/// between, and can visit them all. Chance hides that, and comes to the same code twice sooner than one thinks: among
/// 62⁶ codes, after 280,000 links, even odds (the birthday paradox). The first letters of a hash are chance, too.
///
/// ## An everyday picture
///
/// Cloakroom tickets in a box that was shaken once, before the first guest. The attendant takes them from the top: none
/// comes twice, and ticket 4711 says nothing about how many coats there are.
///
/// ## How
///
/// The counter is *permuted*: a Feistel network (Luby and Rackoff 1988) of four rounds turns every number below a power
/// of four into another, back and forth, each into one only. Results beyond 62ⁿ are put in again until one fits
/// (cycle walking: Black and Rogaway 2002), which takes less than four turns on average. When all codes of n
/// characters are used up, those of n + 1 begin.
///
/// ## Where it is wrong
///
/// The key is a secret of the database; who knows it knows the order. And codes are told apart by the case of their
/// letters, which people on the telephone do not say.
public struct ShortCode: Sendable {
    private let key: UInt64
    public let firstLength: Int

    public static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    /// Characters of a code; 62¹⁰ is just below 2⁶⁰.
    public static let lengths = 1...10

    /// - Parameters:
    ///   - key: a secret; another one gives another order.
    ///   - firstLength: of the first codes, within `lengths`.
    public init(key: UInt64, firstLength: Int = 6) {
        self.key = key
        self.firstLength = min(max(firstLength, Self.lengths.lowerBound), Self.lengths.upperBound)
    }

    /// The code of a number, each one's own; nil when all codes that there are have been used up.
    public func code(_ number: UInt64) -> String? {
        var number = number
        for length in firstLength...Self.lengths.upperBound {
            let count = Self.count(length)
            if number < count { return Self.text(permuted(number, below: count, length), length) }
            number -= count
        }
        return nil
    }

    /// A code of that many characters. When there are no more of them the numbers begin again, so it may have been
    /// given before: whoever wants short ones asks again.
    ///
    /// - Parameter length: within `lengths`.
    public func code(_ number: UInt64, length: Int) -> String {
        let count = Self.count(length)
        return Self.text(permuted(number % count, below: count, length), length)
    }

    /// 62 to that power.
    static func count(_ length: Int) -> UInt64 { (0..<length).reduce(1) { count, _ in count * 62 } }

    private func permuted(_ number: UInt64, below count: UInt64, _ length: Int) -> UInt64 {
        let halfBits = UInt64((64 - (count - 1).leadingZeroBitCount + 1) / 2)
        let mask = (UInt64(1) << halfBits) - 1
        var value = number
        repeat {
            var (left, right) = (value >> halfBits, value & mask)
            for round in 0..<4 as Range<UInt64> {
                let noise = mixed(key ^ mixed(right &+ round << 48 &+ UInt64(length) << 56))
                (left, right) = (right, (left ^ noise) & mask)
            }
            value = left << halfBits | right
        } while value >= count
        return value
    }

    private static func text(_ number: UInt64, _ length: Int) -> String {
        var digits = [UInt8](repeating: alphabet[0], count: length)
        var number = number
        for place in digits.indices.reversed() {
            digits[place] = alphabet[Int(number % 62)]
            number /= 62
        }
        return String(decoding: digits, as: UTF8.self)
    }
}

/// What people may call a link.
public enum Alias {
    /// Characters of an alias.
    public static let lengths = 1...64
    /// The first part of a path that is the service's own.
    public static let reserved: Set<String> = [
        "api", "rest", "metrics", "health", "yourls-api.php", "favicon.ico", "robots.txt", "admin", "static",
    ]

    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }

    /// - Throws: what is wrong with it.
    public static func check(_ alias: String) throws(Malformed) {
        guard lengths.contains(alias.utf8.count) else {
            throw Malformed(description: "an alias has \(lengths.lowerBound) to \(lengths.upperBound) characters")
        }
        guard
            alias.utf8.allSatisfy({
                ShortCode.alphabet.contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
            })
        else { throw Malformed(description: "an alias is made of letters, digits, - and _") }
        guard !reserved.contains(alias.lowercased()) else {
            throw Malformed(description: "'\(alias)' is a path of the service itself")
        }
    }
}
