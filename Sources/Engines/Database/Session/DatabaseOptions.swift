import KernelStructures
import KernelWire

/// What is settled about a cluster when it starts; PostgreSQL's parameters of the same meaning in brackets.
public struct DatabaseOptions: Sendable {
    /// Bytes of pages that each connection to SQLite keeps (`shared_buffers`).
    public var cacheByteCount = 8 << 20
    /// Bytes of sorting and temporary tables of a connection (`temp_file_limit`).
    public var temporaryByteCount = 256 << 20
    /// Transactions that can have a snapshot or cursors of their own at a time, in each database.
    public var connectionLimit = 200
    /// Bytes of a database's log from which it is copied into the file (`max_wal_size`).
    public var checkpointByteCount = 4 << 20
    /// Every statement takes so much longer: a database far away, or an overloaded one.
    public var latency = LabDuration.zero
    /// How clients show who they are.
    public var authentication = PostgresAuthenticator.Method.trust
    /// What is known of each user who may come; with `trust` anybody may.
    public var secrets: [String: PostgresAuthenticator.Secret] = [:]
    /// What settings of sessions are when nobody sets them.
    public var settings: [(name: String, value: String)] = []
    /// Clients at a time; more are refused with 53300 (`max_connections`).
    public var sessionLimit = 10_000
    public var seed: UInt64 = 0

    public init() {}
}
