import KernelHosting
import KernelStructures
import KernelTelemetry
import KernelWorld

/// A service's life: its ports, its phase, and how it goes from one to the next.
public final class ServiceRuntime {
    public let node: Node
    /// In front of its log lines; nil for a service that has nothing to say.
    public let tag: String?
    public let options: ServiceOptions
    /// What is under way has so much time to finish when the service stops.
    public var drainTimeout: LabDuration
    public private(set) var phase = Phase.starting
    /// Instruments that any part of the service may register. What an engine counts itself needs none: see
    /// `Service.collect`.
    public let metrics = MetricRegistry()
    /// How the configuration is read again; nil for a service that has none.
    public var reloading: Reloading?
    public private(set) var reloadCount = 0
    public private(set) var failedReloadCount = 0

    /// What ends the program when the service cannot go on: see `fail`.
    public var onFailure: (() -> Void)?

    private unowned var service: (any Service)?
    private var ports: [Port] = []
    private var management: ManagementServer?
    private var managementPort: UInt16?
    private var whenStopped: (() -> Void)?
    private var deadlineTimer: TimerID?
    /// Servers whose last connection has not ended yet.
    private var busyServers = 0
    private var isStopping = false

    public enum Phase: String, Sendable, CaseIterable { case starting, ready, draining, stopped }

    /// Where a server listens.
    public enum Place: Equatable, Sendable {
        case port(UInt16)
        /// A unix socket of the machine.
        case path(String)
    }

    /// Who comes to a port.
    public enum Visitors: Sendable {
        /// Those that the service is there for: they are waited for when it stops.
        case clients
        /// Those that look after it: they may come until the very end, and nobody waits for them.
        case operators
    }

    private struct Port {
        let server: any ConnectionServer
        let place: Place
        let visitors: Visitors
        let announcement: LogMessage?
    }

    public init(node: Node, tag: String?, options: ServiceOptions = ServiceOptions()) {
        self.node = node
        self.tag = tag
        self.options = options
        drainTimeout = options.drainTimeout ?? Self.defaultDrainTimeout
    }

    /// As Kubernetes has it.
    public static let defaultDrainTimeout = LabDuration.seconds(30)

    /// Adds a place to listen at; to be called in `Service.prepare`. Places are opened together, in this order.
    ///
    /// - Parameter announcement: the log line that says so, once all are open.
    public func add(
        _ server: any ConnectionServer, at place: Place, for visitors: Visitors = .clients,
        announcement: LogMessage? = nil
    ) {
        precondition(phase == .starting, "ports are opened together")
        ports.append(Port(server: server, place: place, visitors: visitors, announcement: announcement))
    }

    public func add(
        _ server: any ConnectionServer, on port: UInt16, for visitors: Visitors = .clients,
        announcement: LogMessage? = nil
    ) {
        add(server, at: .port(port), for: visitors, announcement: announcement)
    }

    public func log(_ message: LogMessage, level: LogLevel = .info) {
        if let tag { node.log(tag, message, level: level) }
    }

    /// The service cannot go on without breaking a promise (a disk that does not sync): the process ends at once, and
    /// whoever starts it again has it recover.
    public func fail(_ message: LogMessage) {
        log(message, level: .error)
        onFailure?()
    }

    public var isDraining: Bool { phase == .draining || phase == .stopped }
    /// Of clients.
    public var openConnectionCount: Int { servers(for: .clients).reduce(0) { $0 + $1.openConnectionCount } }

    /// Whether its clients are answered what they ask, one for one; see `ConnectionServer`.
    public var answersRequests: Bool { servers(for: .clients).first?.answersRequests ?? true }

    /// What its clients speak, where that is not HTTP; see `ConnectionServer`.
    public var clientProtocol: String? { servers(for: .clients).first?.clientProtocol }

    /// Each once, whatever the number of places it listens at.
    private func servers(for visitors: Visitors) -> [any ConnectionServer] {
        ports.filter { $0.visitors == visitors }.map(\.server).reduce(into: []) { found, server in
            if !found.contains(where: { $0 === server }) { found.append(server) }
        }
    }

    // MARK: Starting

    func start(_ service: any Service) throws {
        precondition(phase == .starting && self.service == nil, "a service starts once")
        self.service = service
        let export = SpanExport.of(node.world)
        if let url = options.otlp { export.send(from: node, to: url) }
        node.traceShare = options.traceShare
        try service.prepare()
        if let port = options.metricsPort {
            let management = ManagementServer(self)
            self.management = management
            add(management.server, on: port, for: .operators, announcement: "Metrics on :\(port: port)")
        }
        do {
            if let makeSecurity = options.makeSecurity {
                for server in servers(for: .clients) {
                    server.security = try makeSecurity(node, server.applicationProtocols)
                }
            }
            for port in ports { try openListener(port) }
        } catch {
            for port in ports { port.server.stopListening() }
            service.abandonStart()
            throw error
        }
        phase = .ready
        service.opened()
        for port in ports { if let line = port.announcement { log(line) } }
        if options.watches, let bytes = reloading?.bytes { watch(bytes) }
    }

    /// Where `/metrics` and `/health` are for those that look after the service: the port that was asked for with
    /// `--metrics`, otherwise `port`, which is opened now if it is not open yet.
    ///
    /// - Throws: `NetworkError` if the port is taken.
    public func openManagement(on port: UInt16) throws(NetworkError) -> UInt16 {
        if let own = options.metricsPort ?? managementPort { return own }
        guard phase == .ready else { throw .system("it is \(phase.rawValue)") }
        let management = ManagementServer(self)
        try management.server.listen(on: port)
        self.management = management
        managementPort = port
        ports.append(Port(server: management.server, place: .port(port), visitors: .operators, announcement: nil))
        return port
    }

    private func openListener(_ port: Port) throws(NetworkError) {
        switch port.place {
        case .port(let number): try port.server.listen(on: number)
        case .path(let path): try port.server.listen(atPath: path)
        }
    }

    /// Gives up the places where clients come, and leaves alone what is open.
    public func closePorts() {
        for server in servers(for: .clients) { server.stopListening() }
    }

    /// Listens there again.
    ///
    /// - Throws: why it cannot; it listens nowhere then.
    public func reopenPorts() throws {
        if phase != .ready { throw ReloadFailure("it is \(phase.rawValue)") }
        do {
            for port in ports where port.visitors == .clients { try openListener(port) }
        } catch {
            closePorts()
            throw error
        }
    }

    /// Connections of clients at a time at each of its servers; more wait until one ends. nil: any number.
    public var connectionLimit: Int? {
        get { servers(for: .clients).first?.connectionLimit }
        set { for server in servers(for: .clients) { server.connectionLimit = newValue } }
    }

    // MARK: Reloading

    /// Reads the configuration again and takes it over. With an error in it all stays as it is.
    ///
    /// - Throws: what is wrong with it, or `ReloadFailure`; it has been logged as well.
    public func reload() throws {
        do {
            guard phase == .ready else { throw ReloadFailure("it is \(phase.rawValue)") }
            guard let reloading else { throw ReloadFailure("it has no configuration that could be read again") }
            if let line = try reloading.takeOver() { log(line) }
            reloadCount += 1
        } catch {
            failedReloadCount += 1
            log("Not reloaded: \("\(error)")", level: .error)
            throw error
        }
    }

    /// The lab's disks tell nobody of changes, and the file is small: it is looked at once a second of lab time.
    private func watch(_ bytes: @escaping () -> [UInt8]?) {
        var last = bytes()
        func look() {
            node.after(.seconds(1)) { [self] in
                guard phase == .ready else { return }
                // While it cannot be read, nothing has changed.
                if let new = bytes(), new != last {
                    last = new
                    // What went wrong is in the log; the old configuration stays.
                    try? reload()
                }
                look()
            }
        }
        look()
    }

    // MARK: Stopping

    /// Stops in order: accepts no more clients, lets what is under way finish, for `drainTimeout` at most, has the
    /// service close, and calls `whenStopped`. Called again, it calls back at once.
    public func drain(whenStopped: @escaping () -> Void) {
        guard phase == .ready else { return whenStopped() }
        phase = .draining
        self.whenStopped = whenStopped
        service?.willDrain()
        deadlineTimer = node.after(drainTimeout) { [self] in
            deadlineTimer = nil
            guard !isStopping else { return }
            log("Gave up on \(openConnectionCount) connections", level: .warning)
            stop()
        }
        let servers = servers(for: .clients)
        // One more than there are, so that those that are idle at once do not stop it before all have been told.
        busyServers = servers.count + 1
        for server in servers { server.drain { [self] in serverIsIdle() } }
        serverIsIdle()
    }

    private func serverIsIdle() {
        busyServers -= 1
        if busyServers == 0 { node.whenFlushed { [self] in stop() } }
    }

    private func stop() {
        guard !isStopping else { return }
        isStopping = true
        node.cancel(deadlineTimer)
        service?.stop { [self] in
            phase = .stopped
            for server in servers(for: .operators) { server.stopListening() }
            let callback = whenStopped
            whenStopped = nil
            callback?()
        }
    }
}

extension ServiceRuntime {
    /// Why it cannot do its work, as `/health` says it; empty if it can.
    public var complaints: [String] {
        switch phase {
        case .ready: service?.complaints ?? []
        case .starting, .draining, .stopped: [phase.rawValue]
        }
    }

    /// The page of `/metrics`: what every service counts, its statistics, and what it adds.
    public func metricsPage(_ format: ExpositionFormat) -> [UInt8] {
        var page = MetricWriter(format)
        page.gauge("service_up", "1 if it can do its work, otherwise 0", complaints.isEmpty ? 1 : 0)
        page.gauge("service_start_time_seconds", "When it was started", Int(node.startedAt.unixSeconds))
        page.gauge("service_connections", "Connections of clients that are open", openConnectionCount)
        if reloading != nil {
            page.family("service_reloads_total", .counter, "Reloads of the configuration, by how they ended") {
                $0.add(reloadCount, [("result", "success")])
                $0.add(failedReloadCount, [("result", "failure")])
            }
        }
        metrics.write(to: &page)
        for statistic in service?.statistics ?? [] { statistic.collect(into: &page) }
        service?.collect(into: &page)
        return page.finish()
    }
}
