import CommandKit
import KernelRegularExpressions
import KernelStructures
import ShellLanguage
import ShellSession

extension GeneralCommands {
    static var awk: Command {
        let description = CommandDescription(
            "awk", "a program for each line and its fields", usage: "[-F FS] [-v NAME=VALUE]… PROGRAM|-f FILE [FILE…]",
            arguments: .init([.text, .file], 0...10_000, isRaw: true),
            examples: [
                "awk '{print $2}' nodes.txt", "awk -F: '$3 > 5 {sum += $3} END {print sum}' times.txt",
                "awk '{count[$1]++} END {for (k in count) print k, count[k]}' app.log",
            ], group: .files,
            details: """
                POSIX's language, with gensub, strftime, systime, nextfile, length and delete of
                arrays. RS may be a character, empty for paragraphs, or an expression. Lengths
                and places count characters. `print | "COMMAND"` runs the command at the end.
                Not there: system(), COMMAND | getline, and ENVIRON is empty: -v x="$x".
                """)
        return Command(description) { invocation in
            let options = try AwkOptions(invocation.arguments.arguments, invocation.session.files)
            do {
                let program = try AwkParser.parse(options.program)
                return .running(Awk(invocation.process, program, options))
            } catch let error as AwkFailure {
                throw UsageError("awk: \(error)")
            }
        }
    }

    /// Runs the program record by record, as they come.
    private final class Awk: Program {
        private let process: Process
        private let machine: AwkMachine
        private let options: AwkOptions
        private var operands: ArraySlice<String>
        private var input = AwkInput()
        private var isReadingInput = false
        private var isFileOpen = false
        private var hasReadAny = false
        private var isPaused = false
        private var isInRule = false
        private var isEnding = false
        /// What waits for the commands of `print |`, in the order in which they were named.
        private var commands: [(command: String, bytes: [UInt8])] = []
        private var outputs: [String: LabFile] = [:]
        private var sources: [String: AwkInput] = [:]
        private var outputBytes = 0

        private static let fileLimit = 64
        private static let recordsPerTurn = 4096
        /// Bytes that one turn may write, and that wait for commands.
        private static let outputLimitBytes = 256 << 20

        init(_ process: Process, _ program: AwkProgram, _ options: AwkOptions) {
            self.process = process
            self.options = options
            operands = options.operands[...]
            machine = AwkMachine(program, process.session.world.random.fork("awk"))
            machine.now = process.session.world.now
        }

        func start() {
            machine.write = { [unowned self] in try write($0, $1, $2) }
            machine.nextRecord = { [unowned self] in try recordForGetline() }
            machine.nextLine = { [unowned self] in try line(of: $0) }
            machine.closeFile = { [unowned self] in close($0) }
            machine.isInterrupted = { [unowned self] in process.session.isInterrupted }
            do {
                for (name, value) in options.assignments { try assign(name, value) }
                try setArguments()
                let rules = machine.program.rules
                // After exit, too, the rules of END run.
                if try machine.runRules(atBegin: true) == .exits { return end() }
                let hasMain = rules.contains { if case .begin = $0.pattern { false } else { true } }
                guard hasMain else { return finish() }
                // What reads records in the midst of a rule needs all of the input to be there.
                goOn()
            } catch { fail(error) }
        }

        private func setArguments() throws {
            let array = AwkArray(machine.memory)
            for (index, word) in (["awk"] + options.operands).enumerated() {
                array.set(String(index), AwkMachine.fromOutside(word))
            }
            machine.globals[AwkVariables.arguments] = .array(array)
            machine.setGlobal(AwkVariables.argumentCount, .number(Double(options.operands.count + 1)))
        }

        private func assign(_ name: String, _ value: String) throws {
            guard let place = machine.program.globals.firstIndex(of: name) else { return }
            let text = String(decoding: EscapeSequences.resolve(value, .format), as: UTF8.self)
            try machine.assign(.variable(.global(place)), AwkMachine.fromOutside(text))
        }

        private func fail(_ error: any Error) {
            guard process.isRunning else { return }
            if error is AwkExit { return finish() }
            closeAll()
            process.fail("\(error)", status: 2)
        }

        // MARK: Input

        /// Opens the next file; false where there is none, or where what is given has to come first.
        private func openNext() throws -> Bool {
            while let word = operands.popFirst() {
                if let (name, value) = AwkOptions.assignment(word) {
                    try assign(name, value)
                    continue
                }
                hasReadAny = true
                if word == "-" { return openInput() }
                do throws(LabFileError) {
                    input = AwkInput(try process.session.files.read(word))
                } catch {
                    // As elsewhere, that is said, and the next one follows.
                    process.complain("\(error)")
                    complaints += 1
                    continue
                }
                isFileOpen = true
                machine.setGlobal(AwkVariables.fileName, .string(word))
                machine.setGlobal(AwkVariables.fileRecordNumber, .number(0))
                return true
            }
            guard !hasReadAny else { return false }
            hasReadAny = true
            return openInput()
        }
        private var complaints = 0

        private func openInput() -> Bool {
            input = AwkInput()
            input.isComplete = false
            isReadingInput = true
            isFileOpen = true
            machine.setGlobal(AwkVariables.fileRecordNumber, .number(0))
            read()
            return true
        }

        private func read() {
            process.read(
                onBytes: { [weak self] bytes in
                    guard let self, process.isRunning, !isEnding else { return }
                    input.append(bytes)
                    if input.count > LabFiles.readLimit {
                        return fail(AwkFailure("more than \(byteCountText(LabFiles.readLimit)) of input wait"))
                    }
                    if !machine.program.takesRecords { goOn() }
                },
                onEnd: { [weak self] in
                    guard let self, !isEnding else { return }
                    input.isComplete = true
                    isReadingInput = false
                    goOn()
                })
        }

        /// The next record; nil at the end of all, or where more has to come.
        private func nextRecord() throws -> String? {
            while true {
                if isFileOpen {
                    let separator = machine.globalText(AwkVariables.recordSeparator)
                    if let record = try input.next(separator, machine) {
                        machine.setGlobal(
                            AwkVariables.recordNumber, .number(machine.globalNumber(AwkVariables.recordNumber) + 1))
                        machine.setGlobal(
                            AwkVariables.fileRecordNumber,
                            .number(machine.globalNumber(AwkVariables.fileRecordNumber) + 1))
                        return record
                    }
                    if !input.isComplete { return nil }
                    isFileOpen = false
                }
                guard try openNext() else { return nil }
            }
        }

        private func recordForGetline() throws -> String? {
            if let record = try nextRecord() { return record }
            if isReadingInput {
                throw AwkFailure(
                    "getline in BEGIN cannot wait for what is still to come; give it a file: getline < FILE")
            }
            return nil
        }

        private func goOn() {
            guard process.isRunning, !isInRule, !isEnding, !isPaused else { return }
            if isReadingInput, machine.program.takesRecords { return }
            isInRule = true
            defer { isInRule = false }
            do {
                var count = 0
                outputBytes = 0
                while true {
                    if process.output.isBroken {
                        closeAll()
                        return process.exit(141)
                    }
                    if process.output.isCongested { return waitForOutput() }
                    if count == Self.recordsPerTurn {
                        isPaused = true
                        return process.node.enqueue { [self] in
                            isPaused = false
                            goOn()
                        }
                    }
                    guard let record = try nextRecord() else { break }
                    count += 1
                    machine.setRecord(record)
                    switch try machine.runRules() {
                    case .exits: return end()
                    case .nextFile:
                        isFileOpen = false
                        if isReadingInput { _ = process.pauseReading() }
                        isReadingInput = false
                    default: break
                    }
                }
                if isFileOpen || isReadingInput { return }
                end()
            } catch is AwkExit {
                end()
            } catch { fail(error) }
        }

        private func waitForOutput() {
            isPaused = true
            process.output.onDrained = { [weak self] in
                guard let self else { return }
                isPaused = false
                goOn()
            }
        }

        /// The rules of END, then the end.
        private func end() {
            guard !isEnding else { return }
            isEnding = true
            do {
                outputBytes = 0
                _ = try machine.runRules(atBegin: false)
            } catch is AwkExit {
            } catch { return fail(error) }
            finish()
        }

        // MARK: Output

        private func write(_ bytes: [UInt8], _ kind: AwkTarget.Kind?, _ name: String) throws {
            outputBytes += bytes.count
            guard outputBytes <= Self.outputLimitBytes else {
                throw AwkFailure("more than \(byteCountText(Self.outputLimitBytes)) written at once")
            }
            guard let kind else { return process.output.write(bytes) }
            if kind == .command {
                if name == "cat 1>&2" || name == "cat >&2" { return process.errorOutput.write(bytes) }
                if let index = commands.firstIndex(where: { $0.command == name }) {
                    commands[index].bytes += bytes
                } else {
                    guard commands.count < Self.fileLimit else {
                        throw AwkFailure("more than \(Self.fileLimit) commands")
                    }
                    commands.append((name, bytes))
                }
                return
            }
            if name == "/dev/stdout" || name == "-" { return process.output.write(bytes) }
            if name == "/dev/stderr" { return process.errorOutput.write(bytes) }
            guard outputs[name] != nil || outputs.count < Self.fileLimit else {
                throw AwkFailure("more than \(Self.fileLimit) files")
            }
            do throws(LabFileError) {
                if outputs[name] == nil {
                    outputs[name] = try process.session.files.openForWriting(name, appends: kind == .append)
                }
                try outputs[name]?.append(bytes)
            } catch { throw AwkFailure("\(error)") }
        }

        private func line(of name: String) throws -> String? {
            if sources[name] == nil {
                guard sources.count < Self.fileLimit, let bytes = try? process.session.files.read(name) else {
                    throw AwkNoFile()
                }
                sources[name] = AwkInput(bytes)
            }
            return try sources[name]?.next(machine.globalText(AwkVariables.recordSeparator), machine)
        }

        private func close(_ name: String) -> Int {
            if let file = outputs.removeValue(forKey: name) {
                file.close()
                return 0
            }
            return sources.removeValue(forKey: name) != nil || commands.contains { $0.command == name } ? 0 : -1
        }

        private func closeAll() {
            for file in outputs.values { file.close() }
            outputs = [:]
        }

        /// Runs the commands that something was printed for, then ends.
        private func finish() {
            isEnding = true
            guard process.isRunning else { return }
            closeAll()
            guard !commands.isEmpty else {
                let status = machine.exitStatus
                return process.exit(status == 0 && complaints > 0 ? 2 : status)
            }
            let (command, bytes) = commands.removeFirst()
            let run = process.runCommand(["sh", "-c", command], input: .bytes(bytes)) { [weak self] _ in self?.finish()
            }
            if run == nil { process.exit(2) }
        }
    }
}
