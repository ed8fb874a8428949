/// How often something was decided about a slot: of two accounts of who has it, the one with the greater version holds.
///
/// ```
///   epoch (31 bits) │ handoff (16) │ copies (16)
/// ```
///
/// The *epoch* is that of the election that gave the slot to its owner (Redis cluster specification, "Configuration
/// epoch"). Within an epoch only the owner decides: it counts *handoff* up when it gives the slot to somebody else, who
/// is then the one to decide, and *copies* up when it takes another set of nodes for the slot's copies. So no two nodes
/// ever make the same version, and nobody has to be asked.
public struct SlotVersion: Comparable, Hashable, Sendable {
    public let bits: UInt64

    public static let none = SlotVersion(bits: 0)
    /// Greater epochs are refused wherever they come from.
    public static let epochLimit = 1 << 31 - 1
    private static let partLimit = 0xFFFF

    init(bits: UInt64) { self.bits = bits }

    public init(epoch: Int, handoff: Int = 0, copies: Int = 0) {
        bits = UInt64(epoch) << 32 | UInt64(handoff) << 16 | UInt64(copies)
    }

    public var epoch: Int { Int(bits >> 32) }
    public var handoff: Int { Int(bits >> 16 & 0xFFFF) }
    public var copies: Int { Int(bits & 0xFFFF) }

    /// What stays the same as long as one node has the slot without a break.
    public var reign: SlotVersion { SlotVersion(bits: bits & ~0xFFFF) }

    /// The next owner's; nil when an epoch has seen too many of them, and an election is needed.
    public var afterHandoff: SlotVersion? {
        handoff < Self.partLimit ? SlotVersion(epoch: epoch, handoff: handoff + 1) : nil
    }

    /// With the next set of copies; nil when there were too many of them.
    public var afterChangeOfCopies: SlotVersion? { copies < Self.partLimit ? SlotVersion(bits: bits + 1) : nil }

    public static func < (a: SlotVersion, b: SlotVersion) -> Bool { a.bits < b.bits }
}

extension SlotVersion: CustomStringConvertible {
    public var description: String { "\(epoch).\(handoff).\(copies)" }
}
