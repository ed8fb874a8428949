import CommandKit
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// `load-test` at work: so many requests, so many of them at a time, and what came of them.
///
/// Without a rate it is a closed loop: a slow server is asked less, and whoever measures it so does not see those who
/// would have come meanwhile (Tene's "coordinated omission"). With a rate it is an open one: each request is due at its
/// time, whatever became of those before it, and its time runs from then, as in wrk2. One that has to wait because too
/// many are under way has waited for the server all the same.
final class LoadTest: Program {
    struct Settings {
        var base: HTTPURL
        var endpoint: String
        var method = "GET"
        var fields: [(name: String, value: String)] = []
        /// Sent with each; nil: none.
        var body: String?
        var concurrent = 1
        var requests = 1
        /// How many are due a second; nil: the next one when one has ended.
        var rate: Int?
        /// The word `{}` of the endpoint, of fields and of the body takes the numbers 1 to so many in turn.
        var distinct = 1
        var timeout = LabDuration.seconds(30)
        var wantsJSON = false
    }

    private let process: Process
    private let settings: Settings
    private var begun = 0
    private var ended = 0
    private var statuses: [Int: Int] = [:]
    private var failures: [String: Int] = [:]
    private var times: [LabDuration] = []
    private var startedAt = LabTime(nanoseconds: 0)
    private var timer: TimerID?
    private var lateCount = 0

    init(_ process: Process, _ settings: Settings) {
        self.process = process
        self.settings = settings
    }

    func start() {
        startedAt = process.node.world.now
        goOn()
    }

    /// Begins what may begin now.
    private func goOn() {
        let now = process.node.world.now
        while begun < settings.requests, begun - ended < settings.concurrent {
            guard let rate = settings.rate else {
                ask(since: now)
                continue
            }
            let due = startedAt + LabDuration(nanoseconds: Int64(begun) * 1_000_000_000 / Int64(rate))
            guard due <= now else { return wait(due - now) }
            if due < now, isBlocked { lateCount += 1 }
            ask(since: due)
        }
        isBlocked = begun < settings.requests
    }

    /// Whether those that are due wait for others to end.
    private var isBlocked = false

    private func wait(_ time: LabDuration) {
        isBlocked = false
        process.node.cancel(timer)
        timer = process.node.after(time) { [weak self] in self?.goOn() }
    }

    /// - Parameter due: from when its time runs.
    private func ask(since due: LabTime) {
        let number = "\(begun % settings.distinct + 1)"
        var url = settings.base
        url.target = settings.endpoint.replacing("{}", with: number)
        begun += 1
        var request = HTTPCall.Request(settings.method, url: url)
        request.deadline = settings.timeout
        request.fields =
            [("User-Agent", "load-test")] + settings.fields.map { ($0.name, $0.value.replacing("{}", with: number)) }
        request.body = settings.body.map { Array($0.replacing("{}", with: number).utf8) }
        HTTPCall(process.node, request) { [self] result in
            times.append(process.node.world.now - due)
            switch result {
            case .success(let response): statuses[response.status, default: 0] += 1
            case .failure(let failure): failures["\(failure)", default: 0] += 1
            }
            ended += 1
            if ended == settings.requests { finish() } else { goOn() }
        }.start()
    }

    private func finish() {
        times.sort()
        let view = view(process.node.world.now - startedAt)
        process.noteMeasuredTime()
        process.output.write(process.text(of: view, asJSON: settings.wantsJSON))
        let isGood = failures.isEmpty && statuses.keys.allSatisfy { $0 < 500 }
        process.exit(isGood ? 0 : 1)
    }

    private func percentile(_ share: Double) -> LabDuration {
        times.isEmpty ? .zero : times[min(times.count - 1, Int(Double(times.count) * share))]
    }

    private func view(_ total: LabDuration) -> View {
        let mean = LabDuration(
            nanoseconds: times.reduce(LabDuration.zero) { $0 + $1 }.nanoseconds / Int64(max(1, times.count)))
        var fields: [View.Field] = [
            .init("requests", key: "requests", .integer(settings.requests)),
            .init("at a time", key: "concurrent", .integer(min(settings.concurrent, settings.requests))),
        ]
        if let rate = settings.rate {
            let reached = (Double(ended) / max(total.seconds, 1e-9)).rounded()
            fields += [
                .init("due a second", key: "rate", .integer(rate)),
                .init("ended a second", key: "reached_rate", .integer(Int(min(reached, 1e15)))),
                .init("begun late", key: "late", .integer(lateCount)),
            ]
        }
        for (status, count) in statuses.sorted(by: { $0.key < $1.key }) {
            fields.append(.init("status \(status)", key: "status_\(status)", .integer(count)))
        }
        for (reason, count) in failures.sorted(by: { $0.key < $1.key }) {
            fields.append(
                .init("failed", key: "failed", .init("\(count): \(reason)", json: .string("\(count): \(reason)"))))
        }
        fields += [
            .init("took", key: "took_ms", .duration(total)), .init("mean", key: "mean_ms", .duration(mean)),
            .init("median", key: "median_ms", .duration(percentile(0.5))),
            .init("p99", key: "p99_ms", .duration(percentile(0.99))),
            .init("slowest", key: "slowest_ms", .duration(times.last ?? .zero)),
        ]
        return View(.record(fields))
    }
}
