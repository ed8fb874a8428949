import CSystem
import Glibc
import KernelClock
import KernelWorld

/// Runs a program of the machine as a bounded child: its limits are the kernel's, its environment is empty, it cannot
/// write a file, and it inherits nothing but its three streams.
public enum HostFilterProcess {
    /// Where Debian and others keep programs. `PATH` is the user's, and may lead to anything of that name.
    private static let directories = ["/usr/bin", "/usr/local/bin", "/bin"]

    /// Waits until the program has ended or was stopped. It may be called on any thread.
    public static func run(_ call: HostFilterCall) -> HostFilterOutcome {
        let paths = directories.map { "\($0)/\(call.program)" }
        guard let path = paths.first(where: { access($0, X_OK) == 0 }) else { return .missing }
        var exchange = HostFilterExchange(call)
        switch exchange.start(path) {
        case .failure(let error): return .failed("\(error)")
        case .success(let process):
            let excess = exchange.run(process)
            if excess != nil { kill(process, SIGKILL) }
            exchange.close()
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0, errno == EINTR {}
            return excess.map { .stopped($0) } ?? exchange.outcome(status)
        }
    }
}

/// The three streams of one child.
private struct HostFilterExchange {
    private let call: HostFilterCall
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var errors: Int32 = -1
    private var sentCount = 0
    private var outputBytes: [UInt8] = []
    private var errorBytes: [UInt8] = []
    /// The most address space that it was seen to have.
    private var peakBytes = 0

    /// Milliseconds between two looks at that.
    private static let lookMilliseconds: Int64 = 50

    init(_ call: HostFilterCall) { self.call = call }

    // MARK: Starting

    /// Starts a shell that sets the limits and becomes the program.
    mutating func start(_ path: String) -> Result<pid_t, NetworkError> {
        // A socket pair for the input: writing to a pipe that nobody reads any more would raise a signal.
        guard let inputPair = HostSpawn.socketPair()
        else { return .failure(.system(errorText(errno))) }
        input = inputPair.0
        let outputPair = HostSpawn.pipePair()
        let errorPair = HostSpawn.pipePair()
        output = outputPair?.0 ?? -1
        errors = errorPair?.0 ?? -1
        defer { for end in [inputPair.1, outputPair?.1, errorPair?.1] { if let end { Glibc.close(end) } } }
        guard let outputPair, let errorPair else {
            close()
            return .failure(.system(errorText(errno)))
        }
        let limits = call.limits
        let script =
            "cd /; unset PWD OLDPWD; ulimit -c 0; ulimit -f 0; ulimit -n 16; ulimit -v \(limits.memoryBytes >> 10); "
            + "ulimit -t \(limits.processorSeconds); exec \"$0\" \"$@\""
        let started = HostSpawn.start(
            ["/bin/sh", "-c", script, path] + call.arguments, [inputPair.1, outputPair.1, errorPair.1])
        if case .failure = started { close() }
        return started
    }

    // MARK: Running

    /// Writes the input and reads the output until the child has closed it.
    mutating func run(_ process: pid_t) -> HostFilterExcess? {
        for stream in [input, output, errors] { _ = fcntl(stream, F_SETFL, O_NONBLOCK) }
        let deadline = HostClock.monotonicNanoseconds + Int64(call.limits.wallSeconds) * 1_000_000_000
        if call.input.isEmpty { Self.close(&input) }
        while output >= 0 || errors >= 0 {
            // poll(2) passes over descriptors below zero.
            var polled = [
                pollfd(fd: input, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
            ]
            let left = deadline - HostClock.monotonicNanoseconds
            if left <= 0 { return .wallTime }
            let pause = Int32(min(left / 1_000_000 + 1, Self.lookMilliseconds))
            if poll(&polled, 3, pause) < 0, errno != EINTR { return .wallTime }
            peakBytes = max(peakBytes, Self.addressSpace(of: process))
            if polled[0].revents != 0 { send() }
            if polled[1].revents != 0 { Self.read(&output, into: &outputBytes) }
            if polled[2].revents != 0 { Self.read(&errors, into: &errorBytes) }
            if outputBytes.count + errorBytes.count > call.limits.outputBytes { return .output }
        }
        return nil
    }

    /// Bytes, by `/proc`; 0 where that cannot be read. (What `wait4` reports counts the parent's memory as well.)
    private static func addressSpace(of process: pid_t) -> Int {
        guard let bytes = try? HostFile.read("/proc/\(process)/statm", limitBytes: 4096) else { return 0 }
        return (Int(String(decoding: bytes.prefix { $0 != 32 }, as: UTF8.self)) ?? 0) * Int(getpagesize())
    }

    private mutating func send() {
        let count = call.input.withUnsafeBytes { bytes in
            Glibc.send(input, bytes.baseAddress! + sentCount, bytes.count - sentCount, Int32(MSG_NOSIGNAL))
        }
        if count > 0 { sentCount += count }
        let isOver = count < 0 && errno != EAGAIN && errno != EINTR
        if isOver || sentCount == call.input.count { Self.close(&input) }
    }

    private static func read(_ stream: inout Int32, into bytes: inout [UInt8]) {
        let count = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 16) { buffer in
            let count = Glibc.read(stream, buffer.baseAddress, buffer.count)
            if count > 0 { bytes += buffer[..<count] }
            return count
        }
        if count == 0 || count < 0 && errno != EAGAIN && errno != EINTR { close(&stream) }
    }

    // MARK: Ending

    mutating func close() {
        Self.close(&input)
        Self.close(&output)
        Self.close(&errors)
    }

    private static func close(_ stream: inout Int32) {
        if stream >= 0 { Glibc.close(stream) }
        stream = -1
    }

    /// - Parameter status: as `waitpid` gave it. Who could have sent a signal: the kernel for processor time, and the
    ///   program itself where it has no more memory (abort, or a null pointer used) or has a fault.
    func outcome(_ status: Int32) -> HostFilterOutcome {
        switch status & 0x7F {
        case 0: .ended(status: Int(status >> 8 & 0xFF), output: outputBytes, errors: errorBytes)
        case SIGKILL, SIGXCPU: .stopped(.processorTime)
        case SIGXFSZ: .failed("it tried to write a file")
        case _ where lacksMemory: .stopped(.memory)
        case let signal: .crashed(signal: Int(signal), errors: errorBytes)
        }
    }

    /// It says so, or had at least half of what it may have: the next thing that it asked for may have been the rest.
    private var lacksMemory: Bool {
        if peakBytes >= call.limits.memoryBytes / 2 { return true }
        return ["allocate memory", "out of memory", "Cannot allocate"].contains {
            errorBytes.firstRange(of: Array($0.utf8)) != nil
        }
    }
}
