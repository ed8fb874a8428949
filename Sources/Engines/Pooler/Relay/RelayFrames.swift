import KernelWire

/// Cuts a stream into messages for passing them on: a long one is not gathered, but goes by in pieces, and only those
/// whose inside matters are laid together, as far as it can matter.
///
/// Call `next` with the same buffer until it answers `.needMore`, then with the next buffer and position 0.
public final class RelayFrames {
    public enum Piece {
        /// The input is used up.
        case needMore
        /// A message from its first byte to its last; or only its beginning, and then `.part`s follow.
        case message(letter: UInt8, UnsafeRawBufferPointer, isWhole: Bool)
        /// More of the message that began.
        case part(UnsafeRawBufferPointer)
        /// A length that cannot be: where the next message begins is not known.
        case failed
    }

    /// Letters of messages that are gathered.
    private let gathers: SIMD4<UInt64>
    private let limitBytes: Int
    /// Of a message; PostgreSQL takes no longer one.
    private static let longestBytes = 1 << 30
    private var held = RawBytes()
    private var isHeldSpent = false
    /// Bytes of the present message that are still to go by.
    private var passing = 0
    private var hasFailed = false

    /// - Parameters:
    ///   - letters: of the messages that are to come whole.
    ///   - limitBytes: so much is gathered of one of these at most; the rest of a longer one goes by in parts.
    public init(gathering letters: String, limitBytes: Int = 64 << 20) {
        var set = SIMD4<UInt64>()
        for letter in letters.utf8 { set[Int(letter >> 6)] |= 1 << UInt64(letter & 63) }
        gathers = set
        self.limitBytes = limitBytes
    }

    /// Whether a message has begun and not ended.
    public var isInsideMessage: Bool { isPassing || held.count > 0 && !isHeldSpent }
    /// Whether the beginning of a message has gone by, and the rest of it has not.
    public var isPassing: Bool { passing > 0 }
    public var heldByteCount: Int { isHeldSpent ? 0 : held.count }

    /// Begins anew: what was held is forgotten.
    public func reset() {
        held.removeAll()
        isHeldSpent = false
        passing = 0
        hasFailed = false
    }

    private func isGathered(_ letter: UInt8) -> Bool { gathers[Int(letter >> 6)] & 1 << UInt64(letter & 63) != 0 }

    public func next(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Piece {
        if hasFailed { return .failed }
        if isHeldSpent {
            held.removeAll()
            isHeldSpent = false
        }
        if position == input.count { return .needMore }
        if passing > 0 {
            let count = min(passing, input.count - position)
            passing -= count
            defer { position += count }
            return .part(UnsafeRawBufferPointer(rebasing: input[position..<position + count]))
        }
        if held.count > 0 { return nextHeld(input, &position) }
        let rest = UnsafeRawBufferPointer(rebasing: input[position...])
        guard rest.count >= 5, let whole = length(rest) else {
            if hasFailed { return .failed }
            return hold(rest, &position)
        }
        if rest.count >= whole {
            position += whole
            return .message(letter: rest[0], UnsafeRawBufferPointer(rebasing: rest[..<whole]), isWhole: true)
        }
        if rest.count < gatheredCount(rest[0], whole) { return hold(rest, &position) }
        position = input.count
        passing = whole - rest.count
        return .message(letter: rest[0], rest, isWhole: false)
    }

    private func hold(_ rest: UnsafeRawBufferPointer, _ position: inout Int) -> Piece {
        held.append(rest)
        position += rest.count
        return .needMore
    }

    private func nextHeld(_ input: UnsafeRawBufferPointer, _ position: inout Int) -> Piece {
        take(5, input, &position)
        guard held.count >= 5 else { return .needMore }
        guard let whole = length(held.all) else { return .failed }
        let letter = held.all[0]
        let count = gatheredCount(letter, whole)
        take(count, input, &position)
        guard held.count >= count else { return .needMore }
        passing = whole - held.count
        isHeldSpent = true
        return .message(letter: letter, held.all, isWhole: passing == 0)
    }

    /// So many bytes of a message have to be there before any of it is handed out; of most, only the head.
    private func gatheredCount(_ letter: UInt8, _ whole: Int) -> Int {
        isGathered(letter) ? min(whole, max(5, limitBytes)) : 5
    }

    private func take(_ count: Int, _ input: UnsafeRawBufferPointer, _ position: inout Int) {
        let taken = min(count - held.count, input.count - position)
        guard taken > 0 else { return }
        held.append(UnsafeRawBufferPointer(rebasing: input[position..<position + taken]))
        position += taken
    }

    /// Bytes of the message that begins here, its letter included.
    private func length(_ bytes: UnsafeRawBufferPointer) -> Int? {
        let count = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        guard count >= 4, count <= Self.longestBytes else {
            hasFailed = true
            return nil
        }
        return count + 1
    }
}
