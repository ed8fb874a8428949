import CommandServices
import LockService
import ShellSession

/// What is typed to run a lock service, and to use it.
package enum LockCommands {
    package static var all: [Command] { [lockserver, lockCli, myApp, locks, raft, lockCheck] }
}

extension Session {
    /// A running member by its node's name, or the one that leads, or the first.
    func lockMember(named name: String?) throws -> LockHost {
        if name == nil {
            let found = running(LockHost.self).map(\.host)
            if let best = found.first(where: { $0.member.isLeader }) ?? found.first { return best }
        }
        return try running(
            LockHost.self, named: name, what: "lock server", start: "lockserver --port \(LockHost.defaultPort)")
    }
}
