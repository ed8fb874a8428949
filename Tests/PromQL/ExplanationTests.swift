import KernelJSON
import Testing
import TimeSeriesEngine

@testable import PromQLEngine

@Suite("How a result came about")
struct ExplanationTests {
    @Test("a rate shows its samples, its resets and how far its line was drawn on")
    func rate() throws {
        let store = try MemorySeries.loading("x{a=\"b\"} 10 20 30 5 15 25", step: 15_000)
        let expression = try PromQLExpression(parsing: "sum(rate(x[1m])) * 2")
        let explanation = try expression.explained(over: store, at: 70_000)
        #expect(explanation.statistics.samplesRead == 4)
        let rate = explanation.root.parts[0].parts[0]
        #expect(rate.text == "rate(x[1m])")
        let window = try #require(rate.windows.first)
        // Of 10 s to 70 s: 20, 30, 5, 15 at 15 s to 60 s.
        #expect(window.samples.map(\.value) == [20, 30, 5, 15])
        #expect(window.resets == [.init(timestamp: 45_000, before: 30, after: 5)])
        let extrapolation = try #require(window.extrapolation)
        #expect(extrapolation.difference == -5 && extrapolation.correction == 30)
        #expect(extrapolation.startSeconds == 5 && extrapolation.endSeconds == 10)
        #expect(extrapolation.factor == 60.0 / 45 / 60)
        #expect(window.result == 25 * (60.0 / 45) / 60)
        #expect(explanation.root.elements.map(\.value) == [window.result.map { $0 * 2 } ?? 0])
        #expect(explanation.json["query"]?["parts"]?[0]?["parts"]?[0]?["windowCount"] != nil)
    }

    @Test("a counter's line is not drawn on below zero")
    func zero() throws {
        let store = try MemorySeries.loading("x 1 11 21 31", step: 15_000)
        let explanation = try PromQLExpression(parsing: "increase(x[1m])").explained(over: store, at: 50_000)
        let extrapolation = try #require(explanation.root.windows[0].extrapolation)
        #expect(extrapolation.startSeconds == 1.5)
    }

    @Test("a subquery's steps are whole multiples, whenever the query runs; of two partners none is chosen")
    func steps() throws {
        let store = try MemorySeries.loading(
            "x{a=\"1\", b=\"1\"} 1x20\nx{a=\"1\", b=\"2\"} 1x20\ny{a=\"1\"} 1x20", step: 5000)
        for (time, count) in [(60_000, 5.0), (70_000, 4.0), (74_000, 4.0), (75_000, 5.0)] {
            let query = try PromQLExpression(parsing: "count_over_time(y[1m:15s])")
            guard case .vector(let found) = try query.evaluate(over: store, at: Int64(time)).value else { continue }
            #expect(found.map(\.value) == [count], "at \(time)")
        }
        do {
            _ = try PromQLExpression(parsing: "x * on (a) y").evaluate(over: store, at: 60_000)
            Issue.record("one of several was chosen")
        } catch {
            #expect("\(error)".contains("many-to-one matching must be explicit"), "\(error)")
        }
    }

    @Test("a selector shows what it has chosen from, a subquery its result only, and much is cut short")
    func others() throws {
        let store = MemorySeries()
        for number in 0..<100 {
            for index in 0..<50 {
                store.append(["__name__": "x", "n": "\(number)"], Int64(index) * 1000, Double(index))
            }
        }
        let explanation = try PromQLExpression(parsing: "max_over_time((x + 0)[30s:5s])").explained(
            over: store, at: 49_000)
        #expect(explanation.root.windowCount == 100 && explanation.root.windows.count == 10)
        #expect(explanation.root.elementCount == 100 && explanation.root.elements.count == 10)
        let selector = try PromQLExpression(parsing: "x").explained(over: store, at: 49_000).root
        #expect(selector.windows[0].sampleCount == 50 && selector.windows[0].samples.count == 12)
        #expect(try PromQLExpression(parsing: "\"x\"").explained(over: store, at: 0).root.string == "x")
        #expect(throws: PromQLError.self) {
            try PromQLExpression(parsing: "x + on() x").explained(over: store, at: 49_000)
        }
    }
}
