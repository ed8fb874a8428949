import KernelRedis
import KernelStructures
import KernelWire

/// A command on keys: what it is called, what it may do, and what it does.
public final class CacheCommand: Sendable {
    public typealias Body = @Sendable (Cache, RESPArguments, inout RESPWriter) throws(CacheError) -> Void

    /// By Redis's names.
    public struct Flags: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        public static let write = Flags(rawValue: 1)
        public static let readOnly = Flags(rawValue: 2)
        public static let denyOutOfMemory = Flags(rawValue: 4)
        public static let fast = Flags(rawValue: 8)
        public static let blocking = Flags(rawValue: 16)
        /// Its keys cannot be told from places alone.
        public static let movableKeys = Flags(rawValue: 32)
    }

    /// Where its keys stand.
    public enum Keys: Sendable {
        case none
        /// The first, the last (negative: from the end) and the step.
        case places(Int, Int, Int)
        /// A number says how many follow; perhaps there is one more before it.
        case counted(at: Int, alsoAt: Int? = nil)
        /// SORT: the first, and behind the last STORE.
        case sort

        public static let one = Keys.places(1, 1, 1)
        public static let two = Keys.places(1, 2, 1)
        public static let all = Keys.places(1, -1, 1)
    }

    public let name: String
    public let arity: Int
    public let flags: Flags
    public let keys: Keys
    public let group: String
    public let summary: String
    let body: Body

    init(
        _ name: String, _ arity: Int, _ flags: Flags, _ keys: Keys = .one, group: String, _ summary: String,
        _ body: @escaping Body
    ) {
        self.name = name
        self.arity = arity
        self.flags = flags
        self.keys = keys
        self.group = group
        self.summary = summary
        self.body = body
    }

    public func accepts(_ wordCount: Int) -> Bool { arity >= 0 ? wordCount == arity : wordCount >= -arity }

    /// At which places of a request its keys stand. Nothing is assumed of the request.
    public func keyPlaces(_ words: RESPArguments) -> [Int] {
        switch keys {
        case .none: return []
        case .places(let first, let last, let step):
            let last = last < 0 ? words.count + last : last
            guard first < words.count, first <= last else { return [] }
            return Array(stride(from: first, through: min(last, words.count - 1), by: step))
        case .counted(let place, let also):
            var places = also.map { $0 < words.count ? [$0] : [] } ?? []
            if place < words.count, let count = words.integer(place), count > 0 {
                places += Array(place + 1..<place + 1 + min(count, words.count - place - 1))
            }
            return places
        case .sort:
            var places = words.count > 1 ? [1] : []
            for index in 2..<max(2, words.count - 1) where words.isWord(index, "STORE") { places = [1, index + 1] }
            return places
        }
    }

    /// All of them.
    public static let all: [CacheCommand] =
        stringCommands + numberCommands + bitCommands + keyCommands + expiryCommands + hashCommands + listCommands
        + blockingListCommands + setCommands + setAlgebraCommands + sortedSetCommands + sortedSetRangeCommands
        + sortedSetAlgebraCommands + serializationCommands + sortCommands + scriptCommands + objectCommands

    private static let byName: [String: CacheCommand] = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    public static func named(_ name: String) -> CacheCommand? { byName[name.lowercased()] }
}
