import DatabaseEngine
import KernelStorage
import KernelStructures
import KernelWire

/// A cluster on a disk in memory, and clients that speak to it without a network.
final class SessionBench {
    let cluster: DatabaseCluster
    var now = LabTime(nanoseconds: 0)

    init(
        _ disk: any Disk = SimulatedDisk(), owner: DiskOwner = DiskOwner(1),
        _ change: (inout DatabaseOptions) -> Void = { _ in }
    )
        throws
    {
        var options = DatabaseOptions()
        options.seed = 1
        change(&options)
        cluster = DatabaseCluster(
            disk: NodeDisk(base: disk, owner: owner), directory: "/pg", options: options,
            wallClock: { LabTime(nanoseconds: 1_700_000_000_000_000_000) })
        try cluster.open()
    }

    func client(user: String = "postgres", database: String = "postgres") -> SessionClient {
        let client = SessionClient(self)
        client.send(
            .startup(PostgresStartup(parameters: [.init("user", user), .init("database", database)])))
        return client
    }
}

final class SessionClient {
    private let bench: SessionBench
    private(set) var session: DatabaseSession!
    private let reader = BackendMessageReader()
    private(set) var isWoken = false
    /// Everything heard since `hear` was last called.
    private var heard: [BackendMessage] = []

    init(_ bench: SessionBench) {
        self.bench = bench
        session = bench.cluster.makeSession { [unowned self] in isWoken = true }
    }

    func send(_ message: FrontendMessage) {
        session.receive(message, now: bench.now)
        collect()
    }

    /// Carries on, as a host would.
    func goOn() {
        isWoken = false
        session.tick(now: bench.now)
        session.resume(now: bench.now)
        collect()
    }

    private func collect() {
        let bytes = session.output.take()
        bytes.withUnsafeBytes { input in
            var position = 0
            while case .message(let message) = reader.next(input, &position) { heard.append(message) }
        }
    }

    func hear() -> [BackendMessage] {
        defer { heard = [] }
        return heard
    }

    /// What a Query message is answered by, in short: rows, tags and errors' codes.
    @discardableResult
    func ask(_ sql: String) -> [String] {
        _ = hear()
        send(.query(sql))
        return answers()
    }

    /// What a Query message is answered by in the end, if others have their turn meanwhile.
    func askAtLength(_ sql: String) -> [String] { ask(sql) + finish().answers }

    /// Goes on for as long as others have to have their turn, which a statement of a few million rows has done after
    /// some dozens of turns.
    func finish(turns limit: Int = 100_000) -> (answers: [String], turns: Int) {
        var (told, turns) = (answers(), 0)
        while session.wait == .turn || session.wait == .output {
            guard turns < limit else { return (told + ["no end"], limit) }
            goOn()
            told += answers()
            turns += 1
        }
        return (told, turns)
    }

    func answers() -> [String] {
        hear().compactMap { message in
            switch message {
            case .dataRow(let row): row.texts.map { $0 ?? "NULL" }.joined(separator: "|")
            case .commandComplete(let tag): tag
            case .errorResponse(let error): error.sqlState.rawValue
            case .noticeResponse(let notice): "notice " + notice.sqlState.rawValue
            case .notification(_, let channel, let payload): "\(channel): \(payload)"
            case .readyForQuery(let status): String(UnicodeScalar(status.rawValue))
            default: nil
            }
        }
    }
}
