import KernelHosting
import KernelStructures
import KernelWorld
import LoadBalancerEngine

/// The runtime API on a port of the balancer's node, or on a unix socket of the machine.
///
/// A connection gets one line answered and is closed; one that says `prompt` on that line stays, and gets `> ` after
/// each answer. An empty line ends the answer to each command, which is why no answer has an empty line in it.
enum RuntimeServer {
    static func listen(_ host: LoadBalancerHost, at place: LoadBalancerHost.RuntimePlace) throws(NetworkError) {
        let accept: (Stream) -> any StreamHandler = { RuntimeConnection($0, host) }
        switch place {
        case .port(let port): _ = try host.node.listen(on: port, accept: accept)
        case .path(let path): _ = try host.node.listen(atPath: path, accept: accept)
        }
    }
}

private final class RuntimeConnection: StreamHandler {
    private let stream: Stream
    private let host: LoadBalancerHost
    private var line: [UInt8] = []
    private var isInteractive = false
    private var timeout = RuntimeConnection.defaultTimeout
    private var timer: TimerID?

    /// HAProxy's: without a word for so long, the connection is closed.
    private static let defaultTimeout = LabDuration.seconds(10)
    private static let prompt = "\n> "

    init(_ stream: Stream, _ host: LoadBalancerHost) {
        self.stream = stream
        self.host = host
    }

    func streamOpened(_ stream: Stream) { restartTimer() }

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        restartTimer()
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                if line.count > RuntimeLine.limitBytes { return refuse() }
                continue
            }
            let text = String(decoding: line, as: UTF8.self)
            line.removeAll(keepingCapacity: true)
            if !answer(text) { return end() }
        }
        // A client that asks and does not listen must not fill the memory with answers.
        if stream.isCongested { stream.pauseReading() }
    }

    func streamDrained(_ stream: Stream) { stream.resumeReading() }

    /// What has no end of line is a line all the same.
    func streamEnded(_ stream: Stream) {
        if !line.isEmpty { _ = answer(String(decoding: line, as: UTF8.self)) }
        end()
    }

    func stream(_ stream: Stream, closed reason: CloseReason) { host.node.cancel(timer) }

    /// Answers a line; false if the connection is to end.
    private func answer(_ line: String) -> Bool {
        var goesOn = isInteractive
        for words in RuntimeLine.commands(line) {
            let answer = host.runtime(words)
            switch answer.request {
            case .togglePrompt:
                isInteractive.toggle()
                goesOn = isInteractive
            case .quit: return false
            case .setTimeout(let time):
                timeout = time
                restartTimer()
            case .endSession, .endSessions, .clearCounters, nil: break
            }
            stream.write(answer.text)
            stream.write(isInteractive ? Self.prompt : "\n")
        }
        return goesOn
    }

    private func refuse() {
        stream.write("The line is longer than \(RuntimeLine.limitBytes) bytes.\n\n")
        end()
    }

    private func end() {
        host.node.cancel(timer)
        stream.close()
    }

    private func restartTimer() {
        host.node.cancel(timer)
        timer = host.node.after(timeout) { [weak self] in self?.stream.close() }
    }
}
