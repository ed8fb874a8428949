import CProcessor
import Glibc
import KernelStructures

/// A sorted set of entries that only grows (Pugh 1990).
///
/// ## The problem
///
/// The newest writes have to be sorted, because a table is written in order and because reads and scans look here
/// first; and they come in any order. A balanced tree does that with rotations. A skip list does it with dice.
///
/// ## An everyday picture
///
/// A railway line with stopping and express trains. The stopping train calls at every station in order. One station in
/// four is an express stop, one in four of those a stop of the night express, and so on. To get somewhere, take the
/// fastest train that does not run past it, change down, and repeat. Which station gets which platform is drawn at
/// random when it is built, and no station is ever moved for another.
///
/// ## How
///
/// A node of height *h* is linked into the lists 0 to *h*−1; each height is a quarter as likely as the one below. A
/// search takes about log₄ n steps down and as many right. An insertion remembers the last node before its place in
/// each list, and puts itself in behind them. Keys that come in ascending order, the commonest special case, need no
/// search: the last node of every list is kept.
///
/// In memory a node is one piece, links before it and bytes after it, so that a step touches one place:
///
///     … link 2, link 1, link 0, | key length (4), value length (4), internal key, value
///
/// ## Where it is wrong
///
/// Each step of a search goes to another part of memory, and with a few megabytes most of the time is waiting for it.
/// B-trees in memory touch fewer places. But they move entries, and iterators here point at entries.
final class SkipList {
    typealias Node = UnsafeMutableRawPointer
    static let heightLimit = 12
    private static let headerByteCount = 8

    let arena = Arena()
    private let head: Node
    private var height = 1
    private var random: SeededRandom
    /// The last node of each list.
    private let tails: UnsafeMutablePointer<Node>
    /// Where an insertion goes, list by list.
    private let before: UnsafeMutablePointer<Node>
    private(set) var count = 0

    init(random: SeededRandom) {
        self.random = random
        tails = .allocate(capacity: Self.heightLimit)
        before = .allocate(capacity: Self.heightLimit)
        head = Self.makeNode(arena, height: Self.heightLimit, keyByteCount: 0, valueByteCount: 0)
        tails.initialize(repeating: head, count: Self.heightLimit)
        before.initialize(repeating: head, count: Self.heightLimit)
    }

    deinit {
        tails.deallocate()
        before.deallocate()
    }

    private static func makeNode(_ arena: Arena, height: Int, keyByteCount: Int, valueByteCount: Int) -> Node {
        let links = height * 8
        let memory = arena.allocate(links &+ headerByteCount &+ keyByteCount &+ valueByteCount)
        let node = memory + links
        for level in 0..<height { setLink(node, level, nil) }
        node.storeBytes(of: UInt32(truncatingIfNeeded: keyByteCount), as: UInt32.self)
        node.storeBytes(of: UInt32(truncatingIfNeeded: valueByteCount), toByteOffset: 4, as: UInt32.self)
        return node
    }

    @inline(__always) private static func link(_ node: Node, _ level: Int) -> Node? {
        (node - (level &+ 1) &* 8).load(as: Node?.self)
    }

    @inline(__always) private static func setLink(_ node: Node, _ level: Int, _ next: Node?) {
        (node - (level &+ 1) &* 8).storeBytes(of: next, as: Node?.self)
    }

    /// The internal key of a node.
    @inline(__always) static func key(_ node: Node) -> Bytes {
        Bytes(
            UnsafePointer((node + headerByteCount).assumingMemoryBound(to: UInt8.self)),
            Int(node.load(as: UInt32.self)))
    }

    @inline(__always) static func value(_ node: Node) -> Bytes {
        let keyByteCount = Int(node.load(as: UInt32.self))
        return Bytes(
            UnsafePointer((node + headerByteCount + keyByteCount).assumingMemoryBound(to: UInt8.self)),
            Int(node.load(fromByteOffset: 4, as: UInt32.self)))
    }

    private func randomHeight() -> Int {
        min(Self.heightLimit, 1 + (random.next() | 1 << 62).trailingZeroBitCount / 2)
    }

    /// Adds an entry. No equal internal key may be there.
    @inline(__always) func insert(_ userKey: Bytes, _ tag: UInt64, _ value: Bytes) {
        if tails[0] == head || InternalKey.compare(Self.key(tails[0]), userKey, tag) < 0 {
            link(in: tails, userKey, tag, value)
        } else {
            findBefore(userKey, tag)
            link(in: before, userKey, tag, value)
        }
    }

    @inline(__always)
    private func link(in places: UnsafeMutablePointer<Node>, _ userKey: Bytes, _ tag: UInt64, _ value: Bytes) {
        let nodeHeight = randomHeight()
        let node = Self.makeNode(
            arena, height: nodeHeight, keyByteCount: userKey.count &+ InternalKey.tagByteCount,
            valueByteCount: value.count)
        let bytes = (node + Self.headerByteCount).assumingMemoryBound(to: UInt8.self)
        memcpy(bytes, userKey.start, userKey.count)
        (bytes + userKey.count).store64(tag)
        memcpy(bytes + userKey.count + InternalKey.tagByteCount, value.start, value.count)
        while height < nodeHeight {
            places[height] = head
            height &+= 1
        }
        for level in 0..<nodeHeight {
            let next = Self.link(places[level], level)
            Self.setLink(node, level, next)
            Self.setLink(places[level], level, node)
            if next == nil { tails[level] = node }
        }
        count &+= 1
    }

    /// Fills `before` with the last node before the key in each list.
    private func findBefore(_ userKey: Bytes, _ tag: UInt64) {
        var node = head
        var level = height &- 1
        // Known to lie beyond the key: lists above often end at the same node as those below.
        var beyond: Node?
        while true {
            let next = Self.link(node, level)
            if let next, next != beyond {
                if InternalKey.compare(Self.key(next), userKey, tag) < 0 {
                    node = next
                    continue
                }
                beyond = next
            }
            before[level] = node
            if level == 0 { return }
            level &-= 1
        }
    }

    /// The first node at or after the key.
    @inline(__always) func first(atOrAfter userKey: Bytes, _ tag: UInt64) -> Node? {
        var node = head
        var level = height &- 1
        var beyond: Node?
        while true {
            let next = Self.link(node, level)
            if let next, next != beyond {
                if InternalKey.compare(Self.key(next), userKey, tag) < 0 {
                    node = next
                    continue
                }
                beyond = next
            }
            if level == 0 { return next }
            level &-= 1
        }
    }

    var first: Node? { Self.link(head, 0) }
    var last: Node? { tails[0] == head ? nil : tails[0] }
    @inline(__always) static func after(_ node: Node) -> Node? { link(node, 0) }

    /// The last node before the one with this key. Links lead only forward, so this is a search.
    func last(before userKey: Bytes, _ tag: UInt64) -> Node? {
        var node = head
        var level = height &- 1
        while true {
            if let next = Self.link(node, level), InternalKey.compare(Self.key(next), userKey, tag) < 0 {
                node = next
            } else if level == 0 {
                return node == head ? nil : node
            } else {
                level &-= 1
            }
        }
    }
}
