import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import MetricsCollectorEngine
import TimeSeriesEngine

/// Sends what the store takes to another system that understands Prometheus' remote write, version 1.
final class RemoteWriter {
    let url: String
    private let node: Node
    private let externalLabels: Labels
    private let security: (any StreamSecurity)?
    private(set) var queue: RemoteWriteQueue
    private var timer: TimerID?
    private var call: HTTPCall?
    private var isOver = false
    private var isTroubled = false
    private var isSoon = false
    /// Something that an operator should know, when it is new.
    var onTrouble: ((String) -> Void)?

    private static let deadline = LabDuration.seconds(30)

    init(_ node: Node, url: String, externalLabels: Labels, security: (any StreamSecurity)?) {
        self.node = node
        self.url = url
        self.externalLabels = externalLabels
        self.security = security
        queue = RemoteWriteQueue(externalLabels: externalLabels)
    }

    /// Whether what it sends has other labels now.
    func isStale(_ configuration: CollectorConfiguration) -> Bool { configuration.externalLabels != externalLabels }

    func stop() {
        isOver = true
        node.cancel(timer)
        call?.cancel()
        call = nil
    }

    func add(_ labels: Labels, _ time: Int64, _ value: SampleValue) {
        guard !isOver else { return }
        queue.add(labels, time, value)
        guard call == nil else { return }
        // Enough for a request is sent at once, though not from within a commit.
        if queue.isFull, !isTroubled, !isSoon {
            isSoon = true
            wait(.zero)
        } else if timer == nil {
            wait(RemoteWriteQueue.batchDelay)
        }
    }

    private func wait(_ time: LabDuration) {
        node.cancel(timer)
        timer = node.after(time) { [weak self] in
            guard let self else { return }
            timer = nil
            isSoon = false
            send()
        }
    }

    private func send() {
        guard !isOver, call == nil, let place = try? HTTPURL(url), let message = queue.next() else { return }
        var request = HTTPCall.Request("POST", url: place)
        request.fields = [
            ("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy"),
            ("X-Prometheus-Remote-Write-Version", "0.1.0"), ("User-Agent", "sdlab"),
        ]
        request.body = message.bytes
        request.deadline = Self.deadline
        request.answer = .collected(limitBytes: 64 << 10)
        let call = HTTPCall(node, request, security: security) { [weak self] result in self?.answered(result) }
        self.call = call
        call.start()
    }

    private func answered(_ result: Result<HTTPCall.Response, HTTPCall.Failure>) {
        guard !isOver else { return }
        call = nil
        let pause: LabDuration
        switch result {
        case .success(let response):
            let seconds = response.head.value(of: "Retry-After").flatMap { Int($0) }.map { min(max(0, $0), 3600) }
            pause = queue.answered(response.status, retryAfter: seconds.map { .seconds($0) })
            let said = String(decoding: response.body.prefix(200), as: UTF8.self).split(separator: "\n").first
            tell(response.isSuccess ? nil : "status \(response.status)\(said.map { ": \($0)" } ?? "")")
        case .failure(let failure):
            pause = queue.answered(nil)
            tell(failure.description)
        }
        guard queue.pendingCount > 0 else { return }
        wait(isTroubled || queue.isFull ? pause : max(pause, RemoteWriteQueue.batchDelay))
    }

    private func tell(_ trouble: String?) {
        if let trouble, !isTroubled { onTrouble?("Remote write to \(url): \(trouble)") }
        isTroubled = trouble != nil
    }
}
