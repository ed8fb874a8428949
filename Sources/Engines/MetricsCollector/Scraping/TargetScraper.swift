import KernelStructures
import TimeSeriesEngine

/// What one target has shown so far, and how a page of it becomes samples.
///
/// ## The problem
///
/// Each scrape brings the same thousand names with new numbers. To take them apart, sort their labels, add those of the
/// target and look all of it up would cost a microsecond each, four hundred times the cost of keeping the number.
///
/// ## An everyday picture
///
/// A postman with a round. The first time he reads every nameplate; after that he knows the doors by sight, and only
/// notices what is new: a new plate, or a door that is not there any more.
///
/// ## How
///
/// A cache leads from a series' text, byte for byte, to the series in the store. What the page before had and this one
/// has not gets a marker of staleness, as all of them do when a scrape fails. A page counts as a whole: with an error
/// anywhere, or more samples than are allowed, none of it is taken, and `up` is 0.
///
/// ## Where it is wrong
///
/// A target that writes its labels in another order each time defeats the cache; it works, slowly.
public final class TargetScraper {
    public let target: Target
    public let configuration: ScrapeConfiguration
    let store: TimeSeriesStore
    var cache = SeriesCache()
    /// Counts pages; an entry that the last page had bears its number.
    var page: UInt32 = 0
    private var reports: [String: TimeSeriesStore.SeriesHandle] = [:]
    /// What the page says of its metrics, by name.
    public private(set) var metadata: [String: Metadata] = [:]

    public struct Metadata: Sendable, Equatable {
        public var type = MetricType.unknown
        public var help = ""
        public var unit = ""
    }

    /// What came of a scrape.
    public struct Outcome: Sendable {
        public var isUp = false
        public var error: String?
        public var scrapedSamples = 0
        /// After metric relabelling.
        public var keptSamples = 0
        public var addedSeries = 0
        public var outOfOrder = 0
        public var duplicates = 0
        public var outOfBounds = 0
        public var exemplars: [Exemplar] = []
        public init() {}
    }

    /// Metrics whose description is kept.
    private static let metadataLimit = 10_000
    /// A scraped time may be so much later than now.
    static let futureMilliseconds: Int64 = 600_000

    public init(_ target: Target, _ configuration: ScrapeConfiguration, _ store: TimeSeriesStore) {
        self.target = target
        self.configuration = configuration
        self.store = store
    }

    /// Takes a page.
    ///
    /// - Parameters:
    ///   - time: of the scrape, in milliseconds since 1970.
    ///   - isOpenMetrics: what its `Content-Type` says.
    public func take(_ bytes: [UInt8], isOpenMetrics: Bool, at time: Int64, duration: LabDuration) -> Outcome {
        take(bytes, isOpenMetrics ? .openMetrics : .text, at: time, duration: duration)
    }

    /// How a page is written.
    public enum PageFormat: Sendable {
        case text, openMetrics, protobuf

        /// By a `Content-Type`.
        public init(contentType: String?) {
            let type = (contentType ?? "").lowercased()
            if type.hasPrefix("application/openmetrics-text") {
                self = .openMetrics
            } else if type.hasPrefix("application/vnd.google.protobuf") {
                self = .protobuf
            } else {
                self = .text
            }
        }
    }

    /// Takes a page.
    public func take(_ bytes: [UInt8], _ format: PageFormat, at time: Int64, duration: LabDuration) -> Outcome {
        var outcome = Outcome()
        var batch = TimeSeriesStore.Batch()
        batch.reserve(cache.count)
        page &+= 1
        cache.begin()
        do {
            if format == .protobuf {
                try readProtobuf(bytes, time, &batch, &outcome)
            } else {
                try bytes.withUnsafeBytes { try read($0, format == .openMetrics, time, &batch, &outcome) }
            }
        } catch {
            return fail("\(error)", at: time, duration: duration, outcome)
        }
        outcome.isUp = true
        markStale(time, &batch)
        report(outcome, time, duration, &batch)
        store.commit(batch)
        return outcome
    }

    /// A scrape that brought nothing: all series become stale.
    public func fail(_ error: String, at time: Int64, duration: LabDuration) -> Outcome {
        page &+= 1
        return fail(error, at: time, duration: duration, Outcome())
    }

    private func fail(_ error: String, at time: Int64, duration: LabDuration, _ partial: Outcome) -> Outcome {
        var outcome = partial
        outcome.error = error
        outcome.isUp = false
        outcome.exemplars = []
        outcome.addedSeries = 0
        var batch = TimeSeriesStore.Batch()
        // Nothing of the page counts: whoever was there before is gone.
        page &+= 1
        markStale(time, &batch)
        report(outcome, time, duration, &batch)
        store.commit(batch)
        return outcome
    }

    /// The target is not scraped any more.
    public func end(at time: Int64) {
        var batch = TimeSeriesStore.Batch()
        page &+= 1
        markStale(time, &batch)
        for name in Self.reportNames { if let handle = reports[name] { add(time, Staleness.marker, handle, &batch) } }
        store.commit(batch)
    }

    // MARK: Pages

    private func read(
        _ raw: UnsafeRawBufferPointer, _ isOpenMetrics: Bool, _ time: Int64, _ batch: inout TimeSeriesStore.Batch,
        _ outcome: inout Outcome
    ) throws {
        var reader = ExpositionReader(raw, isOpenMetrics ? .openMetrics : .text)
        while let entry = try reader.next() {
            switch entry {
            case .help(let name, let text): describe(reader.text(name)) { $0.help = Self.unescaped(reader.slice(text)) }
            case .type(let name, let kind):
                let kind = MetricType(exposition: reader.text(kind), isOpenMetrics: isOpenMetrics) ?? .unknown
                describe(reader.text(name)) { $0.type = kind }
            case .unit(let name, let unit): describe(reader.text(name)) { $0.unit = reader.text(unit) }
            case .sample(let sample):
                outcome.scrapedSamples += 1
                guard let handle = try handle(reader, sample, isOpenMetrics, &outcome) else { continue }
                try countKept(&outcome)
                try take(sample, handle, time, &batch, &outcome)
                if let exemplar = sample.exemplar {
                    outcome.exemplars.append(try self.exemplar(reader, exemplar, handle, time))
                }
            }
        }
    }

    func countKept(_ outcome: inout Outcome) throws(ScrapeFailure) {
        outcome.keptSamples += 1
        let limit = configuration.sampleLimit
        if limit > 0, outcome.keptSamples > limit { throw ScrapeFailure("more than \(limit) samples") }
    }

    private func take(
        _ sample: ExpositionReader.Sample, _ handle: TimeSeriesStore.SeriesHandle, _ time: Int64,
        _ batch: inout TimeSeriesStore.Batch, _ outcome: inout Outcome
    ) throws {
        guard let moment = moment(sample.timestamp, time, &outcome) else { return }
        do throws(AppendError) {
            try store.add(moment, sample.value, to: handle, &batch)
        } catch {
            try count(error, &outcome)
        }
    }

    /// The time of a sample that may have one of its own; nil for one that lies too far ahead.
    func moment(_ own: Int64?, _ time: Int64, _ outcome: inout Outcome) -> Int64? {
        guard configuration.honorsTimestamps, let own else { return time }
        if own <= time + Self.futureMilliseconds { return own }
        outcome.outOfBounds += 1
        return nil
    }

    /// Counts a sample that was not taken.
    ///
    /// - Throws: `ScrapeFailure` for what makes the whole page fail.
    func count(_ error: AppendError, _ outcome: inout Outcome) throws(ScrapeFailure) {
        switch error {
        case .duplicate: outcome.duplicates += 1
        case .outOfOrder, .tooManyLate: outcome.outOfOrder += 1
        case .outOfBounds, .tooOld: outcome.outOfBounds += 1
        case .full, .tooManyLabels, .labelTooLong, .invalid: throw ScrapeFailure("\(error)")
        }
    }

    private func handle(
        _ reader: ExpositionReader, _ sample: ExpositionReader.Sample, _ isOpenMetrics: Bool, _ outcome: inout Outcome
    ) throws -> TimeSeriesStore.SeriesHandle? {
        let isTracked = !(configuration.honorsTimestamps && sample.timestamp != nil)
        let text = reader.slice(sample.series)
        let place = cache.find(text)
        if let place, cache.isValid(place) { return cache.use(place, page: page, isTracked: isTracked) }
        let handle = try makeHandle(reader, sample, isOpenMetrics)
        if handle != nil, place == nil { outcome.addedSeries += 1 }
        cache.add(text, handle, at: place, page: page, isTracked: isTracked)
        return handle
    }

    private func makeHandle(
        _ reader: ExpositionReader, _ sample: ExpositionReader.Sample, _ isOpenMetrics: Bool
    ) throws -> TimeSeriesStore.SeriesHandle? {
        let pairs: [(String, String)]
        do {
            pairs = try SeriesText.labels(reader.slice(sample.series), isOpenMetrics: isOpenMetrics)
        } catch {
            throw ExpositionError(line: reader.line - 1, text: error.text)
        }
        guard let labels = labels(pairs) else { return nil }
        try check(labels)
        do throws(AppendError) {
            return try store.handle(labels)
        } catch {
            throw ScrapeFailure("\(error)")
        }
    }

    /// With the target's labels, after metric relabelling; nil if that drops the series.
    func labels(_ pairs: [(String, String)]) -> Labels? {
        var own = Labels(pairs)
        for (name, value) in target.labels.pairs {
            let present = own[name]
            if present.isEmpty {
                own = own.setting(name, to: value)
            } else if !configuration.honorsLabels {
                var other = "exported_" + name
                while own.has(other) || target.labels.has(other) { other = "exported_" + other }
                own = own.setting(other, to: present).setting(name, to: value)
            }
        }
        guard let result = RelabelRule.apply(configuration.metricRules, to: own) else { return nil }
        return result.isEmpty ? nil : result
    }

    func check(_ labels: Labels) throws(ScrapeFailure) {
        let limits = configuration
        guard limits.labelLimit > 0 || limits.labelNameLengthLimit > 0 || limits.labelValueLengthLimit > 0 else {
            return
        }
        if limits.labelLimit > 0, labels.count > limits.labelLimit {
            throw ScrapeFailure("\(labels.metricName) has more than \(limits.labelLimit) labels")
        }
        for (name, value) in labels.pairs {
            if limits.labelNameLengthLimit > 0, name.utf8.count > limits.labelNameLengthLimit {
                throw ScrapeFailure("the label's name \(name.prefix(64)) is longer than \(limits.labelNameLengthLimit)")
            }
            if limits.labelValueLengthLimit > 0, value.utf8.count > limits.labelValueLengthLimit {
                throw ScrapeFailure("the value of \(name) is longer than \(limits.labelValueLengthLimit)")
            }
        }
    }

    private func exemplar(
        _ reader: ExpositionReader, _ exemplar: ExpositionReader.Exemplar, _ handle: TimeSeriesStore.SeriesHandle,
        _ time: Int64
    ) throws -> Exemplar {
        do {
            let pairs = try SeriesText.labels(reader.slice(exemplar.labels), isOpenMetrics: true)
            return Exemplar(
                series: store.labels(of: handle), labels: Labels(pairs), value: exemplar.value,
                timestamp: exemplar.timestamp ?? time)
        } catch {
            throw ExpositionError(line: reader.line - 1, text: error.text)
        }
    }

    // MARK: Metadata

    func describe(_ name: String, _ change: (inout Metadata) -> Void) {
        guard metadata[name] != nil || metadata.count < Self.metadataLimit else { return }
        change(&metadata[name, default: Metadata()])
    }

    private static func unescaped(_ text: UnsafeRawBufferPointer) -> String {
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in text {
            if isEscaped {
                if byte == UInt8(ascii: "n") {
                    bytes.append(10)
                } else {
                    if byte != UInt8(ascii: "\\"), byte != UInt8(ascii: "\"") { bytes.append(UInt8(ascii: "\\")) }
                    bytes.append(byte)
                }
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Staleness and reports

    /// In no order that anybody could see: each goes to a series of its own, with the same time.
    private func markStale(_ time: Int64, _ batch: inout TimeSeriesStore.Batch) {
        let gone = cache.removeOthers(than: page).filter(\.isTracked).compactMap(\.handle).filter(\.isValid)
        // The log's bytes are the same in every process.
        for handle in gone.sorted(by: { $0.series.reference < $1.series.reference }) {
            add(time, Staleness.marker, handle, &batch)
        }
    }

    static let reportNames = [
        "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling",
        "scrape_series_added",
    ]

    private func report(
        _ outcome: Outcome, _ time: Int64, _ duration: LabDuration, _ batch: inout TimeSeriesStore.Batch
    ) {
        let values = [
            outcome.isUp ? 1 : 0, duration.seconds, Double(outcome.scrapedSamples), Double(outcome.keptSamples),
            Double(outcome.addedSeries),
        ]
        for (name, value) in zip(Self.reportNames, values) {
            guard let handle = reportHandle(name) else { continue }
            add(time, value, handle, &batch)
        }
    }

    private func reportHandle(_ name: String) -> TimeSeriesStore.SeriesHandle? {
        if let present = reports[name], present.isValid { return present }
        // A full store has no room even for that.
        let handle = try? store.handle(target.labels.setting(Labels.metricNameLabel, to: name))
        reports[name] = handle
        return handle
    }

    private func add(
        _ time: Int64, _ value: Double, _ handle: TimeSeriesStore.SeriesHandle, _ batch: inout TimeSeriesStore.Batch
    ) {
        // A clock that has gone back: the sample cannot be kept, and nobody is to blame.
        try? store.add(time, value, to: handle, &batch)
    }
}

/// Why a page was not taken, beyond what stands in it.
struct ScrapeFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
