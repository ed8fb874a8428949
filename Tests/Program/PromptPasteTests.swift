import Glibc
import Testing

/// What is pasted into the prompt of the built program.
@Suite(.serialized) struct PromptPasteTests {
    private static let begin = "\u{1B}[200~"
    private static let end = "\u{1B}[201~"

    /// Processor time of a process so far, in hundredths of a second.
    private func processorTime(_ process: pid_t) throws -> Int {
        let text = try #require(hostFileText("/proc/\(process)/stat"))
        let fields = text[text.index(after: text.lastIndex(of: ")")!)...].split(separator: " ")
        return Int(fields[11])! + Int(fields[12])!
    }

    /// What it costs to paste a comment of so many lines of a hundred characters, and to run it.
    private func cost(ofLines count: Int) throws -> Int {
        let pty = try Pty(["--no-rc"])
        try pty.waitForPrompt()
        let before = try processorTime(pty.process)
        let line = "# " + String(repeating: "x", count: 97) + "\r"
        pty.type(Self.begin + String(repeating: line, count: count) + "echo that was it" + Self.end)
        pty.type("\r")
        try pty.wait(forLine: "that was it")
        return try processorTime(pty.process) - before
    }

    @Test("100 KB are pasted and run, and four times as much costs about four times as much")
    func linear() throws {
        let small = try cost(ofLines: 250)
        let large = try cost(ofLines: 1000)
        // Quadratic would be sixteen times.
        #expect(large < 9 * max(small, 20), "\(small) and \(large) hundredths of a second")
    }

    @Test("Ctrl-C in the midst of a large paste: nothing of it runs, neither what came nor what still comes")
    func brokenOff() throws {
        let pty = try Pty(["--no-rc"])
        try pty.waitForPrompt()
        let line = "echo line >> /ran\r"
        pty.type(Self.begin + String(repeating: line, count: 2000))
        pty.type("\u{3}")
        try pty.wait(for: "the sign of Ctrl-C") { $0.text.contains("^C") }
        pty.type(String(repeating: line, count: 2000) + Self.end)
        pty.type("echo and on\r")
        try pty.wait(forLine: "and on")
        pty.enter("cat /ran")
        try pty.wait(for: "the complaint") { $0.text.contains("/ran: No such file or directory") }
        // The next paste is one again.
        pty.type(Self.begin + "echo one\recho two" + Self.end)
        try pty.wait(for: "both lines") { $0.screen.text.contains("echo two") }
        #expect(!pty.screen.lines.contains("one"))
        pty.type("\r")
        try pty.wait(forLine: "two")
    }

    @Test("more than can be pasted at once is refused with a word, and the prompt goes on")
    func tooLarge() throws {
        let pty = try Pty(["--no-rc"])
        try pty.waitForPrompt()
        let line = "# " + String(repeating: "x", count: 1021) + "\r"
        pty.type(Self.begin + String(repeating: line, count: 4200) + "echo never" + Self.end)
        let refusal = "sdlab: more than 4.0 MiB at once cannot be pasted"
        try pty.wait(for: "the refusal") { $0.screen.text.contains(refusal) }
        pty.enter("echo and on")
        try pty.wait(forLine: "and on")
        #expect(!pty.screen.lines.contains("never"))
    }

    @Test("the end of a paste without its beginning is nothing, in the midst of a line too")
    func endAlone() throws {
        let pty = try Pty(["--no-rc"])
        try pty.waitForPrompt()
        pty.type(Self.end + "echo one" + Self.end + "two" + Self.end + "\r")
        try pty.wait(forLine: "onetwo")
    }

    @Test("lines that follow a comment, pasted into a terminal that does not mark it, are seen and run")
    func unmarked() throws {
        let pty = try Pty(["--no-rc"])
        try pty.waitForPrompt()
        pty.type("# what follows\recho first\recho second\r")
        try pty.wait(forLine: "second")
        let lines = pty.screen.lines
        #expect(
            lines.contains("first") && lines.contains { $0.hasSuffix("echo first") }
                && lines.contains { $0.hasSuffix("echo second") })
    }
}
