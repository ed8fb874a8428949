import KernelAMQP
import KernelStructures

// How a connection is opened: header, start, tune, open; and what else is said on channel 0.
extension BrokerConnection {
    func handle(_ method: AMQPMethod) throws(AMQPFailure) {
        switch (phase, method) {
        case (_, .connectionCloseOk): end()
        // Both have said it, or the client says it again: each gets its answer.
        case (.closing, .connectionClose): send(.connectionCloseOk)
        case (_, .connectionClose):
            endChannels()
            addBarrier()
            send(.connectionCloseOk)
            waitForEnd()
        case (.closing, _): break
        case (.start, .connectionStartOk(let properties, let mechanism, let response, _)):
            clientProperties = properties
            self.mechanism = mechanism
            try authenticate(mechanism, response)
        case (.tune, .connectionTuneOk(let channelMax, let frameMax, let heartbeat)):
            try tune(channelMax, frameMax, heartbeat)
        case (.open, .connectionOpen(let name)): try enter(name)
        case (.running, .connectionUpdateSecret): send(.connectionUpdateSecretOk)
        default:
            throw AMQPFailure(
                .channelError, "unexpected method in connection state \(phase.rawValue)", method: method.id,
                isFatal: true)
        }
    }

    private func authenticate(_ mechanism: String, _ response: [UInt8]) throws(AMQPFailure) {
        let credentials: (user: String, password: String)?
        switch mechanism {
        case "PLAIN": credentials = Self.plain(response)
        case "AMQPLAIN": credentials = Self.amqplain(response)
        default:
            throw AMQPFailure(
                .accessRefused, "unknown authentication mechanism '\(mechanism)'",
                method: AMQPMethodID(10, 11), isFatal: true)
        }
        guard let credentials,
            let user = broker.access.authenticate(user: credentials.user, password: credentials.password)
        else { return refuseLogin() }
        self.user = user
        phase = .tune
        send(
            .connectionTune(
                channelMax: broker.settings.channelMax, frameMax: broker.settings.frameMax,
                heartbeat: broker.settings.heartbeatSeconds))
    }

    /// Who cannot be told in the newer way sees the connection close.
    private func refuseLogin() {
        broker.log("Login of \(id: peer) was refused using authentication mechanism \(mechanism)")
        if wants("authentication_failure_close") {
            let failure = AMQPFailure(
                .accessRefused,
                "Login was refused using authentication mechanism \(mechanism). For details see the broker logfile.")
            send(
                .connectionClose(
                    replyCode: failure.code.rawValue, replyText: failure.text, classID: 0, methodID: 0))
            waitForEnd()
        } else {
            end()
        }
    }

    /// RFC 4616: an identity to act as, a zero, the user, a zero, the password. Nobody acts as somebody else here.
    private static func plain(_ response: [UInt8]) -> (user: String, password: String)? {
        let parts = response.split(separator: 0, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].isEmpty, let user = String(validating: parts[1], as: UTF8.self),
            let password = String(validating: parts[2], as: UTF8.self)
        else { return nil }
        return (user, password)
    }

    /// A table without its length.
    private static func amqplain(_ response: [UInt8]) -> (user: String, password: String)? {
        var writer = AMQPWriter()
        writer.append(longString: response)
        guard let table = try? AMQPTable(encoded: writer.bytes), let user = table["LOGIN"]?.text,
            let password = table["PASSWORD"]?.text
        else { return nil }
        return (user, password)
    }

    private func tune(_ channelMax: UInt16, _ frameMax: UInt32, _ heartbeat: UInt16) throws(AMQPFailure) {
        func refuse(_ text: String) -> AMQPFailure {
            AMQPFailure(.notAllowed, text, method: AMQPMethodID(10, 31))
        }
        let (ownChannels, ownFrame) = (broker.settings.channelMax, broker.settings.frameMax)
        if ownChannels > 0, channelMax == 0 {
            throw refuse(
                "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (\(ownChannels))")
        }
        if ownChannels > 0, channelMax > ownChannels {
            throw refuse(
                "negotiated channel_max = \(channelMax) is higher than the maximum allowed value (\(ownChannels))")
        }
        if frameMax > 0, frameMax < AMQPFrame.minimumSize {
            throw refuse(
                "negotiated frame_max = \(frameMax) is lower than the minimum allowed value (\(AMQPFrame.minimumSize))")
        }
        if ownFrame > 0, frameMax == 0 || frameMax > ownFrame {
            let text = frameMax == 0 ? "0 (no limit)" : "\(frameMax)"
            throw refuse("negotiated frame_max = \(text) is higher than the maximum allowed value (\(ownFrame))")
        }
        self.channelMax = channelMax == 0 ? .max : channelMax
        use(frameMax: frameMax)
        heartbeatSeconds = heartbeat
        phase = .open
    }

    private func enter(_ name: String) throws(AMQPFailure) {
        guard let host = broker.virtualHosts[name] else {
            throw AMQPFailure(.notAllowed, "vhost \(name) not found", method: AMQPMethodID(10, 40))
        }
        guard broker.access.mayEnter(user, virtualHost: name) else {
            throw AMQPFailure(
                .notAllowed, "access to vhost '\(name)' refused for user '\(user)'", method: AMQPMethodID(10, 40))
        }
        virtualHost = host
        phase = .running
        send(.connectionOpenOk)
        deadline = .distantFuture
        beat()
    }
}
