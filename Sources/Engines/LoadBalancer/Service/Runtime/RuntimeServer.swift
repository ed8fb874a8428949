import KernelHosting
import KernelStructures
import KernelWorld
import LoadBalancerEngine

/// The runtime API on a port of the balancer's node, or on a unix socket of the machine.
///
/// A connection gets one line answered and is closed; one that says `prompt` on that line stays, and gets `> ` after
/// each answer. An empty line ends the answer to each command, which is why no answer has an empty line in it.
final class RuntimeServer {
    private(set) var server: StreamServer!

    init(_ host: LoadBalancerHost) {
        server = StreamServer(node: host.node) { [unowned self, unowned host] stream, _, _ in
            RuntimeConnection(stream, host) { [unowned self] in server.ended(stream) }
        }
    }
}

private final class RuntimeConnection: StreamHandler {
    private let stream: Stream
    private unowned let host: LoadBalancerHost
    private var onEnd: (() -> Void)?
    private var line: [UInt8] = []
    private var isInteractive = false
    private var timeout = RuntimeConnection.defaultTimeout
    private var timer: TimerID?

    /// HAProxy's: without a word for so long, the connection is closed.
    private static let defaultTimeout = LabDuration.seconds(10)
    private static let prompt = "\n> "

    init(_ stream: Stream, _ host: LoadBalancerHost, onEnd: @escaping () -> Void) {
        self.stream = stream
        self.host = host
        self.onEnd = onEnd
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

    func stream(_ stream: Stream, closed reason: CloseReason) { ended() }

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
            case .endSession, .endSessions, .clearCounters, .setFrontend, .limitConnections, nil: break
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
        stream.close()
        ended()
    }

    private func ended() {
        stream.node.cancel(timer)
        let callback = onEnd
        onEnd = nil
        callback?()
    }

    private func restartTimer() {
        stream.node.cancel(timer)
        timer = stream.node.after(timeout) { [weak self] in self?.end() }
    }
}
