import Foundation
import KernelCryptography
import KernelJSON
import KernelJWT
import KernelStructures
import TestSupport
import Testing

private enum HAProxy {
    static let path = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    static let canRun = ProcessInfo.processInfo.environment["CI"] != nil || TestPython.canRun && path != nil
}

/// HAProxy's `jwt_verify` beside ours: the same keys, and the same signatures, good ones and forged ones.
@Suite("Signatures beside HAProxy", .enabled(if: HAProxy.canRun, "no HAProxy, or no Python with PyJWT"))
struct HAProxyTests {
    /// Those that HAProxy 2.6 knows.
    private static let algorithms: [JWSAlgorithm] = [
        .rs256, .rs384, .rs512, .es256, .es384, .es512, .hs256, .hs384, .hs512,
    ]
    private static let secret = String(repeating: "5f", count: 32)

    /// Starts HAProxy with a rule for each key, and asks it about each token; prints the statuses.
    private static let program = """
        import json, os, pathlib, socket, subprocess, sys, tempfile, time
        from jwt.algorithms import ECAlgorithm, RSAAlgorithm
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        given = json.load(sys.stdin)
        with tempfile.TemporaryDirectory() as place, socket.socket() as hole:
            place = pathlib.Path(place)
            hole.bind(("127.0.0.1", 0))
            port = hole.getsockname()[1]
            rules = []
            for name, key in given["keys"].items():
                if key["kty"] == "oct":
                    by = given["secret"]
                else:
                    by = place / f"{name}.pem"
                    read = RSAAlgorithm if key["kty"] == "RSA" else ECAlgorithm
                    by.write_bytes(read.from_jwk(key).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
                rules.append(
                    f'http-request deny deny_status 401 if {{ path /{name} }} '
                    f'!{{ http_auth_bearer,jwt_verify("{name}","{by}") 1 }}')
            newline = "\\n    "
            (place / "haproxy.cfg").write_text(f'''
        global
            nbthread 1
        defaults
            mode http
            timeout connect 5s
            timeout client 30s
            timeout server 30s
        frontend front
            bind 127.0.0.1:{port}
            {newline.join(rules)}
            http-request return status 200
        ''')
            hole.close()
            log = open(place / "log", "wb")
            command = [given["haproxy"], "-db", "-f", str(place / "haproxy.cfg")]
            haproxy = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                deadline = time.monotonic() + 20
                while True:
                    try:
                        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                        break
                    except OSError:
                        if haproxy.poll() is not None or time.monotonic() > deadline:
                            sys.exit((place / "log").read_text(errors="replace"))
                        time.sleep(0.02)
                answers = connection.makefile("rb")
                statuses = []
                for case in given["cases"]:
                    head = [f"GET /{case['alg']} HTTP/1.1", "Host: h", f"Authorization: Bearer {case['token']}"]
                    connection.sendall("".join(line + "\\r\\n" for line in head + [""]).encode())
                    status = int(answers.readline().split()[1])
                    length = 0
                    while (line := answers.readline().strip()):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    answers.read(length)
                    statuses.append(status)
                    if status == 400:
                        sys.exit(f"no request: {case}")
                print(json.dumps(statuses))
            finally:
                haproxy.kill()
                haproxy.wait()
        """

    private static func key(_ algorithm: JWSAlgorithm) throws -> JWK {
        algorithm.isSymmetric
            ? try JWK(secret: Array(secret.utf8), keyID: "shared", algorithm: algorithm) : Keys.of(algorithm)
    }

    private struct Case {
        let algorithm: JWSAlgorithm
        let what: String
        let token: String
    }

    /// One good token and what forgers make of it, for one algorithm.
    private func cases(_ algorithm: JWSAlgorithm, _ tokens: [JWSAlgorithm: String]) throws -> [Case] {
        let good = try #require(tokens[algorithm])
        let parts = good.split(separator: ".").map(String.init)
        let signature = try #require(Base64.url.decode(parts[2].utf8))
        var cases = [Case(algorithm: algorithm, what: "good", token: good)]
        func add(_ what: String, _ token: String) { cases.append(Case(algorithm: algorithm, what: what, token: token)) }
        func sign(_ what: String, _ bytes: [UInt8]) {
            add(what, "\(parts[0]).\(parts[1]).\(Base64.url.encode(bytes))")
        }
        for place in stride(from: 0, to: signature.count, by: max(1, signature.count / (isLong ? 64 : 12))) {
            var changed = signature
            changed[place] ^= UInt8(1 << (place % 8))
            sign("bit \(place)", changed)
        }
        sign("short", signature.dropLast())
        sign("long", signature + [0])
        sign("none", [])
        sign("zeros", signature.map { _ in 0 })
        sign("ones", signature.map { _ in 255 })
        sign("reversed", signature.reversed())
        if algorithm.rawValue.hasPrefix("ES") { sign("DER", Self.der(signature)) }
        for (index, name) in [(0, "header"), (1, "payload")] {
            var bytes = try #require(Base64.url.decode(parts[index].utf8))
            bytes.append(UInt8(ascii: " "))
            var others = parts
            others[index] = Base64.url.encode(bytes)
            add("changed \(name)", others.joined(separator: "."))
        }
        for end in ["=", "==", ".", ".x"] { add("with \(end)", good + end) }
        add("two parts", parts[0] + "." + parts[1])
        for other in Self.algorithms where other != algorithm {
            let token = try #require(tokens[other])
            add("token of \(other.rawValue)", token)
            add("signature of \(other.rawValue)", "\(parts[0]).\(parts[1]).\(token.split(separator: ".")[2])")
        }
        return cases
    }

    /// A signature as certificates have it.
    private static func der(_ raw: [UInt8]) -> [UInt8] {
        func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
            var digits = Array(bytes.drop { $0 == 0 })
            if digits.isEmpty || digits[0] >= 128 { digits.insert(0, at: 0) }
            return [2, UInt8(digits.count)] + digits
        }
        let body = integer(raw[..<(raw.count / 2)]) + integer(raw[(raw.count / 2)...])
        return [0x30] + (body.count < 128 ? [] : [0x81]) + [UInt8(body.count)] + body
    }

    // @covers GW-C2
    @Test("what one accepts the other does: RS, ES and HS, good signatures and forged ones")
    func difference() throws {
        let claims: JSONValue = ["sub": "u1", "exp": 9_999_999_999]
        var tokens: [JWSAlgorithm: String] = [:]
        var keys: [(key: String, value: JSONValue)] = []
        for algorithm in Self.algorithms {
            let key = try Self.key(algorithm)
            tokens[algorithm] = try JWTSigner(key: key, algorithm: algorithm).sign(claims)
            keys.append((algorithm.rawValue, algorithm.isSymmetric ? ["kty": "oct"] : key.publicKey.json()))
        }
        let cases = try Self.algorithms.flatMap { try self.cases($0, tokens) }
        let asked = cases.map { one -> JSONValue in
            ["alg": .string(one.algorithm.rawValue), "token": .string(one.token)]
        }
        let input: JSONValue = [
            "haproxy": .string(HAProxy.path ?? "haproxy"), "secret": .string(Self.secret), "keys": .object(keys),
            "cases": .array(asked),
        ]
        let output = try TestPython.run(Self.program, input: input.text(.compact))
        guard case .array(let statuses) = try JSONValue(parsing: output) else { fatalError("no list: \(output)") }
        #expect(statuses.count == cases.count && statuses.count { $0 == 200 } == Self.algorithms.count)
        for (one, status) in zip(cases, statuses) {
            let key = try Self.key(one.algorithm)
            let set = try JWKSet(keys: [key.isSymmetric ? key : key.publicKey])
            let failure = failure(Array(one.token.utf8), set, JWTPolicy(algorithms: [one.algorithm]))
            #expect(
                (failure == nil) == (status == 200),
                "\(one.algorithm.rawValue), \(one.what): HAProxy \(status.text), here \(failure?.reason ?? "accepted")")
        }
    }
}
