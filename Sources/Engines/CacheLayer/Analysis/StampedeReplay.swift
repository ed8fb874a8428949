import KernelStructures

/// One stampede under several protections: the same readers at the same moments, the same slow source, and a popular
/// entry that ends again and again.
///
/// The decisions are those of the real layer; only time is played, event by event. So the figures are what the layer
/// does, and not what somebody thinks it would do.
public struct StampedeReplay: Sendable {
    /// What stands between the readers and the source.
    public enum Protection: String, Sendable, CaseIterable {
        /// Whoever finds the entry ended loads it.
        case none
        /// One loads, and the others wait for that.
        case lock
        /// One loads early, by chance, and nobody waits.
        case xfetch
        /// The old value is given out while one loads.
        case revalidate = "swr"
    }

    public struct Settings: Equatable, Sendable {
        public var ttl = LabDuration.seconds(10)
        /// How long a load takes.
        public var loadDuration = LabDuration.milliseconds(500)
        /// Columns of the graph.
        public var columns = 60
        public var seed: UInt64 = 1

        public init() {}
    }

    public struct Result: Sendable {
        public let protection: Protection
        public let readers: Int
        public let loads: Int
        /// Loads at a time, at most.
        public let mostLoads: Int
        /// Readers who came during the very first load, before there was anything to give out: they wait under any
        /// protection, and are in none of the figures about waiting.
        public let cold: Int
        /// Readers who had to wait later, and the longest.
        public let waited: Int
        public let longestWait: LabDuration
        public let totalWait: LabDuration
        /// Answers beyond their time.
        public let staleAnswers: Int
        /// Loads that began in each part of the time.
        public let graph: [Int]
    }

    /// Readers that come by chance, so many a second on average.
    public static func arrivals(perSecond rate: Int, for duration: LabDuration, seed: UInt64) -> [LabTime] {
        var random = SeededRandom(seed: seed)
        let count = min(1_000_000, max(1, Int(min(duration.seconds, 1e6) * Double(min(max(1, rate), 1_000_000)))))
        let length = max(1, Int(clamping: duration.nanoseconds))
        return (0..<count).map { _ in LabTime(nanoseconds: Int64(random.below(length))) }.sorted()
    }

    /// - Parameter arrivals: when readers come, in order; they are counted from the first.
    public static func run(_ arrivals: [LabTime], _ settings: Settings) -> [Result] {
        Protection.allCases.map { protection in
            var play = StampedePlay(protection, settings)
            return play.run(arrivals)
        }
    }
}

/// One protection's play.
private struct StampedePlay {
    private let protection: StampedeReplay.Protection
    private let settings: StampedeReplay.Settings
    private var layer: CacheLayer
    private var ends = BinaryHeap<FlightDeadline>()
    private var waiting: [Ticket: LabTime] = [:]
    private var loading = 0
    private var mostLoads = 0
    private var loadStarts: [LabTime] = []
    private var waits: [LabDuration] = []
    private var coldWaits = 0

    private final class Answer: Sendable {}
    private static let key = "popular"

    init(_ protection: StampedeReplay.Protection, _ settings: StampedeReplay.Settings) {
        self.protection = protection
        self.settings = settings
        var configuration = CacheConfiguration(
            strategy: .readThrough, ttl: max(.milliseconds(1), settings.ttl), jitter: 0,
            singleFlight: protection != .none)
        configuration.earlyExpiration = protection == .xfetch ? 1 : 0
        configuration.staleWhileRevalidate = protection == .revalidate ? configuration.ttl : .zero
        configuration.loaderTimeout = .infinite
        layer = CacheLayer(configuration, random: SeededRandom(seed: settings.seed))
    }

    mutating func run(_ arrivals: [LabTime]) -> StampedeReplay.Result {
        guard let first = arrivals.first else { return result([], .zero) }
        for time in arrivals {
            finishLoads(upTo: time)
            reader(at: time)
        }
        finishLoads(upTo: .distantFuture)
        return result(arrivals, (arrivals.last ?? first) - first)
    }

    private mutating func reader(at now: LabTime) {
        switch layer.read(Self.key, now: now) {
        case .hit(_, let refresh): if let refresh { begin(refresh, now) }
        case .lead(let id):
            if let ticket = layer.attend(id) { waiting[ticket] = now }
            begin(id, now)
        case .wait(let ticket): waiting[ticket] = now
        case .miss, .refused: break
        }
        settle(now)
    }

    private mutating func begin(_ id: FlightID, _ now: LabTime) {
        _ = layer.begin(id, now: now)
        loading += 1
        mostLoads = max(mostLoads, loading)
        loadStarts.append(now)
        ends.insert(FlightDeadline(time: now + max(.zero, settings.loadDuration), id: id))
    }

    private mutating func finishLoads(upTo now: LabTime) {
        while let first = ends.first, first.time <= now {
            _ = ends.removeFirst()
            loading -= 1
            _ = layer.proceed(first.id, .loaded(.value(Answer())), now: first.time)
            settle(first.time)
        }
    }

    private mutating func settle(_ now: LabTime) {
        for effect in layer.takeEffects() {
            if case .tell(let ticket, _) = effect, let since = waiting.removeValue(forKey: ticket) {
                if let first = loadStarts.first, since < first + max(.zero, settings.loadDuration) {
                    coldWaits += 1
                } else {
                    waits.append(now - since)
                }
            }
        }
    }

    private func result(_ arrivals: [LabTime], _ span: LabDuration) -> StampedeReplay.Result {
        var graph = [Int](repeating: 0, count: min(max(1, settings.columns), 1_000))
        for start in loadStarts {
            guard let first = arrivals.first, span > .zero else { break }
            let place = (start - first).seconds / span.seconds * Double(graph.count)
            graph[min(graph.count - 1, max(0, Int(place)))] += 1
        }
        let readable = waits.reduce(LabDuration.zero) { $0 + $1 }
        return StampedeReplay.Result(
            protection: protection, readers: arrivals.count, loads: loadStarts.count, mostLoads: mostLoads,
            cold: coldWaits, waited: waits.count, longestWait: waits.max() ?? .zero, totalWait: readable,
            staleAnswers: layer.counters.staleHits, graph: graph)
    }
}
