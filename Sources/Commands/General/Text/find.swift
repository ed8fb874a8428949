import CommandKit
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var find: Command {
        let description = CommandDescription(
            "find", "files below directories that fit an expression", usage: "[DIRECTORY…] [EXPRESSION]",
            arguments: .init([.file], 0...10_000, isRaw: true),
            examples: ["find /var -name '*.log'", "find . -type f -exec wc -c {} +"], group: .files,
            details: """
                -name -iname -path GLOB; -regex PATTERN, -regextype posix-extended before it;
                -type f|d; -size [+-]N[ckMG]; -empty; -maxdepth N, -mindepth N; -print, -print0,
                -delete, -prune, -quit; -printf with %p %f %h %P %s %d; -exec COMMAND {} ; or +
                ! or -not, -a, -o and parentheses.
                Files have no times, owners or modes here: there is no -mtime, -newer, -user or
                -perm.
                """)
        return Command(description) { invocation in
            let words = invocation.arguments.arguments
            let roots = words.prefix { !$0.hasPrefix("-") && $0 != "!" && $0 != "(" }
            var parser = FindParser(words.dropFirst(roots.count))
            let expression = try parser.parse()
            return .running(
                Find(invocation.process, roots.isEmpty ? ["."] : Array(roots), expression, parser.depths))
        }
    }

    /// Goes through the files one by one; a command of `-exec` may take any time.
    private final class Find: Program {
        private let process: Process
        private let expression: FindExpression
        private let depths: ClosedRange<Int>
        private var pending: [FoundFile] = []
        private var status = 0
        private var batches: [Int: [String]] = [:]
        private var batchCommands: [Int: [String]] = [:]
        private var isOver = false

        private static let filesPerTurn = 500
        private static let fileLimit = 1_000_000
        private var count = 0

        init(_ process: Process, _ roots: [String], _ expression: FindExpression, _ depths: ClosedRange<Int>) {
            self.process = process
            self.expression = expression
            self.depths = depths
            pending = roots.reversed().map { FoundFile(path: $0, root: $0, depth: 0, isRoot: true) }
        }

        func start() { goOn() }

        private func goOn() {
            guard process.isRunning else { return }
            var turns = 0
            while !isOver, let file = pending.popLast() {
                if process.output.isBroken { return process.exit(141) }
                turns += 1
                if turns > Self.filesPerTurn {
                    pending.append(file)
                    return process.node.enqueue { [self] in goOn() }
                }
                // Where the answer came at once, the loop goes on; otherwise it begins again once it is there.
                var isSync: Bool?
                visit(file) {
                    if isSync == nil { isSync = true } else { self.goOn() }
                }
                if isSync == nil {
                    isSync = false
                    return
                }
            }
            runBatches()
        }

        private func visit(_ file: FoundFile, _ done: @escaping () -> Void) {
            let files = process.session.files
            guard files.exists(file.path) else {
                process.complain("\(file.path): No such file or directory")
                status = 1
                return done()
            }
            count += 1
            guard count <= Self.fileLimit, file.depth < 100 else {
                process.fail("more than \(Self.fileLimit) files, or directories more than 100 deep")
                return
            }
            var file = file
            file.isDirectory = files.isDirectory(file.path)
            if parserDeletes, file.isDirectory, !file.isVisited {
                // What is in a directory goes before it.
                file.isVisited = true
                pending.append(file)
                descend(file)
                return done()
            }
            guard file.depth >= depths.lowerBound else {
                if !file.isVisited { descend(file) }
                return done()
            }
            evaluate(expression, file) { [self] outcome in
                if !outcome.isPruned, !file.isVisited { descend(file) }
                done()
            }
        }

        private var parserDeletes: Bool { expression.deletes }

        private func descend(_ file: FoundFile) {
            guard file.isDirectory, file.depth < depths.upperBound else { return }
            guard let entries = try? process.session.files.list(file.path) else { return }
            for (name, _) in entries.reversed() {
                let path = LabFiles.path(of: name, in: file.path)
                pending.append(FoundFile(path: path, root: file.root, depth: file.depth + 1, isRoot: false))
            }
        }

        private func evaluate(
            _ expression: FindExpression, _ file: FoundFile, _ done: @escaping (FindOutcome) -> Void
        ) {
            switch expression {
            case .test(let test): done(FindOutcome(holds: test.holds(file, process.session.files)))
            case .not(let inner):
                evaluate(inner, file) { done(FindOutcome(holds: !$0.holds, isPruned: $0.isPruned)) }
            case .and(let a, let b):
                evaluate(a, file) { [self] first in
                    guard first.holds else { return done(first) }
                    evaluate(b, file) { done(FindOutcome(holds: $0.holds, isPruned: first.isPruned || $0.isPruned)) }
                }
            case .or(let a, let b):
                evaluate(a, file) { [self] first in
                    if first.holds { return done(first) }
                    evaluate(b, file) { done(FindOutcome(holds: $0.holds, isPruned: first.isPruned || $0.isPruned)) }
                }
            case .print(let end):
                process.output.write(file.path + end)
                done(FindOutcome(holds: true))
            case .format(let format):
                process.output.write(file.text(format, process.session.files))
                done(FindOutcome(holds: true))
            case .prune: done(FindOutcome(holds: true, isPruned: true))
            case .quit:
                isOver = true
                done(FindOutcome(holds: true))
            case .delete:
                do throws(LabFileError) {
                    if file.path != "." { try process.session.files.remove(file.path, recursively: false) }
                    done(FindOutcome(holds: true))
                } catch {
                    process.complain("cannot delete \(error)")
                    status = 1
                    done(FindOutcome(holds: false))
                }
            case .execute(let words):
                let command = words.map { $0.replacing("{}", with: file.path) }
                let run = process.runCommand(command, input: .own) { done(FindOutcome(holds: $0 == 0)) }
                if run == nil { process.exit(1) }
            case .executeAll(let number, let words):
                batchCommands[number] = words
                batches[number, default: []].append(file.path)
                done(FindOutcome(holds: true))
            }
        }

        private func runBatches() {
            guard let number = batches.keys.min(), let files = batches.removeValue(forKey: number) else {
                return process.exit(status)
            }
            let run = process.runCommand((batchCommands[number] ?? []) + files, input: .own) { [self] status in
                if status != 0 { self.status = 1 }
                runBatches()
            }
            if run == nil { process.exit(1) }
        }
    }
}

struct FindOutcome {
    var holds: Bool
    var isPruned = false
}

struct FoundFile {
    let path: String
    let root: String
    let depth: Int
    let isRoot: Bool
    var isDirectory = false
    /// What is in it has been gone through already.
    var isVisited = false

    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// `-printf`
    func text(_ format: String, _ files: LabFiles) -> String {
        var result = ""
        var rest = format[...]
        while let character = rest.popFirst() {
            if character == "\\", let next = rest.popFirst() {
                result += String(decoding: ShellText.escaped("\\\(next)"), as: UTF8.self)
                continue
            }
            guard character == "%", let letter = rest.popFirst() else {
                result.append(character)
                continue
            }
            switch letter {
            case "p": result += path
            case "f": result += name
            case "h": result += path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
            case "P": result += String(path.dropFirst(root.count).drop { $0 == "/" })
            case "s": result += String(files.size(path) ?? 0)
            case "d": result += String(depth)
            case "y": result += isDirectory ? "d" : "f"
            default: result.append(letter)
            }
        }
        return result
    }
}
