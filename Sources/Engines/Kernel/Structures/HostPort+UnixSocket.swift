extension HostPort {
    private static let unixScheme = "unix:"

    /// A unix socket of the machine, at this path, in the place of a host and a port. Only a process of its own can
    /// connect to one: in a lab, nothing of the machine's has an address.
    public init(unixSocketAt path: String) { self.init(host: Self.unixScheme + path, port: 0) }

    /// Reads what a server behind a proxy is: `host:port`, a port, or `unix:/path`.
    public init?(parsingServer text: some StringProtocol) {
        guard text.hasPrefix(Self.unixScheme) else {
            self.init(parsing: text)
            return
        }
        let path = text.dropFirst(Self.unixScheme.count)
        guard path.first == "/", path.utf8.allSatisfy({ $0 > 32 && $0 != 127 }) else { return nil }
        self.init(unixSocketAt: String(path))
    }

    /// The path, if this is a unix socket.
    public var unixSocketPath: String? {
        guard port == 0, host.hasPrefix(Self.unixScheme) else { return nil }
        return String(host.dropFirst(Self.unixScheme.count))
    }
}
