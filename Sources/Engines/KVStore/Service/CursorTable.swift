/// Where each `SCAN` goes on.
///
/// Clients want a cursor to be a number; here a scan goes on after a key. So this remembers, for each cursor that was
/// given out, its key. The oldest are forgotten: 4,096 cursors, or 16 MiB of keys.
final class CursorTable {
    private var keys: [Int: [UInt8]] = [:]
    private var oldest = 1
    private var next = 1
    private var byteCount = 0

    static let countLimit = 4096
    static let byteLimit = 16 << 20

    func add(_ key: [UInt8]) -> Int {
        keys[next] = key
        byteCount += key.count
        next += 1
        while keys.count > 1, keys.count > Self.countLimit || byteCount > Self.byteLimit {
            byteCount -= keys.removeValue(forKey: oldest)?.count ?? 0
            oldest += 1
        }
        return next - 1
    }

    /// The key after which the scan goes on; nil if this cursor is not known, or not any more.
    subscript(cursor: Int) -> [UInt8]? { keys[cursor] }
}
