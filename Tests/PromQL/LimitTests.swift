import Testing
import TimeSeriesEngine

@testable import PromQLEngine

@Suite("What a query may cost")
struct LimitTests {
    private func store() -> MemorySeries {
        let store = MemorySeries()
        for series in 0..<50 {
            for index in 0..<100 {
                store.append(["__name__": "x", "n": "\(series)"], Int64(index) * 1000, Double(index))
            }
        }
        return store
    }

    private func error(_ query: String, _ change: (inout QueryLimits) -> Void, steps: Int64 = 0) -> PromQLError? {
        var limits = QueryLimits()
        change(&limits)
        do throws(PromQLError) {
            let expression = try PromQLExpression(parsing: query)
            if steps > 0 {
                _ = try expression.evaluateRange(
                    over: store(), from: 0, through: steps * 1000, stepMilliseconds: 1000, limits: limits)
            } else {
                _ = try expression.evaluate(over: store(), at: 99_000, limits: limits)
            }
            return nil
        } catch {
            return error
        }
    }

    @Test("samples, series, steps and time end a query with Prometheus's words")
    func limits() {
        #expect(error("sum(x)") { $0.samples = 6000 } == nil)
        #expect(error("sum(x)") { $0.samples = 4000 } == .tooManySamples)
        #expect(error("rate(x[50s])") { $0.series = 49 }?.kind == .execution)
        #expect(error("rate(x[50s])") { $0.series = 50 } == nil)
        #expect(
            error("x", { $0.steps = 10 }, steps: 10)?.message.hasPrefix("exceeded maximum resolution of 10") == true)
        #expect(error("x", { $0.steps = 11 }, steps: 10) == nil)
        #expect(error("rate(x[50s])", { $0.isExpired = { _ in true } }, steps: 10_000) == .timedOut)
        #expect(error("x[5m]", { _ in }, steps: 5)?.kind == .badData)
    }

    @Test(
        "no expression makes memory without end",
        arguments: [
            "count_over_time(vector(1)[290y:1ms])", "count_over_time((1+vector(1))[13h:1ms])",
            "max_over_time(sum_over_time(sum_over_time(x[1y:1s])[1y:1s])[1y:1s])",
            "vector(1)[290y:1ms]", "count_over_time(time()[1y:1s] @ 1)",
            "sum_over_time(vector(1+(1+(1+(1+(1+(1+time()))))))[10h:1ms])",
        ])
    func bombs(_ query: String) {
        #expect(error(query, { $0.samples = 1_000_000 }) != nil)
    }

    @Test(
        "no time and no duration leaves 64 bits",
        arguments: [
            "x offset 292y", "x offset -292y", "x @ 9e18", "x @ -9e18 offset 292y",
            "rate(x[292y] offset 292y)", "sum_over_time(sum_over_time(x[5m] offset 292y)[1m:1s] offset 292y)",
            "rate(x[1m] @ 9e18 offset -292y)", "predict_linear(x[1m], 9e300)", "timestamp(x @ -9e15)",
        ])
    func times(_ query: String) throws {
        let expression = try PromQLExpression(parsing: query)
        for time in [Int64.min, -1, 0, 99_000, .max] {
            _ = try? expression.evaluate(over: store(), at: time)
            _ = try? expression.evaluateRange(over: store(), from: time, through: .max, stepMilliseconds: .max)
            _ = try? expression.evaluateRange(over: store(), from: .min, through: time, stepMilliseconds: 1 << 60)
        }
        var limits = QueryLimits()
        (limits.lookbackMilliseconds, limits.subqueryStepMilliseconds) = (.max, .max)
        _ = try? expression.evaluate(over: store(), at: 99_000, limits: limits)
        (limits.lookbackMilliseconds, limits.subqueryStepMilliseconds) = (.min, .min)
        (limits.samples, limits.steps) = (.max, .min)
        _ = try? expression.evaluate(over: store(), at: 99_000, limits: limits)
    }

    @Test("a drawing reads each series once")
    func reads() throws {
        let store = store()
        _ = try PromQLExpression(parsing: "sum(rate(x[10s]))").evaluateRange(
            over: store, from: 0, through: 99_000, stepMilliseconds: 1000)
        #expect(store.reads == 50)
    }
}
