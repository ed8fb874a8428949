/// How a pool's connections are made, checked, tidied up and closed. Only the first has to be said.
///
/// ```
/// let factory = ConnectionFactory<Database.Session>(
///     connect: { try await Database.connect("db", 5432) },
///     isAlive: { await $0.ping() },
///     reset: { try await $0.rollback() },
///     close: { await $0.close() })
/// ```
public struct ConnectionFactory<Connection: Sendable>: Sendable {
    /// Opens a connection. It is given `connectionTimeout`; after that its task is cancelled.
    public var connect: @Sendable () async throws -> Connection
    /// Asks the other end whether it is there. It is given `validationTimeout`.
    public var isAlive: @Sendable (Connection) async -> Bool
    /// Undoes what a borrower left behind; if it throws, the connection is closed.
    public var reset: @Sendable (Connection) async throws -> Void
    public var close: @Sendable (Connection) async -> Void
    /// What an error in the midst of `withConnection` says about the connection. By default it is reset; after a
    /// cancellation it is closed, since nobody knows how much of the last answer is still to come.
    public var condition: @Sendable (any Error) -> ConnectionPool.ReturnCondition

    public init(
        connect: @escaping @Sendable () async throws -> Connection,
        isAlive: @escaping @Sendable (Connection) async -> Bool = { _ in true },
        reset: @escaping @Sendable (Connection) async throws -> Void = { _ in },
        close: @escaping @Sendable (Connection) async -> Void = { _ in },
        condition: @escaping @Sendable (any Error) -> ConnectionPool.ReturnCondition = {
            $0 is CancellationError ? .broken("cancelled in the middle") : .dirty
        }
    ) {
        self.connect = connect
        self.isAlive = isAlive
        self.reset = reset
        self.close = close
        self.condition = condition
    }
}
