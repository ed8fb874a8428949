import KernelStructures

extension ConnectionPool {
    /// How a pool behaves. HikariCP's names and defaults; where it corrects a wrong setting and warns, this refuses it.
    public struct Configuration: Sendable, Equatable {
        /// What log lines and metrics call it.
        public var poolName = "pool"
        /// Connections at most, in use or not: 1 to 10,000.
        public var maximumPoolSize = 10
        /// Connections kept ready for a rush. Nil: as many as `maximumPoolSize`, a pool of fixed size.
        public var minimumIdle: Int?
        /// How long a borrower waits: 250 ms at least, or zero for ever. Also how long an attempt to connect may take
        /// (then 1 s at least).
        public var connectionTimeout = LabDuration.seconds(30)
        /// How long a connection may lie idle while more than `minimumIdle` do: 10 s at least, or zero for ever.
        public var idleTimeout = LabDuration.seconds(600)
        /// How old a connection becomes, less up to 2.5 % by chance, so that those opened together do not go together:
        /// 30 s at least, or zero for ever. One in use is closed when it comes back.
        public var maxLifetime = LabDuration.seconds(1800)
        /// How often an idle connection is asked whether it lives, less up to 20 % by chance: 30 s at least, or zero
        /// for never.
        public var keepaliveTime = LabDuration.seconds(120)
        /// How long a check may take: 250 ms at least. Nil: 5 s, or `connectionTimeout` if that is shorter.
        public var validationTimeout: LabDuration?
        /// After what time a connection that is not back counts as leaked: 2 s at least, or zero for never.
        public var leakDetectionThreshold = LabDuration.zero
        /// For how long the first connection is tried for before the pool gives up; zero tries once and starts anyway;
        /// nil does not try.
        public var initializationFailTimeout: LabDuration? = .milliseconds(1)
        /// A connection used so recently is lent without a check.
        public var aliveBypassWindow = LabDuration.milliseconds(500)
        /// Whether idle connections are checked before they are lent.
        public var testsOnBorrow = true
        /// First come, first served. Without it, whoever asks at the right moment overtakes the line, as in HikariCP:
        /// a little faster, and with a long tail.
        public var isFair = true
        /// How many may wait; more are refused.
        public var waiterLimit = 10_000
        /// Connections being opened at a time. One, as in HikariCP: when it is ready, the rush may be over.
        public var connectingLimit = 1

        public init() {}

        public var effectiveMinimumIdle: Int { min(minimumIdle ?? maximumPoolSize, maximumPoolSize) }
        public var effectiveValidationTimeout: LabDuration {
            validationTimeout ?? (connectionTimeout == .zero ? .seconds(5) : min(.seconds(5), connectionTimeout))
        }
        /// How long an attempt to connect may take.
        public var connectTimeout: LabDuration {
            connectionTimeout == .zero ? .infinite : max(.seconds(1), connectionTimeout)
        }
    }

    /// A setting that cannot be.
    public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
        public let description: String
    }
}

extension ConnectionPool.Configuration {
    /// The most connections one pool may have.
    public static let sizeLimit = 10_000

    /// - Throws: `ConfigurationError`, which names the setting, its value and what it may be.
    public func validate() throws(ConnectionPool.ConfigurationError) {
        func refuse(_ text: String) -> ConnectionPool.ConfigurationError { .init(description: text) }
        func atLeast(
            _ name: String, _ value: LabDuration, _ floor: LabDuration, zero: String? = nil
        ) throws(ConnectionPool.ConfigurationError) {
            if value == .zero, zero != nil { return }
            if value < floor {
                throw refuse("\(name) \(value) is too short: at least \(floor)\(zero.map { ", or 0 for \($0)" } ?? "")")
            }
        }
        if !(1...Self.sizeLimit).contains(maximumPoolSize) {
            throw refuse("maximumPoolSize \(maximumPoolSize) cannot be: 1 to \(Self.sizeLimit)")
        }
        if let minimumIdle, !(0...maximumPoolSize).contains(minimumIdle) {
            throw refuse("minimumIdle \(minimumIdle) cannot be: 0 to maximumPoolSize (\(maximumPoolSize))")
        }
        try atLeast("connectionTimeout", connectionTimeout, .milliseconds(250), zero: "no limit")
        try atLeast("idleTimeout", idleTimeout, .seconds(10), zero: "never")
        try atLeast("maxLifetime", maxLifetime, .seconds(30), zero: "no limit")
        try atLeast("keepaliveTime", keepaliveTime, .seconds(30), zero: "never")
        try atLeast("leakDetectionThreshold", leakDetectionThreshold, .seconds(2), zero: "never")
        try atLeast("validationTimeout", effectiveValidationTimeout, .milliseconds(250))
        if connectionTimeout != .zero, effectiveValidationTimeout > connectionTimeout {
            throw refuse(
                "validationTimeout \(effectiveValidationTimeout) must not exceed connectionTimeout "
                    + "\(connectionTimeout)")
        }
        if waiterLimit < 0 { throw refuse("waiterLimit \(waiterLimit) cannot be: 0 or more") }
        if connectingLimit < 1 { throw refuse("connectingLimit \(connectingLimit) cannot be: 1 or more") }
        if aliveBypassWindow < .zero { throw refuse("aliveBypassWindow \(aliveBypassWindow) cannot be negative") }
        if let initializationFailTimeout, initializationFailTimeout < .zero {
            throw refuse("initializationFailTimeout \(initializationFailTimeout) cannot be negative; nil does not try")
        }
    }
}
