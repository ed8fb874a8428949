import KernelRedis
import KernelStructures
import KernelWire

typealias Bytes = UnsafeRawBufferPointer

/// How commands get at what a key has, and refuse what is of another kind.
extension Cache {
    // MARK: Strings

    /// A string to read; nil if there is no such key. Valid until the key is changed.
    @inline(__always) func readString(_ key: Bytes) throws(CacheError) -> Bytes? {
        let id = reading(key)
        if id == 0 { return nil }
        guard slab[id].pointee.kind == .string else { throw .wrongType }
        return slab[id].pointee.value
    }

    /// A string to change; 0 if there is no such key.
    @inline(__always) func changeString(_ key: Bytes) throws(CacheError) -> ItemID {
        let id = writing(key)
        if id != 0, slab[id].pointee.kind != .string { throw .wrongType }
        return id
    }

    // MARK: Objects

    /// An object to read; nil if there is no such key.
    func read<Value: KindedValue>(_ key: Bytes, _: Value.Type = Value.self) throws(CacheError) -> Value? {
        try object(reading(key))
    }

    /// An object to change, if there is one.
    func change<Value: KindedValue>(_ key: Bytes, _: Value.Type = Value.self) throws(CacheError) -> (
        id: ItemID, object: Value
    )? {
        let id = writing(key)
        return try object(id).map { (id, $0) }
    }

    /// An object to change; a new and empty one where there is none yet. `settle` must follow.
    func obtain<Value: KindedValue>(_ key: Bytes, _: Value.Type = Value.self) throws(CacheError) -> (
        id: ItemID, object: Value
    ) {
        if let found = try change(key, Value.self) { return found }
        let object = Value.make(self)
        return (add(key, object), object)
    }

    @inline(__always)
    func object<Value: KindedValue>(_ id: ItemID, _: Value.Type = Value.self) throws(CacheError) -> Value? {
        if id == 0 { return nil }
        guard slab[id].pointee.kind == Value.valueKind else { throw .wrongType }
        return unsafeDowncast(slab[id].pointee.object, to: Value.self)
    }

    func makeHash() -> CacheHash { CacheHash(hasher: hasher, limits: settings.encodings) }
    func makeSet() -> CacheSet { CacheSet(hasher: hasher, limits: settings.encodings) }
    func makeSortedSet() -> CacheSortedSet { CacheSortedSet(hasher: hasher, limits: settings.encodings) }
}

/// A value that knows its kind before there is one.
protocol KindedValue: CacheValue {
    static var valueKind: ValueKind { get }
    static func make(_ cache: Cache) -> Self
}

extension CacheHash: KindedValue {
    static var valueKind: ValueKind { .hash }
    static func make(_ cache: Cache) -> CacheHash { cache.makeHash() }
}
extension CacheSet: KindedValue {
    static var valueKind: ValueKind { .set }
    static func make(_ cache: Cache) -> CacheSet { cache.makeSet() }
}
extension CacheList: KindedValue {
    static var valueKind: ValueKind { .list }
    static func make(_ cache: Cache) -> CacheList { CacheList() }
}
extension CacheSortedSet: KindedValue {
    static var valueKind: ValueKind { .sortedSet }
    static func make(_ cache: Cache) -> CacheSortedSet { cache.makeSortedSet() }
}

extension RESPArguments {
    /// A whole number, or the usual complaint.
    func number(_ index: Int) throws(CacheError) -> Int {
        guard let number = integer(index) else { throw .notInteger }
        return number
    }

    /// A number above or equal to a bound, with a complaint of its own.
    func number(_ index: Int, atLeast bound: Int, _ complaint: String) throws(CacheError) -> Int {
        guard let number = integer(index), number >= bound else { throw .text(complaint) }
        return number
    }

    /// The words from a place on.
    func rest(_ index: Int) -> [[UInt8]] { index < count ? (index..<count).map { bytes($0) } : [] }
}

/// The part of a sequence that two ends name, both belonging to it, negative ones counted from its end; nil if nothing
/// is in it.
func range(_ start: Int, _ end: Int, count: Int) -> Range<Int>? {
    let first = max(0, start < 0 ? count + max(start, -count) : start)
    let last = min(count - 1, end < 0 ? count + max(end, -count - 1) : end)
    return first > last || first >= count ? nil : first..<last + 1
}
