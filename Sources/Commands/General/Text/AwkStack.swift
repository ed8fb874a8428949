import KernelCoroutines
import ShellSession

/// The stack of a program that waits for commands in the midst of a rule: it is left there, and gone on with when the
/// command has ended. Commands take lab time, and others have theirs meanwhile.
final class AwkStack {
    private var coroutine: Coroutine<Void>?
    private var slice: Slice?
    private var isInUse = false

    /// Does something that may have to wait; nothing else may be under way.
    func begin(_ body: @escaping () -> Void) throws(CoroutineError) {
        coroutine = try Coroutine { [self] slice in
            self.slice = slice
            body()
        }
        goOn()
    }

    private func goOn() {
        guard let current = coroutine, !isInUse else { return }
        isInUse = true
        let isThrough = current.resume() != nil || current.isOver
        isInUse = false
        if isThrough, coroutine === current { (coroutine, slice) = (nil, nil) }
    }

    /// The process is over. What still waits comes to its end at once, and does nothing any more.
    func stop() {
        guard !isInUse, let current = coroutine else { return }
        isInUse = true
        current.stop()
        isInUse = false
        (coroutine, slice) = (nil, nil)
    }

    /// Runs a command, and comes back when it has ended.
    ///
    /// - Throws: `AwkFailure` where it cannot be run, or writes more than may be kept; `AwkStopped` where the process
    ///   was over before.
    func run(
        _ command: String, in process: Process, input: Process.CommandInput, captures: Bool
    ) throws -> (status: Int, output: [UInt8]) {
        var result: (status: Int, output: [UInt8]?)?
        let run = process.runCommand(["sh", "-c", command], input: input, captures: captures) { [weak self] in
            result = ($0, $1)
            self?.goOn()
        }
        guard run != nil else { throw AwkFailure("'\(command)' cannot be run") }
        while result == nil { guard let slice, slice.offer() else { throw AwkStopped() } }
        guard let result, let bytes = result.output else {
            throw AwkFailure("'\(command)' writes more than may be kept of it")
        }
        return (result.status, bytes)
    }
}
