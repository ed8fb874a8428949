import Testing

/// The tables of `scripts/mutate` do not rot: what each mutant changes is still there, once, and the tests that are to
/// notice it exist. Whether they do notice is what `scripts/mutate` finds out, and `scripts/test --long`.
@Suite struct MutantTests {
    fileprivate struct Mutant {
        var name: String
        var breaks = ""
        var file = ""
        var filter = ""
        var old: [Substring] = []
        var new: [Substring] = []
    }

    private struct Table {
        var folders: [Substring] = []
        /// Whose cases are to notice, in place of tests.
        var transcripts = ""
        var mutants: [Mutant] = []

        /// `scripts/mutate` says what a table looks like.
        init(_ lines: [Substring]) {
            for line in lines where !line.isEmpty && !line.hasPrefix("#") {
                let mark = line.prefix { $0 != " " }
                let rest = line.dropFirst(mark.count + 1)
                if mark == "tests", mutants.isEmpty {
                    folders = rest.split(separator: ",")
                } else if mark == "transcripts", mutants.isEmpty {
                    transcripts = String(rest)
                } else if mark == "==" {
                    mutants.append(Mutant(name: String(rest), filter: mutants.last?.filter ?? ""))
                } else if !mutants.isEmpty {
                    mutants[mutants.count - 1].take(line, mark, rest)
                }
            }
        }
    }

    private static func tables() throws -> [(path: String, table: Table)] {
        try Repository.files(in: "scripts/mutate.d", suffix: ".txt").map { ($0, Table(try Repository.lines($0))) }
    }

    @Test("the old text of every mutant stands in its file once, and the new one is another")
    func applies() throws {
        let tables = try Self.tables()
        #expect(tables.count >= 30)
        for (path, table) in tables {
            // A table of rooms is about a few mistakes, not about an engine.
            let least = table.transcripts == "scripts/rooms" ? 4 : 15
            #expect(table.mutants.count >= least, "\(path) has \(table.mutants.count) mutants")
            let names = table.mutants.map(\.name)
            #expect(Set(names).count == names.count, "\(path): a name stands there twice")
            for mutant in table.mutants {
                let place = "\(path), \(mutant.name)"
                let text = try Repository.text(mutant.file)
                let old = mutant.old.joined(separator: "\n")
                let count = old.isEmpty ? 0 : text.ranges(of: old).count
                #expect(count == 1, "\(place): its old text stands in \(mutant.file) \(count) times")
                #expect(old != mutant.new.joined(separator: "\n"), "\(place) changes nothing")
                #expect(!mutant.breaks.isEmpty && mutant.breaks.last != ".", "\(place) does not say what it breaks")
            }
        }
    }

    @Test("the suites that are to notice a mutant exist")
    func suites() throws {
        for (path, table) in try Self.tables() where table.transcripts.isEmpty {
            #expect(!table.folders.isEmpty, "\(path) names no tests")
            let known = try table.folders.flatMap { folder in
                try Repository.swiftFiles(under: "Tests/\(folder)").flatMap { file in
                    try Repository.lines("Tests/\(folder)/\(file)").compactMap(Self.suite)
                }
            }
            for mutant in table.mutants {
                let suites = mutant.filter.split(separator: "|").map { $0.prefix { $0 != "/" } }
                #expect(
                    !suites.isEmpty && suites.allSatisfy(known.contains), "\(path), \(mutant.name): \(mutant.filter)")
            }
        }
    }

    @Test("the cases that are to notice a mutant exist, and every tour has one")
    func cases() throws {
        for (path, table) in try Self.tables() where !table.transcripts.isEmpty {
            var missing = Set(try Repository.files(in: table.transcripts, suffix: ".sdl").map(Self.name))
            for mutant in table.mutants {
                let parts = mutant.filter.split(separator: ": ", maxSplits: 1).map(String.init)
                let lines = try Repository.lines("\(table.transcripts)/\(parts[0]).sdl")
                #expect(parts.count == 2 && lines.contains { $0 == "@case \(parts[1])" }, "\(path), \(mutant.filter)")
                missing.remove(parts[0])
            }
            guard table.transcripts == "scripts/tours" else { continue }
            #expect(missing == [], "\(path): nobody would notice if their answers were wrong")
        }
    }

    /// Of a file, without its folder and its suffix.
    private static func name(_ path: String) -> String {
        String(path.split(separator: "/").last!.dropLast(".sdl".count))
    }

    /// The type that a line declares.
    private static func suite(_ line: Substring) -> Substring? {
        guard let range = line.firstRange(of: "struct ") ?? line.firstRange(of: "class ") else { return nil }
        return line[range.upperBound...].prefix { $0.isLetter || $0.isNumber }
    }

    @Test("a table is read")
    func sample() {
        let table = Table(
            """
            # words
            tests A,B

            == one
            what breaks
            in Sources/X.swift
            red ATests
            -     old line
            -
            - end
            + new

            == two
            something else
            in Sources/Y.swift
            - x
            """.split(separator: "\n", omittingEmptySubsequences: false))
        #expect(table.folders == ["A", "B"] && table.mutants.map(\.name) == ["one", "two"])
        #expect(table.mutants[0].old == ["    old line", "", "end"] && table.mutants[0].new == ["new"])
        #expect(table.mutants[0].breaks == "what breaks" && table.mutants[1].filter == "ATests")
        #expect(table.mutants[1].file == "Sources/Y.swift" && table.mutants[1].new.isEmpty)
    }
}

extension MutantTests.Mutant {
    fileprivate mutating func take(_ line: Substring, _ mark: Substring, _ rest: Substring) {
        if breaks.isEmpty {
            breaks = String(line)
        } else {
            switch mark {
            case "in": file = String(rest)
            case "red": filter = String(rest)
            case "-": old.append(rest)
            case "+": new.append(rest)
            default: Issue.record("\(name): '\(line)' is no line of a mutant")
            }
        }
    }
}
