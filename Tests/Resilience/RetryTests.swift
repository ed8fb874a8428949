import KernelStructures
import ResilienceEngine
import Testing

@Suite struct RetryTests {
    private func retry(_ change: (inout Retry.Configuration) -> Void = { _ in }) -> Retry {
        var configuration = Retry.Configuration()
        configuration.maxAttempts = 20
        configuration.waitDuration = .seconds(1)
        configuration.budget = nil
        change(&configuration)
        return Retry(configuration, random: SeededRandom(seed: 5))
    }

    private func pauses(_ retry: inout Retry, _ count: Int) -> [Double] {
        var previous = LabDuration.zero
        return (1...count).map { attempt in
            guard case .again(let pause) = retry.failed(attempt: attempt, previousWait: previous) else { return -1 }
            previous = pause
            return pause.seconds
        }
    }

    @Test("without jitter each pause is twice the one before, up to the limit")
    func exponential() {
        var retry = retry {
            $0.jitter = .none
            $0.exponentialMaxWaitDuration = .seconds(10)
        }
        #expect(pauses(&retry, 6) == [1, 2, 4, 8, 10, 10])
    }

    @Test("jitter stays within its bounds and is spread over them", arguments: Retry.Jitter.allCases)
    func jitter(kind: Retry.Jitter) {
        var retry = retry { $0.jitter = kind }
        let drawn = (0..<2000).map { _ -> Double in
            guard case .again(let pause) = retry.failed(attempt: 3, previousWait: .seconds(2)) else { return -1 }
            return pause.seconds
        }
        // The third pause is 4 s; after one of 2 s, decorrelated reaches 6 s.
        let (low, high): (Double, Double) =
            switch kind {
            case .none: (4, 4)
            case .full: (0, 4)
            case .equal: (2, 4)
            case .decorrelated: (1, 6)
            }
        #expect(drawn.allSatisfy { ($0 >= low) && ($0 <= high) })
        let mean = drawn.reduce(0, +) / 2000
        // Uniform: four standard errors of the mean.
        #expect(abs(mean - (low + high) / 2) <= 4 * (high - low) / (12 * 2000).squareRoot())
        if kind != .none { #expect(drawn.max()! - drawn.min()! > 0.95 * (high - low)) }
    }

    @Test("it gives up after the last attempt, and never asks a service earlier than that wants")
    func limits() {
        var retry = retry { $0.maxAttempts = 3 }
        for attempt in 1...2 {
            guard case .again(let pause) = retry.failed(attempt: attempt, retryAfter: .seconds(60)) else {
                Issue.record("attempt \(attempt) is followed by none")
                continue
            }
            #expect(pause == .seconds(60))
        }
        #expect(retry.failed(attempt: 3) == .giveUp(.attemptsExhausted))
    }

    @Test("storm: in an outage the budget keeps the load near that of the calls themselves")
    func storm() {
        func attempts(calls: Int, budget: RetryBudget.Configuration?, fails: (inout SeededRandom) -> Bool) -> Int {
            var retry = retry {
                $0.maxAttempts = 4
                $0.budget = budget
            }
            var random = SeededRandom(seed: 9)
            var total = 0
            for _ in 0..<calls {
                var attempt = 1
                while true {
                    total += 1
                    guard fails(&random) else {
                        retry.succeeded()
                        break
                    }
                    guard case .again = retry.failed(attempt: attempt) else { break }
                    attempt += 1
                }
            }
            return total
        }
        #expect(attempts(calls: 1000, budget: nil) { _ in true } == 4000)
        #expect(attempts(calls: 1000, budget: .init()) { _ in true } < 1040, "half a glass of retries, and no more")
        // One call in a hundred fails: each gets its second attempt.
        let calm = attempts(calls: 10_000, budget: .init()) { $0.below(100) == 0 }
        #expect((10_060...10_160).contains(calm))
    }

    @Test("the budget is a glass: half of it may go, and successes fill it, not beyond the brim")
    func budget() {
        var configuration = RetryBudget.Configuration()
        configuration.maxTokens = 10
        configuration.tokenRatioThousandths = 500
        var budget = RetryBudget(configuration)
        for _ in 0..<4 { budget.failed() }
        #expect(budget.allowsRetry)
        budget.failed()
        #expect(!budget.allowsRetry, "half is not more than half")
        budget.succeeded()
        #expect(budget.allowsRetry)
        for _ in 0..<100 { budget.succeeded() }
        #expect(budget.tokens == 10)
        for _ in 0..<100 { budget.failed() }
        #expect(budget.tokens == 0)
    }
}
