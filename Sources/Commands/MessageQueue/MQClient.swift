import CommandKit
import CommandServices
import KernelAMQP
import KernelCryptography
import KernelHosting
import KernelJSON
import KernelStructures
import KernelWire
import KernelWorld
import MessageQueueService
import ShellSession

/// What the commands of mq-cli have in common: a connection, queues that are made where they are missing, and how all
/// of it ends.
final class MQClient {
    let process: Process
    let amqp: AMQPClient
    private let url: AMQPURL
    private var isEnding = false
    /// Answers and confirms that are to come, and how many have come.
    private var awaitedCount = 0
    private var answerCount = 0
    private var isWatching = false
    private var hasSaidSilence = false

    /// For questions.
    static let channel: UInt16 = 1
    /// For the question whether a queue is there, which closes its channel where it is not.
    private static let probe: UInt16 = 2
    /// A message that was given back so often goes to the dead letters.
    static let retryLimit = 3
    private static let deadLetterSuffix = ".dlq"
    private static let policySuffix = "-retry"
    private static let patience = LabDuration.seconds(10)
    /// Without an answer for so long, somebody is told why that may be.
    private static let silence = LabDuration.seconds(5)

    /// - Throws: if the flags name no server, or a file that cannot be used.
    init(_ invocation: Invocation) throws {
        process = invocation.process
        let arguments = invocation.arguments
        let place = try AMQPURL.broker(
            arguments.text("server") ?? "amqp://localhost", flag: "server", invocation, isSecret: arguments.has("tls"))
        url = place.url
        amqp = AMQPClient(process.node, url, security: place.security)
    }

    /// Connects; `then` may ask at once.
    func start(_ then: () -> Void) {
        amqp.onEnd = { [self] in fail($0) }
        do throws(NetworkError) { try amqp.connect() } catch { return fail("\(url): \(error)") }
        process.node.after(Self.patience) { [self] in
            if !amqp.isOpen, !amqp.isClosed { fail("\(url): no answer within \(Self.patience)") }
        }
        amqp.openChannel(Self.channel)
        then()
    }

    func ask(_ method: AMQPMethod, _ then: @escaping (AMQPMethod) -> Void) {
        awaits()
        amqp.ask(method, on: Self.channel) { [self] result in
            answered()
            switch result {
            case .success(let answer): if process.isRunning { then(answer) }
            case .failure(let failure): fail(failure)
            }
        }
    }

    /// Makes sure that there is such a queue. One that is there is taken as it is; one that is made keeps what it is
    /// given, and has dead letters.
    ///
    /// - Parameters:
    ///   - type: what sort of queue is made; nil: a classic one.
    ///   - saysMade: tells if one was made: who waits for messages in it may have mistyped its name.
    func ensure(_ queue: String, type: String? = nil, saysMade: Bool = false, _ then: @escaping () -> Void) {
        amqp.openChannel(Self.probe)
        awaits()
        amqp.ask(Self.declaration(queue, isPassive: true, [:]), on: Self.probe) { [self] result in
            answered()
            switch result {
            case .success: if process.isRunning { then() }
            case .failure(.refused(code: AMQPReplyCode.notFound.rawValue, _)):
                make(queue, type) { [self] in
                    if saysMade { sayMade(queue) }
                    then()
                }
            case .failure(let failure): fail(failure)
            }
        }
    }

    private static func hasDeadLetters(_ queue: String) -> Bool {
        !queue.hasSuffix(deadLetterSuffix) && queue.utf8.count <= 250
    }

    private func sayMade(_ queue: String) {
        let dead = Self.hasDeadLetters(queue) ? ", and '\(queue + Self.deadLetterSuffix)' for its dead letters" : ""
        process.complain(printable("there was no queue '\(queue)': created it\(dead)"))
    }

    private func make(_ queue: String, _ type: String?, _ then: @escaping () -> Void) {
        var own = AMQPTable()
        if let type { own["x-queue-type"] = .string(type) }
        // Dead letters are where it ends; and nothing ever leaves a stream.
        if type == "stream" || !Self.hasDeadLetters(queue) {
            return ask(Self.declaration(queue, own)) { _ in then() }
        }
        let deadLetters = queue + Self.deadLetterSuffix
        ask(Self.declaration(deadLetters, own)) { [self] _ in
            setPolicy(queue, deadLetters) { [self] isSet in
                if !isSet {
                    own["x-dead-letter-exchange"] = ""
                    own["x-dead-letter-routing-key"] = .string(deadLetters)
                    own["x-delivery-limit"] = .int32(Int32(Self.retryLimit))
                }
                ask(Self.declaration(queue, own)) { _ in then() }
            }
        }
    }

    /// The retry limit is a policy, which an operator sees and can change, and not a property of the queue. Where no
    /// management is beside the broker, or this user may set none, the queue has to have it as arguments.
    private func setPolicy(_ queue: String, _ deadLetters: String, _ then: @escaping (_ isSet: Bool) -> Void) {
        guard url.port == AMQPURL.defaultPort, !url.isSecure else { return then(false) }
        let path = ["policies", url.virtualHost, queue + Self.policySuffix].map(PercentCoding.encode)
        var request = HTTPCall.Request(
            "PUT",
            url: HTTPURL(
                host: url.host, port: MessageQueueHost.defaultManagementPort,
                target: "/api/" + path.joined(separator: "/")))
        let credentials = Base64.standard.encode(Array("\(url.user):\(url.password)".utf8))
        request.fields = [("Content-Type", "application/json"), ("Authorization", "Basic " + credentials)]
        let definition: JSONValue = [
            "delivery-limit": .integer(Self.retryLimit), "dead-letter-exchange": "",
            "dead-letter-routing-key": .string(deadLetters),
        ]
        let policy: JSONValue = [
            "pattern": .string("^" + Self.quoted(queue) + "$"), "apply-to": "queues", "priority": 0,
            "definition": definition,
        ]
        request.body = policy.bytes()
        request.deadline = Self.patience
        HTTPCall(process.node, request) { [self] result in
            guard process.isRunning else { return }
            if case .success(let response) = result, response.isSuccess { then(true) } else { then(false) }
        }.start()
    }

    /// As a pattern that fits nothing else.
    private static func quoted(_ name: String) -> String {
        name.reduce(into: "") { text, letter in
            if #"\^$.|?*+()[]{}"#.contains(letter) { text.append("\\") }
            text.append(letter)
        }
    }

    private static func declaration(_ queue: String, isPassive: Bool = false, _ arguments: AMQPTable) -> AMQPMethod {
        .queueDeclare(
            queue: queue, passive: isPassive, durable: true, exclusive: false, autoDelete: false, noWait: false,
            arguments: arguments)
    }

    // MARK: Silence

    /// An answer or a confirm is to come, which `answered` reports.
    func awaits() {
        awaitedCount += 1
        if !isWatching { watch() }
    }

    func answered() {
        awaitedCount -= 1
        answerCount += 1
    }

    /// The broker has said itself why it is silent.
    func excuse() { hasSaidSilence = true }

    /// Looks once after a while, and again only as long as there is something to come.
    private func watch() {
        guard !hasSaidSilence else { return }
        isWatching = true
        let count = answerCount
        process.node.after(Self.silence) { [self] in
            isWatching = false
            guard process.isRunning, !isEnding, awaitedCount > 0, amqp.isOpen else { return }
            guard answerCount == count else { return watch() }
            hasSaidSilence = true
            process.complain(
                "no answer for \(Self.silence), and still waiting: a broker of a group answers once a majority of its "
                    + "members agrees; look with mq-cli queues and nodes whether enough of them run")
        }
    }

    // MARK: The end

    func finish(_ status: Int = 0) {
        guard !isEnding else { return }
        isEnding = true
        amqp.close { [self] in if process.isRunning { process.exit(status) } }
    }

    func fail(_ text: String) {
        guard !isEnding, process.isRunning else { return }
        isEnding = true
        process.complain(text)
        amqp.close()
        process.exit(1)
    }

    func fail(_ failure: AMQPClientFailure) {
        switch failure {
        case .notConnected(let reason): fail("\(url): \(reason)")
        default: fail("\(failure)")
        }
    }

    /// What a message is called: by its publisher, or by its number on this connection.
    static func name(_ delivery: AMQPDelivery) -> String {
        delivery.properties.messageID ?? "#\(delivery.deliveryTag)"
    }

    /// Six hexadecimal digits.
    func randomName() -> String { hexadecimal(process.node.draw { $0.next() } & 0xFF_FFFF, 6) }

    /// A body as a terminal may show it.
    static func text(_ body: [UInt8]) -> String {
        guard let text = String(validating: body, as: UTF8.self) else { return "\(body.count) bytes, not UTF-8" }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 32 && $0 != "\t" && $0 != "\n" || $0.value == 127 ? "?" : $0 }))
    }
}
