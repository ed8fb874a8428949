/// Words with numbers: each text of names and values of labels is kept once, however many series have it.
///
/// The texts stand one behind the other in one piece of memory; a table of numbers, found by a hash that nobody outside
/// can predict, leads to them. A million series with ten labels each so cost eighty bytes each for their labels.
struct SymbolTable {
    private var bytes: [UInt8] = []
    /// Where each text ends.
    private var ends: [UInt32] = []
    /// Numbers + 1 by hash, 0 where nothing is; its size is a power of two.
    private var slots: [UInt32] = Array(repeating: 0, count: 64)
    private var hashes: [UInt32] = []

    /// Bytes of all texts together. Beyond, none is added: the store refuses new series then.
    static let byteLimit = 2 << 30

    init() {}

    var count: Int { ends.count }
    var byteCount: Int { bytes.count }

    /// Heap that the table takes, about.
    var memoryBytes: Int { bytes.capacity + 4 * (ends.capacity + slots.capacity + hashes.capacity) }

    /// With a key of this process's own: who chooses labels cannot choose them so that they collide. Nothing depends on
    /// the order in which texts lie in the table.
    private static func hash(_ text: UnsafeRawBufferPointer) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(bytes: text)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    private func range(_ number: Int) -> Range<Int> { (number == 0 ? 0 : Int(ends[number - 1]))..<Int(ends[number]) }

    /// Calls `body` with the text of that number, which must be one.
    func withText<R>(_ number: UInt32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range(Int(number))])) }
    }

    func text(_ number: UInt32) -> String { withText(number) { String(decoding: $0, as: UTF8.self) } }

    /// The number of a text; nil if it is not there.
    func find(_ text: UnsafeRawBufferPointer) -> UInt32? { find(text, Self.hash(text)).number }

    func find(_ text: String) -> UInt32? {
        var text = text
        return text.withUTF8 { find(UnsafeRawBufferPointer($0)) }
    }

    private func find(_ text: UnsafeRawBufferPointer, _ hash: UInt32) -> (number: UInt32?, slot: Int) {
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == hash {
                let range = range(number)
                let isSame = bytes.withUnsafeBytes { all in
                    range.count == text.count && UnsafeRawBufferPointer(rebasing: all[range]).elementsEqual(text)
                }
                if isSame { return (UInt32(number), slot) }
            }
            slot = (slot + 1) & mask
        }
        return (nil, slot)
    }

    /// The number of a text, which is added if it is not there; nil if there is no room.
    mutating func add(_ text: UnsafeRawBufferPointer) -> UInt32? {
        let hash = Self.hash(text)
        let (number, slot) = find(text, hash)
        if let number { return number }
        guard bytes.count + text.count <= Self.byteLimit else { return nil }
        let new = UInt32(ends.count)
        bytes.append(contentsOf: text)
        ends.append(UInt32(bytes.count))
        hashes.append(hash)
        slots[slot] = new + 1
        if ends.count * 4 > slots.count * 3 { grow() }
        return new
    }

    func write(to out: inout SnapshotWriter) {
        out.append(UInt64(bytes.count))
        out.append(raw: bytes)
        out.append(UInt32(ends.count))
        for end in ends { out.append(end) }
    }

    /// Nil where what is read is none.
    init?(_ reader: inout SnapshotReader) {
        self.init()
        let texts = reader.raw(reader.count(UInt64.self))
        let count = reader.count(UInt32.self)
        var start = 0
        for number in 0..<count {
            let end = Int(reader.number(UInt32.self))
            guard start <= end, end <= texts.count else { return nil }
            let added = texts.withUnsafeBytes { add(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
            guard added == UInt32(number) else { return nil }
            start = end
        }
        if reader.isBroken { return nil }
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        for (number, hash) in hashes.enumerated() {
            var slot = Int(hash) & mask
            while slots[slot] != 0 { slot = (slot + 1) & mask }
            slots[slot] = UInt32(number) + 1
        }
    }
}
