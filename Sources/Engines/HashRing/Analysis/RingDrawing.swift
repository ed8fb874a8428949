import Glibc
import KernelStructures

/// The ring as a drawing: who is where, on a dial with zero at the top and positions growing clockwise.
///
/// ```
/// Ring (0 to 2^32):
///                   node-A-v23
///         ╭──────────────────────────────╮
///      A-v1                              A-v45
///         │                              │
///     C-v12                              B-v78
///         │                 [user:123]   │
///     C-v98                              B-v3
///         ╰──────────────────────────────╯
///                   node-C-v56
/// ```
///
/// The eight labels are the points that own the positions 0, ⅛, ¼ … of the ring; at the sides without what all nodes'
/// names begin with. A key stands inside, in its direction from the middle. Positions have 64 bits, of which the
/// drawing means the upper 32.
public enum RingDrawing {
    private static let innerWidth = 30
    private static let sideLimit = 20
    private static let keyLimit = 20
    /// Rows inside the box.
    private static let rowCount = 5

    /// - Parameter keys: as many as fit are drawn, one a row.
    public static func lines(_ ring: HashRing, keys: [String]) -> [String] {
        let title = "Ring (0 to 2^32):"
        if ring.isEmpty { return [title, "no nodes yet"] }
        let prefix = commonPrefix(ring.nodes.map(\.name))
        let labels = (0..<8).map { eighth in
            let (node, number) = ring.label(ofPoint: ring.pointIndex(at: UInt64(eighth) << 61))
            let isSide = eighth % 4 != 0
            let name = isSide ? String(node.dropFirst(prefix)) : node
            return shortened(name, to: sideLimit - 6) + "-v\(number)"
        }
        let left = [labels[7], "│", labels[6], "│", labels[5]]
        let right = [labels[1], "│", labels[2], "│", labels[3]]
        let inner = innerRows(ring, keys)
        let margin = left.map(\.count).max()!
        let indent = String(repeating: " ", count: margin - 1)
        var lines = [title, centred(labels[0], margin)]
        lines.append(indent + "╭" + String(repeating: "─", count: innerWidth) + "╮")
        for row in 0..<rowCount {
            let gap = String(repeating: " ", count: margin - left[row].count)
            lines.append(gap + left[row] + String(inner[row]) + right[row])
        }
        lines.append(indent + "╰" + String(repeating: "─", count: innerWidth) + "╯")
        lines.append(centred(labels[4], margin))
        return lines
    }

    /// What all names begin with, up to and including a dash: `node-`. Characters.
    private static func commonPrefix(_ names: [String]) -> Int {
        var prefix = names[0][...]
        for name in names { prefix = prefix.prefix(zip(prefix, name).prefix { $0 == $1 }.count) }
        guard let dash = prefix.lastIndex(of: "-") else { return 0 }
        let length = prefix.distance(from: prefix.startIndex, to: dash) + 1
        // A name must not become empty.
        return names.contains { $0.count == length } ? 0 : length
    }

    private static func innerRows(_ ring: HashRing, _ keys: [String]) -> [[Character]] {
        var rows = [[Character]](repeating: Array(repeating: " ", count: innerWidth), count: rowCount)
        var isTaken = [Bool](repeating: false, count: rowCount)
        for key in keys {
            let text = Array("[" + shortened(printable(key), to: keyLimit) + "]")
            let angle = Double(ring.position(of: key)) * 0x1p-64 * 2 * Double.pi
            let wanted = Int(((1 - cos(angle)) / 2 * Double(rowCount - 1)).rounded())
            // Somebody else's row: the nearest that is free.
            let free = (0..<rowCount).filter { !isTaken[$0] }.min { abs($0 - wanted) < abs($1 - wanted) }
            guard let row = free else { return rows }
            isTaken[row] = true
            let room = innerWidth - text.count - 2
            let column = 1 + Int(((1 + sin(angle)) / 2 * Double(room)).rounded())
            rows[row].replaceSubrange(column..<(column + text.count), with: text)
        }
        return rows
    }

    private static func centred(_ label: String, _ margin: Int) -> String {
        let space = margin + (innerWidth - label.count) / 2
        return String(repeating: " ", count: max(0, space)) + label
    }

    private static func shortened(_ text: String, to limit: Int) -> String {
        text.count <= limit ? text : text.prefix(limit - 1) + "…"
    }
}
