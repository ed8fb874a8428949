import KernelJSON
import KernelStructures

/// How a lock is wanted.
public enum LockKind: Equatable, Sendable {
    /// Alone.
    case exclusive
    /// Together with other readers.
    case shared
    /// As one of so many.
    case permit(of: Int)

    public var name: String {
        switch self {
        case .exclusive: "exclusive"
        case .shared: "shared"
        case .permit(let limit): "permit of \(limit)"
        }
    }

    /// Permits of one semaphore.
    public static let permitLimit = 1_000_000
}

/// Those who have a lock and those who wait for it, in the order in which they came.
///
/// Pure: it is made from the keys below a lock's prefix, and says who of them is let in. The keys are the queue itself:
/// a place in it cannot be lost, taken twice or forgotten, and it goes with its owner's lease.
///
/// An exclusive claim waits for all before it; a shared one for the exclusive ones before it, so a writer that waits is
/// not overtaken by readers for ever; a permit for all but `limit - 1` of those before it, and where they say different
/// limits the least of them counts, so that nobody shares with more than agreed. Each claim is let in as soon as those
/// it waits for are gone: nobody is woken for nothing.
public struct LockQueue: Equatable, Sendable {
    public struct Claim: Equatable, Sendable {
        public let key: Key
        /// The revision of the claim's birth: the fencing token once it is granted.
        public let token: Int64
        public let lease: Int64
        public let kind: LockKind
        /// As the owner called itself; otherwise made of its lease, or of its key: `client-7f3`.
        public let owner: String
    }

    public let name: String
    /// In the order in which they came.
    public let claims: [Claim]

    /// - Parameter keyValues: what is below the lock's prefix, in any order. Those of a lock `name/more` are passed
    ///   over.
    public init(name: String, _ keyValues: [KeyValue]) {
        self.name = name
        claims = keyValues.filter { Self.name(of: $0.key) == name }.sorted { $0.createRevision < $1.createRevision }
            .map(Claim.init)
    }

    /// The same queue with one more, in its place.
    public func adding(_ keyValue: KeyValue) -> LockQueue {
        var all = claims.filter { $0.key != keyValue.key } + [Claim(keyValue)]
        all.sort { $0.token < $1.token }
        return LockQueue(name: name, claims: all)
    }

    private init(name: String, claims: [Claim]) {
        self.name = name
        self.claims = claims
    }

    /// Whether the claim at that place is let in.
    public func isGranted(_ index: Int) -> Bool {
        let claim = claims[index]
        let before = claims[..<index]
        return switch claim.kind {
        case .exclusive: before.isEmpty
        case .shared: before.allSatisfy { $0.kind == .shared }
        case .permit:
            claims[...index].allSatisfy { if case .permit(let limit) = $0.kind { before.count < limit } else { false } }
        }
    }

    public func isGranted(_ key: Key) -> Bool {
        claims.firstIndex { $0.key == key }.map(isGranted) ?? false
    }

    public var holders: [Claim] { claims.indices.filter(isGranted).map { claims[$0] } }
    public var waiters: [Claim] { claims.indices.filter { !isGranted($0) }.map { claims[$0] } }

    /// The claims that the one at `index` waits for: those before it that keep it out.
    public func blockers(of index: Int) -> [Claim] {
        guard !isGranted(index) else { return [] }
        let before = claims[..<index]
        return switch claims[index].kind {
        case .exclusive, .permit: Array(before)
        case .shared: before.filter { $0.kind != .shared }
        }
    }

    /// The prefix of a lock's keys.
    public static func prefix(_ name: String) -> Key { Array(name.utf8) + [UInt8(ascii: "/")] }

    /// The key of a claim, as etcd's own lock makes it: the name and the lease in hexadecimal.
    public static func key(_ name: String, lease: Int64) -> Key {
        prefix(name) + Array(hexadecimal(UInt64(bitPattern: lease)).utf8)
    }

    /// The name in front of the last slash; nil for a key that belongs to no lock.
    public static func name(of key: Key) -> String? {
        guard let slash = key.lastIndex(of: UInt8(ascii: "/")), slash > 0, slash + 1 < key.count else { return nil }
        return String(validating: key[..<slash], as: UTF8.self)
    }
}

extension LockQueue.Claim {
    init(_ one: KeyValue) {
        key = one.key
        token = one.createRevision
        lease = one.lease
        let words = LockWords(one.value)
        kind = words.kind
        owner = words.owner ?? Self.ownerName(one)
    }

    private static func ownerName(_ one: KeyValue) -> String {
        let name = one.key.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).last ?? []
        let tail =
            one.lease != 0 ? hexadecimal(UInt64(bitPattern: one.lease)) : String(decoding: name, as: UTF8.self)
        return "client-" + tail.suffix(3)
    }
}

/// What a claim's value says of it, where it is one of the lab's own: `{"owner":"worker-1","kind":"shared"}`. Other
/// clients' values may be anything, and mean an exclusive claim.
public struct LockWords: Equatable, Sendable {
    public var kind = LockKind.exclusive
    public var owner: String?

    public init(kind: LockKind = .exclusive, owner: String? = nil) {
        self.kind = kind
        self.owner = owner
    }

    init(_ value: [UInt8]) {
        guard value.first == UInt8(ascii: "{"), let json = try? JSONValue(parsing: value) else { return }
        if case .string(let name)? = json["owner"], !name.isEmpty { owner = name }
        switch json["kind"] {
        case .string("shared")?: kind = .shared
        case .string("permit")?:
            if case .integer(let limit)? = json["permits"], (1...LockKind.permitLimit).contains(limit) {
                kind = .permit(of: limit)
            }
        default: break
        }
    }

    public var bytes: [UInt8] {
        var members: [(key: String, value: JSONValue)] = []
        if let owner { members.append(("owner", .string(owner))) }
        switch kind {
        case .exclusive: break
        case .shared: members.append(("kind", "shared"))
        case .permit(let limit): members += [("kind", "permit"), ("permits", .integer(limit))]
        }
        return members.isEmpty ? [] : JSONValue.object(members).bytes()
    }
}
