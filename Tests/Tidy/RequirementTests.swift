import Testing

/// Each requirement that is met has a case that says so (`@covers`). The list only grows.
@Suite struct RequirementTests {
    /// Components all of whose requirements are met.
    private static let met = ["LB", "RL", "LSM", "CB", "SD", "RING", "POOL"]
    /// The documented session, what to build, challenges, hints and milestones: as many for each of these components.
    private static let numbers = [
        "T1", "B1", "C1", "C2", "C3", "C4", "C5", "H1", "H2", "H3", "H4", "H5", "M1", "M2", "M3", "M4",
    ]
    private static let directories = ["sessions", "rooms"]

    @Test("each requirement that is met is named by a case that demonstrates it, and no case names an unknown one")
    func covered() throws {
        let required = Set(Self.met.flatMap { component in Self.numbers.map { "\(component)-\($0)" } })
        var named: Set<Substring> = []
        for directory in Self.directories {
            for file in try Repository.files(in: "scripts/\(directory)", suffix: ".sdl") {
                for line in try Repository.lines(file) where line.hasPrefix("@covers ") {
                    named.formUnion(line.split(separator: " ").dropFirst())
                }
            }
        }
        #expect(required.subtracting(named.map(String.init)) == [], "met, and shown by no case")
        #expect(Set(named.map(String.init)).subtracting(required) == [], "named by a case, and not in this list")
    }
}
