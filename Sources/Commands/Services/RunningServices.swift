import CommandKit
import KernelService
import KernelStructures
import ShellSession

extension Session {
    /// The services of one kind that run, with the names of their nodes.
    package func running<S>(_ kind: S.Type) -> [(name: String, host: S)] {
        jobs.running.flatMap(\.running).compactMap { process in
            guard let holder = process.component as? any ServiceHolder, let service = holder.anyService as? S,
                let name = process.nodeName
            else { return nil }
            return (name, service)
        }
    }

    /// All services that run, whatever their kind.
    package var runningServices: [any Service] {
        jobs.running.flatMap(\.running).compactMap { ($0.component as? any ServiceHolder)?.anyService }
    }

    /// A running service by its node's name, address or port, or the only one of its kind.
    ///
    /// - Parameters:
    ///   - what: what it is called: `load balancer`.
    ///   - start: a command that starts one.
    ///   - remedy: how one of several is named.
    ///   - elsewhere: how one is asked that runs as a process of its own.
    /// - Throws: `CommandFailure` if there is none, or not just one.
    package func running<S>(
        _ kind: S.Type, named name: String?, what: String, start: String, remedy: String = "name one of them",
        elsewhere: String = "its port answers /metrics and /health"
    ) throws -> S {
        let found = running(kind)
        let names = found.map(\.name)
        if let name {
            let meant = nodeName(meantBy: name).lowercased()
            if let match = found.first(where: { $0.name.lowercased() == meant }) { return match.host }
            if isProcess, found.isEmpty { throw CommandFailure("no \(what) \(Self.runsHere(elsewhere))") }
            throw CommandFailure("no \(what) called '\(name)' runs\(didYouMean(name, among: names))")
        }
        switch found.count {
        case 0 where isProcess: throw CommandFailure("no \(what) \(Self.runsHere(elsewhere))")
        case 0: throw CommandFailure("no \(what) runs; start one: \(start)")
        case 1: return found[0].host
        default: throw CommandFailure("several run (\(names.joined(separator: ", "))); \(remedy)")
        }
    }
}

extension Session {
    /// A process of its own looks into itself: what runs in another one is asked over its ports.
    package static func runsHere(_ elsewhere: String) -> String {
        "runs in this process, which sees no other; \(elsewhere). At sdlab's prompt, or in one sdlab -c '…', it sees all "
            + "that was started there"
    }
}

/// A service that lends connections, and knows who has one: `holders`.
package protocol HoldersShowing: AnyObject {
    func holdersView(now: LabTime) -> View
}
