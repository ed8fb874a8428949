import Glibc
import Testing

/// TLS as programs outside see it: curl and OpenSSL's own client, with the lab's CA file.
@Suite struct ProcessTLSTests {
    /// Runs a program of the host in a directory, to its end.
    private func run(_ tool: String, _ words: [String], in place: ProgramDirectory, input: String? = "") throws
        -> (status: Int, output: String, errors: String)
    {
        let process = try ProgramProcess(
            words, input: input, directory: place.path, program: try ProgramTool.needed(tool))
        return (try process.waitForExit(), process.output, process.errors)
    }

    private func sdlab(_ words: String..., in place: ProgramDirectory) throws
        -> (status: Int, output: String, errors: String)
    {
        let process = try ProgramProcess(words, directory: place.path)
        return (try process.waitForExit(), process.output, process.errors)
    }

    @Test(
        "the real curl trusts a backend by the lab's CA file, and by nothing else",
        .enabled(if: ProgramTool.canRun("curl")))
    func curl() throws {
        let scratch = try ProgramDirectory()
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service(
            "backend", "--name", "shop", "--tls", "--tls-dir", scratch.path + "/ca", port: port)
        #expect(try sdlab("ca", "export", "lab.pem", "--tls-dir", "ca", in: scratch).status == 0)
        let url = "https://localhost:\(port)/"
        func curl(_ words: String...) throws -> (status: Int, output: String, errors: String) {
            try run("curl", ["-sS"] + words, in: scratch)
        }
        #expect(try curl("--cacert", "lab.pem", url).output == "Response from shop\n")
        #expect(try curl("--cacert", "ca/ca.pem", "https://127.0.0.1:\(port)/").status == 0)
        let (shop, bank) = ("shop:\(port)", "bank:\(port)")
        #expect(
            try curl("--cacert", "lab.pem", "--resolve", "\(shop):127.0.0.1", "https://\(shop)/").status == 0)
        #expect(try curl(url).status == 60)
        #expect(
            try curl("--cacert", "lab.pem", "--resolve", "\(bank):127.0.0.1", "https://\(bank)/").status == 60)
        for version in ["1.2", "1.3"] {
            let big = try curl(
                "--cacert", "lab.pem", "--tlsv\(version)", "--tls-max", version, "-o", "big", "-w",
                "%{size_download}", "\(url)bytes/5MiB")
            #expect(big.output == String(5 << 20), "\(big.errors)")
        }
        // The lab's own curl finds the same authority in the same directory, and the key is nobody else's.
        var status = stat()
        #expect(stat(scratch.path + "/ca/ca-key.pem", &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(backend.isRunning)
    }

    @Test(
        "both curls say the same of what goes wrong, and end with the same status",
        .enabled(if: ProgramTool.canRun("curl")))
    func comparison() throws {
        let scratch = try ProgramDirectory()
        #expect(try sdlab("ca", "export", "lab.pem", "--tls-dir", "ca", in: scratch).status == 0)
        #expect(try sdlab("ca", "issue", "shop", "--self-signed", in: scratch).status == 0)
        #expect(try sdlab("ca", "issue", "alice", "--tls-dir", "ca", in: scratch).status == 0)
        let (port, own, strict, plain) = (
            try ProgramPort.free(), try ProgramPort.free(), try ProgramPort.free(), try ProgramPort.free()
        )
        let directory = scratch.path + "/ca"
        let services = [
            try ProgramProcess.service("backend", "--tls", "--tls-dir", directory, port: port),
            try ProgramProcess.service(
                "backend", "--tls-cert", scratch.path + "/shop.pem", "--tls-key", scratch.path + "/shop-key.pem",
                port: own),
            try ProgramProcess.service(
                "backend", "--tls", "--tls-dir", directory, "--tls-client-ca", scratch.path + "/lab.pem", port: strict),
            try ProgramProcess.service("backend", port: plain),
        ]
        let cases: [[String]] = [
            ["https://localhost:\(port)/"], ["--cacert", "none.pem", "https://localhost:\(port)/"],
            ["--cacert", "alice-key.pem", "https://localhost:\(port)/"],
            ["--resolve", "bank:\(port):127.0.0.1", "https://bank:\(port)/"], ["https://localhost:\(own)/"],
            ["--cacert", "shop.pem", "https://localhost:\(own)/"],
            ["--cacert", "shop.pem", "--resolve", "shop:\(own):127.0.0.1", "https://shop:\(own)/"],
            ["-k", "https://localhost:\(own)/"], ["https://localhost:\(strict)/"],
            ["--tls-max", "1.2", "https://localhost:\(strict)/"],
            ["--cert", "alice.pem", "--key", "alice-key.pem", "https://localhost:\(strict)/"],
            ["--cert", "none.pem", "https://localhost:\(strict)/"],
            ["--cert", "alice.pem", "https://localhost:\(strict)/"],
            ["--cert", "alice.pem", "--key", "none.pem", "https://localhost:\(strict)/"],
            ["--cert", "alice.pem", "--key", "shop-key.pem", "https://localhost:\(strict)/"],
            ["--tlsv1.3", "--tls-max", "1.2", "https://localhost:\(port)/"], ["https://localhost:\(plain)/"],
            ["http://localhost:\(port)/"], ["--resolve", "nonsense", "https://localhost:\(port)/"],
        ]
        for words in cases {
            // Both trust the same: the lab's authority, unless something else is named.
            let trust = words.contains("--cacert") || words.contains("-k") ? [] : ["--cacert", "lab.pem"]
            let theirs = try ProgramProcess(
                ["-sS"] + trust + words, directory: scratch.path,
                program: try ProgramTool.needed("curl"))
            let ours = try ProgramProcess(["curl", "-sS"] + trust + words, directory: scratch.path)
            let (status, expected) = (try ours.waitForExit(), try theirs.waitForExit())
            #expect(status == expected && ours.errors == theirs.errors && ours.output == theirs.output, "\(words)")
        }
        #expect(services.allSatisfy { $0.isRunning })
    }

    @Test(
        "OpenSSL's own client agrees on the protocol, and hears the goodbye",
        .enabled(if: ProgramTool.canRun("openssl")))
    func openssl() throws {
        let scratch = try ProgramDirectory()
        let port = try ProgramPort.free()
        let backend = try ProgramProcess.service("backend", "--tls", "--tls-dir", scratch.path + "/ca", port: port)
        func client(_ words: String...) throws -> String {
            let process = try ProgramProcess(
                ["s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", "ca/ca.pem", "-verify_return_error"] + words,
                input: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", directory: scratch.path,
                program: try ProgramTool.needed("openssl"))
            _ = try process.waitForExit()
            return process.output + process.errors
        }
        let first = try client("-servername", "localhost", "-alpn", "http/1.1", "-sess_out", "s.pem", "-ign_eof")
        #expect(first.contains("Verify return code: 0 (ok)") && first.contains("Response from backend"), "\(first)")
        #expect(first.contains("ALPN protocol: http/1.1") && first.contains("closed"))
        let second = try client("-tls1_2", "-ign_eof")
        #expect(second.contains("Protocol  : TLSv1.2") && second.contains("Response from backend"))
        #expect(try client("-tls1_1").contains("alert protocol version") || client("-tls1_1").contains("error"))
        #expect(backend.isRunning)
    }

    @Test("redis-cli reaches the store over TLS", .enabled(if: ProgramTool.canRun("redis-cli")))
    func redis() throws {
        let scratch = try ProgramDirectory()
        let port = try ProgramPort.free()
        let store = try ProgramProcess.service(
            "lsm-kv", "--data-dir", scratch.path + "/data", "--tls", "--tls-dir", scratch.path + "/ca", port: port)
        func ask(_ words: String...) throws -> String {
            let process = try ProgramProcess(
                ["-p", String(port), "--tls", "--cacert", "ca/ca.pem"] + words, directory: scratch.path,
                program: try ProgramTool.needed("redis-cli"))
            _ = try process.waitForExit()
            return process.output + process.errors
        }
        #expect(try ask("SET", "k", "v") == "OK\n")
        #expect(try ask("GET", "k") == "v\n")
        let own = try sdlab("kv-cli", "--port", String(port), "--tls", "--tls-dir", "ca", "GET", "k", in: scratch)
        #expect(own.status == 0 && own.output.contains("v"), "\(own.errors)")
        #expect(store.isRunning)
    }

    @Test("what is wrong with the flags is said before anything starts")
    func complaints() throws {
        let scratch = try ProgramDirectory()
        func complaint(_ words: String...) throws -> String {
            let process = try ProgramProcess(["backend", "--port", "65001"] + words, directory: scratch.path)
            #expect(try process.waitForExit() != 0)
            return process.errors
        }
        #expect(try complaint("--tls-key", "x.pem").contains("add --tls"))
        #expect(try complaint("--tls-cert", "x.pem").contains("x.pem: No such file or directory"))
    }
}
