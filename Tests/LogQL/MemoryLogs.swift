import LogModelEngine
import TimeSeriesEngine

@testable import LogQLEngine

/// A store as simple as can be: chunks of so many entries in memory. It takes no hints unless it is told to, and then
/// leaves out exactly what a hint allows, so that a hint that promises too much is found out.
final class MemoryLogs: LogSource {
    private var blocks: [LogBlock] = []
    private let chunkEntries: Int
    private let takesHints: Bool
    private var followers: [Following] = []
    /// What happens while somebody looks.
    var onSelect: () -> Void = {}
    var onRead: () -> Void = {}

    init(chunkEntries: Int = 7, takesHints: Bool = false) {
        self.chunkEntries = chunkEntries
        self.takesHints = takesHints
    }

    /// Entries of a stream, in rising time.
    func add(_ labels: Labels, _ entries: [(time: Int64, line: String)], metadata: Labels = Labels()) {
        var rest = entries[...]
        while !rest.isEmpty {
            var block = LogBlock(labels: labels)
            for entry in rest.prefix(chunkEntries) {
                block.append(entry.time, Array(entry.line.utf8), metadata: metadata)
            }
            blocks.append(block)
            rest = rest.dropFirst(chunkEntries)
        }
    }

    func select(_ selection: LogSelection, _ statistics: inout LogStatistics) throws(LogSourceError) -> [LogChunk] {
        onSelect()
        var chunks: [LogChunk] = []
        statistics.chunks += blocks.count
        for (index, block) in blocks.enumerated() {
            guard selection.matchers.allSatisfy({ $0.matches(block.labels) }) else {
                statistics.skippedByLabel += 1
                continue
            }
            let first = block.timestamps[0]
            let last = block.timestamps[block.count - 1]
            guard first < selection.through, last >= selection.from else {
                statistics.skippedByTime += 1
                continue
            }
            if takesHints, !(0..<block.count).contains(where: { fulfils(selection.hint, block, $0) }) {
                statistics.skippedByIndex += 1
                continue
            }
            chunks.append(
                LogChunk(
                    labels: block.labels, first: first, last: last, entryCount: block.count,
                    byteCount: block.byteCount, storedByteCount: 0, file: 0, index: index))
        }
        return chunks.sorted { ($0.labels, $0.first) < ($1.labels, $1.first) }
    }

    private func fulfils(_ hint: LogHint, _ block: LogBlock, _ index: Int) -> Bool {
        switch hint {
        case .anything: true
        case .all(let hints): hints.allSatisfy { fulfils($0, block, index) }
        case .any(let hints): hints.contains { fulfils($0, block, index) }
        case .contains(let bytes): block.withLine(index) { ByteSearch.first(bytes, in: $0) != nil }
        case .word(let word):
            block.withLine(index) { line in
                var isFound = false
                let wanted = LogWords.hashes(word)
                LogWords.forEachHash(line) { if wanted.contains($0) { isFound = true } }
                // A store indexes what JSON's escapes hide as well.
                return isFound || line.contains(UInt8(ascii: "\\"))
            }
        case .field(let name, let value):
            block.labels[name] == value || block.metadata(index)[name] == value
                || name == ShortIdentifier.name && block.metadata(index)[name].prefix(ShortIdentifier.digits) == value
                || block.withLine(index) { LineFields($0).values(of: name).contains(value) }
        }
    }

    func read(_ chunk: LogChunk, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock {
        onRead()
        statistics.chunksRead += 1
        statistics.lines += chunk.entryCount
        statistics.lineBytes += chunk.byteCount
        return blocks[chunk.index]
    }

    func streams(_ matchers: [LabelMatcher], from: Int64, through: Int64) throws(LogSourceError) -> [Labels] {
        var found: Set<Labels> = []
        for block in blocks where matchers.allSatisfy({ $0.matches(block.labels) }) {
            if block.timestamps.contains(where: { $0 >= from && $0 < through }) { found.insert(block.labels) }
        }
        return found.sorted()
    }

    /// As `add`, and told to those who follow.
    func take(_ labels: Labels, _ entries: [(time: Int64, line: String)]) {
        add(labels, entries)
        var block = LogBlock(labels: labels)
        for entry in entries { block.append(entry.time, Array(entry.line.utf8)) }
        for follower in followers where !follower.isCancelled && follower.matchers.allSatisfy({ $0.matches(labels) }) {
            follower.receive(block)
        }
    }

    var followerCount: Int { followers.count { !$0.isCancelled } }

    func follow(
        _ matchers: [LabelMatcher], _ receive: @escaping (_ entries: LogBlock) -> Void
    ) -> any LogFollowing {
        let following = Following(matchers, receive)
        followers.append(following)
        return following
    }

    private final class Following: LogFollowing {
        let matchers: [LabelMatcher]
        let receive: (LogBlock) -> Void
        var isCancelled = false
        init(_ matchers: [LabelMatcher], _ receive: @escaping (LogBlock) -> Void) {
            self.matchers = matchers
            self.receive = receive
        }
        func cancel() { isCancelled = true }
    }
}
