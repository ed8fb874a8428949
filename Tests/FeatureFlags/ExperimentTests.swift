import FeatureFlagsEngine
import KernelStructures
import Testing

@Suite("Experiments")
struct ExperimentTests {
    private func near(_ a: Double, _ b: Double, _ tolerance: Double = 5e-5) -> Bool { abs(a - b) < tolerance }

    // Values from scipy.stats (norm.ppf, chi2.sf) and statsmodels' proportion_confint(method="wilson").
    @Test("the formulas give published values")
    func formulas() {
        #expect(near(Experiment.quantile(0.975), 1.959964) && near(Experiment.quantile(0.5), 0))
        #expect(near(Experiment.quantile(0.995), 2.575829) && near(Experiment.quantile(0.025), -1.959964))
        for (x, degrees, tail) in [
            (3.841459, 1, 0.05), (6.634897, 1, 0.01), (5.991465, 2, 0.05), (0.5, 1, 0.4795001), (100, 1, 0),
            (18.307038, 10, 0.05), (2, 4, 0.7357589), (0, 3, 1),
        ] {
            #expect(near(Experiment.chiSquareTail(x, degrees: degrees), tail), "\(x), \(degrees)")
        }
        let wilson = Experiment.wilson(10, 100, 1.959964)
        #expect(near(wilson.lowerBound, 0.055229) && near(wilson.upperBound, 0.174366))
        let nobody = Experiment.wilson(0, 10, 1.959964)
        #expect(nobody.lowerBound == 0 && near(nobody.upperBound, 0.277533))
        // Newcombe (1998), table II, example (a): 56/70 against 48/80, method 10.
        let arms = Experiment([
            .init(variant: "b", weight: 80, exposed: 80, converted: 48),
            .init(variant: "a", weight: 70, exposed: 70, converted: 56),
        ]).arms
        let difference = arms[1].difference!
        #expect(near(difference.value, 0.2) && near(difference.interval.lowerBound, 0.0524, 1e-4))
        #expect(near(difference.interval.upperBound, 0.3339, 1e-4))
    }

    private func samples(_ list: (Int, Int, Int)...) -> [Experiment.Sample] {
        list.enumerated().map { .init(variant: "v\($0)", weight: $1.0, exposed: $1.1, converted: $1.2) }
    }

    // @covers FLAG-C5
    @Test("who is winning, and when nobody can say")
    func verdicts() {
        #expect(Experiment(samples((50, 0, 0), (50, 0, 0))).verdict == .nobody)
        #expect(Experiment(samples((50, 1_000, 100), (50, 1_010, 150))).verdict == .winner("v1"))
        #expect(Experiment(samples((50, 1_000, 100), (50, 1_010, 104))).verdict == .undecided)
        #expect(Experiment(samples((50, 1_000, 150), (50, 1_010, 100))).verdict == .controlWins("v0"))
        #expect(Experiment(samples((50, 1_000, 100), (50, 1_300, 200))).verdict == .mismatch)
        #expect(Experiment(samples((50, 10, 5), (0, 3, 3), (50, 12, 6))).hasRatioMismatch)
        #expect(Experiment([]).verdict == .nobody)
        // Two comparisons need more than one does.
        #expect(Experiment(samples((50, 1_000, 100), (50, 1_000, 128))).verdict == .winner("v1"))
        #expect(Experiment(samples((50, 1_000, 100), (50, 1_000, 128), (50, 1_000, 100))).verdict == .undecided)
    }

    @Test("with two equal variants nineteen of twenty experiments find nothing, and the ratio is hardly ever wrong")
    func chance() {
        var random = SeededRandom(seed: 3)
        var found = 0
        var mismatches = 0
        for _ in 0..<400 {
            let counts = (0..<2).map { _ in (0..<500).count { _ in random.chance(0.2) } }
            let first = (0..<1_000).count { _ in random.chance(0.5) }
            let experiment = Experiment(samples((1, 500, counts[0]), (1, 500, counts[1])))
            if experiment.verdict != .undecided { found += 1 }
            if Experiment(samples((1, first, 0), (1, 1_000 - first, 0))).hasRatioMismatch { mismatches += 1 }
        }
        #expect((4...40).contains(found) && mismatches <= 3)
    }

    @Test("absurd numbers are no reason to fall over")
    func absurd() {
        for sample in [(-1, -5, 9), (1, 1 << 53, 1 << 53), (1_000_000, 0, 7), (0, 1, 1)] {
            _ = Experiment(samples(sample, sample, (1, 10, 20))).verdict
        }
    }
}
