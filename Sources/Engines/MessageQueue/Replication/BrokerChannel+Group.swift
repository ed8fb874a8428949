import KernelAMQP
import KernelStructures

// Methods that have to wait for the group. While one waits nothing more is read from its connection, so what a client
// sends takes effect in the order in which it was sent.
extension BrokerChannel {
    /// How long a client waits for a majority.
    private static let patience = LabDuration.seconds(10)

    /// Puts a method off until the group has agreed on what it needs.
    func putOff(_ agreement: BrokerGroup.GroupAgreement, _ method: AMQPMethod) {
        guard let group = broker.group else { return }
        let number = connection.hold()
        group.ask(agreement) { [weak self, weak group] result in
            if self?.resume(method, hold: number, result) != true { group?.abandon(agreement, result) }
        }
        broker.schedule(HoldTimer(self, method.id, hold: number), at: now + Self.patience)
    }

    /// - Returns: false if it has nobody to answer any more.
    private func resume(_ method: AMQPMethod, hold number: UInt64, _ result: Int) -> Bool {
        guard !isEnding, let group = broker.group, connection.channels[self.number] === self,
            connection.endHold(number), !isClosing
        else { return false }
        do throws(AMQPFailure) {
            try group.repeating(result) { () throws(AMQPFailure) in try receive(method) }
        } catch {
            if let next = group.takeAwaited() {
                putOff(next, method)
                return true
            }
            var failure = error
            if failure.method == nil { failure.method = method.id }
            connection.fail(failure, on: self.number)
        }
        return true
    }

    fileprivate func giveUp(_ method: AMQPMethodID, hold number: UInt64) {
        guard connection.endHold(number) else { return }
        var failure = BrokerGroup.noMajority
        failure.method = method
        connection.fail(failure, on: self.number)
    }
}

/// Rings when a client has waited long enough for a majority.
private final class HoldTimer: BrokerTimed {
    private weak var channel: BrokerChannel?
    private let method: AMQPMethodID
    private let hold: UInt64
    var deadline = LabTime.distantFuture

    init(_ channel: BrokerChannel, _ method: AMQPMethodID, hold: UInt64) {
        self.channel = channel
        self.method = method
        self.hold = hold
    }

    func ring() { channel?.giveUp(method, hold: hold) }
}
