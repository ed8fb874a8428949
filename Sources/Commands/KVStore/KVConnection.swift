import CommandKit
import CommandServices
import KernelHosting
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import ShellSession

/// Where the clients of `lsm-kv` connect to.
struct KVAddress {
    let host: String
    let port: UInt16

    static let flags: [CommandDescription.Flag] =
        [
            .init("host", "h", .text("HOST"), "where the server is (localhost)"),
            .init("port", "p", .port, "its port (6379)"),
        ] + TLSFlags.client
    /// nil: without TLS.
    let security: TLSClient?

    /// - Throws: if a file that the flags name cannot be used.
    init(_ invocation: Invocation) throws {
        let arguments = invocation.arguments
        host = arguments.text("host") ?? "localhost"
        port = arguments.port("port") ?? 6379
        security = try TLSFlags.client(invocation)
    }

    var destination: HostPort { HostPort(host: host, port: port) }

    /// - Parameter connection: what failed, for the reason that TLS had.
    func complaint(_ failure: RESPClientFailure, _ connection: RESPClientConnection? = nil) -> String {
        if let reason = connection?.stream?.layer?.failureText { return "\(destination): \(reason)" }
        return switch failure {
        case .notConnected(.refused): "\(destination): connection refused; is lsm-kv running there?"
        default: "\(destination): \(failure)"
        }
    }
}
