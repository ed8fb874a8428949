import Glibc
import KernelLoopback
import KernelStructures
import ShellPrompt
import Testing

/// The parts of the prompt that are text and numbers.
@Suite struct PromptTextTests {
    @Test(arguments: [
        ("", 0, 5), ("abc", 0, 8), ("12345", 1, 0), ("日本語", 1, 2), ("a日本", 1, 0), ("1234日", 1, 2),
        ("a\nb", 1, 1),
        ("\n", 1, 0), ("\t", 0, 8), ("\u{1}", 0, 7), ("e\u{301}", 0, 6), ("12345678901234567890", 2, 5),
    ]) func theCursorsRowFollowsFromWhatWasTyped(text: String, row: Int, column: Int) {
        setlocale(LC_CTYPE, "C.UTF-8")
        let columns = text == "" || text == "abc" || text == "\t" ? 20 : 10
        var position = ScreenPosition(promptWidth: 5, columns: columns)
        position.advance(over: text.unicodeScalars)
        #expect(position.row == row)
        #expect(position.column == column)
    }

    @Test func thePromptCountsOnlyWhatIsSeen() {
        let plain = PromptText(
            time: .documentedEpoch + .seconds(75), elapsed: .seconds(75), jobCount: 2, terminal: 1, usesColor: false)
        #expect(plain.text == "sdlab[15:01:15 +01:15 2j]> ")
        #expect(plain.width == 27)
        let coloured = PromptText(
            time: .documentedEpoch, elapsed: .seconds(3600), jobCount: 0, terminal: 2, usesColor: true)
        #expect(coloured.width == "sdlab[2 15:00:00 +1:00:00]> ".count)
        // libedit loses what stands at the end, and where two colours meet.
        #expect(coloured.text.hasSuffix("> "))
        #expect(!coloured.text.contains("\u{1}\u{1}"))
    }

    @Test func severalLinesWithACommandLineAreATranscript() {
        #expect(TypedText("# Start\n$ echo x\nx") == .transcript("# Start\n$ echo x\nx"))
        #expect(TypedText("$ echo x") == .script("echo x"))
        #expect(TypedText("  $ echo x") == .script("echo x"))
        #expect(TypedText("echo x\necho y") == .script("echo x\necho y"))
        #expect(TypedText("echo '$ '") == .script("echo '$ '"))
        #expect(TypedText(" \n\t") == .empty)
    }

    @Test func pastedTextKeepsItsLinesAndNothingThatControlsATerminal() {
        #expect(TypedText.cleaned("a\r\nb\rc\nd\r\n\r\n".unicodeScalars) == "a\nb\nc\nd")
        #expect(TypedText.cleaned("a\u{1B}[31m\tb\u{7F}\u{3}".unicodeScalars) == "a[31m\tb")
        #expect(TypedText.cleaned("é日".unicodeScalars) == "é日")
    }

    // MARK: History

    private func withFile(_ body: (String) throws -> Void) throws {
        let directory = try Pty.freshDirectory()
        defer { Pty.remove(directory) }
        try body(directory + "/history")
    }

    @Test func entriesOfSeveralLinesAndBackslashesComeBackFromTheFile() throws {
        let entries = ["for i in 1\ndo echo \\n\ndone", "echo a\\\\b", "é日"]
        try withFile { path in
            let first = TypedHistory(file: path) { Issue.record("\($0)") }
            for entry in entries { #expect(first.add(entry)) }
            #expect(TypedHistory(file: path) { Issue.record("\($0)") }.entries == entries)
        }
    }

    @Test func repetitionsAndLinesThatBeginWithABlankAreNotKept() {
        let history = TypedHistory(file: nil) { Issue.record("\($0)") }
        #expect(history.add("a") && !history.add("a") && !history.add(" b") && !history.add("") && history.add("b"))
        #expect(history.add("a"))
        #expect(history.entries == ["a", "b", "a"])
    }

    @Test func aFileThatGrewTooLongIsCutToTheNewest() throws {
        try withFile { path in
            let lines = (1...TypedHistory.limit + 5).map { "echo \($0)\n" }.joined()
            try HostFile.write(Array(lines.utf8), to: path)
            let history = TypedHistory(file: path) { Issue.record("\($0)") }
            #expect(history.entries.count == TypedHistory.limit)
            #expect(history.entries.first == "echo 6")
            let kept = String(decoding: try HostFile.read(path), as: UTF8.self)
            #expect(kept.hasPrefix("echo 6\n") && kept.hasSuffix("echo \(TypedHistory.limit + 5)\n"))
        }
    }

    @Test func aFileThatCannotBeWrittenIsSaidOnce() {
        var complaints = 0
        let history = TypedHistory(file: "/nowhere/at/all") { _ in complaints += 1 }
        history.add("a")
        history.add("b")
        #expect(complaints == 1)
        #expect(history.entries == ["a", "b"])
    }

    @Test func aFileThatSomebodyHasEditedIsReadAndGoesOn() {
        let path = "/tmp/sdlab-history-\(getpid())-edited"
        defer { unlink(path) }
        writeHostFile("echo one\r\necho two\r\necho three", to: path)
        let history = TypedHistory(file: path) { Issue.record("\($0)") }
        #expect(history.entries == ["echo one", "echo two", "echo three"])
        history.add("echo four")
        #expect(
            TypedHistory(file: path) { Issue.record("\($0)") }.entries
                == ["echo one", "echo two", "echo three", "echo four"])
    }

    @Test func upAndDownWalkThroughWhatBeginsAsTyped() {
        let history = TypedHistory(file: nil) { Issue.record("\($0)") }
        for entry in ["echo 1", "ls", "echo 2", "ls -l"] { history.add(entry) }
        #expect(history.older(than: "ec") == "echo 2")
        #expect(history.older(than: "echo 2") == "echo 1")
        #expect(history.older(than: "echo 1") == nil)
        #expect(history.newer(than: "echo 1") == "echo 2")
        #expect(history.newer(than: "echo 2") == "ec")
        #expect(history.newer(than: "ec") == nil)
        #expect(history.older(than: "") == "ls -l")
        // Editing what was found begins a new search.
        #expect(history.older(than: "ls") == "ls -l")
        #expect(history.older(than: "none") == nil)
    }
}
