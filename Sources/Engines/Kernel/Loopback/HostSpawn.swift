import CSystem
import Glibc
import KernelWorld

/// Starts programs of the machine as children that inherit nothing but the streams that they are given.
enum HostSpawn {
    private static let closesOnExec = Int32(SOCK_CLOEXEC.rawValue)

    /// Two ends of a connection; writing to one that nobody reads any more is an error here, and raises no signal.
    static func socketPair() -> (Int32, Int32)? {
        pair { socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | closesOnExec, 0, $0) }
    }

    /// The end to read from, and the end to write to.
    static func pipePair() -> (Int32, Int32)? { pair { pipe2($0, O_CLOEXEC) } }

    private static func pair(_ make: (UnsafeMutablePointer<Int32>) -> Int32) -> (Int32, Int32)? {
        var ends: [Int32] = [-1, -1]
        return make(&ends) == 0 ? (ends[0], ends[1]) : nil
    }

    /// - Parameters:
    ///   - words: the first is a path.
    ///   - streams: what become its descriptors 0, 1, 2 …
    ///   - hasEnvironment: whether it has this process's variables; otherwise it has none.
    static func start(_ words: [String], _ streams: [Int32], hasEnvironment: Bool = false) -> Result<
        pid_t, NetworkError
    > {
        guard !words.contains(where: { $0.utf8.contains(0) }) else {
            return .failure(.system("an argument contains a zero byte"))
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What this process keeps for itself must not be blocked or ignored in the child.
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        sigaddset(&signals, SIGXFSZ)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        // A group of its own: an interrupt at the terminal is the lab's, which stops the child itself.
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, stream) in streams.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, stream, Int32(number))
        }
        // The lab's own are closed by the kernel; this is for those of libraries that it runs with.
        posix_spawn_file_actions_addclosefrom_np(&actions, Int32(streams.count))
        var process: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var none: [UnsafeMutablePointer<CChar>?] = [nil]
        let code =
            hasEnvironment
            ? posix_spawn(&process, words[0], &actions, &attributes, &arguments, environ)
            : posix_spawn(&process, words[0], &actions, &attributes, &arguments, &none)
        return code == 0 ? .success(process) : .failure(.system("\(words[0]): \(errorText(code))"))
    }
}
