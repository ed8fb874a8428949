import KernelHosting
import KernelStructures
import LoadBalancerEngine

/// A request on its way to one of a pool's servers: what every proxy that embeds the balancer's engine does alike,
/// whatever else it decides. It remembers who has been asked, waits in line with a ticket while all servers are full,
/// and says afterwards how long the server took.
open class PooledExchange: UpstreamExchange {
    /// What the engine is asked about.
    public final var arrival = Arrival(request: 0, source: .any)
    /// The slot of the server that has the request, or had it last.
    public private(set) final var slot = 0
    /// The slots of all that had it.
    public final var tried: [Int] = []
    /// Its place in the line while it waits.
    public private(set) final var ticket: Int?
    private final var attemptBeganAt = LabTime(nanoseconds: 0)

    /// Another request begins.
    public final func beginChoosing(_ arrival: Arrival) {
        self.arrival = arrival
        tried.removeAll(keepingCapacity: true)
        ticket = nil
    }

    /// The engine has chosen a server.
    public final func chose(_ slot: Int) {
        arrival.isAdmitted = false
        tried.append(slot)
        self.slot = slot
    }

    /// Every server is full: what is to be told to it when that changes.
    public final func holding(_ ticket: Int) -> WaitingRequests.Request {
        arrival.isAdmitted = false
        self.ticket = ticket
        return .init(
            admitted: { [self] in
                guard endWaiting() else { return }
                arrival.isAdmitted = true
                next()
            },
            timedOut: { [self] in if endWaiting() { waitedTooLong() } })
    }

    private final func endWaiting() -> Bool {
        guard phase == .waiting else { return false }
        ticket = nil
        stopWaiting()
        return true
    }

    /// No server had room in time: answer the request.
    open func waitedTooLong() {}

    /// Overriding classes call it first.
    open override func attemptBegan() { attemptBeganAt = pool.node.world.now }

    /// How long the present attempt has taken, or the last one.
    public final var attemptAge: LabDuration { pool.node.world.now - attemptBeganAt }
}

/// Requests that wait for room at a server, by the tickets that the engine has given them.
public struct WaitingRequests {
    public struct Request {
        public let admitted: () -> Void
        public let timedOut: () -> Void

        public init(admitted: @escaping () -> Void, timedOut: @escaping () -> Void) {
            self.admitted = admitted
            self.timedOut = timedOut
        }
    }

    private var requests: [Int: Request] = [:]

    public init() {}

    public mutating func add(_ request: Request, _ ticket: Int) { requests[ticket] = request }
    public mutating func remove(_ ticket: Int) { requests[ticket] = nil }
    public mutating func removeAll() { requests = [:] }

    /// Takes one out of the line; the caller tells it outside, as it may join again at once.
    public mutating func take(_ ticket: Int) -> Request? { requests.removeValue(forKey: ticket) }
}

extension LoadBalancer.Outcome {
    /// What the engine makes of an attempt.
    public init(_ outcome: UpstreamAttempt.Outcome) {
        self =
            switch outcome {
            case .answered(let status): .answered(status)
            case .failed: .failed
            case .abandoned: .abandoned
            case .stale: .stale
            }
    }
}
