import CacheLayerEngine
import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWire
import KernelWorld

/// Runs a cache layer on a node: carries out the steps of its flights and writes with the node's timers, its connection
/// to the shared cache, and what its owner knows about the source.
public final class LayerHost {
    public typealias Object = any CacheObject

    /// What the layer stands in front of.
    public struct Source {
        /// Looks a key up, and calls back once.
        public var load: (_ key: String, @escaping (Loaded) -> Void) -> Void
        /// Writes a value, or removes the key for nil, and calls back once: `stored`, `refused` or `unknown`.
        public var store: (_ key: String, Object?, @escaping (WriteReport) -> Void) -> Void
        /// Writes several, and calls back once: with the keys that will never be taken, or why none were.
        public var storeAll:
            (_ items: [WriteBehindQueue.Item], @escaping (Result<[String], SourceFailure>) -> Void) -> Void

        public init(
            load: @escaping (String, @escaping (Loaded) -> Void) -> Void,
            store: @escaping (String, Object?, @escaping (WriteReport) -> Void) -> Void,
            storeAll: @escaping ([WriteBehindQueue.Item], @escaping (Result<[String], SourceFailure>) -> Void) -> Void
        ) {
            self.load = load
            self.store = store
            self.storeAll = storeAll
        }
    }

    public struct SourceFailure: Error {
        public let text: String
        public init(_ text: String) { self.text = text }
    }

    public let node: Node
    public private(set) var layer: CacheLayer
    private let source: Source
    private let remote: RESPRemote?
    private let log: WriteBehindLog?
    public var onEvent: ((CacheEvent) -> Void)?
    /// Writes could not be made durable, or not brought to the source.
    public var onTrouble: ((LogMessage) -> Void)?
    public let loadTimes = Histogram()

    private var readers: [Ticket: (Result<CacheAnswer, CacheFailure>) -> Void] = [:]
    private var writers: [WriteID: (Result<Void, CacheFailure>) -> Void] = [:]
    private var timer: TimerID?
    private var timerAt = LabTime.distantFuture
    private var whenEmpty: (() -> Void)?

    public init(node: Node, layer: CacheLayer, source: Source, remote: RESPRemote?, log: WriteBehindLog?) {
        self.node = node
        self.layer = layer
        self.source = source
        self.remote = remote
        self.log = log
        node.whenEnded { [weak self] in self?.letGo() }
    }

    private var now: LabTime { node.world.now }

    // MARK: Reading

    /// Looks a key up; `completion` is called once, perhaps before this returns. nil: nothing is known, and nothing is
    /// loaded by itself.
    public func read(
        _ key: String, by reader: String, _ completion: @escaping (Result<CacheAnswer?, CacheFailure>) -> Void
    ) {
        switch layer.read(key, by: reader, now: now) {
        case .hit(let found, let refresh):
            settle()
            completion(.success(found))
            if let refresh { fly(refresh) }
        case .lead(let id):
            if let ticket = layer.attend(id) { readers[ticket] = { completion($0.map { $0 }) } }
            fly(id)
        case .wait(let ticket):
            readers[ticket] = { completion($0.map { $0 }) }
            settle()
        case .miss:
            settle()
            completion(.success(nil))
        case .refused(let failure): completion(.failure(failure))
        }
    }

    private func fly(_ id: FlightID) { carryOut(layer.begin(id, now: now), id) }

    private func carryOut(_ step: FlightStep, _ id: FlightID) {
        settle()
        switch step {
        case .done: break
        case .ask(let request): ask(request) { [weak self] in self?.report(id, .reply($0)) }
        case .pause(let duration): node.after(duration) { [weak self] in self?.report(id, .paused) }
        case .load:
            guard let key = layer.key(of: id) else { return }
            let began = now
            let span = node.world.spans.current(on: node)
            source.load(key) { [weak self] loaded in
                guard let self else { return }
                loadTimes.observe(now - began, within: span)
                report(id, .loaded(loaded))
            }
        }
    }

    private func report(_ id: FlightID, _ report: FlightReport) {
        carryOut(layer.proceed(id, report, now: now), id)
    }

    private func ask(_ request: RemoteRequest, _ completion: @escaping (RemoteReply) -> Void) {
        guard let remote else { return completion(.failed("there is no shared cache")) }
        remote.ask(request, completion)
    }

    // MARK: Writing

    /// Writes a value by the layer's strategy, or removes the key for nil.
    public func write(
        _ key: String, _ value: Object?, by writer: String,
        _ completion: @escaping (Result<Void, CacheFailure>) -> Void
    ) {
        switch layer.write(key, value, by: writer, now: now) {
        case .begin(let id):
            writers[id] = completion
            beginWrite(id)
        case .wait(let id): writers[id] = completion
        case .refused(let failure): completion(.failure(failure))
        }
    }

    private func beginWrite(_ id: WriteID) { carryOut(layer.beginWrite(id, now: now), id) }

    private func carryOut(_ step: WriteStep, _ id: WriteID) {
        settle()
        switch step {
        case .done(let outcome): writers.removeValue(forKey: id)?(outcome)
        case .ask(let request): ask(request) { [weak self] in self?.report(id, .reply($0)) }
        case .store(let key, let value): source.store(key, value) { [weak self] in self?.report(id, $0) }
        case .append(let record):
            guard let log else { return report(id, .notAppended("there is no journal")) }
            log.append(record) { [weak self] failure in
                self?.report(id, failure.map { .notAppended($0) } ?? .appended)
            }
        }
    }

    private func report(_ id: WriteID, _ report: WriteReport) {
        carryOut(layer.proceedWrite(id, report, now: now), id)
    }

    // MARK: Invalidating

    /// Forgets a key, here and in the shared cache; `done` hears whether that has it removed.
    public func invalidate(_ key: String, _ done: @escaping (Bool) -> Void = { _ in }) {
        layer.invalidate(key, now: now)
        settle()
        guard let request = layer.remoteInvalidation(of: key) else { return done(true) }
        ask(request) { [weak self] reply in
            guard let self else { return }
            layer.invalidated(key, reply, now: now)
            settle()
            done(reply == .done)
        }
    }

    public func invalidate(tag: String, _ done: @escaping (Bool) -> Void = { _ in }) {
        layer.invalidateTag(tag, now: now)
        settle()
        guard let request = layer.remoteInvalidation(ofTag: tag) else { return done(true) }
        ask(request) { [weak self] reply in
            guard let self else { return }
            layer.invalidateTag(tag, now: now)
            settle()
            done(reply == .done)
        }
    }

    public func invalidateAll() {
        layer.invalidateAll(now: now)
        settle()
    }

    /// Whether other processes' changes are heard of: `NoticeListener` says so.
    public func hears(_ hears: Bool) {
        layer.hears(hears, now: now)
        settle()
    }

    /// - Parameter isInOrder: it came on the connection on which the shared cache answers.
    public func heard(_ notice: RESPDialect.Notice, isInOrder: Bool = false) {
        switch notice {
        case .key(let key): layer.heard(ofKey: key, now: now, isInOrder: isInOrder)
        case .tag(let tag): layer.heard(ofTag: tag, now: now)
        }
        settle()
    }

    // MARK: Effects

    private func settle() {
        for effect in layer.takeEffects() {
            switch effect {
            case .tell(let ticket, let outcome): readers.removeValue(forKey: ticket)?(outcome)
            case .lead(let ticket, let id):
                // Whoever waited goes on waiting, and the host runs the flight as it runs all.
                if let completion = readers.removeValue(forKey: ticket), let next = layer.attend(id) {
                    readers[next] = completion
                }
                fly(id)
            case .mayWrite(let id): beginWrite(id)
            case .event(let event): onEvent?(event)
            case .flush: flush(all: false)
            }
        }
        setTimer()
    }

    private func setTimer() {
        let next = layer.nextDeadline
        guard next != timerAt else { return }
        node.cancel(timer)
        timer = nil
        timerAt = next
        guard next != .distantFuture else { return }
        timer = node.after(max(.zero, next - now)) { [weak self] in
            guard let self else { return }
            timer = nil
            timerAt = .distantFuture
            layer.tick(now: now)
            settle()
        }
    }

    // MARK: Write-behind

    private func flush(all: Bool) {
        let batch = layer.takeBatch(now: now, all: all)
        guard !batch.isEmpty else { return }
        source.storeAll(batch) { [weak self] outcome in
            guard let self else { return }
            switch outcome {
            case .success(let rejected):
                for key in rejected { onTrouble?("The source refuses what was written under \(key)") }
                // Unconfirmed, it would be written once more after a restart, which is as good.
                log?.append(layer.flushed(rejected: rejected, now: now)) { _ in }
            case .failure(let failure):
                layer.notFlushed(now: now)
                onTrouble?("\(counted(layer.writeBehind.count, "write waits", "writes wait")): \(failure.text)")
            }
            settle()
            guard whenEmpty != nil else { return }
            if case .success = outcome, !layer.writeBehind.isEmpty { flush(all: true) } else { drained() }
        }
    }

    private func drained() {
        let callback = whenEmpty
        whenEmpty = nil
        callback?()
    }

    /// Takes over what an earlier life had promised to write.
    public func restore(_ items: [WriteBehindQueue.Item]) {
        layer.restore(items)
        settle()
    }

    /// Lets nobody in any more, tries to bring what waits to the source, and calls back. What the source does not take
    /// now stays in the journal, for the next life.
    public func drain(_ done: @escaping () -> Void) {
        layer.close()
        guard !layer.writeBehind.isEmpty else { return done() }
        whenEmpty = done
        node.after(Self.drainTimeout) { [weak self] in self?.drained() }
        flush(all: true)
    }

    static let drainTimeout = LabDuration.seconds(5)

    private func letGo() {
        readers = [:]
        writers = [:]
        whenEmpty = nil
        onEvent = nil
        onTrouble = nil
        remote?.letGo()
    }
}
