import KernelStructures
import KernelWorld

/// What is under way inside the kernel between two ends of the lab's own.
///
/// Under virtual time the clock may only step when nothing can happen by itself any more. A timer heap knows that of
/// timers; of bytes in a socket buffer it does not. So every connection between two lab nodes keeps count, for each
/// direction, of what was given to the kernel and what came out of it. A direction counts as busy while something is
/// missing that its receiver is willing to read; closing an end retires whatever was still owed.
package final class FlightLedger {
    /// One direction of one connection.
    package final class Flow {
        fileprivate var sent = 0
        fileprivate var received = 0
        fileprivate var endSent = false
        fileprivate var endReceived = false
        fileprivate var isReading = true
        fileprivate var isRetired = false
        /// The ledger's era in which this flow was counted as busy; 0 while it is not.
        fileprivate var countedIn = 0
        /// The journal events that the bytes under way are.
        fileprivate var causes = CauseTrail()
        /// What led to the end that was sent, or to the reset.
        package fileprivate(set) var endCause: UInt64 = 0
        /// Of the bytes that came out last: they made room for what the sender does next.
        package fileprivate(set) var receivedCause: UInt64 = 0

        fileprivate var isBusy: Bool {
            !isRetired && isReading && (sent > received || (endSent && !endReceived))
        }
    }

    /// One connection, from the first SYN.
    package final class Pair {
        /// The node that made it.
        package let client: Node
        package let target: Endpoint
        /// Both ends show addresses of IPv6, whatever the socket has.
        package let isIPv6: Bool
        package let toServer = Flow()
        package let toClient = Flow()
        /// What led to the connection.
        package let cause: UInt64
        fileprivate var isConnecting = true
        fileprivate let era: Int

        fileprivate init(client: Node, target: Endpoint, isIPv6: Bool, cause: UInt64, era: Int) {
            self.isIPv6 = isIPv6
            self.cause = cause
            self.era = era
            self.client = client
            self.target = target
        }
    }

    package init() {}

    private var busyFlows = 0
    private var connecting = 0
    /// Counts how often everything was taken as lost: what was counted before must not be counted off after.
    private var era = 1
    /// Connections that were made and not accepted yet, by the client's address.
    private var unaccepted: [Endpoint: Pair] = [:]

    package var isBusy: Bool { busyFlows > 0 || connecting > 0 }

    package func connectStarted(
        client: Node, local: Endpoint, target: Endpoint, isIPv6: Bool = false, isAccepting: Bool, cause: UInt64 = 0
    ) -> Pair {
        let pair = Pair(client: client, target: target, isIPv6: isIPv6, cause: cause, era: era)
        pair.toServer.isReading = isAccepting
        unaccepted[local] = pair
        connecting += 1
        return pair
    }

    package func connectSettled(_ pair: Pair) {
        guard pair.isConnecting else { return }
        pair.isConnecting = false
        if pair.era == era { connecting -= 1 }
    }

    /// The pair of a connection that a listener accepted; nil if it comes from outside the lab.
    package func accepted(from remote: Endpoint) -> Pair? {
        guard let pair = unaccepted.removeValue(forKey: remote) else { return nil }
        setReading(true, pair.toServer)
        return pair
    }

    package func abandoned(local: Endpoint, _ pair: Pair) {
        if unaccepted[local] === pair { unaccepted[local] = nil }
        connectSettled(pair)
        retire(pair.toServer)
        retire(pair.toClient)
    }

    /// The backlog of a listener began or ceased to be served.
    package func setAccepting(_ isAccepting: Bool, at target: Endpoint) {
        for pair in unaccepted.values where pair.target == target { setReading(isAccepting, pair.toServer) }
    }

    package func sent(_ count: Int, _ flow: Flow, cause: UInt64) {
        flow.sent += count
        flow.causes.append(count, cause: cause)
        update(flow)
    }

    /// Bytes have come out. Before they are handed on: what their reader does is because of them.
    ///
    /// - Returns: the journal event that they are.
    package func taken(_ count: Int, _ flow: Flow) -> UInt64 {
        if let cause = flow.causes.consume(count) { flow.receivedCause = cause }
        return flow.receivedCause
    }

    /// They have been handed on.
    package func received(_ count: Int, _ flow: Flow) {
        flow.received += count
        update(flow)
    }

    package func endSent(_ flow: Flow, cause: UInt64 = 0) {
        if !flow.endSent { flow.endCause = cause }
        flow.endSent = true
        update(flow)
    }

    package func endReceived(_ flow: Flow) {
        flow.endReceived = true
        flow.received = flow.sent
        update(flow)
    }

    package func setReading(_ isReading: Bool, _ flow: Flow) {
        flow.isReading = isReading
        update(flow)
    }

    /// - Parameter cause: what led to the reset that the other side hears, if it hears one.
    package func retire(_ flow: Flow, cause: UInt64 = 0) {
        if cause != 0 { flow.endCause = cause }
        flow.isRetired = true
        update(flow)
    }

    /// Takes all that is missing as lost.
    package func forget() {
        connecting = 0
        busyFlows = 0
        era += 1
    }

    private func update(_ flow: Flow) {
        let isBusy = flow.isBusy
        if isBusy == (flow.countedIn == era) { return }
        flow.countedIn = isBusy ? era : 0
        busyFlows += isBusy ? 1 : -1
    }
}
