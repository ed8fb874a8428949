import Testing

/// A server is meant by its name, its address or its port.
@Suite struct NodeNameTests {
    private static let lab = """
        backend --port 8081 --name Server-A &
        backend --port 8082 --name Server-B &
        backend --port 8081 --name Second &
        udp-echo --port 9000 &
        sleep 1
        """

    private func name(_ text: String, after more: String = "") -> String? {
        let shell = LabShell()
        shell.run(Self.lab + "\n" + more)
        return shell.session.node(meantBy: text)?.name
    }

    @Test(
        "however it is called, the same node is found",
        arguments: [
            ("Server-B", "Server-B"), ("server-b", "Server-B"), ("8082", "Server-B"), (":8082", "Server-B"),
            ("localhost:8082", "Server-B"), ("127.0.0.1:8082", "Server-B"), ("Server-B:8082", "Server-B"),
            ("8081", "Server-A"), ("Second:8081", "Second"), ("9000", "echo"),
        ])
    func found(_ text: String, _ expected: String) { #expect(name(text) == expected) }

    @Test(
        "what nobody is called finds nobody",
        arguments: [
            "", ":", "0", "99999", "8083", "Server-B:1", "nosuch", "::", "a:b", "-1", "[::1]", "localhost", "client",
        ])
    func notFound(_ text: String) { #expect(name(text) == nil) }

    @Test("an address names its node, and a dead one is known by the port that it was started with")
    func addresses() throws {
        let shell = LabShell()
        shell.run(Self.lab)
        let address = try #require(shell.session.node(meantBy: "Server-B")).address.description
        #expect(shell.session.node(meantBy: address)?.name == "Server-B")
        #expect(shell.session.node(meantBy: address + ":8082")?.name == "Server-B")
        #expect(shell.run("kill -9 8082; restart 8082; curl -s localhost:8082").output == "Response from Server-B\n")
    }
}
