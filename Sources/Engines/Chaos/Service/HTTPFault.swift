import KernelStructures
import KernelWire
import KernelWorld

/// Which requests a fault answers: after the first `skipped`, at most `limit` of them.
public struct HTTPFaultCounts: Equatable, Sendable {
    public var skipped = 0
    /// nil: all that follow.
    public var limit: Int?
}

/// Whose requests a fault answers: those with a certain field, a share of them, or all.
public struct HTTPFaultCohort: Equatable, Sendable {
    /// A field that must be there, and its value; the value may be empty: any.
    public var field: (name: String, value: String)?
    /// 0…1: of the requests that are left.
    public var share = 1.0

    public init(field: (name: String, value: String)? = nil, share: Double = 1) {
        self.field = field
        self.share = share
    }

    public static func == (a: Self, b: Self) -> Bool {
        a.share == b.share && a.field?.name == b.field?.name && a.field?.value == b.field?.value
    }

    func contains(_ head: HTTPHead, _ node: Node) -> Bool {
        if let field {
            let values = head.values(of: field.name)
            guard values.contains(where: { field.value.isEmpty || $0 == field.value }) else { return false }
        }
        return share >= 1 || node.draw { $0.chance(share) }
    }
}

/// `fail http 503 first 2`: answers requests in place of the node they were meant for.
///
/// It counts over all connections, in the order in which the requests arrive.
public final class HTTPFault: ProtocolFault {
    public let protocolName = "http"
    public let status: Int
    public let counts: HTTPFaultCounts
    public let cohort: HTTPFaultCohort
    public private(set) var seen = 0
    public private(set) var failed = 0
    public var onExhausted: (() -> Void)?

    public init(status: Int, counts: HTTPFaultCounts, cohort: HTTPFaultCohort = HTTPFaultCohort()) {
        self.status = status
        self.cohort = cohort
        self.counts = counts
    }

    public var isExhausted: Bool { counts.limit.map { failed >= $0 } ?? false }

    public func makeInterceptor(for stream: Stream) -> any StreamInterceptor {
        HTTPFaultInterceptor(self, stream.node, startsAtOnce: stream.isAtTurn)
    }

    /// Counts a request and says whether it fails. One that is not of the cohort does not count.
    func takesNext(_ head: HTTPHead, _ node: Node) -> Bool {
        guard cohort.contains(head, node) else { return false }
        seen += 1
        guard seen > counts.skipped, !isExhausted else { return false }
        failed += 1
        return true
    }

    /// Called once the answer to a failed request has been sent.
    func answered() { if isExhausted { onExhausted?() } }
}

/// Reads along on one connection, passes requests on or answers them itself, and keeps the answers in order.
///
/// A fault may be injected in the middle of an exchange, where nobody can tell what a byte means. The interceptor then
/// lets everything pass until the node has answered and the client speaks again.
final class HTTPFaultInterceptor: StreamInterceptor {
    private let httpFault: HTTPFault
    private let node: Node
    private var requests = HTTPReader(.requests)
    private var responses = HTTPReader(.responses)
    private var mode: Mode
    private var decision = Decision.none
    /// Bytes of a head that is not complete.
    private var undecided: [UInt8] = []
    /// What is owed to the client, oldest first.
    private var owed = RingQueue<Answer>()

    private var isOver = false

    private enum Mode { case waitingForAnswer, waitingForRequest, reading, passing }
    private enum Decision { case none, passes, fails }
    private enum Answer {
        case node(HTTPMethod)
        case fault(isForHead: Bool, closes: Bool)
    }

    var fault: any ProtocolFault { httpFault }
    var isIdle: Bool { decision == .none && undecided.isEmpty && owed.isEmpty }

    init(_ fault: HTTPFault, _ node: Node, startsAtOnce: Bool) {
        httpFault = fault
        self.node = node
        mode = startsAtOnce ? .reading : .waitingForAnswer
    }

    func faultEnded() { isOver = true }

    // MARK: From the client

    func inbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream) {
        if mode == .waitingForRequest { mode = .reading }
        guard mode == .reading else { return stream.passInbound(bytes) }
        var position = 0
        while mode == .reading {
            let start = position
            let event = requests.next(bytes, &position)
            let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
            switch event {
            case .needMore:
                if decision == .none { undecided.append(contentsOf: slice) } else { pass(slice, stream) }
                return
            case .head: decide(slice, stream)
            case .body: pass(slice, stream)
            case .end:
                pass(slice, stream)
                if decision == .fails { requestFailed(stream) }
                decision = .none
            case .failed:
                mode = .passing
                passUndecided(stream)
                stream.passInbound(UnsafeRawBufferPointer(rebasing: bytes[start...]))
                return
            }
        }
        if position < bytes.count { stream.passInbound(UnsafeRawBufferPointer(rebasing: bytes[position...])) }
    }

    private func decide(_ slice: UnsafeRawBufferPointer, _ stream: InterceptedStream) {
        if !isOver, httpFault.takesNext(requests.head, node) {
            decision = .fails
            undecided = []
        } else {
            decision = .passes
            owed.append(.node(requests.head.method))
            passUndecided(stream)
            stream.passInbound(slice)
            if requests.head.asksForUpgrade { mode = .passing }
        }
    }

    private func passUndecided(_ stream: InterceptedStream) {
        let held = undecided
        undecided = []
        if !held.isEmpty { held.withUnsafeBytes { stream.passInbound($0) } }
    }

    private func pass(_ slice: UnsafeRawBufferPointer, _ stream: InterceptedStream) {
        if decision == .passes, !slice.isEmpty { stream.passInbound(slice) }
    }

    private func requestFailed(_ stream: InterceptedStream) {
        owed.append(.fault(isForHead: requests.head.method == .head, closes: !requests.head.keepsAlive))
        payFaults(stream)
    }

    /// Sends the fault's answers that are next in order.
    private func payFaults(_ stream: InterceptedStream) {
        while case .fault(let isForHead, let closes)? = owed.first {
            _ = owed.popFirst()
            let body = Array("\(httpFault.status) \(HTTPStatus.reason(httpFault.status)) (injected)\n".utf8)
            var answer: [UInt8] = []
            HTTPWriter.statusLine(httpFault.status, into: &answer)
            HTTPWriter.field("Content-Type", "text/plain", into: &answer)
            HTTPWriter.field("Content-Length", body.count, into: &answer)
            if closes { HTTPWriter.field("Connection", "close", into: &answer) }
            HTTPWriter.endHead(&answer)
            let hasBody = !isForHead && httpFault.status != 204 && httpFault.status != 304
            if hasBody { answer += body }
            answer.withUnsafeBytes { stream.passOutbound($0) }
            httpFault.answered()
        }
    }

    // MARK: From the node

    func outbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream) {
        if mode == .waitingForAnswer { mode = .waitingForRequest }
        guard mode == .reading, case .node(let method)? = owed.first else { return stream.passOutbound(bytes) }
        responses.requestMethod = method
        var position = 0
        var passed = 0
        while mode == .reading {
            switch responses.next(bytes, &position) {
            case .head where responses.head.status == 101, .failed: mode = .passing
            case .head, .body: break
            case .end where responses.head.status < 200: break
            case .end:
                stream.passOutbound(UnsafeRawBufferPointer(rebasing: bytes[passed..<position]))
                passed = position
                _ = owed.popFirst()
                payFaults(stream)
                if case .node(let next)? = owed.first { responses.requestMethod = next }
            case .needMore:
                if passed < bytes.count { stream.passOutbound(UnsafeRawBufferPointer(rebasing: bytes[passed...])) }
                return
            }
        }
        stream.passOutbound(UnsafeRawBufferPointer(rebasing: bytes[passed...]))
    }
}
