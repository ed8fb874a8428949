import KernelHosting
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession
import ShopEngine

/// `docker-compose up` at work: starts each service when what it depends on is as it should be, and ends when all are
/// well. Whatever is to be started again when it has ended is, for as long as the lab runs.
final class ComposeProject: Program {
    private enum State: Equatable { case waiting, starting, started, healthy, completed, failed }

    private final class Instance {
        let service: ComposeFile.Service
        let name: String
        var state = State.waiting
        var restartCount = 0
        var attempts = 0
        /// Looks in a row that come sooner than the file says: whoever has just started is well in a moment.
        var lookCount = 0

        init(_ service: ComposeFile.Service, _ name: String) {
            self.service = service
            self.name = name
        }
    }

    private let process: Process
    private let session: Session
    private let submission: Submission
    private let file: ComposeFile
    private var instances: [Instance] = []
    private var byService: [String: [Instance]] = [:]
    private var isOver = false

    init(_ process: Process, _ file: ComposeFile) {
        self.process = process
        self.file = file
        session = process.session
        submission = process.submission
        for service in file.services {
            for name in Self.names(of: service) { instances.append(Instance(service, name)) }
        }
        byService = Dictionary(grouping: instances) { $0.service.name }
    }

    /// The nodes of a service: its name, or with a number for each of several.
    static func names(of service: ComposeFile.Service) -> [String] {
        service.replicas == 1 ? [service.name] : (0..<service.replicas).map { "\(service.name)-\($0 + 1)" }
    }

    static func words(of service: ComposeFile.Service, _ name: String) -> [String] {
        var words = [service.command] + service.words
        if let port = service.port, !words.contains("--port"), !words.contains("-p") { words += ["--port", "\(port)"] }
        return words + ["--name", name]
    }

    func start() {
        let stopped = session.world.only(ComposeStops.self) { ComposeStops() }
        for one in instances { stopped.names.remove(one.name) }
        // What runs already is left alone.
        for one in instances where session.world.nodes[one.name]?.isAlive == true { one.state = .healthy }
        proceed()
    }

    private func proceed() {
        guard !isOver else { return }
        for one in instances where one.state == .waiting && mayStart(one) { begin(one) }
        if let failed = instances.first(where: { $0.state == .failed }) {
            isOver = true
            process.complain("\(failed.name) did not come up; see its lines above")
            return process.exit(1)
        }
        if instances.allSatisfy({ [.healthy, .completed].contains($0.state) }) {
            isOver = true
            let completed = instances.count { $0.state == .completed }
            process.print(
                "\(counted(instances.count - completed, "service")) up"
                    + (completed == 0 ? "" : ", \(completed) completed")
                    + "; docker-compose ps lists them, help docker-compose what to ask")
            process.exit(0)
        }
    }

    private func mayStart(_ one: Instance) -> Bool {
        one.service.dependencies.allSatisfy { dependency in
            (byService[dependency.service] ?? []).allSatisfy { other in
                switch dependency.condition {
                case .started: [.started, .healthy, .completed].contains(other.state)
                case .healthy: other.state == .healthy
                case .completed: other.state == .completed
                }
            }
        }
    }

    private func begin(_ one: Instance) {
        one.state = .starting
        guard let job = session.startService(Self.words(of: one.service, one.name), for: submission) else {
            one.state = .failed
            return
        }
        job.whenReadyOrFinished { [self] status in
            if let status {
                one.state = status == 0 ? .completed : .failed
            } else {
                one.state = one.service.health == nil ? .healthy : .started
                if one.service.health != nil { probe(one) }
            }
            if !isOver { process.node.enqueue { [self] in proceed() } }
        }
        job.whenFinished { [self, weak job] status in ended(one, status, wasTold: job?.wasToldToEnd ?? false) }
    }

    // MARK: Health

    private func probe(_ one: Instance) {
        guard let check = one.service.health, one.state == .started, !isOver else { return }
        var request = HTTPCall.Request(url: HTTPURL(host: one.name, port: check.port, target: check.path))
        request.deadline = .seconds(2)
        request.answer = .ignored
        HTTPCall(process.node, request) { [self] result in
            if case .success(let response) = result, response.isSuccess {
                one.state = .healthy
                return proceed()
            }
            let soon = LabDuration.milliseconds(20 << min(one.lookCount / 4, 10))
            one.lookCount += 1
            if soon < check.interval {
                process.node.after(soon) { [self] in probe(one) }
                return
            }
            one.attempts += 1
            guard one.attempts <= check.retries else {
                process.complain("\(one.name): \(check.path) on port \(check.port) is not well")
                one.state = .failed
                return proceed()
            }
            process.node.after(check.interval) { [self] in probe(one) }
        }.start()
    }

    // MARK: Again

    /// Docker does not start again what somebody has stopped, unless it is `always`.
    private func ended(_ one: Instance, _ status: Int, wasTold: Bool) {
        let again =
            switch one.service.restart {
            case .no: false
            case .always: true
            case .unlessStopped: !wasTold
            case .onFailure(let limit): status != 0 && !wasTold && one.restartCount < limit ?? Int.max
            }
        let stopped = session.world.only(ComposeStops.self) { ComposeStops() }
        guard again, !stopped.names.contains(one.name) else { return }
        one.restartCount += 1
        let pause = LabDuration.milliseconds(min(60_000, 100 << min(one.restartCount - 1, 10)))
        _ = session.world.after(pause) { [self] in begin(one) }
    }
}

/// What `docker-compose down` has stopped: nobody starts it again but `up`.
final class ComposeStops {
    var names: Set<String> = []
}
