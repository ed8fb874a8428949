import CacheEngine
import KernelWire

// What a companion may have the node do beyond answering commands.

extension CacheNode {
    /// Carries out a command of the companion's own; its effect is told as any other's.
    public func carryOut(_ words: [[UInt8]]) -> RESPValue {
        cache.now = nowMilliseconds
        let value = cache.execute(words)
        if !cache.isInTransaction { afterCommand() }
        return value
    }

    /// Tells subscribers of what was published elsewhere.
    public func hear(_ channel: [UInt8], _ message: [UInt8], toShard: Bool) {
        deliver(channel, message, toShard: toShard)
        announce()
    }

    /// The cache was changed from outside: its calendar, and what is still to be told of it.
    public func keepTime() { cache.now = nowMilliseconds }
    public func noteChanges() { if !announcements.isEmpty { announce() } }
}
