import Glibc
import Testing

/// `sdlab circuit-test` as a process, in real time, against a service in another one.
@Suite struct ProcessCircuitTests {
    @Test("it opens, refuses without asking, tries again when the time has come, and recovers")
    func session() throws {
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--answers", "ok*2 fail*5 ok", port: port)
        let run = try ProgramProcess.run(
            "circuit-test", "--url", "http://127.0.0.1:\(port)", "--requests", "60", "--interval", "20ms", "--timeout",
            "400ms")
        #expect(run.status == 0)
        #expect(run.errors == "")
        let lines = run.output.split(separator: "\n").map(String.init)
        let calls =
            ["OK (circuit: CLOSED)", "OK (circuit: CLOSED)"]
            + (1...5).map { "FAIL (circuit: CLOSED, failures: \($0)/5)" }
            + ["REJECTED (circuit: OPEN) ← Fast fail, didn't even try"]
        #expect(Array(lines.prefix(8)) == calls.enumerated().map { "Request \($0 + 1): \($1)" })
        // Twenty intervals are 400 ms; a machine that is busy needs fewer of them for it, never more.
        let refused = lines.count { $0.contains("REJECTED") }
        #expect((1...20).contains(refused))
        let rest = lines.drop { !$0.contains("TRYING") }
        let trial = 8 + refused
        #expect(
            Array(rest.prefix(4)) == [
                "Request \(trial): TRYING (circuit: HALF-OPEN)",
                "Request \(trial): OK (circuit: HALF-OPEN, successes: 1/2)",
                "Request \(trial + 1): OK (circuit: HALF-OPEN, successes: 2/2)",
                "Request \(trial + 2): OK (circuit: CLOSED) ← Recovered!",
            ])
        #expect(lines.suffix(2).first == "Request 60: OK (circuit: CLOSED)")
        #expect(
            lines.last
                == "60 requests: \(55 - refused) succeeded, 5 failed, \(refused) rejected; the circuit opened once")
        #expect(backend.isRunning)
    }

    @Test("nobody there: each call fails, and the fallback answers; SIGINT ends it")
    func nobody() throws {
        let port = try ProgramPort.free()
        let process = try ProgramProcess([
            "circuit-test", "--url", "http://127.0.0.1:\(port)", "--interval", "10ms", "--fallback", "cached", "-v",
        ])
        try process.waitFor(
            "Request 5: FAIL (circuit: CLOSED, failures: 5/5): connection refused, answered with: cached\n")
        try process.waitFor("Request 6: REJECTED (circuit: OPEN), answered with: cached ← Fast fail, didn't even try\n")
        process.send(SIGINT)
        #expect(try process.waitForExit() == 130)
    }
}
