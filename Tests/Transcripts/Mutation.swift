import ShellTranscripts

/// One change of a transcript's text, and what is known about it.
struct Mutation: Sendable {
    enum Kind: String, Sendable {
        case drop, duplicate, swap, change, extra, retime, bound, status, earlier, count
    }

    let sample: String
    let kind: Kind
    /// Counts from 1, in the original.
    let line: Int
    let text: String
    /// Lines of the changed text at which the failure may be reported.
    let places: Set<Int>
    /// Nothing that the transcript claims is changed by it.
    let isEquivalent: Bool
    /// The lines of the original that an update must leave as they are, in their order.
    let kept: [String]
    let isHopeless: Bool
    var label: String { "\(sample): \(kind.rawValue) line \(line)" }
}

/// Makes every change of a transcript that the tests know.
struct Mutator {
    private let sample: Sample
    private let lines: [String]
    private let roles: [Role]

    enum Role: Equatable {
        case command, output, log(String), any, later, within, exit, typed, optional, never, air, directive, archive
    }

    init(_ sample: Sample) throws {
        self.sample = sample
        lines = sample.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        var roles = [Role](repeating: .air, count: lines.count)
        for (index, line) in lines.enumerated() where line.hasPrefix("@") { roles[index] = .directive }
        for item in try Bench.parse(sample.text).cases.flatMap(\.items) {
            for line in item.place.line...item.lastLine where !item.source.isEmpty {
                roles[line - 1] = Self.role(item.kind)
            }
        }
        if let start = lines.firstIndex(where: { $0.hasPrefix("-- ") && $0.hasSuffix(" --") }) {
            for index in start..<lines.count { roles[index] = .archive }
        }
        self.roles = roles
    }

    private static func role(_ kind: TranscriptItem.Kind) -> Role {
        switch kind {
        case .command: .command
        case .expectation(.anyLines): .any
        case .expectation(.later): .later
        case .expectation(.within): .within
        case .expectation(.exit): .exit
        case .expectation(.typed): .typed
        case .expectation(.log(let tag, let pattern)):
            pattern.isNever ? .never : pattern.isOptional ? .optional : .log(tag)
        case .expectation(.output(let pattern)): pattern.isNever ? .never : pattern.isOptional ? .optional : .output
        case .comment, .blank: .air
        default: .directive
        }
    }

    var all: [Mutation] { lines.indices.flatMap { of($0) } }

    private func of(_ index: Int) -> [Mutation] {
        let line = lines[index]
        var found: [Mutation?] = []
        switch roles[index] {
        case .output, .log:
            let isLog = roles[index] != .output
            found.append(drop(index, isEquivalent: isLog && !isExact))
            found.append(duplicate(index))
            found.append(extra(index))
            found.append(swap(index))
            if let changed = changed(line) { found.append(replace(index, changed, .change)) }
            if isLog { found.append(earlier(index)) }
        case .any: found += [drop(index), extra(index), duplicate(index, isEquivalent: true)]
        case .exit:
            found.append(drop(index))
            found.append(replace(index, line == "[exit 1]" ? "[exit 2]" : "[exit 1]", .status))
        case .later: found.append(retime(index))
        case .within: found.append(replace(index, "[within 1s]", .bound, places: step(index)))
        case .typed: found.append(drop(index))
        case .command:
            if let counted = counted(line) { found.append(replace(index, counted, .count, places: step(index))) }
        case .optional, .never, .air, .directive, .archive: break
        }
        return found.compactMap { $0 }
    }

    // MARK: The changes

    private func make(
        _ kind: Mutation.Kind, _ index: Int, _ new: [String], places: some Sequence<Int>, isEquivalent: Bool = false,
        without gone: Set<Int>
    ) -> Mutation {
        let name = "\(kind.rawValue) \(index + 1)"
        let kept = lines.enumerated().filter { number, line in
            !gone.contains(number) && !line.isEmpty
                && !(gone.contains(index) && line.contains("<=") && lines[index].contains(":"))
        }
        return Mutation(
            sample: sample.name, kind: kind, line: index + 1, text: new.joined(separator: "\n") + "\n",
            places: Set(places).union(sample.places[name] ?? []),
            isEquivalent: isEquivalent || sample.equivalents.contains(name),
            kept: kept.map(\.element), isHopeless: sample.hopeless.contains(name))
    }

    private func replace(_ index: Int, _ line: String, _ kind: Mutation.Kind, places: ClosedRange<Int>? = nil)
        -> Mutation
    {
        var new = lines
        new[index] = line
        let gone = kind == .change || kind == .status ? [index] : consequences(index)
        return make(kind, index, new, places: places ?? index + 1...index + 1, without: gone)
    }

    /// What may change if a line that does something, or says when, is another: all that is expected from there on.
    private func consequences(_ index: Int) -> Set<Int> {
        Set(
            (index..<lines.count).filter { $0 == index || ![.command, .air, .directive, .archive].contains(roles[$0]) })
    }

    private func drop(_ index: Int, isEquivalent: Bool = false) -> Mutation {
        var new = lines
        new.remove(at: index)
        // `...` beside a line takes what the line would have taken.
        let isBesideAny =
            roles[index] == .output
            && [index - 1, index + 1].contains { roles.indices.contains($0) && roles[$0] == .any }
        return make(
            .drop, index, new, places: stepStart(index) + 1...stepEnd(index) + 1,
            isEquivalent: isEquivalent || isBesideAny,
            without: roles[index] == .typed ? consequences(index) : [index])
    }

    private func duplicate(_ index: Int, isEquivalent: Bool = false) -> Mutation {
        var new = lines
        new.insert(lines[index], at: index)
        // Which of equal lines is the one too many is seen at the last of them, at the latest.
        return make(
            .duplicate, index, new, places: index + 2...stepEnd(index) + 2, isEquivalent: isEquivalent, without: [])
    }

    /// A line that never comes.
    private func extra(_ index: Int) -> Mutation {
        var new = lines
        let line =
            if case .log(let tag) = roles[index] { "[\(tag)] something that no component says" } else {
                "no command says this"
            }
        new.insert(line, at: index + 1)
        return make(.extra, index, new, places: [index + 2], without: [])
    }

    /// Trades places with the next line of the same channel, and with one of the other under `@order strict`.
    private func swap(_ index: Int) -> Mutation? {
        guard index + 1 < lines.count, lines[index + 1] != lines[index] else { return nil }
        let isOther: Bool
        switch (roles[index], roles[index + 1]) {
        case (.output, .output): isOther = false
        case (.log(let a), .log(let b)): isOther = a != b
        case (.output, .log), (.log, .output): isOther = true
        default: return nil
        }
        var new = lines
        new.swapAt(index, index + 1)
        return make(
            .swap, index, new, places: index + 1...stepEnd(index) + 1,
            isEquivalent: isOther && !lines.contains("@order strict"),
            without: [index, index + 1])
    }

    /// Expects a log line one command too early.
    private func earlier(_ index: Int) -> Mutation? {
        guard lines[..<index].contains(where: { $0.hasPrefix("$ ") }) else { return nil }
        let start = stepStart(index)
        guard start > 0, lines[..<start].contains(where: { $0.hasPrefix("$ ") }) else { return nil }
        var new = lines
        let line = new.remove(at: index)
        new.insert(line, at: start)
        return make(
            .earlier, index, new, places: stepStart(start - 1) + 1...start + 1,
            without: consequences(stepStart(start - 1)))
    }

    private func retime(_ index: Int) -> Mutation {
        let line = lines[index] == "[30 seconds later]" ? "[10 seconds later]" : "[30 seconds later]"
        // What depends on the time may stand anywhere behind it.
        var new = lines
        new[index] = line
        return make(.retime, index, new, places: index + 2...lines.count, without: consequences(index))
    }

    /// Another digit, or another name.
    private func changed(_ line: String) -> String? {
        var depth = 0
        var characters = Array(line)
        for index in characters.indices.reversed() {
            if characters[index] == ">" { depth += 1 }
            if characters[index] == "<" { depth -= 1 }
            guard depth == 0, let digit = characters[index].wholeNumberValue, characters[index].isASCII else {
                continue
            }
            characters[index] = Character(String((digit + 1) % 10))
            return String(characters)
        }
        return line.contains("Server-A")
            ? line.replacing("Server-A", with: "Server-C")
            : line.contains("Server-B")
                ? line.replacing("Server-B", with: "Server-A")
                : line.allSatisfy(\.isLetter) && !line.isEmpty ? line + "x" : nil
    }

    private func counted(_ command: String) -> String? {
        for count in 2...6 where command.contains("{1..\(count)}") {
            return command.replacing("{1..\(count)}", with: "{1..\(count + 1)}")
        }
        return nil
    }

    // MARK: Places

    private var isExact: Bool { lines.contains("@logs exact") }
    private func stepStart(_ index: Int) -> Int { lines[...index].lastIndex { $0.hasPrefix("$ ") } ?? 0 }
    private func stepEnd(_ index: Int) -> Int {
        (lines[(index + 1)...].firstIndex { $0.hasPrefix("$ ") } ?? lines.count) - 1
    }
    private func step(_ index: Int) -> ClosedRange<Int> { stepStart(index) + 1...stepEnd(index) + 1 }
}
