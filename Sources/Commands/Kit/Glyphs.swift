extension Sparkline.Glyphs {
    /// A drawing with these characters in place of the block elements, lines and marks that it was drawn with, column
    /// for column.
    ///
    /// Every view that draws is drawn once, in blocks; whoever asks for others gets this. Some draw finer where they
    /// know of it (two values in a braille character): what they have drawn stays as it is.
    public func redrawn(_ text: String) -> String {
        switch self {
        case .block: text
        case .braille: String(text.map { Self.asBraille[$0] ?? $0 })
        case .ascii: String(text.map { Self.asLetters[$0] ?? $0 })
        }
    }

    /// Whether the text has characters that not every font and terminal has.
    public static func isDrawing(_ text: String) -> Bool {
        text.contains { asLetters[$0] != nil && !punctuation.contains($0) }
    }

    /// What stands in sentences as well.
    private static let punctuation: Set<Character> = ["·", "…", "→", "←", "≈"]

    private static let asBraille: [Character: Character] = [
        "█": "⣿", "▓": "⣶", "▒": "⣤", "░": "⣀", "▁": "⣀", "▂": "⣀", "▃": "⣤", "▄": "⣤", "▅": "⣶", "▆": "⣶", "▇": "⣿",
        "▏": "⡇", "▌": "⡇",
    ]

    private static let asLetters: [Character: Character] = [
        "█": "#", "▓": "%", "▒": "=", "░": ".", "▁": ".", "▂": ":", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "#",
        "▏": "|", "▌": "|", "⣿": "#", "⣶": "%", "⣤": "=", "⣀": ".", "⡇": "|", "─": "-", "│": "|", "└": "`", "├": "+",
        "▶": ">", "◀": "<", "→": ">", "←": "<", "●": "*", "◌": "o", "✗": "x", "≈": "~", "·": ".", "…": "~",
    ]
}

extension ParsedArguments {
    /// What the command is to draw with: `--glyphs`, where it knows that.
    public var glyphs: Sparkline.Glyphs {
        guard description.flag(named: "glyphs") != nil else { return .block }
        return text("glyphs").flatMap(Sparkline.Glyphs.init(rawValue:)) ?? .block
    }
}
