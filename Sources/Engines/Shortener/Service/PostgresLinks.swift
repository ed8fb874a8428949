import KernelHosting
import KernelWire
import KernelWorld

/// Links in a PostgreSQL: the lab's own or a real one. Several shorteners may share it.
final class PostgresLinks: LinkDatabase {
    private let client: PostgresClient
    var isExclusive: Bool { false }
    /// A shortener that shares the database has changed a link.
    var onChange: ((_ code: String) -> Void)?
    static let channel = "url_links"
    /// What is said instead of a code when the API keys have changed; no code has a blank.
    static let keysNotice = "the keys"
    /// And when domains have.
    static let domainsNotice = "the domains"

    init(node: Node, url: PostgresURL) {
        client = PostgresClient(node, url)
        client.onNotification = { [weak self] channel, code in if channel == Self.channel { self?.onChange?(code) } }
        client.onConnect = { [weak self] in self?.client.query("LISTEN \(Self.channel)") { _ in } }
    }

    func run(_ statements: [LinkStatement], _ done: @escaping (Result<[LinkRows], LinkDatabaseFailure>) -> Void) {
        if statements.count == 1 {
            return client.execute(statements[0].sql, Self.parameters(statements[0])) { result in
                done(Self.rows(result).map { [$0] })
            }
        }
        client.transaction(failed: { done(.failure(Self.failure($0))) }) { transaction in
            Self.run(statements[...], [], transaction, done)
        }
    }

    private static func run(
        _ statements: ArraySlice<LinkStatement>, _ results: [LinkRows], _ transaction: PostgresTransaction,
        _ done: @escaping (Result<[LinkRows], LinkDatabaseFailure>) -> Void
    ) {
        guard let next = statements.first else {
            return transaction.commit { failure in
                done(failure.map { .failure(Self.failure($0)) } ?? .success(results))
            }
        }
        transaction.execute(next.sql, parameters(next)) { result in
            switch rows(result) {
            case .success(let rows): run(statements.dropFirst(), results + [rows], transaction, done)
            case .failure(let failure): transaction.rollback { done(.failure(failure)) }
            }
        }
    }

    private static func parameters(_ statement: LinkStatement) -> [PostgresValue?] {
        statement.values.map { value in
            switch value {
            case .null: nil
            case .integer(let number): .int8(number)
            case .text(let text): .text(text)
            }
        }
    }

    private static func rows(_ result: Result<[PostgresResult], PostgresFailure>) -> Result<
        LinkRows, LinkDatabaseFailure
    > {
        switch result {
        case .success(let results): .success((results.last?.texts ?? []).map { $0.map { ColumnValue($0) } })
        case .failure(let failure): .failure(Self.failure(failure))
        }
    }

    private static func failure(_ failure: PostgresFailure) -> LinkDatabaseFailure {
        if case .server(let error) = failure {
            return LinkDatabaseFailure(description: "\(error.message) (\(error.sqlState.rawValue))", isPassing: false)
        }
        return LinkDatabaseFailure(description: "\(failure)", isPassing: true)
    }

    func close() { client.close() }
}
