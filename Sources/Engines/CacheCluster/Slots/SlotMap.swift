import KernelStructures

/// Who has which slot, and on which nodes its copies lie.
///
/// Every node keeps one of its own, and they need not agree at any moment: a slot's record with the greater version
/// replaces the other, wherever it comes from, so that all maps become the same once everybody has heard of
/// everything. A digest, kept up with each change, tells whether two are.
public struct SlotMap: Sendable {
    /// What is known of a slot.
    public struct Record: Equatable, Sendable {
        /// nil: nobody has it.
        public var owner: ClusterNodeID?
        public var version: SlotVersion
        /// Where its copies are that count in an election, the first to take over first.
        public var copies: [ClusterNodeID] = []
        /// Somebody has put it there by hand: the ring leaves it alone.
        public var isPinned = false
        /// The owner was elected, and began with the copy that it had: everything up to this place in the stream of
        /// the owner before it. nil: it was handed over, or was new.
        public var takenAt: Int?

        public static let vacant = Record(owner: nil, version: .none)

        /// How many nodes have it if all goes well, and how many of those are a majority.
        public var copyCount: Int { copies.count + 1 }
        public var majority: Int { copyCount / 2 + 1 }
        /// Of how many copies besides the owner's the newest must be known, so that it has every write that a majority
        /// had. The owner always has them: n − q others may lack one.
        public var examinedForElection: Int { copies.isEmpty ? 0 : copyCount - majority + 1 }
    }

    /// Neighbouring slots of which the same is known.
    public struct Run: Equatable, Sendable {
        public var slots: ClosedRange<Int>
        public var record: Record
    }

    private var numbers: [UInt16]
    private var versions: [UInt64]
    private var takenAt: [Int32: Int] = [:]
    /// What `numbers` stands for; the first is nobody.
    private var holders: [Holders] = [Holders(owner: nil, copies: [], isPinned: false)]
    private var holderNumbers: [Holders: UInt16] = [:]
    public private(set) var digest: UInt64 = 0
    /// Grows with each change.
    public private(set) var changeCount = 0

    private struct Holders: Hashable, Sendable {
        let owner: ClusterNodeID?
        let copies: [ClusterNodeID]
        let isPinned: Bool
    }

    /// Nodes that may hold copies of one slot.
    public static let copyLimit = 16

    public init() {
        numbers = [UInt16](repeating: 0, count: SlotSet.slotCount)
        versions = [UInt64](repeating: 0, count: SlotSet.slotCount)
        holderNumbers[holders[0]] = 0
    }

    public subscript(slot: Int) -> Record {
        let holder = holders[Int(numbers[slot])]
        return Record(
            owner: holder.owner, version: version(of: slot), copies: holder.copies, isPinned: holder.isPinned,
            takenAt: takenAt[Int32(slot)])
    }

    public func owner(of slot: Int) -> ClusterNodeID? { holders[Int(numbers[slot])].owner }
    public func version(of slot: Int) -> SlotVersion { SlotVersion(bits: versions[slot]) }
    public func copies(of slot: Int) -> [ClusterNodeID] { holders[Int(numbers[slot])].copies }
    public func isPinned(_ slot: Int) -> Bool { holders[Int(numbers[slot])].isPinned }
    public func wasTakenOver(_ slot: Int) -> Bool { takenAt[Int32(slot)] != nil }

    public func slots(of owner: ClusterNodeID?) -> SlotSet {
        let wanted = holders.map { $0.owner == owner }
        var set = SlotSet()
        for slot in 0..<SlotSet.slotCount where wanted[Int(numbers[slot])] { set.insert(slot) }
        return set
    }

    public func slotCount(of owner: ClusterNodeID?) -> Int { slots(of: owner).count }
    public var hasOwners: Bool { numbers.contains { holders[Int($0)].owner != nil } }

    /// Takes a record over if it is newer than what is known. Of two with one version, which only hands can make, the
    /// greater owner's holds, so that everybody decides alike.
    @discardableResult
    public mutating func merge(_ record: Record, into slot: Int) -> Bool {
        let old = version(of: slot)
        if record.version < old { return false }
        if record.version == old {
            guard let new = record.owner, let current = owner(of: slot) else { return false }
            if new <= current { return false }
        }
        set(record, of: slot)
        return true
    }

    private mutating func set(_ record: Record, of slot: Int) {
        digest ^= contribution(of: slot)
        numbers[slot] = number(of: record)
        versions[slot] = record.version.bits
        takenAt[Int32(slot)] = record.takenAt
        digest ^= contribution(of: slot)
        changeCount += 1
    }

    private mutating func number(of record: Record) -> UInt16 {
        let holder = Holders(owner: record.owner, copies: record.copies, isPinned: record.isPinned)
        if let number = holderNumbers[holder] { return number }
        if holders.count > Int(UInt16.max) / 2 { forgetUnused() }
        let number = UInt16(holders.count)
        holders.append(holder)
        holderNumbers[holder] = number
        return number
    }

    /// There are at most as many in use as there are slots.
    private mutating func forgetUnused() {
        let old = holders
        let oldNumbers = numbers
        holders = [old[0]]
        holderNumbers = [old[0]: 0]
        var translation: [UInt16: UInt16] = [0: 0]
        for (slot, number) in oldNumbers.enumerated() {
            if translation[number] == nil {
                translation[number] = UInt16(holders.count)
                holderNumbers[old[Int(number)]] = UInt16(holders.count)
                holders.append(old[Int(number)])
            }
            numbers[slot] = translation[number]!
        }
    }

    private func contribution(of slot: Int) -> UInt64 {
        if versions[slot] == 0 { return 0 }
        let owner = holders[Int(numbers[slot])].owner?.hash64 ?? 0
        return mixed(mixed(versions[slot] ^ owner) ^ UInt64(slot))
    }

    /// All that is known of some slots; those of which nothing is known are left out.
    public func runs(_ slots: SlotSet = .all) -> [Run] {
        var runs: [Run] = []
        var previous = -2
        slots.forEach { slot in
            guard versions[slot] != 0 else { return }
            let continues =
                previous == slot - 1 && numbers[slot] == numbers[previous] && versions[slot] == versions[previous]
                && takenAt[Int32(slot)] == takenAt[Int32(previous)]
            if continues {
                runs[runs.count - 1].slots = runs[runs.count - 1].slots.lowerBound...slot
            } else {
                runs.append(Run(slots: slot...slot, record: self[slot]))
            }
            previous = slot
        }
        return runs
    }
}
