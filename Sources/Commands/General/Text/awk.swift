import CommandKit
import KernelCoroutines
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
                and places count characters. `print | "COMMAND"` runs the command at the end,
                or when it is closed. system() and COMMAND | getline run commands of the lab,
                each to its end first; as in gawk "a " b | getline is ("a " b) | getline.
                ENVIRON has what is exported.
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
        private var input = AwkInput()
        private var isReadingInput = false
        private var isFileOpen = false
        private var hasReadAny = false
        private var isPaused = false
        private var isInRule = false
        private var isEnding = false
        /// Which of ARGV comes next; the program may change them up to then.
        private var nextArgument = 1
        /// All that it was given, where the program reads records in the midst of a rule.
        private var given: [UInt8]?
        private let output: AwkOutput
        private var sources: [String: AwkInput] = [:]
        /// What commands have written, and how they ended: `COMMAND | getline`.
        private var commands: [String: (output: AwkInput, status: Int)] = [:]
        /// Of a program that waits for commands.
        private var stack: AwkStack?

        private static let recordsPerTurn = 4096
        private static let argumentLimit = 100_000

        init(_ process: Process, _ program: AwkProgram, _ options: AwkOptions) {
            self.process = process
            self.options = options
            output = AwkOutput(process)
            machine = AwkMachine(program, process.session.world.random.fork("awk"))
            machine.now = process.session.world.now
        }

        func start() {
            machine.write = { [unowned self] in try output.write($0, $1, $2) }
            machine.nextRecord = { [unowned self] in try recordForGetline() }
            machine.nextLine = { [unowned self] in try line(of: $0) }
            machine.closeFile = { [unowned self] in try close($0) }
            if machine.program.runsCommands {
                machine.runCommand = { [unowned self] in try run($0, input: inputForCommands).status }
                machine.nextCommandLine = { [unowned self] in try commandLine(of: $0) }
                output.runNow = { [unowned self] in try run($0, input: .bytes($1)).status }
                let stack = AwkStack()
                self.stack = stack
                process.whenOver = { stack.stop() }
            }
            machine.isInterrupted = { [unowned self] in process.session.isInterrupted }
            guard machine.program.takesRecords, !options.operands.contains(where: Self.isFile) else { return begin() }
            // What reads records in the midst of a rule needs all of the input to be there.
            var bytes: [UInt8] = []
            process.read(
                onBytes: { [weak self] more in
                    bytes += more
                    if bytes.count > LabFiles.readLimit {
                        self?.fail(AwkFailure("more than \(byteCountText(LabFiles.readLimit)) of input"))
                    }
                },
                onEnd: { [weak self] in
                    guard let self, process.isRunning else { return }
                    given = bytes
                    begin()
                })
        }

        private static func isFile(_ word: String) -> Bool {
            !["", "-", "/dev/stdin"].contains(word) && AwkOptions.assignment(word) == nil
        }

        private func begin() { turn { [self] in beginNow() } }

        private func beginNow() {
            do {
                for (name, value) in options.assignments { try assign(name, value) }
                try setArguments()
                let rules = machine.program.rules
                // After exit, too, the rules of END run.
                if try machine.runRules(atBegin: true) == .exits { return end() }
                let hasMain = rules.contains { if case .begin = $0.pattern { false } else { true } }
                guard hasMain else { return finish() }
                goOnNow()
            } catch { fail(error) }
        }

        private func setArguments() throws {
            let array = AwkArray(machine.memory)
            for (index, word) in (["awk"] + options.operands).enumerated() {
                array.set(String(index), AwkMachine.fromOutside(word))
            }
            machine.globals[AwkVariables.arguments] = .array(array)
            let environment = AwkArray(machine.memory)
            for (name, value) in process.exportedVariables { environment.set(name, AwkMachine.fromOutside(value)) }
            machine.globals[AwkVariables.environment] = .array(environment)
            machine.setGlobal(AwkVariables.argumentCount, .number(Double(options.operands.count + 1)))
        }

        private func assign(_ name: String, _ value: String) throws {
            guard let place = machine.program.globals.firstIndex(of: name) else { return }
            let text = String(decoding: EscapeSequences.resolve(value, .format), as: UTF8.self)
            try machine.assign(.variable(.global(place)), AwkMachine.fromOutside(text))
        }

        private func fail(_ error: any Error) {
            guard process.isRunning, !(error is AwkStopped) else { return }
            if error is AwkExit { return finish() }
            guard output.isWaiting else {
                output.closeFiles()
                return process.fail("\(error)", status: 2)
            }
            // What was printed before it is written all the same.
            process.complain("\(error)")
            machine.exitStatus = 2
            finish()
        }

        // MARK: Input

        /// Opens the next file; false where there is none, or where what is given has to come first.
        private func openNext() throws -> Bool {
            while let word = nextOperand() {
                if let (name, value) = AwkOptions.assignment(word) {
                    try assign(name, value)
                    continue
                }
                hasReadAny = true
                if word == "-" || word == "/dev/stdin" { return openInput() }
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

        /// The next of ARGV that there is: what is empty, or gone, is passed over.
        private func nextOperand() -> String? {
            let end = min(Int(clamping: machine.globalNumber(AwkVariables.argumentCount)), Self.argumentLimit)
            guard case .array(let arguments) = machine.globals[AwkVariables.arguments] else { return nil }
            while nextArgument < end {
                defer { nextArgument += 1 }
                if let value = arguments[String(nextArgument)], case let word = machine.text(value), !word.isEmpty {
                    return word
                }
            }
            return nil
        }

        private func openInput() -> Bool {
            machine.setGlobal(AwkVariables.fileRecordNumber, .number(0))
            if let given {
                // Once it has been read there is no more of it.
                input = AwkInput(given)
                self.given = []
                isFileOpen = true
                return true
            }
            input = AwkInput()
            input.isComplete = false
            isReadingInput = true
            isFileOpen = true
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
                    "getline cannot wait here for what is still to come behind a file; give it a file: getline < FILE")
            }
            return nil
        }

        private func goOn() {
            guard process.isRunning, !isInRule, !isEnding, !isPaused else { return }
            if isReadingInput, machine.program.takesRecords { return }
            turn { [self] in goOnNow() }
        }

        private func goOnNow() {
            isInRule = true
            defer { isInRule = false }
            do {
                var count = 0
                output.turnBytes = 0
                while true {
                    if process.output.isBroken {
                        output.closeFiles()
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
                output.turnBytes = 0
                _ = try machine.runRules(atBegin: false)
            } catch is AwkExit {
            } catch { return fail(error) }
            finish()
        }

        private func line(of name: String) throws -> String? {
            if let given, sources[name] == nil, name == "-" || name == "/dev/stdin" {
                sources[name] = AwkInput(given)
                self.given = []
            }
            if sources[name] == nil {
                guard sources.count < AwkOutput.fileLimit, let bytes = try? process.session.files.read(name) else {
                    throw AwkNoFile()
                }
                sources[name] = AwkInput(bytes)
            }
            return try sources[name]?.next(machine.globalText(AwkVariables.recordSeparator), machine)
        }

        private func close(_ name: String) throws -> Int {
            if let status = try output.close(name) { return status }
            if let command = commands.removeValue(forKey: name) { return command.status }
            return sources.removeValue(forKey: name) != nil ? 0 : -1
        }

        // MARK: Commands

        /// Does something that may have to wait for a command.
        private func turn(_ body: @escaping () -> Void) {
            guard let stack else { return body() }
            do throws(CoroutineError) { try stack.begin(body) } catch { fail(AwkFailure("\(error)")) }
        }

        /// What a command may read: what this one does not read itself.
        private var inputForCommands: Process.CommandInput { isReadingInput || given != nil ? .nothing : .own }

        private func run(
            _ command: String, input: Process.CommandInput, captures: Bool = false
        ) throws -> (status: Int, output: [UInt8]) {
            guard let stack else { throw AwkFailure("'\(command)' cannot be waited for") }
            let result = try stack.run(command, in: process, input: input, captures: captures)
            machine.now = process.session.world.now
            output.turnBytes = 0
            return result
        }

        private func commandLine(of command: String) throws -> String? {
            if commands[command] == nil {
                guard commands.count < AwkOutput.fileLimit else {
                    throw AwkFailure("more than \(AwkOutput.fileLimit) commands are open; close() closes them")
                }
                let (status, bytes) = try run(command, input: inputForCommands, captures: true)
                commands[command] = (AwkInput(bytes), status)
            }
            return try commands[command]?.output.next(machine.globalText(AwkVariables.recordSeparator), machine)
        }

        private func finish() {
            isEnding = true
            guard process.isRunning else { return }
            output.finish { [weak self] hasRun in
                guard let self else { return }
                let status = machine.exitStatus
                process.exit(!hasRun || status == 0 && complaints > 0 ? 2 : status)
            }
        }
    }
}
