import LogModelEngine
import TimeSeriesEngine

/// A query that looks at lines as they come in, instead of at those that are there.
public struct LogQLTail: Sendable {
    private let pipeline: LogPipeline
    private let leading: Int
    private let isCategorized: Bool

    /// Of which streams.
    public var matchers: [LabelMatcher] { pipeline.matchers }

    /// - Parameter isCategorized: see `LogQLRequest`.
    /// - Throws: for a metric query, which has no lines.
    public init(_ expression: LogQLExpression, isCategorized: Bool = false) throws(LogQLError) {
        guard case .log(let pipeline) = expression.root else {
            throw LogQLError(.badRequest, "only queries for lines can be followed, not metric queries")
        }
        self.pipeline = pipeline
        self.isCategorized = isCategorized
        leading = pipeline.leadingFilters
    }

    /// Those of a block that come through.
    public func entries(of block: LogBlock) -> [LogQLEntry] {
        (0..<block.count).compactMap { index in
            block.withLine(index) { line in
                pipeline.withPassed(line, block, index, leading) { state in
                    LogQLEntry(state, isCategorized: isCategorized)
                }
            }
        }
    }
}

/// A search for the templates of a query's lines, piece by piece.
public final class LogPatternRun {
    private let pipeline: LogPipeline
    private let leading: Int
    private let source: any LogSource
    private let request: LogQLRequest
    private let chunks: [LogChunk]
    private var next = 0
    private var patterns: LinePatterns
    private var statistics = LogQLStatistics()

    /// - Throws: `LogQLError`, also for a metric query.
    public init(
        _ expression: LogQLExpression, over source: any LogSource, _ request: LogQLRequest,
        limits: LogQLLimits = LogQLLimits()
    ) throws(LogQLError) {
        guard case .log(let pipeline) = expression.root else {
            throw LogQLError(.badRequest, "patterns are those of lines, and a metric query has none")
        }
        self.pipeline = pipeline
        self.source = source
        self.request = request
        leading = pipeline.leadingFilters
        patterns = LinePatterns(bucketNanoseconds: max(10_000_000_000, request.stepNanoseconds))
        chunks = try source.chunks(pipeline, request.from, request.through, limits, &statistics.source)
    }

    /// - Returns: nil while there is more to do.
    public func advance(lines: Int) throws(LogQLError) -> LinePatterns? {
        var left = lines
        while next < chunks.count {
            guard left > 0 else { return nil }
            let block: LogBlock
            do throws(LogSourceError) {
                block = try source.read(chunks[next], &statistics.source)
            } catch {
                throw LogQLError(error)
            }
            next += 1
            left -= block.count
            let start = block.firstIndex(notBefore: request.from)
            let end = max(start, block.firstIndex(notBefore: request.through))
            for index in LogSieve.lines(pipeline.hint, block, in: start..<end) {
                block.withLine(index) { line in
                    _ = pipeline.withPassed(line, block, index, leading) { state -> Bool? in
                        state.withLine { patterns.add($0, at: state.timestamp) }
                        return true
                    }
                }
            }
        }
        return patterns
    }
}
