import KernelCoroutines
import KernelStructures

/// How work that takes long shares the loop with everybody else.
extension Node {
    /// Runs `action` in a later turn of the loop, when others have had theirs: input that waits is taken first. Of all
    /// who give way, one goes on in each turn, in the order in which they came.
    ///
    /// - Parameter cost: the lab time that the last piece of work took, where the clock is not the host's: the others'
    ///   turn is as long as that, and the same on every run.
    public func afterTurn(cost: LabDuration, _ action: @escaping () -> Void) {
        if world.followsHost {
            world.only(LoopTurns.self) { LoopTurns() }.add(action, of: self)
        } else if cost <= .zero {
            enqueue(action)
        } else {
            after(cost, action)
        }
    }

    /// Runs synchronous code in slices between the loop's other work, as a coroutine: it may read and change whatever
    /// code on the loop may. It calls `Slice.offer` after each piece of work that took about `sliceCost`.
    ///
    /// When this life is over the next `offer` returns false, and the code is run to its end at once; `completion`
    /// never hears of it.
    ///
    /// - Parameter sliceCost: lab time of a slice where the clock is not the host's.
    /// - Returns: the coroutine, which `stop` ends early; `completion` does not hear of it then either.
    /// - Throws: `CoroutineError` if there is no thread to be had; nothing is called then.
    @discardableResult
    public func runInSlices<Output>(
        sliceCost: LabDuration, _ body: @escaping (Slice) -> Output, completion: @escaping (Output) -> Void
    ) throws(CoroutineError) -> Coroutine<Output> {
        let coroutine = try Coroutine(body)
        let run = SlicedRun(coroutine, node: self, cost: sliceCost, completion: completion)
        run.number = life.register { coroutine.stop() }
        enqueue { run.step() }
        return coroutine
    }
}

/// A coroutine of `Node.runInSlices`.
private final class SlicedRun<Output> {
    private let coroutine: Coroutine<Output>
    private let node: Node
    private let life: NodeLife
    private let cost: LabDuration
    private let completion: (Output) -> Void
    var number: UInt64 = 0

    init(_ coroutine: Coroutine<Output>, node: Node, cost: LabDuration, completion: @escaping (Output) -> Void) {
        self.coroutine = coroutine
        self.node = node
        life = node.life
        self.cost = cost
        self.completion = completion
    }

    func step() {
        if let output = coroutine.resume() {
            life.unregisterRun(number)
            completion(output)
        } else if coroutine.isOver {
            life.unregisterRun(number)
        } else {
            node.afterTurn(cost: cost) { [self] in step() }
        }
    }
}

/// Those who give way in a world whose clock is the host's: one of them in each turn, so that a hundred of them do not
/// make a turn a hundred times as long.
private final class LoopTurns {
    private var waiting = RingQueue<(life: NodeLife?, cause: UInt64, action: () -> Void)>()
    private var isDue = false

    func add(_ action: @escaping () -> Void, of node: Node) {
        waiting.append((node.life, node.world.journal.currentCause, action))
        schedule(node.world)
    }

    private func schedule(_ world: World) {
        guard !isDue else { return }
        isDue = true
        // Due in the next turn and not in this one, which ends with a look at what came in.
        _ = world.after(LabDuration(nanoseconds: 1)) { [unowned world] in
            self.isDue = false
            guard let next = self.waiting.popFirst() else { return }
            if !self.waiting.isEmpty { self.schedule(world) }
            world.perform(life: next.life, cause: next.cause, next.action)
        }
    }
}
