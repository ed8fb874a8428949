import CommandKit
import Commands
import KernelStructures
import ShellSession
import Testing

/// Help that is found where somebody looks for it, and can be read on the terminal that they have.
@Suite struct HelpTests {
    /// Whatever stands behind these is text, `--help` too, as in bash.
    static let takingAnything: Set = ["echo", "test", "[", ":", "true", "false"]

    @Test("--help is the command's page", arguments: Catalog.table.names.filter { !takingAnything.contains($0) })
    func flag(_ name: String) {
        let description = Catalog.table[name]!.description
        let isBuiltin =
            description.arguments.isRaw && description.role == .action
            && description.arguments.kinds == [.text] && description.arguments.count.lowerBound == 0
            && description.subcommands.isEmpty
        guard !isBuiltin else { return }
        let asked = LabShell().run("'\(name)' --help")
        #expect(asked.status == 0 && asked.errorOutput.isEmpty, "\(asked.errorOutput)")
        #expect(asked.output == LabShell().output("help '\(name)'"))
    }

    @Test("--help behind other words, and behind a verb")
    func places() {
        let shell = LabShell()
        #expect(shell.output("curl -s --help http://localhost/") == shell.output("help curl"))
        #expect(shell.output("connpool evict --help") == shell.output("help connpool evict"))
        #expect(shell.output("jwt --help") == shell.output("help jwt"))
        #expect(shell.output("echo --help") == "--help\n")
        #expect(shell.output("backend --port 8081 -- --help") != shell.output("help backend"))
        // A flag's value, whatever it looks like.
        #expect(shell.run("curl -d --help").errorOutput.contains("no URL specified"))
        #expect(shell.run("watch 1s nodes --help").errorOutput == "watch: help nodes shows its page\n")
    }

    static let pages =
        Catalog.table.names.map { "help '\($0)'" } + [
            "help", "help all", "help systems", "help world", "help failures", "help time", "help views", "help files",
            "help session", "help language", "help transcripts", "tour", "tour lock list",
        ]

    @Test("on forty columns a page is broken between words, and none is lost", arguments: pages)
    func narrow(_ line: String) {
        func words(_ text: String) -> [Substring] { text.split(whereSeparator: \.isWhitespace) }
        let shell = LabShell()
        let wide = shell.output(line)
        shell.session.renderer.columns = 40
        let narrow = shell.output(line)
        for row in narrow.split(separator: "\n") where displayWidth(String(row)) > 40 {
            // What has no blank in it cannot be broken.
            #expect(row.drop { $0 == " " }.contains(" ") == false, "\(row)")
        }
        if !line.hasPrefix("tour") { #expect(words(narrow) == words(wide)) }
    }

    @Test("sentences are joined and broken anew, entries keep their column, names without room stand alone")
    func reflowing() {
        let page = """
            A sentence that was broken near the eightieth column, and goes on in the next
            line.
            Heading

              -s        short, with a text that is longer than the forty columns of it
                        and goes on
              --a-very-long-flag NAME    what it is for, in more words than fit

            """
        #expect(
            reflowed(page, columns: 40) == """
                A sentence that was broken near the
                eightieth column, and goes on in the
                next line.
                Heading

                  -s        short, with a text that is
                            longer than the forty
                            columns of it and goes on
                  --a-very-long-flag NAME
                      what it is for, in more words than
                      fit

                """)
        #expect(reflowed(page, columns: 80) == page)
        #expect(reflowed("", columns: 40) == "" && reflowed("\n\n", columns: 1) == "\n\n")
    }

    @Test("pages of systems name an essay that is there, and a tour that is there")
    func reading() {
        let commands = Catalog.table.commands.map(\.description)
        // What belongs to no system: the plain web server, the plain clients.
        let plain: Set = ["backend", "curl", "reload", "udp-echo", "udp"]
        for one in commands where [.components, .clients].contains(one.group) && !plain.contains(one.name) {
            #expect(LabShell().output("help \(one.name)").contains("\nhow it works: Sources/Engines/"), "\(one.name)")
        }
    }

    @Test("a time of nothing is too short, and no time is no time")
    func times() {
        let shell = LabShell()
        #expect(
            shell.run("log-query x --timeout 0s").errorOutput
                == "log-query: --timeout: '0s' is too short: it must be longer than 0s\n")
        #expect(shell.run("log-query x --timeout soon").errorOutput.contains("'soon' is not a time such as"))
        #expect(shell.run("watch 0s nodes").errorOutput == "watch: '0s' is too short: it must be longer than 0s\n")
    }

    @Test("one form of a view is asked for, and a flag that would do nothing is refused")
    func contradictions() {
        let shell = LabShell()
        #expect(shell.run("topo --mermaid --json").errorOutput == "topo: --mermaid and --json? one of them\n")
        #expect(shell.run("trace --service web").status == 2)
        #expect(shell.run("trace last --service web").errorOutput.hasPrefix("trace: --service is for --server"))
    }
}
