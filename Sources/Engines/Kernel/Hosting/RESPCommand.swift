import KernelWire

/// A command of a RESP server: what `COMMAND` tells of it, and what it does.
public final class RESPCommand {
    /// What a command is like, by Redis's names.
    public struct Flags: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        public static let write = Flags(rawValue: 1)
        public static let readOnly = Flags(rawValue: 2)
        public static let denyOutOfMemory = Flags(rawValue: 4)
        public static let admin = Flags(rawValue: 8)
        public static let fast = Flags(rawValue: 16)
        public static let noAuthentication = Flags(rawValue: 32)
        /// Carried out at once even while a transaction is being collected.
        public static let immediate = Flags(rawValue: 64)
        /// Refused within a transaction.
        public static let noTransaction = Flags(rawValue: 128)
        public static let loading = Flags(rawValue: 256)
        public static let stale = Flags(rawValue: 512)

        /// As `COMMAND INFO` names them.
        static let names: [(Flags, String)] = [
            (.write, "write"), (.readOnly, "readonly"), (.denyOutOfMemory, "denyoom"), (.admin, "admin"),
            (.loading, "loading"), (.stale, "stale"), (.fast, "fast"), (.noAuthentication, "no_auth"),
            (.noTransaction, "no_multi"),
        ]
        var names: [String] { Self.names.filter { contains($0.0) }.map(\.1) }
    }

    /// Where the keys stand among the arguments: the first, the last (negative: from the end) and the step; 0 0 0 for
    /// none.
    public struct Keys: Sendable {
        public let first: Int
        public let last: Int
        public let step: Int
        public init(_ first: Int, _ last: Int, _ step: Int) {
            self.first = first
            self.last = last
            self.step = step
        }
        public static let none = Keys(0, 0, 0)
        public static let one = Keys(1, 1, 1)
        public static let all = Keys(1, -1, 1)
    }

    /// Answers by writing into `connection.reply`. The arguments are valid during the call.
    public typealias Action = (_ connection: RESPServerConnection, _ arguments: RESPArguments) -> Void

    /// In lower case; a subcommand's has its command's before it: `client|setname`.
    public let name: String
    /// How many words a request has, its name included; negative: at least so many.
    public let arity: Int
    public let flags: Flags
    public let keys: Keys
    public let group: String
    public let summary: String
    let action: Action
    /// At which places of a request its keys stand, where `keys` cannot say it.
    public var findKeys: ((RESPArguments) -> [Int])?
    /// For a command whose second word says what it does.
    let subcommands: RESPCommandTable?
    /// How often it was carried out, and how often it answered with an error.
    public internal(set) var callCount = 0
    public internal(set) var failureCount = 0

    public init(
        _ name: String, arity: Int, _ flags: Flags = [], keys: Keys = .none, group: String, _ summary: String,
        action: @escaping Action
    ) {
        self.name = name
        self.arity = arity
        self.flags = flags
        self.keys = keys
        self.group = group
        self.summary = summary
        self.action = action
        subcommands = nil
    }

    /// A command that consists of subcommands, whose names are given without it.
    ///
    /// - Parameter action: what it does without a second word; only reached if `arity` allows that.
    public init(
        _ name: String, arity: Int = -2, _ flags: Flags = [], group: String, _ summary: String,
        subcommands: [RESPCommand], action: @escaping Action = { _, _ in }
    ) {
        self.name = name
        self.arity = arity
        self.flags = flags
        keys = .none
        self.group = group
        self.summary = summary
        self.action = action
        self.subcommands = RESPCommandTable(subcommands, prefix: name + "|")
    }

    /// At which places of a request its keys stand.
    public func keyPlaces(_ arguments: RESPArguments) -> [Int] {
        if let findKeys { return findKeys(arguments) }
        let last = keys.last < 0 ? arguments.count + keys.last : min(keys.last, arguments.count - 1)
        guard keys.first > 0, keys.first <= last else { return [] }
        return Array(stride(from: keys.first, through: last, by: keys.step))
    }

    public var subcommandList: [RESPCommand] { subcommands?.commands ?? [] }

    func forgetCounts() {
        callCount = 0
        failureCount = 0
        for command in subcommandList { command.forgetCounts() }
    }

    @inline(__always) func accepts(_ wordCount: Int) -> Bool {
        arity >= 0 ? wordCount == arity : wordCount >= -arity
    }
}

/// Commands by name, without regard to case. A name is looked up where it lies in the request's bytes.
public final class RESPCommandTable {
    /// In the order they were given.
    public let commands: [RESPCommand]
    private var names: [[UInt8]]
    /// Open addressing: 1 + the command's index, or 0.
    private var slots: [Int32]
    private let mask: Int

    /// - Parameter prefix: what the names begin with that is not looked up.
    public init(_ commands: [RESPCommand], prefix: String = "") {
        self.commands = commands
        names = commands.map { Array($0.name.utf8.dropFirst($0.name.hasPrefix(prefix) ? prefix.utf8.count : 0)) }
        var size = 16
        while size < commands.count * 4 { size *= 2 }
        mask = size - 1
        slots = .init(repeating: 0, count: size)
        for (index, name) in names.enumerated() {
            var slot = name.withUnsafeBytes { Self.hash($0) } & mask
            while slots[slot] != 0 {
                precondition(names[Int(slots[slot]) - 1] != name, "\(commands[index].name) stands there twice")
                slot = (slot + 1) & mask
            }
            slots[slot] = Int32(index + 1)
        }
    }

    public func find(_ word: UnsafeRawBufferPointer) -> RESPCommand? {
        if word.count > 64 { return nil }
        var slot = Self.hash(word) & mask
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            if isEqual(word, names[index]) { return commands[index] }
            slot = (slot + 1) & mask
        }
        return nil
    }

    public subscript(name: String) -> RESPCommand? {
        var name = name
        return name.withUTF8 { find(UnsafeRawBufferPointer($0)) }
    }

    private func isEqual(_ word: UnsafeRawBufferPointer, _ name: [UInt8]) -> Bool {
        guard word.count == name.count else { return false }
        for place in 0..<word.count {
            let letter = word[place]
            let lower = letter >= 65 && letter <= 90 ? letter | 0x20 : letter
            if lower != name[place] { return false }
        }
        return true
    }

    /// FNV-1a, blind to case. The table is small and fixed, so nobody can flood it.
    private static func hash(_ word: UnsafeRawBufferPointer) -> Int {
        var hash: UInt32 = 2_166_136_261
        for letter in word { hash = (hash ^ UInt32(letter | 0x20)) &* 16_777_619 }
        return Int(hash ^ hash >> 15)
    }
}
