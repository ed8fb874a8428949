/// What a snapshot holds: the service's state, and what belongs to the replication itself.
public struct ReplicaState: Equatable, Sendable {
    public var sessions = ProposalSessions()
    /// Where each member listens.
    public var addresses: [Int: String] = [:]
    /// The identity of each member's disk, as far as they have told it.
    public var disks: [Int: Int] = [:]
    /// The group's own; 0 until somebody has told the first of `disks`.
    public var group = 0
    public var machine: [UInt8] = []

    public init() {}

    public var encoded: [UInt8] {
        var writer = ByteWriter()
        writer.put(bytes: sessions.encoded)
        let hasDisks = !disks.isEmpty || group != 0
        writer.put(word: UInt32(clamping: addresses.count) | (hasDisks ? Self.disksMark : 0))
        for (id, address) in addresses.sorted(by: { $0.key < $1.key }) {
            writer.put(number: id)
            writer.put(bytes: Array(address.utf8))
        }
        if hasDisks {
            writer.put(number: group)
            writer.put(numbers: disks.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] })
        }
        writer.put(raw: machine)
        return writer.bytes
    }

    /// In the count of addresses: the disks follow. Those who wrote before there were any left it out.
    private static let disksMark: UInt32 = 1 << 31

    /// - Returns: nil if the bytes are none of `encoded`.
    public init?(encoded bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let sessions = reader.bytes().flatMap(ProposalSessions.init(encoded:)), let count = reader.word() else {
            return nil
        }
        self.sessions = sessions
        var last = -1
        for _ in 0..<count & ~Self.disksMark {
            guard let id = reader.number(), id > last, let text = reader.bytes(),
                let address = String(validating: text, as: UTF8.self)
            else { return nil }
            last = id
            addresses[id] = address
        }
        if count & Self.disksMark != 0 {
            guard let group = reader.number(), let numbers = reader.numbers(), numbers.count % 2 == 0,
                group != 0 || !numbers.isEmpty
            else { return nil }
            self.group = group
            last = -1
            for place in stride(from: 0, to: numbers.count, by: 2) {
                guard numbers[place] > last else { return nil }
                last = numbers[place]
                disks[last] = numbers[place + 1]
            }
        }
        machine = reader.rest
    }
}
