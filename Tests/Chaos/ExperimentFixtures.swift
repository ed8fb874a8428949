import ChaosEngine
import Foundation
import KernelJSON
import KernelStructures

/// The documented experiment, indented.
let documentedExperiment = """
    experiment:
      name: "API resilience test"
      hypothesis: "System returns degraded response when payment service is slow"
      steady_state:
        - probe: http
          url: http://api/checkout
          expect: status == 200 AND latency < 500ms
          degraded: status == 200 AND latency < 3s AND body contains "pending"
      method:
        - action: network-latency
          target: payment-service
          latency: 2000ms
          duration: 60s
      rollback:
        - action: network-restore
          target: payment-service
    """

func experiment(_ text: String) throws -> ChaosExperiment {
    try ChaosExperiment(parsing: Array(text.utf8), file: "e.yaml")
}

/// Other people's experiments; nil where they are missing, which is said aloud.
enum ChaosVectors {
    static let directory =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/../shared/vectors/chaos/"

    static var areThere: Bool { FileManager.default.fileExists(atPath: directory + "experiments.json") }

    static func json(_ name: String) throws -> JSONValue {
        try JSONValue(parsing: Array(try Data(contentsOf: URL(fileURLWithPath: directory + name))))
    }
}

/// Drives a run without a World: answers what it asks for by the clock of the test.
struct RunDriver {
    var run: ExperimentRun
    var now = LabTime.documentedEpoch
    private(set) var said: [String] = []
    /// What was asked for and is not answered.
    private(set) var open: [(ticket: Int, activity: Activity)] = []
    private(set) var timers: [(ticket: Int, due: LabTime)] = []
    private(set) var hasEnded = false
    /// Effects behind the end, and faults taken back before it.
    private(set) var revertCount = 0
    private(set) var performed: [String] = []
    /// What comes of an activity; nil leaves it open.
    var answer: (Activity, LabTime) -> ExperimentRun.Outcome?

    init(
        _ experiment: ChaosExperiment, _ options: ExperimentRun.Options = .init(),
        answer: @escaping (Activity, LabTime) -> ExperimentRun.Outcome?
    ) {
        run = ExperimentRun(experiment, options)
        self.answer = answer
    }

    mutating func start() { take(run.start(now)) }

    mutating func take(_ effects: [ExperimentRun.Effect]) {
        for effect in effects {
            precondition(!hasEnded, "nothing comes behind the end")
            switch effect {
            case .say(let text, _): said.append(text)
            case .perform(let ticket, let activity):
                open.append((ticket, activity))
                performed.append(activity.name)
            case .wait(let ticket, let time): timers.append((ticket, now + time))
            case .cancel(let ticket):
                open.removeAll { $0.ticket == ticket }
                timers.removeAll { $0.ticket == ticket }
            case .revertFaults: revertCount += 1
            case .ended: hasEnded = true
            }
        }
    }

    /// One answer or one timer. False if nothing is left to happen.
    mutating func step() -> Bool {
        for (index, one) in open.enumerated() {
            guard let outcome = answer(one.activity, now) else { continue }
            open.remove(at: index)
            if case .done(let observation) = outcome { now = now + observation.latency }
            take(run.finished(one.ticket, outcome, now))
            return true
        }
        guard let next = timers.indices.min(by: { (timers[$0].due, $0) < (timers[$1].due, $1) }) else { return false }
        let timer = timers.remove(at: next)
        now = max(now, timer.due)
        take(run.elapsed(timer.ticket, now))
        return true
    }

    mutating func finish(limit: Int = 10_000) {
        start()
        for _ in 0..<limit where !hasEnded { if !step() { return } }
    }

    mutating func interrupt() { take(run.interrupt(now)) }
}

extension Observation {
    static func http(_ status: Int, _ body: String = "", _ latency: LabDuration = .milliseconds(100)) -> Observation {
        Observation(
            .http(status: status, reason: status == 200 ? "OK" : "", headers: [], body: Array(body.utf8)),
            latency: latency)
    }

    static let done = Observation(.value(.bool(true)))
}
