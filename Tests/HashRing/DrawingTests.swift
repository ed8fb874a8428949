import HashRingEngine
import KernelStructures
import Testing

@Suite("The drawing")
struct DrawingTests {
    @Test("labels are the owners of the eight directions, a key is inside, in its own")
    func drawing() {
        let eighth = UInt64(1) << 61
        let ring = HashRing(
            tokens: [
                ("node-A", 0), ("node-B", eighth), ("node-C", eighth * 2), ("node-A", eighth * 3),
                ("node-B", eighth * 4), ("node-C", eighth * 5), ("node-A", eighth * 6), ("node-B", eighth * 7),
            ])
        #expect(
            RingDrawing.lines(ring, keys: []).joined(separator: "\n") == """
                Ring (0 to 2^32):
                              node-A-v1
                   ╭──────────────────────────────╮
                B-v3                              B-v1
                   │                              │
                A-v3                              C-v1
                   │                              │
                C-v2                              A-v2
                   ╰──────────────────────────────╯
                              node-B-v2
                """)
    }

    @Test("no line is wider than a terminal, whatever the names; keys never leave the box")
    func widths() throws {
        let long = String(repeating: "n", count: 100)
        for names in [["a"], ["node-", "node-a"], [long + "1", long + "2"], ["x-1", "x-2"]] {
            let ring = try HashRing(names.map { RingNode($0) })
            for number in 0..<50 {
                let keys = (0..<7).map { "\(number)/\($0)" + String(repeating: "k", count: $0 * 9) } + ["\n\u{1B}[2J"]
                let lines = RingDrawing.lines(ring, keys: keys)
                #expect(lines.count == 10)
                for line in lines { #expect(line.count <= 80 && !line.contains("\u{1B}")) }
                let margins = lines[2].prefix { $0 == " " }.count
                for line in lines[3...7] {
                    let inside = Array(line)[(margins + 1)...(margins + 30)]
                    let text = String(inside).trimmingBlanks
                    #expect(text.isEmpty || text.hasPrefix("[") && text.hasSuffix("]"), "\(line)")
                }
            }
        }
        #expect(RingDrawing.lines(HashRing(), keys: ["x"]) == ["Ring (0 to 2^32):", "no nodes yet"])
    }

    @Test("a key stands on the side where its position is")
    func sides() throws {
        let ring = try HashRing(members(3))
        for number in 0..<200 {
            let key = "\(number)"
            let position = ring.position(of: key)
            let lines = RingDrawing.lines(ring, keys: [key])
            let margin = lines[2].prefix { $0 == " " }.count
            let row = try #require(lines.firstIndex { $0.contains("[\(key)]") })
            let line = Array(lines[row])
            let column = try #require(line.firstIndex(of: "[")) - margin
            let eighths = position >> 61
            // The outer eighths on either side are clear; what is near the top or the bottom may be in the middle.
            if eighths == 1 || eighths == 2 { #expect(column > 15, "\(lines)") }
            if eighths == 5 || eighths == 6 { #expect(column < 15, "\(lines)") }
            if eighths == 0 || eighths == 7 { #expect(row <= 5) }
            if eighths == 3 || eighths == 4 { #expect(row >= 5) }
        }
    }
}

extension String {
    fileprivate var trimmingBlanks: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
