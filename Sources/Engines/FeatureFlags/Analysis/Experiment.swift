import Glibc
import KernelStructures

/// What an experiment has shown so far: which variant is winning, how sure that is, and whether the experiment can be
/// trusted at all.
///
/// ## Formulas
///
/// - The interval of a rate is Wilson's (1927; recommended by Brown, Cai and DasGupta 2001): for x of n,
///   `(p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)`. It stays within 0 and 1, also for 0 of 10.
/// - The interval of a difference of two rates is Newcombe's hybrid score interval (1998, method 10), made of the two
///   intervals. A difference counts if its interval does not contain 0. With several variants against one control, the
///   error of 5 % is shared among them (Bonferroni), so `z` grows.
/// - The *sample ratio mismatch* check compares how many people came into each variant with the weights by Pearson's χ²
///   (Kohavi, Tang and Xu, "Trustworthy Online Controlled Experiments", chapter 21): a probability below 0.001 says
///   that something loses people on one side, and that whatever the rates show cannot be believed.
///
/// Where it is wrong: whoever looks every hour and stops at the first significant difference finds one in the end, by
/// chance. The number of people is to be decided beforehand.
public struct Experiment: Equatable, Sendable {
    /// People who came into a variant, and those of them who did what is hoped for.
    public struct Sample: Equatable, Sendable {
        public let variant: String
        /// Share of all people that it should have.
        public let weight: Int
        public let exposed: Int
        public let converted: Int

        public init(variant: String, weight: Int, exposed: Int, converted: Int) {
            self.variant = variant
            self.weight = max(0, weight)
            self.exposed = max(0, exposed)
            self.converted = max(0, min(converted, exposed))
        }
    }

    public struct Arm: Equatable, Sendable {
        public let sample: Sample
        /// 0 to 1.
        public let rate: Double
        public let interval: ClosedRange<Double>
        /// Against the control; nil for the control itself.
        public let difference: Difference?
    }

    public struct Difference: Equatable, Sendable {
        public let value: Double
        public let interval: ClosedRange<Double>
        public var isSignificant: Bool { interval.lowerBound > 0 || interval.upperBound < 0 }
    }

    public enum Verdict: Equatable, Sendable {
        case nobody
        /// The ratio of people is not what it should be.
        case mismatch
        case undecided
        case winner(String)
        /// Nothing is better than the control, and something is worse.
        case controlWins(String)
    }

    public let arms: [Arm]
    /// That chance alone makes the ratio of people as uneven as it is; nil where nobody has come, or with one variant.
    public let ratioProbability: Double?

    public static let ratioThreshold = 0.001
    static let confidence = 0.95

    /// - Parameter samples: the first one is the control.
    public init(_ samples: [Sample]) {
        let comparisons = max(1, samples.count - 1)
        let z = Self.quantile(1 - (1 - Self.confidence) / 2 / Double(comparisons))
        arms = samples.enumerated().map { index, sample in
            let interval = Self.wilson(sample.converted, sample.exposed, z)
            let difference = index == 0 ? nil : Self.difference(from: samples[0], to: sample, z)
            let rate = sample.exposed == 0 ? 0 : Double(sample.converted) / Double(sample.exposed)
            return Arm(sample: sample, rate: rate, interval: interval, difference: difference)
        }
        ratioProbability = Self.ratioProbability(samples)
    }

    public var hasRatioMismatch: Bool { ratioProbability.map { $0 < Self.ratioThreshold } ?? false }

    public var verdict: Verdict {
        guard let control = arms.first, arms.contains(where: { $0.sample.exposed > 0 }) else { return .nobody }
        if hasRatioMismatch { return .mismatch }
        let better = arms.filter { $0.difference.map { $0.interval.lowerBound > 0 } ?? false }
        if let best = better.max(by: { $0.rate < $1.rate }) { return .winner(best.sample.variant) }
        let others = arms.dropFirst()
        let allWorse =
            !others.isEmpty && others.allSatisfy { $0.difference.map { $0.interval.upperBound < 0 } ?? false }
        return allWorse ? .controlWins(control.sample.variant) : .undecided
    }

    // MARK: Formulas

    /// Wilson's interval of `count` of `total`, `z` standard deviations wide.
    public static func wilson(_ count: Int, _ total: Int, _ z: Double) -> ClosedRange<Double> {
        guard total > 0 else { return 0...1 }
        let n = Double(total)
        let p = Double(count) / n
        let denominator = 1 + z * z / n
        let middle = (p + z * z / (2 * n)) / denominator
        let half = z * (p * (1 - p) / n + z * z / (4 * n * n)).squareRoot() / denominator
        return max(0, middle - half)...min(1, middle + half)
    }

    private static func difference(from a: Sample, to b: Sample, _ z: Double) -> Difference? {
        guard a.exposed > 0, b.exposed > 0 else { return nil }
        let (p, q) = (Double(a.converted) / Double(a.exposed), Double(b.converted) / Double(b.exposed))
        let (first, second) = (wilson(a.converted, a.exposed, z), wilson(b.converted, b.exposed, z))
        let value = q - p
        func square(_ value: Double) -> Double { value * value }
        let down = (square(q - second.lowerBound) + square(first.upperBound - p)).squareRoot()
        let up = (square(second.upperBound - q) + square(p - first.lowerBound)).squareRoot()
        return Difference(value: value, interval: (value - down)...(value + up))
    }

    private static func ratioProbability(_ samples: [Sample]) -> Double? {
        let total = samples.reduce(0.0) { $0 + Double($1.exposed) }
        let weights = samples.reduce(0.0) { $0 + Double($1.weight) }
        let expecting = samples.filter { $0.weight > 0 }
        guard total > 0, weights > 0, expecting.count > 1 else { return nil }
        // Somebody in a variant that nobody should have.
        if samples.contains(where: { $0.weight == 0 && $0.exposed > 0 }) { return 0 }
        let chiSquare = expecting.reduce(0.0) { sum, sample in
            let expected = total * Double(sample.weight) / weights
            let distance = Double(sample.exposed) - expected
            return sum + distance * distance / expected
        }
        return chiSquareTail(chiSquare, degrees: expecting.count - 1)
    }

    /// That a χ² variable is at least so large: Q(k/2, x/2), the upper incomplete gamma function, by its series below
    /// a + 1 and by its continued fraction beyond (DLMF §8.11 and §8.9).
    public static func chiSquareTail(_ x: Double, degrees: Int) -> Double {
        guard x > 0, degrees > 0 else { return 1 }
        let a = Double(degrees) / 2
        let x = x / 2
        let scale = exp(-x + a * log(x) - lgamma(a))
        if x < a + 1 {
            var term = 1 / a
            var sum = term
            var n = a
            for _ in 0..<1_000 where abs(term) > abs(sum) * 1e-15 {
                n += 1
                term *= x / n
                sum += term
            }
            return min(1, max(0, 1 - sum * scale))
        }
        // Lentz's way of evaluating a continued fraction.
        let tiny = 1e-300
        var b = x + 1 - a
        var c = 1 / tiny
        var d = 1 / b
        var fraction = d
        for step in 1...1_000 {
            let factor = -Double(step) * (Double(step) - a)
            b += 2
            d = factor * d + b
            d = 1 / (abs(d) < tiny ? tiny : d)
            c = b + factor / c
            if abs(c) < tiny { c = tiny }
            fraction *= d * c
            if abs(d * c - 1) < 1e-15 { break }
        }
        return min(1, max(0, scale * fraction))
    }

    /// The normal distribution's quantile, by halving an interval: `erfc` is exact, and nobody is in a hurry.
    public static func quantile(_ probability: Double) -> Double {
        var low = -40.0
        var high = 40.0
        for _ in 0..<100 {
            let middle = (low + high) / 2
            if erfc(-middle / 2.0.squareRoot()) / 2 < probability { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }
}
