import KernelStructures

/// What the layer asks of a cache that several processes share.
///
/// Eight questions are all that is needed, and any store that can answer them will do; `RESPDialect` says them in
/// Redis's words. None of them is a script: what must happen at once or not at all is a compare-and-set on the bytes
/// that were seen before.
public enum RemoteRequest: Equatable, Sendable {
    /// What stands under the key, and the words of its tags: both in one round trip.
    case get(key: String, tags: [String])
    /// Gives tags that have no word one, unless somebody was faster.
    case introduce(tags: [String], words: [[UInt8]])
    /// Stores if nothing is there.
    case claim(key: String, bytes: [UInt8], ttl: LabDuration)
    /// Stores if what is there is still `expected` (nil: nothing); tells the other processes where that is news.
    case replace(key: String, bytes: [UInt8], expected: [UInt8]?, ttl: LabDuration, tells: Bool)
    /// Stores, whatever is there, and tells the other processes.
    case set(key: String, bytes: [UInt8], ttl: LabDuration)
    /// Removes if what is there is still `expected`.
    case release(key: String, expected: [UInt8])
    /// Removes, and tells the other processes.
    case delete(keys: [String])
    /// Gives a tag another word: entries that carry the old one are dead.
    case setTag(tag: String, word: [UInt8])
}

/// The answer.
public enum RemoteReply: Equatable, Sendable {
    /// To `get`.
    case entry([UInt8]?, tagWords: [[UInt8]?])
    case done
    /// To `claim` and `replace`: something else is there.
    case refused
    /// Nobody knows whether it was done.
    case failed(String)
}

/// How values become bytes, for a cache that others share. Bytes that make no value throw, and count as missing.
public struct CacheCodec: Sendable {
    public let encode: @Sendable (any CacheObject) -> [UInt8]
    public let decode: @Sendable ([UInt8]) throws -> any CacheObject

    public init(
        encode: @escaping @Sendable (any CacheObject) -> [UInt8],
        decode: @escaping @Sendable ([UInt8]) throws -> any CacheObject
    ) {
        self.encode = encode
        self.decode = decode
    }
}
