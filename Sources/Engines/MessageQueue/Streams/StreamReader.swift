import KernelStructures

/// A consumer's place in a stream: what it gets next, and what of it is still out.
struct StreamReader {
    /// What it has not been sent yet begins here.
    private(set) var next: UInt64
    /// Read ahead of it, in order.
    private var ahead = RingQueue<QueueEntry>()
    /// Sent and not acknowledged, in order, but for those that were acknowledged while one before them was not.
    private var out = RingQueue<UInt64>()
    private var acknowledged: Set<UInt64> = []

    init(at offset: UInt64) { next = offset }

    /// Everything before this offset is acknowledged.
    var acknowledgedOffset: UInt64 { out.first ?? next }
    var outCount: Int { out.count }

    mutating func move(to offset: UInt64) {
        next = offset
        ahead = RingQueue()
    }

    /// Goes on from there again; what is out before it stays out.
    mutating func rewind(to offset: UInt64) {
        move(to: min(offset, next))
        var before = RingQueue<UInt64>()
        while let first = out.popFirst(), first < offset { before.append(first) }
        out = before
        acknowledged = acknowledged.filter { $0 < offset }
    }

    /// What it gets next: nil if that has to be read first.
    mutating func take() -> QueueEntry? {
        guard let entry = ahead.popFirst() else { return nil }
        next = entry.sequence
        out.append(entry.offset)
        return entry
    }

    var hasAhead: Bool { !ahead.isEmpty }

    /// Entries behind what it has; they may begin later where something was thrown away.
    mutating func readAhead(_ entries: some Sequence<QueueEntry>) { for entry in entries { ahead.append(entry) } }

    /// - Returns: whether everything is acknowledged further than before.
    mutating func acknowledge(_ offset: UInt64) -> Bool {
        let before = acknowledgedOffset
        // One that was rewound is not out any more.
        guard offset >= before, offset < next else { return false }
        acknowledged.insert(offset)
        while let first = out.first, acknowledged.remove(first) != nil { _ = out.popFirst() }
        if out.isEmpty { acknowledged = [] }
        return acknowledgedOffset > before
    }
}

/// Consumers of a stream that have one bookmark between them.
struct StreamGroup {
    /// Everything before this offset was acknowledged.
    var offset: UInt64
    /// In the order in which they came.
    var consumers: [BrokerConsumer] = []

    /// The one that reads. Of several partitions each has another one, as far as there are as many.
    func active(partition: Int) -> BrokerConsumer? {
        consumers.isEmpty ? nil : consumers[partition % consumers.count]
    }

    /// The number at the end of a partition's name, `orders-2`; 0 for others.
    static func partition(of name: String) -> Int {
        let digits = name.reversed().prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, digits.count < name.count, digits.count <= 9,
            name[name.index(name.endIndex, offsetBy: -digits.count - 1)] == "-"
        else { return 0 }
        return Int(String(digits.reversed())) ?? 0
    }
}
