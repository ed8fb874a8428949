import KernelStructures
import KernelWorld

/// What a listening port has seen: connections, answers and bytes. For whoever shows numbers; nothing depends on it.
public final class ConnectionTally {
    public private(set) var connections = 0
    /// The most that were open at a time.
    public private(set) var openMax = 0
    public private(set) var rate = RateMeter()
    /// Answers by the first digit of their status, 1…5.
    public internal(set) var answers = SIMD8<Int>(repeating: 0)
    /// Those of them that were given to requests that could not be read.
    public internal(set) var rejections = SIMD8<Int>(repeating: 0)
    /// Bytes of connections that are over.
    public private(set) var bytesReceived = 0
    public private(set) var bytesSent = 0

    public init() {}

    /// - Parameter open: how many are open now, this one included.
    public func opened(_ open: Int, now: LabTime) {
        connections += 1
        if open > openMax { openMax = open }
        rate.count(now)
    }

    public func closed(_ stream: Stream) {
        bytesReceived += stream.bytesReceived
        bytesSent += stream.bytesSent
    }

    func answered(_ status: Int) { answers[min(5, max(1, status / 100))] += 1 }

    /// Begins to look for the highest values anew.
    public func forgetMaxima(open: Int) {
        openMax = open
        rate.forgetMaximum()
    }

    /// Begins anew. What open connections have carried until now does not count any more.
    public func clear(open streams: [Stream]) {
        connections = 0
        answers = .init(repeating: 0)
        rejections = .init(repeating: 0)
        bytesReceived = -streams.reduce(0) { $0 + $1.bytesReceived }
        bytesSent = -streams.reduce(0) { $0 + $1.bytesSent }
        rate = RateMeter()
        openMax = streams.count
    }
}
