import CommandKit
import KernelJSON
import KernelStructures
import Testing

/// Verbs, and what views are drawn with.
@Suite struct KitTests {
    private let connpool = CommandDescription(
        "pipe", "a command with verbs", operates: true,
        subcommands: [
            .init("show", "shows", flags: [.init("json", nil, "as JSON")], examples: ["pipe show"]),
            .init("cut", "cuts", usage: "[NUMBER]", arguments: .init([.text], 0...1), examples: ["pipe cut 3"]),
        ], whenNone: "show", group: .components)

    private func read(_ words: String) throws -> ParsedArguments {
        try ParsedArguments(words.split(separator: " ").map(String.init), for: connpool)
    }

    @Test(
        arguments: [
            ("", "show", nil, []), ("show", "show", nil, []), ("cut 3", "cut", nil, ["3"]),
            ("a cut 3", "cut", "a", ["3"]), ("cut 3 --node a", "cut", "a", ["3"]), ("cut --node=a", "cut", "a", []),
            ("a cut --node a", "cut", "a", []), ("zebra", "show", "zebra", []), ("--json", "show", nil, []),
            ("--node a cut 3", "cut", "a", ["3"]), ("--node=a cut", "cut", "a", []), ("--json a show", "show", "a", []),
            ("--node a", "show", "a", []), ("--node a --json", "show", "a", []), ("--node cut cut", "cut", "cut", []),
        ] as [(String, String, String?, [String])])
    func aVerbMayHaveANodeBeforeItOrAFlagBehindIt(
        _ words: String, _ verb: String, _ target: String?, _ rest: [String]
    ) throws {
        let arguments = try read(words)
        #expect(arguments.verb == verb)
        #expect(arguments.target == target)
        #expect(arguments.arguments == rest)
    }

    @Test(arguments: [
        ("a b", "pipe: 'b' is none of show, cut"), ("cutt", "pipe: 'cutt' is none of show, cut; did you mean cut?"),
        ("a cut --node b", "pipe cut: 'a' and --node b? one of them"),
        ("cut 1 2", "pipe cut: '2' is one word too many; usage: pipe cut [NUMBER]"),
        ("show --jsn", "pipe show: unknown flag --jsn; did you mean --json?"),
        ("--json cut", "pipe cut: unknown flag --json; see help pipe cut"),
        ("--node a b cut", "pipe cut: 'b' and --node a? one of them"),
        ("--node", "pipe show: --node needs a value: --node NODE"),
    ])
    func whatIsNoVerbIsRefused(_ words: String, _ complaint: String) {
        #expect(throws: UsageError(complaint)) { try read(words) }
    }

    @Test func eachVerbHasAPage() {
        let page = LabShell().run("help connpool evict")
        #expect(page.status == 0)
        #expect(page.output.hasPrefix("connpool evict: closes all connections, or one\n"))
        #expect(page.output.contains("usage: connpool evict [NUMBER]"))
        #expect(page.output.contains("--node NODE"))
        let wrong = LabShell().run("help connpool evcit")
        #expect(wrong.errorOutput.contains("did you mean evict?"))
        #expect(LabShell().run("help connpool").output.contains("\n  evict    closes all connections, or one\n"))
    }

    @Test func statisticsAreAListHoweverManyNodes() throws {
        let shell = LabShell()
        shell.run("backend --port 8081 --name a & backend --port 8082 --name b & sleep 1")
        func nodes(_ command: String) throws -> [JSONValue?] {
            guard case .array(let elements) = try JSONValue(parsing: shell.run(command).output) else {
                throw CommandFailureInTest()
            }
            return elements.map { $0["kind"] == "backend" && $0["stats"] != nil ? $0["node"] : nil }
        }
        #expect(try nodes("stats --json") == ["a", "b"])
        #expect(try nodes("stats b --json") == ["b"])
    }

    private struct CommandFailureInTest: Error {}

    @Test func whatStandsInAViewCannotSteerATerminal() {
        let name = "a\u{1B}[31m\nb"
        var view = View(
            .table(
                .init(
                    [.init("NAME", key: "name"), .init("N", key: "n")], rows: [[.text(name), .integer(1)]],
                    whenEmpty: "")),
            .record([.init("name", key: "name", .text(name))]))
        view.parts.append(.text("one\n\u{1B}]0;title\u{7}\n", json: .null))
        let text = ViewRenderer().plain(view)
        #expect(!text.unicodeScalars.contains("\u{1B}") && !text.unicodeScalars.contains("\u{7}"))
        #expect(text.contains(#"a\x1B[31m\x0Ab  1"#) && text.contains(#"name  a\x1B[31m\x0Ab"#))
        #expect(text.hasSuffix("one\n" + #"\x1B]0;title\x07"# + "\n"))
        // Programs get it as it is, and JSON has its own way to write it.
        #expect(ViewRenderer().value(of: view)[0]?[0]?["name"] == .string(name))
    }

    @Test func barsAreAsLongAsTheirShareOfTheLargest() {
        let bars = BarScale(.ascii, top: 10, width: 20)
        #expect(bars.text(10) == String(repeating: "#", count: 20))
        #expect(bars.text(5) == String(repeating: "#", count: 10))
        #expect(bars.text(99) == String(repeating: "#", count: 20))
        for value: Double in [0, -1, .nan, .infinity, -.infinity] { #expect(bars.text(value) == "", "\(value)") }
        #expect(BarScale(.block, top: 0).text(1) == "")
    }

    @Test func aPlotHasItsScaleBesideIt() {
        guard case .text(let text, let json) = Plot(.ascii, height: 2).view([0, 1, 2, 4], label: { "\(Int($0))" })
        else {
            return
        }
        #expect(text == "4 │   #\n0 │_:##\n")
        #expect(json.text == "[0, 1, 2, 4]")
        // A value of 0 and no value are two things.
        guard case .text(let gap, _) = Plot(.ascii, height: 1).view([0, .nan, 0, 1, .nan], label: { "\(Int($0))" })
        else {
            return
        }
        #expect(gap == "1 │_ _#\n")
        guard case .text(let zeros, _) = Plot(.block, height: 1).view([0, 0], label: { "\(Int($0))" }) else { return }
        #expect(zeros == "0 │__\n")
    }

    @Test func lanesShowWhoSaidWhatToWhom() {
        let lanes = Lanes(["lb", "a", "b"], columns: 46)
        let content = lanes.view([
            .init(time: "0.0", lane: 0, target: 1, "probe"), .init(time: "0.1", lane: 2, "killed"),
            .init(time: "0.2", lane: 1, target: 0, "refused"), .init(time: "9", lane: 7, "nowhere"),
        ])
        guard case .text(let text, _) = content else { return }
        #expect(
            text == """
                     lb           a            b
                0.0  probe ─────▶
                0.1                            killed
                0.2  ◀─── refused

                """)
    }
}
