import Testing

/// What the documentation demands: each demand has a number, and a case or a test that shows that it is met says so,
/// with `@covers ID` in a transcript or `// @covers ID` above a test.
@Suite struct RequirementTests {
    /// The documented session, what to build, challenges, hints and milestones: as many for each component.
    private static let usual = [
        "T1", "B1", "C1", "C2", "C3", "C4", "C5", "H1", "H2", "H3", "H4", "H5", "M1", "M2", "M3", "M4",
    ]
    /// The components, with what they have besides that.
    private static let components: [(name: String, more: [String])] = [
        ("LB", []), ("RL", []), ("DC", []), ("MQ", ["H6"]), ("URL", []), ("LSM", []), ("CB", []), ("SD", []),
        ("MET", []), ("GW", []), ("LOCK", ["H6"]), ("LOG", []), ("RING", []), ("POOL", []), ("CHAOS", []),
        ("FLAG", ["H6"]), ("CL", []),
        ("SHOP", ["H6", "M5"] + (1...21).map { "S\($0)" } + (1...7).map { "I\($0)" }),
    ]

    /// What nobody shows yet: a whole component, or one of its demands. A line goes when it is shown; none comes.
    private static let notYet: Set<String> = []

    private static func demands(_ component: (name: String, more: [String])) -> [String] {
        (usual + component.more).map { "\(component.name)-\($0)" }
    }

    /// The demands that a line of a transcript or, behind `//`, of a test says to be shown; nil for another line.
    private static func named(in line: Substring, isSwift: Bool = false) -> [String]? {
        var words = line.split { " \t,".contains($0) }
        if isSwift {
            guard words.first == "//" else { return nil }
            words.removeFirst()
        }
        return words.first == "@covers" ? words.dropFirst().map(String.init) : nil
    }

    /// Who names which demand: transcripts and tests.
    private static func coverage() throws -> [(place: String, demand: String)] {
        let transcripts = try ["sessions", "rooms", "tours"].flatMap {
            try Repository.files(in: "scripts/\($0)", suffix: ".sdl")
        }
        let tests = try Repository.swiftFiles(under: "Tests").map { "Tests/\($0)" }
        return try (transcripts + tests).flatMap { file in
            try Repository.lines(file).enumerated().flatMap { index, line in
                (named(in: line, isSwift: file.hasSuffix(".swift")) ?? []).map { ("\(file):\(index + 1)", $0) }
            }
        }
    }

    @Test("each demand that is met is named by a case or a test that shows it, and none names one that does not exist")
    func covered() throws {
        let coverage = try Self.coverage()
        let known = Set(Self.components.flatMap(Self.demands))
        for (place, demand) in coverage where !known.contains(demand) {
            Issue.record("\(place): the documentation has no '\(demand)'")
        }
        let shown = Set(coverage.map(\.demand))
        for component in Self.components {
            let missing = Self.demands(component).filter { !shown.contains($0) && !Self.notYet.contains($0) }
            if Self.notYet.contains(component.name) {
                #expect(!missing.isEmpty, "all of \(component.name) is shown: take it out of the list")
            } else {
                #expect(missing.isEmpty, "met, and shown by nobody")
            }
        }
        #expect(Self.notYet.filter(shown.contains) == [], "shown: take it out of the list")
        let names = Set(Self.components.map(\.name))
        #expect(Self.notYet.filter { !known.contains($0) && !names.contains($0) } == [], "no demand and no component")
    }

    @Test("a line that says what it covers is read in a transcript and above a test")
    func lines() {
        #expect(Self.named(in: "@covers LB-C1, LB-M2") == ["LB-C1", "LB-M2"])
        #expect(Self.named(in: "// @covers LB-C1") == nil && Self.named(in: "@coversLB-C1") == nil)
        #expect(Self.named(in: "    // @covers RL-H3 CB-T1", isSwift: true) == ["RL-H3", "CB-T1"])
        #expect(Self.named(in: "x // @covers LB-C1", isSwift: true) == nil && Self.named(in: "", isSwift: true) == nil)
        #expect(Self.named(in: "@covers LB-C1", isSwift: true) == nil)
    }
}
