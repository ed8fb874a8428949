/// Stops retries when they no longer are exceptions.
///
/// One failed call out of a hundred is bad luck, and a second attempt heals it. Ninety out of a hundred are an
/// outage, and then retries triple the load of whoever tries to get up. A glass of tokens tells the two apart: each
/// failure takes one out, each success puts a fraction of one back, and retries are allowed while the glass is more
/// than half full. When all is well it brims; in an outage it is half empty after a few seconds, and retries stop
/// until enough calls succeed by themselves.
///
/// With the default fraction of 0.1, retries go on as long as fewer than one call in eleven fails.
///
/// Where it is wrong: it knows shares and not time, so a client that calls once an hour keeps yesterday's glass.
///
/// gRPC's retry throttling (proposal A6, "Throttling Retry Attempts and Hedged RPCs"). No clock is needed.
public struct RetryBudget: Sendable {
    public struct Configuration: Hashable, Sendable {
        /// Tokens in a full glass, 1 to 1000.
        public var maxTokens = 100
        /// What a success puts back, in thousandths of a token.
        public var tokenRatioThousandths = 100

        public init() {}
    }

    private let limit: Int
    private let perSuccess: Int
    /// In thousandths of a token.
    private var level: Int

    public init(_ configuration: Configuration = .init()) {
        limit = max(1, configuration.maxTokens) * 1000
        perSuccess = max(0, configuration.tokenRatioThousandths)
        level = limit
    }

    public var tokens: Double { Double(level) / 1000 }
    public var allowsRetry: Bool { level > limit / 2 }

    public mutating func succeeded() { level = min(limit, level + perSuccess) }
    public mutating func failed() { level = max(0, level - 1000) }
}
