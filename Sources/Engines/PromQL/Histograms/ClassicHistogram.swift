/// Quantiles of classic histograms: counters of "at most so much" with the bound in the label `le`.
enum ClassicHistogram {
    struct Bucket {
        var upperBound: Double
        var count: Double
    }

    /// The value below which the part `quantile` of the observations lies, in proportion within its bucket.
    ///
    /// - Parameter buckets: in rising order of their bounds; equal ones are added up, and counts that are smaller than
    ///   the one before (scraped a moment earlier) raised to it.
    static func quantile(_ quantile: Double, _ buckets: [Bucket]) -> Double {
        if quantile.isNaN { return .nan }
        if quantile < 0 { return -.infinity }
        if quantile > 1 { return .infinity }
        guard let last = buckets.last, last.upperBound == .infinity else { return .nan }
        var merged: [Bucket] = []
        for bucket in buckets {
            if let last = merged.last, last.upperBound == bucket.upperBound {
                merged[merged.count - 1].count += bucket.count
            } else {
                merged.append(bucket)
            }
        }
        guard merged.count >= 2 else { return .nan }
        for index in 1..<merged.count where merged[index].count < merged[index - 1].count {
            merged[index].count = merged[index - 1].count
        }
        let observations = merged[merged.count - 1].count
        if observations == 0 { return .nan }
        var rank = quantile * observations
        let place = merged.dropLast().firstIndex { $0.count >= rank } ?? merged.count - 1
        if place == merged.count - 1 { return merged[merged.count - 2].upperBound }
        if place == 0, merged[0].upperBound <= 0 { return merged[0].upperBound }
        var start = 0.0
        var count = merged[place].count
        if place > 0 {
            start = merged[place - 1].upperBound
            count -= merged[place - 1].count
            rank -= merged[place - 1].count
        }
        return start + (merged[place].upperBound - start) * (rank / count)
    }

    /// A bound as `strconv.ParseFloat` reads it; nil for what is no number.
    static func bound(_ text: String) -> Double? {
        switch text.lowercased() {
        case "+inf", "inf", "+infinity", "infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        case "nan": return .nan
        default: break
        }
        var plain = Substring(text)
        if plain.hasPrefix("+") { plain = plain.dropFirst() }
        if plain.hasSuffix(".") { plain = plain.dropLast() }
        return Double(plain.hasPrefix(".") ? "0" + plain : String(plain))
    }
}
