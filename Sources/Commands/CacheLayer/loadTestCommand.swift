import CommandKit
import CommandServices
import KernelStructures
import KernelWire
import ShellSession

extension CacheLayerCommands {
    /// `load-test --endpoint /users/999 --concurrent 100`
    static var loadTest: Command {
        let description = CommandDescription(
            "load-test", "asks an HTTP server many times at once", usage: "--endpoint PATH [FLAGS]",
            flags: [
                .init("endpoint", "e", .text("PATH"), "what is asked for; {} stands for 1, 2 … --distinct"),
                .init("url", "u", .text("URL"), "the server (http://localhost:8080)"),
                .init("method", "X", .text("METHOD"), "how (GET; with --data POST)"),
                .init("data", "d", .text("TEXT|@FILE"), "what is sent with each; {} may stand there, too"),
                .init("header", "H", .text("NAME: VALUE"), repeatable: true, "a field of each request"),
                .init("concurrent", "c", .integer(1...5_000), "requests at a time (1; with a rate 1000)"),
                .init("rate", "r", .integer(1...1_000_000), "due a second, whatever is answered (no rate)"),
                .init("requests", "n", .integer(1...1_000_000), "requests in all (those at a time; a second's)"),
                .init("distinct", nil, .integer(1...1_000_000), "how many different ones {} stands for (1)"),
                .init("timeout", nil, .duration(), "how long one may take (30s)"), CommonFlags.json,
            ],
            examples: [
                "load-test --endpoint /users/999 --concurrent 100",
                "load-test --endpoint '/users/{}' --distinct 500 --requests 500 --concurrent 10",
                "load-test --endpoint /users/7 --rate 200 --requests 2000",
                "load-test -u http://orders:8084 -e /checkout -H 'X-User-Id: u1' -d @o.json",
            ],
            group: .clients,
            details: """
                Each request has a connection of its own. The exit status is 1 if one failed,
                or was answered 500 or more. Without a rate a slow server is asked less often;
                with one, each request is due at its time and its own time runs from then,
                also while it waits because too many are under way (begun late).
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            guard let endpoint = arguments.text("endpoint") else {
                throw UsageError("load-test: what is to be asked for? add --endpoint /users/999")
            }
            guard endpoint.hasPrefix("/"), endpoint.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
                throw UsageError("load-test: --endpoint: '\(endpoint)' is no path; it begins with /")
            }
            let base: HTTPURL
            do throws(HTTPURL.Malformed) {
                base = try HTTPURL(arguments.text("url") ?? "http://localhost:8080")
            } catch {
                throw UsageError("load-test: --url: \(error)")
            }
            guard base.scheme == .http else { throw UsageError("load-test: --url: it asks over http only") }
            var settings = LoadTest.Settings(base: base, endpoint: endpoint)
            try describeRequest(&settings, invocation)
            settings.rate = arguments.integer("rate")
            settings.concurrent = arguments.integer("concurrent") ?? (settings.rate == nil ? 1 : 1000)
            settings.requests = arguments.integer("requests") ?? settings.rate ?? settings.concurrent
            settings.distinct = arguments.integer("distinct") ?? 1
            settings.timeout = arguments.duration("timeout") ?? settings.timeout
            settings.wantsJSON = arguments.wantsJSON
            return .running(LoadTest(invocation.process, settings))
        }
    }

    /// Method, fields and body of each request.
    private static func describeRequest(_ settings: inout LoadTest.Settings, _ invocation: Invocation) throws {
        let arguments = invocation.arguments
        if let data = arguments.text("data") {
            settings.body = data
            if data.hasPrefix("@") {
                do {
                    let bytes = try invocation.session.files.read(String(data.dropFirst()))
                    settings.body = String(decoding: bytes, as: UTF8.self)
                } catch {
                    throw CommandFailure("\(error)")
                }
            }
            settings.method = "POST"
        }
        if let method = arguments.text("method") {
            guard !method.isEmpty, method.utf8.count <= 20, method.allSatisfy({ $0.isASCII && $0.isLetter }) else {
                throw UsageError("load-test: --method: '\(method)' is no method such as POST")
            }
            settings.method = method.uppercased()
        }
        for text in arguments.texts("header") {
            let parts = text.split(separator: ":", maxSplits: 1).map { String($0.trimmingPrefix(" ")) }
            guard parts.count == 2, HTTPWriter.isSafeField(name: parts[0], value: parts[1]) else {
                throw UsageError("load-test: --header: '\(text)' is no field such as 'X-User-Id: u1'")
            }
            settings.fields.append((parts[0], parts[1]))
        }
        let hasType = settings.fields.contains { $0.name.lowercased() == "content-type" }
        if settings.body != nil, !hasType { settings.fields.append(("Content-Type", "application/json")) }
    }
}
