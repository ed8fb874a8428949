import ConsensusEngine
import LockEngine

/// One thing at a time that a client asks of a member.
///
/// What is proposed is proposed again while there is no answer: copies of a command are done once.
final class ClientDesk {
    private let id: Int
    private unowned let world: CheckedWorld
    private var number = 0
    private var open: Open?

    private struct Open {
        let number: Int
        let member: Int
        let take: (LockStore.Outcome?) -> Void
    }

    /// Then it counts on no answer any more.
    static let timeoutMicroseconds = 1_500_000

    init(_ id: Int, _ world: CheckedWorld) {
        self.id = id
        self.world = world
    }

    /// - Parameter take: gets nil where no answer has come: it may have been done, or may still be.
    func propose(_ command: StoreCommand, _ take: @escaping (LockStore.Outcome?) -> Void) {
        let asked = begin(take)
        let header = ProposalSessions.Header(member: id, life: 1, number: asked, lowestOpen: asked)
        propose(asked, RaftEntry(data: ProposalSessions.entry(header, .command, command.bytes)))
    }

    private func propose(_ asked: Int, _ entry: RaftEntry) {
        guard let open, open.number == asked else { return }
        world.members[open.member - 1].propose(entry)
        world.after(300_000 + world.random.below(500_000)) { [self] in propose(asked, entry) }
    }

    /// - Parameter look: gets nil where no answer has come.
    func read(_ look: @escaping (LockStore?) -> Void) {
        let asked = begin { _ in look(nil) }
        guard let open else { return }
        world.read(at: open.member) { [self] store in
            guard self.open?.number == asked else { return }
            self.open = nil
            look(store)
        }
    }

    /// What is asked for is given up.
    func close() {
        guard let open else { return }
        self.open = nil
        open.take(nil)
    }

    /// The world is over.
    func letGo() { open = nil }

    private func begin(_ take: @escaping (LockStore.Outcome?) -> Void) -> Int {
        close()
        number += 1
        let asked = number
        open = Open(number: asked, member: world.anyMember, take: take)
        world.after(Self.timeoutMicroseconds) { [self] in if open?.number == asked { close() } }
        return asked
    }

    func answered(_ asked: Int, at member: Int, _ result: [UInt8]) {
        guard let open, open.number == asked, open.member == member else { return }
        guard let outcome = try? LockStore.Outcome(result) else { return world.fail("an answer that cannot be read") }
        self.open = nil
        open.take(outcome)
    }
}
