import Commands
import Testing

/// Signals to several at once.
@Suite struct JobSignalTests {
    @Test func oneBadNameKeepsNobodyElseFromTheSignal() {
        let shell = LabShell()
        shell.run("spawn 3 backend --port 8081 --name web")
        let outcome = shell.run("kill -9 %1 %9 web-3")
        #expect(outcome.errorOutput.hasPrefix("kill: no job '%9'") && outcome.status == 0, "\(outcome.errorOutput)")
        #expect(shell.output("nodes --json | jq -c '[.[].state]'") == "[\"killed\",\"running\",\"killed\"]\n")
        #expect(shell.run("kill %9").status == 1)
        #expect(shell.run("pause web-2 nobody").errorOutput.hasPrefix("pause: no job 'nobody'"))
        // One word for one thing, wherever it is shown.
        #expect(shell.output("jobs").contains("frozen") && shell.output("top").contains("frozen"))
        #expect(shell.run("resume nobody").status == 1)
    }
}
