import ShellTranscripts
import Testing

/// `help transcripts` tells all of it, and its example is one.
@Suite("help transcripts") struct HelpExampleTests {
    private func page() throws -> String { try BuiltProgram.run(["help", "transcripts"]).output }

    /// The page's example, as somebody would copy it.
    private func example() throws -> String {
        let lines = try page().split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.hasPrefix("An example") })
        return lines[(start + 1)...].filter { $0.hasPrefix("  ") }.map { $0.dropFirst(2) + "\n" }.joined()
    }

    @Test("every directive and every hole is on the page, and in its example where one alone can show it")
    func complete() throws {
        let page = try page()
        let example = try example()
        for name in TranscriptParser.directives where name != "end" {
            #expect(page.contains("\n  @\(name) "), "@\(name)")
            guard !["include", "fixture"].contains(name) else { continue }
            #expect(example.contains("@\(name)"), "the example has no @\(name)")
        }
        for hole in HoleType.allCases where hole != .hexadecimalTail {
            #expect(page.contains("<\(hole.rawValue)>"), "<\(hole.rawValue)>")
            #expect(example.contains("<\(hole.rawValue)"), "the example has no <\(hole.rawValue)>")
        }
    }

    @Test("the example passes as it stands, and fails if a line of it is another")
    func runs() throws {
        let scratch = try Scratch()
        let file = try scratch.write(try example(), "example.sdl")
        let outcome = try BuiltProgram.run(["test", file])
        #expect(outcome.output == "1 case passed\n", "\(outcome.output)\(outcome.errors)")
        let other = try example().replacing("the status was <=status>", with: "the status is <=status>")
        #expect(try BuiltProgram.run(["test", try scratch.write(other, "other.sdl")]).status == 1)
    }

    @Test("sdlab test --help and sdlab run --help are their pages; lines of another file are included")
    func program() throws {
        for verb in ["test", "run"] {
            let outcome = try BuiltProgram.run([verb, "--help"])
            #expect(outcome.status == 0 && outcome.output.contains("\nusage: \(verb) [FLAGS] "), "\(outcome.output)")
        }
        #expect(try BuiltProgram.run(["test", "--help"]).output.contains("--update"))
        let scratch = try Scratch()
        try scratch.write("$ echo a\na\n", "common.sdl")
        let file = try scratch.write("@case two\n@include common.sdl\n$ echo b\nb\n", "two.sdl")
        #expect(try BuiltProgram.run(["test", file]).output == "1 case passed\n")
    }
}
