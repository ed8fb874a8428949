import LockEngine

/// Reads, writes and compares registers, one thing at a time, and keeps what it saw.
final class RegisterClient {
    let id: Int
    private unowned let world: CheckedWorld
    private let desk: ClientDesk
    private(set) var history = ClientHistory()
    private var number = 0
    private var isStopped = false
    /// What it saw last, so that comparing has a chance.
    private var seen = [Int?](repeating: nil, count: CheckedWorld.registerCount)

    init(_ id: Int, _ world: CheckedWorld) {
        self.id = id
        self.world = world
        desk = ClientDesk(id, world)
    }

    func begin() { later() }
    func stop() { isStopped = true }
    func letGo() { desk.letGo() }
    func answered(_ asked: Int, at member: Int, _ result: [UInt8]) { desk.answered(asked, at: member, result) }

    private func later() { world.after(5000 + world.random.below(100_000)) { [self] in ask() } }

    private func ask() {
        if isStopped { return }
        number += 1
        // Those that locks guard are written by their holders alone.
        let value = id * 100_000 + number
        switch world.random.below(5) {
        case 0, 1: read(world.random.below(CheckedWorld.registerCount))
        case 2, 3: write(world.random.below(CheckedWorld.freeRegisterCount), value)
        default: compareAndSet(world.random.below(CheckedWorld.freeRegisterCount), value)
        }
    }

    private func read(_ register: Int) {
        let call = world.now
        desk.read { [self] store in
            guard let store else { return later() }
            let value = Register.value(register, in: store)
            seen[register] = value
            add(register, .read(value), call, isAnswered: true)
        }
    }

    private func write(_ register: Int, _ value: Int) {
        let call = world.now
        desk.propose(.put(Register.put(register, value))) { [self] outcome in
            if outcome != nil { seen[register] = value }
            add(register, .write(value), call, isAnswered: outcome != nil)
        }
    }

    private func compareAndSet(_ register: Int, _ value: Int) {
        let call = world.now
        let old = seen[register] ?? 0
        let request = TransactionRequest(
            [KeyComparison(KeyRange(Register.key(register)), .equal, .value(Register.bytes(old)))],
            then: [.put(Register.put(register, value))])
        desk.propose(.transaction(request)) { [self] outcome in
            var didSet: Bool?
            if case .transaction(let succeeded, _)? = outcome { didSet = succeeded }
            if didSet == true { seen[register] = value }
            add(register, .compareAndSet(old, value, didSet: didSet), call, isAnswered: didSet != nil)
        }
    }

    private func add(_ register: Int, _ action: RegisterModel.Action, _ call: Int, isAnswered: Bool) {
        history.add(register, action, by: id, call: call, isAnswered: isAnswered, in: world)
        later()
    }
}

/// A key that holds a number.
enum Register {
    static func key(_ register: Int) -> Key { Array("register-\(register)".utf8) }
    static func bytes(_ value: Int) -> [UInt8] { Array(String(value).utf8) }
    static func put(_ register: Int, _ value: Int) -> PutRequest { PutRequest(key(register), bytes(value)) }
    static func value(_ register: Int, in store: LockStore) -> Int? {
        store.store.value(key(register)).flatMap { Int(String(decoding: $0.value, as: UTF8.self)) }
    }
}
