import Glibc

/// Where the buckets of native histograms lie: bounds that follow from a number, the schema, instead of being listed.
///
/// Bucket i of schema s holds what is above b^(i-1) and not above b^i, where b = 2^(2^-s). So each bucket of one schema
/// is two of the next finer one, and whoever knows the finest bucket knows all of them. (Prometheus, "Native
/// histograms"; OpenTelemetry's data model calls them exponential.)
public enum ExponentialScale {
    /// From buckets that are 65,536 times as wide as they begin to such that are 0.27 % wide.
    public static let schemas = -4...8

    private static let finest = 8

    /// 2^(i/256), i from 0 to 255: the bounds within one power of two.
    private static let steps: [Double] = (0..<256).map { exp2(Double($0) / 256) }

    /// The bucket of a value above zero by the finest schema; infinity counts as one more than the largest number.
    static func finestIndex(of value: Double) -> Int {
        if value == .infinity { return finestIndex(of: .greatestFiniteMagnitude) + 1 }
        // value = significand × 2^exponent, and 1 ≤ significand < 2: subnormal ones, too.
        let significand = value.significand
        var low = 0
        var high = 256
        steps.withUnsafeBufferPointer { steps in
            while low < high {
                let middle = (low + high) / 2
                if significand <= steps[middle] { high = middle } else { low = middle + 1 }
            }
        }
        return Int(value.exponent) * 256 + low
    }

    /// The bucket of another schema in which a finer one's bucket lies.
    ///
    /// - Parameter levels: how much finer, 0 or more.
    static func widened(_ index: Int, by levels: Int) -> Int { (index + (1 << levels) - 1) >> levels }

    /// The bucket of a value above zero.
    ///
    /// - Parameter schema: one of `schemas`.
    public static func index(of value: Double, schema: Int) -> Int {
        widened(finestIndex(of: value), by: finest - schema)
    }

    /// The upper bound of a bucket; infinity where it is beyond all numbers.
    public static func upperBound(of index: Int, schema: Int) -> Double {
        if schema <= 0 {
            let (exponent, isTooLarge) = index.multipliedReportingOverflow(by: 1 << -schema)
            return isTooLarge ? (index < 0 ? 0 : .infinity) : exp2(Double(exponent))
        }
        let power = index >> schema
        let part = index & ((1 << schema) - 1)
        return scalbn(steps[part << (finest - schema)], Int32(clamping: power))
    }

    /// The schema whose buckets grow by at most this factor, as far as there is one.
    public static func schema(growth factor: Double) -> Int {
        guard factor > 1 else { return schemas.upperBound }
        let level = -log2(log2(factor)).rounded(.down)
        return Int(min(max(level, Double(schemas.lowerBound)), Double(schemas.upperBound)))
    }
}
