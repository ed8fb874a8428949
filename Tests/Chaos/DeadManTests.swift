import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage
import ShellSession
import TestSupport
import Testing

/// A runner that is killed or frozen at every moment of an experiment, in a lab as somebody at a terminal has it.
@Suite("The dead man's handle, at every step")
struct DeadManTests {
    private static let experiment = """
        experiment:
          name: everything at once
          steady_state:
            - {probe: http, url: "http://web-1:8081/", expect: status == 200, degraded: status < 600}
          method:
            - {action: network-latency, target: web-1, latency: 300ms, duration: 40s, background: true}
            - {action: network-partition, target: "{web-2}|{web-3}", duration: 30s, background: true}
            - {action: cpu-hog, target: web-2, share: 50, duration: 40s, background: true, pauses: {after: 2s}}
            - {action: process-pause, target: web-3, duration: 30s, background: true, pauses: {after: 2s}}
            - {action: clock-skew, target: web-2, by: 1h, pauses: {after: 2s}}
            - {action: disk-full, target: web-1, duration: 5s}
          rollback:
            - {action: restore}
        """

    private final class Terminal {
        let lab: Lab
        private(set) var runner: Submission?

        init() throws {
            lab = try Lab(LabOptions())
            try lab.session.files.place(Array(DeadManTests.experiment.utf8), at: "/e.yaml")
            try type("spawn 3 backend --port 8081 --name web")
            runner = try submit("chaos-runner --config e.yaml &")
        }

        func submit(_ text: String) throws -> Submission {
            lab.session.submit(try Parser.parse(text), on: lab.session.currentTerminal, text: text)
        }

        /// Until the runner has ended, or something has happened so many times.
        func runOn(_ events: Int) {
            var count = 0
            _ = lab.session.wait(.stepping, limit: .seconds(3600)) {
                count += 1
                return count > events && (job != nil || runner?.isRunning == false)
            }
        }

        func type(_ text: String) throws {
            let submission = try submit(text)
            _ = lab.session.wait(.stepping, limit: .seconds(600)) { !submission.isRunning }
        }

        /// Whether anything is still wrong with the lab's nodes.
        var isWhole: Bool {
            let nodes = lab.world.nodes.allServices.filter { $0.name.hasPrefix("web") }
            return lab.world.faults.rules.isEmpty && nodes.count == 3
                && nodes.allSatisfy { $0.state == .running && $0.clockSkew == .zero }
        }

        var job: Job? { lab.session.jobs.running.first { $0.text.hasPrefix("chaos-runner") } }
    }

    // @covers CHAOS-H5 CHAOS-C3
    @Test("killed after any number of events, nothing that it did is left", arguments: [Signal.kill, .stop])
    func anywhere(_ signal: Signal) throws {
        var hadFaults = 0
        var isOver = false
        var events = 1
        while !isOver {
            let terminal = try Terminal()
            terminal.runOn(events)
            guard let job = terminal.job else {
                isOver = true
                #expect(terminal.isWhole, "it has ended by itself")
                continue
            }
            if !terminal.isWhole { hadFaults += 1 }
            _ = job.send(signal)
            // At once where it is dead; when the lease has run out where it only hangs.
            _ = terminal.lab.session.advance(by: signal == .kill ? .milliseconds(200) : .seconds(11))
            #expect(terminal.isWhole, "SIG\(signal.rawValue) after \(events) events")
            events += isLong ? 1 : 7
        }
        #expect(hadFaults > 5)
    }
}
