import CSystem
import Glibc
import Synchronization
import Testing

/// Where the package and its program are.
enum ProgramPlace {
    /// The package's directory: three levels above this file.
    static let root = {
        let parts = #filePath.split(separator: "/").dropLast(3)
        return "/" + parts.joined(separator: "/")
    }()
    static let program = root + "/.build/release/sdlab"
}

/// Time on the host's clock, in seconds, for deadlines.
enum ProgramClock {
    static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// How long anything may take that takes milliseconds on an idle machine.
    static let patience = 30.0

    /// Milliseconds until `deadline`, for `poll`; 0 once it has passed.
    static func milliseconds(until deadline: Double) -> Int32 {
        Int32(max(0, ((deadline - seconds) * 1000).rounded(.up)))
    }

    /// Looks again and again until the condition holds; false if it did not within the time. A short `poll` on nothing
    /// lies between two looks, for conditions that no descriptor tells of.
    static func wait(_ patience: Double = patience, until condition: () throws -> Bool) rethrows -> Bool {
        let deadline = seconds + patience
        while true {
            if try condition() { return true }
            if seconds > deadline { return false }
            poll(nil, 0, 5)
        }
    }
}

/// The tests that fill the machine with connections or bytes take turns, so that each measures only itself.
@Suite(.serialized) enum ProgramHeavyTests {}

/// Whether the full sizes are wanted: `scripts/test --long`.
enum ProgramSize {
    static let isLong = getenv("SDLAB_LONG") != nil
    static func full(_ full: Int, else reduced: Int) -> Int { isLong ? full : reduced }
}

/// What went wrong in the test's own surroundings.
struct ProgramTrouble: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
    static func system(_ call: String) -> ProgramTrouble {
        ProgramTrouble("\(call): \(String(cString: strerror(errno)))")
    }
}

/// One run of the built program: standard streams on pipes, everything with a deadline. Whatever still runs when the
/// test lets go of it is killed.
final class ProgramProcess {
    let pid: pid_t
    private(set) var output = ""
    private(set) var errors = ""
    private var outputBytes: [UInt8] = []
    private var errorBytes: [UInt8] = []
    private var input: Int32
    private var streams: [Int32]
    private var exit: Int32?

    /// Starts it.
    ///
    /// - Parameters:
    ///   - input: all of its standard input; nil for one that stays open and empty.
    ///   - directory: where it runs; nil for the package's.
    init(
        _ arguments: [String], input: String? = "", directory: String? = nil, program: String = ProgramPlace.program,
        environment: [String] = []
    ) throws {
        guard access(program, X_OK) == 0 else { throw ProgramTrouble("\(program) is not built: run scripts/test") }
        let (inputRead, inputWrite) = try Self.makePipe()
        let (outputRead, outputWrite) = try Self.makePipe()
        let (errorRead, errorWrite) = try Self.makePipe()
        self.input = inputWrite
        streams = [outputRead, errorRead]
        pid = try Self.spawn(
            [program] + arguments, streams: [inputRead, outputWrite, errorWrite],
            directory: directory ?? ProgramPlace.root,
            environment: environment)
        for descriptor in [inputRead, outputWrite, errorWrite] { close(descriptor) }
        if let input {
            try write(input)
            closeInput()
        }
    }

    deinit {
        if exit == nil {
            Glibc.kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        for descriptor in streams + [input] where descriptor >= 0 { close(descriptor) }
    }

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw ProgramTrouble.system("pipe2") }
        return (ends[0], ends[1])
    }

    private static func spawn(_ words: [String], streams: [Int32], directory: String, environment: [String]) throws
        -> pid_t
    {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in streams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
        }
        addDirectoryChange(&actions, directory)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A new program inherits what is ignored and blocked here; it shall start as from a shell.
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let inherited = ["PATH", "HOME", "LANG"].compactMap { (name: String) -> String? in
            getenv(name).map { "\(name)=\(String(cString: $0))" }
        }
        var process: pid_t = 0
        var argumentPointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var environmentPointers: [UnsafeMutablePointer<CChar>?] = (inherited + environment).map { strdup($0) } + [nil]
        defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
        let code = posix_spawn(&process, words[0], &actions, &attributes, &argumentPointers, &environmentPointers)
        guard code == 0 else { throw ProgramTrouble("\(words[0]): \(String(cString: strerror(code)))") }
        return process
    }

    // MARK: Streams

    /// Writes to its standard input.
    func write(_ text: String) throws {
        signal(SIGPIPE, SIG_IGN)
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(input, $0.baseAddress, min($0.count, 64 * 1024)) }
            if count < 0, errno == EINTR { continue }
            // It may have ended without reading everything: its own affair.
            if count < 0 { return }
            bytes = bytes.dropFirst(count)
        }
    }

    func closeInput() {
        close(input)
        input = -1
    }

    /// Nobody reads its standard output any more, as after `| head -1` has seen enough.
    func closeOutput() {
        close(streams[0])
        streams[0] = -1
    }

    /// Takes in what it has said, waiting for more at most until `deadline`. False once both streams have ended.
    private func listen(until deadline: Double) -> Bool {
        var waits = streams.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        if streams.allSatisfy({ $0 < 0 }) { return false }
        poll(&waits, nfds_t(waits.count), ProgramClock.milliseconds(until: deadline))
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        for (index, wait) in waits.enumerated() where wait.revents != 0 {
            let count = read(wait.fd, &buffer, buffer.count)
            if count > 0 {
                if index == 0 { outputBytes += buffer[..<count] } else { errorBytes += buffer[..<count] }
            } else {
                close(wait.fd)
                streams[index] = -1
            }
        }
        output = String(decoding: outputBytes, as: UTF8.self)
        errors = String(decoding: errorBytes, as: UTF8.self)
        return true
    }

    /// Waits until its output or its errors contain the text.
    func waitFor(_ text: String, within patience: Double = ProgramClock.patience) throws {
        let deadline = ProgramClock.seconds + patience
        while !output.contains(text), !errors.contains(text) {
            guard listen(until: deadline), ProgramClock.seconds < deadline else {
                throw ProgramTrouble("never said \"\(text)\", but:\n\(output)\(errors)")
            }
        }
    }

    /// Takes in whatever it says next.
    func waitForMore(until deadline: Double) throws {
        guard listen(until: deadline) else { throw ProgramTrouble("says no more:\n\(output)\(errors)") }
    }

    // MARK: The end

    func send(_ number: Int32) { if exit == nil { Glibc.kill(pid, number) } }

    var isRunning: Bool {
        if exit == nil { reap(WNOHANG) }
        return exit == nil
    }

    private func reap(_ options: Int32) {
        var status: Int32 = 0
        if waitpid(pid, &status, options) == pid { exit = sdlab_exit_status(status) }
    }

    /// Waits for its end and returns its status; 128 plus the number of the signal that ended it.
    func waitForExit(within patience: Double = ProgramClock.patience) throws -> Int {
        let deadline = ProgramClock.seconds + patience
        while listen(until: deadline), ProgramClock.seconds < deadline {}
        guard ProgramClock.wait(max(0, deadline - ProgramClock.seconds), until: { !isRunning }) else {
            throw ProgramTrouble("still runs after \(patience) s; it said:\n\(output)\(errors)")
        }
        return Int(exit!)
    }

    // MARK: /proc

    /// Descriptors that it has open.
    var descriptorCount: Int {
        guard let directory = opendir("/proc/\(pid)/fd") else { return -1 }
        defer { closedir(directory) }
        var count = -2  // "." and ".."
        while readdir(directory) != nil { count += 1 }
        return count
    }

    /// A size that `/proc/PID/status` gives: `VmHWM`, `VmRSS`.
    func memoryBytes(_ name: String) throws -> Int {
        let text = try ProgramFile.read("/proc/\(pid)/status")
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
            let kibibytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({
                Int($0)
            })
        else { throw ProgramTrouble("/proc/\(pid)/status has no \(name)") }
        return kibibytes * 1024
    }
}

// Not in the Glibc module.
@_silgen_name("pipe2") private func pipe2(_ ends: UnsafeMutablePointer<Int32>, _ flags: Int32) -> Int32
@_silgen_name("posix_spawn_file_actions_addchdir_np") @discardableResult
private func addDirectoryChange(
    _ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, _ path: UnsafePointer<CChar>
) -> Int32

extension ProgramProcess {
    /// Runs it to its end.
    static func run(_ arguments: String..., input: String = "", directory: String? = nil, environment: [String] = [])
        throws
        -> (status: Int, output: String, errors: String)
    {
        let process = try ProgramProcess(arguments, input: input, directory: directory, environment: environment)
        let status = try process.waitForExit()
        return (status, process.output, process.errors)
    }

    /// Starts a service and waits until it accepts connections.
    static func service(_ arguments: String..., port: UInt16, directory: String? = nil) throws -> ProgramProcess {
        let process = try ProgramProcess(arguments + ["--port", "\(port)"], directory: directory)
        try process.waitUntilListening(on: port)
        return process
    }
}

/// A directory of its own for a test, gone with it.
final class ProgramDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/sdlab-test-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw ProgramTrouble.system("mkdtemp") }
        path = String(cString: made)
    }

    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        if let directory = opendir(path) {
            while let entry = readdir(directory) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                // A name that is not a file's is a directory's, which a program under test has made.
                if unlink("\(path)/\(name)") != 0 { remove("\(path)/\(name)") }
            }
            closedir(directory)
        }
        rmdir(path)
    }

    /// Writes a file and returns its path.
    @discardableResult
    func place(_ name: String, _ text: String) throws -> String {
        try ProgramFile.write(text, to: "\(path)/\(name)")
        return "\(path)/\(name)"
    }
}

enum ProgramFile {
    static func read(_ path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ProgramTrouble.system(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count <= 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += buffer[..<count]
        }
    }

    static func write(_ text: String, to path: String) throws {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ProgramTrouble.system(path) }
        defer { close(descriptor) }
        var text = text
        let count = text.withUTF8 { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard count == text.utf8.count else { throw ProgramTrouble.system(path) }
    }
}
