/// How one call ended, as a window keeps it: one byte.
public struct RecordedCall: OptionSet, Hashable, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let failed = RecordedCall(rawValue: 1)
    /// It took longer than `slowCallDurationThreshold`, whether it failed or not.
    public static let slow = RecordedCall(rawValue: 2)
}

/// What a window adds up to.
public struct Tally: Hashable, Sendable {
    public private(set) var calls = 0
    public private(set) var failures = 0
    public private(set) var slowCalls = 0
    /// Calls that were slow and failed: in `failures` and in `slowCalls`.
    public private(set) var slowFailures = 0

    public init() {}

    public var successes: Int { calls - failures }
    /// In percent; 0 without calls.
    public var failureRate: Double { calls == 0 ? 0 : Double(failures) * 100 / Double(calls) }
    /// In percent; 0 without calls.
    public var slowCallRate: Double { calls == 0 ? 0 : Double(slowCalls) * 100 / Double(calls) }

    public mutating func add(_ call: RecordedCall) { change(by: 1, call) }
    public mutating func remove(_ call: RecordedCall) { change(by: -1, call) }

    mutating func add(successes: Int) { calls += successes }

    private mutating func change(by step: Int, _ call: RecordedCall) {
        let failed = Int(call.rawValue & 1)
        let slow = Int(call.rawValue >> 1 & 1)
        calls += step
        failures += step * failed
        slowCalls += step * slow
        slowFailures += step * (failed & slow)
    }

    public mutating func add(_ other: Tally) { change(by: 1, other) }
    public mutating func remove(_ other: Tally) { change(by: -1, other) }

    private mutating func change(by sign: Int, _ other: Tally) {
        calls += sign * other.calls
        failures += sign * other.failures
        slowCalls += sign * other.slowCalls
        slowFailures += sign * other.slowFailures
    }
}
