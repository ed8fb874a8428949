import TimeSeriesEngine

/// Entries of one stream, in one piece of memory: what is read at once, and what a store gathers before it packs it.
///
/// All lines stand one behind the other, and three columns say when they were, where they end, and what else is known
/// of them. A hundred thousand lines are four allocations, and whoever searches them walks over plain memory.
public struct LogBlock: Sendable {
    public let labels: Labels
    /// Nanoseconds since 1970. Rising, in what a source hands out.
    public private(set) var timestamps: [Int64] = []
    /// Behind each line, in `text`.
    private var ends: [Int] = []
    private var text: [UInt8] = []
    /// Structured metadata; empty where no entry has any, otherwise one each.
    private var metadata: [Labels] = []

    public init(labels: Labels) { self.labels = labels }

    /// From columns that somebody else has kept.
    ///
    /// - Parameters:
    ///   - ends: behind each line; never falling, the last one is the text's length.
    ///   - metadata: none, or one each.
    /// - Returns: nil where the columns do not fit one another.
    public init?(labels: Labels, timestamps: [Int64], ends: [Int], text: [UInt8], metadata: [Labels]) {
        guard ends.count == timestamps.count, metadata.isEmpty || metadata.count == timestamps.count,
            (ends.last ?? 0) == text.count, (ends.first ?? 0) >= 0,
            ends.indices.dropFirst().allSatisfy({ ends[$0 - 1] <= ends[$0] })
        else { return nil }
        self.labels = labels
        self.timestamps = timestamps
        self.ends = ends
        self.text = text
        self.metadata = metadata
    }

    public var count: Int { timestamps.count }
    public var isEmpty: Bool { timestamps.isEmpty }
    /// Bytes of the lines.
    public var byteCount: Int { text.count }
    public var hasMetadata: Bool { !metadata.isEmpty }

    public mutating func append(_ timestamp: Int64, _ line: UnsafeRawBufferPointer, metadata more: Labels = Labels()) {
        timestamps.append(timestamp)
        text.append(contentsOf: line)
        ends.append(text.count)
        append(more)
    }

    public mutating func append(_ timestamp: Int64, _ line: [UInt8], metadata more: Labels = Labels()) {
        line.withUnsafeBytes { append(timestamp, $0, metadata: more) }
    }

    private mutating func append(_ more: Labels) {
        if metadata.isEmpty {
            if more.isEmpty { return }
            metadata = Array(repeating: Labels(), count: timestamps.count - 1)
        }
        metadata.append(more)
    }

    /// Adds an entry of another block.
    public mutating func append(_ index: Int, of other: LogBlock) {
        other.withLine(index) { append(other.timestamps[index], $0, metadata: other.metadata(index)) }
    }

    /// Where a line stands in `withText`'s bytes.
    @inline(__always)
    private func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

    /// Calls `body` with a line's bytes, which are valid during the call.
    public func withLine<R>(_ index: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try text.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[range(index)])) }
    }

    /// Calls `body` with all lines one behind the other, and where each of them ends.
    public func withText<R>(_ body: (_ text: UnsafeRawBufferPointer, _ ends: [Int]) throws -> R) rethrows -> R {
        try text.withUnsafeBytes { try body($0, ends) }
    }

    public func bytes(_ index: Int) -> [UInt8] { Array(text[range(index)]) }

    /// A line as text; bytes that are no UTF-8 are replaced.
    public func line(_ index: Int) -> String { withLine(index) { String(decoding: $0, as: UTF8.self) } }

    /// What is known of an entry besides its line, beyond its stream's labels.
    public func metadata(_ index: Int) -> Labels { metadata.isEmpty ? Labels() : metadata[index] }

    /// Whether times never go down.
    public var isSorted: Bool {
        timestamps.withUnsafeBufferPointer { times in
            var index = 1
            while index < times.count {
                if times[index - 1] > times[index] { return false }
                index += 1
            }
            return true
        }
    }

    /// The same entries in rising time; those of one time stay in their order.
    public func sorted() -> LogBlock {
        if isSorted { return self }
        let order = timestamps.indices.sorted { (timestamps[$0], $0) < (timestamps[$1], $1) }
        var result = LogBlock(labels: labels)
        result.text.reserveCapacity(text.count)
        result.timestamps.reserveCapacity(count)
        result.ends.reserveCapacity(count)
        for index in order { result.append(index, of: self) }
        return result
    }

    /// The first entry that is not before `time`, in a block in rising time.
    public func firstIndex(notBefore time: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if timestamps[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whether there is an entry of that time and line, in a block in rising time.
    public func has(_ timestamp: Int64, _ line: UnsafeRawBufferPointer) -> Bool {
        var index = firstIndex(notBefore: timestamp)
        while index < count, timestamps[index] == timestamp {
            if withLine(index, { $0.count == line.count && $0.elementsEqual(line) }) { return true }
            index += 1
        }
        return false
    }
}
