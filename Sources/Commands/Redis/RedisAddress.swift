import CommandKit
import CommandServices
import KernelHosting
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import ShellSession

/// Where clients of servers that speak Redis's protocol connect to.
package struct RedisAddress {
    package let host: String
    package let port: UInt16
    /// What is usually there, for the remedy when nobody is.
    private let server: String

    /// - Parameter port: where they look if nobody says otherwise.
    package static func flags(port: UInt16) -> [CommandDescription.Flag] {
        [
            .init("host", "h", .text("HOST"), "where the server is (localhost)"),
            .init("port", "p", .port, "its port (\(port))"),
        ] + TLSFlags.client
    }
    /// nil: without TLS.
    package let security: TLSClient?

    /// - Throws: if a file that the flags name cannot be used.
    package init(_ invocation: Invocation, port: UInt16, server: String) throws {
        let arguments = invocation.arguments
        host = arguments.text("host") ?? "localhost"
        self.port = arguments.port("port") ?? port
        self.server = server
        security = try TLSFlags.client(invocation)
    }

    package var destination: HostPort { HostPort(host: host, port: port) }

    /// - Parameter connection: what failed, for the reason that TLS had.
    package func complaint(_ failure: RESPClientFailure, _ connection: RESPClientConnection? = nil) -> String {
        if let reason = connection?.stream?.layer?.failureText { return "\(destination): \(reason)" }
        return switch failure {
        case .notConnected(.refused):
            "\(destination): connection refused; is \(server) running there, or elsewhere (--port)?"
        default: "\(destination): \(failure)"
        }
    }
}
