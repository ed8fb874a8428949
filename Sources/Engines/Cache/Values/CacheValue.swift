import KernelStructures

/// What a key has that is not a string.
class CacheValue {
    /// Bytes that it takes, as it was last counted towards the cache's memory.
    var countedByteCount = 0

    /// How many elements it has. A key without any is deleted.
    var count: Int { 0 }
    /// Bytes that it takes now.
    var byteCount: Int { 0 }
    var kind: ValueKind { .string }
    /// As `OBJECT ENCODING` names it.
    var encoding: String { "" }
    func copy() -> CacheValue { self }
}

/// Up to which sizes values are kept in their compact forms, by the names of Redis's settings.
public struct EncodingLimits: Sendable {
    public var hashEntries = 128
    public var hashValueByteCount = 64
    public var setIntegers = 512
    public var sortedSetEntries = 128
    public var sortedSetValueByteCount = 64

    public init() {}
}
