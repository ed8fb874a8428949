import KernelStructures
import KernelWorld
import ShopAccountsEngine

/// Carries one letter to a server of mail, and says how it went: once, and within a time.
final class SMTPDelivery: StreamHandler {
    private let node: Node
    private var session: SMTPClientSession
    private var stream: Stream?
    private var completion: ((SMTPClientSession.Outcome) -> Void)?
    private var timer: TimerID?

    static let timeout = LabDuration.seconds(10)

    init(_ node: Node, _ session: SMTPClientSession, _ completion: @escaping (SMTPClientSession.Outcome) -> Void) {
        self.node = node
        self.session = session
        self.completion = completion
    }

    /// The stream holds this until it is over.
    func start(to place: HostPort) {
        timer = node.after(Self.timeout) { [self] in
            timer = nil
            finish(.postponed("no answer within \(Self.timeout)"))
            stream?.abort()
        }
        do throws(NetworkError) {
            stream = try node.connect(to: place, handler: self)
        } catch {
            node.cancel(timer)
            timer = nil
            node.enqueue { [self] in finish(.postponed("\(error)")) }
        }
    }

    private func finish(_ outcome: SMTPClientSession.Outcome) {
        let callback = completion
        completion = nil
        callback?(outcome)
    }

    private func perform(_ effects: [SMTPClientSession.Effect]) {
        for effect in effects {
            switch effect {
            case .send(let bytes): stream?.write(bytes)
            case .done(let outcome): finish(outcome)
            case .close:
                node.cancel(timer)
                timer = nil
                stream?.close()
            }
        }
    }

    private func ended(_ reason: String) {
        node.cancel(timer)
        timer = nil
        if let outcome = session.connectionEnded(reason) { finish(outcome) }
    }

    // MARK: StreamHandler

    func streamOpened(_ stream: Stream) {}

    func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        perform(session.receive(Array(bytes)))
    }

    func streamEnded(_ stream: Stream) {
        ended("the server has hung up")
        stream.close()
    }

    func stream(_ stream: Stream, closed reason: CloseReason) { ended("\(reason)") }

    func streamLost(_ stream: Stream) {
        completion = nil
        self.stream = nil
    }
}
