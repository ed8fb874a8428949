import KernelWorld

/// What accepts connections at one or several places, knows which are open, and can stop in order.
public protocol ConnectionServer: AnyObject {
    /// At a port of the node's address.
    func listen(on port: UInt16) throws(NetworkError)
    /// At a unix socket of the machine.
    func listen(atPath path: String) throws(NetworkError)
    /// TLS for connections that are made from here on; nil: none.
    var security: (any StreamSecurity)? { get set }
    /// What is spoken there, for TLS (ALPN); empty: nothing that has such a name.
    var applicationProtocols: [String] { get }
    /// What clients speak there, by its common name, where that is not HTTP: `AMQP`.
    var clientProtocol: String? { get }
    /// Whether whoever connects asks, and is answered: false for a protocol in which the server speaks unasked, so that
    /// what it sends next is no answer to what it was sent last.
    var answersRequests: Bool { get }
    /// Those that are still introducing themselves (PROXY header) included.
    var openConnectionCount: Int { get }
    /// Accepts nothing more, closes what is idle, and lets what is under way finish; then, once, calls `whenIdle`:
    /// perhaps before this call returns. May be called when nothing was ever listened to.
    func drain(whenIdle: @escaping () -> Void)
    /// Accepts nothing more, and leaves alone what is open. It may listen again.
    func stopListening()
    /// Connections at a time; more wait until one ends. nil: any number.
    var connectionLimit: Int? { get set }
}

extension ConnectionServer {
    public var applicationProtocols: [String] { [] }
    public var clientProtocol: String? { nil }
    public var answersRequests: Bool { true }
}
