import KernelWorld

extension ClockSpeed {
    /// The most where the lab's connections are real sockets. What the machine takes a millisecond for is a second of
    /// the lab's then, and the time limits of servers and health checks are a few.
    public static let socketLimit = ClockSpeed(1000)

    /// This speed, or the most that real sockets can follow.
    public var limitedBySockets: ClockSpeed { factor > Self.socketLimit.factor ? Self.socketLimit : self }
}
