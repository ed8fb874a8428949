/// A block in memory, uncompressed and with its checksum verified.
final class Block {
    let bytes: Bytes
    private let memory: UnsafeMutablePointer<UInt8>

    // What the cache notes about a block that it keeps.
    fileprivate var slot: UnsafeMutablePointer<Unmanaged<Block>?>?
    fileprivate var older: Unmanaged<Block>?
    fileprivate var newer: Unmanaged<Block>?
    fileprivate var wasUsed = false

    /// Takes the memory over.
    init(memory: UnsafeMutablePointer<UInt8>, count: Int) {
        self.memory = memory
        bytes = Bytes(UnsafePointer(memory), count)
    }

    deinit { memory.deallocate() }

    fileprivate var charge: Int { bytes.count + 96 }
}

/// Blocks that were read, kept for the next who asks, up to a number of bytes.
///
/// When it is full somebody must go, ideally whoever will not be asked for longest. The clock algorithm (Corbató 1968)
/// guesses that well for the price of one bit: blocks stand in a queue, a hit sets the block's bit, and the block at
/// the front goes, unless its bit is set: then the bit is cleared and the block goes to the back instead.
///
/// A hit needs no search either: every table has a slot for each of its blocks, and the cache only decides which of
/// all these slots are filled.
final class BlockCache {
    let limitByteCount: Int
    private(set) var byteCount = 0
    private(set) var count = 0
    private var oldest: Unmanaged<Block>?
    private var newest: Unmanaged<Block>?

    init(limitByteCount: Int) { self.limitByteCount = limitByteCount }

    /// The block in a table's slot.
    @inline(__always) static func hit(_ slot: UnsafeMutablePointer<Unmanaged<Block>?>) -> Block? {
        guard let reference = slot.pointee else { return nil }
        let block = reference.takeUnretainedValue()
        block.wasUsed = true
        return block
    }

    /// Fills an empty slot, unless the block is larger than the whole cache.
    func insert(_ block: Block, into slot: UnsafeMutablePointer<Unmanaged<Block>?>) {
        guard block.charge <= limitByteCount else { return }
        byteCount += block.charge
        count += 1
        block.slot = slot
        let reference = Unmanaged.passRetained(block)
        slot.pointee = reference
        append(reference, block)
        while byteCount > limitByteCount { evictOne() }
    }

    /// Empties a slot.
    func remove(_ slot: UnsafeMutablePointer<Unmanaged<Block>?>) {
        guard let reference = slot.pointee else { return }
        let block = reference.takeUnretainedValue()
        unlink(block)
        slot.pointee = nil
        block.slot = nil
        byteCount -= block.charge
        count -= 1
        reference.release()
    }

    private func evictOne() {
        while let reference = oldest {
            let block = reference.takeUnretainedValue()
            if !block.wasUsed { return remove(block.slot!) }
            block.wasUsed = false
            unlink(block)
            append(reference, block)
        }
    }

    private func append(_ reference: Unmanaged<Block>, _ block: Block) {
        block.older = newest
        block.newer = nil
        newest?.takeUnretainedValue().newer = reference
        newest = reference
        if oldest == nil { oldest = reference }
    }

    private func unlink(_ block: Block) {
        if let older = block.older { older.takeUnretainedValue().newer = block.newer } else { oldest = block.newer }
        if let newer = block.newer { newer.takeUnretainedValue().older = block.older } else { newest = block.older }
    }
}

extension Optional where Wrapped == Unmanaged<Block> {
    fileprivate static func == (a: Self, b: Self) -> Bool { a?.toOpaque() == b?.toOpaque() }
}
