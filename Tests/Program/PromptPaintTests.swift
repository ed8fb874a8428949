import ShellLab
import ShellPrompt
import ShellSession
import Testing

/// How the line being typed looks, and what Tab shows: text in, text and colours out.
@Suite struct PromptPaintTests {
    private func paint(_ text: String, history: [String] = []) throws -> LinePaint {
        LinePaint(text, commands: try Lab(LabOptions()).session.commands, history: history)
    }

    private func style(of part: String, in text: String) throws -> String? {
        try paint(text).spans.first { $0.text == part }?.style
    }

    @Test(
        "the colours are the line's own text, whatever it is",
        arguments: [
            "", " ", "echo 'a b' \"c $d\" | grep -v x # so", "a\\ b", "'", "\"", "\\", "$",
            "for i in {1..3}; do echo $i; done",
            "x=1 ./backend --port 80 &", "日本語 é", "((", "a'b'c", "! true && false || :", "# only",
        ]) func text(_ line: String) throws
    {
        #expect(try paint(line).spans.map(\.text).joined() == line)
        #expect(try paint(line).spans.allSatisfy { !$0.text.isEmpty })
    }

    @Test("a known command is bold, an unknown one red once it cannot become known any more")
    func commandsAreKnownOrNot() throws {
        #expect(try style(of: "curl", in: "curl localhost") == "1")
        #expect(try style(of: "crul", in: "crul") == "31")
        #expect(try style(of: "cur", in: "cur") == "")
        #expect(try style(of: "cur", in: "cur x") == "31")
        #expect(try style(of: "./backend", in: "./backend") == "1")
        #expect(try style(of: "grep", in: "seq 3 | grep 2") == "1")
        #expect(try style(of: "curl", in: "echo curl") == "")
        #expect(try style(of: "for", in: "for i in 1") == "")
        #expect(try style(of: "x=1", in: "x=1 echo") == "")
    }

    @Test("quotes are green, an open one yellow; variables and comments differ from the rest")
    func words() throws {
        #expect(try style(of: "'a b'", in: "echo 'a b'") == "32")
        #expect(try style(of: "'a b", in: "echo 'a b") == "33")
        #expect(try style(of: "$x", in: "echo $x") == "36")
        #expect(try style(of: "# why", in: "echo a # why") == "90")
    }

    @Test("the ghost is the rest of the newest line that begins so, or what a command takes")
    func ghosts() throws {
        let history = ["echo one", "echo one two", "echo two\nlines", "sleep 3"]
        #expect(try paint("echo o", history: history).ghost == "ne two")
        #expect(try paint("echo o", history: history).isGhostTakeable)
        #expect(try paint("echo t", history: history).ghost == "")
        #expect(try paint("", history: history).ghost == "")
        #expect(try paint("advance ", history: history).ghost == "TIME")
        #expect(try !paint("advance ", history: history).isGhostTakeable)
        #expect(try paint("connpool evict ").ghost.contains("CONN") || !paint("connpool evict ").ghost.isEmpty)
        #expect(try paint("nosuch ").ghost == "")
        #expect(try paint("echo 'advance ").ghost == "")
    }

    // MARK: Candidates

    private func candidates(_ count: Int, summary: String = "") -> [Completer.Candidate] {
        (1...count).map { Completer.Candidate("word\($0)", summary) }
    }

    @Test("a few candidates stand below one another, each with what is said of it, within the terminal")
    func described() {
        let text = CandidateList.text(
            candidates(3, summary: String(repeating: "long ", count: 30)), columns: 40, rows: 20)
        let lines = text.split(separator: "\n")
        #expect(lines.count == 3 && lines.allSatisfy { $0.count <= 40 && $0.hasSuffix("…") })
        #expect(CandidateList.text(candidates(2, summary: "x"), columns: 80, rows: 20) == "word1  x\nword2  x\n")
    }

    @Test("more than a screen of candidates come in pages, and after the last the first again")
    func many() {
        for columns in [10, 40, 80] {
            for rows in [3, 5, 20] {
                let lines = CandidateList.text(candidates(5000), columns: columns, rows: rows).split(separator: "\n")
                #expect(lines.count <= rows, "\(columns) × \(rows)")
                #expect(lines.last?.hasSuffix(" of 5000; Tab shows the next") == true)
            }
        }
        #expect(CandidateList.text(candidates(2), columns: 80, rows: 20) == "word1  word2\n")
        func page(_ number: Int) -> [String] {
            CandidateList.text(candidates(7, summary: "x"), columns: 80, rows: 4, page: number).split(separator: "\n")
                .map(String.init)
        }
        #expect(page(0) == ["word1  x", "word2  x", "word3  x", "1 to 3 of 7; Tab shows the next"])
        #expect(page(2) == ["word7  x", "7 to 7 of 7; Tab shows the first again"])
        #expect(page(3) == page(0))
    }
}
