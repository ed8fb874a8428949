import ConnectionPoolEngine
import ConnectionPoolService
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// Where the users of `pool-test` find their database, and what it speaks.
enum TestDatabase {
    /// `pool-db`, or Redis.
    case resp(HostPort)
    case postgres(PostgresURL, security: (any StreamSecurity)?)

    func makeConnection(_ node: Node) -> TestConnection {
        switch self {
        case .resp(let destination): TestConnection(RESPConnection(node, to: destination))
        case .postgres(let url, let security): TestConnection(PostgresPoolConnection(node, url, security: security))
        }
    }
}

/// A connection of either kind, so that one pool of one type has them.
final class TestConnection: DatabaseConnection {
    private let base: any DatabaseConnection

    init(_ base: any DatabaseConnection) { self.base = base }

    var onLost: ((String) -> Void)? {
        get { base.onLost }
        set { base.onLost = newValue }
    }

    func open(_ done: @escaping (String?) -> Void) { base.open(done) }
    func validate(_ done: @escaping (Bool) -> Void) { base.validate(done) }
    func reset(_ done: @escaping (Bool) -> Void) { base.reset(done) }
    func wasGivenBack() -> ConnectionPool.ReturnCondition { base.wasGivenBack() }
    func close() { base.close() }
    func letGo() { base.letGo() }
    func ask(_ question: DatabaseQuestion, _ done: @escaping (Bool) -> Void) { base.ask(question, done) }
    func begin(_ done: @escaping (Bool) -> Void) { base.begin(done) }
    func commit(_ done: @escaping () -> Void) { base.commit(done) }
}
