import Glibc
import LogModelEngine

/// What can be looked for in a chunk: the hashes of its words and members, and its pieces of three bytes.
///
/// It is asked for values once each where a column knows that they repeat: most of what lines say they say again.
final class ChunkTerms {
    private(set) var words = WordSet()
    let pieces: UnsafeMutablePointer<UInt64>
    /// All lines of the chunk, one behind the other; valid while it is packed.
    private var text = UnsafeRawBufferPointer(start: nil, count: 0)

    init() {
        pieces = .allocate(capacity: TrigramIndex.rows / 64)
        pieces.initialize(repeating: 0, count: TrigramIndex.rows / 64)
    }

    deinit { pieces.deallocate() }

    func begin(_ text: UnsafeRawBufferPointer) {
        self.text = text
        words.removeAll()
        pieces.update(repeating: 0, count: TrigramIndex.rows / 64)
    }

    var pieceBits: [UInt64] { Array(UnsafeBufferPointer(start: pieces, count: TrigramIndex.rows / 64)) }

    /// A value, with the two bytes before and behind it: pieces of three may begin or end there.
    @inline(__always)
    func add(_ range: Range<Int>) {
        addWords(range)
        addPieces(range)
    }

    @inline(__always)
    func addWords(_ range: Range<Int>) {
        LogWords.forEachHash(UnsafeRawBufferPointer(rebasing: text[range])) { words.insert($0) }
    }

    @inline(__always)
    func addPieces(_ range: Range<Int>) {
        let wider = max(0, range.lowerBound - 2)..<min(text.count, range.upperBound + 2)
        TrigramIndexBuilder.scan(UnsafeRawBufferPointer(rebasing: text[wider]), into: pieces)
    }

    /// A line of which nothing is known: its words, and its members if it has any.
    func addLine(_ range: Range<Int>) {
        add(range)
        let line = UnsafeRawBufferPointer(rebasing: text[range])
        _ = JSONMembers.forEach(line) { name, value, _ in words.insert(LogWords.fieldHash(name, value)) }
        // "line\nbreak" has the words line and break as well as nbreak.
        JSONMembers.forEachUnescaped(line) { text in LogWords.forEachHash(text) { words.insert($0) } }
    }

    func addMember(_ name: [UInt8], _ value: Range<Int>) {
        name.withUnsafeBytes {
            words.insert(LogWords.fieldHash($0, UnsafeRawBufferPointer(rebasing: text[value])))
        }
    }

    /// A member whose values are not indexed with its name, because there are so many: only as words.
    func addSpread(_ name: [UInt8]) { name.withUnsafeBytes { words.insert(Self.spreadHash($0)) } }

    func addMetadata(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        words.insert(LogWords.fieldHash(name, value))
        // Views show the beginning of an identifier, and it is looked for as it is shown.
        if value.count > ShortIdentifier.digits, ShortIdentifier.isName(name) {
            words.insert(LogWords.fieldHash(name, UnsafeRawBufferPointer(rebasing: value[..<ShortIdentifier.digits])))
        }
    }

    static func spreadHash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        LogWords.fieldHash(UnsafeRawBufferPointer(start: nil, count: 0), name)
    }

    static func spreadHash(_ name: String) -> UInt64 { LogWords.fieldHash("", name) }
}
