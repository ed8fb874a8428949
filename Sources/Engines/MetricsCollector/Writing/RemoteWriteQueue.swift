import KernelStructures
import TimeSeriesEngine

/// Samples on their way to another system: kept until it has taken them, in their order, and not for ever.
///
/// ## How
///
/// One request is under way at a time, so that the samples of a series never overtake each other. What is answered with
/// 2xx is gone; 5xx, 429 and silence mean that the same request is made again, after a pause that doubles; any other
/// 4xx means that it will never be taken, and that it would block everything behind it (Prometheus' remote write
/// specification, "Retries and backoff").
///
/// ## Where it is wrong
///
/// It is in memory: what a crash finds in it is lost to the other side. Prometheus reads its log instead. And when it
/// is full the oldest go, which are counted.
public struct RemoteWriteQueue {
    struct Sample: Sendable {
        let labels: Labels
        let time: Int64
        let value: SampleValue
    }

    /// Samples that wait at most, those of one request, and how long a request waits for more of them.
    public static let limit = 100_000
    public static let batchLimit = 2000
    public static let batchDelay = LabDuration.seconds(5)
    static let firstPause = LabDuration.milliseconds(30)
    static let longestPause = LabDuration.seconds(5)

    private let externalLabels: Labels
    private var waiting = RingQueue<Sample>()
    /// What is under way, or is to be sent again.
    private var batch: [Sample] = []
    public private(set) var isSending = false
    private var pause = LabDuration.zero

    public private(set) var sentCount = 0
    /// Refused for good.
    public private(set) var failedCount = 0
    /// Pushed out by later ones.
    public private(set) var droppedCount = 0
    public private(set) var retriedCount = 0

    public init(externalLabels: Labels = Labels()) { self.externalLabels = externalLabels }

    public var pendingCount: Int { waiting.count + batch.count }
    /// Whether there is enough for a request.
    public var isFull: Bool { waiting.count >= Self.batchLimit }

    public mutating func add(_ labels: Labels, _ time: Int64, _ value: SampleValue) {
        if waiting.count >= Self.limit {
            _ = waiting.popFirst()
            droppedCount += 1
        }
        waiting.append(Sample(labels: labels, time: time, value: value))
    }

    /// The next request; nil while one is under way, and if there is nothing. Afterwards `answered` is called.
    public mutating func next() -> RemoteWriteRequest? {
        guard !isSending else { return nil }
        while batch.count < Self.batchLimit, let sample = waiting.popFirst() { batch.append(sample) }
        guard !batch.isEmpty else { return nil }
        isSending = true
        return request
    }

    /// Samples of one series stand together, in the order in which they came; series in that of their first.
    private var request: RemoteWriteRequest {
        var request = RemoteWriteRequest()
        var places: [Labels: Int] = [:]
        for sample in batch {
            let place: Int
            if let known = places[sample.labels] {
                place = known
            } else {
                place = request.series.count
                places[sample.labels] = place
                var labels = sample.labels
                for (name, value) in externalLabels.pairs where !labels.has(name) {
                    labels = labels.setting(name, to: value)
                }
                request.series.append(RemoteWriteRequest.Series(labels: labels))
            }
            switch sample.value {
            case .float(let value): request.series[place].samples.append((sample.time, value))
            case .histogram(let value): request.series[place].histograms.append((sample.time, value))
            }
        }
        return request
    }

    /// What came of it.
    ///
    /// - Parameters:
    ///   - status: nil if nobody has answered.
    ///   - retryAfter: how long the other side asks for patience.
    /// - Returns: how long to wait before the next request.
    public mutating func answered(_ status: Int?, retryAfter: LabDuration? = nil) -> LabDuration {
        guard isSending else { return .zero }
        isSending = false
        if let status, !(500...599).contains(status), status != 429 {
            if (200...299).contains(status) { sentCount += batch.count } else { failedCount += batch.count }
            batch = []
            pause = .zero
            return .zero
        }
        retriedCount += batch.count
        pause = pause == .zero ? Self.firstPause : min(pause + pause, Self.longestPause)
        return max(pause, min(retryAfter ?? .zero, .seconds(60)))
    }
}
