import LogModelEngine
import TimeSeriesEngine

// What queries read.
extension LogStore: LogSource {
    public func select(_ selection: LogSelection, _ statistics: inout LogStatistics) throws(LogSourceError)
        -> [LogChunk]
    {
        var found: [LogChunk] = []
        var streams: Set<Labels> = []
        for head in heads {
            selectHead(head, selection, &statistics, &streams, &found)
        }
        for entry in segments {
            guard entry.mayHave(selection) else {
                statistics.chunks += entry.chunkCount
                statistics.skippedByTime += entry.chunkCount
                continue
            }
            try selectSegment(entry, selection, &statistics, &streams, &found)
            if found.count > selection.chunkLimit { throw .tooManyChunks(limit: selection.chunkLimit) }
        }
        statistics.streams += streams.count
        // Those of one time in the order in which they came: of segments by rank, and what is not packed last.
        var ranks: [Int: Int] = [:]
        for entry in segments { ranks[entry.identifier] = entry.rank }
        return found.sorted { left, right in
            if left.labels != right.labels { return left.labels < right.labels }
            let own = left.file > 0 ? ranks[left.file] ?? 0 : -left.file
            let other = right.file > 0 ? ranks[right.file] ?? 0 : -right.file
            return (left.first, own, left.index) < (right.first, other, right.index)
        }
    }

    /// Those that are not packed, oldest first.
    var heads: [LogHead] { (flush.map { [$0.head] } ?? []) + unpacked + [active] }

    private func selectHead(
        _ head: LogHead, _ selection: LogSelection, _ statistics: inout LogStatistics, _ streams: inout Set<Labels>,
        _ found: inout [LogChunk]
    ) {
        for (place, stream) in head.streams.enumerated() {
            let blocks = stream.blocks
            statistics.chunks += blocks.count
            guard selection.matchers.allSatisfy({ $0.matches(stream.labels) }) else {
                statistics.skippedByLabel += blocks.count
                continue
            }
            guard stream.first < selection.through, stream.last >= selection.from else {
                statistics.skippedByTime += blocks.count
                continue
            }
            for (number, block) in blocks.enumerated() {
                guard block.first < selection.through, block.last >= selection.from else {
                    statistics.skippedByTime += 1
                    continue
                }
                guard block.mayHave(selection.hint) else {
                    statistics.skippedByIndex += 1
                    continue
                }
                streams.insert(stream.labels)
                found.append(
                    LogChunk(
                        labels: stream.labels, first: block.first, last: block.last, entryCount: block.entryCount,
                        byteCount: block.byteCount, storedByteCount: 0, file: -head.number,
                        index: place << 24 | number))
            }
        }
    }

    private func selectSegment(
        _ entry: SegmentEntry, _ selection: LogSelection, _ statistics: inout LogStatistics,
        _ streams: inout Set<Labels>, _ found: inout [LogChunk]
    ) throws(LogSourceError) {
        let segment = try segment(of: entry)
        var wanted: [Int] = []
        for (stream, labels) in segment.streams.enumerated() {
            let range = segment.chunks(of: stream)
            statistics.chunks += range.count
            guard selection.matchers.allSatisfy({ $0.matches(labels) }) else {
                statistics.skippedByLabel += range.count
                continue
            }
            for index in range {
                let row = segment.table[index]
                if row.first < selection.through, row.last >= selection.from {
                    wanted.append(index)
                } else {
                    statistics.skippedByTime += 1
                }
            }
        }
        if wanted.isEmpty { return }
        let candidates: ChunkSet
        do throws(LogSourceError) {
            candidates = try segment.candidates(selection.hint, &statistics)
        } catch {
            guard case .damaged(let what) = error else { throw error }
            let problem = what.hasPrefix(entry.path) ? what : "\(entry.path): \(what)"
            noteDamage(entry.path, day: entry.day, problem, isLeftOut: false)
            throw .damaged(problem)
        }
        for index in wanted {
            guard candidates[index] else {
                statistics.skippedByIndex += 1
                continue
            }
            streams.insert(segment.streams[segment.table[index].stream])
            found.append(segment.chunk(index))
        }
    }

    func segment(of entry: SegmentEntry) throws(LogSourceError) -> Segment { try cache.segment(entry, disk) }

    public func read(_ chunk: LogChunk, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock {
        let block =
            chunk.file <= 0 ? try readHead(chunk, &statistics) : try readSegment(chunk, &statistics)
        statistics.chunksRead += 1
        statistics.lines += block.count
        statistics.lineBytes += block.byteCount
        return block
    }

    private func readHead(_ chunk: LogChunk, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock {
        guard let head = (heads + (retired.map { [$0] } ?? [])).first(where: { -$0.number == chunk.file }) else {
            throw .gone
        }
        let place = chunk.index >> 24
        let number = chunk.index & 0xFF_FFFF
        guard head.streams.indices.contains(place) else { throw .gone }
        let blocks = head.streams[place].blocks
        guard blocks.indices.contains(number) else { throw .gone }
        statistics.chunksInMemory += 1
        return try blocks[number].sorted()
    }

    private func readSegment(_ chunk: LogChunk, _ statistics: inout LogStatistics) throws(LogSourceError) -> LogBlock {
        let entry =
            segments.first { $0.identifier == chunk.file }
            ?? doomed.first { $0.entry.identifier == chunk.file }?.entry
        guard let entry else { throw .gone }
        do throws(LogSourceError) {
            return try cache.block(try segment(of: entry), chunk.index, &statistics)
        } catch {
            if case .damaged(let problem) = error {
                noteDamage(entry.path, day: entry.day, problem, isLeftOut: false)
            }
            throw error
        }
    }

    public func warnings(from: Int64, through: Int64) -> [String] {
        if hasNothing {
            let hadSome = statistics.entries > 0 || statistics.expiredSegments > 0
            return [hadSome ? Self.nothingLeft : whenEmpty]
        }
        return damages.filter { $0.isLeftOut && Self.day(from) <= $0.day && $0.day <= Self.day(through) }
            .map { "lines of \(Self.dayName($0.day)) are missing: \($0.problem)" }
    }

    /// It has not a single line.
    private var hasNothing: Bool {
        segments.isEmpty && damages.isEmpty && heads.allSatisfy { $0.streams.isEmpty }
    }

    private static let nothingLeft =
        "there are no lines left here: retention has removed all of them (--retention of log-collector)"

    static let nothing =
        "there are no lines at all here: nobody sends any. log-collector --lab takes those of all nodes of the lab, "
        + "and a log-agent those of files"

    public func streams(_ matchers: [LabelMatcher], from: Int64, through: Int64) throws(LogSourceError) -> [Labels] {
        var found: Set<Labels> = []
        for head in heads {
            for stream in head.streams
            where stream.first < through && stream.last >= from && matchers.allSatisfy({ $0.matches(stream.labels) }) {
                found.insert(stream.labels)
            }
        }
        let time = LogSelection([], from: from, through: through)
        for entry in segments where entry.mayHave(time) {
            let segment = try segment(of: entry)
            for (stream, labels) in segment.streams.enumerated()
            where !found.contains(labels) && matchers.allSatisfy({ $0.matches(labels) }) {
                let rows = segment.table[segment.chunks(of: stream)]
                if rows.contains(where: { $0.first < through && $0.last >= from }) { found.insert(labels) }
            }
        }
        return found.sorted()
    }

    // MARK: Following

    public func follow(_ matchers: [LabelMatcher], _ receive: @escaping (_ entries: LogBlock) -> Void)
        -> any LogFollowing
    {
        nextFollower += 1
        let follower = LogFollower(self, nextFollower, matchers, receive)
        followers.append((nextFollower, follower))
        return follower
    }

    func keepForFollowers(_ labels: Labels, _ timestamp: Int64, _ line: UnsafeRawBufferPointer, _ metadata: Labels) {
        guard followers.contains(where: { $0.follower.wants(labels) }) else { return }
        let place = unheardPlaces[labels] ?? unheard.count
        if place == unheard.count {
            unheardPlaces[labels] = place
            unheard.append(LogBlock(labels: labels))
        }
        unheard[place].append(timestamp, line, metadata: metadata)
    }

    func tellFollowers() {
        if unheard.isEmpty { return }
        let blocks = unheard
        unheard = []
        unheardPlaces = [:]
        for block in blocks {
            for (_, follower) in followers where follower.wants(block.labels) { follower.receive(block.sorted()) }
        }
    }
}

/// Somebody who hears of each entry of some streams.
final class LogFollower: LogFollowing {
    private weak var store: LogStore?
    private let number: Int
    private let matchers: [LabelMatcher]
    let receive: (LogBlock) -> Void

    init(_ store: LogStore, _ number: Int, _ matchers: [LabelMatcher], _ receive: @escaping (LogBlock) -> Void) {
        self.store = store
        self.number = number
        self.matchers = matchers
        self.receive = receive
    }

    func wants(_ labels: Labels) -> Bool { matchers.allSatisfy { $0.matches(labels) } }
    func cancel() { store?.followers.removeAll { $0.id == number } }
}
