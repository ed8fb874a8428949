import CommandKit
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// Where the clients of `lsm-kv` connect to.
struct KVAddress {
    let host: String
    let port: UInt16

    static let flags: [CommandDescription.Flag] = [
        .init("host", "h", .text("HOST"), "where the server is (localhost)"),
        .init("port", "p", .port, "its port (6379)"),
    ]

    init(_ arguments: ParsedArguments) {
        host = arguments.text("host") ?? "localhost"
        port = arguments.port("port") ?? 6379
    }

    var destination: HostPort { HostPort(host: host, port: port) }

    func complaint(_ failure: RESPClientFailure) -> String {
        switch failure {
        case .notConnected(.refused): "\(destination): connection refused; is lsm-kv running there?"
        default: "\(destination): \(failure)"
        }
    }
}
