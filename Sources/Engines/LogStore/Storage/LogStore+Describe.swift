import LogModelEngine

/// What a store has, by how it is kept.
public struct LogStoreReport: Equatable, Sendable {
    public struct Tier: Equatable, Sendable {
        public var segments = 0
        public var lines = 0
        public var lineBytes = 0
        public var fileBytes = 0
    }

    public var activeStreams = 0
    public var hotLines = 0
    public var hotBytes = 0
    /// Of tables and chunks that were read lately.
    public var cachedBytes = 0
    public var warm = Tier()
    public var cold = Tier()
    /// Days that have segments.
    public var days = 0
    public var sources = 0
}

extension LogStore {
    public var report: LogStoreReport {
        var report = LogStoreReport()
        report.activeStreams = registry.count
        report.sources = sources.count
        report.cachedBytes = cache.bytes
        for head in heads {
            report.hotLines += head.entryCount
            report.hotBytes += head.byteCount
        }
        for entry in segments {
            if entry.isCold { report.cold.add(entry) } else { report.warm.add(entry) }
        }
        report.days = Set(segments.map(\.day)).count
        return report
    }
}

extension LogStoreReport.Tier {
    fileprivate mutating func add(_ entry: SegmentEntry) {
        segments += 1
        lines += entry.entryCount
        lineBytes += entry.lineBytes
        fileBytes += entry.fileBytes
    }
}
