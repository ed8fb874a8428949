/// What a reader of RESP accepts. The defaults are Redis's own where it has one.
public struct RESPLimits: Sendable {
    /// Bytes of one bulk string: `proto-max-bulk-len`.
    public var bulkBytes = 512 << 20
    /// Arguments of one request.
    public var argumentCount = 1 << 20
    /// Bytes of an inline request, and of any line of a reply.
    public var inlineBytes = 64 << 10
    /// Bytes of one whole request: `client-query-buffer-limit`.
    public var requestBytes = 1 << 30
    /// Aggregates within aggregates, in replies. Requests have none.
    public var depth = 32
    /// Elements of one aggregate of a reply; a map's pair counts as two.
    public var elementCount = 16 << 20

    public init() {}
}

/// Bytes that are not RESP, or more of them than is accepted. Nothing more can be read from such a connection.
public struct RESPError: Error, Equatable, Sendable, CustomStringConvertible {
    /// As Redis words it: `Protocol error: invalid bulk length`.
    public let description: String
    public init(_ description: String) { self.description = "Protocol error: " + description }
}

/// The two forms of RESP that are spoken. A connection begins in the second and may ask for the third by `HELLO 3`.
public enum RESPVersion: Int, Sendable { case two = 2, three = 3 }
