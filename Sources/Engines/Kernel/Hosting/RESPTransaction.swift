import KernelWire

/// What a connection has said between MULTI and EXEC. Whoever serves it decides what EXEC does.
public struct RESPTransaction {
    /// The commands that are to be carried out, in order.
    public private(set) var requests: [(command: RESPCommand, request: RESPRequest)] = []
    public private(set) var byteCount = 0
    /// Whether one of them could not be queued: EXEC is then refused.
    public var isSpoiled = false

    /// Bytes that one connection may queue; more spoils the transaction.
    public static let byteLimit = 64 << 20

    public init() {}

    mutating func queue(_ command: RESPCommand, _ arguments: RESPArguments) -> Bool {
        let request = RESPRequest(arguments)
        byteCount += request.byteCount
        guard byteCount <= Self.byteLimit else {
            isSpoiled = true
            requests = []
            return false
        }
        requests.append((command, request))
        return true
    }
}
