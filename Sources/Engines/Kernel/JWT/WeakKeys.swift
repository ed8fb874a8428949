/// Keys that look sound and are not.
enum WeakKeys {
    /// Whether a modulus has the fingerprint of ROCA (CVE-2017-15361; Nemec et al., CCS 2017, section 3): chips of one
    /// maker built their primes as k·M + (65537^a mod M), so modulo each small prime the modulus is a power of 65537.
    /// By chance that happens once in some 2^27 moduli, and whoever is wrongly refused makes another key.
    static func isFromBrokenGenerator(modulus: [UInt8]) -> Bool {
        primes.allSatisfy { prime in powers(of: 65537 % prime, modulo: prime).contains(remainder(modulus, prime)) }
    }

    /// Those modulo which 65537 does not reach every number.
    private static let primes = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]

    private static func remainder(_ bytes: [UInt8], _ divisor: Int) -> Int {
        bytes.reduce(0) { ($0 * 256 + Int($1)) % divisor }
    }

    private static func powers(of base: Int, modulo prime: Int) -> [Int] {
        var found = [1]
        while let last = found.last, last * base % prime != 1 { found.append(last * base % prime) }
        return found
    }
}
