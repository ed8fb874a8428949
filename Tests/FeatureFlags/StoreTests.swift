import FeatureFlagsEngine
import KernelJSON
import KernelStructures
import TestSupport
import Testing

@Suite("The store")
struct StoreTests {
    private func make(_ changes: FlagChange...) throws -> FlagStore {
        var store = FlagStore()
        for change in changes { _ = try store.apply(change, by: "test", now: epoch) }
        return store
    }

    private let create = FlagChange.create(name: "f", kind: .release, hasVariants: false, description: "")
    private func rollOut(_ percent: Int) -> FlagChange {
        .rollOut(name: "f", environment: nil, percent: percent, stickiness: nil)
    }

    private func lines(_ store: inout FlagStore, _ change: FlagChange, now: LabTime = epoch) throws -> [String] {
        try store.apply(change, by: "test", now: now).lines.map(\.description)
    }

    @Test("a flag is off at first; the first rollout switches it on, and nothing switches a killed one on")
    func life() throws {
        var store = try make(create)
        #expect(!store.flags["f"]!.state(in: "production").isEnabled)
        #expect(
            try lines(&store, rollOut(10)) == ["f: 0% → 10%", "Approximately 10% of users will see this flag enabled"])
        #expect(try lines(&store, .kill(name: "f")) == ["f is killed: off in every environment"])
        #expect(
            try lines(&store, rollOut(50)) == [
                "f: 0% → 50%", "f is off in production: flags-cli enable f switches it on",
            ])
        _ = try lines(&store, .target(name: "f", environment: nil, rule: "user.a", percent: 100))
        #expect(!store.flags["f"]!.state(in: "production").isEnabled)
        #expect(try lines(&store, .setEnabled(name: "f", environment: nil, true)) == ["f is on in production"])
        #expect(store.flags["f"]!.state(in: "production").generalPercent == 50)
        #expect(!store.flags["f"]!.state(in: "development").isEnabled)
    }

    @Test("a rule with 'or' is several strategies of one group, in front of the rollout; again it replaces itself")
    func rules() throws {
        var store = try make(create, rollOut(10))
        let rule = FlagChange.target(name: "f", environment: nil, rule: "user.a or user.b == 'x'", percent: 30)
        #expect(try lines(&store, rule) == [#"Added targeting rule: users with a == "true" or b == "x" at 30%"#])
        var strategies = store.flags["f"]!.state(in: "production").strategies
        #expect(strategies.map(\.rolloutPercent) == [30, 30, 10] && Set(strategies.compactMap(\.id)).count == 3)
        #expect(strategies.allSatisfy { $0.parameters["groupId"] == "f" })
        _ = try lines(
            &store, .target(name: "f", environment: nil, rule: #"(user.a) || user.b == "x""#, percent: 60))
        strategies = store.flags["f"]!.state(in: "production").strategies
        #expect(strategies.map(\.rolloutPercent) == [60, 60, 10])
        #expect(throws: FlagError.self) {
            _ = try store.apply(.untarget(name: "f", environment: nil, rule: "user.c"), by: "", now: epoch)
        }
        _ = try lines(&store, .untarget(name: "f", environment: nil, rule: nil))
        #expect(store.flags["f"]!.state(in: "production").strategies.map(\.rolloutPercent) == [10])
    }

    @Test("taking the last rule away lets nobody in, and not everybody")
    func lastRule() throws {
        var store = try make(create, .target(name: "f", environment: nil, rule: "user.a", percent: 100))
        _ = try lines(&store, .untarget(name: "f", environment: nil, rule: "user.a"))
        #expect(!FlagSet(store.definitions(in: "production")).isOn("f", FlagContext("1", ["a": "true"])))
    }

    @Test(
        "what makes no sense is refused as a whole, with what to do",
        arguments: [
            .create(name: "f", kind: .release, hasVariants: false, description: ""),
            .create(name: "with blank", kind: .release, hasVariants: false, description: ""),
            .create(name: "", kind: .release, hasVariants: false, description: ""),
            .setEnabled(name: "g", environment: nil, true), .setEnabled(name: "f", environment: "moon", true),
            .rollOut(name: "f", environment: nil, percent: 101, stickiness: nil),
            .target(name: "f", environment: nil, rule: "user.a and", percent: 1),
            .target(name: "f", environment: nil, rule: "user.a and not user.a", percent: 1),
            .setVariants(name: "f", environment: nil, [.init("a", weight: 0)]),
            .setVariants(name: "f", environment: nil, [.init("a", weight: 1), .init("a", weight: 1)]),
            .setVariants(name: "f", environment: nil, [.init("a", weight: -1)]),
            .setDependencies(name: "f", [.init("f")]), .setDependencies(name: "f", [.init("nobody")]),
            .addStrategy(name: "f", environment: nil, FlagStrategy("default", segments: [9])),
            .addStrategy(
                name: "f", environment: nil,
                FlagStrategy("default", constraints: [.init("x", .matches, value: "(")])),
            .addStrategy(
                name: "f", environment: nil,
                FlagStrategy("default", constraints: [.init("x", .unknown("IM"), value: "1")])),
            .replaceStrategy(name: "f", environment: nil, id: "s99", FlagStrategy("default")),
            .removeSegment(id: 1), .addEnvironment("production"), .revive(name: "f"),
            .schedule(name: "f", environment: nil, steps: [], every: .seconds(60), start: nil),
            .schedule(name: "f", environment: nil, steps: [1], every: .zero, start: nil),
            .schedule(name: "f", environment: nil, steps: [101], every: .seconds(60), start: nil),
            .schedule(name: "f", environment: nil, steps: [1], every: .seconds(60), start: LabTime(nanoseconds: 0)),
            .unschedule(name: "f", environment: nil),
        ] as [FlagChange])
    func refusals(_ change: FlagChange) throws {
        var store = try make(create)
        _ = store.takeDocuments()
        #expect(throws: FlagError.self) { _ = try store.apply(change, by: "test", now: epoch) }
        #expect(store.revision == 1 && store.audit.count == 1)
    }

    @Test("parents have no parents, and stay as long as there are children")
    func parents() throws {
        var store = try make(
            create, .create(name: "p", kind: .release, hasVariants: false, description: ""),
            .create(name: "q", kind: .release, hasVariants: false, description: ""),
            .setDependencies(name: "f", [.init("p")]))
        for change: FlagChange in [
            .setDependencies(name: "q", [.init("f")]), .setDependencies(name: "p", [.init("q")]), .archive(name: "p"),
        ] {
            #expect(throws: FlagError.self) { _ = try store.apply(change, by: "test", now: epoch) }
        }
    }

    @Test("a schedule makes its steps, each when it is due, and none is skipped however late")
    func schedules() throws {
        var store = try make(create)
        let hour = LabDuration.seconds(3_600)
        #expect(
            try lines(&store, .schedule(name: "f", environment: nil, steps: [1, 10, 100], every: hour, start: nil)) == [
                "f: 1% → 10% → 100%, a step every 1h", "f: 0% → 1%",
            ])
        #expect(store.nextDeadline == epoch + hour)
        #expect(store.advanceSchedules(now: epoch + .seconds(3_599)).lines.isEmpty)
        // A night later: one step, and the next an hour after that.
        let morning = epoch + hour * 9
        #expect(store.advanceSchedules(now: morning).lines.map(\.description) == ["f: 1% → 10%"])
        #expect(store.nextDeadline == morning + hour)
        #expect(store.advanceSchedules(now: morning + hour).lines.map(\.description) == ["f: 10% → 100%"])
        #expect(store.nextDeadline == nil && store.schedules.isEmpty)
        _ = try lines(&store, .schedule(name: "f", environment: nil, steps: [5], every: hour, start: epoch + hour))
        _ = try lines(&store, .kill(name: "f"))
        #expect(store.nextDeadline == nil)
    }

    @Test("what is stored is what is read, after every change")
    func documents() throws {
        var store = FlagStore()
        var kept: [String: FlagDocument] = [:]
        let changes: [FlagChange] = [
            create, rollOut(10), .target(name: "f", environment: nil, rule: "user.a or user.b", percent: 5),
            .putSegment(.init(id: 0, name: "staff", constraints: [.init("x", .isIn, values: ["1"])])),
            .addStrategy(name: "f", environment: "development", FlagStrategy("default", segments: [1])),
            .setVariants(
                name: "f", environment: nil, [.init("a", weight: 1, payload: .init(type: "json", value: "{}"))]),
            .create(name: "g", kind: .killSwitch, hasVariants: false, description: "x"),
            .setDependencies(name: "f", [.init("g", isEnabled: false)]), .addEnvironment("moon"),
            .schedule(name: "f", environment: nil, steps: [1, 2], every: .seconds(60), start: epoch + .seconds(60)),
            .setStale(name: "g", true), .untarget(name: "f", environment: nil, rule: "user.a or user.b"),
            .unschedule(name: "f", environment: nil), .setDependencies(name: "f", []), .archive(name: "g"),
        ]
        for change in changes {
            _ = try store.apply(change, by: "ada", now: epoch)
            for document in store.takeDocuments() {
                kept["\(document.kind)/\(document.key)"] = document.body == nil ? nil : document
            }
            let read = try FlagStore(Array(kept.values), environments: ["other"])
            #expect(read.flags == store.flags && read.segments == store.segments && read.schedules == store.schedules)
            #expect(read.environments == store.environments && read.revision == store.revision)
            #expect(read.audit == store.audit)
        }
        var token = try FlagStore(Array(kept.values), environments: [])
        let admin = FlagToken(name: "ops", kind: .admin, environment: nil, digest: "00", createdAt: epoch)
        let client = FlagToken(name: "app", kind: .client, environment: "moon", digest: "11", createdAt: epoch)
        #expect(throws: FlagError.self) { try token.addToken(client, by: "x", now: epoch) }
        try token.addToken(admin, by: "x", now: epoch)
        try token.addToken(client, by: "x", now: epoch)
        #expect(throws: FlagError.self) { try token.removeToken("ops", by: "x", now: epoch) }
        let read = try FlagStore(Array(kept.values) + token.takeDocuments(), environments: [])
        #expect(read.tokens == token.tokens && read.token(withDigest: "11") == client)
    }

    // @covers FLAG-C3
    @Test("who applies the deltas has what the server has, whatever he missed")
    func deltas() throws {
        var random = SeededRandom(seed: 2)
        var store = try make(create)
        var followers = ["production", "development"].map { ($0, FlagDefinitions(), Int?.none) }
        for step in 0..<300 {
            let name = "f\(random.below(6))"
            let changes: [FlagChange] = [
                .create(name: name, kind: .release, hasVariants: false, description: ""),
                .rollOut(
                    name: name, environment: random.chance(0.5) ? "development" : nil, percent: step % 101,
                    stickiness: nil),
                .archive(name: name), .revive(name: name), .kill(name: name),
                .putSegment(.init(id: random.below(3), name: "s\(random.below(4))", constraints: [])),
                .removeSegment(id: random.below(4)),
            ]
            _ = try? store.apply(changes[random.below(changes.count)], by: "x", now: epoch)
            for index in followers.indices where random.chance(0.3) {
                let (environment, _, known) = followers[index]
                let events = store.delta(since: known, in: environment)
                try followers[index].1.apply(delta: .object([("events", .array(events))]))
                followers[index].2 = store.revision
                let wanted = store.definitions(in: environment)
                #expect(followers[index].1.flags == wanted.flags)
                #expect(followers[index].1.segments.sorted { $0.id < $1.id } == wanted.segments)
            }
        }
        #expect(store.delta(since: store.revision, in: "production").isEmpty)
        #expect(store.delta(since: store.revision + 5, in: "production").count == 1)
        #expect(store.delta(since: -1, in: "production").count == 1)
    }

    @Test("flags that have outlived their use are named, each with its reason")
    func stale() throws {
        let day = LabDuration.seconds(86_400)
        var store = try make(
            create, .create(name: "young", kind: .release, hasVariants: false, description: ""),
            .create(name: "kill", kind: .killSwitch, hasVariants: false, description: ""),
            .create(name: "ops", kind: .operational, hasVariants: false, description: ""),
            .rollOut(name: "ops", environment: nil, percent: 50, stickiness: nil),
            .rollOut(name: "young", environment: nil, percent: 50, stickiness: nil), rollOut(100))
        #expect(store.staleFlags(now: epoch + day * 6).isEmpty)
        #expect(store.staleFlags(now: epoch + day * 8).map(\.name) == ["f", "ops"])
        #expect(store.staleFlags(now: epoch + day * 8)[0].reason == "on for everybody for 8d")
        #expect(store.staleFlags(now: epoch + day * 31).map(\.reason)[2] == "never evaluated")
        store.saw("young", at: epoch + day * 30)
        #expect(store.staleFlags(now: epoch + day * 31).map(\.name) == ["f", "ops"])
        #expect(store.staleFlags(now: epoch + day * 41).map(\.name) == ["f", "ops", "young"])
    }

    @Test("numbers are summed by the hour, saturate, and end with their time")
    func counts() throws {
        var counts = FlagCounts()
        var cell = FlagCounts.Cell()
        cell.yes = 3
        cell.no = Int.max
        cell.variants = ["a": 2]
        counts.add(cell, flag: "f", environment: "e", at: epoch)
        counts.add(cell, flag: "f", environment: "e", at: epoch + .seconds(7_200))
        let now = epoch + .seconds(7_300)
        #expect(counts.total("f", in: "e", last: .seconds(60), now: now).yes == 3)
        let all = counts.total("f", in: nil, last: .seconds(86_400), now: now)
        #expect(all.yes == 6 && all.variants == ["a": 4] && all.no == 1 << 53)
        var read = FlagCounts()
        for document in counts.takeDocuments() { try read.read(document) }
        #expect(read.cells == counts.cells)
        counts.expire(now: epoch + .seconds(40 * 86_400))
        #expect(counts.cells.isEmpty && counts.takeDocuments().allSatisfy { $0.body == nil })
    }
}
