import ChaosEngine
import KernelJSON
import KernelStructures
import Testing

@Suite("What the metrics system says of an experiment")
struct MetricsImpactTests {
    private static let text =
        documentedExperiment
        + "\n  metrics: {url: \"http://metrics:9090/\", latency: 'checkout_latency_seconds{job=\"shop\"}', window: 20s,"
        + " queries: {rate: 'sum(rate(x[$window]))'}}\n"

    private static func vector(_ value: String) -> ExperimentRun.Outcome {
        .done(.http(200, #"{"status":"success","data":{"result":[{"metric":{},"value":[1,"\#(value)"]}]}}"#, .zero))
    }

    /// The URLs that were asked for, and the run.
    private func run(_ answer: @escaping (String) -> ExperimentRun.Outcome) throws -> ([String], RunDriver) {
        var urls: [String] = []
        var driver = RunDriver(try experiment(Self.text)) { activity, _ in
            guard case .http(let plan) = activity.provider else { return .done(.done) }
            guard plan.url.hasPrefix("http://metrics") else { return .done(.http(200, "pending", .milliseconds(100))) }
            urls.append(plan.url)
            return answer(plan.url)
        }
        driver.finish()
        return (urls, driver)
    }

    // @covers CHAOS-C4
    @Test("the same query for the time before, the method, and the time after")
    func phases() throws {
        let (urls, driver) = try run { url in Self.vector(url.contains("60000ms") ? "2340" : "12.5") }
        #expect(urls.count == 9)
        // It began at 0, the method 100 ms later; it lasts a minute, and the look back and the watch 20 s each.
        #expect(urls[0].contains("%5B20000ms%5D") && urls[0].hasSuffix("&time=1703084400.100"))
        #expect(urls[1].contains("%5B60000ms%5D") && urls[1].hasSuffix("&time=1703084460.100"))
        #expect(urls[2].contains("%5B20000ms%5D") && urls[2].hasSuffix("&time=1703084480.200"))
        #expect(urls[0].hasPrefix("http://metrics:9090/api/v1/query?query=1000+*+histogram_quantile%280.5"))
        #expect(urls[0].contains("checkout_latency_seconds_bucket%7Bjob%3D%22shop%22%7D"))
        #expect(driver.run.journal.figures.map(\.name) == ["p50", "p99", "rate"])
        let tail = driver.run.journal.figures[1]
        #expect(tail.unit == "ms" && [tail.before, tail.during, tail.after] == [12.5, 2340, 12.5])
        let json = driver.run.journal.json(node: "n", version: "1")
        #expect(json["metrics"]?[1]?["during"] == 2340)
        #expect(driver.run.journal.hasPassed && driver.said.contains("Watching the metrics for 20s..."))
    }

    @Test("what is unknown is no number, and a collector that is away does not change the verdict")
    func unknown() throws {
        let (_, empty) = try run { _ in .done(.http(200, #"{"data":{"result":[]}}"#, .zero)) }
        #expect(empty.run.journal.figures.allSatisfy { $0.before == nil && $0.during == nil && $0.after == nil })
        let (_, odd) = try run { _ in Self.vector("NaN") }
        #expect(odd.run.journal.figures[0].during == nil && odd.run.journal.hasPassed)
        let (asked, gone) = try run { _ in .failed("connection refused", .zero) }
        #expect(asked.count == 1 && gone.run.journal.hasPassed && gone.run.journal.figures.isEmpty)
        #expect(gone.said.contains("The metrics cannot be had: http://metrics:9090: connection refused"))
        let (refused, bad) = try run { _ in .done(.http(400, "", .zero)) }
        #expect(refused.count == 3 && bad.run.journal.hasPassed)
    }

    @Test(
        "what is wrong with the metrics of an experiment is said with its place",
        arguments: [
            "{url: 'http://m/'}", "{latency: x}", "{url: 'http://m/', latency: x, window: 1ms}",
            "{url: 'http://m/', queries: {a: [1]}}", "{url: 'http://m/', latency: x, colour: red}",
        ])
    func mistakes(_ metrics: String) {
        #expect(throws: ExperimentError.self) {
            try experiment("experiment: {name: t, method: [{probe: http, url: 'http://a/'}], metrics: \(metrics)}")
        }
    }
}
