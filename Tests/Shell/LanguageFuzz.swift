import ShellLanguage
import Testing

/// Random and mutated text: the parser and the expansion neither crash nor hang, whatever they are given.
@Suite struct LanguageFuzz {
    static let pieces = [
        "for", "in", "do", "done", "while", "until", "if", "then", "elif", "else", "fi", "echo", "true", "false",
        "x", "x=1", "i", "a", "'", "\"", "\\", "$", "$x", "${x}", "${", "}", "$(", ")", "$((", "))", "(", "{",
        "{a,b}", "{1..3}", "{a..c}", ",", "..",
        "|", "||", "&", "&&", ";", "\n", "\r\n", "\r", " ", "\t", ">", ">>", "<", "2>", "2>&1", ">&2", "<<E", "<<-E",
        "<<'E'", "E", "\nE\n", "#", "*", "?", "[", "]", "[a-z]", "!", "!cmd", "->", "<->", "{A,B}|{C}", "=", "==",
        "1", "9223372036854775807", "-", "+", "%",
        "/", "é", "🙂", "\u{301}", "\u{0}", "\u{A0}", "\u{2028}", "\u{0C}", "\u{FEFF}", "$?", "break", "continue",
        "cat", "&>", "eyJ...",
    ]

    static func randomScript(_ dice: inout Dice) -> String {
        (0..<dice.roll(24)).map { _ in dice.pick(pieces) + (dice.roll(3) == 0 ? " " : "") }.joined()
    }

    static func mutated(_ text: String, _ dice: inout Dice) -> String {
        var characters = Array(text)
        for _ in 0...dice.roll(4) {
            let place = dice.roll(characters.count + 1)
            switch dice.roll(4) {
            case 0 where place < characters.count: characters.remove(at: place)
            case 1: characters.insert(contentsOf: dice.pick(pieces), at: place)
            case 2 where place < characters.count:
                characters.replaceSubrange(
                    place..<min(characters.count, place + dice.roll(8)),
                    with: Array(dice.pick(pieces)))
            default: characters.removeSubrange(place...)
            }
        }
        return String(characters)
    }

    @Test(.timeLimit(.minutes(5)), arguments: 0..<8)
    func randomScriptsParseOrAreRefused(_ seed: Int) {
        var dice = Dice(UInt64(seed) + 1)
        var parsed = 0
        for round in 0..<6500 {
            let text =
                round % 2 == 0
                ? Self.randomScript(&dice)
                : Self.mutated(
                    dice.pick(LanguageTests.completeScripts),
                    &dice)
            do throws(SyntaxError) {
                let script = try Parser.parse(text)
                parsed += 1
                // Reading the same text again gives the same tree.
                if round % 50 == 0 { #expect(try! Parser.parse(text) == script) }
            } catch {
                #expect(error.position.line >= 1 && error.position.column >= 1)
                #expect(!error.text.isEmpty)
            }
        }
        // Else nothing but the error paths would have been tried.
        #expect(parsed > 500)
    }

    /// Commands that take no time and start nothing, so that whatever comes out ends.
    @Test(.timeLimit(.minutes(5)), arguments: 0..<4)
    func randomScriptsRunOrFailWithoutACrash(_ seed: Int) {
        var dice = Dice(UInt64(seed) + 100)
        let shell = LabShell()
        for _ in 0..<1500 {
            let text = Self.randomScript(&dice)
            if text.contains("while") || text.contains("until") { continue }
            let outcome = shell.run(text)
            #expect(outcome.status != nil, "\(text.debugDescription) \(String(describing: outcome.failure))")
        }
    }

    @Test(.timeLimit(.minutes(5)), arguments: 0..<4)
    func randomWordsExpand(_ seed: Int) {
        var dice = Dice(UInt64(seed) + 200)
        let shell = LabShell()
        for name in ["a", "b", "ab", "d/a", "é"] { shell.place("", at: name) }
        shell.run("x='a *'; n=7")
        let parts = [
            "{", "}", ",", "..", "1", "9", "a", "z", "-", "[", "]", "!", "^", "*", "?", "/", "${x}",
            "\"$x\"", "''", "'*'", "\\*", "$?", "$((n))", "$(echo 'a b')", "é", ".", "~",
        ]
        for _ in 0..<1500 {
            let word = (0..<1 + dice.roll(14)).map { _ in dice.pick(parts) }.joined()
            let outcome = shell.run("printf '%s\\n' \(word)")
            #expect(outcome.status == 0 || outcome.errorOutput.contains("more than"), "\(word): \(outcome.errorOutput)")
        }
    }
}
