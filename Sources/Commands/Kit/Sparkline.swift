/// A row of numbers as a curve one line high.
///
/// Zero is a blank, so that "nothing" cannot be taken for "little"; the rest is cut into equal steps up to the largest.
public struct Sparkline: Sendable {
    /// What curves are drawn with. Fonts disagree about braille, and some terminals have neither.
    public enum Glyphs: String, CaseIterable, Sendable {
        case block, braille, ascii

        /// How many numbers one character shows.
        public var valuesPerCharacter: Int { self == .braille ? 2 : 1 }
    }

    public let glyphs: Glyphs
    /// What the highest glyph means; several curves with the same can be compared.
    public let top: Int

    public init(_ glyphs: Glyphs, top: Int) {
        self.glyphs = glyphs
        self.top = top
    }

    private static let blocks = Array("▁▂▃▄▅▆▇█")
    private static let letters = Array(".:-=+*#@")

    /// As many characters as there are numbers; half as many in braille.
    public func text(_ values: [Int]) -> String {
        switch glyphs {
        case .block: String(values.map { level($0, 8).map { Self.blocks[$0 - 1] } ?? " " })
        case .ascii: String(values.map { level($0, 8).map { Self.letters[$0 - 1] } ?? " " })
        case .braille:
            String(
                stride(from: 0, to: values.count, by: 2).map { index in
                    braille(values[index], index + 1 < values.count ? values[index + 1] : 0)
                })
        }
    }

    /// 1…`steps`; nil for nothing.
    private func level(_ value: Int, _ steps: Int) -> Int? {
        guard value > 0, top > 0 else { return nil }
        return min(steps, max(1, (value * steps + top - 1) / top))
    }

    /// Two columns of four dots. Their bits, from the bottom up, are in Unicode's order of 1963, when there were six.
    private func braille(_ left: Int, _ right: Int) -> Character {
        let leftDots: [UInt32] = [0x40, 0x04, 0x02, 0x01]
        let rightDots: [UInt32] = [0x80, 0x20, 0x10, 0x08]
        var bits: UInt32 = 0
        for step in 0..<(level(left, 4) ?? 0) { bits |= leftDots[step] }
        for step in 0..<(level(right, 4) ?? 0) { bits |= rightDots[step] }
        return bits == 0 ? " " : Character(Unicode.Scalar(0x2800 + bits)!)
    }
}

/// Text cut into lines between words; lines after the first begin with `indent` blanks.
public func wrapped(_ text: String, columns: Int = 80, indent: Int = 0) -> String {
    var lines: [String] = []
    var line: String?
    for word in text.split(separator: " ", omittingEmptySubsequences: false) {
        guard let before = line else {
            line = String(word)
            continue
        }
        if !before.allSatisfy({ $0 == " " }), displayWidth(before) + 1 + displayWidth(String(word)) > columns {
            lines.append(before)
            line = String(repeating: " ", count: indent) + word
        } else {
            line = before + " " + word
        }
    }
    return (lines + [line ?? ""]).joined(separator: "\n")
}
