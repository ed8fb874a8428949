extension LabDuration {
    /// The nearest there is; beyond 292 years, the longest. What is less than a nanosecond is cut off.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        self.init(nanoseconds: overflow || carry ? (seconds < 0 ? .min : .max) : sum)
    }

    /// For Swift's clocks.
    public var duration: Duration { .nanoseconds(nanoseconds) }
}
