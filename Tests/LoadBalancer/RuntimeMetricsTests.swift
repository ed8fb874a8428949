import KernelStructures
import KernelWorld
import TestSupport
import Testing

/// A strict reader of Prometheus's text format: what it does not understand, it refuses.
struct MetricsReader {
    private(set) var samples: [String: Double] = [:]
    private(set) var types: [String: String] = [:]

    struct Failure: Error { let line: String }

    init(_ text: String) throws {
        var helped: Set<String> = []
        var family = ""
        var closed: Set<String> = []
        guard text.hasSuffix("\n") else { throw Failure(line: "no end of line at the end") }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            if line.hasPrefix("# ") {
                guard words.count == 4, Self.isName(words[2]) else { throw Failure(line: line) }
                if words[1] == "HELP" {
                    guard helped.insert(words[2]).inserted, !closed.contains(words[2]) else {
                        throw Failure(line: line)
                    }
                    if !family.isEmpty { closed.insert(family) }
                    family = words[2]
                } else {
                    guard words[1] == "TYPE", words[2] == family, types[family] == nil,
                        ["counter", "gauge"].contains(words[3])
                    else { throw Failure(line: line) }
                    types[family] = words[3]
                }
            } else {
                let end = line.firstIndex { $0 == "{" || $0 == " " } ?? line.endIndex
                guard line[..<end] == family, types[family] != nil, let blank = line.lastIndex(of: " "),
                    let value = Double(line[line.index(after: blank)...]), blank >= end
                else { throw Failure(line: line) }
                let labels = String(line[end..<blank])
                guard Self.areLabels(labels), samples[family + labels] == nil else { throw Failure(line: line) }
                samples[family + labels] = value
            }
        }
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && !text.first!.isNumber
            && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
    }

    /// Nothing, or names and quoted values in braces.
    private static func areLabels(_ text: String) -> Bool {
        if text.isEmpty { return true }
        guard text.hasPrefix("{"), text.hasSuffix("}") else { return false }
        var rest = text.dropFirst()
        while true {
            let name = rest.prefix { $0 != "=" }
            guard isName(String(name)), rest.dropFirst(name.count).hasPrefix("=\"") else { return false }
            rest = rest.dropFirst(name.count + 2)
            while let character = rest.popFirst(), character != "\"" {
                if character == "\\" {
                    guard let escaped = rest.popFirst(), "\\\"n".contains(escaped) else { return false }
                }
            }
            guard let next = rest.popFirst() else { return false }
            if next == "}" { return rest.isEmpty }
            if next != "," { return false }
        }
    }
}

@Suite("Metrics for Prometheus")
struct RuntimeMetricsTests {
    private func page(_ farm: Farm, _ path: String = "/metrics", method: String = "GET") throws -> (
        status: Int, type: String?, body: String
    ) {
        let client = try RawClient(farm.client, "lb", 8405)
        client.write("\(method) \(path) HTTP/1.1\r\nHost: lb\r\nConnection: close\r\n\r\n")
        farm.pass(.milliseconds(5))
        let answer = try #require(client.answers.first)
        return (
            answer.status, answer.head.value(of: "content-type"),
            String(decoding: answer.body, as: UTF8.self)
        )
    }

    @Test("the page is well-formed and its numbers are those of the table", arguments: ["http", "tcp"])
    func page(_ mode: String) throws {
        let farm = try Farm(metrics: 8405) { $0.mode = mode == "tcp" ? .tcp : .http }
        farm.pass(.seconds(6))
        _ = try farm.ask(4)
        farm.operate("set server lb/8082 state drain")
        let (status, type, body) = try page(farm)
        #expect(status == 200 && type == "text/plain; version=0.0.4; charset=utf-8")
        let metrics = try MetricsReader(body)
        #expect(metrics.types.keys.allSatisfy { $0.hasPrefix("haproxy_") || $0.hasPrefix("service_") })
        #expect(metrics.types.allSatisfy { $0.key.hasSuffix("_total") == ($0.value == "counter") })
        let stat = try farm.stat()
        for server in ["8081", "8082", "8083"] {
            let labels = "{proxy=\"lb\",server=\"\(server)\"}"
            for (name, column) in [
                ("sessions_total", "stot"), ("bytes_in_total", "bin"), ("bytes_out_total", "bout"),
                ("loadbalanced_total", "lbtot"), ("weight", "weight"), ("check_failures_total", "chkfail"),
            ] {
                let value = try Double(stat.number(server, column))
                #expect(metrics.samples["haproxy_server_\(name)\(labels)"] == value, "\(name)")
            }
        }
        #expect(metrics.samples["haproxy_server_sessions_total{proxy=\"lb\",server=\"8081\"}"] == 2)
        #expect(metrics.samples["haproxy_server_status{proxy=\"lb\",server=\"8082\",state=\"DRAIN\"}"] == 1)
        #expect(metrics.samples["haproxy_server_status{proxy=\"lb\",server=\"8082\",state=\"UP\"}"] == 0)
        #expect(metrics.samples["haproxy_backend_status{proxy=\"lb\",state=\"UP\"}"] == 1)
        #expect(metrics.samples["haproxy_backend_agg_server_status{proxy=\"lb\",state=\"UP\"}"] == 2)
        #expect(metrics.samples["haproxy_backend_active_servers{proxy=\"lb\"}"] == 2)
        let answers = metrics.samples["haproxy_frontend_http_responses_total{proxy=\"lb\",code=\"2xx\"}"]
        #expect(answers == (mode == "http" ? 4 : nil))
        #expect(
            metrics.samples["haproxy_server_check_status{proxy=\"lb\",server=\"8081\",state=\"L7OK\"}"]
                == (mode == "http" ? 1 : 0))
    }

    @Test("names that need it are escaped")
    func escapes() throws {
        let farm = try Farm(1, metrics: 8405) { $0.backends[0].name = "a\"b\\c,d" }
        let metrics = try MetricsReader(try page(farm).body)
        #expect(metrics.samples["haproxy_server_weight{proxy=\"lb\",server=\"a\\\"b\\\\c,d\"}"] == 1)
        #expect(farm.operate("show stat").contains("\nlb,\"a\"\"b\\c,d\",0,"))
    }

    @Test("there is an index, nothing else, and nothing but reading")
    func paths() throws {
        let farm = try Farm(1, metrics: 8405)
        #expect(try page(farm, "/").body.contains("/metrics") && page(farm, "/").status == 200)
        #expect(try page(farm, "/metric").status == 404 && page(farm, "/metrics?scope=server").status == 200)
        #expect(try page(farm, method: "POST").status == 405 && page(farm, method: "HEAD").body.isEmpty)
    }

    @Test("the reader refuses what is wrong")
    func reader() {
        for text in [
            "a 1\n", "# HELP a b\n# TYPE a gauge\na 1", "# HELP a b\n# TYPE a gauge\n# HELP a b\n",
            "# HELP a b\n# TYPE a gauge\na{x=1} 1\n", "# HELP a b\n# TYPE a gauge\na{x=\"\\q\"} 1\n",
            "# HELP a b\n# TYPE a gauge\na 1\na 1\n", "# HELP a b\n# TYPE a gauge\na x\n",
            "# HELP a b\n# TYPE b gauge\n", "\n",
        ] {
            #expect(throws: MetricsReader.Failure.self, "\(text)") { try MetricsReader(text) }
        }
    }
}
