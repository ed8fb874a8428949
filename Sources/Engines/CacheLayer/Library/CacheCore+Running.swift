import KernelStructures

// Flights and writes, carried out step by step in the task of whoever began them.
extension CacheCore {
    /// Runs a flight to its end, in this task. If the task is cancelled before the value is there, the flight goes to
    /// the next one who waits for it, and nobody but this caller sees an error.
    func run(_ id: FlightID, _ load: @Sendable () async -> Loaded) async -> Result<CacheAnswer, CacheFailure> {
        var step = perform { $0.begin(id, now: $1) }
        while true {
            let report: FlightReport
            switch step {
            case .done(let outcome): return outcome
            case .ask(let request): report = .reply(await ask(request))
            case .pause(let duration):
                try? await pause(duration)
                report = .paused
            case .load: report = .loaded(await loadInTime(load))
            }
            if Task.isCancelled, !report.hasValue {
                perform { $0.abandon(id, now: $1) }
                return .failure(.abandoned)
            }
            step = perform { $0.proceed(id, report, now: $1) }
        }
    }

    private func loadInTime(_ load: @Sendable () async -> Loaded) async -> Loaded {
        await withoutActuallyEscaping(load) { load in
            await withTaskGroup(of: Loaded?.self) { group in
                group.addTask { await load() }
                group.addTask { [self] in
                    guard (try? await pause(loaderTimeout)) != nil else { return nil }
                    // Those who wait are told now, even if the source never comes back.
                    perform { $0.tick(now: $1) }
                    return .failed(CacheFailure.timedOut(loaderTimeout).description)
                }
                while let loaded = await group.next() {
                    guard let loaded else { continue }
                    group.cancelAll()
                    return loaded
                }
                return .failed("cancelled")
            }
        }
    }

    /// Reads a key, in whatever way it takes.
    func read(
        _ key: String, by reader: String, _ load: @escaping @Sendable () async -> Loaded
    ) async throws(CacheFailure) -> CacheAnswer? {
        switch perform({ $0.read(key, by: reader, now: $1) }) {
        case .hit(let found, let refresh):
            if let refresh { await renew(refresh, load) }
            return found
        case .lead(let id): return try await run(id, load).get()
        case .wait(let ticket): return try await awaitOutcome(ticket, key, load)
        case .miss: return nil
        case .refused(let failure): throw failure
        }
    }

    func awaitOutcome(
        _ ticket: Ticket, _ key: String, _ load: @escaping @Sendable () async -> Loaded
    ) async throws(CacheFailure) -> CacheAnswer {
        switch await waitInTime(for: ticket, key) {
        case .outcome(let outcome): return try outcome.get()
        case .lead(let id): return try await run(id, load).get()
        case .mayWrite, .cancelled: throw .abandoned
        }
    }

    /// Loads anew beside the readers if `run` is there to do it; otherwise this reader does it, which has the value
    /// already and gets it after.
    private func renew(_ id: FlightID, _ load: @escaping @Sendable () async -> Loaded) async {
        let isHandedOn = state.withLock { state in
            if state.isRunning { orderEntry.yield(.refresh(id, load)) }
            return state.isRunning
        }
        if !isHandedOn { _ = await run(id, load) }
    }

    /// Makes a write, after those of the same key that came before.
    ///
    /// - Parameter store: writes to the source.
    func write(
        _ key: String, _ value: (any CacheObject)?, by writer: String, _ store: @Sendable () async -> WriteReport
    ) async throws(CacheFailure) {
        let id: WriteID
        switch perform({ $0.write(key, value, by: writer, now: $1) }) {
        case .begin(let write): id = write
        case .refused(let failure): throw failure
        case .wait(let write):
            id = write
            if case .cancelled = await wait(for: .writer(write), key) { throw .abandoned }
        }
        var step = perform { $0.beginWrite(id, now: $1) }
        while true {
            let report: WriteReport
            switch step {
            case .done(let outcome): return try outcome.get()
            case .store: report = await store()
            case .append(let record): report = await append(record)
            case .ask(let request): report = .reply(await ask(request))
            }
            step = perform { $0.proceedWrite(id, report, now: $1) }
        }
    }

    private func append(_ record: WriteBehindRecord) async -> WriteReport {
        guard let journal else { return .appended }
        do {
            try await journal.append(record.encoded)
            return .appended
        } catch {
            return .notAppended("\(error)")
        }
    }
}

extension FlightReport {
    /// Whether it brings something for which nobody has to ask again.
    fileprivate var hasValue: Bool {
        switch self {
        case .loaded(.value), .loaded(.absent): true
        default: false
        }
    }
}
