import KernelStructures

/// One direction of one proxied connection: a row of toxics, one behind the other, with the bytes that are under way.
///
/// ## How
///
/// Each toxic is a stage with a line of pieces, and each piece has a time from which it may go on to the next stage.
/// Bytes keep their order whatever the times are, and each connection has lines of its own: fifty connections through
/// 100 ms take 100 ms, all of them, because nobody waits for anybody (a fault that sleeps in a handler serves one after
/// the other). The line is pure: it is told the time, and says what is due and when to look again.
///
/// A stage that is taken away hands what it held to the next one, in its place; one that comes gets what comes.
public struct ToxicLine {
    /// What is to be done with the connection at the far end.
    public enum Output: Equatable, Sendable {
        case bytes([UInt8])
        /// This direction is complete.
        case end
        /// The whole connection is to end in good order; what was passed is still delivered.
        case close
        case reset
    }

    private var stages: [Stage] = []
    private var random: SeededRandom
    private var isOver = false
    /// A `timeout` has gone that had swallowed something: what comes now would not follow what came before.
    private var isBroken = false
    /// What has left the last stage, or was freed, and was not taken yet.
    private var exits: [Content] = []
    public private(set) var byteCount = 0

    /// Bytes under way from which whoever feeds the line has to wait.
    public static let windowBytes = 4 << 20
    /// Pieces that a slicer makes are no smaller, and those that pass at once no larger.
    static let pieceBytes = 64 * 1024

    public init(_ toxics: [Toxic], _ random: SeededRandom, now: LabTime) {
        self.random = random
        change(to: toxics, now: now)
    }

    public var isEmpty: Bool { byteCount == 0 && stages.allSatisfy { $0.pieces.isEmpty } }
    public var isFull: Bool { byteCount >= Self.windowBytes }
    /// Whether bytes may pass by it, untouched.
    public var isClear: Bool { isEmpty && !stages.contains { $0.isActive } }

    // MARK: Toxics

    /// The toxics are these now. What is under way stays under way, in its order, and nothing is lost but what a
    /// `timeout` has swallowed already: such a connection ends when the toxic goes.
    public mutating func change(to toxics: [Toxic], now: LabTime) {
        var changed: [Stage] = []
        var freed: [Content] = []
        // From the far end: what a stage that goes has held belongs before what the stages ahead of it hold.
        for old in stages.reversed() {
            if let toxic = toxics.first(where: { $0.name == old.toxic.name && $0.kind == old.toxic.kind }) {
                var kept = old
                if toxic != old.toxic { kept = renewed(old, toxic, now) }
                changed.insert(kept, at: 0)
                continue
            }
            if old.isActive, old.toxic.kind == .timeout { isBroken = true }
            var pieces = old.pieces
            var contents: [Content] = []
            while let piece = pieces.popFirst() { contents.append(piece.content) }
            if changed.isEmpty { freed += contents } else { hand(contents, to: &changed[0], now) }
        }
        for toxic in toxics where !changed.contains(where: { $0.toxic.name == toxic.name }) {
            changed.append(Stage(toxic, isActive: isHit(toxic), now: now))
        }
        // In the order of the list, behind one another.
        stages = toxics.compactMap { toxic in changed.first { $0.toxic.name == toxic.name } }
        exits += freed
    }

    private mutating func isHit(_ toxic: Toxic) -> Bool {
        toxic.toxicity >= 1 || toxic.toxicity > 0 && random.chance(toxic.toxicity)
    }

    /// Other attributes: what waits is judged by them. Another share of the connections: it is drawn again.
    private mutating func renewed(_ old: Stage, _ toxic: Toxic, _ now: LabTime) -> Stage {
        let isActive = toxic.toxicity == old.toxic.toxicity ? old.isActive : isHit(toxic)
        var stage = Stage(toxic, isActive: isActive, now: now)
        stage.passedBytes = old.passedBytes
        stage.hasSeenBytes = old.hasSeenBytes
        var pieces = old.pieces
        while let piece = pieces.popFirst() { byteCount -= stage.take(piece.content, &random, now) }
        return stage
    }

    private mutating func hand(_ contents: [Content], to stage: inout Stage, _ now: LabTime) {
        for content in contents { byteCount -= stage.take(content, &random, now) }
    }

    // MARK: Bytes

    public mutating func push(_ bytes: [UInt8], now: LabTime) {
        guard !isOver, !bytes.isEmpty else { return }
        byteCount += bytes.count
        enter(.bytes(bytes), at: 0, now)
    }

    /// No more bytes will come.
    public mutating func pushEnd(now: LabTime) { if !isOver { enter(.end, at: 0, now) } }

    private mutating func enter(_ content: Content, at index: Int, _ now: LabTime) {
        if index >= stages.count { return exits.append(content) }
        byteCount -= stages[index].take(content, &random, now)
    }

    // MARK: Time

    /// What is due by now, in order. `close` and `reset` are the last.
    public mutating func advance(to now: LabTime) -> [Output] {
        if isOver { return [] }
        var outputs = takeExits()
        if isBroken { return over(outputs, .close) }
        for index in stages.indices {
            while let first = stages[index].pieces.first, first.due <= now {
                guard let piece = stages[index].pieces.popFirst() else { break }
                enter(piece.content, at: index + 1, now)
            }
        }
        outputs += takeExits()
        for stage in stages {
            if let time = stage.breaksAt, time <= now {
                return over(outputs, stage.toxic.kind == .timeout ? .close : .reset)
            }
            let isSpent = stage.hasSeenBytes && stage.isActive && stage.passedBytes >= stage.toxic["bytes"]
            if stage.toxic.kind == .limitData, isSpent, isEmpty { return over(outputs, .close) }
        }
        return outputs
    }

    private mutating func over(_ outputs: [Output], _ last: Output) -> [Output] {
        isOver = true
        byteCount = 0
        return outputs + [last]
    }

    private mutating func takeExits() -> [Output] {
        let taken = exits
        exits = []
        return taken.map { content in
            switch content {
            case .bytes(let bytes):
                byteCount -= bytes.count
                return .bytes(bytes)
            case .end: return .end
            }
        }
    }

    /// When something is due next; nil for never.
    public var nextDue: LabTime? {
        if isOver { return nil }
        if !exits.isEmpty || isBroken { return LabTime(nanoseconds: .min) }
        var times = stages.compactMap { $0.pieces.first?.due }
        times += stages.compactMap(\.breaksAt)
        return times.min().flatMap { $0 == .distantFuture ? nil : $0 }
    }
}
