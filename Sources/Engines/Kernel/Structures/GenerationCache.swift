/// What was asked for of late, in bounded memory, without the list that an exact order of use needs.
///
/// Two generations: what is found in the older one moves to the younger. When that is full it becomes the older, and
/// what nobody has asked for since the last change is gone: the thought of CLOCK's second chance (Corbató 1968), a
/// whole generation at a time.
///
/// Where it is wrong: one pass over more keys than it holds empties it of everything else.
public struct GenerationCache<Key: Hashable, Value> {
    private var recent: [Key: Value] = [:]
    private var older: [Key: Value] = [:]
    /// Entries of a generation: at least so many, and at most twice as many, are kept.
    public let generationCount: Int

    public init(generationCount: Int) { self.generationCount = max(1, generationCount) }

    public var count: Int { recent.count + older.count }

    public mutating func find(_ key: Key) -> Value? {
        if let value = recent[key] { return value }
        guard let value = older.removeValue(forKey: key) else { return nil }
        insert(value, for: key)
        return value
    }

    public mutating func insert(_ value: Value, for key: Key) {
        if recent.count >= generationCount, recent[key] == nil {
            older = recent
            recent = [:]
        }
        older[key] = nil
        recent[key] = value
    }

    /// Changes what is there, without asking for it; nothing if it is not.
    public mutating func update(_ key: Key, _ body: (inout Value) -> Void) {
        if recent[key] != nil { body(&recent[key]!) } else if older[key] != nil { body(&older[key]!) }
    }

    public mutating func remove(_ key: Key) {
        recent[key] = nil
        older[key] = nil
    }

    public mutating func removeAll() {
        recent = [:]
        older = [:]
    }
}
