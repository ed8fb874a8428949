import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld

/// Several connections to the users' database. What is asked goes to one on which nothing is under way; where there is
/// none another is opened, and where there may be no more, to the one with the least.
///
/// A session of PostgreSQL answers one question after the other, so with one connection every load would wait for all
/// loads before it, and a figure about a cache would be one about that line. Nobody waits in line here for a connection
/// to be free, as in a pool that lends them (`ConnectionPool`): questions are pipelined, and nobody has a connection to
/// himself but a transaction.
final class UserDatabase {
    /// One connection, and questions and transactions on it that are not answered.
    private struct Line {
        let client: PostgresClient
        var underWay = 0
    }

    private let node: Node
    private let url: PostgresURL
    /// Connections at most.
    private let limit: Int
    private var lines: [Line] = []
    /// What is asked goes over the first connection, in order: what it asks for may be made by the question before.
    var isOneConnection = true

    static let limitRange = 1...100

    init(_ node: Node, _ url: PostgresURL, limit: Int) {
        self.node = node
        self.url = url
        self.limit = limit
    }

    var connectionCount: Int { lines.count }

    private func take() -> Int {
        let least = lines.indices.min { lines[$0].underWay < lines[$1].underWay }
        let place: Int
        if isOneConnection, !lines.isEmpty {
            place = 0
        } else if let least, lines[least].underWay == 0 || lines.count >= limit {
            place = least
        } else {
            lines.append(Line(client: PostgresClient(node, url)))
            place = lines.count - 1
        }
        lines[place].underWay += 1
        return place
    }

    private func over(_ place: Int) { if lines.indices.contains(place) { lines[place].underWay -= 1 } }

    func query(_ sql: String, _ completion: @escaping PostgresClient.Completion) {
        let place = take()
        lines[place].client.query(sql) { [weak self] result in
            self?.over(place)
            completion(result)
        }
    }

    func execute(
        _ sql: String, _ parameters: [PostgresValue?] = [], _ completion: @escaping PostgresClient.Completion
    ) {
        let place = take()
        lines[place].client.execute(sql, parameters) { [weak self] result in
            self?.over(place)
            completion(result)
        }
    }

    /// Begins a transaction on a connection of its own.
    ///
    /// - Parameters:
    ///   - failed: there is no connection to begin it on.
    ///   - body: calls its second argument when the transaction is over.
    func transaction(
        failed: @escaping (PostgresFailure) -> Void,
        _ body: @escaping (PostgresTransaction, _ over: @escaping () -> Void) -> Void
    ) {
        let place = take()
        let over = { [weak self] in
            guard let self else { return }
            self.over(place)
        }
        lines[place].client.transaction(
            failed: { failure in
                over()
                failed(failure)
            }, { transaction in body(transaction, over) })
    }

    func close() { for line in lines { line.client.close() } }
}
