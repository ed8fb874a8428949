import KernelStructures

/// What requests to servers came to, counted when each of them ends.
public struct Traffic: Equatable, Sendable {
    /// Bytes of requests, from clients to servers.
    public var bytesIn = 0
    /// Bytes of responses.
    public var bytesOut = 0
    /// Connections that were opened for a request, and requests that went over one that was open.
    public var connects = 0
    public var reuses = 0
    public var connectionErrors = 0
    /// No answer, one that was cut short, or none that can be understood; the second kind also counts on its own.
    public var responseErrors = 0
    public var serverAborts = 0
    public var clientAborts = 0

    public init() {}

    static func += (a: inout Traffic, b: Traffic) {
        a.bytesIn += b.bytesIn
        a.bytesOut += b.bytesOut
        a.connects += b.connects
        a.reuses += b.reuses
        a.connectionErrors += b.connectionErrors
        a.responseErrors += b.responseErrors
        a.serverAborts += b.serverAborts
        a.clientAborts += b.clientAborts
    }
}

extension LoadBalancer {
    package mutating func count(_ traffic: Traffic, of slot: Int) {
        servers[slot].counters.traffic += traffic
        counters.traffic += traffic
    }
}
