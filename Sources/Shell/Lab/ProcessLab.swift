import ChaosCommands
import ChaosService
import Commands
import KernelClock
import KernelLoopback
import KernelStorage
import KernelStructures
import KernelTLS
import KernelWorld
import ShellLanguage
import ShellSession

/// `sdlab TOOL ARG…`: one tool as a process of its own, with the host's clock, sockets, files and signals.
public final class ProcessLab {
    private let poller: Poller
    private let world: World
    private let session: Session
    private let output: HostOutput
    private var signals: SignalWatch?

    /// - Parameters:
    ///   - bind: the address its ports are bound to.
    ///   - sharesPorts: other processes may listen on the same ports.
    ///   - directory: what relative paths are relative to.
    /// - Throws: `NetworkError`, `DiskError`.
    public init(bind: IPAddress, sharesPorts: Bool = false, directory: String) throws {
        poller = try Poller()
        let transport = try SocketTransport(poller: poller, place: .process(bind: bind, sharesPorts: sharesPorts))
        var configuration = WorldConfiguration(transport: transport, eventSource: poller, disk: try FileDisk(root: nil))
        configuration.speed = .real
        configuration.workers = try HostWorkerPool(poller)
        configuration.epoch = LabOptions.hostTime
        configuration.seed = UInt64(bitPattern: HostClock.monotonicNanoseconds)
        configuration.diskCosts = .free
        // Nobody reads a journal here, so none is kept: it costs nothing on the way of a request.
        configuration.journalCapacity = 0
        configuration.recordsTraffic = false
        world = World(configuration)
        if let directory = LabOptions.homeAuthorityDirectory {
            LabAuthority.of(world).place = .init(disk: configuration.disk, directory: directory)
        }
        session = Session(world: world, commands: Catalog.table, isProcess: true, directory: directory)
        session.renderer.columns = HostLimits.terminalColumns ?? 80
        session.renderer.cutsCells = HostLimits.isStandardOutputTerminal
        output = HostOutput(poller)
        _ = world.only(FreshLabs.self) { FreshLabs { seed in try Lab.fresh(like: LabOptions(), seed: seed) } }
        if HostNamespaces.isInside { _ = world.only(HostAccess.self) { Self.hostAccess } }
    }

    /// Only in namespaces that this process has made for itself.
    private static var hostAccess: HostAccess {
        HostAccess { words throws(HostAccess.Refusal) in
            switch HostShell.open(words) {
            case .success(let shell): return shell
            case .failure(let error): throw HostAccess.Refusal("\(error)")
            }
        }
    }

    /// Runs the tool until it ends, or is told to by SIGINT or SIGTERM. Returns its exit status.
    public func run(_ words: [String]) -> Int {
        session.observer = { [output] event in
            switch event {
            case .output(_, let isError, let bytes): output.write(bytes, isError: isError)
            case .log(let line, _, _): output.write(Array((line.text + "\n").utf8), isError: false)
            case .notice(let text): output.write(Array(("sdlab: " + text + "\n").utf8), isError: true)
            case .submitted, .typed, .jobStarted, .jobEnded, .interrupted, .progress: break
            }
        }
        let hadTerminal = HostTerminal.isThere
        let script = Self.script(words)
        let submission = session.submit(
            script, on: session.currentTerminal, text: words.joined(separator: " "),
            input: StandardInput(poller, world))
        signals = SignalWatch(poller, [.interrupt, .terminate, .hangUp]) { [unowned self] signal in
            let sent = Self.received(signal, hadTerminal: hadTerminal)
            if let job = session.jobs.running.last {
                _ = job.send(sent)
            } else {
                session.interrupt(session.currentTerminal)
            }
        }
        // A service gives its terminal back when it is up; the process lives on until the job ends.
        _ = session.wait(.clock, until: { !submission.isRunning })
        let job = session.jobs.running.last
        _ = session.wait(.clock, until: { session.jobs.running.isEmpty })
        output.flush()
        return job?.status ?? submission.status ?? 0
    }

    /// A hang-up asks a service to read its configuration again, unless it says that the terminal is gone: then nobody
    /// is left who could end it.
    private static func received(_ signal: SignalWatch.HostSignal, hadTerminal: Bool) -> Signal {
        switch signal {
        case .terminate: .terminate
        case .hangUp where !hadTerminal || HostTerminal.isThere: .hangUp
        default: .interrupt
        }
    }

    /// The words as one command that needs no expansion.
    private static func script(_ words: [String]) -> Script {
        let place = Position(line: 1, column: 1)
        var command = SimpleCommand(position: place)
        command.words = words.map { Word(parts: [.text($0, isQuoted: true)], position: place) }
        return Script(statements: [
            Statement(
                first: Pipeline(commands: [.simple(command)]), rest: [], isBackground: false, position: place,
                text: words.joined(separator: " "))
        ])
    }
}

extension HostShell: HostScripting {
    public var processNumber: Int { Int(process) }

    public func run(_ script: String, limit: LabDuration) -> (status: Int, output: String) {
        let answer: Answer = run(script, limit: limit)
        return (answer.status, answer.output)
    }
}

extension LabOptions {
    /// What the host's calendar says, for labs that programs outside ask about today.
    package static var hostTime: LabTime { HostClock.wallTime }
}
