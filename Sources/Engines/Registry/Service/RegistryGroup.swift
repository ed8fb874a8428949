import ConsensusService
import KernelHosting
import KernelStructures
import KernelWorld
import RegistryEngine

/// Several registries that keep one catalogue between them, by Raft.
///
/// Every change is a command in the group's log, whichever member was asked, and a member answers it when it has
/// applied it. Reads ask the group what is current first, unless they say `stale`; DNS and the waiting kind answer from
/// what the member has. Only who leads makes checks and lets sessions expire.
final class RegistryGroup: ReplicatedStateMachine {
    /// Who belongs to the group.
    struct Settings {
        /// This member's place among the peers, from 1.
        let id: Int
        /// In the same order at all members.
        let peers: [HostPort]
        /// Where the log is on the node's disk.
        let directory: String
    }

    private unowned let host: RegistryHost
    let settings: Settings
    private(set) var member: ConsensusMember!

    init(_ host: RegistryHost, node: Node, _ settings: Settings) {
        self.host = host
        self.settings = settings
        let peers = Dictionary(uniqueKeysWithValues: zip(1..., settings.peers))
        var consensus = ConsensusMember.Settings(id: settings.id, peers: peers, directory: settings.directory)
        consensus.group = "registry"
        member = ConsensusMember(node: node, settings: consensus, machine: self)
        member.onEvent = { [weak self] event in self?.heard(event) }
    }

    private func heard(_ event: ConsensusEvent) {
        switch event {
        case .leader(let leader, let term):
            if let leader {
                host.runtime.log("\(name(of: leader)) leads (term \(term))")
            } else {
                host.runtime.log("Nobody leads", level: .warning)
            }
            host.leadershipChanged(isLeader: leader == settings.id)
        case .stranger(_, let text): host.runtime.log("Refused: \(text)", level: .error)
        case .failed(let reason):
            // Its clients hear of it first.
            host.node.enqueue { [runtime = host.runtime] in
                runtime.fail("This member has stopped: \(reason); start it again when that is mended")
            }
        case .configuration, .peer: break
        }
    }

    /// A member by its host, as the peers were named.
    func name(of id: Int) -> String { member.addresses[id]?.host ?? "member \(id)" }
    var leader: HostPort? { member.leader.flatMap { member.addresses[$0] } }
    var members: [(id: Int, address: HostPort, isConnected: Bool)] {
        member.addresses.sorted { $0.key < $1.key }.map {
            ($0.key, $0.value, $0.key == settings.id || member.isConnected(to: $0.key))
        }
    }

    /// The node's life is over: it and the member hold one another.
    func letGo() { member = nil }

    // MARK: ReplicatedStateMachine

    func apply(_ index: Int, _ command: [UInt8]) -> [UInt8] {
        guard let command = RegistryCommand(encoded: command) else {
            return RegistryOutcome.refused(RegistryError(.malformed, "a command that cannot be read")).encoded
        }
        return host.apply(command, index: UInt64(index)).encoded
    }

    func snapshot() -> [UInt8] { host.engine.catalog.snapshot }

    func restore(_ snapshot: [UInt8]) throws { host.restore(try RegistryCatalog(snapshot: snapshot)) }
}
