import KernelCryptography
import KernelRedis
import KernelStructures
import KernelWire

extension CacheCommand {
    static var scriptCommands: [CacheCommand] {
        let group = "scripting"
        let flags: Flags = [.write, .movableKeys]
        return [
            CacheCommand(
                "eval", -3, flags, .counted(at: 2), group: group, "Runs a script that is one of those known here"
            ) { cache, words, reply throws(CacheError) in
                guard let script = LockScript(digest: LockScript.digest(of: words.bytes(1))) else {
                    throw .text(LockScript.refusal)
                }
                try script.run(cache, words, &reply)
            },
            CacheCommand(
                "evalsha", -3, flags, .counted(at: 2), group: group, "Runs a script that is one of those known here"
            ) { cache, words, reply throws(CacheError) in
                guard let script = LockScript(digest: words.text(1).lowercased()) else {
                    throw .text("NOSCRIPT No matching script. Please use EVAL.")
                }
                try script.run(cache, words, &reply)
            },
        ]
    }
}

/// The scripts of redis-py's `Lock`, known by the digests of their text. There is no interpreter here: what they do is
/// written in Swift below.
public enum LockScript: String, CaseIterable, Sendable {
    case release = "c3f8721cbb97f72bc19e972846bd7aaf91901658"
    case extend = "a4e8783852e6b949f9ef3a97212805108459a890"
    case reacquire = "1cac51482acf5858da00f6d685d68f886cd6b6b2"

    public init?(digest: String) { self.init(rawValue: digest) }

    public static func digest(of text: [UInt8]) -> String {
        MessageDigest.sha1.digest(of: text).map { hexadecimal(UInt64($0), 2) }.joined()
    }

    public static let refusal =
        "ERR this cache runs no scripts. MULTI, WATCH and EXEC make several commands one; SET with NX, GET or XX, "
        + "GETDEL and GETEX read and write in one; the scripts of redis-py's Lock are known by their digests."

    /// `EVAL script numkeys name token [milliseconds [replaces]]`
    func run(_ cache: Cache, _ words: RESPArguments, _ reply: inout RESPWriter) throws(CacheError) {
        let needed = self == .release ? 5 : self == .reacquire ? 6 : 7
        guard words.integer(2) == 1, words.count == needed else {
            throw .text("ERR this script takes 1 key and \(needed - 4) arguments")
        }
        let key = words[3]
        let id = try cache.changeString(key)
        guard id != 0, cache.slab[id].pointee.value.elementsEqual(words[4]) else { return reply.integer(0) }
        var milliseconds = 0
        if self != .release { milliseconds = try words.number(5) }
        switch self {
        case .release:
            _ = cache.delete(key)
            cache.stand("DEL", [Array(key)])
        case .extend:
            let expiry = cache.slab[id].pointee.expiry
            if expiry == 0 { return reply.integer(0) }
            let left = words.isWord(6, "0") ? expiry - cache.now : 0
            try setEnd(cache, id, key, milliseconds, plus: left)
        case .reacquire: try setEnd(cache, id, key, milliseconds, plus: 0)
        }
        reply.integer(1)
    }

    private func setEnd(_ cache: Cache, _ id: ItemID, _ key: Bytes, _ milliseconds: Int, plus left: Int)
        throws(CacheError)
    {
        let (sum, overflowed) = milliseconds.addingReportingOverflow(left)
        guard !overflowed, let end = Expiry.end(sum, true, isAbsolute: false, now: cache.now) else {
            throw .text(Complaint.expiry("pexpire"))
        }
        Strings.setEnd(cache, id, key, end)
    }
}
