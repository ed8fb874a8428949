import CSystem
import Glibc
import KernelStructures
import KernelWorld

/// Signals of the host as events of the loop.
public final class SignalWatch {
    public enum HostSignal: Sendable {
        case interrupt, quit, terminate, hangUp, suspend, child, windowChange, user1, user2

        var number: Int32 {
            switch self {
            case .interrupt: SIGINT
            case .quit: SIGQUIT
            case .terminate: SIGTERM
            case .hangUp: SIGHUP
            case .suspend: SIGTSTP
            case .child: SIGCHLD
            case .windowChange: SIGWINCH
            case .user1: SIGUSR1
            case .user2: SIGUSR2
            }
        }
    }

    private let descriptor: Int32
    private var watch: DescriptorWatch?

    /// From here on these signals no longer act on the process; `action` hears of them instead.
    public init(_ poller: Poller, _ signals: [HostSignal], action: @escaping (HostSignal) -> Void) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal.number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
        descriptor = signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
        watch = DescriptorWatch(poller, descriptor) { [descriptor] _ in
            var information = signalfd_siginfo()
            while read(descriptor, &information, MemoryLayout<signalfd_siginfo>.size) > 0 {
                let number = Int32(information.ssi_signo)
                if let signal = signals.first(where: { $0.number == number }) { action(signal) }
            }
        }
    }

    /// Whether one of these waits to be heard of: whoever works for long within a turn of the loop looks now and then.
    public static func isPending(_ signals: HostSignal...) -> Bool {
        var set = sigset_t()
        guard sigpending(&set) == 0 else { return false }
        return signals.contains { sigismember(&set, $0.number) == 1 }
    }

    public func cancel() {
        watch?.cancel()
        watch = nil
        close(descriptor)
    }
}

/// The terminal that the process belongs to.
public enum HostTerminal {
    /// Whether it has one that has not been hung up.
    public static var isThere: Bool {
        let descriptor = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }
}

/// Limits and settings of the process.
public enum HostLimits {
    /// Allows as many descriptors as the system lets this user have.
    public static func raiseDescriptors() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    public static var isStandardInputTerminal: Bool { isatty(0) == 1 }
    /// The terminal on standard input, opened once more: so it can be read without waiting, and nobody else who has it
    /// notices. Nil if it is none, or may not be opened by this user. Whoever asks for it closes it.
    public static func openTerminal() -> Int32? {
        guard isStandardInputTerminal else { return nil }
        let descriptor = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        return descriptor < 0 ? nil : descriptor
    }
    public static var isStandardOutputTerminal: Bool { isatty(1) == 1 }

    /// Columns of the terminal at standard output; nil if it is none.
    public static var terminalColumns: Int? {
        let columns = sdlab_window_columns(1)
        return columns > 0 ? Int(columns) : nil
    }

    /// Rows by columns of the terminal at standard output; 0 if it is none.
    public static var terminalCells: Int { Int(sdlab_window_cells(1)) }
    /// Cells beyond which nobody edits a line: an editor keeps a picture of them all, and a window may claim 65,535 by
    /// 65,535.
    public static let editableCells = 1 << 20

    public static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

    public static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    public static var isRoot: Bool { geteuid() == 0 }

    /// Whether a program of that name is on the search path.
    public static func hasProgram(_ name: String) -> Bool {
        (environment("PATH") ?? "").split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
    }

    public static var currentDirectory: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    /// Ends the process.
    public static func exit(_ status: Int) -> Never { Glibc.exit(Int32(truncatingIfNeeded: status)) }

    /// Writing to a connection or pipe that is gone is an error to be handled, not the end of the process; and so is
    /// writing to a file that must not grow any more (`ulimit -f`).
    public static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
    }
}

/// Standard output and standard error of the process, written in the order in which text comes.
public final class HostOutput {
    private var isBroken = false

    public init(_ poller: Poller? = nil) {}

    /// True once nobody reads standard output any more, or it cannot take anything.
    public var hasNoReader: Bool { isBroken }
    /// Why what was written to standard output is lost; nil if it is not, or if its reader went away.
    public private(set) var failure: String?

    public func write(_ bytes: [UInt8], isError: Bool) {
        let descriptor: Int32 = isError ? 2 : 1
        if isBroken, !isError { return }
        bytes.withUnsafeBytes { buffer in
            var done = 0
            while done < buffer.count {
                let count = Glibc.write(descriptor, buffer.baseAddress! + done, buffer.count - done)
                if count > 0 {
                    done += count
                } else if errno == EAGAIN {
                    // A terminal or pipe that somebody else made non-blocking: wait for it, there is no other reader.
                    var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&wait, 1, -1)
                } else if errno != EINTR {
                    if !isError {
                        isBroken = true
                        if errno != EPIPE { failure = String(cString: strerror(errno)) }
                    }
                    return
                }
            }
        }
    }

    public func write(_ text: String, isError: Bool = false) { write(Array(text.utf8), isError: isError) }
    public func flush() {}
}

/// A command of the host's shell, run beside the loop with the process's own standard streams.
public enum HostCommand {
    /// Starts `/bin/sh -c line`. Returns its process number, or the reason why it could not be started.
    public static func start(_ line: String) -> Result<Int32, NetworkError> {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What this process keeps for itself must not be blocked in the child.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        sigaddset(&defaults, SIGPIPE)
        sigaddset(&defaults, SIGXFSZ)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var process: pid_t = 0
        let words = ["/bin/sh", "-c", line]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let code = posix_spawn(&process, "/bin/sh", nil, &attributes, &arguments, environ)
        return code == 0 ? .success(process) : .failure(.system("/bin/sh: \(errorText(code))"))
    }

    /// The status of a child that has ended; nil while it runs.
    public static func statusIfEnded(_ process: Int32) -> Int? {
        var status: Int32 = 0
        guard waitpid(process, &status, WNOHANG) == process else { return nil }
        return Int(sdlab_exit_status(status))
    }
}

/// Whole files of the host.
public enum HostFile {
    public static func read(_ path: String, limitBytes: Int = 256 << 20) throws(NetworkError) -> [UInt8] {
        let name = path == "-" ? "standard input" : path
        let descriptor = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("\(name): \(errorText(errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .system("\(name): \(errorText(errno))") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            if bytes.count > limitBytes { throw .system("\(name): larger than \(byteCountText(limitBytes))") }
        }
    }

    /// Replaces the file in one step: whoever reads it sees the old content or the new one.
    public static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o644) throws(NetworkError) {
        let temporary = path + ".sdlab-new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw .system("\(path): \(errorText(errno))") }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            if count < 0, errno == EINTR { continue }
            if count < 0 {
                let code = errno
                close(descriptor)
                unlink(temporary)
                throw .system("\(path): \(errorText(code))")
            }
            done += count
        }
        close(descriptor)
        guard rename(temporary, path) == 0 else { throw .system("\(path): \(errorText(errno))") }
    }

    public static func append(_ bytes: [UInt8], to path: String) throws(NetworkError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("\(path): \(errorText(errno))") }
        defer { close(descriptor) }
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Whether there is something else than a file: a pipe, which would have its reader wait, or a device.
    public static func isSpecial(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && ![S_IFREG, S_IFDIR].contains(information.st_mode & S_IFMT)
    }

    public static func isDirectory(_ path: String) -> Bool {
        var information = stat()
        return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
    }

    /// The names in a directory, sorted; empty if there is none.
    public static func list(_ path: String) -> [String] {
        guard let stream = opendir(path) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
