import CommandKit
import KernelStructures

/// The members of a group as a flag names them: `--peers localhost:7001,localhost:7002,localhost:7003`, numbered from 1
/// in that order.
package struct PeerList {
    package let peers: [HostPort]

    /// Members that a group has at most; more votes make it slower, and hardly safer.
    private static let limit = 9

    /// - Parameter arguments: have the flags `peers`, `id` and perhaps `join`.
    /// - Throws: `UsageError`.
    package init(_ arguments: ParsedArguments, of command: String) throws {
        peers = try (arguments.text("peers") ?? "").split(separator: ",").map { word in
            do { return try HostPort(reading: word.trimmingPrefix { $0 == " " }) } catch {
                throw UsageError("\(command): --peers: \(error)")
            }
        }
        if peers.isEmpty, arguments.has("peers") {
            throw UsageError("\(command): --peers names nobody; without it this one is a group alone")
        }
        if Set(peers).count != peers.count { throw UsageError("\(command): --peers names a member twice") }
        if peers.count > Self.limit {
            throw UsageError("\(command): --peers names \(peers.count) members; nine at most")
        }
        if let id = arguments.integer("id"), !peers.isEmpty, id > peers.count, !arguments.has("join") {
            throw UsageError(
                "\(command): --id \(id): --peers names \(peers.count) members; number them from 1 in that order")
        }
    }

    package var isEmpty: Bool { peers.isEmpty }

    /// The number of the member that listens there, where that tells which it is.
    package func id(atPort port: UInt16) -> Int? { peers.firstIndex { $0.port == port }.map { $0 + 1 } }
}
