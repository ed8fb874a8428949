import CommandKit
import KernelService
import KernelStorage
import KernelStructures
import KernelWire
import KernelWorld
import ShellSession

/// What the lab has to know of a service to offer it as a command: the flags that all services have stand here, and are
/// read here.
package struct ServiceKind: Sendable {
    /// What it is, for `stats`: `loadbalancer`.
    package let name: String
    /// The name of its node unless `--name` says otherwise.
    package let nodeName: String
    package let port: Port
    /// Whether it has a configuration file: `--config`, `--check`, `--watch`.
    package let isConfigurable: Bool
    /// Whether its port can speak TLS, which a port for datagrams cannot.
    package let speaksTLS: Bool
    /// What its configuration file is, for help.
    package let configurationFormat: String

    package enum Port: Sendable, Equatable {
        /// It must be said; the number is an example of one.
        case required(example: UInt16)
        case preset(UInt16)
        /// It listens nowhere.
        case none
    }

    package init(
        _ name: String, node nodeName: String, port: Port, isConfigurable: Bool = false, speaksTLS: Bool = true,
        configurationFormat: String = "YAML"
    ) {
        self.configurationFormat = configurationFormat
        self.name = name
        self.nodeName = nodeName
        self.port = port
        self.isConfigurable = isConfigurable
        self.speaksTLS = speaksTLS && port != .none
    }

    /// A service's own flags, and around them those that it has in common with the others.
    ///
    /// - Parameter listens: help for `--port`.
    package func flags(listens: String = "where it listens", _ own: [CommandDescription.Flag])
        -> [CommandDescription.Flag]
    {
        var flags: [CommandDescription.Flag] = []
        if isConfigurable { flags.append(.init("config", "c", .file, "its configuration, \(configurationFormat)")) }
        switch port {
        case .required: flags.append(.init("port", "p", .port, listens))
        case .preset(let number): flags.append(.init("port", "p", .port, "\(listens) (\(number))"))
        case .none: break
        }
        flags += own
        if isConfigurable {
            flags += [
                .init("check", nil, "only says whether the configuration is right"),
                .init("watch", nil, "reloads the file whenever it has changed"),
            ]
        }
        flags += [
            .init("name", "n", .text("NAME"), "the name of its node (\(nodeName))"),
            .init("metrics", nil, .port, "another port for /metrics and /health, for Prometheus and probes"),
            .init("otlp", nil, .text("URL"), "a collector for its spans: http://HOST:4318 (the lab's jaeger)"),
            .init("trace-share", nil, .text("SHARE"), "head sampling: keeps that share of traces that begin here (1)"),
            .init("drain-timeout", nil, .duration(), "how long what is under way may take when it stops (30s)"),
            .init("bind", nil, .text("ADDRESS"), "as a process of its own: its address (127.0.0.1)"),
            .init("reuse-port", nil, "as a process of its own: shares its port (SO_REUSEPORT)"),
        ]
        return speaksTLS ? flags + TLSFlags.server : flags
    }

    /// A flag that says which share of all is meant; nil without it.
    package static func share(_ arguments: ParsedArguments, _ flag: String) throws(UsageError) -> Double? {
        guard let text = arguments.text(flag) else { return nil }
        guard let share = Double(text), share >= 0, share <= 1 else {
            throw UsageError("\(arguments.description.name): --\(flag) \(text): a share is a number from 0 to 1")
        }
        return share
    }

    /// What the common flags say.
    ///
    /// - Throws: `UsageError`, or `CommandFailure` about a certificate.
    func settings(_ invocation: Invocation) throws -> ServiceSettings {
        let arguments = invocation.arguments
        let command = arguments.description.name
        var settings = ServiceSettings(name: arguments.text("name") ?? nodeName)
        switch port {
        case .required(let example):
            guard let number = arguments.port("port") else {
                throw UsageError("\(command): on which port? add --port \(example)")
            }
            settings.port = number
        case .preset(let number): settings.port = arguments.port("port") ?? number
        case .none: break
        }
        try checkNodeName(settings.name, command: command)
        settings.options.metricsPort = arguments.port("metrics")
        if let text = arguments.text("otlp") {
            guard let url = try? HTTPURL(text), url.scheme == .http else {
                throw UsageError("\(command): --otlp \(text): no address of a collector; such as http://jaeger:4318")
            }
            settings.options.otlp = url
        }
        if let share = try Self.share(arguments, "trace-share") { settings.options.traceShare = share }
        if let timeout = arguments.duration("drain-timeout") { settings.options.drainTimeout = timeout }
        if isConfigurable, arguments.has("watch") {
            guard arguments.has("config") else {
                throw UsageError("\(command): --watch needs a file; add --config FILE")
            }
            settings.options.watches = true
        }
        if speaksTLS, let serving = try TLSFlags.serving(invocation, command: command) {
            settings.options.makeSecurity = { try serving.makeServer(for: $0, speaking: $1) }
        }
        return settings
    }
}

/// What was said about a service with the flags that all have.
package struct ServiceSettings {
    package var name: String
    /// 0 for one that listens nowhere.
    package var port: UInt16 = 0
    package var options = ServiceOptions()
}

/// How a service is made, and what is shown of it.
package struct ServicePlan<S: Service> {
    let make: (Node, ServiceSettings) throws -> S
    let check: (() throws -> String)?
    let stats: ((S) -> View)?
    let picture: ((S) -> View)?

    /// - Parameters:
    ///   - check: what `--check` says of a configuration that is right; throws what a start would, as far as that can
    ///     be known without one.
    ///   - stats: what `stats` shows, where the service's own statistics are not all.
    ///   - picture: what `show` shows.
    package init(
        check: (() throws -> String)? = nil, stats: ((S) -> View)? = nil, picture: ((S) -> View)? = nil,
        make: @escaping (Node, ServiceSettings) throws -> S
    ) {
        self.check = check
        self.stats = stats
        self.picture = picture
        self.make = make
    }
}

extension Command {
    /// A command that runs a service.
    ///
    /// - Parameter plan: reads the service's own flags; called before anything runs, so that what is wrong with them is
    ///   said at once.
    package static func service<S: Service>(
        _ kind: ServiceKind, _ description: CommandDescription,
        plan: @escaping (Invocation) throws -> ServicePlan<S>
    ) -> Command {
        Command(description) { invocation in
            let plan = try plan(invocation)
            if let check = plan.check, invocation.arguments.has("check") {
                return .view(View(.text(try check(), json: .null)))
            }
            let settings = try kind.settings(invocation)
            let arguments = invocation.arguments
            return .running(
                ServiceProgram(invocation.process, kind, settings, plan) { number in
                    number == settings.port ? "port" : arguments.flag(ofPort: number)
                })
        }
    }
}

/// A configuration file that was named on the command line.
package struct ConfigurationArgument {
    /// As it was typed.
    package let name: String
    private let path: String
    private let session: Session
    /// Of the terminal when the command was typed.
    private let directory: String

    /// Nil if `--config` was not given.
    package init?(_ invocation: Invocation) {
        guard let name = invocation.arguments.text("config") else { return nil }
        self.name = name
        session = invocation.session
        // The terminal may change its directory before the file is read again.
        path = session.files.absolute(name)
        directory = session.files.absolute(".")
    }

    /// A file that the configuration names, as whoever typed `--config` would name it: `conf/rules.yml` for `rules.yml`
    /// in `conf/prom.yml`. Names are relative to the configuration's own directory, wherever it was read from.
    package func name(ofFile file: String) -> String {
        guard !file.hasPrefix("/"), let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")) else { return file }
        return name[...slash] + file
    }

    /// Where a name of `name(ofFile:)` leads, also when the terminal has gone elsewhere meanwhile.
    package func path(ofName name: String) -> String { DiskPath.normalized(name, in: directory) }

    /// Reads a file by a name of `name(ofFile:)`.
    ///
    /// - Throws: `CommandFailure`, which calls the file by that name.
    package func read(named name: String) throws -> [UInt8] {
        let path = path(ofName: name)
        do { return try session.files.read(path) } catch {
            let text = "\(error)"
            throw CommandFailure(text.hasPrefix(path) ? name + text.dropFirst(path.count) : text)
        }
    }

    /// Reads the file as it is now.
    ///
    /// - Throws: `CommandFailure`, which calls the file as it was typed.
    package func read<Configuration>(_ parse: (_ bytes: [UInt8], _ name: String) throws -> Configuration) throws
        -> Configuration
    {
        do {
            let bytes = try session.files.read(path)
            // What has no end has no size either, and would be read as nothing.
            if bytes.isEmpty, path.hasPrefix("/dev/") || path.hasPrefix("/proc/") {
                throw CommandFailure("\(name): a pipe or a device is no file; copy what it says into one")
            }
            return try parse(bytes, name)
        } catch let failure as CommandFailure {
            throw failure
        } catch let usage as UsageError {
            throw usage
        } catch {
            let text = "\(error)"
            throw CommandFailure(text.hasPrefix(path) ? name + text.dropFirst(path.count) : text)
        }
    }

    /// Nil while it cannot be read.
    package func bytes() -> [UInt8]? { try? session.files.read(path) }
}
