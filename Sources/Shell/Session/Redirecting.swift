import KernelStructures
import ShellLanguage

// What `>`, `<`, `2>&1`, `3<` and here-documents do to the streams of a command, or of a loop or condition as a whole.

extension Execution {
    /// The streams of one command, and what was opened for it.
    struct OpenStreams {
        let session: Session
        var input: (any ByteSource)?
        var output: any ByteSink
        var error: any ByteSink
        var others: [Int: Descriptor] = [:]
        /// What was redirected.
        var changed: Set<Int> = []
        /// What was opened, each for one descriptor.
        var opened: [(number: Int, sink: any ByteSink)] = []

        func closeOpened() { for (_, sink) in opened { sink.close() } }

        var streams: Streams { Streams(input: input, output: output, error: error, others: others) }

        /// What a number leads to; nil where it is closed.
        func descriptor(_ number: Int) -> Descriptor? {
            switch number {
            case 0:
                if input is ClosedSource { return nil }
                return Descriptor(source: input, readsTerminal: input == nil)
            case 1: return output is ClosedSink ? nil : Descriptor(sink: output)
            case 2: return error is ClosedSink ? nil : Descriptor(sink: error)
            default: return others[number]
            }
        }
    }

    /// Begins a loop or condition whose streams are redirected.
    func step(_ command: CommandSyntax, _ redirections: [Redirection], _ outputs: [String]) {
        let targets = expand(
            outputs,
            { (expansion) throws(Expansion.Stop) in
                var targets: [String] = []
                for redirection in redirections { targets.append(try expansion.target(redirection)) }
                return targets
            }, again: { .redirected(command, redirections, outputs: $0) })
        guard let targets else { return }
        guard let opened = redirected(zip(redirections, targets).map { ($0, $1) }) else { return noteFailureToBegin() }
        use(opened)
        start(command)
    }

    /// Replaces the streams, as far as something is redirected, until the frame that this pushes is reached.
    func use(_ opened: OpenStreams) {
        push(.restore(streams, changed: opened.changed, opened: opened.opened.map(\.sink)))
        for number in opened.changed { streams.take(number, from: opened.streams) }
    }

    func restore(_ previous: Streams, _ changed: Set<Int>, _ opened: [any ByteSink]) {
        for number in changed { streams.take(number, from: previous) }
        for sink in opened { sink.close() }
    }

    /// Drops the innermost frames, and undoes what they did to streams and variables.
    func drop(from index: Int) {
        while frames.count > index {
            switch frames.removeLast() {
            case .restore(let previous, let changed, let opened): restore(previous, changed, opened)
            case .endCall: scope.endCall()
            case .restoreVariables(let before): scope.restore(before)
            case .endTrap(_, _, let isDebug): leaveTrap(isDebug: isDebug)
            case .endEval: traceDepth -= 1
            case .endReader(let number): closeReader(number)
            default: break
            }
        }
    }

    /// The streams of one command: those of the execution, redirected from left to right.
    func redirected(_ redirections: [(Redirection, String)]) -> OpenStreams? {
        var result = OpenStreams(
            session: session, input: streams.input.map(BorrowedSource.init),
            output: streams.output.map(Unclosable.init)
                ?? TerminalSink(session: session, terminal: terminal, submission: submission, isError: false),
            error: streams.error.map(Unclosable.init)
                ?? TerminalSink(session: session, terminal: terminal, submission: submission, isError: true),
            others: streams.others.isEmpty ? [:] : streams.others.mapValues(\.borrowed))
        for (redirection, target) in redirections {
            do throws(LabFileError) {
                try apply(redirection, target, to: &result)
            } catch {
                complain(error.description)
                status = 1
                result.closeOpened()
                return nil
            }
        }
        return result
    }

    // MARK: One after another

    private func apply(
        _ redirection: Redirection, _ target: String, to result: inout OpenStreams
    ) throws(LabFileError) {
        var number = redirection.number
        if let variable = redirection.variable {
            if target == "-", case .duplicate = redirection.kind { return try closeNamed(variable, &result) }
            number = try freeNumber(from: 10, result)
            guard set(variable, String(number)) else { throw LabFileError("\(variable): no descriptor") }
        }
        guard Descriptor.numbers.contains(number) else { throw LabFileError("\(number): Bad file descriptor") }
        switch redirection.kind {
        case .read: result.put(number, try source(target, result))
        case .hereDocument, .hereString:
            let text = redirection.kind == .hereString ? target + "\n" : target
            let source = StoredSource(session: session, bytes: Array(text.utf8), isFile: false)
            result.put(number, Descriptor(source: source))
        case .readWrite:
            let error = result.error
            let channel = try FileChannel(session: session, path: target) { error.write($0 + "\n") }
            result.put(number, Descriptor(source: channel, sink: channel))
            result.opened.append((number, channel))
        case .write(let appends, let isForced):
            result.put(number, try sink(target, appends: appends, isForced: isForced, number, &result))
        case .writeBoth(let appends):
            let both = try sink(target, appends: appends, isForced: false, 1, &result)
            result.put(1, both)
            result.put(2, both)
        case .duplicate(let orFile): try duplicate(number, target, orFile: orFile, &result)
        }
        guard result.others.count <= Descriptor.limit else {
            throw LabFileError("no more than \(Descriptor.limit) descriptors can be open")
        }
        // As in bash, `{name}>` goes on when the command is over.
        if redirection.variable != nil { keep(number, &result) }
    }

    /// `>&2`, `<&3`, `3>&-`, `3>&4-`
    private func duplicate(
        _ number: Int, _ target: String, orFile: Bool, _ result: inout OpenStreams
    ) throws(LabFileError) {
        if target == "-" { return result.put(number, nil, closed: closedSink(number)) }
        let moves = target.hasSuffix("-")
        guard let other = Int(moves ? target.dropLast() : target[...]), other >= 0 else {
            guard orFile else { throw LabFileError("\(target): ambiguous redirect") }
            let both = try sink(target, appends: false, isForced: false, 1, &result)
            result.put(1, both)
            result.put(2, both)
            return
        }
        guard let descriptor = result.descriptor(other) else {
            throw LabFileError("\(target): Bad file descriptor")
        }
        if other != number {
            result.put(number, descriptor)
            if moves { result.put(other, nil, closed: closedSink(other)) }
        }
    }

    private func closedSink(_ number: Int) -> ClosedSink {
        let error = number == 1 ? errorSink : nil
        return ClosedSink { error?.write("write error: Bad file descriptor\n") }
    }

    private func freeNumber(from first: Int, _ result: OpenStreams) throws(LabFileError) -> Int {
        guard let number = (first...Descriptor.numbers.upperBound).first(where: { result.others[$0] == nil }) else {
            throw LabFileError("no descriptor is free")
        }
        return number
    }

    /// `{name}>&-`
    private func closeNamed(_ variable: String, _ result: inout OpenStreams) throws(LabFileError) {
        guard let text = scope.value(of: variable), let number = Int(text), Descriptor.numbers.contains(number) else {
            throw LabFileError("\(variable): Bad file descriptor")
        }
        result.others[number] = nil
        streams.others[number] = nil
        letGo(number)
    }

    /// Makes what one command has opened the shell's own.
    private func keep(_ number: Int, _ result: inout OpenStreams) {
        streams.others[number] = result.others[number]
        result.changed.remove(number)
        letGo(number)
        if let place = result.opened.lastIndex(where: { $0.number == number }) {
            lasting[number] = result.opened.remove(at: place).sink
        } else if let sink = result.others[number]?.sink {
            let another = sink.another()
            streams.others[number]?.sink = another
            lasting[number] = another
        }
    }

    private func source(_ target: String, _ result: OpenStreams) throws(LabFileError) -> Descriptor {
        if target == "/dev/tty" { return Descriptor(readsTerminal: true) }
        if let device = DeviceSource(named: target, session: session) { return Descriptor(source: device) }
        if let number = Descriptor.number(ofFile: target), !session.files.exists(target) {
            guard let descriptor = result.descriptor(number) else {
                throw LabFileError("\(target): No such file or directory")
            }
            return descriptor
        }
        let bytes = try session.files.read(target)
        let isFile = !session.files.isNullDevice(target) && !target.hasPrefix("/dev/fd/")
        return Descriptor(source: StoredSource(session: session, bytes: bytes, isFile: isFile))
    }

    private func sink(
        _ target: String, appends: Bool, isForced: Bool, _ number: Int, _ result: inout OpenStreams
    ) throws(LabFileError) -> Descriptor {
        if let other = Descriptor.number(ofFile: target) {
            guard let descriptor = result.descriptor(other), descriptor.sink != nil else {
                throw LabFileError("\(target): No such file or directory")
            }
            return descriptor
        }
        if target == "/dev/tty" {
            return Descriptor(
                sink: TerminalSink(session: session, terminal: terminal, submission: submission, isError: false))
        }
        if scope.options.keepsFiles, !appends, !isForced, session.files.size(target) != nil,
            !session.files.isNullDevice(target)
        {
            throw LabFileError("\(target): set -C keeps it from being written over; >| does it all the same")
        }
        let terminalError = errorSink
        let sink = try FileSink(session: session, path: target, appends: appends) { terminalError.write($0 + "\n") }
        result.opened.append((number, sink))
        return Descriptor(sink: sink)
    }
}

extension Execution.OpenStreams {
    /// Leads a number somewhere else.
    ///
    /// - Parameter closed: what stands for an output that leads nowhere.
    fileprivate mutating func put(_ number: Int, _ descriptor: Descriptor?, closed: ClosedSink = ClosedSink {}) {
        changed.insert(number)
        switch number {
        case 0:
            let readsTerminal = descriptor?.readsTerminal ?? false
            input = readsTerminal ? nil : descriptor?.source ?? ClosedSource(session: session)
        case 1: output = descriptor?.sink ?? closed
        case 2: error = descriptor?.sink ?? closed
        default: others[number] = descriptor
        }
    }
}

extension Execution {
    // MARK: exec

    /// `exec`: with a command, the shell ends with it; without one, the streams stay as they are redirected.
    ///
    /// - Returns: whether a command is to be run.
    func takeOver(_ arguments: inout [String], _ opened: OpenStreams) -> Bool {
        arguments.removeFirst()
        while let flag = arguments.first, flag.hasPrefix("-"), flag.count > 1 {
            arguments.removeFirst()
            if flag == "--" { break }
            if flag == "-a", !arguments.isEmpty { arguments.removeFirst() }
        }
        if !arguments.isEmpty {
            // What takes its place knows nothing of its traps.
            scope.traps["EXIT"] = nil
            push(.leave)
            return true
        }
        var handles: [Int: any ByteSink] = [:]
        for number in opened.changed {
            streams.take(number, from: opened.streams)
            guard let sink = opened.descriptor(number)?.sink else { continue }
            if opened.opened.contains(where: { $0.number == number && $0.sink === sink }) {
                handles[number] = sink
                continue
            }
            // Led to where another one leads: that may be closed before.
            let another = sink.another()
            handles[number] = another
            switch number {
            case 1: streams.output = another
            case 2: streams.error = another
            default: streams.others[number]?.sink = another
            }
        }
        for (number, sink) in opened.opened where handles[number].map({ $0 !== sink }) ?? true { sink.close() }
        for number in opened.changed {
            letGo(number)
            lasting[number] = handles[number]
        }
        status = 0
        return false
    }

    /// Closes what `exec` has opened under a number, unless a frame brings it back.
    func letGo(_ number: Int) {
        guard let sink = lasting.removeValue(forKey: number) else { return }
        let comesBack = frames.contains { frame in
            if case .restore(_, let changed, _) = frame { changed.contains(number) } else { false }
        }
        if comesBack { putAside.append(sink) } else { sink.close() }
    }

    func closeLasting() {
        for sink in lasting.values { sink.close() }
        for sink in putAside { sink.close() }
        (lasting, putAside) = ([:], [])
    }
}

extension Statement {
    static func wrapping(_ command: CommandSyntax) -> Statement {
        Statement(
            first: Pipeline(commands: [command]), rest: [], isBackground: false, position: Position(line: 1, column: 1),
            text: "")
    }

    static func foreground(_ statement: Statement) -> Statement {
        Statement(
            first: statement.first, rest: statement.rest, isBackground: false, position: statement.position,
            text: statement.text)
    }
}
