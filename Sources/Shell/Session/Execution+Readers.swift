import KernelStructures
import ShellLanguage

/// `>(…)`: what reads what a command writes to a file that is none.
///
/// bash lets it go on by itself, and what it writes may come whenever it likes. Here the command is over once what
/// reads it is: the same script writes the same on every run. Only where `exec` keeps it does it go on, up to the end
/// of the shell, or until the descriptor is closed.
extension Execution {
    /// The first number that leads to such a reader; further ones count down.
    private static let firstNumber = 62
    private static let limit = 32

    /// Begins it.
    ///
    /// - Returns: the name of the file; nil where there are too many, which has been said.
    func startReader(_ script: Script, _ scope: VariableScope) -> String? {
        guard readers.count + lateReaders.count < Self.limit,
            let number = (3...Self.firstNumber).last(where: { streams.others[$0] == nil })
        else {
            complain("no more than \(Self.limit) of >(…) at a time", status: 1)
            cancelStatus = 1
            return nil
        }
        guard mayNest() else { return nil }
        let pipe = Pipe(session: session)
        let entrance = PipeEntrance(pipe)
        var given = streams.borrowed(output: streams.output?.another())
        given.error = streams.error?.another()
        given.input = pipe
        let part = Execution(
            script, session: session, submission: submission, streams: given, scope: scope, status: status
        ) { [weak self] part in self?.ended(part) }
        part.nesting = nesting + 1
        part.traceDepth = traceDepth
        part.job = job
        readers[number] = (part, entrance)
        streams.others[number] = Descriptor(sink: entrance)
        push(.endReader(number))
        session.makeRunnable(part)
        return "/dev/fd/\(number)"
    }

    private func ended(_ reader: Execution) {
        lateReaders.removeAll { $0 === reader }
        guard isWaiting, awaitedReaders.contains(where: { $0 === reader }) else { return }
        awaitedReaders.removeAll { $0 === reader }
        if awaitedReaders.isEmpty { resume(status) }
    }

    /// Closes the shell's own way to it; whoever else has one may go on.
    func closeReader(_ number: Int) {
        guard let (part, entrance) = readers.removeValue(forKey: number) else { return }
        streams.others[number] = nil
        entrance.close()
        if !part.isFinished { lateReaders.append(part) }
    }

    /// Its command is over: it is waited for, unless somebody goes on writing to it.
    func endReader(_ number: Int) {
        guard let (part, entrance) = readers[number] else { return }
        closeReader(number)
        if !part.isFinished, !entrance.hasOtherWriters { wait(for: [part]) }
    }

    private func wait(for parts: [Execution]) {
        awaitedReaders = parts
        isWaiting = true
    }

    /// At the end of all: what `exec` has left open is closed, and what reads that has its time.
    func waitsForReaders() -> Bool {
        guard !isLeaving else { return false }
        drop(from: 0)
        guard !lateReaders.isEmpty else { return false }
        isLeaving = true
        cancelStatus = nil
        closeLasting()
        streams.others = [:]
        wait(for: lateReaders)
        return true
    }

    /// What a terminal's descriptors are for its next line; of anybody else's they are closed.
    func leaveDescriptors() {
        guard isMain, !endsSession, terminal.foreground === self else { return closeLasting() }
        for number in lasting.keys where number < 3 { lasting.removeValue(forKey: number)?.close() }
        for sink in putAside { sink.close() }
        terminal.descriptors = streams.others
        terminal.openedDescriptors = lasting
        (lasting, putAside) = ([:], [])
    }
}
