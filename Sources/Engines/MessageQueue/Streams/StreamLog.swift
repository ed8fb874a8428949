import KernelStructures

/// A stream: messages that stay where they are, for whoever wants to read them, and read them again.
///
/// ## The problem
///
/// A queue forgets what was taken out of it. That is right for work, of which each piece is to be done once, and wrong
/// for news, which the billing wants to read, and the search index, and next month a program that does not exist yet.
/// Giving each of them a queue of its own stores everything several times, and nothing for whoever comes late.
///
/// ## An everyday picture
///
/// A ship's log. Nobody tears out pages after reading them: each reader has a bookmark. Pages are numbered, the numbers
/// never change, and a reader can begin at the first page, at the last, at page 4711 or at last Tuesday. When the shelf
/// is full, the oldest *volume* goes, whoever has read it or not.
///
/// ## How
///
/// ```
///   chunk 0 .. 999 │ chunk 1000 .. 1999 │ … │ open chunk
///                         ▲ reader              ▲ tail: the newest messages are in memory
/// ```
///
/// A message's offset is its number. Messages are counted off in chunks; of a chunk are known its first offset, the
/// times of its first and last message, and its bytes. That is enough to find an offset or a time, and to throw away
/// what is too old or too much: whole chunks only. Messages themselves are in the broker's store.
///
/// A group of readers has one bookmark between them; an acknowledgement moves it. One of them reads at a time, and if
/// that one goes, another goes on at the bookmark. To share the work, a stream is divided into *partitions*: streams of
/// their own, each with a reader of its own. Order is kept within a partition and lost across, which is why everything
/// about one customer goes to the same.
///
/// ## Where it is wrong
///
/// A bookmark says how far everything was read. What was read behind it, out of order, is read again.
public struct StreamLog: Equatable, Sendable {
    /// The number of the first message that is still there.
    public var firstOffset: UInt64 { chunks.first?.firstOffset ?? nextOffset }
    /// The number that the next message gets.
    public private(set) var nextOffset: UInt64 = 0
    public private(set) var bytes = 0
    /// Oldest first; the last one may still be open.
    public private(set) var chunks: [StreamChunk] = []
    private var isOpen = false
    public var limits: StreamLimits

    public init(_ limits: StreamLimits) { self.limits = limits }

    public var count: Int { Int(clamping: nextOffset - firstOffset) }

    // MARK: Arrival

    /// Counts a message.
    ///
    /// - Returns: its offset, and the chunk that is complete with it, if one is.
    public mutating func append(bytes size: Int, now: LabTime) -> (offset: UInt64, sealed: StreamChunk?) {
        // Clocks may go back; a time is looked for as if they did not.
        let time = max(now, chunks.last?.lastTime ?? now)
        let offset = nextOffset
        if isOpen {
            chunks[chunks.count - 1].add(bytes: size, time: time)
        } else {
            chunks.append(StreamChunk(firstOffset: offset, count: 1, bytes: size, firstTime: time, lastTime: time))
            isOpen = true
        }
        nextOffset += 1
        bytes += size
        return (offset, sealIfFull(now: time))
    }

    private mutating func sealIfFull(now: LabTime) -> StreamChunk? {
        guard let last = chunks.last else { return nil }
        let isOld = limits.maximumAge.map { now - last.firstTime >= LabDuration(nanoseconds: $0.nanoseconds / 8) }
        guard last.count >= StreamLimits.chunkMessages || last.bytes >= limits.chunkBytes || isOld ?? false else {
            return nil
        }
        isOpen = false
        return last
    }

    // MARK: Retention

    /// Throws away the oldest chunks that are too old or too much.
    ///
    /// - Returns: those.
    public mutating func expire(now: LabTime) -> [StreamChunk] {
        var gone: [StreamChunk] = []
        while let first = chunks.first {
            let isOld = limits.maximumAge.map { first.lastTime + $0 <= now } ?? false
            // The newest stays, however large it is.
            let isTooMuch = chunks.count > 1 && limits.maximumBytes.map { bytes > $0 } ?? false
            guard isOld || isTooMuch else { break }
            gone.append(chunks.removeFirst())
            bytes -= first.bytes
            if chunks.isEmpty { isOpen = false }
        }
        return gone
    }

    /// When something will be too old; nil: nothing ever.
    public var nextExpiry: LabTime? {
        guard let age = limits.maximumAge, let first = chunks.first else { return nil }
        return first.lastTime + age
    }

    // MARK: Where a reader begins

    /// The offset that a wish means now.
    public func start(of wish: StreamOffset, now: LabTime) -> UInt64 {
        switch wish {
        case .first: firstOffset
        case .last: chunks.last?.firstOffset ?? nextOffset
        case .next: nextOffset
        case .offset(let offset): max(firstOffset, offset)
        case .time(let time): chunk(since: time)
        case .age(let age): chunk(since: now - age)
        }
    }

    /// The first chunk that has something of that time or later.
    private func chunk(since time: LabTime) -> UInt64 {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].lastTime < time { low = middle + 1 } else { high = middle }
        }
        return low < chunks.count ? chunks[low].firstOffset : nextOffset
    }

    // MARK: After a restart

    /// Takes over chunks that were complete, in any order. Those that do not follow one another are left out.
    ///
    /// - Parameter lastOffset: of the last message that there ever was; nil: there was none.
    public mutating func restore(_ sealed: [StreamChunk], lastOffset: UInt64?) {
        chunks = []
        bytes = 0
        isOpen = false
        nextOffset = 0
        for chunk in sealed.sorted(by: { $0.firstOffset < $1.firstOffset }) {
            if let last = chunks.last, last.endOffset != chunk.firstOffset { continue }
            chunks.append(chunk)
            bytes += chunk.bytes
        }
        nextOffset = chunks.last?.endOffset ?? lastOffset.map { $0 + 1 } ?? 0
    }

    /// A message behind the last complete chunk, as it was found in the store.
    ///
    /// - Returns: the chunk that is complete with it.
    public mutating func restore(offset: UInt64, bytes: Int, time: LabTime) -> StreamChunk? {
        if chunks.isEmpty { nextOffset = offset }
        guard offset >= nextOffset else { return nil }
        // A chunk has no gap.
        if offset > nextOffset { isOpen = false }
        nextOffset = offset
        return append(bytes: bytes, now: time).sealed
    }

    /// There were messages up to here, though none of them may be left.
    public mutating func skip(to offset: UInt64) { if chunks.isEmpty { nextOffset = max(nextOffset, offset) } }
}

/// Messages of a stream that come and go together.
public struct StreamChunk: Equatable, Sendable {
    public let firstOffset: UInt64
    public private(set) var count: Int
    public private(set) var bytes: Int
    public let firstTime: LabTime
    public private(set) var lastTime: LabTime

    public init(firstOffset: UInt64, count: Int, bytes: Int, firstTime: LabTime, lastTime: LabTime) {
        self.firstOffset = firstOffset
        self.count = count
        self.bytes = bytes
        self.firstTime = firstTime
        self.lastTime = lastTime
    }

    /// Behind its last message.
    public var endOffset: UInt64 { firstOffset + UInt64(count) }

    mutating func add(bytes size: Int, time: LabTime) {
        count += 1
        bytes += size
        lastTime = time
    }
}
