import KernelStructures

extension Cached {
    /// Does what nobody waits for: loads entries anew before their time is over, and brings write-behind's batches to
    /// the repository. Until the task is cancelled; then it tries once more to write what is left.
    ///
    /// - Throws: if the journal of an earlier life cannot be read; nothing has been done then.
    public func run() async throws {
        try await restore()
        core.perform { _, _ in }
        core.state.withLock { $0.isRunning = true }
        core.perform { $0.tick(now: $1) }
        await withDiscardingTaskGroup { group in
            for await order in core.orders {
                switch order {
                case .refresh(let id, let load): group.addTask { _ = await self.core.run(id, load) }
                case .flush: group.addTask { await self.flushBatch(all: false) }
                case .alarm(let time): group.addTask { await self.wake(at: time) }
                }
            }
            group.cancelAll()
        }
        core.state.withLock { $0.isRunning = false }
    }

    private func wake(at time: LabTime) async {
        guard (try? await core.pause(max(.milliseconds(1), time - core.now()))) != nil else { return }
        core.state.withLock { if $0.alarm == time { $0.alarm = .distantFuture } }
        core.perform { $0.tick(now: $1) }
    }

    private func restore() async throws {
        guard let journal = core.journal, let codec = core.state.withLock({ $0.engine.codec }) else { return }
        var items: [WriteBehindQueue.Item] = []
        for case .write(let sequence, let since, let key, let bytes) in WriteBehindRecord.read(
            try await journal.contents()
        ).journal.unconfirmed {
            items.append(
                .init(key: key, value: try bytes.map { try codec.decode($0) }, sequence: sequence, since: since))
        }
        core.perform { engine, _ in engine.restore(items) }
    }

    /// Brings everything that waits to the repository, now.
    ///
    /// - Throws: what the repository throws; what is left stays in the queue.
    public func flush() async throws {
        while core.state.withLock({ !$0.engine.writeBehind.isEmpty }) {
            if let error = await flushBatch(all: true) { throw error }
            try Task.checkCancellation()
        }
    }

    /// Writes one batch, if one is due. A key that the repository refuses holds the others up: it is tried again.
    @discardableResult
    private func flushBatch(all: Bool) async -> (any Error)? {
        let batch = core.perform { $0.takeBatch(now: $1, all: all) }
        if batch.isEmpty {
            // Another task is at it.
            if all { await Task.yield() }
            return nil
        }
        do {
            for item in batch {
                guard let key = Key(item.key) else { continue }
                _ = try await repository.update(
                    item.value.map { unsafeDowncast($0, to: Box.self).value }, for: key)
            }
        } catch {
            core.perform { $0.notFlushed(now: $1) }
            return error
        }
        let record = core.perform { $0.flushed(now: $1) }
        // Unconfirmed, it would be written once more after a restart, which is as good.
        try? await core.journal?.append(record.encoded)
        return nil
    }

    // MARK: Several keys

    struct Part: Sendable {
        let key: Key
        let id: FlightID
        var step: FlightStep

        var isLoading: Bool { if case .load = step { true } else { false } }
    }

    func bulk(_ keys: [Key], by reader: String) async throws -> [Key: Value] {
        var values: [Key: Value] = [:]
        var parts: [Part] = []
        var tickets: [(key: Key, ticket: Ticket)] = []
        for key in keys.reduce(into: [Key]()) { if !$0.contains($1) { $0.append($1) } } {
            switch core.perform({ $0.read(key.description, by: reader, now: $1) }) {
            case .hit(let found, let refresh):
                values[key] = Self.value(of: found)
                // Nobody is told of it; let the next reader do it.
                if let refresh { core.perform { $0.abandon(refresh, now: $1) } }
            case .lead(let id): parts.append(Part(key: key, id: id, step: core.perform { $0.begin(id, now: $1) }))
            case .wait(let ticket): tickets.append((key, ticket))
            case .miss: break
            case .refused(let failure):
                for part in parts { core.perform { $0.abandon(part.id, now: $1) } }
                for (key, ticket) in tickets { core.forget(ticket, key.description) }
                throw failure
            }
        }
        let thrown = Thrown()
        var failure: CacheFailure?
        do {
            while !parts.isEmpty {
                parts = try await advance(parts, thrown) { key, outcome in
                    switch outcome {
                    case .success(let found): values[key] = Self.value(of: found)
                    case .failure(let error): failure = failure ?? error
                    }
                }
            }
        } catch {
            for (key, ticket) in tickets { core.forget(ticket, key.description) }
            throw error
        }
        // Only after one's own: two who wait for each other would wait for ever.
        for (index, (key, ticket)) in tickets.enumerated() {
            do throws(CacheFailure) {
                values[key] = Self.value(of: try await core.awaitOutcome(ticket, key.description, load(key, thrown)))
            } catch {
                for (key, ticket) in tickets[(index + 1)...] { core.forget(ticket, key.description) }
                if Task.isCancelled { throw CancellationError() }
                throw thrown.error ?? error
            }
        }
        if let failure { throw thrown.error ?? failure }
        return values
    }

    /// Carries out the present step of all flights: one load for all that have come to that.
    private func advance(
        _ parts: [Part], _ thrown: Thrown, _ ended: (Key, Result<CacheAnswer, CacheFailure>) -> Void
    ) async throws -> [Part] {
        let loading = parts.filter(\.isLoading)
        let loaded = loading.isEmpty ? nil : await fetch(loading.map(\.key), thrown)
        let replies = await withTaskGroup(of: (Int, FlightReport).self) { group in
            for (index, part) in parts.enumerated() {
                switch part.step {
                case .ask(let request): group.addTask { (index, .reply(await self.core.ask(request))) }
                case .pause(let duration):
                    group.addTask {
                        try? await self.core.pause(duration)
                        return (index, .paused)
                    }
                default: break
                }
            }
            return await group.reduce(into: [Int: FlightReport]()) { $0[$1.0] = $1.1 }
        }
        if Task.isCancelled, loaded == nil {
            for part in parts { core.perform { $0.abandon(part.id, now: $1) } }
            throw CancellationError()
        }
        var rest: [Part] = []
        for (index, var part) in parts.enumerated() {
            if case .done(let outcome) = part.step {
                ended(part.key, outcome)
                continue
            }
            let report = replies[index] ?? .loaded(outcome(for: part.key, loaded))
            part.step = core.perform { $0.proceed(part.id, report, now: $1) }
            rest.append(part)
        }
        return rest
    }

    private func fetch(_ keys: [Key], _ thrown: Thrown) async -> Result<[Key: Value], CacheFailure> {
        do { return .success(try await repository.fetchAll(keys)) } catch {
            thrown.note(error)
            return .failure(.source("\(error)"))
        }
    }

    private func outcome(for key: Key, _ loaded: Result<[Key: Value], CacheFailure>?) -> Loaded {
        switch loaded {
        case .success(let values)?:
            values[key].map { .value(Box($0), version: repository.version(of: $0)) } ?? .absent
        case .failure(let failure)?: .failed(failure.description)
        case nil: .failed("not loaded")
        }
    }
}
