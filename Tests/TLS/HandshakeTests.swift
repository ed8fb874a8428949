import KernelStructures
import KernelTLS
import KernelWorld
import TestSupport
import Testing

@Suite("A TLS handshake")
struct HandshakeTests {
    @Test("makes both ends believe, by TLS 1.3 and by 1.2", arguments: TLSVersion.allCases)
    func agreement(_ version: TLSVersion) throws {
        let connection = try Connection(
            server: {
                $0.versions = version...version; $0.applicationProtocols = ["http/1.1"]
            },
            client: { $0.applicationProtocols = ["h2", "http/1.1"] })
        #expect(connection.near.events == ["opened"] && connection.far.events == ["opened"])
        let session = try #require(connection.near.stream.security)
        #expect(session.version == "TLSv\(version)" && session.applicationProtocol == "http/1.1" && !session.isResumed)
        #expect(session.peerSubject == "O = sdlab, CN = web" && session.serverName == "web")
        #expect(connection.far.stream.security?.serverName == "web")
        #expect(connection.far.stream.security?.peerSubject == nil)
        connection.near.stream.write("ping")
        connection.world.pass(.milliseconds(1))
        connection.far.stream.write("pong")
        connection.world.pass(.milliseconds(1))
        #expect(connection.near.text == "pong" && connection.far.text == "ping")
    }

    @Test("refuses who is not vouched for, under another name, too old or too new, and says which")
    func distrust() throws {
        func reason(
            _ identity: TLSIdentity, host: String = "web", _ change: (inout TLSClientOptions) -> Void = { _ in }
        ) throws -> String {
            let connection = try Connection(
                host: host, server: { $0.identities = [identity] }, client: change)
            #expect(connection.near.events == ["closed TLS failed"], "\(connection.near.events)")
            #expect(connection.far.events == ["closed TLS failed"], "\(connection.far.events)")
            guard case .alert = connection.far.failure?.kind else {
                Issue.record("the server was not told: \(String(describing: connection.far.failure))")
                return ""
            }
            return connection.near.failure?.reason ?? "none"
        }
        #expect(
            try reason(Keys.identity("web", by: Keys.stranger)) == "unable to get local issuer certificate")
        #expect(try reason(Keys.identity("shop")) == "hostname mismatch")
        #expect(try reason(Keys.identity("web"), host: "127.0.0.1") == "IP address mismatch")
        let past = CertificateAuthority.Validity(
            from: .documentedEpoch - .seconds(7200), until: .documentedEpoch - .seconds(1))
        let future = CertificateAuthority.Validity(
            from: .documentedEpoch + .seconds(60), until: .documentedEpoch + .seconds(7200))
        let old = try Keys.authority.issue(["web"], key: Keys.key, validity: past)
        let new = try Keys.authority.issue(["web"], key: Keys.key, validity: future)
        #expect(try reason(old) == "certificate has expired")
        #expect(try reason(new) == "certificate is not yet valid")
        let own = try TLSIdentity(
            certificates: [Keys.stranger.certificate], key: Keys.stranger.key, name: "self-signed")
        #expect(try reason(own) == "self-signed certificate")
    }

    @Test("judges certificates at the node's own time")
    func nodeTime() throws {
        let world = memoryWorld()
        let soon = CertificateAuthority.Validity(
            from: .documentedEpoch + .seconds(60), until: .documentedEpoch + .seconds(7200))
        let identity = try Keys.authority.issue(["web"], key: Keys.key, validity: soon)
        let connection = try Connection(world, server: { $0.identities = [identity] })
        #expect(connection.near.failure?.reason == "certificate is not yet valid")
        connection.clientNode.clockSkew = .seconds(61)
        #expect(try connection.dial().events == ["opened"])
        connection.clientNode.clockSkew = .zero
        world.pass(.seconds(7300))
        #expect(try connection.dial().events == ["closed TLS failed"])
        #expect(connection.near.failure?.reason == "certificate has expired")
    }

    @Test("believes what it is told to: any name, anybody, wildcards, addresses")
    func trust() throws {
        #expect(
            try Connection(
                server: { $0.identities = [Keys.identity("shop")] }, client: { $0.verification = .authority }
            ).near.events == ["opened"])
        #expect(
            try Connection(
                server: { $0.identities = [Keys.identity("shop", by: Keys.stranger)] },
                client: {
                    $0.verification = .none; $0.authorities = []
                }
            ).near.events == ["opened"])
        #expect(
            try Connection(host: "a.x.lab", server: { $0.identities = [Keys.identity("*.x.lab")] }).near.events
                == ["opened"])
        #expect(
            try Connection(host: "127.1.0.1", server: { $0.identities = [Keys.identity("web", "127.1.0.1")] }).near
                .events == ["opened"])
    }

    @Test("shows the certificate of the name that is asked for")
    func serverNames() throws {
        func subject(_ host: String) throws -> String? {
            try Connection(
                host: host,
                server: { $0.identities = [Keys.identity("web"), Keys.identity("shop"), Keys.identity("*.lab")] },
                client: { $0.verification = .authority }
            ).near.stream.security?.peerSubject
        }
        #expect(try subject("shop") == "O = sdlab, CN = shop")
        #expect(try subject("SHOP") == "O = sdlab, CN = shop")
        #expect(try subject("x.lab") == "O = sdlab, CN = *.lab")
        #expect(try subject("x.y.lab") == "O = sdlab, CN = web", "a wildcard stands for one label")
        #expect(try subject("elsewhere") == "O = sdlab, CN = web")
    }

    @Test("asks clients for certificates: never, if they have one, or always", arguments: TLSVersion.allCases)
    func clientCertificates(_ version: TLSVersion) throws {
        func dial(
            _ demand: TLSServerOptions.ClientCertificates, _ identity: TLSIdentity?
        ) throws -> Connection {
            try Connection(
                server: {
                    $0.clientCertificates = demand
                    $0.clientAuthorities = [Keys.authority.certificate]
                    $0.versions = version...version
                }, client: { $0.identity = identity })
        }
        let alice = Keys.identity("alice")
        let mallory = Keys.identity("mallory", by: Keys.stranger)
        #expect(try dial(.required, alice).far.stream.security?.peerSubject == "O = sdlab, CN = alice")
        #expect(try dial(.optional, alice).far.stream.security?.peerSubject == "O = sdlab, CN = alice")
        #expect(try dial(.none, alice).far.stream.security?.peerSubject == nil)
        #expect(try dial(.optional, nil).far.events == ["opened"])
        let refused = try dial(.required, nil)
        #expect(refused.far.events == ["closed TLS failed"])
        #expect(refused.far.failure?.reason == "peer did not return a certificate")
        // With TLS 1.3 the client has opened before it hears that its certificate is missing.
        #expect(refused.near.events.last == "closed TLS failed")
        guard case .alert = refused.near.failure?.kind else {
            Issue.record("\(String(describing: refused.near.failure))")
            return
        }
        #expect(try dial(.required, mallory).far.failure?.reason == "unable to get local issuer certificate")
        #expect(throws: TLSConfigurationError.self) { try Connection(server: { $0.clientCertificates = .required }) }
    }

    @Test("fails where there is no version or protocol in common")
    func nothingInCommon() throws {
        let versions = try Connection(
            server: { $0.versions = .tls13 ... .tls13 }, client: { $0.versions = .tls12 ... .tls12 })
        #expect(versions.far.failure?.reason == "unsupported protocol", "\(String(describing: versions.far.failure))")
        #expect(versions.near.failure?.kind == .alert(70))
        let protocols = try Connection(
            server: { $0.applicationProtocols = ["http/1.1"] }, client: { $0.applicationProtocols = ["h2"] })
        #expect(protocols.near.failure?.kind == .alert(120), "\(String(describing: protocols.near.failure))")
        #expect(protocols.server.failureCount == 1 && protocols.server.handshakeCount == 0)
    }

    @Test("resumes an earlier session, for two hours and from the same client only", arguments: TLSVersion.allCases)
    func resumption(_ version: TLSVersion) throws {
        let connection = try Connection(server: { $0.versions = version...version })
        #expect(connection.near.stream.security?.isResumed == false)
        connection.near.stream.close()
        connection.world.pass(.seconds(3))
        let second = try connection.dial()
        #expect(second.stream.security?.isResumed == true && connection.server.resumedCount == 1)
        second.stream.write("ping")
        connection.world.pass(.milliseconds(1))
        #expect(connection.far.text == "ping")
        second.stream.close()
        connection.world.pass(.seconds(7200))
        #expect(try connection.dial().stream.security?.isResumed == false)
        #expect(try connection.dial("web.").stream.security?.isResumed == false, "another name, another session")
    }

    @Test("takes no longer than it may")
    func timeout() throws {
        let world = memoryWorld()
        let connection = try Connection(world, server: { $0.handshakeTimeout = .seconds(3) })
        let silent = End()
        silent.attach(try connection.clientNode.connect(to: HostPort(host: "web", port: 443), handler: silent))
        world.pass(.milliseconds(2900))
        #expect(connection.far.events == [] && silent.events == ["opened"])
        world.pass(.milliseconds(200))
        #expect(connection.far.events == ["closed TLS failed"] && connection.far.failure == .timedOut)
        #expect(silent.events == ["opened", "ended"])
        silent.stream.close()
        world.pass(.seconds(3))
        #expect(world.network.openStreamCount == 2, "those of the first connection")
    }
}
