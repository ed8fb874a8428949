import KernelStorage
import KernelStructures
import KernelTLS
import KernelWorld
import TestSupport
import Testing

@Suite("A certificate authority")
struct AuthorityTests {
    @Test("issues certificates for names and addresses, all of one length")
    func issue() throws {
        let identity = try Keys.authority.issue(["web", "127.1.0.1", "::1", "*.lab"], key: Keys.key)
        let certificate = identity.certificate
        #expect(certificate.names == ["web", "127.1.0.1", "::1", "*.lab"])
        #expect(certificate.subject == "O = sdlab, CN = web")
        #expect(certificate.issuer == "O = sdlab, CN = sdlab certificate authority")
        #expect(certificate.validFrom.description.hasPrefix("2000-01-01") && !certificate.isAuthority)
        #expect(certificate.validUntil.description.hasPrefix("2099-12-31"))
        #expect(Keys.authority.certificate.isAuthority && certificate.serialNumber.count == 32)
        #expect(certificate.fingerprint.split(separator: ":").count == 32)
        let lengths = Set(
            try (0..<50).map { _ in try Keys.authority.issue(["web"], key: Keys.key).certificate.pem.count })
        #expect(lengths.count == 1)
    }

    @Test("refuses names that would say something else inside a certificate")
    func names() {
        for bad in [
            "", "a,DNS:bank", "a b", "-a", "*", "a*", String(repeating: "a", count: 64), "käse", "*.", ".a", "a\nb",
        ] {
            #expect(throws: TLSConfigurationError.self, "\(bad)") { try Keys.authority.issue([bad], key: Keys.key) }
        }
        #expect(throws: TLSConfigurationError.self) { try Keys.authority.issue([], key: Keys.key) }
    }

    @Test("is read back from its text, and anything else is refused with the place and a remedy")
    func reading() throws {
        let again = try CertificateAuthority(pem: Keys.authority.pem, name: "ca.pem")
        #expect(again.certificate.fingerprint == Keys.authority.certificate.fingerprint)
        func complaint(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "none"
            } catch {
                return "\(error)"
            }
        }
        let identity = Keys.identity("web")
        let both = identity.certificate.pem + identity.key.pem
        #expect(
            complaint { _ = try CertificateAuthority(pem: both, name: "x.pem") }
                == "x.pem: the certificate of O = sdlab, CN = web is not an authority's")
        #expect(
            complaint { _ = try Certificate.read(pem: Array("hello".utf8), name: "x.pem") }.hasPrefix(
                "x.pem: no certificate could be read; it has to be PEM text with"))
        #expect(
            complaint { _ = try PrivateKey(pem: identity.certificate.pem, name: "key.pem") }.hasPrefix(
                "key.pem: no private key could be read"))
        let other = try PrivateKey.make()
        #expect(
            complaint {
                _ = try TLSIdentity(
                    certificates: identity.certificate.pem, key: other.pem, name: "x", keyName: "key.pem")
            } == "key.pem: the private key is not the one of the first certificate")
        #expect(complaint { _ = try Certificate.read(pem: [], name: "x") } != "none")
    }

    @Test("reads changed texts without harm: what it accepts, it can write and read again")
    func fuzz() throws {
        var random = SeededRandom(seed: 11)
        let text = Keys.identity("web", "127.0.0.1").certificate.pem
        var accepted = 0
        for _ in 0..<2000 {
            var changed = text
            for _ in 0...random.below(3) {
                switch random.below(3) {
                case 0: changed[random.below(changed.count)] = UInt8(random.below(256))
                case 1: changed.removeSubrange(0..<random.below(min(40, changed.count)))
                default: changed.insert(UInt8(random.below(256)), at: random.below(changed.count))
                }
            }
            guard let read = try? Certificate.read(pem: changed, name: "fuzz") else { continue }
            accepted += 1
            for one in read {
                let again = try Certificate.read(pem: one.pem, name: "again")
                #expect(again.count == 1 && again[0].fingerprint == one.fingerprint)
                _ = (one.names, one.subject, one.issuer, one.validFrom, one.validUntil, one.serialNumber)
            }
        }
        #expect(accepted > 50 && accepted < 2000)
    }

    @Test("of a lab is made once, kept, and found again; a spoilt one is not replaced")
    func kept() throws {
        let disk = SimulatedDisk()
        let place = LabAuthority.Place(disk: disk, directory: "/home/u/.local/share/sdlab/ca")
        let first = LabAuthority.of(memoryWorld())
        first.place = place
        let made = try first.authority()
        let second = LabAuthority.of(memoryWorld())
        second.place = place
        #expect(try second.authority().certificate.fingerprint == made.certificate.fingerprint)
        let file = try disk.open(place.publicFile, [], owner: .lab)
        #expect(try file.read(at: 0, count: 100_000) == made.certificate.pem)
        let secret = try disk.open(place.secretFile, .write, owner: .lab)
        try secret.write(Array("spoilt".utf8), at: 40)
        let third = LabAuthority.of(memoryWorld())
        third.place = place
        do {
            _ = try third.authority()
            Issue.record("a spoilt authority was accepted")
        } catch {
            #expect(error.description.contains("ca-key.pem") && error.description.hasSuffix("for a new authority"))
        }
    }

    @Test("of a lab gives each node one certificate, for its name, its addresses and localhost")
    func nodes() throws {
        let world = memoryWorld()
        let authority = LabAuthority.of(world)
        let identity = try authority.identity(of: world.node("web"))
        #expect(identity.certificate.names == ["web", "127.1.0.1", "fd5d:1ab::1", "localhost", "127.0.0.1", "::1"])
        #expect(LabAuthority.of(world) === authority)
        let again = try authority.identity(of: world.nodes["web"]!)
        #expect(again.certificate.fingerprint == identity.certificate.fingerprint)
        let more = try authority.identity(of: world.nodes["web"]!, names: ["www.lab"])
        #expect(more.certificate.names.contains("www.lab"))
        #expect(
            try LabAuthority.of(memoryWorld()).authority().certificate.fingerprint
                == authority.authority().certificate.fingerprint, "made once in a process")
    }
}
