import KernelStructures
import LoadBalancerEngine

/// An engine without checks and the time, for tests of single decisions.
struct EngineBench {
    var engine: LoadBalancer
    var now = LabTime.documentedEpoch
    private var lastRequest = 0

    /// Servers `a`, `b`, `c` … of weight 1, which nobody probes.
    init(_ count: Int, _ change: (inout LoadBalancerConfiguration) -> Void = { _ in }) {
        var configuration = LoadBalancerConfiguration(
            backends: (0..<count).map {
                .init(
                    name: String(UnicodeScalar(UInt8(97 + $0))),
                    destination: HostPort(host: "localhost", port: UInt16(8081 + $0)))
            })
        configuration.healthCheck.kind = .off
        change(&configuration)
        engine = LoadBalancer(configuration, now: now)
    }

    mutating func pass(_ duration: LabDuration) { now = now + duration }

    /// Lets time pass, with a tick at each deadline.
    mutating func passTicking(_ duration: LabDuration) {
        let end = now + duration
        while let due = engine.nextDeadline, due <= end {
            now = due
            _ = engine.tick(now: now)
        }
        now = end
    }

    /// What the engine does with a new request; `sticky` is the server that its mark names.
    mutating func ask(
        from source: IPAddress = .loopback, sticky: Int? = nil, isAdmitted: Bool = false, excluding: [Int] = []
    ) -> Choice {
        lastRequest += 1
        var arrival = Arrival(request: lastRequest, source: source)
        arrival.sticky = sticky
        arrival.isAdmitted = isAdmitted
        arrival.attempt = excluding.count + 1
        return engine.choose(arrival, excluding: excluding, now: now)
    }

    /// Asks, and the request begins where it is sent.
    mutating func take(sticky: Int? = nil, isAdmitted: Bool = false) -> Choice {
        let choice = ask(sticky: sticky, isAdmitted: isAdmitted)
        if case .server(let slot) = choice { engine.requestBegan(server: slot) }
        return choice
    }

    /// A request that begins and ends at once.
    @discardableResult
    mutating func end(_ slot: Int, _ outcome: LoadBalancer.Outcome) -> [LoadBalancer.Effect] {
        engine.requestBegan(server: slot)
        return engine.requestEnded(server: slot, outcome, latency: .zero, now: now)
    }

    /// The letters of those who get `count` requests in turn.
    mutating func letters(_ count: Int) -> String {
        (0..<count).map { _ in
            guard case .server(let slot) = ask() else { return "-" }
            return engine.servers[slot].name
        }.joined()
    }

    mutating func setUp(_ slot: Int, _ isUp: Bool) { _ = engine.setHealth(slot, isUp: isUp, now: now) }
}
