import Glibc
import KernelStructures

/// Whether a cache is worth its while: the same requests with it and without, at given prices.
///
/// A hit costs a question to the cache. A miss costs that, the source, and putting the answer there. A write costs the
/// source, and the cache as well. So a cache loses where hardly anything is asked a second time before it ends, where
/// most requests are writes, and where the source answers as fast as the cache does.
public struct CacheWorth: Sendable {
    /// What is asked for.
    public struct Workload: Equatable, Sendable {
        public let name: String
        /// In words.
        public let summary: String
        public let keys: Int
        /// Zipf's exponent; 0 asks for all alike.
        public let skew: Double
        /// Of all requests.
        public let writeShare: Double
        /// How long the source takes, as a multiple of the given price.
        public let sourceFactor: Double

        public init(
            _ name: String, _ summary: String, keys: Int, skew: Double, writeShare: Double, sourceFactor: Double = 1
        ) {
            self.name = name
            self.summary = summary
            self.keys = min(max(1, keys), 10_000_000)
            self.skew = skew
            self.writeShare = writeShare
            self.sourceFactor = sourceFactor
        }
    }

    public static let workloads = [
        Workload("popular", "few keys take most reads", keys: 10_000, skew: 1, writeShare: 0.02),
        Workload("even", "all keys alike, more than the cache holds", keys: 100_000, skew: 0, writeShare: 0.02),
        Workload("once", "hardly a key is read twice", keys: 10_000_000, skew: 0, writeShare: 0),
        Workload("writes", "nine of ten are writes", keys: 10_000, skew: 1, writeShare: 0.9),
        Workload(
            "quick", "the source is as fast as the cache", keys: 10_000, skew: 1, writeShare: 0.02, sourceFactor: 0.1),
    ]

    public struct Settings: Equatable, Sendable {
        public var requests = 50_000
        public var requestsPerSecond = 1_000
        public var cacheTime = LabDuration.microseconds(500)
        public var sourceTime = LabDuration.milliseconds(5)
        public var ttl = LabDuration.seconds(60)
        public var maximumEntries = 5_000
        public var seed: UInt64 = 1

        public init() {}
        public static let requestRange = 1...1_000_000
    }

    public struct Result: Sendable {
        public let workload: Workload
        public let hitShare: Double
        public let meanWith: LabDuration
        public let meanWithout: LabDuration
        public let sourceRequestsWith: Int
        public let sourceRequestsWithout: Int

        public var isWorthIt: Bool { meanWith < meanWithout }
    }

    public static func run(_ settings: Settings, _ workloads: [Workload] = workloads) -> [Result] {
        workloads.map { play($0, settings) }
    }

    private final class Answer: Sendable {}

    private static func play(_ workload: Workload, _ settings: Settings) -> Result {
        var configuration = CacheConfiguration(
            strategy: [.readThrough, .writeThrough], ttl: max(.milliseconds(1), settings.ttl))
        configuration.maximumEntries = min(max(1, settings.maximumEntries), CacheConfiguration.countLimit)
        configuration.earlyExpiration = 0
        var random = SeededRandom(seed: settings.seed)
        var layer = CacheLayer(configuration, random: random.fork("layer"))
        let keys = KeyChooser(count: workload.keys, skew: workload.skew)
        let source = LabDuration.seconds(settings.sourceTime.seconds * workload.sourceFactor)
        let count = min(max(1, settings.requests), Settings.requestRange.upperBound)
        let step = LabDuration(nanoseconds: 1_000_000_000 / Int64(min(max(1, settings.requestsPerSecond), 1_000_000)))
        var now = LabTime(nanoseconds: 0)
        var withCache = LabDuration.zero
        var asked = 0
        for _ in 0..<count {
            now = now + step
            let key = "\(keys.next(&random))"
            if random.chance(workload.writeShare) {
                asked += 1
                withCache = withCache + source + settings.cacheTime
                write(&layer, key, now)
            } else if load(&layer, key, now) {
                asked += 1
                withCache = withCache + settings.cacheTime + source + settings.cacheTime
            } else {
                withCache = withCache + settings.cacheTime
            }
        }
        return Result(
            workload: workload, hitShare: layer.counters.hitShare,
            meanWith: LabDuration(nanoseconds: withCache.nanoseconds / Int64(count)), meanWithout: source,
            sourceRequestsWith: asked, sourceRequestsWithout: count)
    }

    /// - Returns: whether the source was asked.
    private static func load(_ layer: inout CacheLayer, _ key: String, _ now: LabTime) -> Bool {
        guard case .lead(let id) = layer.read(key, now: now) else { return false }
        _ = layer.begin(id, now: now)
        _ = layer.proceed(id, .loaded(.value(Answer())), now: now)
        _ = layer.takeEffects()
        return true
    }

    private static func write(_ layer: inout CacheLayer, _ key: String, _ now: LabTime) {
        guard case .begin(let id) = layer.write(key, Answer(), now: now) else { return }
        _ = layer.beginWrite(id, now: now)
        _ = layer.proceedWrite(id, .stored(version: 0), now: now)
        _ = layer.takeEffects()
    }

    /// Chooses keys 0, 1, … of which the first are wanted most (Zipf), by the inverse of the continuous distribution.
    private struct KeyChooser {
        let count: Int
        let skew: Double

        func next(_ random: inout SeededRandom) -> Int {
            let chance = random.unit()
            let size = Double(count)
            let place =
                if skew == 0 {
                    chance * size
                } else if abs(skew - 1) < 1e-9 {
                    exp(chance * log(size + 1)) - 1
                } else {
                    pow(chance * (pow(size + 1, 1 - skew) - 1) + 1, 1 / (1 - skew)) - 1
                }
            return place.isFinite ? min(count - 1, max(0, Int(place))) : 0
        }
    }
}
