import ConsensusEngine
import TestSupport

/// Asks one member at a time for one thing at a time, and keeps what it saw.
final class SimulatedClient {
    let id: Int
    private unowned let world: SimulatedWorld
    private(set) var history: [(key: Int, operation: ClientOperation<RegisterModel.Action>)] = []
    private var number = 0
    private var open: Open?
    private var isStopped = false
    /// What it saw last, so that comparing has a chance.
    private var seen: [Int: Int] = [:]

    private struct Open {
        let number: Int
        let member: Int
        let key: Int
        let call: Int
        let kind: Kind
    }
    private enum Kind {
        case read(context: Int)
        case command(Command)
    }

    private static let timeoutMicroseconds = 700_000

    init(_ id: Int, _ world: SimulatedWorld) {
        self.id = id
        self.world = world
    }

    func begin() { later() }
    func stop() { isStopped = true }
    func answersSince(_ time: Int) -> Int { history.count { $0.operation.end != .max && $0.operation.end >= time } }

    private func later() { world.after(1000 + world.random.below(40_000)) { [self] in ask() } }

    private func ask() {
        if isStopped { return }
        number += 1
        let key = world.random.below(SimulatedWorld.keyCount)
        let member = 1 + world.random.below(SimulatedWorld.largestID)
        let asked = number
        let value = id * 100_000 + number
        let kind: Kind
        switch world.random.below(5) {
        case 0, 1: kind = .read(context: world.beginRead(self))
        case 2, 3: kind = .command(.write(key: key, value: value))
        default: kind = .command(.compareAndSet(key: key, old: seen[key] ?? 0, new: value))
        }
        open = Open(number: number, member: member, key: key, call: world.now, kind: kind)
        switch kind {
        case .read(let context): world.members[member]!.read(context)
        case .command: propose(asked)
        }
        world.after(Self.timeoutMicroseconds) { [self] in giveUp(asked) }
    }

    /// And again, while there is no answer: copies of a command are done once.
    private func propose(_ asked: Int) {
        guard let open, open.number == asked, case .command(let command) = open.kind else { return }
        let header = ProposalSessions.Header(member: id, life: 1, number: asked, lowestOpen: asked)
        world.members[open.member]!.propose(
            RaftEntry(data: ProposalSessions.entry(header, .command, command.encoded)))
        world.after(100_000 + world.random.below(200_000)) { [self] in propose(asked) }
    }

    func answered(_ asked: Int, at member: Int, didSet: Bool) {
        guard let open, open.number == asked, open.member == member, case .command(let command) = open.kind else {
            return
        }
        switch command {
        case .write(let key, let value):
            seen[key] = value
            finish(open, .write(value))
        case .compareAndSet(let key, let old, let new):
            if didSet { seen[key] = new }
            finish(open, .compareAndSet(old, new, didSet: didSet))
        }
    }

    func answeredRead(_ context: Int, _ registers: [Int: Int]) {
        guard let open, case .read(context) = open.kind else { return }
        seen[open.key] = registers[open.key]
        finish(open, .read(registers[open.key]))
    }

    private func finish(_ done: Open, _ action: RegisterModel.Action) {
        history.append((done.key, ClientOperation(client: id, action, call: done.call, end: world.now)))
        open = nil
        later()
    }

    private func giveUp(_ asked: Int) {
        guard let lost = open, lost.number == asked else { return }
        open = nil
        if case .command(let command) = lost.kind {
            let action: RegisterModel.Action =
                switch command {
                case .write(_, let value): .write(value)
                case .compareAndSet(_, let old, let new): .compareAndSet(old, new, didSet: nil)
                }
            history.append((lost.key, ClientOperation(client: id, action, call: lost.call, end: .max)))
        }
        later()
    }
}
