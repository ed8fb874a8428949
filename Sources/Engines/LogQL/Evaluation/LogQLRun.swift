import LogModelEngine
import PromQLEngine
import TimeSeriesEngine

/// A query at work. It is carried out piece by piece: `advance` until there is a result.
public final class LogQLRun {
    private let limits: LogQLLimits
    private let work: Work
    private var statistics = LogQLStatistics()

    private enum Work {
        case lines(LineCollector)
        case numbers(MetricPlan)
    }

    /// Finds what may have to be read.
    ///
    /// - Throws: `LogQLError` where the expression does not fit the request, or a limit is exceeded.
    public init(
        _ expression: LogQLExpression, over source: any LogSource, _ request: LogQLRequest,
        limits: LogQLLimits = LogQLLimits()
    ) throws(LogQLError) {
        self.limits = limits
        switch expression.root {
        case .log(let pipeline):
            guard request.limit <= limits.entries else {
                throw LogQLError(
                    .badRequest,
                    "max entries limit per query exceeded, limit > max_entries_limit_per_query (\(request.limit) > "
                        + "\(limits.entries))")
            }
            work = .lines(try LineCollector(pipeline, source, request, limits, &statistics.source))
        case .metric(let metric):
            work = .numbers(try MetricPlan(metric, source, request, limits, &statistics.source))
        }
    }

    /// What finding the chunks has shown, and reading those that were read so far.
    public var progress: LogQLStatistics { statistics }

    /// Looks at the next lines.
    ///
    /// - Parameter lines: about how many; a chunk is not interrupted.
    /// - Returns: nil while there is more to do.
    public func advance(lines: Int) throws(LogQLError) -> LogQLResult? {
        switch work {
        case .lines(let collector):
            guard try collector.advance(lines, &statistics) else { return nil }
            statistics.entriesReturned = collector.entries.count
            return LogQLResult(value: .lines(collector.entries), statistics: statistics)
        case .numbers(let plan):
            guard try plan.advance(lines, &statistics) else { return nil }
            let value = try plan.value()
            switch value {
            case .vector(let elements): statistics.entriesReturned = elements.count
            case .matrix(let series): statistics.entriesReturned = series.count
            case .scalar, .string: break
            }
            return LogQLResult(value: .numbers(value), statistics: statistics)
        }
    }

    /// All at once.
    public func finish() throws(LogQLError) -> LogQLResult {
        while true {
            if let result = try advance(lines: 1_000_000) { return result }
        }
    }
}

extension LogQLError {
    init(_ error: LogSourceError) {
        if case .tooManyChunks = error {
            self.init(.limit, error.description)
        } else {
            self.init(.storage, error.description)
        }
    }
}

/// Takes lines in the order of their times until there are enough.
final class LineCollector {
    private let pipeline: LogPipeline
    private let leading: Int
    private let request: LogQLRequest
    private let limits: LogQLLimits
    private var merge: LogMerge
    private(set) var entries: [LogQLEntry] = []
    private var bytes = 0

    init(
        _ pipeline: LogPipeline, _ source: any LogSource, _ request: LogQLRequest, _ limits: LogQLLimits,
        _ statistics: inout LogStatistics
    ) throws(LogQLError) {
        self.pipeline = pipeline
        self.request = request
        self.limits = limits
        leading = pipeline.leadingFilters
        let chunks = try source.chunks(pipeline, request.from, request.through, limits, &statistics)
        merge = LogMerge(
            source, chunks, request.direction, from: request.from, through: request.through, hint: pipeline.hint)
    }

    /// - Returns: whether that was all.
    func advance(_ lines: Int, _ statistics: inout LogQLStatistics) throws(LogQLError) -> Bool {
        var looked = 0
        while entries.count < request.limit {
            guard looked < lines else { return false }
            do throws(LogSourceError) {
                if merge.needsChunk {
                    looked += try merge.openChunk(&statistics.source)
                    continue
                }
            } catch {
                throw LogQLError(error)
            }
            looked += 1
            let next: (block: LogBlock, index: Int)?
            do throws(LogSourceError) {
                next = try merge.next(&statistics.source)
            } catch {
                throw LogQLError(error)
            }
            guard let (block, index) = next else { return true }
            guard let entry = entry(block, index) else { continue }
            statistics.linesPassed += 1
            bytes += entry.line.count
            guard bytes <= limits.resultBytes else {
                throw LogQLError(
                    .limit, "the lines of the answer have more than \(limits.resultBytes) bytes; lower the limit")
            }
            entries.append(entry)
        }
        return true
    }

    private func entry(_ block: LogBlock, _ index: Int) -> LogQLEntry? {
        block.withLine(index) { line in
            pipeline.withPassed(line, block, index, leading) { state in
                LogQLEntry(state, isCategorized: request.isCategorized)
            }
        }
    }
}

extension LogPipeline {
    /// Calls `body` with a line that comes through all stages.
    func withPassed<R>(
        _ line: UnsafeRawBufferPointer, _ block: LogBlock, _ index: Int, _ leading: Int,
        _ body: (inout LineState) -> R?
    ) -> R? {
        for stage in 0..<leading {
            guard case .lineFilter(let filter) = stages[stage] else { continue }
            if !filter.isPassed(line) { return nil }
        }
        var state = LineState(
            raw: line, stream: block.labels, metadata: block.metadata(index), timestamp: block.timestamps[index])
        for stage in leading..<stages.count {
            if !stages[stage].apply(&state) { return nil }
        }
        return body(&state)
    }
}

extension LogSource {
    /// The chunks that may have lines for a pipeline.
    func chunks(
        _ pipeline: LogPipeline, _ from: Int64, _ through: Int64, _ limits: LogQLLimits,
        _ statistics: inout LogStatistics
    ) throws(LogQLError) -> [LogChunk] {
        var selection = LogSelection(pipeline.matchers, from: from, through: through, hint: pipeline.hint)
        selection.chunkLimit = limits.chunks
        do throws(LogSourceError) {
            return try select(selection, &statistics)
        } catch {
            throw LogQLError(error)
        }
    }
}
