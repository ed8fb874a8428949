import CSystem
import Glibc
import KernelClock
import KernelStructures
import KernelWorld

/// A shell of the machine that stays: it carries out one script after the other, and says what came of each.
///
/// It reads its scripts from this process and ends when that is gone, however it went: what the shell holds
/// (namespaces, programs below it) ends with it. So it is also a dead man's handle.
public final class HostShell {
    /// What came of a script: its status, and what it printed, standard error included.
    public struct Answer: Sendable {
        public let status: Int
        public let output: String
    }

    public let process: Int32
    private var input: Int32
    private var output: Int32
    private var buffer: [UInt8] = []
    private var isOpen = true

    private static let outputLimitBytes = 1 << 20
    private static let mark = Array("\n@@sdlab ".utf8)

    private init(process: Int32, input: Int32, output: Int32) {
        self.process = process
        self.input = input
        self.output = output
    }

    deinit { close() }

    /// - Parameter words: a program that becomes, or runs, a POSIX shell which reads its standard input; the first word
    ///   is looked for where Debian keeps programs. Its descriptor 3 is this process's standard error.
    public static func open(_ words: [String]) -> Result<HostShell, NetworkError> {
        guard let path = path(of: words[0]) else { return .failure(.system("there is no program \(words[0]) here")) }
        guard let inputPair = HostSpawn.socketPair() else { return .failure(.system(errorText(errno))) }
        guard let outputPair = HostSpawn.pipePair() else {
            Glibc.close(inputPair.0)
            Glibc.close(inputPair.1)
            return .failure(.system(errorText(errno)))
        }
        let started = HostSpawn.start(
            [path] + words.dropFirst(), [inputPair.1, outputPair.1, outputPair.1, 2], hasEnvironment: true)
        Glibc.close(inputPair.1)
        Glibc.close(outputPair.1)
        switch started {
        case .success(let process):
            return .success(HostShell(process: process, input: inputPair.0, output: outputPair.0))
        case .failure(let error):
            Glibc.close(inputPair.0)
            Glibc.close(outputPair.0)
            return .failure(error)
        }
    }

    static func path(of program: String) -> String? {
        if program.hasPrefix("/") { return access(program, X_OK) == 0 ? program : nil }
        return ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"].map { "\($0)/\(program)" }
            .first { access($0, X_OK) == 0 }
    }

    /// Waits for the script's end; the loop stands still as long.
    ///
    /// - Returns: status 124 if it takes longer than `limit`, 125 if the shell is gone. It is closed then.
    public func run(_ script: String, limit: LabDuration) -> Answer {
        guard isOpen else { return Answer(status: 125, output: "the shell has ended") }
        buffer = []
        let text = "{ \(script)\n} 2>&1 </dev/null\nprintf '\\n@@sdlab %d\\n' \"$?\"\n"
        guard send(Array(text.utf8)) else { return lost(125) }
        let deadline = HostClock.monotonicNanoseconds + limit.nanoseconds
        while true {
            if let answer = answer() { return answer }
            let left = deadline - HostClock.monotonicNanoseconds
            if left <= 0 { return lost(124) }
            var polled = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
            if poll(&polled, 1, Int32(min(left / 1_000_000 + 1, 1000))) < 0, errno != EINTR { return lost(125) }
            if polled[0].revents != 0, !receive() { return lost(125) }
            if buffer.count > Self.outputLimitBytes { return lost(125) }
        }
    }

    private func send(_ bytes: [UInt8]) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(input, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
            }
            if count > 0 { done += count } else if errno != EINTR { return false }
        }
        return true
    }

    private func receive() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16 * 1024)
        let count = Glibc.read(output, &bytes, bytes.count)
        if count > 0 { buffer += bytes[..<count] }
        return count > 0 || count < 0 && errno == EINTR
    }

    /// Once the mark and the status behind it have come.
    private func answer() -> Answer? {
        guard buffer.last == 10, let range = buffer.firstRange(of: Self.mark) else { return nil }
        let number = String(decoding: buffer[range.upperBound..<(buffer.count - 1)], as: UTF8.self)
        return Answer(
            status: Int(number) ?? 125, output: String(decoding: buffer[..<range.lowerBound], as: UTF8.self))
    }

    private func lost(_ status: Int) -> Answer {
        let said = String(decoding: buffer, as: UTF8.self)
        kill(process, SIGKILL)
        close()
        return Answer(status: status, output: said.isEmpty ? status == 124 ? "took too long" : "the shell ended" : said)
    }

    /// Ends it, and waits until it is gone: at once, for it reads the end of its scripts.
    public func close() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(input)
        Glibc.close(output)
        let deadline = HostClock.monotonicNanoseconds + 3_000_000_000
        var status: Int32 = 0
        while waitpid(process, &status, WNOHANG) == 0 {
            if HostClock.monotonicNanoseconds > deadline { kill(process, SIGKILL) }
            usleep(2000)
        }
    }
}
