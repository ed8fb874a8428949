import Foundation
import Testing

/// What people paste: some hundred small lines of bash and of Debian's text tools, which say what is right, as in
/// `BashComparison`. They stand in `scripts/test.d/bash-snippets.txt`, one a line, with ⏎ for a newline in it.
@Suite(.enabled(if: HostTools.hasBash))
struct BashSnippetComparison {
    private static let snippets: [String] = {
        let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let path = root + "/scripts/test.d/bash-snippets.txt"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").filter { !$0.hasPrefix("##") }
            .map { $0.replacingOccurrences(of: "⏎", with: "\n") }
    }()

    @Test func thereAreHundreds() { #expect(Self.snippets.count > 400) }

    @Test(arguments: 0..<16)
    func snippetsMeanWhatTheyMeanInBash(_ part: Int) throws {
        let mine = Self.snippets.enumerated().filter { $0.offset % 16 == part }.map(\.element)
        try BashComparison.compare(mine, locale: "C.UTF-8")
    }
}

/// What of it is the lab's own: its clock, its bounds, and what is refused.
@Suite struct PastedToolTests {
    @Test func timeIsTheLabs() {
        #expect(
            output("date -Iseconds; sleep 90; date +%T; echo $SECONDS") == "2023-12-20T15:00:00+00:00\n15:01:30\n90\n")
        #expect(output("SECONDS=5; sleep 10; echo $SECONDS; printf '%(%T)T\\n' -1") == "15\n15:00:10\n")
        let shell = LabShell()
        let outcome = shell.run("timeout 5s sleep 3600; echo $? $SECONDS; timeout 2m sleep 60; echo $? $SECONDS")
        #expect(outcome.output == "124 5\n0 65\n")
        #expect(shell.run("read -t 3 x; echo $?").output == "1\n")
    }

    /// Each of these would take the lab's memory, or all of its time.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            ("echo a | sed ':a;ba'", "a loop without an end"),
            ("yes=a; echo a | sed ':a;s/.*/&&/;ta'", "would grow beyond"),
            ("awk 'BEGIN {x=\"a\"; while (1) x = x x}'", "a text of more than"),
            ("awk 'BEGIN {while (1) a[i++] = 1}'", "more than 1000000 elements"),
            ("awk 'function f(x) {return f(x+1)} BEGIN {f(1)}'", "deep in one another"),
            ("a=(); i=0; while true; do a[i++]=x; done", "all arrays together hold"),
            (
                "seq 100000 > f; awk 'BEGIN {while (1) print \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}' > g",
                "written at once"
            ),
        ])
    func whatGrowsEndsWithAMessage(_ script: String, _ complaint: String) {
        let outcome = LabShell().run(script + "; echo $?")
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput.prefix(200))")
        #expect(!outcome.output.hasSuffix("\n0\n") && outcome.output != "0\n")
    }

    /// What is not there is said, with a status, and nothing is done.
    @Test(arguments: [
        ("grep -P 'a(?|b)' f", "is not known here"),
        ("echo a | sed 's/a/b/e'", "is not known here"),
        ("awk 'BEGIN {\"date\" | x}'", "leads to getline"), ("find . -mtime 1", "files have no times here"),
        ("ulimit -n 100000", "cannot be set"), ("touch f; rm -i f", "nobody is asked here"),
        ("column f", "only tables are known here"), ("[ f -nt g ]", "files have no times here"),
        ("echo a | fmt", "'fmt' is not known here: fold"), ("date -s now", "clock and advance move"),
        ("diff -y a b", "unknown flag -y"), ("md5sum /dev/zero", "more than 256.0 MiB"),
        ("echo a | xargs -Z", "unknown flag -Z"),
    ])
    func whatIsNotThereIsSaid(_ script: String, _ complaint: String) {
        let outcome = LabShell().run(script)
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput)")
        #expect(outcome.output == "" && outcome.status != 0)
    }

    @Test func aTerminalIsOne() throws {
        let shell = LabShell()
        #expect(shell.output("[ -t 0 ] || echo none; [[ -t 1 ]] || echo none") == "none\nnone\n")
        shell.session.hasNoKeyboard = false
        #expect(
            shell.output("[ -t 0 ] && [[ -t 1 ]] && echo both; echo a | { [ -t 0 ] || echo piped; }") == "both\npiped\n"
        )
        #expect(shell.output("x=$([ -t 1 ] && echo yes || echo no); echo $x") == "no\n")
    }

    @Test func filesEditedInPlaceAreTheLabs() {
        let shell = LabShell()
        shell.place("a\nb\n", at: "/f")
        #expect(shell.run("sed -i.old 's/a/x/' f; cat f f.old").output == "x\nb\na\nb\n")
        #expect(shell.run("sed -i 's/a/x/'").status == 1)
        #expect(shell.run("sed -i 's/b/y/' f nosuch; echo $?; cat f").output == "2\nx\ny\n")
    }

    /// A pattern that has too many ways through a text gives up, with a status, and nothing is said to be found.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            "seq -s '' 300 | grep -E '(.*)(.*)(.*)\\1\\2x'", "seq -s '' 300 | sed -E 's/(.*)(.*)(.*)\\1\\2x//'",
        ])
    func patternsWithTooManyWaysGiveUp(_ script: String) {
        let outcome = LabShell().run(script + "; echo $?")
        #expect(outcome.errorOutput.contains("tries too many ways"), "\(outcome.errorOutput.prefix(200))")
        #expect(outcome.output == "2\n")
    }

    /// Each of these ended the lab, or kept it for itself.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            ("shuf -i 0-9223372036854775807", "is not a range"),
            (#"echo aab | grep -E "(a)\1$(printf '?%.0s' $(seq 1 15000))""#, "repetitions in one another"),
            (#"echo aab | grep -P "(?=a)($(printf '?<a>%.0s' $(seq 1 14000)))""#, "nothing to repeat"),
            ("yes a | head -c 400000 | tr -d '\n' > t; grep -cP '(?!b)(?:a?){1000}b' t", "tries too many ways"),
        ])
    func patternsHaveBounds(_ script: String, _ complaint: String) {
        let outcome = LabShell().run(script + "; echo $?")
        #expect(outcome.errorOutput.contains(complaint), "\(outcome.errorOutput.prefix(200))")
        #expect(!outcome.output.hasSuffix("0\n"))
    }

    @Test func whatTakesNoPlaceIsRepeatedInNoTime() {
        let script = "echo a | grep -cP '(?=a)(?:){1000}{1000}{1000}{1000}{1000}'; echo a | grep -cP '(?=a)(?<x>a)'"
        #expect(output(script) == "1\n1\n")
    }

    /// None of these looks at all that there is for each line, or each element.
    @Test(
        .timeLimit(.minutes(5)),
        arguments: [
            ("awk 'BEGIN {for (i = 0; i < 300000; i++) s = s i \",\"; print length(s)}'", "1988890\n"),
            ("seq 200000 | awk '{a[$1]} END {for (k in a) delete a[k]; print length(a)}'", "0\n"),
            ("seq -s ' ' 20000 | grep -o '\\<[0-9]*\\>' | wc -l", "20000\n"),
            ("seq -s ' ' 20000 | sed 's/\\<./x/g' | tr -d 0-9 | wc -c", "40000\n"),
            ("awk 'BEGIN {while (i++ < 100000) s = s \"ab\"; print index(s, s \"c\"), index(s, \"bab\")}'", "0 2\n"),
        ])
    func nothingIsQuadratic(_ script: String, _ output: String) {
        let outcome = LabShell().run(script)
        #expect(outcome.output == output, "\(outcome.errorOutput.prefix(200))")
    }

    /// Bytes that are no text come out as they went in.
    @Test(arguments: [
        "cat", "head -c 9", "tail -c 9", "head -n 9", "tail -n 9", "tee copy", "tr x y", "sort", "uniq", "cut -b1-9",
        "sed p", "grep -a .", "awk 1", "awk '{$1 = $1; print}'", "rev | rev", "tac", "paste -", "fold",
        "nl -bn -w1 -s ''",
        "base64 | base64 -d", "xxd | xxd -r", "xxd -p | xxd -r -p", "expand", "sort -u",
    ])
    func bytesSurvive(_ tool: String) {
        let shell = LabShell()
        let outcome = shell.run("printf '\\377\\200a\\n' | \(tool) | od -An -tx1 | head -1")
        let expected = tool.hasPrefix("nl") ? " 20 ff 80 61 0a" : " ff 80 61 0a"
        #expect(outcome.output.hasPrefix(expected), "\(tool): \(outcome.output) \(outcome.errorOutput)")
    }
}
