import KernelStructures
import ShellSession
import Testing

/// Whatever can grow has a bound, and says so when it is reached.
@Suite struct BoundTests {
    @Test func aVariableThatDoublesForEverStopsAtItsBound() {
        let outcome = LabShell().run("x=abcdefgh; while true; do x=$x$x; done; echo never")
        #expect(outcome.status == 2 && outcome.output.isEmpty)
        #expect(outcome.errorOutput == "a word of more than 16.0 MiB\n")
    }

    @Test func anArgumentThatDoublesForEverStopsAtItsBound() {
        let shell = LabShell()
        shell.run("x=abcdefghijklmnop; for i in {1..16}; do x=$x$x; done")
        let outcome = shell.run("echo $x$x$x$x$x > /dev/null")
        #expect(outcome.errorOutput == "a word of more than 4.0 MiB\n" && outcome.status == 2)
        let many = shell.run("echo \"$x\" \"$x\" \"$x\" \"$x\" \"$x\" > /dev/null")
        #expect(many.errorOutput == "arguments of more than 4.0 MiB\n" && many.status == 2)
    }

    @Test func variablesTogetherHaveABound() {
        let shell = LabShell()
        shell.run("x=abcdefghijklmnop; for i in {1..20}; do x=$x$x; done")
        let script = (0..<9).map { "v\($0)=\"$x\"" }.joined(separator: "; ")
        let outcome = shell.run(script + "; echo never")
        #expect(outcome.errorOutput == "v6: the variables would hold more than 128.0 MiB\n" && outcome.output.isEmpty)
        #expect(shell.run("v0=; v1=; v6=\"$x\"; echo fits").output == "fits\n", "what is replaced counts no longer")
    }

    @Test func linesTypedAheadHaveABound() throws {
        let shell = LabShell()
        try shell.type("sleep 100")
        let line = String(repeating: "a", count: 64 * 1024)
        for _ in 0..<20 { shell.session.currentTerminal.type(line) }
        #expect(shell.takeHeard().notices.allSatisfy { $0.contains("typed ahead: a line is lost") })
    }

    @Test func aThousandNodesStartInOneCommand() {
        let shell = LabShell()
        let outcome = shell.run("spawn 1000 backend --port 10000 --name web; curl -s web-1000:10999/")
        #expect(outcome.status == 0 && outcome.output == "Response from web-1000\n")
        #expect(shell.run("nodes | grep -c running").output == "1000\n")
    }
}
