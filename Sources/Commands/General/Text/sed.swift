import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellSession

extension GeneralCommands {
    static var sed: Command {
        let description = CommandDescription(
            "sed", "edits lines as they pass, or files in place", usage: "[-n] [-E] [-i] SCRIPT [FILE…]",
            flags: [
                .init("quiet", "n", "only what p prints"), .init("silent", nil, "the same"),
                .init("regexp-extended", "E", "extended regular expressions"), .init("", "r", "the same"),
                .init("expression", "e", .text("SCRIPT"), repeatable: true, "a part of the script"),
                .init("file", "f", .file, repeatable: true, "a part of the script, from a file of the lab"),
                .init("in-place", "i", "writes each file anew; -i.bak keeps what it was"),
                .init("separate", "s", "lines count anew in each file"),
                .init("null-data", "z", "lines end in NUL"),
                .init("unbuffered", "u", "each line at once (always)"), .init("posix", nil, "nothing (as it is)"),
                .init("sandbox", nil, "nothing (always)"), .init("binary", "b", "nothing (always)"),
            ],
            arguments: .init([.text, .file], 0...1000, isRaw: true),
            examples: [
                "sed 's/8081/8082/g' lb.yaml", "sed -i '/^#/d' lb.yaml", "sed -n '2,4p' app.log",
                "sed ':a;N;$!ba;s/\\n/,/g' names.txt",
            ], group: .files,
            details: """
                s/PATTERN/TEXT/ with g, p, I, M, a number and w FILE; y/abc/xyz/; d D p P n N g
                G h H x = l q Q F z; a, i and c TEXT; r and w FILE; { … }; : b t T LABEL.
                Before a command: a line's number, $, /PATTERN/, 0~3 (each third from 0), two of
                them with a comma, a second one of +2 or ~4, and !.
                TEXT: & is the match, \\1 a group, \\n a newline; \\U \\L \\u \\l \\E its letters.
                // is the pattern used last. In patterns and TEXT \\x41 \\o101 \\d065 \\t \\r
                are bytes.
                Not there: e, R, W and v.
                """)
        return Command(description) { invocation in
            let (words, suffix) = SedProgram.inPlace(invocation.arguments.arguments)
            let sorted = CommandDescription(
                "sed", description.summary, usage: description.usage, flags: description.flags,
                arguments: .init([.text, .file], 0...1000), examples: description.examples, group: .files,
                details: description.details)
            let arguments = try ParsedArguments(words, for: sorted)
            var rest = arguments.arguments[...]
            var scripts = arguments.texts("expression")
            for file in arguments.texts("file") {
                let bytes = try invocation.session.files.reading { try $0.read(file) }
                var text = String(decoding: bytes, as: UTF8.self)
                if text.hasSuffix("\n") { text.removeLast() }
                scripts.append(text)
            }
            if scripts.isEmpty, let first = rest.popFirst() { scripts = [first] }
            guard !scripts.isEmpty else { throw UsageError("sed: which script? sed 's/a/b/' [FILE…]") }
            let isExtended = arguments.has("regexp-extended") || arguments.has("r")
            let commands = try SedParser.parse(scripts.joined(separator: "\n"), isExtended: isExtended)
            let editsInPlace = arguments.has("in-place")
            if editsInPlace, rest.isEmpty || rest.contains("-") {
                throw UsageError("sed: -i: which file? sed -i 's/a/b/' FILE…")
            }
            let sed = Sed(invocation.process, rest, commands)
            sed.isQuiet = arguments.has("quiet") || arguments.has("silent") || commands.isQuiet
            sed.isSeparate = editsInPlace || arguments.has("separate")
            sed.suffix = editsInPlace ? suffix : nil
            if arguments.has("null-data") { sed.separator = 0 }
            return .running(sed)
        }
    }

    /// `sed`: one cycle for each line, which may take further lines in the middle.
    private final class Sed: LineTool {
        private let program: SedProgram
        var isQuiet = false
        var isSeparate = false
        /// What a file that is edited in place is captured under is its name and this; nil: nothing is edited in place.
        var suffix: String?
        /// By command: within a range of lines.
        private var isInRange: [Bool]
        private var rangeEnd: [Int]
        private var lineNumber = 0
        /// The newest line waits here until it is known whether it is the last.
        private var held: (line: [UInt8], isWhole: Bool)?
        private var pattern: [UInt8] = []
        private var hold: [UInt8] = []
        private var isWhole = true
        private var isLast = false
        private var after: [[UInt8]] = []
        private var resume = Resume.cycle
        /// `q`, or a failure: the lines that are left are nobody's.
        private var hasQuit = false
        private var files: [String: LabFile] = [:]
        /// The pattern that was used last, which an empty one repeats.
        private var lastExpression: LineExpression?
        private var problem: String?

        /// What the next line is for.
        private enum Resume {
            case cycle
            /// `n`: the pattern space anew, and on from there.
            case next(Int)
            /// `N`: behind the pattern space.
            case append(Int)
        }

        /// Commands for one line.
        private static let stepLimit = 1_000_000
        /// Bytes that are written for one line.
        private static let writeLimitBytes = 256 << 20

        override var complaintStatus: Int { 2 }

        init(_ process: Process, _ files: ArraySlice<String>, _ program: SedProgram) {
            self.program = program
            isInRange = Array(repeating: false, count: program.commands.count)
            rangeEnd = Array(repeating: 0, count: program.commands.count)
            super.init(process, files: files)
        }

        override func start() {
            do {
                for name in program.outputs where name != "/dev/stdout" && name != "/dev/stderr" {
                    files[name] = try process.session.files.reading { try $0.openForWriting(name, appends: false) }
                }
                super.start()
            } catch {
                process.fail("\(error)", status: 4)
            }
        }

        override func beginFile() {
            guard isSeparate else { return }
            lineNumber = 0
            if suffix != nil { captured = [] }
        }

        override func endFile() {
            guard isSeparate else { return }
            flush()
            keep()
        }

        override func end() {
            flush()
            keep()
            for file in files.values { file.close() }
            files = [:]
        }

        private func flush() {
            let last = held
            held = nil
            if let last, !hasQuit { take(last.line, isWhole: last.isWhole, isLast: true) }
        }

        /// Writes what came out of a file in its place.
        private func keep() {
            guard let suffix, let bytes = captured, let file = currentFile else { return }
            captured = nil
            do throws(LabFileError) {
                if !suffix.isEmpty {
                    let copy = suffix.contains("*") ? suffix.replacing("*", with: file) : file + suffix
                    try process.session.files.write(try process.session.files.read(file), to: copy)
                }
                try process.session.files.write(bytes, to: file)
            } catch {
                complain(error.description)
            }
        }

        override func take(_ line: ArraySlice<UInt8>, isWhole: Bool) {
            if let held { take(held.line, isWhole: true, isLast: false) }
            held = isDone ? nil : (Array(line), isWhole)
        }

        private func take(_ line: [UInt8], isWhole: Bool, isLast: Bool) {
            lineNumber += 1
            self.isWhole = isWhole
            self.isLast = isLast
            switch resume {
            case .cycle:
                pattern = line
                run(from: 0)
            case .next(let place):
                pattern = line
                run(from: place)
            case .append(let place):
                pattern += [separator] + line
                run(from: place)
            }
        }

        /// The end of a cycle: what was put behind the line follows it.
        private func endCycle(prints: Bool) {
            if prints, !isQuiet { write(pattern, newline: isWhole || !after.isEmpty) }
            for text in after { writeBytes(text) }
            after = []
        }

        private func fail(_ text: String) {
            complain("line \(lineNumber): \(text)")
            captured = nil
            status = 1
            hasQuit = true
            stop()
        }

        private func run(from start: Int) {
            resume = .cycle
            var place = start
            var steps = 0
            var hasReplaced = false
            let before = writtenByteCount
            while place < program.commands.count {
                steps += 1
                if steps & 0xF == 0, process.session.isInterrupted { return fail("interrupted") }
                if writtenByteCount - before > Self.writeLimitBytes {
                    return fail("more than \(byteCountText(Self.writeLimitBytes)) are written for it")
                }
                if steps > Self.stepLimit {
                    return fail("more than \(Self.stepLimit) commands; a loop without an end?")
                }
                if pattern.count > Self.lineLimitBytes || hold.count > Self.lineLimitBytes {
                    return fail("it would grow beyond \(byteCountText(Self.lineLimitBytes))")
                }
                let command = program.commands[place]
                let isSelected = selects(place, command)
                if let problem { return fail(problem) }
                guard isSelected else {
                    if case .block(let end) = command.action { place = end } else { place += 1 }
                    continue
                }
                place += 1
                switch command.action {
                case .substitute(let substitution):
                    guard let expression = known(substitution.expression) else { return fail(problem ?? "") }
                    let outcome = substitution.apply(expression, to: pattern, limitBytes: Self.lineLimitBytes)
                    if let failure = expression.failure { return fail(failure) }
                    switch outcome {
                    case .unmatched: continue
                    case .tooLong: return fail("it would grow beyond \(byteCountText(Self.lineLimitBytes))")
                    case .changed(let changed): pattern = changed
                    }
                    hasReplaced = true
                    if substitution.prints { write(pattern, newline: isWhole) }
                    if let file = substitution.file { write(to: file) }
                case .translate(let translation): pattern = translation.apply(to: pattern)
                case .delete: return endCycle(prints: false)
                case .deleteFirst:
                    guard let newline = pattern.firstIndex(of: separator) else { return endCycle(prints: false) }
                    pattern.removeFirst(newline + 1)
                    endCycle(prints: false)
                    place = 0
                case .print: write(pattern, newline: true)
                case .printFirst: write(pattern.prefix { $0 != separator })
                case .number: writeBytes(Array("\(lineNumber)\n".utf8))
                case .list(let width): writeBytes(SedProgram.listed(pattern, width: width))
                case .name: write((currentFile ?? "-").utf8)
                case .insert(let text): writeBytes(text)
                case .append(let text): after.append(text)
                case .read(let name):
                    if let bytes = try? process.session.files.read(name) { after.append(bytes) }
                case .write(let name): write(to: name)
                case .change(let text):
                    // Of a range, the text stands once, at its end.
                    if command.last == nil || !isInRange[place - 1] || command.isNegated { writeBytes(text) }
                    return endCycle(prints: false)
                case .next:
                    endCycle(prints: true)
                    if isLast { return end(early: false) }
                    resume = .next(place)
                    return
                case .appendNext:
                    if isLast { return endCycle(prints: true) }
                    for text in after { writeBytes(text) }
                    after = []
                    resume = .append(place)
                    return
                case .copyToHold: hold = pattern
                case .appendToHold: hold += [separator] + pattern
                case .copyFromHold: pattern = hold
                case .appendFromHold: pattern += [separator] + hold
                case .exchange: swap(&pattern, &hold)
                case .empty: pattern = []
                case .block, .label: break
                case .branch(let target): place = target
                case .branchIfReplaced(let target, let wanted):
                    if hasReplaced == wanted { place = target }
                    hasReplaced = false
                case .quit(let code, let prints):
                    endCycle(prints: prints)
                    status = code
                    return end(early: true)
                }
            }
            endCycle(prints: true)
        }

        private func end(early: Bool) {
            guard early else { return }
            hasQuit = true
            stop()
        }

        private func write(to name: String) {
            let bytes = pattern + [10]
            if name == "/dev/stdout" { return writeBytes(bytes) }
            if name == "/dev/stderr" { return process.errorOutput.write(String(decoding: bytes, as: UTF8.self)) }
            do throws(LabFileError) { try files[name]?.append(bytes) } catch {
                complain(error.description)
                stop()
            }
        }

        // MARK: Addresses

        /// The expression itself, or for an empty one that which was used last.
        private func known(_ expression: LineExpression?) -> LineExpression? {
            if let expression { lastExpression = expression }
            if lastExpression == nil { problem = "an empty pattern, and none was used before that it could repeat" }
            return lastExpression
        }

        private func matches(_ address: SedCommand.Address) -> Bool {
            switch address {
            case .line(let number): return lineNumber == number
            case .step(let first, let step):
                return step <= 0 ? lineNumber == first : lineNumber >= first && (lineNumber - first) % step == 0
            case .end: return isLast
            case .pattern(let expression):
                guard let expression = known(expression) else { return false }
                let isFound = pattern.withUnsafeBytes { expression.firstRange(in: $0) != nil }
                if let failure = expression.failure { problem = failure }
                return isFound
            case .following, .multiple: return false
            }
        }

        private func selects(_ index: Int, _ command: SedCommand) -> Bool {
            guard let first = command.first else { return !command.isNegated }
            guard let last = command.last else { return matches(first) != command.isNegated }
            return isWithin(index, first, last) != command.isNegated
        }

        /// POSIX: the end is looked for from the line behind the beginning; a number that has passed is one line.
        /// GNU: with 0 as the beginning, from the first line on.
        private func isWithin(_ index: Int, _ first: SedCommand.Address, _ last: SedCommand.Address) -> Bool {
            if case .line(0) = first, lineNumber == 1, !isInRange[index] {
                isInRange[index] = !matches(last)
                return true
            }
            if !isInRange[index] {
                guard matches(first) else { return false }
                switch last {
                case .line(let number): rangeEnd[index] = number
                case .following(let count): rangeEnd[index] = lineNumber.addingReportingOverflow(count).partialValue
                case .multiple(let step):
                    let rest = step > 0 ? lineNumber % step : 0
                    rangeEnd[index] =
                        rest == 0 ? lineNumber : lineNumber.addingReportingOverflow(step - rest).partialValue
                case .end: rangeEnd[index] = isLast ? lineNumber : .max
                case .pattern, .step: rangeEnd[index] = .max
                }
                isInRange[index] = rangeEnd[index] > lineNumber
                return true
            }
            switch last {
            case .line, .following, .multiple:
                if lineNumber >= rangeEnd[index] { isInRange[index] = false }
                // It was passed while the command was not reached: the line is no longer within.
                return lineNumber <= rangeEnd[index] || { if case .line = last { matches(first) } else { false } }()
            case .end: if isLast { isInRange[index] = false }
            case .pattern, .step: if matches(last) { isInRange[index] = false }
            }
            return true
        }
    }
}
