import CSystem
import Glibc
import KernelLoopback

/// The built program on a terminal of its own, as somebody at its keyboard has it. What it writes also goes to a
/// `TerminalScreen`, so that a test can ask what would be seen.
final class Pty {
    private let master: Int32
    let process: pid_t
    private(set) var received: [UInt8] = []
    private(set) var screen: TerminalScreen
    private var status: Int?
    let home: String
    private let ownsHome: Bool

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Host time after which something that was expected counts as missing.
    static let deadlineNanoseconds: UInt64 = 20_000_000_000

    /// - Parameters:
    ///   - home: a directory that becomes `$HOME`; nil makes a fresh one.
    ///   - environment: added to the few variables that a terminal session has.
    ///   - program: another one than ours.
    init(
        _ arguments: [String] = [], home: String? = nil, environment: [String: String] = [:], columns: Int = 80,
        rows: Int = 24, program: String = Pty.program
    ) throws {
        ownsHome = home == nil
        self.home = try home ?? Self.freshDirectory()
        screen = TerminalScreen(columns: columns, rows: rows)
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var unlocked: Int32 = 0
        var number: Int32 = 0
        guard master >= 0, ioctl(master, Self.unlockRequest, &unlocked) == 0,
            ioctl(master, Self.numberRequest, &number) == 0
        else { throw Failure(description: "no pseudo terminal: \(errno)") }
        process = try Self.start(
            program, arguments, terminal: "/dev/pts/\(number)", home: self.home, environment)
        setSize(columns, rows)
    }

    deinit {
        if status == nil {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        close(master)
        if ownsHome { Self.remove(home) }
    }

    // TIOCSPTLCK and TIOCGPTN: macros that Swift does not import.
    private static let unlockRequest: UInt = 0x4004_5431
    private static let numberRequest: UInt = 0x8004_5430

    /// The program lies beside the tests.
    static var program: String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let path = String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let beside = path.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/sdlab"
        if access(beside, X_OK) == 0 { return beside }
        return #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/.build/release/sdlab"
    }

    static func freshDirectory() throws -> String {
        var template = Array("/tmp/sdlab-prompt-XXXXXX".utf8CString)
        guard let path = mkdtemp(&template) else { throw Failure(description: "mkdtemp: \(errno)") }
        return String(cString: path)
    }

    /// Removes a directory with the files in it.
    static func remove(_ directory: String) {
        for name in HostFile.list(directory) { unlink(directory + "/" + name) }
        rmdir(directory)
    }

    private static func start(
        _ program: String, _ arguments: [String], terminal: String, home: String, _ environment: [String: String]
    ) throws -> pid_t {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A session of its own, whose controlling terminal becomes the first one that it opens.
        posix_spawnattr_setflags(&attributes, 0x80 | Int16(POSIX_SPAWN_SETSIGMASK))
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, terminal, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var variables = ["HOME": home, "TERM": "xterm", "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"]
        variables.merge(environment) { $1 }
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, program, &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw Failure(description: "\(program): \(String(cString: strerror(code)))") }
        return process
    }

    // MARK: The keyboard

    func type(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
            if count <= 0 { return }
            bytes = bytes.dropFirst(count)
            _ = receive(waitMilliseconds: 0)
        }
    }

    /// Types a line and Enter.
    func enter(_ line: String) { type(line + "\r") }

    func setSize(_ columns: Int, _ rows: Int) {
        var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
        screen.resize(columns: columns, rows: rows)
    }

    var isCanonical: Bool {
        var settings = termios()
        tcgetattr(master, &settings)
        return settings.c_lflag & tcflag_t(ICANON) != 0 && settings.c_lflag & tcflag_t(ECHO) != 0
    }

    // MARK: The screen

    var text: String { String(decoding: received, as: UTF8.self) }

    /// Reads what is there, waiting for it at most so long. Returns false at the end.
    private func receive(waitMilliseconds: Int32) -> Bool {
        var wait = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, waitMilliseconds) > 0 else { return true }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = read(master, &buffer, buffer.count)
        guard count > 0 else { return false }
        received += buffer[..<count]
        screen.write(buffer[..<count])
        return true
    }

    /// Waits until the condition holds.
    ///
    /// - Throws: `Failure` with what is on the screen, if it never does.
    func wait(for what: String, until condition: (Pty) -> Bool) throws {
        let start = hostNanoseconds()
        while !condition(self) {
            guard receive(waitMilliseconds: 50), hostNanoseconds() - start < Self.deadlineNanoseconds else {
                if condition(self) { return }
                throw Failure(description: "\(what) never came; on the screen:\n\(screen.text)")
            }
        }
    }

    /// Waits for a whole line on the screen.
    func wait(forLine line: String) throws {
        try wait(for: "the line '\(line)'") { $0.screen.lines.contains(line) }
    }

    /// Waits until the line with the cursor is a prompt with this behind it.
    func waitForPrompt(_ typed: String = "") throws {
        try wait(for: "the prompt\(typed.isEmpty ? "" : " with '\(typed)'")") { pty in
            let line = pty.screen.lastLine
            guard line.hasPrefix("sdlab["), let end = line.range(of: "]>") else { return false }
            return line[end.upperBound...].drop { $0 == " " } == typed
        }
    }

    /// Waits for the end of the program and returns its status.
    func end() throws -> Int {
        let start = hostNanoseconds()
        while status == nil {
            var code: Int32 = 0
            if waitpid(process, &code, WNOHANG) == process {
                status = Int(sdlab_exit_status(code))
                while receive(waitMilliseconds: 0), hasMore {}
            } else if hostNanoseconds() - start > Self.deadlineNanoseconds {
                throw Failure(description: "the program did not end; on the screen:\n\(screen.text)")
            } else if !receive(waitMilliseconds: 20) {
                // The terminal is closed already; the process is about to be.
                var none = pollfd(fd: -1, events: 0, revents: 0)
                poll(&none, 1, 5)
            }
        }
        return status!
    }

    private var hasMore: Bool {
        var wait = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        return poll(&wait, 1, 0) > 0 && wait.revents & Int16(POLLIN) != 0
    }

    private func hostNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

extension StringProtocol {
    /// The first place of some text.
    func range(of other: String) -> Range<Index>? { firstRange(of: other) }
}
