/// A method's numbers on the wire: its class, and which one of that class.
public struct AMQPMethodID: Hashable, Sendable {
    public let classID: UInt16
    public let methodID: UInt16

    public init(_ classID: UInt16, _ methodID: UInt16) {
        self.classID = classID
        self.methodID = methodID
    }

    /// `queue.declare`, or the numbers of one that there is not.
    public var name: String { Self.names[self] ?? "\(classID).\(methodID)" }

    /// All there are, by the specification's names.
    public static let names: [AMQPMethodID: String] = [
        AMQPMethodID(10, 10): "connection.start",
        AMQPMethodID(10, 11): "connection.start-ok",
        AMQPMethodID(10, 20): "connection.secure",
        AMQPMethodID(10, 21): "connection.secure-ok",
        AMQPMethodID(10, 30): "connection.tune",
        AMQPMethodID(10, 31): "connection.tune-ok",
        AMQPMethodID(10, 40): "connection.open",
        AMQPMethodID(10, 41): "connection.open-ok",
        AMQPMethodID(10, 50): "connection.close",
        AMQPMethodID(10, 51): "connection.close-ok",
        AMQPMethodID(10, 60): "connection.blocked",
        AMQPMethodID(10, 61): "connection.unblocked",
        AMQPMethodID(10, 70): "connection.update-secret",
        AMQPMethodID(10, 71): "connection.update-secret-ok",
        AMQPMethodID(20, 10): "channel.open",
        AMQPMethodID(20, 11): "channel.open-ok",
        AMQPMethodID(20, 20): "channel.flow",
        AMQPMethodID(20, 21): "channel.flow-ok",
        AMQPMethodID(20, 40): "channel.close",
        AMQPMethodID(20, 41): "channel.close-ok",
        AMQPMethodID(30, 10): "access.request",
        AMQPMethodID(30, 11): "access.request-ok",
        AMQPMethodID(40, 10): "exchange.declare",
        AMQPMethodID(40, 11): "exchange.declare-ok",
        AMQPMethodID(40, 20): "exchange.delete",
        AMQPMethodID(40, 21): "exchange.delete-ok",
        AMQPMethodID(40, 30): "exchange.bind",
        AMQPMethodID(40, 31): "exchange.bind-ok",
        AMQPMethodID(40, 40): "exchange.unbind",
        AMQPMethodID(40, 51): "exchange.unbind-ok",
        AMQPMethodID(50, 10): "queue.declare",
        AMQPMethodID(50, 11): "queue.declare-ok",
        AMQPMethodID(50, 20): "queue.bind",
        AMQPMethodID(50, 21): "queue.bind-ok",
        AMQPMethodID(50, 30): "queue.purge",
        AMQPMethodID(50, 31): "queue.purge-ok",
        AMQPMethodID(50, 40): "queue.delete",
        AMQPMethodID(50, 41): "queue.delete-ok",
        AMQPMethodID(50, 50): "queue.unbind",
        AMQPMethodID(50, 51): "queue.unbind-ok",
        AMQPMethodID(60, 10): "basic.qos",
        AMQPMethodID(60, 11): "basic.qos-ok",
        AMQPMethodID(60, 20): "basic.consume",
        AMQPMethodID(60, 21): "basic.consume-ok",
        AMQPMethodID(60, 30): "basic.cancel",
        AMQPMethodID(60, 31): "basic.cancel-ok",
        AMQPMethodID(60, 40): "basic.publish",
        AMQPMethodID(60, 50): "basic.return",
        AMQPMethodID(60, 60): "basic.deliver",
        AMQPMethodID(60, 70): "basic.get",
        AMQPMethodID(60, 71): "basic.get-ok",
        AMQPMethodID(60, 72): "basic.get-empty",
        AMQPMethodID(60, 80): "basic.ack",
        AMQPMethodID(60, 90): "basic.reject",
        AMQPMethodID(60, 100): "basic.recover-async",
        AMQPMethodID(60, 110): "basic.recover",
        AMQPMethodID(60, 111): "basic.recover-ok",
        AMQPMethodID(60, 120): "basic.nack",
        AMQPMethodID(90, 10): "tx.select",
        AMQPMethodID(90, 11): "tx.select-ok",
        AMQPMethodID(90, 20): "tx.commit",
        AMQPMethodID(90, 21): "tx.commit-ok",
        AMQPMethodID(90, 30): "tx.rollback",
        AMQPMethodID(90, 31): "tx.rollback-ok",
        AMQPMethodID(85, 10): "confirm.select",
        AMQPMethodID(85, 11): "confirm.select-ok",
    ]
}

extension AMQPMethod {
    public var id: AMQPMethodID {
        switch self {
        case .connectionStart: AMQPMethodID(10, 10)
        case .connectionStartOk: AMQPMethodID(10, 11)
        case .connectionSecure: AMQPMethodID(10, 20)
        case .connectionSecureOk: AMQPMethodID(10, 21)
        case .connectionTune: AMQPMethodID(10, 30)
        case .connectionTuneOk: AMQPMethodID(10, 31)
        case .connectionOpen: AMQPMethodID(10, 40)
        case .connectionOpenOk: AMQPMethodID(10, 41)
        case .connectionClose: AMQPMethodID(10, 50)
        case .connectionCloseOk: AMQPMethodID(10, 51)
        case .connectionBlocked: AMQPMethodID(10, 60)
        case .connectionUnblocked: AMQPMethodID(10, 61)
        case .connectionUpdateSecret: AMQPMethodID(10, 70)
        case .connectionUpdateSecretOk: AMQPMethodID(10, 71)
        case .channelOpen: AMQPMethodID(20, 10)
        case .channelOpenOk: AMQPMethodID(20, 11)
        case .channelFlow: AMQPMethodID(20, 20)
        case .channelFlowOk: AMQPMethodID(20, 21)
        case .channelClose: AMQPMethodID(20, 40)
        case .channelCloseOk: AMQPMethodID(20, 41)
        case .accessRequest: AMQPMethodID(30, 10)
        case .accessRequestOk: AMQPMethodID(30, 11)
        case .exchangeDeclare: AMQPMethodID(40, 10)
        case .exchangeDeclareOk: AMQPMethodID(40, 11)
        case .exchangeDelete: AMQPMethodID(40, 20)
        case .exchangeDeleteOk: AMQPMethodID(40, 21)
        case .exchangeBind: AMQPMethodID(40, 30)
        case .exchangeBindOk: AMQPMethodID(40, 31)
        case .exchangeUnbind: AMQPMethodID(40, 40)
        case .exchangeUnbindOk: AMQPMethodID(40, 51)
        case .queueDeclare: AMQPMethodID(50, 10)
        case .queueDeclareOk: AMQPMethodID(50, 11)
        case .queueBind: AMQPMethodID(50, 20)
        case .queueBindOk: AMQPMethodID(50, 21)
        case .queuePurge: AMQPMethodID(50, 30)
        case .queuePurgeOk: AMQPMethodID(50, 31)
        case .queueDelete: AMQPMethodID(50, 40)
        case .queueDeleteOk: AMQPMethodID(50, 41)
        case .queueUnbind: AMQPMethodID(50, 50)
        case .queueUnbindOk: AMQPMethodID(50, 51)
        case .basicQos: AMQPMethodID(60, 10)
        case .basicQosOk: AMQPMethodID(60, 11)
        case .basicConsume: AMQPMethodID(60, 20)
        case .basicConsumeOk: AMQPMethodID(60, 21)
        case .basicCancel: AMQPMethodID(60, 30)
        case .basicCancelOk: AMQPMethodID(60, 31)
        case .basicPublish: AMQPMethodID(60, 40)
        case .basicReturn: AMQPMethodID(60, 50)
        case .basicDeliver: AMQPMethodID(60, 60)
        case .basicGet: AMQPMethodID(60, 70)
        case .basicGetOk: AMQPMethodID(60, 71)
        case .basicGetEmpty: AMQPMethodID(60, 72)
        case .basicAck: AMQPMethodID(60, 80)
        case .basicReject: AMQPMethodID(60, 90)
        case .basicRecoverAsync: AMQPMethodID(60, 100)
        case .basicRecover: AMQPMethodID(60, 110)
        case .basicRecoverOk: AMQPMethodID(60, 111)
        case .basicNack: AMQPMethodID(60, 120)
        case .txSelect: AMQPMethodID(90, 10)
        case .txSelectOk: AMQPMethodID(90, 11)
        case .txCommit: AMQPMethodID(90, 20)
        case .txCommitOk: AMQPMethodID(90, 21)
        case .txRollback: AMQPMethodID(90, 30)
        case .txRollbackOk: AMQPMethodID(90, 31)
        case .confirmSelect: AMQPMethodID(85, 10)
        case .confirmSelectOk: AMQPMethodID(85, 11)
        }
    }

    /// `queue.declare`
    public var name: String { id.name }
}
