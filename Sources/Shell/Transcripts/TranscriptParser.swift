import Commands
import KernelRegularExpressions
import KernelStructures
import KernelWorld
import ShellLab
import ShellLanguage

/// Reads a transcript's text into cases. SDL.md section 3 is its grammar.
public struct TranscriptParser {
    /// Reads the text of an included file; throws a message if it cannot.
    public typealias Loader = (_ path: String) throws -> String

    struct SourceLine {
        let place: SourcePlace
        let text: String
    }

    let name: String
    let tags: Set<String>
    /// A block pasted at the prompt: what precedes its first command is prose, and nothing in it is a directive.
    let isPasted: Bool
    var lines: [SourceLine] = []
    var next = 0
    var archive: [ArchivedFile] = []
    var defaults = CaseSettings()
    /// Directives that act where they stand, before the first `@case`: every case begins with them.
    var prelude: [TranscriptItem] = []
    var open: CaseDraft?
    var cases: [TranscriptCase] = []
    var hasCommand = false
    var hasNamedCase = false

    struct CaseDraft {
        var name: String
        var place: SourcePlace
        var settings: CaseSettings
        var items: [TranscriptItem] = []
    }

    /// - Parameters:
    ///   - name: the file's path, for messages.
    ///   - tags: the log tags that components have; other words in brackets are output.
    /// - Throws: `TranscriptError` for the first thing that is wrong.
    public static func parse(
        _ text: String, name: String, tags: [String], isPasted: Bool = false,
        loader: Loader = Self.refuseIncludes
    ) throws(TranscriptError) -> Transcript {
        var parser = TranscriptParser(name: name, tags: Set(tags), isPasted: isPasted)
        let lines = Self.lines(of: text)
        try parser.take(lines, file: name, loader: loader, depth: 0)
        try parser.read()
        return Transcript(name: name, lines: lines, cases: parser.cases)
    }

    /// For text that comes from no file.
    public static let refuseIncludes: @Sendable (String) throws -> String = { path in
        throw TranscriptError(SourcePlace(file: path, line: 1), "nothing can be included here")
    }

    init(name: String, tags: Set<String>, isPasted: Bool) {
        self.name = name
        self.tags = tags
        self.isPasted = isPasted
    }

    static func lines(of text: String) -> [String] {
        var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isLineEnd).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    // MARK: Lines

    /// Appends a file's lines, replaces `@include` by what it names, and takes the archive at the end aside.
    mutating func take(_ text: [String], file: String, loader: Loader, depth: Int) throws(TranscriptError) {
        var index = 0
        while index < text.count {
            let line = text[index]
            let place = SourcePlace(file: file, line: index + 1)
            if !isPasted, archivePath(line) != nil { return try takeArchive(text[index...], file: file) }
            if !isPasted, line.split(whereSeparator: \.isWhitespace).first == "@include", line.hasPrefix("@") {
                let path = line.dropFirst("@include".count).trimmingBlanks
                guard !path.isEmpty, depth < 10 else {
                    throw TranscriptError(
                        place, path.isEmpty ? "@include needs a path" : "files include one another without end")
                }
                try include(path, from: file, at: place, loader: loader, depth: depth)
            } else {
                lines.append(SourceLine(place: place, text: line))
            }
            index += 1
        }
    }

    mutating func include(
        _ path: String, from file: String, at place: SourcePlace, loader: Loader, depth: Int
    ) throws(TranscriptError) {
        let directory = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
        let full = path.hasPrefix("/") ? path : directory + path
        let text: String
        do { text = try loader(full) } catch { throw TranscriptError(place, "@include: \(error)") }
        try take(Self.lines(of: text), file: full, loader: loader, depth: depth + 1)
    }

    func archivePath(_ line: String) -> String? {
        guard line.hasPrefix("-- "), line.trimmingTrailingBlanks.hasSuffix(" --") else { return nil }
        let path = line.trimmingTrailingBlanks.dropFirst(3).dropLast(3).trimmingBlanks
        return path.isEmpty ? nil : path
    }

    mutating func takeArchive(_ text: ArraySlice<String>, file: String) throws(TranscriptError) {
        var path = ""
        var content: [String] = []
        for (index, line) in zip(text.indices, text) {
            if let next = archivePath(line) {
                if !path.isEmpty { archive.append(.init(path: path, text: content.map { $0 + "\n" }.joined())) }
                if archive.contains(where: { $0.path == next }) {
                    throw TranscriptError(.init(file: file, line: index + 1), "the file '\(next)' is there twice")
                }
                path = next
                content = []
            } else {
                content.append(line)
            }
        }
        archive.append(.init(path: path, text: content.map { $0 + "\n" }.joined()))
    }

    // MARK: Reading

    mutating func read() throws(TranscriptError) {
        if isPasted { takeProse() }
        while next < lines.count { try readLine() }
        try close(before: lines.last?.place)
        for index in cases.indices {
            let done = cases[index]
            cases[index] = TranscriptCase(
                name: done.name, place: done.place, settings: done.settings,
                items: Self.withMeaningfulBlanks(done.items),
                files: archive)
        }
        var seen: Set<String> = []
        for done in cases where !seen.insert(done.name).inserted {
            throw TranscriptError(done.place, "a second case is called '\(done.name)'")
        }
    }

    mutating func takeProse() {
        while next < lines.count, !lines[next].text.hasPrefix("$ ") {
            let line = lines[next]
            next += 1
            append(.quote([line.text]), line.place, source: [line.text])
            // Also code has comments; but this one is for us.
            if let terminal = Self.terminal(inComment: line.text) {
                append(.terminal(terminal), line.place, source: [])
            }
        }
    }

    mutating func readLine() throws(TranscriptError) {
        let line = lines[next]
        next += 1
        let text = line.text.trimmingTrailingBlanks
        if text.isEmpty {
            append(.blank, line.place, source: [line.text])
        } else if text == "$" {
            return
        } else if text.hasPrefix("$ ") {
            try readCommand(line)
        } else if Self.isComment(text) {
            append(.comment, line.place, source: [line.text])
            if let terminal = Self.terminal(inComment: text) { append(.terminal(terminal), line.place, source: []) }
        } else if text.hasPrefix("@"), !isPasted {
            try readDirective(line)
        } else {
            try readExpectation(line)
        }
    }

    /// Metrics in Prometheus' text format have lines that begin with `#`; they are output.
    package static func isComment(_ text: String) -> Bool {
        guard text == "#" || text.hasPrefix("# ") else { return false }
        return !["# HELP", "# TYPE", "# EOF", "# UNIT"].contains { text == $0 || text.hasPrefix($0 + " ") }
    }

    /// `# Terminal 2: the consumer`
    static func terminal(inComment text: String) -> Int? {
        guard text.hasPrefix("# Terminal ") else { return nil }
        let digits = text.dropFirst("# Terminal ".count).prefix { $0.isASCII && $0.isNumber }
        return Int(digits).flatMap { $0 > 0 ? $0 : nil }
    }

    mutating func append(
        _ kind: TranscriptItem.Kind, _ place: SourcePlace, lastLine: Int? = nil, source: [String]
    ) {
        if open == nil { open = CaseDraft(name: Self.baseName(name), place: place, settings: defaults) }
        open!.items.append(TranscriptItem(place: place, lastLine: lastLine ?? place.line, source: source, kind: kind))
    }

    /// Ends the case at hand. What precedes the first `@case` makes none unless something is run in it.
    mutating func close(before place: SourcePlace?) throws(TranscriptError) {
        if let draft = open, hasCommand || draft.items.contains(where: \.isQuote) {
            cases.append(
                TranscriptCase(
                    name: draft.name, place: draft.place, settings: draft.settings, items: draft.items, files: []))
        } else if let draft = open {
            if hasNamedCase { throw TranscriptError(draft.place, "the case '\(draft.name)' runs nothing") }
            prelude += draft.items.filter(\.isDirective)
        }
        open = nil
        hasCommand = false
    }

    static func baseName(_ path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        return name.hasSuffix(".sdl") ? String(name.dropLast(4)) : name
    }

    /// Lines of one command: each is read anew with every line more.
    static let commandLineLimit = 1000

    /// `$ ` and the command, with the lines after it for as long as the language says that it goes on.
    mutating func readCommand(_ line: SourceLine) throws(TranscriptError) {
        var text = String(line.text.dropFirst(2))
        var source = [line.text]
        var last = line.place.line
        let start = Position(line: line.place.line, column: 3)
        while true {
            do {
                let script = try Parser.parse(text, at: start)
                hasCommand = true
                return append(.command(script, text: text), line.place, lastLine: last, source: source)
            } catch {
                guard error.isIncomplete, next < lines.count else {
                    let place = SourcePlace(file: line.place.file, line: error.position.line)
                    let index = error.position.line - start.line
                    let isContinued = source.indices.dropFirst().contains(index) && source[index].hasPrefix("> ")
                    throw TranscriptError(place, column: error.position.column + (isContinued ? 2 : 0), error.text)
                }
                guard source.count < Self.commandLineLimit else {
                    throw TranscriptError(
                        line.place, column: 3,
                        "the command does not end within \(Self.commandLineLimit) lines: \(error.text)")
                }
                let more = lines[next]
                next += 1
                last = more.place.line
                source.append(more.text)
                text += "\n" + (more.text.hasPrefix("> ") ? String(more.text.dropFirst(2)) : more.text)
            }
        }
    }

    mutating func readExpectation(_ line: SourceLine) throws(TranscriptError) {
        let text = line.text.trimmingTrailingBlanks
        guard hasCommand else {
            throw TranscriptError(
                line.place,
                "nothing has been run yet that could print '\(text)'; put '# ' before a comment, or @quote and @end around text"
            )
        }
        let expectation: Expectation
        do throws(RegularExpressionError) {
            expectation = try Self.expectation(text, tags: tags)
        } catch {
            throw TranscriptError(line.place, "\(error)")
        }
        append(.expectation(expectation), line.place, source: [line.text])
    }

    /// What a line below a command expects.
    static func expectation(_ text: String, tags: Set<String>) throws(RegularExpressionError) -> Expectation {
        if text == "..." { return .anyLines }
        if text == "^C" { return .interrupted }
        if text == ">" || text.hasPrefix("> ") { return .typed(String(text.dropFirst(2))) }
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let inside = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.isEmpty, let marker = Self.marker(inside) { return marker }
            if tags.contains(inside), rest.isEmpty || rest.hasPrefix(" ") {
                return .log(tag: inside, try LinePattern(reading: String(rest.dropFirst())))
            }
        }
        return .output(try LinePattern(reading: text))
    }

    /// `30 seconds later`, `within 1s`, `exit 7`
    static func marker(_ text: String) -> Expectation? {
        let words = text.split(separator: " ").map(String.init)
        switch (words.first, words.last, words.count) {
        case (_, "later"?, 3), (_, "later"?, 2):
            return duration(words.dropLast().joined(separator: " ")).map { .later($0) }
        case ("within"?, _, 2), ("within"?, _, 3):
            return duration(words.dropFirst().joined(separator: " ")).map { .within($0) }
        case ("exit"?, let status?, 2): return Int(status).map { .exit($0) }
        default: return nil
        }
    }

    /// `30 seconds`, `30s`
    static func duration(_ text: String) -> LabDuration? {
        let words = text.split(separator: " ").map(String.init)
        guard words.count == 2 else { return LabDuration(parsing: text) }
        let units = [
            "second": "s", "seconds": "s", "minute": "m", "minutes": "m", "hour": "h", "hours": "h", "day": "d",
            "days": "d",
            "millisecond": "ms", "milliseconds": "ms",
        ]
        return LabDuration(parsing: words[0] + (units[words[1]] ?? words[1]))
    }

    // MARK: Blank lines

    /// An empty line is expected output only between other output of the same command; elsewhere it is air.
    static func withMeaningfulBlanks(_ items: [TranscriptItem]) -> [TranscriptItem] {
        var result = items
        for index in items.indices {
            guard case .blank = items[index].kind else { continue }
            let before = items[..<index].last { !$0.isBlank }
            let after = items[index...].first { !$0.isBlank }
            guard before?.isOutputOrCommand == true, after?.isOutput == true else { continue }
            guard let empty = try? LinePattern(reading: "") else { continue }
            result[index] = TranscriptItem(
                place: items[index].place, lastLine: items[index].lastLine, source: items[index].source,
                kind: .expectation(.output(empty)))
        }
        return result
    }
}

extension TranscriptItem {
    var isBlank: Bool { if case .blank = kind { true } else { false } }
    var isQuote: Bool { if case .quote = kind { true } else { false } }
    var isDirective: Bool {
        switch kind {
        case .terminal, .logs, .order, .timeout, .blanks, .fixture: true
        case .command, .expectation, .comment, .blank, .quote: false
        }
    }
    var isOutput: Bool {
        switch kind {
        case .expectation(.output(let pattern)): !pattern.isNever
        case .expectation(.anyLines): true
        default: false
        }
    }
    var isOutputOrCommand: Bool {
        if case .command = kind { return true }
        return isOutput
    }
}

extension TranscriptParser {
}
