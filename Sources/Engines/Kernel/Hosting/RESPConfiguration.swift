import KernelWire

/// `CONFIG GET | SET | RESETSTAT`: what a server can be asked for, and told, while it runs.
public final class RESPConfiguration {
    /// One name of `CONFIG`.
    public struct Parameter {
        public let name: String
        public let get: () -> String
        /// Sets it, and says what is wrong if it cannot be; nil where it cannot be changed.
        public var set: ((String) -> String?)?

        public init(_ name: String, get: @escaping () -> String, set: ((String) -> String?)? = nil) {
            self.name = name
            self.get = get
            self.set = set
        }

        /// One that is a whole number, with Redis's complaints about others.
        public static func number(
            _ name: String, _ range: ClosedRange<Int>, get: @escaping () -> Int, set: @escaping (Int) -> Void
        ) -> Parameter {
            Parameter(name, get: { "\(get())" }) { text in
                var text = text
                guard let number = text.withUTF8({ RESPNumber.integer(UnsafeRawBufferPointer($0)) }) else {
                    return "argument couldn't be parsed into an integer"
                }
                guard range.contains(number) else {
                    return "argument must be between \(range.lowerBound) and \(range.upperBound) inclusive"
                }
                set(number)
                return nil
            }
        }

        /// How many connections there may be, and after how many silent seconds one is closed: what every server has.
        public static func ofServer(_ server: @escaping () -> RESPServer) -> [Parameter] {
            [
                number(
                    "maxclients", 1...Int(UInt32.max), get: { server().options.connectionLimit },
                    set: { server().setConnectionLimit($0) }),
                number(
                    "timeout", 0...Int(Int32.max),
                    get: {
                        let timeout = server().options.idleTimeout
                        return timeout == .infinite ? 0 : Int(timeout.seconds)
                    }, set: { server().setIdleTimeout($0 == 0 ? .infinite : .seconds($0)) }),
                Parameter("proto-max-bulk-len", get: { "\(server().options.limits.bulkBytes)" }),
            ]
        }
    }

    private let parameters: [Parameter]
    private let reset: () -> Void

    /// - Parameter reset: counts from zero again.
    public init(_ parameters: [Parameter], reset: @escaping () -> Void) {
        self.parameters = parameters
        self.reset = reset
    }

    public var command: RESPCommand {
        func sub(_ name: String, _ arity: Int, _ summary: String, _ action: @escaping RESPCommand.Action) -> RESPCommand
        {
            RESPCommand(
                "config|" + name, arity: arity, [.admin, .loading, .stale], group: "server", summary, action: action)
        }
        return RESPCommand(
            "config", [], group: "server", "Settings",
            subcommands: [
                sub("get", -3, "Return the settings whose names match patterns") { [self] in get($0, $1) },
                sub("set", -4, "Change settings") { [self] in set($0, $1) },
                sub("resetstat", 2, "Count commands from zero") { [self] connection, _ in
                    reset()
                    connection.reply.ok()
                },
                sub("rewrite", 2, "Refused: there is no file") { connection, _ in
                    connection.reply.error("ERR The server is running without a config file")
                },
            ])
    }

    /// A name without wildcards is answered as it was typed.
    private func get(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        var chosen: [(name: String, value: String)] = []
        var seen: Set<String> = []
        for index in 2..<arguments.count {
            let typed = arguments.text(index)
            let pattern = Array(typed.lowercased().utf8)
            let isPattern = pattern.contains { "[*?".utf8.contains($0) }
            for parameter in parameters {
                var name = parameter.name
                let isMeant = name.withUTF8 { name in
                    isPattern ? GlobMatch.matches(UnsafeRawBufferPointer(name), pattern) : name.elementsEqual(pattern)
                }
                if isMeant, seen.insert(parameter.name).inserted {
                    chosen.append((isPattern ? parameter.name : typed, parameter.get()))
                }
            }
        }
        connection.reply.map(chosen.map { ($0.name, .text($0.value)) })
    }

    /// All of them are changed or none.
    private func set(_ connection: RESPServerConnection, _ arguments: RESPArguments) {
        guard arguments.count % 2 == 0 else { return connection.reply.error("ERR syntax error") }
        func failed(_ name: [UInt8], _ complaint: String) {
            connection.reply.error("ERR CONFIG SET failed (possibly related to argument '", name, "') - \(complaint)")
        }
        func typedName(_ index: Int) -> [UInt8] { arguments.printed(2 + 2 * index) }
        var changes: [Parameter] = []
        for index in 0..<arguments.count / 2 - 1 {
            let name = arguments.text(2 + 2 * index).lowercased()
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                return connection.reply.error(
                    "ERR Unknown option or number of arguments for CONFIG SET - '", typedName(index), "'")
            }
            if parameter.set == nil { return failed(typedName(index), "can't set immutable config") }
            if changes.contains(where: { $0.name == name }) { return failed(typedName(index), "duplicate parameter") }
            changes.append(parameter)
        }
        let before = changes.map { $0.get() }
        for (index, parameter) in changes.enumerated() {
            guard let complaint = parameter.set?(arguments.text(3 + 2 * index)) else { continue }
            for (index, parameter) in changes[..<index].enumerated() { _ = parameter.set?(before[index]) }
            return failed(Array(parameter.name.utf8), complaint)
        }
        connection.reply.ok()
    }
}
