import KernelStructures
import KernelWorld

/// Connections that a client keeps open to the servers that it asks again and again: for `HTTPCall`.
public final class KeptConnections {
    private let pool: UpstreamPool
    private var servers: [HostPort: UpstreamServer] = [:]

    /// Servers that are remembered; with one more, all are forgotten, and their connections closed.
    public static let serverLimit = 256

    /// - Parameter idleLimit: unused connections that are kept for each server.
    public init(_ node: Node, idleLimit: Int = 64) {
        pool = UpstreamPool(node: node, noun: "the server", timeouts: UpstreamTimeouts(), idleLimit: idleLimit)
    }

    func server(_ destination: HostPort) -> UpstreamServer {
        if let server = servers[destination] { return server }
        if servers.count >= Self.serverLimit { close() }
        let server = UpstreamServer(destination, in: pool)
        servers[destination] = server
        return server
    }

    /// Closes all that are unused.
    public func close() {
        for (_, server) in servers.sorted(by: { $0.key.description < $1.key.description }) { server.dropIdle() }
        servers = [:]
    }
}
