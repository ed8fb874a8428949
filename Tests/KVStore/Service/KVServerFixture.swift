import KVStoreEngine
import KVStoreService
import KernelHosting
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import TestSupport
import Testing

/// A server in a world in memory, and somebody to ask it.
final class KVServerFixture {
    let world: World
    var server: KVServer!
    private var client: RESPClientConnection!
    private let change: (inout KVServer.Settings) -> Void

    init(seed: UInt64 = 1, _ change: @escaping (inout KVServer.Settings) -> Void = { _ in }) throws {
        world = memoryWorld(seed: seed)
        self.change = change
        try start()
    }

    func start() throws {
        var settings = KVServer.Settings(directory: "/kv-data", text: "./kv-data")
        change(&settings)
        server = KVServer(node: world.node("lsm"), port: 6379, settings: settings)
        try server.start()
        client = try connection("client-1")
    }

    func connection(_ name: String, port: UInt16 = 6379) throws -> RESPClientConnection {
        let connection = RESPClientConnection()
        try connection.connect(from: world.node(name), to: HostPort(host: "lsm", port: port))
        world.pass(.milliseconds(1))
        return connection
    }

    /// What a command, words between blanks, answers; as kv-cli would show it, on one line.
    func ask(_ text: String, on connection: RESPClientConnection? = nil) -> String {
        ask(text.split(separator: " ").map { $0 == "''" ? "" : String($0) }, on: connection)
    }

    func ask(_ words: [String], on connection: RESPClientConnection? = nil) -> String {
        var answer = "nothing"
        (connection ?? client).send(words) { result in
            switch result {
            case .success(let value): answer = Self.text(value)
            case .failure(let failure): answer = "failed: \(failure)"
            }
        }
        for _ in 0..<200 where answer == "nothing" { world.pass(.milliseconds(1)) }
        return answer
    }

    static func text(_ value: RESPValue) -> String {
        switch value {
        case .null: "nil"
        case .integer(let number): "\(number)"
        case .error(let text): "-" + text
        default: value.elements.map { "[" + $0.map(text).joined(separator: " ") + "]" } ?? value.text ?? "?"
        }
    }

    func expect(_ cases: [(String, String)], at location: SourceLocation = #_sourceLocation) {
        for (request, reply) in cases {
            let answer = ask(request)
            #expect(answer == reply, "\(request)", sourceLocation: location)
        }
    }

    /// `kill -9`, or a power failure, and a new life.
    func crash(_ state: Node.State, _ policy: PowerLossPolicy = .dropAll) throws {
        server.node.end(state, powerLoss: policy)
        world.pass(.milliseconds(10))
        try start()
    }
}
