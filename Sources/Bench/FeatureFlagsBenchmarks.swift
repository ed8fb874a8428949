import FeatureFlagsEngine
import KernelStructures

/// A question on the way of a request: is this feature on for this user? Two million a second are 500 ns.
let featureFlagsBenchmarks: [Benchmark] = [
    Benchmark("flags", "engine: on for everybody", barNanoseconds: 500, threads: [1]) { evaluate("everybody") },
    Benchmark("flags", "engine: 25 % of users", barNanoseconds: 500) { evaluate("gradual") },
    Benchmark("flags", "engine: country in a list, and 25 %", barNanoseconds: 500, threads: [1]) {
        evaluate("constrained")
    },
    Benchmark("flags", "engine: a parent's flag, and 25 %", barNanoseconds: 500, threads: [1]) { evaluate("child") },
    Benchmark("flags", "library: isEnabled, 25 %, counted", barNanoseconds: 500) {
        let client = FeatureFlagClient("", clock: { someTime }, seed: 1)
        client.install(someDefinitions)
        let people = somePeople
        return { count, _ in
            for index in 0..<count { keep(client.isEnabled("gradual", people[index & 1023])) }
        }
    },
    Benchmark("flags", "engine: a variant of two", barNanoseconds: 500, barAllocations: nil, threads: [1]) {
        let set = FlagSet(someDefinitions)
        let people = somePeople
        return { count, _ in
            for index in 0..<count { keep(set.variant("button", people[index & 1023], now: someTime).name) }
        }
    },
]

private let someTime = LabTime.documentedEpoch
private let somePeople = (0..<1024).map { FlagContext("user:\($0)", ["country": $0 & 1 == 0 ? "US" : "DE"]) }

private let someDefinitions: FlagDefinitions = {
    let quarter = FlagStrategy.rollout(percent: 25, group: "gradual")
    var constrained = quarter
    constrained.constraints = [FlagConstraint("country", .isIn, values: ["US", "FR", "GB", "JP"])]
    return FlagDefinitions([
        FlagDefinition("everybody", isEnabled: true, strategies: [FlagStrategy("default")]),
        FlagDefinition("gradual", isEnabled: true, strategies: [quarter]),
        FlagDefinition("constrained", isEnabled: true, strategies: [constrained]),
        FlagDefinition(
            "child", isEnabled: true, strategies: [quarter], dependencies: [FlagDependency("everybody")]),
        FlagDefinition(
            "button", isEnabled: true, strategies: [FlagStrategy("default")],
            variants: [.init("red", weight: 500), .init("blue", weight: 500)]),
    ])
}()

private func evaluate(_ name: String) -> (Int, Int) -> Void {
    let set = FlagSet(someDefinitions)
    let people = somePeople
    return { count, _ in
        for index in 0..<count { keep(set.isEnabled(name, people[index & 1023], now: someTime)) }
    }
}
