/// What a snapshot holds: the service's state, and what belongs to the replication itself.
public struct ReplicaState: Equatable, Sendable {
    public var sessions = ProposalSessions()
    /// Where each member listens.
    public var addresses: [Int: String] = [:]
    public var machine: [UInt8] = []

    public init() {}

    public var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.put(bytes: sessions.encoded)
        writer.put(word: UInt32(clamping: addresses.count))
        for (id, address) in addresses.sorted(by: { $0.key < $1.key }) {
            writer.put(number: id)
            writer.put(bytes: Array(address.utf8))
        }
        writer.put(raw: machine)
        return writer.bytes
    }

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let sessions = reader.bytes().flatMap(ProposalSessions.init(encoded:)), let count = reader.word() else {
            return nil
        }
        self.sessions = sessions
        var last = -1
        for _ in 0..<count {
            guard let id = reader.number(), id > last, let text = reader.bytes(),
                let address = String(validating: text, as: UTF8.self)
            else { return nil }
            last = id
            addresses[id] = address
        }
        machine = reader.rest
    }
}
