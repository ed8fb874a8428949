import CommandKit
import KernelStructures
import ShellSession

/// `diff`: two files, or two directories, line by line, as GNU's diff writes it.
extension GeneralCommands {
    static var diff: Command {
        let description = CommandDescription(
            "diff", "what differs between two files", usage: "[-u|-U N|-q] [-r] [-N] [-s] [-iwbBZ] FILE FILE",
            flags: [
                .init("normal", nil, "lines with < and > (so it is)"),
                .init("", "u", "as patches: with three lines around each change"),
                .init("unified", "U", .integer(0...1_000_000), "the same, with so many lines"),
                .init("brief", "q", "only whether they differ"),
                .init("report-identical-files", "s", "says where they do not"),
                .init("recursive", "r", "directories below, too"),
                .init("new-file", "N", "a file that is not there is an empty one"),
                .init("ignore-case", "i", "small letters are as large ones"),
                .init("ignore-all-space", "w", "blanks do not count"),
                .init("ignore-space-change", "b", "how many blanks there are does not count"),
                .init("ignore-trailing-space", "Z", "blanks at the end of a line do not count"),
                .init("ignore-blank-lines", "B", "no changes of empty lines alone"),
                .init("strip-trailing-cr", nil, "lines may end in CR and LF"),
                .init("text", "a", "bytes that are no text, too"),
                .init("minimal", "d", "the fewest changes (they nearly always are)"),
                .init("label", nil, .text("TEXT"), repeatable: true, "instead of a file's name; the first, the second"),
                .init("color", nil, .choice(["never", "auto"]), "never (there are no colours)"),
            ],
            arguments: .init([.file], 0...1000),
            examples: ["diff -u lb.old.yaml lb.yaml", "diff <(seq 3) <(seq 2 4)", "diff -rq before after"],
            group: .files,
            details: """
                The status is 0 where nothing differs, 1 where something does, 2 where a file
                could not be read. Files have no times here: headers of -u have names alone.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let names = arguments.arguments
            guard names.count == 2 else {
                throw UsageError(
                    names.count < 2
                        ? "diff: missing operand after '\(names.last ?? "diff")'; two files, or two directories"
                        : "diff: extra operand '\(names[2])'")
            }
            let comparison = FileComparison(invocation.process, arguments)
            let streams = names.filter { invocation.process.stream(named: $0) != nil }
            guard !streams.isEmpty else {
                return .done(comparison.run(names[0], names[1], given: [:]))
            }
            return .running(
                WholeInput(invocation.process, files: streams) { _, sources in
                    let given = Dictionary(sources.map { ($0.name, $0.bytes) }) { first, _ in first }
                    return comparison.run(names[0], names[1], given: given)
                })
        }
    }
}

/// Compares what two names stand for.
private final class FileComparison {
    private let process: Process
    private let style: DiffStyle
    private let isBrief: Bool
    private let saysSame: Bool
    private let isRecursive: Bool
    private let takesMissing: Bool
    private let takesBytes: Bool
    private let labels: [String]
    /// As they were written, for the heads of files in directories.
    private let options: String
    private var given: [String: [UInt8]] = [:]

    private static let depthLimit = 64
    /// Lines of both files together.
    private static let lineLimit = 4_000_000
    /// Bytes in which a NUL says that a file is no text.
    private static let textBytes = 4096

    init(_ process: Process, _ arguments: ParsedArguments) {
        self.process = process
        style = DiffStyle(
            context: arguments.integer("unified") ?? (arguments.has("u") ? 3 : nil),
            ignoresCase: arguments.has("ignore-case"), ignoresSpace: arguments.has("ignore-all-space"),
            ignoresSpaceChange: arguments.has("ignore-space-change"),
            ignoresTrailingSpace: arguments.has("ignore-trailing-space"),
            ignoresBlankLines: arguments.has("ignore-blank-lines"),
            dropsCarriageReturns: arguments.has("strip-trailing-cr"))
        isBrief = arguments.has("brief")
        saysSame = arguments.has("report-identical-files")
        isRecursive = arguments.has("recursive")
        takesMissing = arguments.has("new-file")
        takesBytes = arguments.has("text")
        labels = arguments.texts("label")
        options = process.words.dropFirst().filter { $0.hasPrefix("-") && $0 != "-" }.map { " " + $0 }.joined()
    }

    private var files: LabFiles { process.session.files }

    /// - Parameter given: what was read of names that are none of files.
    /// - Returns: the status.
    func run(_ first: String, _ second: String, given: [String: [UInt8]]) -> Int {
        self.given = given
        var (a, b) = (first, second)
        // A directory stands for the file of the other's name in it.
        if isDirectory(a) != isDirectory(b), exists(a), exists(b), given[a] == nil, given[b] == nil {
            let directory = isDirectory(a) ? a : b
            let file = isDirectory(a) ? b : a
            let inner = LabFiles.path(of: file.split(separator: "/").last.map(String.init) ?? file, in: directory)
            if isDirectory(a) { a = inner } else { b = inner }
        }
        let missing = [a, b].filter { !exists($0) }
        guard missing.isEmpty || takesMissing && missing.count == 1 else {
            for name in missing { process.complain("\(name): No such file or directory") }
            return 2
        }
        if isDirectory(a), isDirectory(b) { return directories(a, b, depth: 0) }
        return compare(a, b, isWithin: false)
    }

    private func exists(_ name: String) -> Bool { given[name] != nil || files.exists(name) || name == "/dev/null" }
    private func isDirectory(_ name: String) -> Bool { given[name] == nil && files.isDirectory(name) }

    // MARK: Directories

    private func names(_ directory: String) -> [String]? {
        if !exists(directory) { return [] }
        do throws(LabFileError) { return try files.list(directory).map(\.name) } catch {
            process.complain(error.description)
            return nil
        }
    }

    private func directories(_ a: String, _ b: String, depth: Int) -> Int {
        guard depth < Self.depthLimit else {
            process.complain("\(a): directories more than \(Self.depthLimit) deep")
            return 2
        }
        guard let first = names(a), let second = names(b) else { return 2 }
        var status = 0
        for name in Set(first).union(second).sorted() {
            if process.session.isInterrupted || process.output.isBroken { return 2 }
            let (x, y) = (LabFiles.path(of: name, in: a), LabFiles.path(of: name, in: b))
            let found: Int
            switch (exists(x), exists(y)) {
            case (true, false) where !takesMissing, (false, true) where !takesMissing:
                process.print("Only in \(exists(x) ? a : b): \(name)")
                found = 1
            case _ where isDirectory(x) != isDirectory(y) && exists(x) && exists(y):
                process.print("File \(x) is a \(kind(x)) while file \(y) is a \(kind(y))")
                found = 1
            case _ where isDirectory(x) || isDirectory(y):
                if isRecursive {
                    found = directories(x, y, depth: depth + 1)
                } else {
                    process.print("Common subdirectories: \(x) and \(y)")
                    found = 0
                }
            default: found = compare(x, y, isWithin: true)
            }
            status = max(status, found)
        }
        return status
    }

    private func kind(_ name: String) -> String {
        isDirectory(name) ? "directory" : files.size(name) == 0 ? "regular empty file" : "regular file"
    }

    // MARK: Files

    private func bytes(_ name: String) throws(LabFileError) -> [UInt8] {
        if let bytes = given[name] { return bytes }
        return exists(name) ? try files.read(name) : []
    }

    /// - Parameter isWithin: of directories, where each file has a head of its own.
    private func compare(_ a: String, _ b: String, isWithin: Bool) -> Int {
        let first: [UInt8]
        let second: [UInt8]
        do throws(LabFileError) {
            first = try bytes(a)
            second = try bytes(b)
        } catch {
            process.complain(error.description)
            return 2
        }
        if first == second { return same(a, b) }
        let isText =
            takesBytes || !first.prefix(Self.textBytes).contains(0) && !second.prefix(Self.textBytes).contains(0)
        if isBrief, !style.ignoresAnything || !isText { return differ("Files", a, b) }
        guard isText else { return differ("Binary files", a, b) }
        do {
            let text = try DiffText(
                style, first, second, lineLimit: Self.lineLimit, isInterrupted: { self.process.session.isInterrupted })
            if text.isEmpty { return same(a, b) }
            if isBrief { return differ("Files", a, b) }
            var result: [UInt8] = []
            if isWithin { result += Array("diff\(options) \(a) \(b)\n".utf8) }
            text.write(names: [label(0) ?? a, label(1) ?? b], to: &result)
            process.output.write(result)
            return 1
        } catch LineDifference.Failure.interrupted {
            return 130
        } catch LineDifference.Failure.tooMuch {
            process.complain(
                "\(a) and \(b) differ in so much that it takes too long to say in what; -q says that they do")
            return 2
        } catch {
            process.complain("\(a), \(b): \(error)")
            return 2
        }
    }

    private func label(_ place: Int) -> String? { place < labels.count ? labels[place] : nil }

    private func same(_ a: String, _ b: String) -> Int {
        if saysSame { process.print("Files \(label(0) ?? a) and \(label(1) ?? b) are identical") }
        return 0
    }

    private func differ(_ what: String, _ a: String, _ b: String) -> Int {
        process.print("\(what) \(label(0) ?? a) and \(label(1) ?? b) differ")
        return 1
    }
}
