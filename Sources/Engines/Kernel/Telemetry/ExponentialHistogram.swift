import Glibc
import KernelStructures
import Synchronization

/// How an exponential histogram counts, and what it does when it has too many buckets.
public struct ExponentialSettings: Sendable {
    /// Each bucket ends at so many times where it begins, or earlier: 1.1 tells values apart that differ by a tenth.
    public var growth = 1.1
    /// Observations of at most this distance from zero count as zero.
    public var zeroThreshold = 0x1p-128
    /// Buckets that hold something, of both signs together.
    public var bucketLimit = 160
    /// Beyond the limit the zero bucket is widened first, up to this; 0 for not at all.
    public var widestZeroThreshold = 0.0
    /// Beyond the limit all is forgotten first, if the last time was so long ago, by the clock `now`. To readers it is
    /// as if the program had been started anew. Not together with `classic`.
    public var reset: (interval: LabDuration, now: @Sendable () -> LabTime)?
    /// Buckets with bounds that are counted beside them, for readers of the text formats; nil for none.
    public var classic: HistogramBuckets?

    /// Of `bucketLimit`.
    public static let bucketRange = 1...4096

    public init() {}
}

/// Counts observations by size in buckets that are made as they are needed, each a constant factor wider than the one
/// before: a *native* histogram. From any thread without a lock.
///
/// ## The problem
///
/// Whoever lists the bounds of a histogram has to know beforehand how long things take. Nobody does; and when they take
/// ten times as long, which is when somebody looks, all of them are in the last bucket.
///
/// ## An everyday picture
///
/// Letters sorted by weight into pigeonholes that are put up as letters come: up to 10 g, 11 g, 12.1 g, and so on.
/// There is room for so many pigeonholes. If they do not suffice, the lightest are thrown into one box; if that is not
/// enough, each two neighbours become one, and from then on letters are weighed half as exactly.
///
/// ## How
///
/// A table of atomic words (`ExponentialTable`), and a second one that is empty. One word says which of them counts,
/// and how many observations have *begun*; each table says how many have *finished* in it. Whoever wants to read, or to
/// make buckets wider, turns to the other table by one addition, waits until all that had begun in the first have
/// finished, takes its counts, and adds them to the other one. So those who count never wait, and what is read is a
/// whole: the count of all is that of the buckets. (client_golang, `prometheus/histogram.go`, counts in the same way.)
///
/// With too many buckets, the first of these that is allowed and helps: everything is forgotten; the zero bucket is
/// widened by the bucket nearest to it; each two buckets become one.
///
/// ## Where it is wrong
///
/// 8 KB for each table of 160 buckets, whether they are used or not. The sum of negative observations makes the sum
/// fall, as with every histogram. Only the protobuf exposition has a place for the buckets: in the text formats there
/// are the sum and the count, and `classic` buckets if wanted.
public final class ExponentialHistogram: Sendable {
    public let settings: ExponentialSettings
    /// The highest bit: which table counts. The others: observations that have begun.
    private let begun = Atomic<UInt64>(0)
    private let tables: [ExponentialTable]
    /// For those who read or make buckets wider.
    private let turning: Mutex<LabTime?>
    private let classic: Histogram?

    private static let turnBit: UInt64 = 1 << 63

    /// The settings are the program's own; a limit outside `ExponentialSettings.bucketRange` is a mistake in it.
    public init(_ settings: ExponentialSettings = ExponentialSettings()) {
        precondition(ExponentialSettings.bucketRange.contains(settings.bucketLimit), "1 to 4096 buckets")
        precondition(settings.zeroThreshold >= 0 && settings.zeroThreshold.isFinite, "no threshold of the zero bucket")
        precondition(settings.reset == nil || settings.classic == nil, "buckets with bounds are never forgotten")
        self.settings = settings
        let schema = ExponentialScale.schema(growth: settings.growth)
        tables = (0..<2).map { _ in
            ExponentialTable(
                bucketLimit: settings.bucketLimit, schema: schema, zeroThreshold: settings.zeroThreshold)
        }
        turning = Mutex(settings.reset?.now())
        classic = settings.classic.map { Histogram($0) }
    }

    // MARK: Counting

    /// Adds an observation. What is no number is left out.
    public func observe(_ value: Double) {
        if value.isNaN { return }
        classic?.observe(value)
        count(value)
    }

    /// As the classic histogram's: the trace stands beside a classic bucket, if there are such.
    public func observe(_ value: Double, in trace: TraceID, at time: LabTime) {
        if value.isNaN { return }
        classic?.observe(value, in: trace, at: time)
        count(value)
    }

    /// In seconds.
    public func observe(_ duration: LabDuration) { observe(duration.seconds) }

    private func count(_ value: Double) {
        while true {
            // Acquired: how the other table was prepared before the turn is seen.
            let number = begun.wrappingAdd(1, ordering: .acquiring).newValue
            let table = tables[Int(number >> 63)]
            let isCounted = table.count(value)
            let isOver = table.bucketCount.load(ordering: .relaxed) > settings.bucketLimit && table.canShrink
            table.finished.wrappingAdd(1, ordering: .releasing)
            let isForgotten = isOver && turning.withLock { shrink(&$0) }
            // Without a place it was not counted; there are places now.
            if isCounted, !isForgotten { return }
        }
    }

    // MARK: Reading

    /// What is counted, as a whole.
    public var buckets: ExponentialBuckets {
        turning.withLock { _ in
            let present = activeTable
            return turn(schema: present.schema, zeroThreshold: present.zeroThreshold, keepsCounts: true)
        }
    }

    /// The buckets with bounds, where there are such.
    var classicHistogram: Histogram? { classic }

    private var activeTable: ExponentialTable { tables[Int(begun.load(ordering: .relaxed) >> 63)] }

    /// Turns to the other table, whose buckets lie as is said, and adds to it what the first one has.
    ///
    /// - Returns: what the first one had.
    @discardableResult
    private func turn(schema: Int, zeroThreshold: Double, keepsCounts: Bool) -> ExponentialBuckets {
        var schema = schema
        var all: ExponentialBuckets?
        var rest: [ExponentialBuckets] = []
        repeat {
            // Nobody counts in it, and it is empty.
            let other = tables[1 - Int(begun.load(ordering: .relaxed) >> 63)]
            other.prepare(schema: schema, zeroThreshold: zeroThreshold)
            let before = begun.wrappingAdd(Self.turnBit, ordering: .acquiringAndReleasing).oldValue
            let first = tables[Int(before >> 63)]
            let count = before & ~Self.turnBit
            while first.finished.load(ordering: .acquiring) != count { sched_yield() }
            let content = first.content
            first.clear()
            first.finished.store(0, ordering: .relaxed)
            if all == nil {
                all = content
                if keepsCounts { rest = [content] }
            } else {
                rest.append(content)
            }
            // Others have taken places meanwhile: where those do not suffice, wider buckets will.
            rest = rest.compactMap { other.add($0) }
            other.finished.wrappingAdd(count, ordering: .releasing)
            schema -= 1
        } while !rest.isEmpty && schema >= ExponentialScale.schemas.lowerBound
        return all ?? ExponentialBuckets(schema: schema, zeroThreshold: zeroThreshold)
    }

    // MARK: Too many buckets

    /// - Returns: whether all was forgotten.
    private func shrink(_ lastReset: inout LabTime?) -> Bool {
        let table = activeTable
        // Somebody else may have done it.
        guard table.bucketCount.load(ordering: .relaxed) > settings.bucketLimit else { return false }
        if let reset = settings.reset, let last = lastReset {
            let now = reset.now()
            if now - last >= reset.interval {
                lastReset = now
                let schema = ExponentialScale.schema(growth: settings.growth)
                turn(schema: schema, zeroThreshold: settings.zeroThreshold, keepsCounts: false)
                return true
            }
        }
        // About what is there: others go on, and what they add counts the next time.
        var plan = table.content
        while plan.bucketCount > settings.bucketLimit,
            plan.widenZero(upTo: settings.widestZeroThreshold) || plan.halve()
        {}
        turn(schema: plan.schema, zeroThreshold: plan.zeroThreshold, keepsCounts: true)
        return false
    }
}

extension ExponentialHistogram: Collectable {
    public static var kind: MetricKind { .histogram }
    public func write(to samples: inout SampleWriter, _ labels: [(String, String)]) {
        samples.histogram(buckets, classic: classicHistogram, labels)
    }
}
