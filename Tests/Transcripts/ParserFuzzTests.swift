import KernelStructures
import ShellTranscripts
import Testing

@Suite("Broken transcripts") struct ParserFuzzTests {
    /// Pieces of text that mean something to the reader.
    static let pieces = [
        "$ ", "\n", "\r\n", "\r", "@case x\n", "@quote\n", "@end\n", "@include a\n", "-- f --\n", "[LB] ",
        "[30 seconds later]\n", "[exit 1]\n",
        "...", "<int:a>", "<=a>", "<", ">", " (re)", " (?)", " (never)", " # ", " ← ", "'", "\"", "`", "$(", ")", "{",
        "}", "&", "|", "<<E\n", "do",
        "done", "\\", "\\\n", "(((", "*", "[", "]", "🦊", "\u{0}", "\u{2028}", "\u{301}", "@",
        "# Terminal 99999999999999999999\n",
    ]

    static func mutated(_ text: [Character], _ random: inout SeededRandom) -> String {
        var text = text
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            let place = Int.random(in: 0...text.count, using: &random)
            let end = min(text.count, place + Int.random(in: 0...40, using: &random))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: text.removeSubrange(place..<end)
            case 1: text.insert(contentsOf: Array(pieces.randomElement(using: &random)!), at: place)
            case 2: text.insert(contentsOf: text[place..<end], at: Int.random(in: 0...text.count, using: &random))
            default:
                text.replaceSubrange(place..<min(end, place + 1), with: Array(pieces.randomElement(using: &random)!))
            }
        }
        return String(text)
    }

    @Test("Whatever is broken in a transcript, reading it ends, with cases or with a message that names a place")
    func mutations() throws {
        let sources = (Samples.all.map(\.text) + [try Bench.session01()]).map { Array($0) }
        let troubles = Bench.map(Array(0..<5000)) { index -> String? in
            var random = SeededRandom(seed: UInt64(index))
            let text = Self.mutated(sources[index % sources.count], &random)
            do {
                let transcript = try Bench.parse(text, isPasted: index % 10 == 0) { _ in "$ echo included\nincluded\n" }
                // Every line is in its place.
                for item in transcript.cases.flatMap(\.items) where item.place.file == Bench.name {
                    if !(1...max(1, transcript.lines.count)).contains(item.place.line) {
                        return "\(index): \(item.place)"
                    }
                }
                return nil
            } catch let error as TranscriptError {
                return error.text.isEmpty || error.place.line < 1 ? "\(index): \(error)" : nil
            } catch {
                return "\(index): \(error)"
            }
        }
        #expect(troubles.compactMap { $0 }.isEmpty, "\(troubles.compactMap { $0 }.first ?? "")")
    }

    @Test("An open quote at the top of a long file is found at once")
    func longOpenQuote() {
        let text = "$ echo 'open\n" + String(repeating: "a line of forty characters or so, I think\n", count: 20_000)
        let error = Bench.error(text)
        #expect(error?.place.line == 1)
        #expect(error?.text.contains("does not end within 1000 lines") == true)
    }
}
