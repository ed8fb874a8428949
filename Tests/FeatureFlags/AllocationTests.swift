import CAllocationCount
import FeatureFlagsEngine
import KernelStructures
import Testing

private let isUnoptimized: Bool = {
    #if DEBUG
        true
    #else
        false
    #endif
}()

/// What a question costs in memory: nothing. The test program has a counter in front of its allocator.
@Suite("Decisions without allocations", .disabled(if: isUnoptimized, "what is not optimized allocates everywhere"))
struct AllocationTests {
    private static let definitions: FlagDefinitions = {
        let quarter = FlagStrategy.rollout(percent: 25, group: "a-group-with-a-name-of-more-than-fifteen-bytes")
        var constrained = quarter
        constrained.constraints = [
            FlagConstraint("country", .isIn, values: ["US", "FR"]),
            FlagConstraint("userId", .isNotIn, values: ["banned-user-with-a-long-name"]),
        ]
        return FlagDefinitions([
            FlagDefinition("gradual", isEnabled: true, strategies: [quarter]),
            FlagDefinition("constrained", isEnabled: true, strategies: [constrained, quarter]),
            FlagDefinition(
                "child", isEnabled: true, strategies: [quarter], dependencies: [FlagDependency("gradual")]),
            FlagDefinition("off", isEnabled: false),
        ])
    }()
    private static let people = (0..<64).map {
        FlagContext("user-with-a-long-name-\($0)", ["country": $0 & 1 == 0 ? "US" : "DE", "plan": "enterprise"])
    }
    private static let names = ["gradual", "constrained", "child", "off", "nobody-knows-this-one"]

    /// Nothing of it may be optimized away.
    @inline(never) @_optimize(none) private static func made(_ count: Int) -> [Int] {
        Array(repeating: count, count: 100 + count % 3)
    }

    /// Allocations of this thread while `body` ran 100,000 times.
    private func allocations(_ body: (Int) -> Bool) -> (count: UInt64, enabled: Int) {
        var enabled = 0
        for index in 0..<1000 where body(index) { enabled += 1 }
        let before = sdlab_allocation_count()
        for index in 0..<100_000 where body(index) { enabled += 1 }
        return (sdlab_allocation_count() - before, enabled)
    }

    @Test("100,000 questions of the engine allocate nothing", arguments: names)
    func engine(name: String) {
        let set = FlagSet(Self.definitions)
        let people = Self.people
        let found = allocations { set.isEnabled(name, people[$0 & 63], now: .documentedEpoch) }
        #expect(found.count == 0, "\(name): \(found.count)")
        #expect((found.enabled > 0) == (name != "off" && name != "nobody-knows-this-one"))
    }

    @Test("nor do those of the library, which are counted as well")
    func library() {
        let client = FeatureFlagClient("", clock: { .documentedEpoch }, seed: 1)
        client.install(Self.definitions)
        let people = Self.people
        let found = allocations { client.isEnabled("constrained", people[$0 & 63]) }
        #expect(found.count == 0 && found.enabled > 0, "\(found.count)")
    }

    @Test("the counter counts: an array a question is seen")
    func counter() {
        let found = allocations { Self.made($0).count > 0 }
        #expect(found.count >= 100_000)
    }
}
