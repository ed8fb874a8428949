import ChaosEngine
import ChaosService
import KernelHosting
import KernelJSON
import KernelStructures
import KernelTLS
import KernelWire
import KernelWorld
import ShellLanguage
import ShellSession

/// Carries out the activities of an experiment: requests over the network, commands of the lab, faults.
final class ActivityCarrier {
    typealias Outcome = ExperimentRun.Outcome

    private let process: Process
    private let desk: FaultDesk
    private var calls: [Int: HTTPCall] = [:]
    private var commands: [Int: CommandWatch] = [:]
    private var security: TLSClient?
    private var laxSecurity: TLSClient?
    private var fileCount = 0
    private var keyCount = 0
    /// Other experiments have other keys.
    private let firstKey: Int64

    private static let bodyLimitBytes = 4 << 20
    /// Terminals from here on are the runner's: one for each command that runs at a time.
    private static let firstTerminal = 10_000

    init(_ process: Process, _ desk: FaultDesk) {
        self.process = process
        self.desk = desk
        firstKey = process.session.world.now.nanoseconds / 1_000_000
    }

    private var node: Node { process.node }

    /// - Parameter done: called once, never before this returns, and not after `cancel`.
    func carryOut(_ activity: Activity, _ ticket: Int, _ done: @escaping (Outcome) -> Void) {
        switch activity.provider {
        case .http(let plan): ask(plan, ticket, done)
        case .process(let plan): run(plan, ticket, done)
        case .lab(let action):
            node.enqueue { [self] in
                do throws(FaultDesk.Failure) {
                    let notes = try desk.perform(action)
                    done(.done(Observation(.value(.array(notes.map { .string($0) })))))
                } catch {
                    done(.failed(error.description, .zero))
                }
            }
        case .python(let module, let function):
            node.enqueue {
                done(
                    .failed(
                        "\(module).\(function) is Python, which is not run here; chaos run of the Toolkit does", .zero))
            }
        }
    }

    func cancel(_ ticket: Int) {
        calls.removeValue(forKey: ticket)?.cancel()
        commands.removeValue(forKey: ticket)?.stop()
    }

    // MARK: HTTP

    private func ask(_ plan: HTTPRequestPlan, _ ticket: Int, _ done: @escaping (Outcome) -> Void) {
        let start = node.world.now
        let url: HTTPURL
        do throws(HTTPURL.Malformed) { url = try HTTPURL(plan.url) } catch {
            return node.enqueue { done(.failed("\(error)", .zero)) }
        }
        var request = HTTPCall.Request(plan.method, url: url)
        request.fields = [("User-Agent", "chaos-runner"), ("Accept", "*/*")] + plan.headers
        if let prefix = plan.keyPrefix {
            keyCount += 1
            request.fields.append(("Idempotency-Key", "\(prefix)-\(firstKey)-\(keyCount)"))
        }
        request.body = plan.body
        request.deadline = plan.timeout
        request.answer = .collected(limitBytes: Self.bodyLimitBytes)
        let tls: TLSClient?
        do throws(TLSConfigurationError) {
            tls = url.scheme == .https ? try client(verifies: plan.verifiesTLS) : nil
        } catch {
            return node.enqueue { done(.failed("\(error)", .zero)) }
        }
        let call = HTTPCall(node, request, security: tls) { [self] result in
            calls[ticket] = nil
            let latency = node.world.now - start
            switch result {
            case .success(let response):
                let head = response.head
                let headers = head.fields.map { (name: head.name(of: $0), value: head.value(of: $0)) }
                done(
                    .done(
                        Observation(
                            .http(
                                status: response.status, reason: HTTPStatus.reason(response.status), headers: headers,
                                body: response.body), latency: latency)))
            case .failure(let failure): done(.failed("\(failure)", latency))
            }
        }
        calls[ticket] = call
        call.start()
    }

    private func client(verifies: Bool) throws(TLSConfigurationError) -> TLSClient {
        if let known = verifies ? security : laxSecurity { return known }
        var options = try TLSClientOptions.lab(process.session.world)
        if !verifies { options.verification = .none }
        let made = try TLSClient(options)
        if verifies { security = made } else { laxSecurity = made }
        return made
    }

    // MARK: Commands

    /// What `sh -c` is given is for the lab's own shell; other words stay as they are.
    private static func line(_ plan: ProcessPlan) -> String {
        if ["sh", "bash", "/bin/sh", "/bin/bash"].contains(plan.path), plan.arguments.count == 2,
            plan.arguments[0] == "-c"
        {
            return plan.arguments[1]
        }
        return ([plan.path] + plan.arguments).map { "'" + $0.replacing("'", with: "'\\''") + "'" }
            .joined(separator: " ")
    }

    /// A command of the lab, as if it were typed into a terminal of its own; what it prints goes to files.
    private func run(_ plan: ProcessPlan, _ ticket: Int, _ done: @escaping (Outcome) -> Void) {
        let session = process.session
        fileCount += 1
        let base = "/tmp/chaos-\(process.number)-\(fileCount)"
        let text = Self.line(plan)
        let script: Script
        do {
            try session.files.makeDirectory("/tmp")
            script = try Parser.parse("{ \(text)\n} > \(base).out 2> \(base).err")
        } catch {
            return node.enqueue { done(.failed("\(error)", .zero)) }
        }
        var number = Self.firstTerminal
        while session.terminal(number).isBusy { number += 1 }
        let watch = CommandWatch(
            process, session.submit(script, on: session.terminal(number), text: text, isInput: false), base: base,
            limit: plan.timeout
        ) { [self] outcome in
            commands[ticket] = nil
            done(outcome)
        }
        commands[ticket] = watch
        watch.look()
    }
}

/// Waits for a command to end. It is looked at a hundred times a second of lab time: nobody tells.
private final class CommandWatch {
    private let process: Process
    private let submission: Submission
    private let base: String
    private let limit: LabDuration
    private let start: LabTime
    private var done: ((ExperimentRun.Outcome) -> Void)?

    private static let interval = LabDuration.milliseconds(10)

    init(
        _ process: Process, _ submission: Submission, base: String, limit: LabDuration,
        done: @escaping (ExperimentRun.Outcome) -> Void
    ) {
        self.process = process
        self.submission = submission
        self.base = base
        self.limit = limit
        self.done = done
        start = process.session.world.now
    }

    func look() {
        process.node.after(Self.interval) { [self] in
            guard done != nil else { return }
            let now = process.session.world.now
            if let status = submission.status {
                finish(
                    .done(
                        Observation(
                            .process(status: status, output: take(".out"), errors: take(".err")), latency: now - start))
                )
            } else if now - start >= limit {
                finish(.failed("did not end within \(limit)", now - start))
            } else {
                look()
            }
        }
    }

    func stop() {
        done = nil
        if submission.isRunning { process.session.interrupt(submission.terminal, isInput: false) }
        _ = take(".out")
        _ = take(".err")
    }

    private func finish(_ outcome: ExperimentRun.Outcome) {
        let callback = done
        stop()
        callback?(outcome)
    }

    private func take(_ suffix: String) -> String {
        let files = process.session.files
        let bytes = (try? files.read(base + suffix)) ?? []
        try? files.remove(base + suffix, recursively: false)
        return String(decoding: bytes, as: UTF8.self)
    }
}
