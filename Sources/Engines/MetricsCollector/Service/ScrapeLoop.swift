import KernelCompression
import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import MetricsCollectorEngine

/// One target that is asked for its page, again and again: at its place in the interval, with a time limit, never twice
/// at once.
final class ScrapeLoop {
    let scraper: TargetScraper
    private let node: Node
    private let security: (any StreamSecurity)?
    private let seed: UInt64
    private let onOutcome: (ScrapeLoop, TargetScraper.Outcome) -> Void
    private var timer: TimerID?
    private var call: HTTPCall?
    private var isOver = false
    private(set) var lastOutcome: TargetScraper.Outcome?
    private(set) var lastTime: LabTime?
    private(set) var lastDuration = LabDuration.zero
    /// Since it was last otherwise.
    private(set) var scrapeCount = 0

    var target: Target { scraper.target }

    /// Bytes of a page where the configuration says nothing.
    private static let pageLimitBytes = 256 << 20
    private static let acceptWithNative =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
        + "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,"
        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    private static let accept =
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

    init(
        _ node: Node, _ scraper: TargetScraper, seed: UInt64, security: (any StreamSecurity)?,
        onOutcome: @escaping (ScrapeLoop, TargetScraper.Outcome) -> Void
    ) {
        self.node = node
        self.scraper = scraper
        self.seed = seed
        self.security = security
        self.onOutcome = onOutcome
    }

    /// Scrapes after `delay` for the first time, so that a target is seen as soon as it is known; then at its place in
    /// the interval.
    func start(after delay: LabDuration) {
        timer = node.after(delay) { [weak self] in self?.scrape() }
    }

    func stop() {
        guard !isOver else { return }
        isOver = true
        node.cancel(timer)
        call?.cancel()
        call = nil
        scraper.end(at: node.milliseconds)
    }

    private func scheduleNext() {
        guard !isOver else { return }
        let now = node.world.now
        let next = target.firstScrape(now: now + .milliseconds(1), seed: seed)
        timer = node.after(next - now) { [weak self] in self?.scrape() }
    }

    private func scrape() {
        guard !isOver else { return }
        scheduleNext()
        // The last one is still under way: possible only if the clock has jumped.
        guard call == nil else { return }
        let startedAt = node.world.now
        let time = node.milliseconds
        var limit = scraper.configuration.bodySizeLimit
        if limit == 0 { limit = Self.pageLimitBytes }
        guard let url = try? HTTPURL(target.url) else {
            return ended(scraper.fail("\(target.url) is no address", at: time, duration: .zero), startedAt)
        }
        var request = HTTPCall.Request("GET", url: url)
        request.fields = [
            ("Accept", scraper.configuration.wantsNativeHistograms ? Self.acceptWithNative : Self.accept),
            ("Accept-Encoding", "gzip"), ("User-Agent", "sdlab"),
            ("X-Prometheus-Scrape-Timeout-Seconds", "\(target.timeout.seconds)"),
        ]
        if let field = scraper.configuration.authorizationField { request.fields.append(("Authorization", field)) }
        request.deadline = target.timeout
        request.redirectLimit = 10
        request.answer = .collected(limitBytes: limit)
        let call = HTTPCall(node, request, security: security) { [weak self] result in
            self?.answered(result, time, startedAt, limit)
        }
        self.call = call
        call.start()
    }

    private func answered(
        _ result: Result<HTTPCall.Response, HTTPCall.Failure>, _ time: Int64, _ startedAt: LabTime, _ limit: Int
    ) {
        guard !isOver else { return }
        call = nil
        let duration = node.world.now - startedAt
        let outcome: TargetScraper.Outcome
        switch result {
        case .success(let response) where response.status == 200:
            do {
                outcome = scraper.take(
                    try Self.body(response, limit),
                    TargetScraper.PageFormat(contentType: response.head.value(of: .contentType)), at: time,
                    duration: duration)
            } catch {
                outcome = scraper.fail("\(error)", at: time, duration: duration)
            }
        case .success(let response):
            outcome = scraper.fail(
                "server returned HTTP status \(response.status) \(HTTPStatus.reason(response.status))", at: time,
                duration: duration)
        case .failure(let failure): outcome = scraper.fail(failure.description, at: time, duration: duration)
        }
        ended(outcome, startedAt)
    }

    private static func body(_ response: HTTPCall.Response, _ limit: Int) throws(CompressionError) -> [UInt8] {
        let coding = response.head.value(of: "Content-Encoding")?.lowercased()
        return coding == "gzip"
            ? try CompressionFormat.gzip.decompress(response.body, limitBytes: limit) : response.body
    }

    private func ended(_ outcome: TargetScraper.Outcome, _ startedAt: LabTime) {
        lastTime = startedAt
        lastDuration = node.world.now - startedAt
        lastOutcome = outcome
        scrapeCount += 1
        onOutcome(self, outcome)
    }
}

extension Node {
    /// The node's clock, in milliseconds since 1970, within what a sample's time can be.
    var milliseconds: Int64 { SampleTime.clamped(wallClock.nanoseconds / 1_000_000) }
}
