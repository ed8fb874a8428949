import Glibc
import KernelStructures

/// XFetch: loads a popular entry shortly before it ends, by chance, so that hardly ever anybody finds it gone (Vattani,
/// Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015).
///
/// Each reader throws a die of its own: `now − δ·β·ln(chance) ≥ end`. δ is how long the last load took, so slow loads
/// are begun earlier; −ln(chance) is 1 on average and seldom large, so the probability grows steeply as the end comes
/// near. The more readers there are, the earlier the first of them is hit, and no one of them has to know of the
/// others.
public enum EarlyExpiration {
    /// - Parameters:
    ///   - duration: how long the last load took.
    ///   - beta: 1 is the paper's optimum; 0 never loads early.
    ///   - chance: uniform in [0, 1).
    public static func isTime(
        _ end: LabTime, duration: LabDuration, beta: Double, now: LabTime, chance: Double
    ) -> Bool {
        guard beta > 0, duration > .zero else { return now >= end }
        return now + LabDuration.seconds(duration.seconds * beta * -log(1 - min(max(chance, 0), 1 - 0x1p-53))) >= end
    }

    /// How long before the end no reader ever loads early, but for one in ten thousand million: the window in which a
    /// die has to be thrown.
    public static func window(duration: LabDuration, beta: Double) -> LabDuration {
        .seconds(max(0, duration.seconds) * max(0, beta) * 23)
    }

    /// A TTL that differs from the nominal one by at most that share of it. Never less than a nanosecond.
    public static func jittered(_ ttl: LabDuration, by share: Double, random: inout SeededRandom) -> LabDuration {
        guard share > 0 else { return ttl }
        let factor = 1 + (random.unit() * 2 - 1) * min(share, 1)
        return max(LabDuration(nanoseconds: 1), .seconds(ttl.seconds * factor))
    }
}
