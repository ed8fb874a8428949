import KernelStructures
import ShellSession
import Testing

/// Whatever can grow has a bound, and says so when it is reached.
@Suite struct BoundTests {
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
