import KernelStructures
import KernelWorld

/// A processor that is busy with something else, or a memory that is full: what happens to a node, not to a link.
///
/// `cpu 80%` works as a quota of cgroups does: of each period of 100 ms others take 80, in which nothing of the node
/// runs; its sockets stay open and fill up. `memory 30s` is a machine whose kernel looks for free pages: the node gets
/// a tenth of its time, and after the 30 s the out-of-memory killer ends it, as `kill -9` does.
///
/// It is a rule of the fault table like every other: it ends with its time, with `heal` and with `calm`, and looks each
/// period whether it is still there. A node that somebody has frozen otherwise it leaves alone.
final class NodeTrouble: ProtocolFault {
    enum Kind: Equatable {
        /// 0…1: what others take of the processor.
        case cpu(Double)
        case memory(killAfter: LabDuration)
    }

    let protocolName: String
    let kind: Kind
    var isExhausted: Bool { false }
    var onExhausted: (() -> Void)?
    /// Those that it holds frozen now.
    private var held: [Node] = []

    /// When memory runs out where nobody says when.
    static let presetLimit = LabDuration.seconds(30)
    static let period = LabDuration.milliseconds(100)
    /// What the kernel takes that looks for free pages.
    private static let reclaimShare = 0.9

    init(_ kind: Kind) {
        self.kind = kind
        switch kind {
        case .cpu: protocolName = "cpu"
        case .memory: protocolName = "memory"
        }
    }

    private var share: Double {
        switch kind {
        case .cpu(let share): share
        case .memory: Self.reclaimShare
        }
    }

    /// Bytes pass: it is the node that is slow.
    func makeInterceptor(for stream: Stream) -> any StreamInterceptor { NodeTroubleInterceptor(self) }

    /// Begins, once the rule is in the table.
    func start(_ world: World, at link: LinkSelector, number: Int) {
        turn(world, link, number, since: world.now)
    }

    private func isInForce(_ world: World, _ number: Int) -> Bool {
        world.faults.rules.contains { $0.number == number }
    }

    private func turn(_ world: World, _ link: LinkSelector, _ number: Int, since start: LabTime) {
        guard isInForce(world, number) else { return }
        let nodes = world.nodes.allServices.filter { $0.isAlive && link.to.matches($0) }
        if case .memory(let limit) = kind, world.now - start >= limit {
            for node in nodes { node.end(.killed) }
            world.faults.remove(number, .exhausted)
            return
        }
        held = nodes.filter { !$0.isFrozen }
        for node in held { node.freeze() }
        let busy = LabDuration.seconds(Self.period.seconds * share)
        world.after(busy) { [self] in
            letGo()
            world.after(Self.period - busy) { [self] in turn(world, link, number, since: start) }
        }
    }

    private func letGo() {
        let nodes = held
        held = []
        for node in nodes where node.isFrozen { node.thaw() }
    }
}

/// Passes everything.
private final class NodeTroubleInterceptor: StreamInterceptor {
    let fault: any ProtocolFault
    let isIdle = true

    init(_ fault: any ProtocolFault) { self.fault = fault }
    func faultEnded() {}
    func inbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream) { stream.passInbound(bytes) }
    func outbound(_ bytes: UnsafeRawBufferPointer, _ stream: InterceptedStream) { stream.passOutbound(bytes) }
}

extension FaultTable {
    /// Puts what was asked for into force; `nil` if there are too many.
    public func inject(_ request: FaultRequest, in world: World) -> Int? {
        guard let number = inject(request.kind, on: request.link, for: request.duration, text: request.text) else {
            return nil
        }
        if case .protocolFailure(let fault) = request.kind, let trouble = fault as? NodeTrouble {
            trouble.start(world, at: request.link, number: number)
        }
        return number
    }
}
