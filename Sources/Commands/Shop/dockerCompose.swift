import CommandKit
import CommandServices
import KernelConfiguration
import KernelStructures
import ShellSession
import ShopEngine

extension ShopCommands {
    /// `docker-compose up --scale orders=3`
    static var dockerCompose: Command {
        let file = CommandDescription.Flag("file", "f", .file, "the compose file (compose.yaml)")
        let description = CommandDescription(
            "docker-compose", "starts what a compose file describes, in order", operates: false,
            subcommands: [
                .init(
                    "up", "starts all services, each when those it depends on are well", usage: "[--scale NAME=N]",
                    flags: [
                        file, .init("scale", nil, .text("NAME=N"), repeatable: true, "so many nodes of a service"),
                        .init("detach", "d", "nothing else: it always ends when all are well"),
                    ], examples: ["docker-compose up", "docker-compose up --scale orders=3"]),
                .init("init", "writes the shop's compose.yaml, and what it needs", examples: ["docker-compose init"]),
                .init(
                    "config", "checks the file, and shows what would be started", flags: [file, CommonFlags.json],
                    examples: ["docker-compose config"]),
                .init(
                    "ps", "its services, and how they are", flags: [file, CommonFlags.json],
                    examples: ["docker-compose ps"]),
                .init("down", "stops them, the last first", flags: [file], examples: ["docker-compose down"]),
            ], group: .jobs,
            details: """
                A subset of the Compose specification: image (sdlab/COMMAND), command, ports,
                environment (flags: DB_URL is --db-url), depends_on with conditions,
                healthcheck, restart, deploy.replicas. Each service is a node of its name.
                Where there is no compose.yaml, up writes the shop's, and says so.

                In the shop, curl -X POST https://api/register -d '{"email": "a@b.example"}'
                answers with a token; https://api/checkout takes it as Authorization: Bearer.
                help shop-orders shows the rest; gateway.yaml has all routes.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            switch arguments.verb {
            case "init":
                let written = try writeFiles(invocation.session)
                guard !written.isEmpty else {
                    throw CommandFailure("nothing was written: the files are there already")
                }
                return .view(
                    View(.text("wrote \(written.joined(separator: ", "))", json: .array(written.map { .string($0) }))))
            case "config": return .view(configView(try composeFile(invocation)))
            case "ps": return .view(statusView(try composeFile(invocation), invocation.session))
            case "down": return down(try composeFile(invocation), invocation)
            default:
                var file = try composeFile(invocation)
                for text in arguments.texts("scale") { try scale(&file, text) }
                try check(file, invocation.session)
                return .running(ComposeProject(invocation.process, file))
            }
        }
    }

    private static func composeFile(_ invocation: Invocation) throws -> ComposeFile {
        let session = invocation.session
        let name = invocation.arguments.text("file") ?? "compose.yaml"
        if !session.files.exists(name), !invocation.arguments.has("file"), invocation.arguments.verb == "up" {
            let written = try writeFiles(session)
            invocation.process.print("no compose.yaml here: wrote the shop's (\(written.joined(separator: ", ")))")
        }
        do {
            return try ComposeFile(try session.files.read(name), file: name)
        } catch {
            throw CommandFailure("\(error)")
        }
    }

    private static func writeFiles(_ session: Session) throws -> [String] {
        var written: [String] = []
        for (name, text) in ShopFiles.all where !session.files.exists(name) {
            do { try session.files.write(Array(text.utf8), to: name) } catch { throw CommandFailure("\(error)") }
            written.append(name)
        }
        return written
    }

    private static func scale(_ file: inout ComposeFile, _ text: String) throws {
        let parts = text.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = Int(parts[1]), ComposeFile.replicaRange.contains(count) else {
            throw UsageError(
                "docker-compose: --scale '\(text)' is not NAME=N with N from 0 to \(ComposeFile.replicaRange.upperBound)"
            )
        }
        guard file.scale(String(parts[0]), count) else {
            throw UsageError(
                "docker-compose: --scale: there is no service '\(parts[0])'"
                    + didYouMean(String(parts[0]), among: file.services.map(\.name)))
        }
    }

    /// Mistakes are found before the first service runs.
    private static func check(_ file: ComposeFile, _ session: Session) throws {
        for service in file.services {
            guard let command = session.commands[service.command] else {
                throw CommandFailure("service '\(service.name)': \(session.commands.unknown(service.command))")
            }
            let words = ComposeProject.words(of: service, service.name)
            do {
                _ = try ParsedArguments(words.dropFirst(), for: command.description)
            } catch {
                throw CommandFailure("service '\(service.name)': \(error)")
            }
        }
    }

    // MARK: Views

    private static func configView(_ file: ComposeFile) -> View {
        View(
            .table(
                .init(
                    [
                        .init("SERVICE", key: "service"), .init("PORT", key: "port", right: true),
                        .init("NODES", key: "replicas", right: true), .init("AFTER", key: "depends_on"),
                        .init("COMMAND", key: "command", flexible: true),
                    ],
                    rows: file.services.map { service in
                        [
                            .text(service.name), service.port.map { .integer(Int($0)) } ?? .none,
                            .integer(service.replicas),
                            .text(service.dependencies.map(\.service).joined(separator: " ")),
                            .text(ComposeProject.words(of: service, service.name).joined(separator: " ")),
                        ]
                    }, whenEmpty: "no services")))
    }

    private static func statusView(_ file: ComposeFile, _ session: Session) -> View {
        let rows = file.services.flatMap { service in
            runningNames(of: service, session).map { name -> [View.Cell] in
                let node = session.world.nodes[name]
                let state = node.map { $0.state.rawValue } ?? "not started"
                return [
                    .text(name), .text(service.command), service.port.map { .integer(Int($0)) } ?? .none,
                    .text(state, style: node?.isAlive == true ? .good : .bad),
                ]
            }
        }
        return View(
            .table(
                .init(
                    [
                        .init("NODE", key: "node"), .init("IMAGE", key: "image", flexible: true),
                        .init("PORT", key: "port", right: true), .init("STATE", key: "state"),
                    ], rows: rows, whenEmpty: "no services")))
    }

    /// However many of it were started with `--scale`.
    private static func runningNames(of service: ComposeFile.Service, _ session: Session) -> [String] {
        let numbered = (1...ComposeFile.replicaRange.upperBound).map { "\(service.name)-\($0)" }.filter {
            session.world.nodes[$0] != nil
        }
        return numbered.isEmpty || session.world.nodes[service.name] != nil
            ? ComposeProject.names(of: service) : numbered
    }

    private static func down(_ file: ComposeFile, _ invocation: Invocation) -> Outcome {
        let names = file.services.reversed().flatMap { runningNames(of: $0, invocation.session).reversed() }
        let stopped = invocation.session.world.only(ComposeStops.self) { ComposeStops() }
        for name in names {
            stopped.names.insert(name)
            if let job = try? invocation.session.job(name) { _ = job.send(.terminate) }
        }
        return .success
    }
}
