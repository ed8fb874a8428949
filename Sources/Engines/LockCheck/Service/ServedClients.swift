import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import LockCheckEngine

/// How a client asks members over HTTP.
final class ServedDesk {
    let id: Int
    unowned let world: ServedWorld
    let node: Node

    /// What came of a question: a status of 0 where no answer came, and it may have been done or not.
    struct Reply {
        let status: Int
        let json: JSONValue
        var isGood: Bool { status == 200 }
    }

    /// Microseconds after which it counts on no answer any more.
    static let patience = 1_500_000

    init(_ id: Int, _ world: ServedWorld, _ node: Node) {
        self.id = id
        self.world = world
        self.node = node
    }

    @discardableResult
    func ask(
        _ path: String, _ message: JSONValue, at member: Int? = nil, patience: Int = ServedDesk.patience,
        _ use: @escaping (Reply) -> Void
    ) -> HTTPCall {
        let place = ServedWorld.place(member ?? world.anyMember)
        var request = HTTPCall.Request("POST", url: HTTPURL(host: place.host, port: place.port, target: path))
        request.body = message.bytes()
        request.deadline = .microseconds(patience)
        let call = HTTPCall(node, request) { [unowned world] result in
            if world.isOver { return }
            switch result {
            case .success(let response):
                use(Reply(status: response.status, json: (try? JSONValue(parsing: response.body)) ?? .null))
            case .failure: use(Reply(status: 0, json: .null))
            }
        }
        call.start()
        return call
    }

    /// A number of 64 bits as the gateway writes it; what is zero it leaves out.
    static func number(_ value: JSONValue?) -> Int64 {
        switch value {
        case .string(let text)?: Int64(text) ?? 0
        case .integer(let number)?: Int64(number)
        default: 0
        }
    }

    static func base64(_ text: String) -> JSONValue { .string(Base64.standard.encode(Array(text.utf8))) }
    static func text(_ value: JSONValue?) -> String? {
        guard case .string(let text)? = value, let bytes = Base64.standard.decode(text) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Registers

    static func put(_ register: Int, _ value: Int) -> JSONValue {
        ["key": base64("register-\(register)"), "value": base64("\(value)")]
    }

    /// - Parameter look: gets nil where no answer came.
    func read(_ register: Int, _ look: @escaping (_ isAnswered: Bool, _ value: Int?) -> Void) {
        ask("/v3/kv/range", ["key": Self.base64("register-\(register)")]) { reply in
            guard reply.isGood else { return look(false, nil) }
            look(true, Self.text(reply.json["kvs"]?[0]?["value"]).flatMap { Int($0) })
        }
    }

    /// A write that is carried out if `comparison` holds.
    ///
    /// - Parameter use: gets nil where no answer came.
    func write(_ register: Int, _ value: Int, if comparison: JSONValue, _ use: @escaping (Bool?) -> Void) {
        let message: JSONValue = [
            "compare": [comparison], "success": [.object([("request_put", Self.put(register, value))])],
        ]
        ask("/v3/kv/txn", message) { reply in use(reply.isGood ? reply.json["succeeded"] == .bool(true) : nil) }
    }
}

/// Reads, writes and compares registers, one thing at a time, and keeps what it saw.
final class ServedRegisterClient {
    let desk: ServedDesk
    private unowned let world: ServedWorld
    private(set) var history = ClientHistory()
    var isStopped = false
    private var number = 0
    /// What it saw last, so that comparing has a chance.
    private var seen = [Int?](repeating: nil, count: ServedWorld.registerCount)

    init(_ desk: ServedDesk) {
        self.desk = desk
        world = desk.world
    }

    func begin() { later() }
    private func later() { world.after(10_000 + world.random.below(200_000)) { [self] in ask() } }

    private func ask() {
        if isStopped { return }
        number += 1
        let value = desk.id * 100_000 + number
        let call = world.now
        // Those that locks guard are written by their holders alone.
        let free = world.random.below(ServedWorld.freeRegisterCount)
        switch world.random.below(5) {
        case 0, 1:
            let register = world.random.below(ServedWorld.registerCount)
            desk.read(register) { [self] isAnswered, value in
                guard isAnswered else { return later() }
                seen[register] = value
                add(register, .read(value), call, isAnswered: true)
            }
        case 2, 3:
            desk.ask("/v3/kv/put", ServedDesk.put(free, value)) { [self] reply in
                if reply.isGood { seen[free] = value }
                add(free, .write(value), call, isAnswered: reply.isGood)
            }
        default:
            let old = seen[free] ?? 0
            let comparison: JSONValue = [
                "key": ServedDesk.base64("register-\(free)"), "target": "VALUE", "result": "EQUAL",
                "value": ServedDesk.base64("\(old)"),
            ]
            desk.write(free, value, if: comparison) { [self] didSet in
                if didSet == true { seen[free] = value }
                add(free, .compareAndSet(old, value, didSet: didSet), call, isAnswered: didSet != nil)
            }
        }
    }

    private func add(_ register: Int, _ action: RegisterModel.Action, _ call: Int, isAnswered: Bool) {
        history.add(register, action, by: desk.id, call: call, isAnswered: isAnswered, in: world)
        later()
    }
}
