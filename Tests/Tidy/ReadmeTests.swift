import Glibc
import Testing

/// The README's commands are typed by everybody who is new: they must work as they stand there.
///
/// In a fenced block of the kind `console`, every line `$ scripts/sdlab …` is run, by the host's shell in the
/// package's directory, unless it ends in `# interactive`. It must end with status 0 within a minute, and print each
/// line that the README shows below it, in that order; a shown line with `…` in it, or of `...` alone, is not compared.
@Suite struct ReadmeTests {
    @Test("the README's commands do what it shows")
    func commands() throws {
        let examples = ReadmeExample.all(in: try Repository.text("README.md"))
        #expect(!examples.isEmpty, "no command in it is marked as one that can be run")
        for example in examples {
            let (status, output) = try example.run()
            #expect(status == 0, "\(example.command): \(output)")
            var rest = output.split(separator: "\n", omittingEmptySubsequences: false)[...]
            for line in example.shown {
                let index = rest.firstIndex { $0 == line }
                #expect(index != nil, "\(example.command) does not print, or not there: \(line)\n\(output)")
                if let index { rest = rest[(index + 1)...] }
            }
        }
    }

    @Test("the README's Swift stands in a test, which compiles and runs it")
    func swiftUsage() throws {
        let code = try Repository.swiftFiles(under: "Tests").map {
            Self.bare(try Repository.lines("Tests/\($0)")).joined(separator: "\n")
        }
        var blocks: [[Substring]] = []
        var isSwift = false
        for line in try Repository.lines("README.md") {
            if line.hasPrefix("```") {
                isSwift = line == "```swift"
                if isSwift { blocks.append([]) }
            } else if isSwift {
                blocks[blocks.count - 1].append(line)
            }
        }
        #expect(blocks.count >= 4)
        for block in blocks {
            let wanted = Self.bare(block).joined(separator: "\n")
            #expect(code.contains { $0.contains(wanted) }, "in no test: \(wanted)")
        }
    }

    /// Code without indentation, empty lines and imports.
    private static func bare(_ lines: [Substring]) -> [Substring] {
        lines.map { $0.drop { $0 == " " } }.filter { !$0.isEmpty && !$0.hasPrefix("import ") }
    }

    @Test("examples are found where they are marked, with what is shown below them")
    func examples() {
        let text = """
            ```console
            $ scripts/sdlab -c 'echo a'
            a
            $ scripts/sdlab       # interactive
            sdlab> no
            $ scripts/test
            ```
            ```sh
            $ scripts/sdlab -c 'not this'
            ```
            ```console
            $ scripts/sdlab run x.sdl
            ...
            took … ms
            b
            ```
            """
        let found = ReadmeExample.all(in: text)
        #expect(found.map(\.command) == ["scripts/sdlab -c 'echo a'", "scripts/sdlab run x.sdl"])
        #expect(found.map(\.shown) == [["a"], ["b"]])
    }

    @Test("an example's status and output are seen")
    func run() throws {
        let run = try ReadmeExample(command: "echo out; echo err >&2; exit 3").run()
        #expect(run.status == 3)
        #expect(run.output == "out\nerr\n")
    }
}

struct ReadmeExample {
    let command: String
    var shown: [String] = []

    static func all(in text: String) -> [ReadmeExample] {
        var examples: [ReadmeExample] = []
        var isConsole = false
        var isRunnable = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isConsole = line == "```console"
                isRunnable = false
            } else if isConsole, line.hasPrefix("$ ") {
                isRunnable = line.hasPrefix("$ scripts/sdlab") && !line.hasSuffix("# interactive")
                if isRunnable { examples.append(ReadmeExample(command: String(line.dropFirst(2)))) }
            } else if isRunnable, line != "...", !line.contains("…"), !line.isEmpty {
                examples[examples.count - 1].shown.append(String(line))
            }
        }
        return examples
    }

    /// Runs it. The status is 124 if it takes longer than a minute.
    func run() throws -> (status: Int, output: String) {
        let quoted = "'" + command.replacing("'", with: "'\\''") + "'"
        let root = "'" + Repository.root.replacing("'", with: "'\\''") + "'"
        guard let pipe = popen("cd \(root) && SDLAB_ASSUME_BUILT=1 timeout 60 sh -c \(quoted) 2>&1 </dev/null", "r")
        else {
            throw Repository.Failure(description: "popen: \(String(cString: strerror(errno)))")
        }
        let output = String(decoding: Repository.rest(of: pipe), as: UTF8.self)
        let status = pclose(pipe)
        return (Int(status >> 8 & 0xFF), output)
    }
}
