import Glibc
import Testing

/// `scripts/new-room` in a copy of the package: what it makes is complete, short and in the house's style.
@Suite struct NewRoomTests {
    /// A copy of everything that is not made by building, in a directory that goes with it.
    private final class Copy {
        let path: String

        init() throws {
            path = "/tmp/sdlab-new-room-\(getpid())-\(UInt32.random(in: 0 ... .max))"
            try run("mkdir -p \(path)")
            try run("cd \(Repository.root) && tar --exclude=./.build --exclude=./.git -cf - . | tar -xf - -C \(path)")
        }

        deinit { _ = try? run("rm -rf \(path)") }

        @discardableResult
        func run(_ command: String, expecting expected: Int = 0) throws -> String {
            let (status, output) = try ReadmeExample(command: command).run()
            guard status == expected else { throw Repository.Failure(description: "\(command): \(output)") }
            return output
        }
    }

    private static let generated = [
        "Sources/Engines/DemoRoom/DemoRoom.swift", "Sources/Engines/DemoRoom/Service/DemoRoomHost.swift",
        "Sources/Commands/DemoRoom/DemoRoomCommands.swift",
    ]

    @Test("it makes a component of fewer than a hundred lines, in the house's style, and tells everybody")
    func furniture() throws {
        let copy = try Copy()
        try copy.run("cd \(copy.path) && scripts/new-room demo-room 'shows what a room is'")
        let files = Self.generated + ["Tests/DemoRoom/DemoRoomTests.swift"]
        for file in files { #expect(try !copy.run("cat \(copy.path)/\(file)").contains("@Type@"), "\(file)") }
        let lines = try copy.run(
            "cd \(copy.path) && cat \(Self.generated.joined(separator: " ")) | grep -vE '^ *(//.*)?$' | wc -l")
        #expect(Int(lines.prefix { $0.isNumber }).map { $0 > 50 && $0 < 100 } == true, "\(lines) lines of its own")
        try copy.run("cd \(copy.path) && swift format lint --strict \(files.joined(separator: " ")) Package.swift")
        let package = try copy.run("cd \(copy.path) && cat Package.swift Sources/Commands/Catalog/Catalog.swift")
        #expect(package.contains("Component(\"DemoRoom\"") && package.contains("DemoRoomCommands.all"))
        for file in ["README.md", "ARCHITECTURE.md", "HISTORY.md"] {
            #expect(try copy.run("cat \(copy.path)/\(file)").contains("shows what a room is"), "\(file)")
        }
    }

    @Test("it refuses names that cannot be typed or are taken, and touches nothing then")
    func refusals() throws {
        let copy = try Copy()
        func sum() throws -> String { try copy.run("cd \(copy.path) && find . -type f | sort | xargs cat | cksum") }
        let before = try sum()
        for (arguments, complaint) in [
            ("", "usage"), ("Demo", "cannot be typed"), ("a--b", "cannot be typed"), ("backend", "already"),
            ("curl", "command 'curl'"), ("demo 'ends so.'", "the summary"), ("demo 'a \"b\"'", "the summary"),
        ] {
            let output = try copy.run("cd \(copy.path) && scripts/new-room \(arguments)", expecting: 1)
            #expect(output.contains(complaint), "\(arguments): \(output)")
        }
        #expect(try sum() == before)
    }
}
