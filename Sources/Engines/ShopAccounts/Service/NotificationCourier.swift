import KernelHosting
import KernelJSON
import KernelStructures
import KernelWorld
import ShopAccountsEngine
import ShopKitService

/// Carries notifications to the post: those that are due, a few at a time, each under a lease.
final class NotificationCourier {
    private let host: ShopHost
    private let store: NotificationStore
    private let mailbox: HostPort
    private let options: NotificationOptions
    private var isLooking = false
    private var isWanted = false
    private var isOver = false
    private var underWay = 0
    /// Whether any of those under way was this instance's.
    private var hasTaken = false
    private var timer: TimerID?
    private(set) var sentCount = 0
    private(set) var postponedCount = 0
    private(set) var deadCount = 0

    private static let atATime = 8
    private static let leaseTime = LabDuration.seconds(60)
    /// Where the database does not say when the next one is due.
    private static let longestPause = LabDuration.seconds(600)

    init(_ host: ShopHost, _ store: NotificationStore, _ mailbox: HostPort, _ options: NotificationOptions) {
        self.host = host
        self.store = store
        self.mailbox = mailbox
        self.options = options
    }

    private var node: Node { host.node }

    func stop() {
        isOver = true
        node.cancel(timer)
        timer = nil
    }

    /// There may be something to send.
    func wake() {
        guard !isOver else { return }
        guard !isLooking, underWay == 0 else {
            isWanted = true
            return
        }
        isWanted = false
        isLooking = true
        node.cancel(timer)
        timer = nil
        store.due(at: host.now, limit: Self.atATime) { [weak self] result in
            guard let self else { return }
            isLooking = false
            guard case .success(let due) = result else { return again(after: .seconds(1)) }
            guard !due.isEmpty else { return waitForNext() }
            underWay = due.count
            hasTaken = false
            for one in due { take(one) }
        }
    }

    private func again(after pause: LabDuration) {
        guard !isOver else { return }
        node.cancel(timer)
        timer = node.after(pause) { [weak self] in self?.wake() }
    }

    private func waitForNext() {
        if isWanted { return wake() }
        store.nextDue { [weak self] time in
            guard let self else { return }
            // Nothing may be due before the clock's next millisecond.
            let pause = time.map { max(.milliseconds(1), $0 - host.now) } ?? Self.longestPause
            again(after: min(pause, Self.longestPause))
        }
    }

    private func take(_ due: NotificationStore.Due) {
        store.lease(due, until: host.now + Self.leaseTime) { [weak self] isMine in
            guard let self else { return }
            guard isMine, !isOver else { return oneIsDone() }
            hasTaken = true
            switch due.notification.channel {
            case .email: send(due, to: due.recipient)
            case .sms: sendText(due)
            }
        }
    }

    private func oneIsDone() {
        underWay -= 1
        guard underWay == 0 else { return }
        // Where not one could be taken, the database only reads, or others are faster: not at once again.
        if hasTaken { wake() } else { again(after: .seconds(1)) }
    }

    // MARK: One message

    private func sendText(_ due: NotificationStore.Due) {
        let id = due.userID.utf8.filter { (48...57).contains($0) || (97...122).contains($0) }
        let question = PeerClient.Question("GET", "/contacts/\(String(decoding: id, as: UTF8.self))")
        host.peer("users").ask(question) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let failure): settle(due, .postponed("users: \(failure.text)"))
            case .success(let answer) where answer.status == 404: settle(due, .nobody("nobody knows \(due.userID)"))
            case .success(let answer):
                guard answer.isSuccess, case .string(let phone)? = answer.json["phone"] else {
                    return settle(due, .postponed("users answered \(answer.status)"))
                }
                let digits = phone.drop { $0 == "+" }
                if digits.isEmpty { return settle(due, .nobody("\(due.userID) has no telephone")) }
                send(due, to: "\(digits)@\(options.smsDomain)")
            }
        }
    }

    private func send(_ due: NotificationStore.Due, to recipient: String) {
        guard let address = EmailAddress(parsing: recipient), let sender = EmailAddress(parsing: options.sender) else {
            return settle(due, .refused("'\(recipient.prefix(80))' is no address"))
        }
        let what = due.notification.channel == .sms ? "text message" : Self.kind(due.notification.template) + " email"
        host.runtime.log("Sending \("\(what)") to \("\(address)")")
        let message = MailMessage(
            from: sender.description, to: address.description, subject: due.subject, at: host.now,
            messageID: due.notification.messageID, body: due.body)
        let session = SMTPClientSession(
            name: node.name, sender: sender, recipient: address, message: message.bytes)
        SMTPDelivery(node, session) { [weak self] outcome in
            switch outcome {
            case .delivered(let text): self?.settle(due, .sent(text))
            case .postponed(let text): self?.settle(due, .postponed(text))
            case .refused(let text): self?.settle(due, .refused(text))
            }
        }.start(to: mailbox)
    }

    /// `Sending confirmation email to user@example.com`
    private static func kind(_ template: String) -> String {
        switch template {
        case "order.created": "confirmation"
        case "order.failed": "cancellation"
        default: template
        }
    }

    private func settle(_ due: NotificationStore.Due, _ outcome: Notification.Outcome) {
        var notification = due.notification
        let pause = notification.take(outcome)
        switch (notification.state, outcome) {
        case (.sent, _): sentCount += 1
        case (.pending, .postponed(let why)):
            postponedCount += 1
            host.runtime.log(
                "Not sent, again in \(pause ?? .zero): \("\(why)")", level: .warning)
        case (.dead, .postponed(let why)), (.dead, .refused(let why)):
            deadCount += 1
            host.runtime.log("Given up on \(id: notification.eventID): \("\(why)")", level: .error)
        default: break
        }
        let next = pause.map { host.now + $0 }
        store.settle(notification, outcome, next: next, at: host.now) { [weak self] _ in
            // If that was not stored, the lease ends, and it is sent again under the same Message-ID.
            self?.oneIsDone()
        }
    }
}
