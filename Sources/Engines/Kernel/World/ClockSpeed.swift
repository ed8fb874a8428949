import KernelStructures

/// How fast the lab clock runs beside the host's: 0 stands still, 1 follows, 60 hurries.
public struct ClockSpeed: Equatable, Sendable, CustomStringConvertible {
    public let factor: Double

    /// - Parameter factor: 0 … 1,000,000; values outside are clamped.
    public init(_ factor: Double) { self.factor = min(1_000_000, max(0, factor.isNaN ? 0 : factor)) }

    public static let virtual = ClockSpeed(0)
    public static let real = ClockSpeed(1)

    public var description: String {
        switch factor {
        case 0: "virtual"
        case 1: "real"
        default: "x" + trimmedDecimal(factor, places: 3)
        }
    }

    func scaled(_ hostNanoseconds: Int64) -> Int64 {
        factor == 1 ? hostNanoseconds : Int64(exactly: (Double(hostNanoseconds) * factor).rounded()) ?? .max
    }

    func hostNanoseconds(_ labNanoseconds: Int64) -> Int64 {
        factor == 1 ? labNanoseconds : Int64(exactly: (Double(labNanoseconds) / factor).rounded(.up)) ?? .max
    }
}

/// Where input from outside the loop comes from: descriptors that became ready. Implemented over epoll.
public protocol EventSource: AnyObject {
    /// The host's monotonic clock.
    var hostNanoseconds: Int64 { get }
    /// What the process has used of the host's processors.
    var processorTime: ProcessorTime { get }
    /// Waits for input, at most the given host time, hands it to whoever asked for it, and returns how many events
    /// there were.
    ///
    /// - Parameter onWake: called once when there is input, before any of it is handed on.
    func poll(timeoutNanoseconds: Int64, onWake: () -> Void) -> Int
}

/// Processor time that was used so far.
public struct ProcessorTime: Equatable, Sendable {
    /// By all threads of the process, in user and kernel mode.
    public var user = LabDuration.zero
    public var system = LabDuration.zero
    /// By the thread of the loop.
    public var threadUser = LabDuration.zero
    public var threadSystem = LabDuration.zero
    /// By child processes that have ended.
    public var childrenUser = LabDuration.zero
    public var childrenSystem = LabDuration.zero
    public init() {}
}

extension EventSource {
    public var processorTime: ProcessorTime { ProcessorTime() }
    public func poll(timeoutNanoseconds: Int64) -> Int { poll(timeoutNanoseconds: timeoutNanoseconds) {} }
}
