import KernelStructures

/// What a database's clients have done, in pgbouncer's terms. Times in microseconds.
public struct PoolerStatistics: Equatable, Sendable {
    public var transactions = 0
    public var queries = 0
    public var bytesReceived = 0
    public var bytesSent = 0
    public var transactionMicroseconds = 0
    public var queryMicroseconds = 0
    public var waitMicroseconds = 0

    public init() {}

    static func + (a: Self, b: Self) -> Self { a.merged(with: b) { $0 + $1 } }
    static func - (a: Self, b: Self) -> Self { a.merged(with: b) { $0 - $1 } }

    private func merged(with other: Self, _ merge: (Int, Int) -> Int) -> Self {
        var result = Self()
        result.transactions = merge(transactions, other.transactions)
        result.queries = merge(queries, other.queries)
        result.bytesReceived = merge(bytesReceived, other.bytesReceived)
        result.bytesSent = merge(bytesSent, other.bytesSent)
        result.transactionMicroseconds = merge(transactionMicroseconds, other.transactionMicroseconds)
        result.queryMicroseconds = merge(queryMicroseconds, other.queryMicroseconds)
        result.waitMicroseconds = merge(waitMicroseconds, other.waitMicroseconds)
        return result
    }

    /// As SHOW STATS_TOTALS lists them.
    public var totals: [Int] {
        [
            transactions, queries, bytesReceived, bytesSent, transactionMicroseconds, queryMicroseconds,
            waitMicroseconds,
        ]
    }
}

/// Totals, and what they were at the last two ends of a `stats_period`: averages are of the last whole period.
public struct PoolerMeter: Sendable {
    public var totals = PoolerStatistics()
    private var previous = PoolerStatistics()
    private var last = PoolerStatistics()
    private var seconds = 0.0

    public init() {}

    public mutating func endPeriod(seconds: Double) {
        previous = last
        last = totals
        self.seconds = seconds
    }

    /// What several have measured together.
    public static func + (a: Self, b: Self) -> Self {
        var sum = a
        sum.totals = a.totals + b.totals
        sum.previous = a.previous + b.previous
        sum.last = a.last + b.last
        sum.seconds = max(a.seconds, b.seconds)
        return sum
    }

    /// As SHOW STATS lists them: a second, the first four; a transaction, query and query, the others.
    public var averages: [Int] {
        guard seconds > 0 else { return [0, 0, 0, 0, 0, 0, 0] }
        let period = last - previous
        func rate(_ count: Int) -> Int { Int(Double(count) / seconds) }
        func mean(_ sum: Int, _ count: Int) -> Int { count == 0 ? 0 : sum / count }
        return [
            rate(period.transactions), rate(period.queries), rate(period.bytesReceived), rate(period.bytesSent),
            mean(period.transactionMicroseconds, period.transactions),
            mean(period.queryMicroseconds, period.queries), mean(period.waitMicroseconds, period.queries),
        ]
    }
}
