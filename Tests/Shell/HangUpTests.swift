import ShellSession
import Testing

/// SIGHUP asks a service to read its configuration again, as it does everywhere.
@Suite struct HangUpTests {
    @Test(
        "a hang-up ends no service, whatever it is and whether it has anything to read again",
        arguments: [
            "backend --port 8081", "udp-echo --port 9", "cache-node --port 6380", "lsm-kv --data-dir /kv",
            "messageq --port 5672", "registry --port 8500", "web-app --port 8080", "pool-db --port 5432", "jaeger",
            "toxiproxy", "mailbox", "alert-receiver", "feature-flags --port 8080", "log-collector --port 3100",
        ])
    func hangUps(_ line: String) {
        let outcome = LabShell().run(
            """
            \(line) --name here &
            kill -HUP here
            sleep 1
            nodes | grep -c running
            kill here
            wait %1; echo $?
            """)
        #expect(outcome.lines.suffix(2) == ["1", "0"], "\(outcome.output) \(outcome.errorOutput)")
        let said = outcome.errorOutput + outcome.logs.joined(separator: "\n")
        #expect(said.contains("ot reloaded: it has no configuration that could be read again"), "\(said)")
    }
}
